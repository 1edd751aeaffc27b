//! What the SMTP server core tells its session.

use crate::error::PeerMisbehaved;

/// The peer's fault and the reply that fits it. The session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// What was wrong.
    pub kind: PeerMisbehaved,
    /// Reply code to give.
    pub code: u16,
    /// Enhanced code to give (RFC 3463).
    pub enhanced: &'static str,
    /// Text to give.
    pub text: &'static str,
}

impl Bad {
    /// A fault with its reply.
    pub const fn new(kind: PeerMisbehaved, code: u16, enhanced: &'static str, text: &'static str) -> Self {
        Self {
            kind,
            code,
            enhanced,
            text,
        }
    }
}

/// HELO, EHLO or LHLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HelloVerb {
    /// RFC 5321 §4.1.1.1, without extensions
    Helo,
    /// RFC 5321 §4.1.1.1
    Ehlo,
    /// RFC 2033 §4.1
    Lhlo,
}

impl HelloVerb {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Helo => "HELO",
            Self::Ehlo => "EHLO",
            Self::Lhlo => "LHLO",
        }
    }
}

/// Value of BODY= (RFC 6152 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
}

impl BodyType {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        }
    }
}

/// Value of RET= (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ret {
    /// The whole message
    Full,
    /// Its headers only
    Headers,
}

impl Ret {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        }
    }
}

/// An item of NOTIFY= (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// Stands alone
    Never,
    /// On delivery
    Success,
    /// On failure
    Failure,
    /// On delay
    Delay,
}

impl Notify {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "NEVER",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Delay => "DELAY",
        }
    }
}

/// A well-formed MAIL command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailFrom {
    /// Canonical reverse-path without brackets; empty for `<>`.
    pub address: String,
    /// Unquoted.
    pub local: String,
    /// Lower case.
    pub domain: String,
    /// SIZE= (RFC 1870 §6)
    pub size: Option<u64>,
    /// BODY= (RFC 6152 §2)
    pub body: Option<BodyType>,
    /// SMTPUTF8 was given (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// AUTH=, decoded; `<>` is kept (RFC 4954 §5).
    pub auth: Option<String>,
    /// RET= (RFC 3461 §4.3)
    pub ret: Option<Ret>,
    /// ENVID=, decoded (RFC 3461 §4.4)
    pub envid: Option<String>,
}

/// A well-formed RCPT command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptTo {
    /// Canonical forward-path without brackets.
    pub address: String,
    /// Unquoted.
    pub local: String,
    /// Lower case; empty only for `<postmaster>`.
    pub domain: String,
    /// NOTIFY= (RFC 3461 §4.1)
    pub notify: Vec<Notify>,
    /// ORCPT= as `type;decoded` (RFC 3461 §4.2)
    pub orcpt: Option<String>,
}

/// One event of the server core. Every event but `BodyReady` and `Closed` owes one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answer with `reply_hello` or `reply`.
    Helo {
        /// Which greeting.
        verb: HelloVerb,
        /// The name given; printable ASCII, not verified.
        name: String,
    },
    /// Answer with `reply`; 2xx opens the transaction.
    Mail(MailFrom),
    /// Answer with `reply`; 2xx adds a recipient.
    Rcpt(RcptTo),
    /// Answer with `accept_data` or `reply`.
    DataBegin,
    /// Answer with `accept_data` or `reply`; then the chunk is discarded.
    BdatBegin {
        /// Octets of the chunk.
        size: u64,
        /// `LAST` was given.
        last: bool,
        /// The first chunk of the message.
        first: bool,
    },
    /// Octets of the body wait: `feed_sink` or `discard_body`.
    BodyReady,
    /// A chunk that is not the last has passed: `reply` once.
    ChunkEnd {
        /// Octets of the chunk.
        size: u64,
    },
    /// The message has passed: `reply`, in LMTP once for each accepted recipient (RFC 2033 §4.2).
    BodyEnd {
        /// Octets fed to the sink.
        size: u64,
        /// A CR without LF was seen.
        bare_cr: bool,
        /// An LF without CR was seen.
        bare_lf: bool,
        /// An octet of value zero was seen.
        nul: bool,
    },
    /// Answer with `auth_challenge` or `auth_done`.
    AuthBegin {
        /// Upper case.
        mechanism: String,
        /// Initial response, decoded.
        initial: Option<Vec<u8>>,
    },
    /// Answer with `auth_challenge` or `auth_done`.
    AuthResponse {
        /// Decoded; `None` when the client gave up by `*`.
        data: Option<Vec<u8>>,
    },
    /// Answer with `begin_tls` or `reply`.
    StartTls,
    /// RSET; the transaction is gone already.
    Reset,
    /// VRFY or EXPN.
    Verify {
        /// `VRFY` or `EXPN`.
        verb: &'static str,
        /// What was asked for.
        argument: String,
    },
    /// HELP
    Help,
    /// NOOP
    Noop,
    /// QUIT; after the reply nothing more is read.
    Quit,
    /// The peer's fault; answer with `reply`.
    Bad(Bad),
    /// Nothing more comes.
    Closed(&'static str),
}
