//! The SMTP and LMTP server core (RFC 5321, RFC 2033): octets in, events out, answers in, octets out.
//!
//! Extensions whose grammar is understood: SIZE (RFC 1870), PIPELINING (RFC 2920), 8BITMIME (RFC 6152), enhanced codes
//! (RFC 2034), STARTTLS (RFC 3207), AUTH (RFC 4954), CHUNKING (RFC 3030), SMTPUTF8 (RFC 6531), DSN (RFC 3461). Which of
//! them are announced and what they mean is the session's to decide; nothing is looked up here.

use super::bdat::Chunk;
use super::command::{self, Command, Context};
use super::data::{Edge, Scan};
use super::event::{Bad, Event};
use super::state::{Owed, Phase, Session};
use super::{auth, reply};
use crate::body::BodySink;
use crate::buffer::Buffer;
use crate::error::{LocalMisuse, PeerMisbehaved, one_line};
use crate::line::{Flaw, Line, LineSplitter};
use crate::{Core, Next};

/// What a peer may make us hold or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Beyond it a body is still consumed, but no more of it reaches the sink.
    pub message_octets_max: u64,
    /// Accepted recipients of one transaction; RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients_max: usize,
    /// A command line with its CRLF; RFC 5321 §4.5.3.1.4 asks for 512 and more for extensions.
    pub line_octets_max: usize,
    /// A line of an AUTH exchange and the AUTH command itself (RFC 4954 §4).
    pub auth_line_octets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_octets_max: 50 << 20,
            recipients_max: 1000,
            line_octets_max: 4096,
            auth_line_octets_max: 12_288,
        }
    }
}

const LINE_TOO_LONG: Bad = Bad::new(PeerMisbehaved::LineTooLong, 500, "5.5.2", "Line too long");
const AUTH_LINE_TOO_LONG: Bad = Bad::new(
    PeerMisbehaved::LineTooLong,
    500,
    "5.5.6",
    "Authentication line too long",
);
const BARE_NEWLINE: Bad = Bad::new(PeerMisbehaved::BareNewline, 500, "5.5.2", "Lines end in CRLF only");
const NUL: Bad = Bad::new(PeerMisbehaved::Nul, 500, "5.5.2", "NUL in a command");

/// The message that is passing, over all its chunks.
#[derive(Debug, Default)]
struct Message {
    scan: Scan,
    /// Octets that came, wherever they went.
    seen: u64,
    /// Octets that a sink has taken.
    fed: u64,
    too_big: bool,
}

/// Takes everything: what `discard_body` and too big messages are pushed into.
struct Nowhere;

impl BodySink for Nowhere {
    fn push(&mut self, octets: &[u8]) -> usize {
        octets.len()
    }
}

/// Octets were already buffered behind STARTTLS: somebody injected them in plaintext (the class of CVE-2011-0411).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection;

/// Server side of one connection.
#[derive(Debug)]
pub struct SmtpServer {
    limits: Limits,
    session: Session,
    input: Buffer,
    splitter: LineSplitter,
    output: Vec<u8>,
    message: Message,
    eof: bool,
    early_talker: bool,
}

impl Core for SmtpServer {
    fn receive(&mut self, data: &[u8]) {
        if !matches!(self.session.phase(), Phase::Closed(_)) {
            self.input.extend(data);
        }
    }

    fn receive_eof(&mut self) {
        self.eof = true;
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }
}

impl SmtpServer {
    /// A server that owes its greeting.
    pub fn new(lmtp: bool, limits: Limits) -> Self {
        Self::with(Session::new(lmtp, limits.recipients_max), limits)
    }

    /// The core that goes on behind a TLS handshake: it has forgotten everything (RFC 3207 §4.2) and owes no greeting.
    pub fn after_tls(&self) -> Self {
        Self::with(self.session.after_tls(), self.limits)
    }

    fn with(session: Session, limits: Limits) -> Self {
        Self {
            limits,
            session,
            input: Buffer::new(),
            splitter: LineSplitter::new(),
            output: Vec::new(),
            message: Message::default(),
            eof: false,
            early_talker: false,
        }
    }

    /// Name of the state, for logs and tests.
    pub fn state(&self) -> &'static str {
        self.session.name()
    }

    /// Octets came before the greeting.
    pub fn early_talker(&self) -> bool {
        self.early_talker
    }

    /// The body that passes, or has just passed, is above the limit.
    pub fn message_too_big(&self) -> bool {
        self.message.too_big
    }

    /// Octets received and not yet consumed.
    pub fn waiting(&self) -> usize {
        self.input.len()
    }

    // ---- events --------------------------------------------------------------------------------------------------

    /// The next event.
    pub fn next_event(&mut self) -> Next<Event> {
        loop {
            match self.session.phase() {
                Phase::Greeting | Phase::Owed(_) => return Next::Paused,
                Phase::Closed(reason) => {
                    self.input.clear();
                    return Next::Event(Event::Closed(reason));
                }
                Phase::Command => match self.next_line(self.command_line_limit()) {
                    Some(line) => return Next::Event(self.command(line)),
                    None => return self.starved(),
                },
                Phase::AuthLine => match self.next_line(self.limits.auth_line_octets_max) {
                    Some(line) => return Next::Event(self.auth_line(line)),
                    None => return self.starved(),
                },
                Phase::Data | Phase::Chunk(_) => {
                    if self.message.too_big {
                        self.pass(&mut Nowhere);
                    }
                    match self.edge() {
                        Edge::NeedData => return self.starved(),
                        Edge::Content => return Next::Event(Event::BodyReady),
                        Edge::Skip(count) => self.input.consume(count),
                        Edge::End(count) => {
                            self.input.consume(count);
                            return Next::Event(self.body_end());
                        }
                    }
                }
                Phase::Skip(mut chunk) => {
                    let count = chunk.part(self.input.bytes()).len();
                    self.input.consume(count);
                    chunk.passed(count);
                    self.session.chunk_moved(chunk);
                    if !chunk.complete() {
                        return self.starved();
                    }
                }
            }
        }
    }

    /// Nothing complete waits: read on, or the peer is gone.
    fn starved(&mut self) -> Next<Event> {
        if !self.eof {
            return Next::NeedData;
        }
        let between = self.session.phase() == Phase::Command && self.input.is_empty() && !self.splitter.skipping();
        self.session.close(if between {
            "eof"
        } else {
            PeerMisbehaved::Truncated.name()
        });
        self.input.clear();
        let Phase::Closed(reason) = self.session.phase() else {
            return Next::Paused;
        };
        Next::Event(Event::Closed(reason))
    }

    fn command_line_limit(&self) -> usize {
        let begins = self
            .input
            .bytes()
            .get(..5)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH "));
        if begins {
            self.limits.auth_line_octets_max
        } else {
            self.limits.line_octets_max
        }
    }

    fn next_line(&mut self, octets_max: usize) -> Option<Result<Vec<u8>, Bad>> {
        let line = self.splitter.next_line(&mut self.input, octets_max)?;
        Some(match line {
            Line::Clean(line) => Ok(line),
            Line::Flawed(Flaw::Nul) => Err(NUL),
            Line::Flawed(Flaw::BareCr | Flaw::BareLf) => Err(BARE_NEWLINE),
            Line::TooLong => Err(LINE_TOO_LONG),
        })
    }

    fn bad(&mut self, bad: Bad, owed: Owed) -> Event {
        self.session.owe(owed);
        Event::Bad(bad)
    }

    fn command(&mut self, line: Result<Vec<u8>, Bad>) -> Event {
        let context = Context {
            lmtp: self.session.lmtp(),
            extended: self.session.extended(),
            smtputf8: self.session.smtputf8(),
        };
        let parsed = line.and_then(|line| command::parse(&line, &context));
        let command = match parsed {
            Ok(command) => command,
            Err(bad) => return self.bad(bad, Owed::Plain),
        };
        if let Err(bad) = self.session.admits(&command) {
            // RFC 3030 §2: the octets of a chunk follow whether we want them or not.
            let owed = match command {
                Command::Bdat { size, last } => Owed::BadChunk(Chunk::new(size, last)),
                _ => Owed::Plain,
            };
            return self.bad(bad, owed);
        }
        let (owed, event) = match command {
            Command::Hello(verb, name) => (Owed::Hello(verb), Event::Helo { verb, name }),
            Command::Mail(mail) => (
                Owed::Mail {
                    smtputf8: mail.smtputf8,
                },
                Event::Mail(mail),
            ),
            Command::Rcpt(rcpt) => (Owed::Rcpt, Event::Rcpt(rcpt)),
            Command::Data => {
                self.message = Message::default();
                (Owed::Data, Event::DataBegin)
            }
            Command::Bdat { size, last } => {
                let first = !self.session.chunked();
                if first {
                    self.message = Message::default();
                }
                (
                    Owed::Chunk(Chunk::new(size, last)),
                    Event::BdatBegin { size, last, first },
                )
            }
            Command::Auth { mechanism, initial } => (Owed::Auth, Event::AuthBegin { mechanism, initial }),
            Command::StartTls => (Owed::StartTls, Event::StartTls),
            Command::Reset => {
                self.session.reset();
                (Owed::Plain, Event::Reset)
            }
            Command::Verify(verb, argument) => (Owed::Plain, Event::Verify { verb, argument }),
            Command::Help => (Owed::Plain, Event::Help),
            Command::Noop => (Owed::Plain, Event::Noop),
            Command::Quit => (Owed::Quit, Event::Quit),
        };
        self.session.owe(owed);
        event
    }

    fn auth_line(&mut self, line: Result<Vec<u8>, Bad>) -> Event {
        let line = line.map_err(|bad| if bad == LINE_TOO_LONG { AUTH_LINE_TOO_LONG } else { bad });
        match line.and_then(|line| auth::response(&line)) {
            Ok(data) => {
                self.session.owe(Owed::Auth);
                Event::AuthResponse { data }
            }
            // RFC 4954 §4: the exchange is over.
            Err(bad) => self.bad(bad, Owed::Plain),
        }
    }

    // ---- bodies --------------------------------------------------------------------------------------------------

    fn edge(&mut self) -> Edge {
        match self.session.phase() {
            Phase::Data => self.message.scan.edge(self.input.bytes()),
            Phase::Chunk(chunk) if chunk.complete() => Edge::End(0),
            Phase::Chunk(_) if !self.input.is_empty() => Edge::Content,
            _ => Edge::NeedData,
        }
    }

    fn body_end(&mut self) -> Event {
        if let Phase::Chunk(chunk) = self.session.phase()
            && !chunk.last()
        {
            self.session.owe(Owed::ChunkEnd);
            return Event::ChunkEnd { size: chunk.size() };
        }
        let message = &mut self.message;
        message.scan.finish();
        self.session.body_ended();
        Event::BodyEnd {
            size: message.fed,
            bare_cr: message.scan.bare_cr(),
            bare_lf: message.scan.bare_lf(),
            nul: message.scan.nul(),
        }
    }

    /// Moves waiting body octets into the sink. False: the sink is full.
    fn pass(&mut self, sink: &mut dyn BodySink) -> bool {
        loop {
            match self.edge() {
                Edge::Content => {}
                Edge::Skip(count) => {
                    self.input.consume(count);
                    continue;
                }
                Edge::End(_) | Edge::NeedData => return true,
            }
            let message = &mut self.message;
            let (length, chunk) = match self.session.phase() {
                Phase::Chunk(chunk) => (message.scan.run_of_chunk(chunk.part(self.input.bytes())), Some(chunk)),
                _ => (message.scan.run_of_data(self.input.bytes()), None),
            };
            let content = self.input.bytes().get(..length).unwrap_or_default();
            let taken = if message.too_big {
                length
            } else {
                let room =
                    usize::try_from(self.limits.message_octets_max.saturating_sub(message.seen)).unwrap_or(usize::MAX);
                let offered = content.get(..room).unwrap_or(content);
                if offered.is_empty() {
                    message.too_big = true;
                    continue;
                }
                let taken = sink.push(offered).min(offered.len());
                message.seen = message.seen.saturating_add(taken as u64);
                taken
            };
            message.scan.taken(content.get(..taken).unwrap_or_default());
            self.input.consume(taken);
            if let Some(mut chunk) = chunk {
                chunk.passed(taken);
                self.session.chunk_moved(chunk);
            }
            if taken == 0 {
                return false;
            }
        }
    }

    /// Moves what waits of the body into the sink, never more than the message limit in all. False: the sink is full.
    pub fn feed_sink(&mut self, sink: &mut dyn BodySink) -> Result<bool, LocalMisuse> {
        match self.session.phase() {
            Phase::Data | Phase::Chunk(_) => {
                let before = self.message.seen;
                let room = self.pass(sink);
                self.message.fed = self.message.fed.saturating_add(self.message.seen - before);
                Ok(room)
            }
            _ => Err(self.session.misuse("feed_sink")),
        }
    }

    /// Throws away what waits of the body.
    pub fn discard_body(&mut self) -> Result<(), LocalMisuse> {
        match self.session.phase() {
            Phase::Data | Phase::Chunk(_) => {
                self.pass(&mut Nowhere);
                Ok(())
            }
            _ => Err(self.session.misuse("discard_body")),
        }
    }

    // ---- answers -------------------------------------------------------------------------------------------------

    /// The greeting: 220, or 4xx or 5xx, after which only QUIT is served (RFC 5321 §3.1).
    pub fn greet(&mut self, code: u16, text: &str) -> Result<(), LocalMisuse> {
        if self.session.phase() != Phase::Greeting {
            return Err(self.session.misuse("greet"));
        }
        if code != 220 && code < 400 {
            return Err(LocalMisuse::BadValue { what: "greeting code" });
        }
        reply::write(code, "", &[text], &mut self.output)?;
        self.early_talker = !self.input.is_empty();
        self.session.greeted(code);
        Ok(())
    }

    /// Answers the pending event. A 421 ends the session: whatever else the peer sends is ignored.
    pub fn reply(&mut self, code: u16, enhanced: &str, texts: &[&str]) -> Result<(), LocalMisuse> {
        self.session.may_answer(code)?;
        reply::write(code, enhanced, texts, &mut self.output)?;
        self.session.answered(code);
        Ok(())
    }

    /// 250 to HELO, EHLO or LHLO: the text, then the extensions.
    pub fn reply_hello(&mut self, text: &str, extensions: &[&str]) -> Result<(), LocalMisuse> {
        if !matches!(self.session.phase(), Phase::Owed(Owed::Hello(_))) {
            return Err(self.session.misuse("reply_hello"));
        }
        let mut texts = Vec::with_capacity(extensions.len() + 1);
        texts.push(text);
        texts.extend_from_slice(extensions);
        reply::write(250, "", &texts, &mut self.output)?;
        self.session.answered(250);
        Ok(())
    }

    /// Lets the body come: 354 for DATA, nothing for BDAT.
    pub fn accept_data(&mut self) -> Result<(), LocalMisuse> {
        if self.session.accept_body()? {
            self.output
                .extend_from_slice(b"354 Send the message, then a line with a single dot\r\n");
        }
        Ok(())
    }

    /// 334 with the challenge.
    pub fn auth_challenge(&mut self, data: &[u8]) -> Result<(), LocalMisuse> {
        self.session.challenged()?;
        auth::challenge(data, &mut self.output);
        Ok(())
    }

    /// Ends the AUTH exchange; after a success every other AUTH is out of order (RFC 4954 §4).
    pub fn auth_done(&mut self, success: bool, code: u16, enhanced: &str, text: &str) -> Result<(), LocalMisuse> {
        self.session.may_end_auth()?;
        if success != (200..300).contains(&code) || (300..400).contains(&code) {
            return Err(LocalMisuse::BadValue {
                what: "reply code for this event",
            });
        }
        reply::write(code, enhanced, &[text], &mut self.output)?;
        self.session.auth_ended(success, code);
        Ok(())
    }

    /// Queues the 220 after which the handshake begins; the caller goes on with [`Self::after_tls`].
    ///
    /// When octets were buffered behind STARTTLS nothing is sent and the session is closed.
    pub fn begin_tls(&mut self, enhanced: &str, text: &str) -> Result<Result<(), Injection>, LocalMisuse> {
        self.session.may_start_tls()?;
        one_line(text, "reply text")?;
        if !self.input.is_empty() {
            self.input.clear();
            self.session.close(PeerMisbehaved::StartTlsInjection.name());
            return Ok(Err(Injection));
        }
        reply::write(220, enhanced, &[text], &mut self.output)?;
        self.session.close("tls");
        Ok(Ok(()))
    }
}
