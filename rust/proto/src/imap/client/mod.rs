//! The IMAP client core (RFC 3501, RFC 9051): commands out, what the server says in, in order.
//!
//! Made for moving mail out of other people's servers. It is tolerant of what they do differently (LF alone, extra
//! spaces, names that are no modified UTF-7, unknown responses) and strict about what they may cost: every line, list,
//! literal and depth has its limit, and the octets of a message go straight into a sink, never into a list of ours.
//!
//! `framer` finds the end of a response across literals, `words` reads its words, `fetch`, `mailbox` and `status` give
//! them meaning, `command` writes ours, `session` joins them.

mod command;
mod event;
mod fetch;
mod framer;
mod mailbox;
mod search;
mod session;
mod status;
mod words;

pub use event::{ClientEvent, Condition, Fetch, FetchedBody, ListEntry, Namespace, Search, Selected};
pub use session::{ImapClient, ListKind};

/// Octets of one response, its literals included but for the octets of messages.
pub const RESPONSE_OCTETS_MAX: usize = 1 << 20;
/// Capabilities that are remembered.
pub const CAPABILITIES_MAX: usize = 500;
/// Elements of one list: flags, labels, attributes, namespaces.
pub const ELEMENTS_MAX: usize = 2000;
/// Parentheses within parentheses.
pub const NESTING_MAX: usize = 64;
/// Octets that are kept of a text for people.
pub const TEXT_OCTETS_MAX: usize = 500;
/// Commands that await their answer at once; more could fill both directions and stall both ends.
pub const IN_FLIGHT_MAX: usize = 32;
