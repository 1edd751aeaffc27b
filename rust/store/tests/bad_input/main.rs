//! Bad input: messages that are no mail, names of every form, rows and records that are damaged. What is taken is read
//! back octet for octet; what cannot be read answers an error for itself alone.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "../read_support/mod.rs"]
mod read_support;
#[path = "../write_support/mod.rs"]
mod write_support;

mod damage;
mod messages;
mod names;
