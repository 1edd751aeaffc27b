//! SMTP and LMTP (RFC 5321, RFC 2033): server core and client core.
//!
//! - `state`: the only file where a server's state changes; the table of what is allowed when
//! - `command`, `params`: grammar of commands and of MAIL and RCPT parameters; one table row each
//! - `data`, `bdat`: finding the end of a body and judging its octets
//! - `reply`: writing and parsing replies and enhanced codes
//! - `auth`: the lines of an AUTH exchange
//! - `event`: what the server core tells; `server`: the server core; `client`: the client core

pub mod auth;
pub mod bdat;
pub mod client;
pub mod command;
pub mod data;
pub mod event;
pub mod params;
pub mod reply;
pub mod server;
pub mod state;

pub use client::{ClientEvent, SmtpClient};
pub use event::{Bad, Event, MailFrom, RcptTo};
pub use server::{Limits, SmtpServer};
