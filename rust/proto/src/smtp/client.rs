//! The SMTP and LMTP client core (RFC 5321, RFC 2033): commands in, their replies out in order.
//!
//! It owns pipelining (RFC 2920): commands may be given ahead of replies, go out in groups when the server announced
//! PIPELINING and one by one otherwise, and each reply is told with the command it belongs to. Octets of a server that
//! was not asked close the connection, so that no reply can be taken for another's.

use super::data::Stuffer;
use super::reply::{Reply, ReplyReader};
use super::server::Injection;
use crate::address::{self, Charset};
use crate::buffer::Buffer;
use crate::error::{LocalMisuse, PeerMisbehaved};
use crate::sasl::{self, Credentials};
use crate::{Core, Next, chars};
use std::collections::VecDeque;

/// Commands whose replies are awaited at once; more could fill both directions and stall both ends (RFC 2920 §3.1).
const IN_FLIGHT_MAX: usize = 100;
/// A command line with its CRLF above which AUTH sends no initial response (RFC 4954 §4, RFC 5321 §4.5.3.1.4).
const COMMAND_OCTETS_MAX: usize = 512;
/// Extensions that are remembered of one EHLO.
const EXTENSIONS_MAX: usize = 100;

/// What the client core tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The reply to one command.
    Reply {
        /// `greeting`, `EHLO`, `HELO`, `LHLO`, `STARTTLS`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `BODY`, `RSET` or `QUIT`
        command: &'static str,
        /// Counts RCPTs of the transaction from 0, and LMTP's replies to the body.
        index: usize,
        /// The reply.
        reply: Reply,
    },
    /// Nothing more comes.
    Closed(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Greeting,
    Ehlo,
    Helo,
    Lhlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    Body,
    Reset,
    Quit,
}

impl Verb {
    const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Lhlo => "LHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Body => "BODY",
            Self::Reset => "RSET",
            Self::Quit => "QUIT",
        }
    }

    /// May be followed by another command before its reply (RFC 2920 §3.1).
    const fn leads(self) -> bool {
        matches!(self, Self::Mail | Self::Rcpt | Self::Reset)
    }

    /// May follow another command before that one's reply.
    const fn follows(self) -> bool {
        matches!(self, Self::Mail | Self::Rcpt | Self::Reset | Self::Data | Self::Quit)
    }

    /// Whether a server may answer so: 354 belongs to DATA, 334 to AUTH.
    const fn answered_by(self, code: u16) -> bool {
        match self {
            Self::Data => code == 354 || code >= 400,
            Self::Auth => code == 334 || code < 300 || code >= 400,
            _ => code < 300 || code >= 400,
        }
    }
}

/// A command that has not been sent yet.
struct Planned {
    verb: Verb,
    index: usize,
    line: Vec<u8>,
}

/// Whose reply comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaited {
    verb: Verb,
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Commands and replies.
    Commands,
    /// 354 was received: the body goes out.
    Body(Stuffer),
    /// 220 to STARTTLS was received: only the handshake may follow.
    TlsReady,
    Closed(&'static str),
}

/// Client side of one connection.
pub struct SmtpClient {
    lmtp: bool,
    input: Buffer,
    reader: ReplyReader,
    output: Vec<u8>,
    planned: VecDeque<Planned>,
    awaited: VecDeque<Awaited>,
    phase: Phase,
    eof: bool,
    extensions: Vec<(String, String)>,
    /// RCPTs planned since MAIL.
    recipients: usize,
    /// RCPTs accepted since MAIL was.
    accepted: usize,
    /// Answers to the challenges that are still to come.
    auth_answers: VecDeque<Vec<u8>>,
    auth_cancelled: bool,
}

impl Core for SmtpClient {
    fn receive(&mut self, data: &[u8]) {
        if !matches!(self.phase, Phase::Closed(_)) {
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

impl SmtpClient {
    /// A client that awaits the greeting.
    pub fn new(lmtp: bool) -> Self {
        let mut client = Self::silent(lmtp);
        client.awaited.push_back(Awaited {
            verb: Verb::Greeting,
            index: 0,
        });
        client
    }

    /// The core that goes on behind a TLS handshake: extensions are forgotten, no greeting comes (RFC 3207 §4.2).
    pub fn after_tls(&self) -> Self {
        Self::silent(self.lmtp)
    }

    fn silent(lmtp: bool) -> Self {
        Self {
            lmtp,
            input: Buffer::new(),
            reader: ReplyReader::default(),
            output: Vec::new(),
            planned: VecDeque::new(),
            awaited: VecDeque::new(),
            phase: Phase::Commands,
            eof: false,
            extensions: Vec::new(),
            recipients: 0,
            accepted: 0,
            auth_answers: VecDeque::new(),
            auth_cancelled: false,
        }
    }

    /// Name of the state, for logs and tests.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Commands => match self.awaited.front() {
                None => "ready",
                Some(Awaited {
                    verb: Verb::Greeting, ..
                }) => "greeting",
                Some(_) => "waiting",
            },
            Phase::Body(_) => "body",
            Phase::TlsReady => "tls-ready",
            Phase::Closed(_) => "closed",
        }
    }

    /// Keywords in upper case with their parameters, of the last EHLO or LHLO.
    pub fn extensions(&self) -> &[(String, String)] {
        &self.extensions
    }

    fn announced(&self, keyword: &str) -> bool {
        self.extensions.iter().any(|(name, _)| name == keyword)
    }

    // ---- events --------------------------------------------------------------------------------------------------

    /// The next reply. `Paused` when no reply is awaited.
    pub fn next_event(&mut self) -> Next<ClientEvent> {
        loop {
            if let Phase::Closed(reason) = self.phase {
                return Next::Event(ClientEvent::Closed(reason));
            }
            let Some(&awaited) = self.awaited.front() else {
                return self.unasked();
            };
            let reply = match self.reader.next_reply(&mut self.input) {
                Ok(Some(reply)) => reply,
                Ok(None) if self.eof => return self.close(PeerMisbehaved::Truncated.name()),
                Ok(None) => return Next::NeedData,
                Err(fault) => return self.close(fault.name()),
            };
            if !awaited.verb.answered_by(reply.code) {
                return self.close(PeerMisbehaved::Syntax.name());
            }
            if awaited.verb == Verb::Auth && reply.code == 334 {
                if !self.answer_challenge() {
                    return self.close(PeerMisbehaved::Sequence.name());
                }
                continue;
            }
            self.awaited.pop_front();
            let event = self.told(awaited, reply);
            self.send();
            return Next::Event(event);
        }
    }

    /// No reply is awaited: nothing, or a server that speaks unasked (a 421 is its right, RFC 5321 §3.8).
    fn unasked(&mut self) -> Next<ClientEvent> {
        // Behind the 220 to STARTTLS the octets are judged by `begin_tls`.
        if self.phase == Phase::TlsReady {
            return Next::Paused;
        }
        if !self.input.is_empty() {
            return match self.reader.next_reply(&mut self.input) {
                Ok(Some(Reply { code: 421, .. })) => self.close("shutdown"),
                _ => self.close(PeerMisbehaved::Unsolicited.name()),
            };
        }
        if self.eof { self.close("eof") } else { Next::Paused }
    }

    fn close(&mut self, reason: &'static str) -> Next<ClientEvent> {
        self.shut(reason);
        Next::Event(ClientEvent::Closed(reason))
    }

    fn shut(&mut self, reason: &'static str) {
        self.phase = Phase::Closed(reason);
        self.input.clear();
        self.planned.clear();
        self.awaited.clear();
        self.auth_answers.clear();
    }

    fn told(&mut self, awaited: Awaited, mut reply: Reply) -> ClientEvent {
        let Awaited { verb, index } = awaited;
        let good = reply.code < 300;
        let hello = matches!(verb, Verb::Ehlo | Verb::Helo | Verb::Lhlo);
        // RFC 2034 §4: never in the greeting nor in the reply to a hello, unless they refuse.
        if !good || !(hello || verb == Verb::Greeting) {
            reply.lift_enhanced();
        }
        match verb {
            Verb::Ehlo | Verb::Lhlo | Verb::Helo => {
                self.extensions = if good && verb != Verb::Helo {
                    extensions(&reply)
                } else {
                    Vec::new()
                };
            }
            Verb::Mail if good => self.accepted = 0,
            Verb::Rcpt if good => self.accepted += 1,
            Verb::Reset => self.accepted = 0,
            Verb::Data if reply.code == 354 => self.phase = Phase::Body(Stuffer::default()),
            Verb::StartTls if good => self.phase = Phase::TlsReady,
            Verb::Auth => {
                self.auth_answers.clear();
                self.auth_cancelled = false;
            }
            _ => {}
        }
        ClientEvent::Reply {
            command: verb.name(),
            index,
            reply,
        }
    }

    /// Answers a 334. False: the server goes on asking after we gave up.
    fn answer_challenge(&mut self) -> bool {
        match self.auth_answers.pop_front() {
            Some(answer) => sasl::encode(&answer, &mut self.output),
            None if self.auth_cancelled => return false,
            None => {
                self.auth_cancelled = true;
                self.output.push(b'*');
            }
        }
        self.output.extend_from_slice(b"\r\n");
        true
    }

    // ---- commands ------------------------------------------------------------------------------------------------

    fn plan(&mut self, verb: Verb, index: usize, line: Vec<u8>) {
        self.planned.push_back(Planned { verb, index, line });
        self.send();
    }

    /// Sends what may go now.
    fn send(&mut self) {
        while self.phase == Phase::Commands
            && let Some(next) = self.planned.front()
        {
            match self.awaited.back() {
                // Whatever came unasked would be taken for the reply to this command.
                None if !self.input.is_empty() || self.reader.inside() => {
                    return self.shut(PeerMisbehaved::Unsolicited.name());
                }
                None => {}
                Some(last) => {
                    let room = self.awaited.len() < IN_FLIGHT_MAX;
                    if !(room && last.verb.leads() && next.verb.follows() && self.announced("PIPELINING")) {
                        return;
                    }
                }
            }
            let Some(Planned { verb, index, line }) = self.planned.pop_front() else {
                return;
            };
            self.output.extend_from_slice(&line);
            self.output.extend_from_slice(b"\r\n");
            self.awaited.push_back(Awaited { verb, index });
        }
    }

    /// Commands may be given until the body begins, the handshake is due, or the connection is closed.
    fn open(&self, call: &'static str) -> Result<(), LocalMisuse> {
        // A closed connection is told by `next_event`; a command on it is no bug of the caller.
        match self.phase {
            Phase::Commands | Phase::Closed(_) => Ok(()),
            Phase::Body(_) | Phase::TlsReady => Err(self.misuse(call)),
        }
    }

    fn misuse(&self, call: &'static str) -> LocalMisuse {
        LocalMisuse::WrongState {
            call,
            state: self.state(),
        }
    }

    fn greet(&mut self, verb: Verb, call: &'static str, name: &str) -> Result<(), LocalMisuse> {
        self.open(call)?;
        if !chars::all(name.as_bytes(), chars::VCHAR) {
            return Err(LocalMisuse::BadValue { what: "name" });
        }
        self.plan(verb, 0, format!("{} {name}", verb.name()).into_bytes());
        Ok(())
    }

    /// EHLO, or LHLO in LMTP.
    pub fn hello(&mut self, name: &str) -> Result<(), LocalMisuse> {
        self.greet(if self.lmtp { Verb::Lhlo } else { Verb::Ehlo }, "hello", name)
    }

    /// HELO; not in LMTP.
    pub fn helo(&mut self, name: &str) -> Result<(), LocalMisuse> {
        if self.lmtp {
            return Err(self.misuse("helo"));
        }
        self.greet(Verb::Helo, "helo", name)
    }

    /// STARTTLS
    pub fn start_tls(&mut self) -> Result<(), LocalMisuse> {
        self.open("start_tls")?;
        self.plan(Verb::StartTls, 0, b"STARTTLS".to_vec());
        Ok(())
    }

    /// After the 220: may the handshake begin? The caller goes on with [`Self::after_tls`].
    pub fn begin_tls(&mut self) -> Result<Result<(), Injection>, LocalMisuse> {
        match self.phase {
            Phase::Closed(_) => return Ok(Err(Injection)),
            Phase::TlsReady => {}
            _ => return Err(self.misuse("begin_tls")),
        }
        if !self.input.is_empty() || self.reader.inside() {
            self.shut(PeerMisbehaved::StartTlsInjection.name());
            return Ok(Err(Injection));
        }
        Ok(Ok(()))
    }

    fn credentials(user: &str, password: &str) -> Result<(Credentials, Vec<u8>), LocalMisuse> {
        let credentials = Credentials {
            authorization: String::new(),
            user: user.to_string(),
            password: password.to_string(),
        };
        let message = sasl::plain::message(&credentials).ok_or(LocalMisuse::BadValue { what: "credentials" })?;
        Ok((credentials, message))
    }

    /// AUTH PLAIN (RFC 4616); the whole exchange gives one reply.
    pub fn auth_plain(&mut self, user: &str, password: &str) -> Result<(), LocalMisuse> {
        self.open("auth_plain")?;
        let (_, message) = Self::credentials(user, password)?;
        let mut line = b"AUTH PLAIN ".to_vec();
        sasl::encode(&message, &mut line);
        self.auth_answers.clear();
        if line.len() + 2 > COMMAND_OCTETS_MAX {
            line = b"AUTH PLAIN".to_vec();
            self.auth_answers.push_back(message);
        }
        self.plan(Verb::Auth, 0, line);
        Ok(())
    }

    /// AUTH LOGIN; the whole exchange gives one reply.
    pub fn auth_login(&mut self, user: &str, password: &str) -> Result<(), LocalMisuse> {
        self.open("auth_login")?;
        let (credentials, _) = Self::credentials(user, password)?;
        self.auth_answers = [credentials.user.into_bytes(), credentials.password.into_bytes()].into();
        self.plan(Verb::Auth, 0, b"AUTH LOGIN".to_vec());
        Ok(())
    }

    fn addressed(verb: Verb, word: &str, address: &str, parameters: &[&str]) -> Result<Vec<u8>, LocalMisuse> {
        let special = match verb {
            Verb::Mail => address.is_empty(),
            _ => address.eq_ignore_ascii_case("postmaster"),
        };
        if !special && address::mailbox(address.as_bytes(), Charset::Utf8).is_err() {
            return Err(LocalMisuse::BadValue { what: "address" });
        }
        let mut line = format!("{} {word}:<{address}>", verb.name()).into_bytes();
        for parameter in parameters {
            if !chars::all(parameter.as_bytes(), chars::VCHAR | chars::NON_ASCII) {
                return Err(LocalMisuse::BadValue { what: "parameter" });
            }
            line.push(b' ');
            line.extend_from_slice(parameter.as_bytes());
        }
        Ok(line)
    }

    /// MAIL; the address is empty for the null path. Parameters as they go on the wire: `SIZE=123`.
    pub fn mail(&mut self, address: &str, parameters: &[&str]) -> Result<(), LocalMisuse> {
        self.open("mail")?;
        let line = Self::addressed(Verb::Mail, "FROM", address, parameters)?;
        self.recipients = 0;
        self.plan(Verb::Mail, 0, line);
        Ok(())
    }

    /// RCPT
    pub fn rcpt(&mut self, address: &str, parameters: &[&str]) -> Result<(), LocalMisuse> {
        self.open("rcpt")?;
        let line = Self::addressed(Verb::Rcpt, "TO", address, parameters)?;
        let index = self.recipients;
        self.recipients = self.recipients.saturating_add(1);
        self.plan(Verb::Rcpt, index, line);
        Ok(())
    }

    /// DATA
    pub fn data(&mut self) -> Result<(), LocalMisuse> {
        self.open("data")?;
        self.plan(Verb::Data, 0, b"DATA".to_vec());
        Ok(())
    }

    /// Octets of the message after the 354, over any chunking. A bare CR or LF is misuse and is not sent.
    pub fn body(&mut self, chunk: &[u8]) -> Result<(), LocalMisuse> {
        match &mut self.phase {
            Phase::Body(stuffer) => stuffer
                .push(chunk, &mut self.output)
                .map_err(|_| LocalMisuse::BadValue {
                    what: "body: a CR or LF that is not part of CRLF",
                }),
            // Told by `next_event`; nothing can be sent any more.
            Phase::Closed(_) => Ok(()),
            _ => Err(self.misuse("body")),
        }
    }

    /// Ends the message; then one reply, in LMTP one for each accepted recipient (RFC 2033 §4.2).
    pub fn end_body(&mut self) -> Result<(), LocalMisuse> {
        match self.phase {
            Phase::Body(stuffer) => {
                stuffer.finish(&mut self.output).map_err(|_| LocalMisuse::BadValue {
                    what: "body: a CR or LF that is not part of CRLF",
                })?;
                if !self.input.is_empty() {
                    self.shut(PeerMisbehaved::Unsolicited.name());
                    return Ok(());
                }
                self.phase = Phase::Commands;
                let replies = if self.lmtp { self.accepted } else { 1 };
                self.awaited.extend((0..replies).map(|index| Awaited {
                    verb: Verb::Body,
                    index,
                }));
                self.accepted = 0;
                self.send();
                Ok(())
            }
            Phase::Closed(_) => Ok(()),
            _ => Err(self.misuse("end_body")),
        }
    }

    /// RSET
    pub fn reset(&mut self) -> Result<(), LocalMisuse> {
        self.open("reset")?;
        self.recipients = 0;
        self.plan(Verb::Reset, 0, b"RSET".to_vec());
        Ok(())
    }

    /// QUIT
    pub fn quit(&mut self) -> Result<(), LocalMisuse> {
        self.open("quit")?;
        self.plan(Verb::Quit, 0, b"QUIT".to_vec());
        Ok(())
    }
}

/// `ehlo-line = ehlo-keyword *( SP ehlo-param )` of all lines but the first (RFC 5321 §4.1.1.1); others are passed over.
fn extensions(reply: &Reply) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in reply.lines.iter().skip(1) {
        let (keyword, parameters) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        if found.len() >= EXTENSIONS_MAX || !chars::all(keyword.as_bytes(), chars::LDH) {
            continue;
        }
        let keyword = keyword.to_ascii_uppercase();
        if found.iter().all(|(name, _)| *name != keyword) {
            found.push((keyword, parameters.trim_start().to_string()));
        }
    }
    found
}
