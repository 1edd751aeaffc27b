//! The IMAP server core: octets in, one event at a time out, decisions in, octets out (RFC 9051, RFC 3501).
//!
//! A pipelined command waits until the one before it has been answered (RFC 9051 §5.5 lets us), so responses never
//! cross and a `+` can belong to one command only. The core sets no limit to what waits: the session stops reading
//! while [`ImapServer::backlog`] is high.

use super::append::{self, AppendTarget, End, Stretch};
use super::command::{self, Arguments, Command, Context};
use super::command_auth::decode_base64;
use super::command_url;
use super::event::{AppendBegin, Event, ImapBad};
use super::fault::{BadKind, Fault};
use super::framer::{Framed, Framer, LiteralHead, tag_of};
use super::lexer::Lexer;
use super::literal::Meter;
use super::mailbox_name::NameEncoding;
use super::response;
use super::response_quota;
use super::state::{Append, Phase, State, Step};
use crate::body::BodySink;
use crate::buffer::Buffer;
use crate::error::LocalMisuse;
use crate::{Core, Next};

const TOO_BIG: Fault = Fault::new(BadKind::TooBig, "the literal is too big");

/// Limits of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Octets of a command with its literals, message literals not counted.
    pub command_octets_max: usize,
    /// Octets of a message literal.
    pub append_octets_max: u64,
    /// Nesting of search keys; never more than 128.
    pub search_depth_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command_octets_max: 65_536,
            append_octets_max: 52_428_800,
            search_depth_max: 32,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct ImapServer {
    settings: Settings,
    state: State,
    framer: Framer,
    buffer: Buffer,
    pub(super) output: Vec<u8>,
    pub(super) encoding: NameEncoding,
    rev2: bool,
    utf8_accept: bool,
    meter: Meter,
    eof: bool,
}

impl Core for ImapServer {
    fn receive(&mut self, data: &[u8]) {
        if !matches!(self.state.step(), Step::Closed(_)) {
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

impl ImapServer {
    /// Before the greeting.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: State::new(),
            framer: Framer::new(settings.command_octets_max),
            buffer: Buffer::new(),
            output: Vec::new(),
            encoding: NameEncoding::ModifiedUtf7,
            rev2: false,
            utf8_accept: false,
            meter: Meter::default(),
            eof: false,
        }
    }

    /// Name of the state, for logs and tests.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.state.name()
    }

    /// Octets received and not yet consumed.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.buffer.len()
    }

    /// The tag of the AUTHENTICATE under way, else empty.
    #[must_use]
    pub fn auth_tag(&self) -> &str {
        self.state.auth_tag().unwrap_or_default()
    }

    // ---- events -------------------------------------------------------------------------------------------------

    /// The next event. Nothing but `Paused` comes while a decision or an answer is owed.
    pub fn next_event(&mut self) -> Next<Event> {
        match self.state.step() {
            Step::Greeting
            | Step::Answer { .. }
            | Step::BadAnswer { .. }
            | Step::AuthDecision { .. }
            | Step::AppendDecision(_) => Next::Paused,
            Step::Closed(reason) => Next::Event(Event::Closed(reason)),
            Step::AppendBody(append) => {
                if append.remaining == 0 {
                    self.state.append_body_given();
                    Next::Event(Event::BodyEnd(std::mem::take(&mut self.meter).finish()))
                } else if self.buffer.is_empty() {
                    self.need_data()
                } else {
                    Next::Event(Event::BodyReady)
                }
            }
            Step::Command | Step::AuthLine { .. } | Step::AppendTail(_) | Step::Idle { .. } => self.next_line(),
        }
    }

    fn need_data(&mut self) -> Next<Event> {
        if self.eof {
            self.close("eof");
            return Next::Event(Event::Closed("eof"));
        }
        Next::NeedData
    }

    fn close(&mut self, reason: &'static str) {
        self.state.close(reason);
        self.buffer.clear();
    }

    fn next_line(&mut self) -> Next<Event> {
        loop {
            let event = match self.framer.advance(&mut self.buffer) {
                Framed::NeedData => return self.need_data(),
                Framed::Bad((tag, fault)) => Some(self.bad(tag, fault)),
                Framed::Literal(head, literal) => self.literal(head, literal),
                Framed::Command(length) => {
                    let line = self.buffer.take(length);
                    Some(self.line(&line))
                }
            };
            if let Some(event) = event {
                return Next::Event(event);
            }
        }
    }

    /// A malformed line; within an exchange it takes that one's tag, and ends it.
    fn bad(&mut self, tag: Option<String>, fault: Fault) -> Event {
        let (tag, fault) = match self.state.step() {
            Step::AuthLine { tag } => (Some(tag.clone()), Fault::new(BadKind::Base64, "malformed base64")),
            Step::AppendTail(append) => (Some(append.tag.clone()), fault),
            Step::Idle { tag } => (Some(tag.clone()), Fault::new(BadKind::IdleMisuse, "expected DONE")),
            _ => (tag, fault),
        };
        self.state.bad_given(tag.clone());
        Event::Bad(ImapBad::new(tag, fault))
    }

    /// A complete line or command.
    fn line(&mut self, line: &[u8]) -> Event {
        let content = line.strip_suffix(b"\r\n").unwrap_or(line);
        match self.state.step() {
            Step::AuthLine { tag } => {
                let tag = tag.clone();
                if content == b"*" {
                    self.state.auth_given(tag);
                    return Event::AuthResponse(None);
                }
                match decode_base64(content) {
                    Ok(data) => {
                        self.state.auth_given(tag);
                        Event::AuthResponse(Some(data))
                    }
                    Err(fault) => self.bad(None, fault),
                }
            }
            Step::Idle { .. } if content.eq_ignore_ascii_case(b"DONE") => {
                self.state.idle_done_given();
                Event::IdleDone
            }
            Step::Idle { .. } => self.bad(None, Fault::syntax("expected DONE")),
            Step::AppendTail(append) => {
                let append = append.clone();
                self.append_end(line, append)
            }
            _ => self.command(line),
        }
    }

    /// The end of the line behind the last literal of a message.
    fn append_end(&mut self, line: &[u8], append: Append) -> Event {
        let stretch = append::stretch(&mut Lexer::new(line), append.resume, append.target.replaces.is_some());
        match stretch {
            Ok(Stretch { parts, end: End::Line }) => {
                self.state.command_given(append.tag.clone(), append.name);
                Event::Command(Command {
                    tag: append.tag,
                    name: append.name,
                    arguments: Arguments::Append {
                        target: append.target,
                        parts,
                    },
                })
            }
            Ok(_) => self.bad(None, Fault::syntax("a message literal is needed")),
            Err(fault) => self.bad(None, fault),
        }
    }

    fn context(&self) -> Context {
        Context {
            encoding: self.encoding,
            search_depth_max: self.settings.search_depth_max,
            rev2: self.rev2,
            utf8_accept: self.utf8_accept,
        }
    }

    /// Is it a command whose values may hold NUL (RFC 5464 §5)? The lexer refuses it everywhere else.
    fn takes_literal8(&self, line: &[u8]) -> bool {
        command::identify(&mut Lexer::new(line), self.state.phase()).is_ok_and(|(_, row)| row.name == "SETMETADATA")
    }

    fn command(&mut self, line: &[u8]) -> Event {
        let parsed = if memchr::memchr(0, line).is_some() && !self.takes_literal8(line) {
            Err(Fault::new(BadKind::Nul, "NUL in a command"))
        } else {
            command::parse(line, self.state.phase(), &self.context())
        };
        match parsed {
            Err(fault) => self.bad(tag_of(line), fault),
            Ok(Command {
                tag,
                arguments: Arguments::Authenticate { mechanism, initial },
                ..
            }) => {
                self.state.auth_given(tag);
                Event::AuthBegin { mechanism, initial }
            }
            Ok(command) if command.name == "STARTTLS" && !self.buffer.is_empty() => {
                // CVE-2011-0411: what was sent in plaintext behind STARTTLS must never be taken for protected.
                self.close("starttls-injection");
                Event::Closed("starttls-injection")
            }
            Ok(command) => {
                self.state.command_given(command.tag.clone(), command.name);
                Event::Command(command)
            }
        }
    }

    // ---- literals -----------------------------------------------------------------------------------------------

    /// A literal is announced at the end of the first `head` octets: take it, hand it over, or refuse it at once.
    fn literal(&mut self, head: usize, literal: LiteralHead) -> Option<Event> {
        match self.judge_literal(head, literal) {
            Ok(None) => {
                if literal.synchronising {
                    self.output.extend_from_slice(b"+ Ready\r\n");
                }
                self.framer.take_literal(head, literal.length);
                None
            }
            Ok(Some(begin)) => {
                self.buffer.consume(head);
                self.buffer.set_scanned(0);
                self.framer.restart();
                self.meter = Meter::default();
                Some(Event::AppendBegin(begin))
            }
            Err(fault) => {
                let tag = tag_of(self.buffer.bytes());
                let report = self
                    .framer
                    .refuse_literal(&mut self.buffer, head, literal, (tag, fault));
                report.map(|(tag, fault)| self.bad(tag, fault))
            }
        }
    }

    /// Looks at what has come of the command, so that nothing is asked for that would be refused anyway.
    fn judge_literal(&mut self, head: usize, literal: LiteralHead) -> Result<Option<AppendBegin>, Fault> {
        let begun = self.buffer.bytes().get(..head).unwrap_or_default();
        if let Step::AppendTail(append) = self.state.step() {
            // RFC 3502 §6.3.11: behind one message another may follow.
            let single = append.target.replaces.is_some();
            let stretch = append::stretch(&mut Lexer::new(begun), append.resume, single)?;
            let (tag, name, target) = (append.tag.clone(), append.name, append.target.clone());
            return self.append_begin(tag, name, target, stretch, head, literal);
        }
        if *self.state.step() != Step::Command {
            return Err(Fault::syntax("no literal is expected here"));
        }
        // Only the first words, however many literals a command has: the whole is read once, at its end.
        let mut lexer = Lexer::new(begun);
        let (tag, row) = command::identify(&mut lexer, self.state.phase())?;
        if matches!(row.name, "APPEND" | "REPLACE" | "UID REPLACE")
            && let Some((target, stretch)) = append::head(&mut lexer, &self.context(), row.name)?
        {
            let tag = tag.to_owned();
            return self.append_begin(tag, row.name, target, stretch, head, literal);
        }
        if row.name == "SETMETADATA" {
            // Its values may be literal8 (RFC 5464 §5).
            let binary = false;
            return self.judge_inline(head, LiteralHead { binary, ..literal });
        }
        self.judge_inline(head, literal)
    }

    /// A literal that is a name or other text within the command: it is read with the rest of it.
    fn judge_inline(&self, head: usize, literal: LiteralHead) -> Result<Option<AppendBegin>, Fault> {
        if literal.binary {
            return Err(Fault::syntax("no literal8 is expected here"));
        }
        if self.framer.fits(head, literal.length) {
            Ok(None)
        } else {
            Err(TOO_BIG)
        }
    }

    /// A stretch of an APPEND ends with a literal. `None`: it is a URL, not of a message.
    fn append_begin(
        &mut self,
        tag: String,
        name: &'static str,
        target: AppendTarget,
        stretch: Stretch,
        head: usize,
        literal: LiteralHead,
    ) -> Result<Option<AppendBegin>, Fault> {
        let End::Literal(resume) = stretch.end else {
            return self.judge_inline(head, literal);
        };
        if literal.length > self.settings.append_octets_max {
            return Err(TOO_BIG);
        }
        self.state.append_given(Append {
            tag: tag.clone(),
            name,
            target: target.clone(),
            remaining: literal.length,
            synchronising: literal.synchronising,
            resume,
        });
        Ok(Some(AppendBegin {
            tag,
            name,
            target,
            parts: stretch.parts,
            size: literal.length,
            synchronising: literal.synchronising,
            binary: literal.binary,
        }))
    }

    /// Lets the message literal come.
    pub fn accept_literal(&mut self) -> Result<(), LocalMisuse> {
        if self.state.literal_accepted()? {
            self.output.extend_from_slice(b"+ Ready\r\n");
        }
        Ok(())
    }

    /// NO or BAD to the APPEND; a literal that comes without waiting is thrown away with the rest of its command.
    pub fn refuse_literal(&mut self, status: &str, code: &str, text: &str) -> Result<(), LocalMisuse> {
        let Step::AppendDecision(append) = self.state.step() else {
            return Err(LocalMisuse::WrongState {
                call: "refuse_literal",
                state: self.state.name(),
            });
        };
        let tag = append.tag.clone();
        self.respond(&tag, status, code, text)
    }

    /// Moves what waits of the message into `sink`. False: the sink is full.
    pub fn feed(&mut self, sink: &mut dyn BodySink) -> Result<bool, LocalMisuse> {
        self.move_body("feed_sink", |octets| sink.push(octets))
    }

    /// Throws away what waits of the message.
    pub fn discard_body(&mut self) -> Result<(), LocalMisuse> {
        self.move_body("discard_body", <[u8]>::len).map(|_| ())
    }

    fn move_body(&mut self, call: &'static str, mut take: impl FnMut(&[u8]) -> usize) -> Result<bool, LocalMisuse> {
        let name = self.state.name();
        let append = self
            .state
            .append_body()
            .ok_or(LocalMisuse::WrongState { call, state: name })?;
        let waiting = self.buffer.bytes();
        let wanted = usize::try_from(append.remaining)
            .unwrap_or(usize::MAX)
            .min(waiting.len());
        let offered = waiting.get(..wanted).unwrap_or_default();
        let mut taken = 0;
        while taken < wanted {
            let rest = offered.get(taken..).unwrap_or_default();
            let count = take(rest).min(rest.len());
            if count == 0 {
                break;
            }
            self.meter.update(rest.get(..count).unwrap_or_default());
            taken += count;
        }
        append.remaining -= taken as u64;
        self.buffer.consume(taken);
        Ok(taken == wanted)
    }

    // ---- answers ------------------------------------------------------------------------------------------------

    /// The greeting: OK, PREAUTH or BYE (RFC 9051 §7.1). Must come first.
    pub fn greet(&mut self, status: &str, code: &str, text: &str) -> Result<(), LocalMisuse> {
        let phase = match status {
            "OK" => Phase::NotAuthenticated,
            "PREAUTH" => Phase::Authenticated,
            "BYE" => Phase::Logout,
            _ => return Err(LocalMisuse::BadValue { what: "status" }),
        };
        let written = self.output.len();
        response::status(&mut self.output, "*", status, code, text, self.encoding)?;
        self.state.greeted(phase).inspect_err(|_| self.output.truncate(written))
    }

    /// A status response. A tag must be the one that is owed an answer; the next command then may come.
    ///
    /// Something malformed whose tag could not be read is answered with `*` and NO or BAD.
    pub fn respond(&mut self, tag: &str, status: &str, code: &str, text: &str) -> Result<(), LocalMisuse> {
        let tagged = (tag != "*").then_some(tag);
        self.state.check_answer(tagged)?;
        response::status(&mut self.output, tag, status, code, text, self.encoding)?;
        let answers = tagged.is_some() || matches!(status, "NO" | "BAD");
        if answers
            && let Some(append) = self.state.answered(tagged)
            && !append.synchronising
        {
            self.framer.discard_literal(append.remaining);
        }
        Ok(())
    }

    /// `* line` of atoms and numbers.
    pub fn untagged(&mut self, line: &str) -> Result<(), LocalMisuse> {
        response::untagged(&mut self.output, line)
    }

    /// A LIST or LSUB line.
    pub fn untagged_list<Attribute: AsRef<str>>(
        &mut self,
        name: &str,
        attributes: &[Attribute],
        mailbox: &str,
        extended: &str,
    ) -> Result<(), LocalMisuse> {
        response::list(&mut self.output, name, attributes, mailbox, extended, self.encoding)
    }

    /// A STATUS line.
    pub fn untagged_status<Item: AsRef<str>, Value: Clone + Into<response::StatusValue>>(
        &mut self,
        mailbox: &str,
        items: &[(Item, Value)],
    ) -> Result<(), LocalMisuse> {
        response::mailbox_status(&mut self.output, mailbox, items, self.encoding)
    }

    /// A QUOTA line: resources with usage and limit.
    pub fn untagged_quota<Name: AsRef<str>>(
        &mut self,
        root: &str,
        resources: &[(Name, u64, u64)],
    ) -> Result<(), LocalMisuse> {
        response_quota::quota(&mut self.output, root, resources)
    }

    /// A QUOTAROOT line.
    pub fn untagged_quota_root<Root: AsRef<str>>(&mut self, mailbox: &str, roots: &[Root]) -> Result<(), LocalMisuse> {
        response_quota::quota_root(&mut self.output, mailbox, roots, self.encoding)
    }

    /// A GENURLAUTH line.
    pub fn untagged_genurlauth<Url: AsRef<str>>(&mut self, urls: &[Url]) -> Result<(), LocalMisuse> {
        command_url::write_urls(&mut self.output, urls)
    }

    /// The beginning of a URLFETCH line: so many octets and CRLF follow by [`Self::append_output`]. `None`: NIL, nothing follows.
    pub fn untagged_urlfetch(&mut self, url: &str, octets: Option<u64>) -> Result<(), LocalMisuse> {
        command_url::write_fetched(&mut self.output, url, octets)
    }

    /// An ID line.
    pub fn untagged_id<Text: AsRef<str>>(&mut self, fields: &[(Text, Text)]) {
        response::id(&mut self.output, fields);
    }

    /// Complete response lines that the store has rendered.
    pub fn append_output(&mut self, rendered: &[u8]) {
        self.output.extend_from_slice(rendered);
    }

    /// `+ text`.
    pub fn continue_(&mut self, text: &str) -> Result<(), LocalMisuse> {
        self.state.check_continue()?;
        response::continuation(&mut self.output, text)
    }

    /// A SASL challenge; one line of base64 may then come.
    pub fn auth_challenge(&mut self, data: &[u8]) -> Result<(), LocalMisuse> {
        self.state.challenged()?;
        response::challenge(&mut self.output, data);
        Ok(())
    }

    // ---- changes of state -----------------------------------------------------------------------------------------

    /// Login succeeded; the tagged OK is given apart.
    pub fn authenticated(&mut self) -> Result<(), LocalMisuse> {
        self.state.authenticated()
    }

    /// UNAUTHENTICATE succeeded: everything is as before login and nothing is enabled (RFC 8437 §2); the tagged OK is given
    /// apart.
    pub fn unauthenticated(&mut self) -> Result<(), LocalMisuse> {
        self.state.unauthenticated()?;
        self.encoding = NameEncoding::ModifiedUtf7;
        self.rev2 = false;
        self.utf8_accept = false;
        Ok(())
    }

    /// A mailbox is selected.
    pub fn selected(&mut self, _read_only: bool) -> Result<(), LocalMisuse> {
        self.state.selected()
    }

    /// No mailbox is selected any more.
    pub fn unselected(&mut self) -> Result<(), LocalMisuse> {
        self.state.unselected()
    }

    /// After `continue_` to IDLE: only DONE may come.
    pub fn begin_idle(&mut self) -> Result<(), LocalMisuse> {
        self.state.idle_begun()
    }

    /// Nothing more is read; what waits to be sent stays.
    pub fn logout(&mut self) {
        self.state.logged_out();
        self.buffer.clear();
    }

    /// The tagged OK to STARTTLS, and the core for the connection behind the handshake, where no greeting comes
    /// (RFC 9051 §6.2.1). `None` when plaintext lies behind the command: the next event is then
    /// `Closed("starttls-injection")` and nothing is sent.
    pub fn start_tls(&mut self, tag: &str, text: &str) -> Result<Option<Self>, LocalMisuse> {
        if self.state.check_start_tls()? != tag {
            return Err(LocalMisuse::BadValue { what: "tag" });
        }
        if !self.buffer.is_empty() {
            self.close("starttls-injection");
            return Ok(None);
        }
        self.respond(tag, "OK", "", text)?;
        let mut fresh = Self::new(self.settings);
        fresh.state.tls_started();
        Ok(Some(fresh))
    }

    /// UTF8=ACCEPT is enabled (RFC 6855 §3): names go both ways as UTF-8.
    pub fn enable_utf8(&mut self) {
        self.encoding = NameEncoding::Utf8;
        self.utf8_accept = true;
    }

    /// IMAP4rev2 is enabled: it implies UTF-8 (RFC 9051 §6.3.1).
    pub fn enable_rev2(&mut self) {
        self.encoding = NameEncoding::Utf8;
        self.rev2 = true;
    }
}
