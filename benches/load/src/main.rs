//! Protocol-level load generator for the benchmarks.
fn main() {}
