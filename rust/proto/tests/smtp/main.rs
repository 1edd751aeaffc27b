//! The SMTP cores as their sessions see them: dialogues at every split, rules of the RFCs, smuggling, pairs, properties.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod client;
mod driver;
mod pair;
mod properties;
mod rules;
mod smuggling;
mod splits;
