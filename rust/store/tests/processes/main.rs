//! Several processes on one volume: random operations against a dictionary, kills, a stopped holder of the lock
//! (docs/durability.md).
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod crowd;
#[path = "../durable_support/mod.rs"]
mod durable_support;
mod stopped;
mod worker;
#[path = "../write_support/mod.rs"]
mod write_support;
