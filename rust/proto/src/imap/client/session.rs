//! The client core: commands in flight, what answers them, and the message that is passing through.

use super::command::{Line, valid_items, valid_set};
use super::event::{ClientEvent, Condition, Selected};
use super::framer::{Framed, Framer};
use super::words::Words;
use super::{ELEMENTS_MAX, IN_FLIGHT_MAX, fetch, mailbox, search, status};
use crate::body::BodySink;
use crate::buffer::Buffer;
use crate::error::{LocalMisuse, PeerMisbehaved};
use crate::sasl;
use crate::smtp::server::Injection;
use crate::{Core, Next, chars};
use std::collections::VecDeque;

/// Which of the listing commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// LIST "" "*"
    All,
    /// LIST "" "*" RETURN (SPECIAL-USE) (RFC 6154 §5)
    SpecialUse,
    /// XLIST "" "*": Gmail's and others' forerunner of SPECIAL-USE.
    Xlist,
    /// LSUB "" "*"
    Subscribed,
}

/// A command that has not been sent yet.
struct Planned {
    tag: u32,
    name: &'static str,
    parts: VecDeque<Vec<u8>>,
    /// Neither behind nor before another: it waits to be asked, or changes what its followers mean.
    alone: bool,
    /// What to say when the server asks for more than there is.
    farewell: Option<Vec<u8>>,
}

/// Whose answer is awaited.
struct Awaited {
    tag: u32,
    name: &'static str,
    parts: VecDeque<Vec<u8>>,
    alone: bool,
    farewell: Option<Vec<u8>>,
}

/// The message that is passing through.
struct Body {
    remaining: u64,
    size: u64,
    digest: Box<blake3::Hasher>,
}

enum Phase {
    Greeting,
    Commands,
    Body(Body),
    /// STARTTLS was answered with OK: only the handshake may follow.
    TlsReady,
    Closed(&'static str),
}

/// Client side of one connection.
pub struct ImapClient {
    input: Buffer,
    output: Vec<u8>,
    framer: Framer,
    phase: Phase,
    planned: VecDeque<Planned>,
    awaited: VecDeque<Awaited>,
    tags: u32,
    eof: bool,
    response_octets_max: usize,
    capabilities: Vec<String>,
    selected: Selected,
}

impl Core for ImapClient {
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

impl ImapClient {
    /// A client that awaits the greeting. Of one response at most `response_octets_max` are kept, messages not counted.
    pub fn new(response_octets_max: usize) -> Self {
        Self {
            input: Buffer::new(),
            output: Vec::new(),
            framer: Framer::default(),
            phase: Phase::Greeting,
            planned: VecDeque::new(),
            awaited: VecDeque::new(),
            tags: 0,
            eof: false,
            response_octets_max,
            capabilities: Vec::new(),
            selected: Selected::default(),
        }
    }

    /// The core that goes on behind a TLS handshake: capabilities are forgotten, no greeting comes (RFC 9051 §6.2.1).
    pub fn after_tls(&self) -> Self {
        let mut client = Self::new(self.response_octets_max);
        client.phase = Phase::Commands;
        client.tags = self.tags;
        client
    }

    /// Name of the state, for logs and tests.
    pub fn state(&self) -> &'static str {
        match self.phase {
            Phase::Greeting => "greeting",
            Phase::Commands if self.awaited.is_empty() => "ready",
            Phase::Commands => "waiting",
            Phase::Body(_) => "body",
            Phase::TlsReady => "tls-ready",
            Phase::Closed(_) => "closed",
        }
    }

    /// In upper case; empty until the server has told them.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    /// Of the mailbox that was opened last.
    pub fn selected(&self) -> &Selected {
        &self.selected
    }

    // ---- events --------------------------------------------------------------------------------------------------

    /// The next event. Nothing is owed for any but `BodyReady`, which wants [`Self::feed`] or [`Self::discard_body`].
    pub fn next_event(&mut self) -> Next<ClientEvent> {
        loop {
            match &mut self.phase {
                Phase::Closed(reason) => return Next::Event(ClientEvent::Closed(reason)),
                Phase::TlsReady => return Next::Paused,
                Phase::Body(body) if body.remaining == 0 => {
                    let (size, digest) = (body.size, *body.digest.finalize().as_bytes());
                    self.phase = Phase::Commands;
                    return Next::Event(ClientEvent::BodyEnd { size, digest });
                }
                Phase::Body(_) if !self.input.is_empty() => return Next::Event(ClientEvent::BodyReady),
                Phase::Body(_) if self.eof => return self.close(PeerMisbehaved::Truncated.name()),
                Phase::Body(_) => return Next::NeedData,
                Phase::Greeting | Phase::Commands => {}
            }
            let event = match self.framer.next(&mut self.input, self.response_octets_max) {
                Err(fault) => return self.close(fault.name()),
                Ok(Framed::NeedData) if self.eof => {
                    let whole = self.awaited.is_empty() && self.input.is_empty() && !self.framer.inside();
                    return self.close(if whole { "eof" } else { PeerMisbehaved::Truncated.name() });
                }
                Ok(Framed::NeedData) => return Next::NeedData,
                Ok(Framed::Body { .. }) if matches!(self.phase, Phase::Greeting) => {
                    return self.close(PeerMisbehaved::Syntax.name());
                }
                Ok(Framed::Body { number, size }) => {
                    self.phase = Phase::Body(Body {
                        remaining: size,
                        size,
                        digest: Box::default(),
                    });
                    Ok(Some(ClientEvent::FetchBegin { number, size }))
                }
                Ok(Framed::Response(octets, streamed)) => self.response(&octets, streamed),
            };
            match event {
                Ok(Some(event)) => return Next::Event(event),
                Ok(None) => {}
                Err(fault) => return self.close(fault.name()),
            }
        }
    }

    fn close(&mut self, reason: &'static str) -> Next<ClientEvent> {
        self.phase = Phase::Closed(reason);
        self.input.clear();
        self.planned.clear();
        self.awaited.clear();
        Next::Event(ClientEvent::Closed(reason))
    }

    fn response(&mut self, octets: &[u8], streamed: Option<usize>) -> Result<Option<ClientEvent>, PeerMisbehaved> {
        let text = octets.trim_ascii_end();
        if matches!(self.phase, Phase::Greeting) {
            return self.greeting(text).map(Some);
        }
        if let Some(rest) = text.strip_prefix(b"*") {
            let words = Words::new(octets, streamed);
            return Ok(self.untagged(rest, words));
        }
        if text.first() == Some(&b'+') {
            return self.asked().map(|()| None);
        }
        if text.is_empty() {
            return Ok(None);
        }
        self.tagged(text).map(Some)
    }

    fn greeting(&mut self, text: &[u8]) -> Result<ClientEvent, PeerMisbehaved> {
        let rest = text
            .strip_prefix(b"*")
            .ok_or(PeerMisbehaved::Syntax)?
            .trim_ascii_start();
        let word = rest.split(|&octet| octet == b' ').next().unwrap_or_default();
        let status = status::named(word).ok_or(PeerMisbehaved::Syntax)?;
        if matches!(status, "NO" | "BAD") {
            return Err(PeerMisbehaved::Syntax);
        }
        let condition = status::condition(status, rest.get(word.len()..).unwrap_or_default());
        self.noted(&condition);
        self.phase = Phase::Commands;
        self.send();
        Ok(ClientEvent::Greeting(condition))
    }

    /// Keeps what codes say of the server and the mailbox.
    fn noted(&mut self, condition: &Condition) {
        let number = || condition.arguments.trim().parse::<u64>().ok();
        let small = || number().and_then(|number| u32::try_from(number).ok());
        match condition.code.as_str() {
            "CAPABILITY" => self.capabilities = status::capabilities(condition.arguments.as_bytes()),
            "UIDVALIDITY" => self.selected.uid_validity = small(),
            "UIDNEXT" => self.selected.uid_next = small(),
            "HIGHESTMODSEQ" => self.selected.highest_modseq = number(),
            "NOMODSEQ" => self.selected.highest_modseq = None,
            "READ-ONLY" => self.selected.read_only = true,
            "READ-WRITE" => self.selected.read_only = false,
            "PERMANENTFLAGS" => {
                if let Some(flags) = Words::new(condition.arguments.as_bytes(), None).names() {
                    self.selected.permanent_flags = flags;
                }
            }
            _ => {}
        }
    }

    fn untagged(&mut self, rest: &[u8], mut words: Words<'_>) -> Option<ClientEvent> {
        let odd = || Some(ClientEvent::Odd(status::words(rest)));
        words.eat(b'*');
        let Some(word) = words.keyword() else { return odd() };
        if let Some(status) = status::named(word.as_bytes()) {
            let condition = status::condition(status, words.rest());
            self.noted(&condition);
            return Some(ClientEvent::Notice(condition));
        }
        if word.bytes().all(|octet| octet.is_ascii_digit()) {
            return match (word.parse::<u32>(), words.keyword()) {
                (Ok(number), Some(what)) => match what.as_str() {
                    "EXISTS" => {
                        self.selected.exists = number;
                        None
                    }
                    "EXPUNGE" if number > 0 => {
                        self.selected.exists = self.selected.exists.saturating_sub(1);
                        Some(ClientEvent::Expunge(number))
                    }
                    "FETCH" => fetch::fetch(number, &mut words).map(ClientEvent::Fetch).or_else(odd),
                    "RECENT" => None,
                    _ => odd(),
                },
                _ => odd(),
            };
        }
        match word.as_str() {
            "CAPABILITY" => {
                self.capabilities = status::capabilities(words.rest());
                None
            }
            "FLAGS" => {
                self.selected.flags = words.names().unwrap_or_default();
                self.selected.flags.truncate(ELEMENTS_MAX);
                None
            }
            "LIST" => mailbox::list("LIST", &mut words).map(ClientEvent::List).or_else(odd),
            "LSUB" => mailbox::list("LSUB", &mut words).map(ClientEvent::List).or_else(odd),
            "XLIST" => mailbox::list("XLIST", &mut words).map(ClientEvent::List).or_else(odd),
            "STATUS" => mailbox::status(&mut words)
                .map(|(name, items)| ClientEvent::Status(name, items))
                .or_else(odd),
            "NAMESPACE" => mailbox::namespaces(&mut words)
                .map(|(own, others)| ClientEvent::Namespaces(own, others))
                .or_else(odd),
            "SEARCH" => search::search(&mut words).map(ClientEvent::Search).or_else(odd),
            "ESEARCH" => search::esearch(&mut words).map(ClientEvent::Search).or_else(odd),
            // Told by servers that were not asked: nothing that moving mail needs.
            "ID" | "ENABLED" | "VANISHED" => None,
            _ => odd(),
        }
    }

    /// `+`: the next part of the command, or the end of our patience with a SASL exchange.
    fn asked(&mut self) -> Result<(), PeerMisbehaved> {
        let awaited = self.awaited.front_mut().ok_or(PeerMisbehaved::Unsolicited)?;
        let part = awaited.parts.pop_front().or_else(|| awaited.farewell.take());
        let part = part.ok_or(PeerMisbehaved::Unsolicited)?;
        self.output.extend_from_slice(&part);
        self.output.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn tagged(&mut self, text: &[u8]) -> Result<ClientEvent, PeerMisbehaved> {
        let mut parts = text.splitn(3, |&octet| octet == b' ');
        let tag = parts.next().unwrap_or_default();
        let status = parts.next().and_then(status::named);
        let number = tag
            .strip_prefix(b"A")
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<u32>().ok());
        // Whatever else a server says under a tag that is none of ours cannot be told from an answer to another client.
        let index = number.and_then(|number| self.awaited.iter().position(|awaited| awaited.tag == number));
        let (Some(index), Some(status @ ("OK" | "NO" | "BAD"))) = (index, status) else {
            return Err(PeerMisbehaved::Unsolicited);
        };
        let awaited = self.awaited.remove(index).ok_or(PeerMisbehaved::Unsolicited)?;
        let condition = status::condition(status, parts.next().unwrap_or_default());
        self.noted(&condition);
        if awaited.name == "STARTTLS" && status == "OK" {
            self.phase = Phase::TlsReady;
        }
        self.send();
        Ok(ClientEvent::Done {
            tag: awaited.tag,
            command: awaited.name,
            condition,
        })
    }

    // ---- the message that passes ---------------------------------------------------------------------------------

    /// Moves what waits of the message into `sink`. False: the sink is full.
    pub fn feed(&mut self, sink: &mut dyn BodySink) -> Result<bool, LocalMisuse> {
        self.move_body("feed_sink", |octets| sink.push(octets))
    }

    /// Throws away what waits of the message.
    pub fn discard_body(&mut self) -> Result<(), LocalMisuse> {
        self.move_body("discard_body", <[u8]>::len).map(|_| ())
    }

    fn move_body(&mut self, call: &'static str, mut take: impl FnMut(&[u8]) -> usize) -> Result<bool, LocalMisuse> {
        let state = self.state();
        let Phase::Body(body) = &mut self.phase else {
            return Err(LocalMisuse::WrongState { call, state });
        };
        let wanted = usize::try_from(body.remaining)
            .unwrap_or(usize::MAX)
            .min(self.input.len());
        let offered = self.input.bytes().get(..wanted).unwrap_or_default();
        let mut taken = 0;
        while taken < wanted {
            let rest = offered.get(taken..).unwrap_or_default();
            let count = take(rest).min(rest.len());
            if count == 0 {
                break;
            }
            body.digest.update(rest.get(..count).unwrap_or_default());
            taken += count;
        }
        body.remaining -= taken as u64;
        self.input.consume(taken);
        Ok(taken == wanted)
    }

    // ---- commands ------------------------------------------------------------------------------------------------

    fn plan(&mut self, name: &'static str, line: Line, alone: bool, farewell: Option<Vec<u8>>) -> u32 {
        self.tags = self.tags.wrapping_add(1);
        let parts = line.into_parts();
        // A literal waits for the server's word; nothing may overtake it.
        let alone = alone || parts.len() > 1;
        self.planned.push_back(Planned {
            tag: self.tags,
            name,
            parts,
            alone,
            farewell,
        });
        self.send();
        self.tags
    }

    /// Sends what may go now.
    fn send(&mut self) {
        while matches!(self.phase, Phase::Commands | Phase::Body(_))
            && let Some(next) = self.planned.front()
        {
            let blocked = next.alone && !self.awaited.is_empty()
                || self.awaited.len() >= IN_FLIGHT_MAX
                || self.awaited.iter().any(|awaited| awaited.alone);
            if blocked {
                return;
            }
            let Some(Planned {
                tag,
                name,
                mut parts,
                alone,
                farewell,
            }) = self.planned.pop_front()
            else {
                return;
            };
            if matches!(name, "EXAMINE" | "SELECT") {
                self.selected = Selected::default();
            }
            self.output.extend_from_slice(format!("A{tag} ").as_bytes());
            self.output.extend_from_slice(&parts.pop_front().unwrap_or_default());
            self.output.extend_from_slice(b"\r\n");
            self.awaited.push_back(Awaited {
                tag,
                name,
                parts,
                alone,
                farewell,
            });
        }
    }

    fn simple(&mut self, name: &'static str) -> u32 {
        self.plan(name, Line::new(name), false, None)
    }

    /// CAPABILITY
    pub fn capability(&mut self) -> u32 {
        self.simple("CAPABILITY")
    }

    /// NOOP
    pub fn noop(&mut self) -> u32 {
        self.simple("NOOP")
    }

    /// NAMESPACE (RFC 2342)
    pub fn namespace(&mut self) -> u32 {
        self.simple("NAMESPACE")
    }

    /// LOGOUT
    pub fn logout(&mut self) -> u32 {
        self.simple("LOGOUT")
    }

    /// ID with our name (RFC 2971); some providers want it before they let anyone in.
    pub fn id(&mut self, name: &str, version: &str) -> Result<u32, LocalMisuse> {
        let line = Line::new("ID (\"name\"")
            .string(name.as_bytes(), "name")?
            .words("\"version\"")
            .string(version.as_bytes(), "version")?;
        let mut parts = line.into_parts();
        if parts.len() > 1 {
            return Err(LocalMisuse::BadValue { what: "name" });
        }
        let mut text = parts.pop_front().unwrap_or_default();
        text.push(b')');
        Ok(self.plan("ID", Line::new(&String::from_utf8_lossy(&text)), false, None))
    }

    /// STARTTLS; behind its OK comes [`Self::begin_tls`].
    pub fn start_tls(&mut self) -> u32 {
        self.plan("STARTTLS", Line::new("STARTTLS"), true, None)
    }

    /// May the handshake begin? The caller goes on with [`Self::after_tls`].
    pub fn begin_tls(&mut self) -> Result<Result<(), Injection>, LocalMisuse> {
        match self.phase {
            Phase::Closed(_) => return Ok(Err(Injection)),
            Phase::TlsReady => {}
            _ => {
                return Err(LocalMisuse::WrongState {
                    call: "begin_tls",
                    state: self.state(),
                });
            }
        }
        if !self.input.is_empty() || self.framer.inside() {
            self.close(PeerMisbehaved::StartTlsInjection.name());
            return Ok(Err(Injection));
        }
        Ok(Ok(()))
    }

    /// LOGIN
    pub fn login(&mut self, user: &str, password: &str) -> Result<u32, LocalMisuse> {
        let line = Line::new("LOGIN")
            .string(user.as_bytes(), "user")?
            .string(password.as_bytes(), "password")?;
        Ok(self.plan("LOGIN", line, true, None))
    }

    /// AUTHENTICATE with a mechanism whose client speaks once (PLAIN, XOAUTH2, OAUTHBEARER).
    ///
    /// The response goes with the command where the server knows SASL-IR (RFC 4959), else when it is asked for. Whatever
    /// the server asks beyond it is answered with `farewell` (`*` gives up).
    pub fn authenticate(&mut self, mechanism: &str, response: &[u8], farewell: &[u8]) -> Result<u32, LocalMisuse> {
        if mechanism.is_empty() || !chars::all(mechanism.as_bytes(), chars::SASL_MECHANISM) {
            return Err(LocalMisuse::BadValue { what: "mechanism" });
        }
        if memchr::memchr2(b'\r', b'\n', farewell).is_some() {
            return Err(LocalMisuse::BadValue { what: "farewell" });
        }
        let mut encoded = Vec::new();
        sasl::encode(response, &mut encoded);
        let mut line = Line::new("AUTHENTICATE").words(mechanism);
        line = if self.capabilities.iter().any(|name| name == "SASL-IR") {
            line.words(&String::from_utf8_lossy(&encoded))
        } else {
            line.when_asked(encoded)
        };
        Ok(self.plan("AUTHENTICATE", line, true, Some(farewell.to_vec())))
    }

    /// LIST, XLIST or LSUB of everything.
    pub fn list(&mut self, kind: ListKind) -> u32 {
        let (name, line) = match kind {
            ListKind::All => ("LIST", "LIST \"\" \"*\""),
            ListKind::SpecialUse => ("LIST", "LIST \"\" \"*\" RETURN (SPECIAL-USE)"),
            ListKind::Xlist => ("XLIST", "XLIST \"\" \"*\""),
            ListKind::Subscribed => ("LSUB", "LSUB \"\" \"*\""),
        };
        self.plan(name, Line::new(line), false, None)
    }

    /// STATUS of a mailbox by its name on the wire.
    pub fn status(&mut self, wire: &[u8], items: &str) -> Result<u32, LocalMisuse> {
        valid_items(items)?;
        let line = Line::new("STATUS")
            .string(wire, "mailbox")?
            .words(&format!("({items})"));
        Ok(self.plan("STATUS", line, false, None))
    }

    /// EXAMINE: opens a mailbox for reading. Goes alone, since message numbers change their meaning with it.
    pub fn examine(&mut self, wire: &[u8]) -> Result<u32, LocalMisuse> {
        let line = Line::new("EXAMINE").string(wire, "mailbox")?;
        Ok(self.plan("EXAMINE", line, true, None))
    }

    /// FETCH by message numbers, or by UIDs.
    pub fn fetch(&mut self, by_uid: bool, set: &str, items: &str) -> Result<u32, LocalMisuse> {
        valid_set(set)?;
        valid_items(items)?;
        let name = if by_uid { "UID FETCH" } else { "FETCH" };
        Ok(self.plan(name, Line::new(&format!("{name} {set} ({items})")), false, None))
    }

    /// UID SEARCH with keys of the program's own.
    pub fn search(&mut self, keys: &str) -> Result<u32, LocalMisuse> {
        valid_items(keys)?;
        Ok(self.plan("UID SEARCH", Line::new(&format!("UID SEARCH {keys}")), false, None))
    }
}
