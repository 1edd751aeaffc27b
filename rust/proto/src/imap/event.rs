//! What the IMAP core tells its session.

use super::append::{AppendPart, AppendTarget};
use super::command::Command;
use super::fault::{BadKind, Fault};

/// One complete event; it owns its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A command: answer it with `respond` under its tag.
    Command(Command),
    /// AUTHENTICATE: challenge, or answer under `auth_tag`.
    AuthBegin {
        /// Upper case.
        mechanism: String,
        /// Decoded initial response (RFC 4959), empty for `=`.
        initial: Option<Vec<u8>>,
    },
    /// A line of the exchange, decoded; `None` when the client cancelled with `*`.
    AuthResponse(Option<Vec<u8>>),
    /// APPEND or REPLACE announces a message, one more behind the last (RFC 3502), or a piece of one (RFC 4469): accept or
    /// refuse.
    AppendBegin(AppendBegin),
    /// Octets of the message wait: feed or discard them.
    BodyReady,
    /// The literal has passed; another `AppendBegin` follows, or the command itself as `Command`, or `Bad` when its end is
    /// malformed.
    BodyEnd(BodyEnd),
    /// DONE: answer the IDLE under its tag.
    IdleDone,
    /// Malformed or not allowed now; the session goes on once it is answered.
    Bad(ImapBad),
    /// Nothing more comes.
    Closed(&'static str),
}

/// What stands before a literal of APPEND or REPLACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendBegin {
    /// As the client wrote it.
    pub tag: String,
    /// APPEND, REPLACE or UID REPLACE.
    pub name: &'static str,
    /// Where to; the same for all literals of a command.
    pub target: AppendTarget,
    /// What stood before it, since the last literal or the beginning.
    pub parts: Vec<AppendPart>,
    /// Octets announced.
    pub size: u64,
    /// The client waits for consent.
    pub synchronising: bool,
    /// literal8: NUL is allowed (RFC 3516 §4.4).
    pub binary: bool,
}

/// What was seen in a message literal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyEnd {
    /// Octets.
    pub size: u64,
    /// A CR without LF.
    pub bare_cr: bool,
    /// An LF without CR.
    pub bare_lf: bool,
    /// A NUL.
    pub nul: bool,
}

/// A command that was refused by the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapBad {
    /// Where one could be read.
    pub tag: Option<String>,
    /// Which fault.
    pub kind: BadKind,
    /// Words for the client.
    pub text: &'static str,
    /// See [`Fault::forgets`].
    pub forgets: bool,
}

impl ImapBad {
    pub(super) fn new(tag: Option<String>, fault: Fault) -> Self {
        Self {
            tag,
            kind: fault.kind,
            text: fault.text,
            forgets: fault.forgets,
        }
    }
}
