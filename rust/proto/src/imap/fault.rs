//! What can be wrong with a command: a closed set, told to the session as `ImapBad`.

/// Why a command was refused; the session chooses the answer by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKind {
    /// The grammar is broken (RFC 9051 §9).
    Syntax,
    /// No such command.
    UnknownCommand,
    /// The command is not allowed in this state (RFC 9051 §3).
    State,
    /// A line ended by LF alone, or with one inside.
    BareNewline,
    /// A NUL octet outside literal8 (RFC 9051 §9, `CHAR8`).
    Nul,
    /// Text that is not UTF-8 where text is needed.
    NotUtf8,
    /// A command of more octets than `command_octets_max`, message literals not counted.
    TooLong,
    /// A literal announced beyond what is allowed; the answer may be NO `[TOOBIG]` (RFC 7889).
    TooBig,
    /// A bound on nesting or counts was passed; the answer may be NO `[LIMIT]`.
    Limit,
    /// An unknown SEARCH charset: the answer is NO `[BADCHARSET (UTF-8)]` (RFC 9051 §6.4.4).
    BadCharset,
    /// A special use that does not exist, or more than one: the answer is NO `[USEATTR]` (RFC 6154 §3).
    UseAttribute,
    /// A mailbox name that is no modified UTF-7 (RFC 3501 §5.1.3) or holds control characters.
    MailboxName,
    /// A SASL line that is no base64 (RFC 4648 §4).
    Base64,
    /// Something else than DONE while idling (RFC 2177).
    IdleMisuse,
}

impl BadKind {
    /// The name by which the session knows it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownCommand => "unknown-command",
            Self::State => "state",
            Self::BareNewline => "bare-newline",
            Self::Nul => "nul",
            Self::NotUtf8 => "not-utf8",
            Self::TooLong => "too-long",
            Self::TooBig => "too-big",
            Self::Limit => "limit",
            Self::BadCharset => "badcharset",
            Self::UseAttribute => "useattr",
            Self::MailboxName => "mailbox-name",
            Self::Base64 => "base64",
            Self::IdleMisuse => "idle-misuse",
        }
    }
}

/// A refusal: its kind and a text fit for the peer (ASCII, one line).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub kind: BadKind,
    /// Words for the client.
    pub text: &'static str,
    /// It befell a SEARCH with RETURN (SAVE): answered with NO it empties the saved result (RFC 5182 §2.1).
    pub forgets: bool,
}

impl Fault {
    /// A fault of the given kind.
    #[must_use]
    pub const fn new(kind: BadKind, text: &'static str) -> Self {
        Self {
            kind,
            text,
            forgets: false,
        }
    }

    /// A broken grammar.
    #[must_use]
    pub const fn syntax(text: &'static str) -> Self {
        Self::new(BadKind::Syntax, text)
    }
}
