//! The POP3 states (RFC 1939 §3) as tables: which command each allows, and how each command is answered.

use super::command::Command;

/// RFC 1939 §3, with one state before and one behind the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// We have not greeted yet.
    Greeting,
    /// RFC 1939 §4.
    Authorization,
    /// RFC 1939 §5.
    Transaction,
    /// RFC 1939 §6: QUIT in TRANSACTION, not answered yet.
    Update,
    /// Nothing more is read.
    Closed,
}

impl State {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Authorization => "authorization",
            Self::Transaction => "transaction",
            Self::Update => "update",
            Self::Closed => "closed",
        }
    }
}

/// What a command is answered with; `err` is always allowed as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// `ok`.
    Line,
    /// `ok`, behind `authenticated`.
    Login,
    /// `ok_list`.
    List,
    /// `begin_message` ... `end_message`.
    Message,
    /// `start_tls`.
    Tls,
    /// `auth_challenge`, or `ok` behind `authenticated`.
    Exchange,
    /// `ok`, behind which nothing more is read.
    Farewell,
    /// Only `err`.
    Refusal,
}

/// Keyword; in AUTHORIZATION; in TRANSACTION. AUTH (RFC 5034 §4), STLS (RFC 2595 §4) and UTF8 (RFC 6856 §2.1) only before
/// login; CAPA (RFC 2449 §5) and LANG (RFC 6856 §3.2) in both; NOOP only after it (RFC 1939 §5).
const LEGAL: [(&str, bool, bool); 16] = [
    ("USER", true, false),
    ("PASS", true, false),
    ("AUTH", true, false),
    ("STLS", true, false),
    ("UTF8", true, false),
    ("LANG", true, true),
    ("CAPA", true, true),
    ("QUIT", true, true),
    ("STAT", false, true),
    ("LIST", false, true),
    ("UIDL", false, true),
    ("RETR", false, true),
    ("TOP", false, true),
    ("DELE", false, true),
    ("NOOP", false, true),
    ("RSET", false, true),
];

/// Whether `state` allows the command.
pub(super) fn legal(state: State, keyword: &str) -> bool {
    LEGAL.iter().any(|(name, authorization, transaction)| {
        *name == keyword
            && match state {
                State::Authorization => *authorization,
                State::Transaction => *transaction,
                State::Greeting | State::Update | State::Closed => false,
            }
    })
}

/// The shape of the positive answer.
pub(super) const fn answer(command: &Command) -> Answer {
    match command {
        Command::Pass(_) => Answer::Login,
        Command::Capa | Command::Lang(None) | Command::List(None) | Command::Uidl(None) => Answer::List,
        Command::Retr(_) | Command::Top(..) => Answer::Message,
        Command::Stls => Answer::Tls,
        Command::Quit => Answer::Farewell,
        Command::User(_)
        | Command::Utf8
        | Command::Lang(Some(_))
        | Command::Stat
        | Command::List(Some(_))
        | Command::Uidl(Some(_))
        | Command::Dele(_)
        | Command::Noop
        | Command::Rset => Answer::Line,
    }
}
