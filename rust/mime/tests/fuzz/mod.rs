//! The fuzz targets of the MIME readers: plain functions over octets that panic when a property does not hold.
//!
//! Used by `tests/fuzz_mime.rs` on stable Rust and by the cargo-fuzz targets of `rust/fuzz`.
#![allow(dead_code, reason = "each user takes its part")]
#![allow(unreachable_pub, reason = "rust/fuzz makes these modules public")]
#![allow(clippy::unwrap_used, reason = "a target reports by panicking")]

#[path = "../../../proto/tests/fuzz/runner.rs"]
pub mod runner;
pub mod seeds;
#[path = "../support/mod.rs"]
mod support;
pub mod targets;
