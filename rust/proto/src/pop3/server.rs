//! The POP3 server core: one command at a time, in order; the next comes out only when the former is answered, so that a
//! pipelining client (RFC 2449 §6.6) needs no care elsewhere.

use super::command::{Command, Fault, Parsed, base64, parse};
use super::state::{Answer, State, answer, legal};
use super::stuffing::Stuffing;
use crate::buffer::Buffer;
use crate::error::{LocalMisuse, PeerMisbehaved, one_line};
use crate::line::{Flaw, Line, LineSplitter};
use crate::{Core, Next};
use base64::Engine;

/// RFC 2449 §4 allows 255 octets with the CRLF; twice that is borne.
const LINE_OCTETS_MAX: usize = 512;
/// An AUTH command with its initial response, or a line of the exchange: tokens of OAuth and Kerberos are long.
const AUTH_LINE_OCTETS_MAX: usize = 12_288;
/// Text of a response: 512 octets with indicator, code and CRLF (RFC 2449 §4); the rest is cut.
const TEXT_OCTETS_MAX: usize = 440;
/// Longest response code (RFC 2449 §8) that is taken from our caller.
const CODE_OCTETS_MAX: usize = 32;

/// What a POP3 client has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A command that is legal now; answer it.
    Command(Command),
    /// AUTH (RFC 5034): `auth_challenge`, or `authenticated` and `ok`, or `err`.
    AuthBegin {
        /// Upper case.
        mechanism: String,
        /// Decoded initial response; empty for "=".
        initial: Option<Vec<u8>>,
    },
    /// The client's answer to a challenge, decoded; `None` when it cancelled (answer with `err`).
    AuthResponse(Option<Vec<u8>>),
    /// The peer's fault; answer with `err(text)`.
    Bad {
        /// Which.
        kind: PeerMisbehaved,
        /// For the peer.
        text: &'static str,
    },
    /// Nothing more comes: "eof", "truncated", "quit" or "starttls-injection". Repeated.
    Closed(&'static str),
}

/// Whose turn it is.
#[derive(Debug)]
enum Turn {
    /// The client's: a command.
    Command,
    /// The client's: a line of the SASL exchange.
    Exchange,
    /// Ours: an event is not answered yet.
    Owed(Answer),
    /// Ours: inside a multi-line message.
    Message(Stuffing),
}

/// A POP3 server core.
#[derive(Debug)]
pub struct Server {
    state: State,
    turn: Turn,
    buffer: Buffer,
    splitter: LineSplitter,
    output: Vec<u8>,
    eof: bool,
    closed: &'static str,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// A core that waits for `greet`.
    pub fn new() -> Self {
        Self {
            state: State::Greeting,
            turn: Turn::Command,
            buffer: Buffer::new(),
            splitter: LineSplitter::new(),
            output: Vec::new(),
            eof: false,
            closed: "",
        }
    }

    /// Name of the state, for logs and tests.
    pub const fn state(&self) -> &'static str {
        match (self.state, &self.turn) {
            (State::Authorization, Turn::Exchange | Turn::Owed(Answer::Exchange)) => "authorization-exchange",
            (state, _) => state.name(),
        }
    }

    /// One complete event; `Paused` while the greeting or an answer is owed.
    pub fn next_event(&mut self) -> Next<Event> {
        match (self.state, &self.turn) {
            (State::Closed, _) => return Next::Event(Event::Closed(self.closed)),
            (State::Greeting, _) | (_, Turn::Owed(_) | Turn::Message(_)) => return Next::Paused,
            (_, Turn::Command | Turn::Exchange) => {}
        }
        let exchange = matches!(self.turn, Turn::Exchange);
        let octets_max = if exchange || self.auth_line() {
            AUTH_LINE_OCTETS_MAX
        } else {
            LINE_OCTETS_MAX
        };
        let Some(line) = self.splitter.next_line(&mut self.buffer, octets_max) else {
            if !self.eof {
                return Next::NeedData;
            }
            self.close(if self.buffer.is_empty() && !self.splitter.skipping() {
                "eof"
            } else {
                "truncated"
            });
            return Next::Event(Event::Closed(self.closed));
        };
        let event = match line {
            Line::TooLong => Err((PeerMisbehaved::LineTooLong, "line too long")),
            Line::Flawed(Flaw::Nul) => Err((PeerMisbehaved::Nul, "NUL is not allowed")),
            Line::Flawed(Flaw::BareCr | Flaw::BareLf) => {
                Err((PeerMisbehaved::BareNewline, "lines end with CRLF and hold no CR or LF"))
            }
            Line::Clean(octets) if exchange => self.response(&octets),
            Line::Clean(octets) => self.command(&octets),
        };
        Next::Event(event.unwrap_or_else(|(kind, text)| {
            self.turn = Turn::Owed(Answer::Refusal);
            Event::Bad { kind, text }
        }))
    }

    fn auth_line(&self) -> bool {
        self.buffer
            .bytes()
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"AUTH "))
    }

    fn command(&mut self, line: &[u8]) -> Result<Event, Fault> {
        let parsed = parse(line)?;
        if !legal(self.state, parsed.name()) {
            return Err((PeerMisbehaved::Sequence, "not allowed in this state"));
        }
        Ok(match parsed {
            Parsed::Auth { mechanism, initial } => {
                self.turn = Turn::Owed(Answer::Exchange);
                Event::AuthBegin { mechanism, initial }
            }
            Parsed::Command(command) => {
                self.turn = Turn::Owed(answer(&command));
                if command == Command::Quit && self.state == State::Transaction {
                    self.state = State::Update;
                }
                Event::Command(command)
            }
        })
    }

    /// A line of the exchange; whatever is wrong with it ends the exchange (RFC 5034 §4).
    fn response(&mut self, line: &[u8]) -> Result<Event, Fault> {
        let data = if line == b"*" { None } else { Some(base64(line)?) };
        self.turn = Turn::Owed(if data.is_some() {
            Answer::Exchange
        } else {
            Answer::Refusal
        });
        Ok(Event::AuthResponse(data))
    }

    /// The greeting (RFC 1939 §4); first of all. `err` in its place refuses the connection.
    pub fn greet(&mut self, text: &str) -> Result<(), LocalMisuse> {
        if self.state != State::Greeting {
            return Err(self.misuse("greet"));
        }
        self.line("+OK", text)?;
        self.state = State::Authorization;
        Ok(())
    }

    /// A positive answer of one line. PASS and AUTH want `authenticated` before it; commands whose positive answer has
    /// another form are misuse.
    pub fn ok(&mut self, text: &str) -> Result<(), LocalMisuse> {
        let login = match &self.turn {
            Turn::Owed(Answer::Line | Answer::Farewell) => false,
            Turn::Owed(Answer::Login | Answer::Exchange) => true,
            _ => return Err(self.misuse("ok")),
        };
        if login && self.state != State::Transaction {
            return Err(self.misuse("ok"));
        }
        self.line("+OK", text)?;
        self.answered();
        Ok(())
    }

    /// A negative answer; with a response code (RFC 2449 §8) such as "IN-USE" or "SYS/TEMP" unless `code` is empty.
    ///
    /// Takes back `authenticated` when it answers the login.
    pub fn err(&mut self, text: &str, code: &str) -> Result<(), LocalMisuse> {
        let refused = self.state == State::Greeting;
        if !refused && !matches!(self.turn, Turn::Owed(_)) {
            return Err(self.misuse("err"));
        }
        let legal = |octet: u8| octet.is_ascii_uppercase() || octet.is_ascii_digit() || octet == b'-' || octet == b'/';
        if code.len() > CODE_OCTETS_MAX || !code.bytes().all(legal) {
            return Err(LocalMisuse::BadValue { what: "response code" });
        }
        match code {
            "" => self.line("-ERR", text)?,
            code => self.line(&format!("-ERR [{code}]"), text)?,
        }
        if matches!(self.turn, Turn::Owed(Answer::Login | Answer::Exchange)) {
            self.state = State::Authorization;
        }
        if refused {
            self.close("refused");
        } else {
            self.answered();
        }
        Ok(())
    }

    /// A positive answer of many lines: CAPA, LIST and UIDL without a number.
    pub fn ok_list<'a>(
        &mut self,
        text: &str,
        lines: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Result<(), LocalMisuse> {
        if !matches!(self.turn, Turn::Owed(Answer::List)) {
            return Err(self.misuse("ok_list"));
        }
        for line in lines.clone() {
            one_line(line, "line")?;
        }
        self.line("+OK", text)?;
        for line in lines {
            if line.starts_with('.') {
                self.output.push(b'.');
            }
            self.output.extend_from_slice(line.as_bytes());
            self.output.extend_from_slice(b"\r\n");
        }
        self.output.extend_from_slice(b".\r\n");
        self.answered();
        Ok(())
    }

    /// The +OK of RETR or TOP; octets follow by `message`, and `end_message`.
    pub fn begin_message(&mut self, text: &str) -> Result<(), LocalMisuse> {
        if !matches!(self.turn, Turn::Owed(Answer::Message)) {
            return Err(self.misuse("begin_message"));
        }
        self.line("+OK", text)?;
        self.turn = Turn::Message(Stuffing::default());
        Ok(())
    }

    /// Message octets, cut anywhere; dots are stuffed and a bare LF becomes CRLF here.
    pub fn message(&mut self, chunk: &[u8]) -> Result<(), LocalMisuse> {
        match &mut self.turn {
            Turn::Message(stuffing) => {
                stuffing.push(chunk, &mut self.output);
                Ok(())
            }
            _ => Err(self.misuse("message")),
        }
    }

    /// Ends the message, with the CRLF it may lack and the final dot.
    pub fn end_message(&mut self) -> Result<(), LocalMisuse> {
        match std::mem::replace(&mut self.turn, Turn::Command) {
            Turn::Message(stuffing) => {
                stuffing.finish(&mut self.output);
                Ok(())
            }
            turn => {
                self.turn = turn;
                Err(self.misuse("end_message"))
            }
        }
    }

    /// A challenge of the SASL exchange (RFC 5034 §4).
    pub fn auth_challenge(&mut self, data: &[u8]) -> Result<(), LocalMisuse> {
        if self.state != State::Authorization || !matches!(self.turn, Turn::Owed(Answer::Exchange)) {
            return Err(self.misuse("auth_challenge"));
        }
        self.output.extend_from_slice(b"+ ");
        self.output
            .extend_from_slice(base64::engine::general_purpose::STANDARD.encode(data).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.turn = Turn::Exchange;
        Ok(())
    }

    /// The login succeeded: to TRANSACTION. `ok` follows.
    pub fn authenticated(&mut self) -> Result<(), LocalMisuse> {
        if self.state != State::Authorization || !matches!(self.turn, Turn::Owed(Answer::Login | Answer::Exchange)) {
            return Err(self.misuse("authenticated"));
        }
        self.state = State::Transaction;
        Ok(())
    }

    /// Answers STLS (RFC 2595 §4) and gives the core for behind the handshake, which needs no greeting.
    ///
    /// `None` when octets already lie behind STLS: nothing is answered and the next event is
    /// `Closed("starttls-injection")`.
    pub fn start_tls(&mut self, text: &str) -> Result<Option<Self>, LocalMisuse> {
        if !matches!(self.turn, Turn::Owed(Answer::Tls)) {
            return Err(self.misuse("start_tls"));
        }
        if !self.buffer.is_empty() {
            self.close(PeerMisbehaved::StartTlsInjection.name());
            return Ok(None);
        }
        self.line("+OK", text)?;
        self.answered();
        Ok(Some(Self {
            state: State::Authorization,
            ..Self::new()
        }))
    }

    fn answered(&mut self) {
        if matches!(self.turn, Turn::Owed(Answer::Farewell)) {
            self.close("quit");
        }
        self.turn = Turn::Command;
    }

    fn close(&mut self, reason: &'static str) {
        self.state = State::Closed;
        self.closed = reason;
        self.buffer.clear();
    }

    fn misuse(&self, call: &'static str) -> LocalMisuse {
        LocalMisuse::WrongState {
            call,
            state: self.state(),
        }
    }

    fn line(&mut self, indicator: &str, text: &str) -> Result<(), LocalMisuse> {
        one_line(text, "text")?;
        let end = (0..=text.len().min(TEXT_OCTETS_MAX))
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        let text = text.get(..end).unwrap_or_default();
        self.output.extend_from_slice(indicator.as_bytes());
        if !text.is_empty() {
            self.output.push(b' ');
            self.output.extend_from_slice(text.as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }
}

impl Core for Server {
    fn receive(&mut self, data: &[u8]) {
        if self.state != State::Closed && !self.eof {
            self.buffer.extend(data);
        }
    }

    fn receive_eof(&mut self) {
        self.eof = true;
    }

    fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }
}
