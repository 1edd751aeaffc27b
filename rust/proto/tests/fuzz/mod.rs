//! The fuzz targets of the protocol cores: plain functions over octets that panic when a property does not hold.
//!
//! Used by `tests/fuzz_cores.rs` on stable Rust and by the cargo-fuzz targets of `rust/fuzz`.
#![allow(dead_code, reason = "each user takes its part")]
#![allow(unreachable_pub, reason = "rust/fuzz makes these modules public")]
#![allow(clippy::unwrap_used, reason = "a target reports by panicking")]

pub mod dialogue;
pub mod imap;
pub mod imap_client;
pub mod pop3;
pub mod runner;
pub mod seeds;
pub mod smtp;
pub mod texts;
