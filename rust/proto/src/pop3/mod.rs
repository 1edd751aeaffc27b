//! POP3 server core (RFC 1939) with CAPA and response codes (RFC 2449, RFC 3206), STLS (RFC 2595), SASL (RFC 5034),
//! UIDL, TOP and PIPELINING. APOP, UTF8 and LANG are not offered.
//!
//! | File | Idea |
//! |---|---|
//! | `state` | which command is legal in which state, and what shape its answer has |
//! | `command` | one line to one command |
//! | `stuffing` | message octets to a multi-line response |
//! | `server` | the core: receive, next_event, answers, output |

mod command;
mod server;
mod state;
mod stuffing;

pub use command::Command;
pub use server::{Event, Server};
