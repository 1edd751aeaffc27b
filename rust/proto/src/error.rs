//! The two kinds of fault a core can tell: the peer's and our caller's.
//!
//! A peer's fault is an event or a closed connection, never an `Err`; our caller's is always an `Err` and a bug of ours.

use std::fmt;

/// What a peer did wrong, in any protocol: a closed set, so that logs can be counted and every kind has its test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerMisbehaved {
    /// The line or command does not follow its grammar.
    Syntax,
    /// The command is known but not allowed now.
    Sequence,
    /// The command is not known here.
    UnknownVerb,
    /// A parameter is not known, or not allowed without its extension.
    UnknownParameter,
    /// The line passed its limit; it was skipped to its end.
    LineTooLong,
    /// A CR or LF that is not part of a CRLF pair.
    BareNewline,
    /// An octet of value zero where none may stand.
    Nul,
    /// A mailbox, domain or address literal that cannot be.
    Address,
    /// Octets above 127 where the extension for them was not asked for.
    NotAscii,
    /// Base64 that is not base64 (RFC 4648 §4).
    Base64,
    /// More of something than the limit allows.
    TooMany,
    /// Octets sent behind STARTTLS before the handshake.
    StartTlsInjection,
    /// A server spoke before it was asked.
    Unsolicited,
    /// The connection ended in the middle of something.
    Truncated,
}

impl PeerMisbehaved {
    /// Every kind, for tests and counters.
    pub const ALL: [Self; 14] = [
        Self::Syntax,
        Self::Sequence,
        Self::UnknownVerb,
        Self::UnknownParameter,
        Self::LineTooLong,
        Self::BareNewline,
        Self::Nul,
        Self::Address,
        Self::NotAscii,
        Self::Base64,
        Self::TooMany,
        Self::StartTlsInjection,
        Self::Unsolicited,
        Self::Truncated,
    ];

    /// The short, stable name that events and logs carry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::Sequence => "sequence",
            Self::UnknownVerb => "unknown-verb",
            Self::UnknownParameter => "unknown-parameter",
            Self::LineTooLong => "line-too-long",
            Self::BareNewline => "bare-newline",
            Self::Nul => "nul",
            Self::Address => "address",
            Self::NotAscii => "not-ascii",
            Self::Base64 => "base64",
            Self::TooMany => "too-many",
            Self::StartTlsInjection => "starttls-injection",
            Self::Unsolicited => "unsolicited",
            Self::Truncated => "truncated",
        }
    }
}

impl fmt::Display for PeerMisbehaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Our caller broke the contract of a core. The core is unchanged when a command returns this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalMisuse {
    /// The command does not fit the state.
    WrongState {
        /// The command's name.
        call: &'static str,
        /// The state's name.
        state: &'static str,
    },
    /// CR, LF or NUL in a text that must be one line.
    LineBreakInText {
        /// Which text.
        what: &'static str,
    },
    /// A value outside its range or grammar.
    BadValue {
        /// Which value.
        what: &'static str,
    },
}

impl fmt::Display for LocalMisuse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongState { call, state } => write!(formatter, "{call}() is not allowed in state {state}"),
            Self::LineBreakInText { what } => write!(formatter, "CR, LF or NUL in {what}"),
            Self::BadValue { what } => write!(formatter, "bad value for {what}"),
        }
    }
}

impl std::error::Error for LocalMisuse {}

/// Refuses a text that would not stay one line on the wire.
pub fn one_line(text: &str, what: &'static str) -> Result<(), LocalMisuse> {
    if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_some() {
        return Err(LocalMisuse::LineBreakInText { what });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: HashSet<&str> = PeerMisbehaved::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), PeerMisbehaved::ALL.len());
    }

    #[test]
    fn line_breaks_in_texts_are_refused() {
        for text in ["a\rb", "a\nb", "a\0b", "\r\n"] {
            assert_eq!(
                one_line(text, "text"),
                Err(LocalMisuse::LineBreakInText { what: "text" })
            );
        }
        assert_eq!(one_line("plain text, ünicode too", "text"), Ok(()));
    }
}
