//! Sans-IO protocol cores: SMTP, LMTP, IMAP, POP3 and SASL as pull state machines.
//!
//! A core takes octets by [`Core::receive`], gives out one complete event at a time by its own `next_event`, takes
//! decisions by commands, and leaves its answer in an output buffer. It opens no socket, reads no clock, starts no
//! thread and holds no secret longer than the exchange that needs it (docs/protocol-cores.md).
#![forbid(unsafe_code)]

pub mod address;
pub mod body;
pub mod buffer;
pub mod chars;
pub mod error;
pub mod imap;
pub mod line;
pub mod pop3;
pub mod sasl;
pub mod smtp;

/// What the TLS layer needs of any core: plaintext in, plaintext out.
pub trait Core {
    /// Appends octets from the peer. Never parses.
    fn receive(&mut self, data: &[u8]);
    /// The peer has closed its side.
    fn receive_eof(&mut self);
    /// Octets waiting to be sent.
    fn output(&mut self) -> &mut Vec<u8>;
}

/// What a core's `next_event` answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<E> {
    /// One complete event.
    Event(E),
    /// Nothing complete waits: read more from the peer.
    NeedData,
    /// A decision is owed before the grammar can go on.
    Paused,
}
