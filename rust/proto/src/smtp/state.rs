//! The state of an SMTP or LMTP server session: the only file where it changes, and the table of what is allowed when.
//!
//! ```text
//! Greeting -> Command -> Owed(answer) -> Command | Data | Chunk | Skip | AuthLine | Closed
//! ```
//!
//! Every event but `BodyReady` puts the session into `Owed`; the answer takes it out (RFC 5321 §3.3, §4.1.4).

use super::bdat::Chunk;
use super::command::Command;
use super::event::{Bad, HelloVerb};
use crate::error::{LocalMisuse, PeerMisbehaved};

/// What the next octets are, or what is owed before they may be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The greeting is owed.
    Greeting,
    /// A command line comes.
    Command,
    /// An event has been told; its answer is owed.
    Owed(Owed),
    /// Message octets up to CRLF.CRLF come.
    Data,
    /// Octets of a chunk come.
    Chunk(Chunk),
    /// Octets of a refused chunk come and are thrown away.
    Skip(Chunk),
    /// A response line of an AUTH exchange comes.
    AuthLine,
    /// Nothing more is read.
    Closed(&'static str),
}

/// Which answer is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// To Helo
    Hello(HelloVerb),
    /// To Mail
    Mail {
        /// With SMTPUTF8
        smtputf8: bool,
    },
    /// To Rcpt
    Rcpt,
    /// To DataBegin
    Data,
    /// To BdatBegin
    Chunk(Chunk),
    /// To ChunkEnd
    ChunkEnd,
    /// To BodyEnd: so many replies
    BodyEnd(usize),
    /// To AuthBegin or AuthResponse
    Auth,
    /// To StartTls
    StartTls,
    /// To Quit
    Quit,
    /// To Bad, behind which a chunk is thrown away
    BadChunk(Chunk),
    /// To anything else: a reply that changes nothing
    Plain,
}

/// A mail transaction (RFC 5321 §3.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Transaction {
    recipients: usize,
    smtputf8: bool,
    /// BDAT has begun.
    chunked: bool,
}

/// A session without its octets.
#[derive(Debug, Clone)]
pub struct Session {
    lmtp: bool,
    recipients_max: usize,
    phase: Phase,
    /// The greeting was 4xx or 5xx: only QUIT is served (RFC 5321 §3.1).
    unwelcome: bool,
    hello: Option<HelloVerb>,
    authenticated: bool,
    transaction: Option<Transaction>,
}

/// What a command needs of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Hello,
    Extended,
    NoTransaction,
    Transaction,
    Recipients,
    NotChunked,
    NotAuthenticated,
    RoomForRecipient,
}

const fn out_of_order(text: &'static str) -> Bad {
    Bad::new(PeerMisbehaved::Sequence, 503, "5.5.1", text)
}

impl Need {
    fn fault(self) -> Bad {
        match self {
            Self::Hello => out_of_order("Say hello first"),
            Self::Extended => out_of_order("EHLO first"),
            Self::NoTransaction => out_of_order("Not within a mail transaction"),
            Self::Transaction => out_of_order("MAIL first"),
            Self::Recipients => out_of_order("No valid recipients"),
            Self::NotChunked => out_of_order("BDAT has begun"),
            Self::NotAuthenticated => out_of_order("Already authenticated"),
            Self::RoomForRecipient => Bad::new(PeerMisbehaved::TooMany, 452, "4.5.3", "Too many recipients"),
        }
    }
}

/// What each command needs, in the order in which it is told. Commands not listed need nothing (RFC 5321 §4.1.4).
fn needs(command: &Command) -> &'static [Need] {
    match command {
        Command::Mail(_) => &[Need::Hello, Need::NoTransaction],
        Command::Rcpt(_) => &[Need::Transaction, Need::NotChunked, Need::RoomForRecipient],
        Command::Data => &[Need::Transaction, Need::NotChunked, Need::Recipients],
        Command::Bdat { .. } => &[Need::Transaction, Need::Recipients],
        Command::Auth { .. } => &[Need::Extended, Need::NotAuthenticated, Need::NoTransaction],
        Command::Hello(..)
        | Command::StartTls
        | Command::Reset
        | Command::Verify(..)
        | Command::Help
        | Command::Noop
        | Command::Quit => &[],
    }
}

impl Session {
    /// A session that owes its greeting.
    pub fn new(lmtp: bool, recipients_max: usize) -> Self {
        Self {
            lmtp,
            recipients_max,
            phase: Phase::Greeting,
            unwelcome: false,
            hello: None,
            authenticated: false,
            transaction: None,
        }
    }

    /// The session after a TLS handshake: everything is forgotten, no greeting is owed (RFC 3207 §4.2).
    pub fn after_tls(&self) -> Self {
        Self {
            phase: Phase::Command,
            ..Self::new(self.lmtp, self.recipients_max)
        }
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// LMTP?
    pub fn lmtp(&self) -> bool {
        self.lmtp
    }

    /// EHLO or LHLO has been accepted.
    pub fn extended(&self) -> bool {
        matches!(self.hello, Some(HelloVerb::Ehlo | HelloVerb::Lhlo))
    }

    /// The open transaction has SMTPUTF8.
    pub fn smtputf8(&self) -> bool {
        self.transaction.is_some_and(|transaction| transaction.smtputf8)
    }

    /// BDAT has begun in the open transaction.
    pub fn chunked(&self) -> bool {
        self.transaction.is_some_and(|transaction| transaction.chunked)
    }

    /// A name for logs and tests.
    pub fn name(&self) -> &'static str {
        match self.phase {
            Phase::Greeting => "greeting",
            Phase::Command if self.unwelcome => "unwelcome",
            Phase::Command => match (self.hello, self.transaction) {
                (_, Some(Transaction { chunked: true, .. })) => "chunks",
                (_, Some(Transaction { recipients: 0, .. })) => "mail",
                (_, Some(_)) => "rcpt",
                (None, None) => "connected",
                (Some(_), None) => "ready",
            },
            Phase::Owed(owed) => match owed {
                Owed::Hello(_) => "owed-hello",
                Owed::Mail { .. } => "owed-mail",
                Owed::Rcpt => "owed-rcpt",
                Owed::Data => "owed-data",
                Owed::Chunk(_) => "owed-bdat",
                Owed::ChunkEnd => "owed-chunk-end",
                Owed::BodyEnd(_) => "owed-body-end",
                Owed::Auth => "owed-auth",
                Owed::StartTls => "owed-starttls",
                Owed::Quit => "owed-quit",
                Owed::BadChunk(_) | Owed::Plain => "owed-reply",
            },
            Phase::Data => "data",
            Phase::Chunk(_) => "bdat",
            Phase::Skip(_) => "bdat-discard",
            Phase::AuthLine => "auth",
            Phase::Closed(_) => "closed",
        }
    }

    /// Whether the command may come now, or the fault to tell.
    pub fn admits(&self, command: &Command) -> Result<(), Bad> {
        if self.unwelcome && *command != Command::Quit {
            return Err(out_of_order("This service was refused"));
        }
        match needs(command).iter().find(|&&need| !self.meets(need)) {
            Some(need) => Err(need.fault()),
            None => Ok(()),
        }
    }

    fn meets(&self, need: Need) -> bool {
        let transaction = self.transaction;
        match need {
            Need::Hello => self.hello.is_some(),
            Need::Extended => self.extended(),
            Need::NoTransaction => transaction.is_none(),
            Need::Transaction => transaction.is_some(),
            Need::Recipients => transaction.is_some_and(|open| open.recipients > 0),
            Need::NotChunked => !transaction.is_some_and(|open| open.chunked),
            Need::NotAuthenticated => !self.authenticated,
            Need::RoomForRecipient => transaction.is_none_or(|open| open.recipients < self.recipients_max),
        }
    }

    // ---- changes -------------------------------------------------------------------------------------------------

    /// The greeting has been given.
    pub fn greeted(&mut self, code: u16) {
        self.unwelcome = code >= 400;
        self.phase = if code == 421 {
            Phase::Closed("refused")
        } else {
            Phase::Command
        };
    }

    /// An event has been told.
    pub fn owe(&mut self, owed: Owed) {
        self.phase = Phase::Owed(owed);
    }

    /// RSET: the transaction is gone before its event is told.
    pub fn reset(&mut self) {
        self.transaction = None;
    }

    /// Nothing more is read.
    pub fn close(&mut self, reason: &'static str) {
        self.phase = Phase::Closed(reason);
    }

    /// Whether a reply with this code may answer what is owed.
    pub fn may_answer(&self, code: u16) -> Result<(), LocalMisuse> {
        // RFC 5321 §3.8: a 421 may come at any time, so that a peer that times out is told why.
        if code == 421 && !matches!(self.phase, Phase::Greeting | Phase::Closed(_)) {
            return Ok(());
        }
        let Phase::Owed(owed) = self.phase else {
            return Err(self.misuse("reply"));
        };
        let good = code < 300;
        let fits = match owed {
            Owed::Data | Owed::Chunk(_) | Owed::StartTls | Owed::Auth => !good,
            _ => true,
        };
        if !fits || (300..400).contains(&code) {
            return Err(LocalMisuse::BadValue {
                what: "reply code for this event",
            });
        }
        Ok(())
    }

    /// The reply to what is owed has been given; `may_answer` was asked before.
    pub fn answered(&mut self, code: u16) {
        if code == 421 {
            self.transaction = None;
            self.phase = Phase::Closed("refused");
            return;
        }
        let Phase::Owed(owed) = self.phase else { return };
        let good = code < 400;
        self.phase = Phase::Command;
        match owed {
            Owed::Hello(verb) if good => {
                // RFC 5321 §4.1.4: a hello at any time clears buffers as RSET does.
                self.hello = Some(verb);
                self.transaction = None;
            }
            Owed::Mail { smtputf8 } if good => {
                self.transaction = Some(Transaction {
                    smtputf8,
                    ..Transaction::default()
                });
            }
            Owed::Rcpt if good => {
                if let Some(open) = &mut self.transaction {
                    open.recipients = open.recipients.saturating_add(1);
                }
            }
            Owed::ChunkEnd if good => {}
            // RFC 3030 §2: a failed chunk fails the transaction.
            Owed::ChunkEnd => self.transaction = None,
            Owed::Chunk(chunk) => {
                self.transaction = None;
                self.phase = Phase::Skip(chunk);
            }
            Owed::BadChunk(chunk) => self.phase = Phase::Skip(chunk),
            // RFC 2033 §4.2: in LMTP one reply for each accepted recipient.
            Owed::BodyEnd(left) if left > 1 => self.phase = Phase::Owed(Owed::BodyEnd(left - 1)),
            Owed::BodyEnd(_) => self.transaction = None,
            Owed::Quit => self.phase = Phase::Closed("quit"),
            Owed::Hello(_)
            | Owed::Mail { .. }
            | Owed::Rcpt
            | Owed::Data
            | Owed::Auth
            | Owed::StartTls
            | Owed::Plain => {}
        }
    }

    /// The body or chunk may come. True: 354 is to be sent.
    pub fn accept_body(&mut self) -> Result<bool, LocalMisuse> {
        match self.phase {
            Phase::Owed(Owed::Data) => {
                self.phase = Phase::Data;
                Ok(true)
            }
            Phase::Owed(Owed::Chunk(chunk)) => {
                self.phase = Phase::Chunk(chunk);
                if let Some(open) = &mut self.transaction {
                    open.chunked = true;
                }
                Ok(false)
            }
            _ => Err(self.misuse("accept_data")),
        }
    }

    /// The chunk has moved on.
    pub fn chunk_moved(&mut self, chunk: Chunk) {
        match self.phase {
            Phase::Chunk(_) => self.phase = Phase::Chunk(chunk),
            Phase::Skip(_) if chunk.complete() => self.phase = Phase::Command,
            Phase::Skip(_) => self.phase = Phase::Skip(chunk),
            _ => {}
        }
    }

    /// The message has passed.
    pub fn body_ended(&mut self) {
        let recipients = self.transaction.map_or(1, |open| open.recipients);
        self.phase = Phase::Owed(Owed::BodyEnd(if self.lmtp { recipients.max(1) } else { 1 }));
    }

    /// A challenge has been sent.
    pub fn challenged(&mut self) -> Result<(), LocalMisuse> {
        if self.phase != Phase::Owed(Owed::Auth) {
            return Err(self.misuse("auth_challenge"));
        }
        self.phase = Phase::AuthLine;
        Ok(())
    }

    /// Whether an AUTH exchange may be ended.
    pub fn may_end_auth(&self) -> Result<(), LocalMisuse> {
        if self.phase == Phase::Owed(Owed::Auth) {
            Ok(())
        } else {
            Err(self.misuse("auth_done"))
        }
    }

    /// The AUTH exchange has ended.
    pub fn auth_ended(&mut self, success: bool, code: u16) {
        self.authenticated |= success;
        self.answered(code);
    }

    /// Whether STARTTLS is what is owed.
    pub fn may_start_tls(&self) -> Result<(), LocalMisuse> {
        if self.phase == Phase::Owed(Owed::StartTls) {
            Ok(())
        } else {
            Err(self.misuse("start_tls"))
        }
    }

    /// Misuse of a command in this state.
    pub fn misuse(&self, call: &'static str) -> LocalMisuse {
        LocalMisuse::WrongState {
            call,
            state: self.name(),
        }
    }
}
