//! IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051): types, grammar, server core.
//!
//! Octets go through `framer` (where does a command end), `command` (the table of commands) and its families, which
//! read them with `lexer`. `state` says what may come; `server` joins them; `response` writes what we say.

mod append;
pub mod client;
pub mod command;
mod command_acl;
mod command_auth;
mod command_mailbox;
mod command_message;
mod command_metadata;
mod command_multisearch;
mod command_notify;
mod command_quota;
mod command_url;
mod date_time;
pub mod event;
pub mod fault;
pub mod fetch_att;
pub mod flags;
mod framer;
pub mod lexer;
mod literal;
pub mod mailbox_filter;
pub mod mailbox_name;
pub mod modseq;
pub mod partial;
pub mod quoting;
mod response;
mod response_acl;
mod response_metadata;
mod response_quota;
pub mod search_key;
pub mod sequence;
pub mod server;
mod server_lists;
pub mod sort;
pub mod state;
pub mod url;

pub use append::{AppendPart, AppendTarget};
pub use command::{Arguments, Command, ListArguments, StoreMode};
pub use command_metadata::Depth;
pub use command_notify::{EventGroup, NotifySet};
pub use event::{AppendBegin, BodyEnd, Event, ImapBad};
pub use fault::{BadKind, Fault};
pub use mailbox_name::mailbox_matches;
pub use response::StatusValue;
pub use server::{ImapServer, Settings};
