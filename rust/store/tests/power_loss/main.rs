//! A simulated disk that loses power, and faults of every call that writes or syncs (docs/durability.md).
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(unreachable_pub, reason = "a test binary exports nothing but its stand-ins")]

mod child;
mod disk;
#[path = "../durable_support/mod.rs"]
mod durable_support;
mod faults;
mod follow;
mod journal;
mod migration;
mod power;
mod rebuilt;
mod shim;
#[path = "../upgrade_support/mod.rs"]
mod upgrade_support;
#[path = "../write_support/mod.rs"]
mod write_support;
