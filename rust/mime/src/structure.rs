//! The part tree as one flat table of ranges; depth and count limits.
//!
//! One pass over the message, a stack instead of recursion. Line ends may be CRLF or LF; the line end before a boundary
//! line belongs to the boundary (RFC 2046 §5.1.1). Parts stand in the order of their headers, so that the parts within
//! a part follow it.
use std::ops::Range;

use memchr::memmem;

use crate::headers::{self, is_empty_line, is_white};
use crate::octets::{Octets, append, count_lines, line_end, slice, without_line_end};
use crate::params::{self, ContentType};
use crate::transfer::TransferEncoding;

/// What a message may make us keep; beyond a bound the rest is opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Parts in all, the message itself included; the last one takes the rest of the message.
    pub parts_max: u32,
    /// Multiparts and messages within one another; deeper ones are opaque leaves.
    pub depth_max: u32,
    /// Octets of one header section that are searched for Content fields.
    pub header_octets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parts_max: 10_000,
            depth_max: 100,
            header_octets_max: 1 << 20,
        }
    }
}

/// What a part's body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// Octets.
    Leaf,
    /// A multipart or message that a limit keeps us from looking into.
    Opaque,
    /// Parts between boundaries; none if there is no boundary.
    Multipart,
    /// message/rfc822 or message/global: exactly one part, the embedded message.
    Message,
}

/// One part: the message itself, a body part, or an embedded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the body is made of.
    pub kind: PartKind,
    /// The header section, its empty line included.
    pub header: Range<usize>,
    /// The body, for containers with everything in it.
    pub body: Range<usize>,
    /// LF octets in the body; a last line without one does not count.
    pub lines: usize,
    /// The encoding of the body; identity where the Content fields do not count.
    pub encoding: TransferEncoding,
    /// True when the Content fields count: within a multipart, or with Content-Type or MIME-Version (RFC 2045 §4).
    pub is_mime: bool,
    /// Index of the first part after this one that is not within it.
    pub next: usize,
}

/// The part tree of one message: ranges relative to the message's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    pub(crate) parts: Vec<Part>,
}

impl Structure {
    /// Reads a message once. Never fails: beyond a limit the rest is an opaque leaf.
    ///
    /// message/rfc822 is looked into whatever its Content-Transfer-Encoding says: an encoded one is illegal
    /// (RFC 2046 §5.2.1), yet BODYSTRUCTURE has no other form for it than that of an embedded message.
    #[must_use]
    pub fn parse(mut message: &[u8], limits: &Limits) -> Self {
        Self::read(&mut message, limits)
    }

    /// As [`Self::parse`], of a message that need not be in memory: what is kept of it is bounded by the limits.
    ///
    /// When the source fails on the way the table is of no use; the source knows.
    #[must_use]
    pub fn read<O: Octets + ?Sized>(message: &mut O, limits: &Limits) -> Self {
        let mut parser = Parser {
            message,
            limits,
            parts: Vec::new(),
            stack: Vec::new(),
            open: Vec::new(),
            counted_to: 0,
            counted: 0,
            dashes: memmem::Finder::new(LINE_WITH_DASHES),
            spare: Vec::new(),
        };
        parser.run();
        Self { parts: parser.parts }
    }

    /// The header sections alone, with the table that describes them: ENVELOPE, BODY and BODYSTRUCTURE are made of these
    /// as of the message itself. Of a section the first `section_max` octets are taken, of all `all_max`.
    pub fn headers<O: Octets + ?Sized>(&self, message: &mut O, section_max: usize, all_max: usize) -> Headers {
        let mut headers = Headers {
            octets: Vec::new(),
            structure: self.clone(),
            is_whole: true,
        };
        for part in &mut headers.structure.parts {
            let start = headers.octets.len();
            let length = part.header.len().min(section_max).min(all_max.saturating_sub(start));
            headers.is_whole &= length == part.header.len();
            append(
                message,
                part.header.start..part.header.start + length,
                &mut headers.octets,
            );
            part.header = start..headers.octets.len();
        }
        headers
    }

    /// Octets of the message's header section, the empty line included.
    #[must_use]
    pub fn header_len(&self) -> usize {
        self.root().header.end
    }

    /// Octets of the whole message that was parsed.
    #[must_use]
    pub fn message_len(&self) -> usize {
        self.root().body.end
    }

    /// All parts, the message itself first, each container before what it contains.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Indices of the parts directly within a part, in order.
    pub fn children(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        let end = self.parts.get(index).map_or(0, |part| part.next);
        std::iter::successors(Some(index + 1), |&child| self.parts.get(child).map(|part| part.next))
            .take_while(move |&child| child < end)
    }

    /// The message itself. A table always has it.
    pub(crate) fn root(&self) -> &Part {
        &self.parts[0]
    }
}

/// The header sections of a message one after another ([`Structure::headers`]).
#[derive(Debug)]
pub struct Headers {
    /// Their octets.
    pub octets: Vec<u8>,
    /// The message's table, whose header ranges are those of `octets`; the ranges of bodies stay as they were.
    pub structure: Structure,
    /// False when a limit has cut one.
    pub is_whole: bool,
}

/// What the Content fields of a header section say.
#[derive(Default)]
struct Content {
    has_type: bool,
    has_mime_version: bool,
    kind: Option<ContentType>,
    encoding: Option<TransferEncoding>,
}

/// Where a header section ends.
enum HeaderEnd {
    /// After an empty line, or at the end of the message.
    Body(usize),
    /// At a boundary line of a multipart around it.
    Boundary(Hit),
}

/// A boundary line.
struct Hit {
    /// Index among the open multiparts.
    open: usize,
    is_closing: bool,
    /// Where the line begins.
    line: usize,
    /// Where the next line begins.
    after: usize,
}

/// A multipart whose boundary is looked for.
struct Open {
    part: usize,
    boundary: Vec<u8>,
    is_digest: bool,
}

/// The beginning of a boundary line, with the end of the line before it.
const LINE_WITH_DASHES: &[u8] = b"\n--";

struct Parser<'a, O: Octets + ?Sized> {
    message: &'a mut O,
    limits: &'a Limits,
    parts: Vec<Part>,
    /// Parts that have begun and not ended, each within the one before it.
    stack: Vec<usize>,
    open: Vec<Open>,
    /// LF octets before `counted_to`; positions are asked for in rising order, but for a line end.
    counted_to: usize,
    counted: usize,
    dashes: memmem::Finder<'static>,
    /// For octets that are not at hand in one piece.
    spare: Vec<u8>,
}

/// What comes next.
enum State {
    Header(usize),
    Body(usize),
    Hit(Hit),
}

impl<O: Octets + ?Sized> Parser<'_, O> {
    fn run(&mut self) {
        self.begin(0, false);
        let mut state = State::Header(0);
        loop {
            state = match state {
                State::Header(at) => self.header(at),
                State::Body(at) => match self.find_boundary(at) {
                    Some(hit) => State::Hit(hit),
                    None => break,
                },
                State::Hit(hit) => {
                    if !hit.is_closing && self.parts.len() >= self.limits.parts_max as usize {
                        break;
                    }
                    self.boundary(&hit)
                }
            };
        }
        let end = self.message.size();
        self.finish(0, end);
    }

    /// LF octets before a position.
    fn lines_before(&mut self, at: usize) -> usize {
        if at < self.counted_to {
            // Only ever back over the one line end that a boundary takes.
            return self.counted - count_lines(self.message, at..self.counted_to);
        }
        self.counted += count_lines(self.message, self.counted_to..at);
        self.counted_to = at;
        self.counted
    }

    fn begin(&mut self, at: usize, is_mime: bool) {
        self.stack.push(self.parts.len());
        self.parts.push(Part {
            kind: PartKind::Leaf,
            header: at..at,
            body: at..at,
            lines: 0,
            encoding: TransferEncoding::Identity,
            is_mime,
            next: 0,
        });
    }

    /// Ends the parts above a stack depth.
    fn finish(&mut self, depth: usize, end: usize) {
        let lines = self.lines_before(end);
        let next = self.parts.len();
        for index in self.stack.drain(depth..) {
            let part = &mut self.parts[index];
            // An empty line directly before a boundary is the boundary's (RFC 2046 §5.1.1, `delimiter`).
            part.header.end = part.header.end.min(end);
            part.body = part.body.start.min(end)..end;
            // `lines` has held the count at the body's start until now.
            part.lines = lines.saturating_sub(part.lines);
            part.next = next;
        }
    }

    /// Reads the header section of the part begun last and decides what its body is.
    fn header(&mut self, at: usize) -> State {
        let (content, end) = self.read_header(at);
        let body = match &end {
            HeaderEnd::Body(body) => *body,
            // The line end before the boundary is the boundary's, unless the header is empty.
            HeaderEnd::Boundary(hit) if hit.line == at => at,
            HeaderEnd::Boundary(hit) => self.before_line_end(hit.line),
        };
        let lines = self.lines_before(body);
        let Some(&index) = self.stack.last() else {
            return State::Body(body);
        };
        let in_digest = self.stack.len() >= 2
            && self
                .open
                .last()
                .is_some_and(|open| open.is_digest && open.part == self.stack[self.stack.len() - 2]);
        let part = &mut self.parts[index];
        part.header.end = body;
        part.body = body..body;
        part.lines = lines;
        part.is_mime |= content.has_type || content.has_mime_version;
        if part.is_mime {
            part.encoding = content.encoding.unwrap_or(TransferEncoding::Identity);
        }
        let depth_is_left = self.stack.len() < self.limits.depth_max as usize;
        let part_is_left = self.parts.len() < self.limits.parts_max as usize;
        let part = &mut self.parts[index];
        let is_message = match &content.kind {
            Some(kind) => is_message(kind),
            // RFC 2046 §5.1.5: within a digest the default is message/rfc822.
            None => in_digest && !content.has_type,
        };
        let is_multipart = content
            .kind
            .as_ref()
            .is_some_and(|kind| kind.main.eq_ignore_ascii_case(b"multipart"));
        if (is_message || is_multipart) && !(depth_is_left && part_is_left) {
            part.kind = PartKind::Opaque;
        } else if is_message {
            part.kind = PartKind::Message;
            self.begin(body, false);
            return State::Header(body);
        } else if let Some(kind) = content.kind.filter(|_| is_multipart) {
            part.kind = PartKind::Multipart;
            let boundary = kind.param(b"boundary").unwrap_or_default();
            // A header cut short by a boundary line has no body to look into.
            if !boundary.is_empty() && matches!(end, HeaderEnd::Body(_)) {
                let is_digest = kind.sub.eq_ignore_ascii_case(b"digest");
                self.open.push(Open {
                    part: index,
                    boundary: boundary.to_vec(),
                    is_digest,
                });
            }
        }
        match end {
            HeaderEnd::Body(body) => State::Body(body),
            HeaderEnd::Boundary(hit) => State::Hit(hit),
        }
    }

    /// Reads header lines up to the empty line, a boundary line or the end of the message.
    fn read_header(&mut self, start: usize) -> (Content, HeaderEnd) {
        let mut content = Content::default();
        let size = self.message.size();
        let limit = start.saturating_add(self.limits.header_octets_max);
        let mut at = start;
        while at < size {
            if let Some(hit) = self.boundary_at(at) {
                return (content, HeaderEnd::Boundary(hit));
            }
            let mut end = line_end(self.message, at);
            let line = self.message.at(at);
            if is_empty_line(&line[..line.len().min(end - at)]) {
                return (content, HeaderEnd::Body(end));
            }
            let may_be_content = line
                .first()
                .is_some_and(|octet| matches!(octet, b'c' | b'C' | b'm' | b'M'));
            while self.message.at(end).first().is_some_and(|&octet| is_white(octet)) {
                end = line_end(self.message, end);
            }
            if at < limit && may_be_content {
                content.take(slice(self.message, at..end.min(limit), &mut self.spare));
            }
            at = end;
        }
        (content, HeaderEnd::Body(size))
    }

    /// The position before the line end that precedes a line.
    fn before_line_end(&mut self, line: usize) -> usize {
        without_line_end(self.message, 0, line)
    }

    /// Looks for the next boundary line from the start of a line on.
    fn find_boundary(&mut self, at: usize) -> Option<Hit> {
        if self.open.is_empty() {
            return None;
        }
        let mut hit = self.boundary_at(at);
        let mut from = at;
        while hit.is_none() {
            let line = self.find_dashes(from)?;
            hit = self.boundary_at(line);
            from = line;
        }
        hit
    }

    /// The next line that begins with `--`, of those after the one that holds a position.
    fn find_dashes(&mut self, mut from: usize) -> Option<usize> {
        /// A match may begin in one piece and end in the next.
        const SEAM: usize = LINE_WITH_DASHES.len() - 1;
        loop {
            let piece = self.message.at(from);
            if piece.len() <= SEAM {
                return None;
            }
            if let Some(offset) = self.dashes.find(piece) {
                return Some(from + offset + 1);
            }
            from += piece.len() - SEAM;
        }
    }

    /// The boundary line that begins here, if one does.
    ///
    /// RFC 2046 §5.1.1 compares only the beginning of the line; where several open boundaries match the longest is
    /// meant, among equals the innermost. A line that is exactly one of them, closing dashes aside, is that one.
    fn boundary_at(&mut self, line: usize) -> Option<Hit> {
        if self.open.is_empty() || !self.message.at(line).starts_with(b"--") {
            return None;
        }
        let after = line_end(self.message, line);
        crate::work::note(after - line);
        let start = line + 2;
        let length = without_line_end(self.message, start, after) - start;
        // The longest boundary and closing dashes are all that is looked at, however long the line is.
        let longest = self.open.iter().map(|open| open.boundary.len()).max().unwrap_or(0);
        let shown = length.min(longest + 2);
        let text = slice(self.message, start..start + shown, &mut self.spare);
        let stem = if shown == length {
            text.strip_suffix(b"--").unwrap_or(text).len()
        } else {
            length
        };
        let mut best: Option<(usize, usize)> = None;
        for (index, open) in self.open.iter().enumerate().rev() {
            let octets = open.boundary.len();
            crate::work::note(1);
            if best.is_none_or(|(_, longest)| octets > longest) && text.starts_with(&open.boundary) {
                best = Some((index, octets));
                if octets == length || octets == stem {
                    break;
                }
            }
        }
        let (open, octets) = best?;
        Some(Hit {
            open,
            is_closing: text[octets..].starts_with(b"--"),
            line,
            after,
        })
    }

    /// Ends the parts within the boundary's multipart; begins the next one.
    fn boundary(&mut self, hit: &Hit) -> State {
        let owner = self.open[hit.open].part;
        let depth = self
            .stack
            .iter()
            .position(|&index| index == owner)
            .map_or(0, |position| position + 1);
        if depth < self.stack.len() {
            // No part ends before it begins: the line end may be that of the boundary line before.
            let floor = self.stack.last().map_or(0, |&index| self.parts[index].header.start);
            let end = self.before_line_end(hit.line).max(floor);
            self.finish(depth, end);
        }
        self.open.truncate(hit.open + usize::from(!hit.is_closing));
        // A boundary line that the message ends in opens nothing: a part begins on the line after it.
        if hit.is_closing || self.message.at(hit.after - 1).first() != Some(&b'\n') {
            return State::Body(hit.after);
        }
        self.begin(hit.after, true);
        State::Header(hit.after)
    }
}

impl Content {
    /// Takes note of one raw field; of repeated ones the first counts.
    fn take(&mut self, raw: &[u8]) {
        let Some(field) = headers::fields(raw).next() else {
            return;
        };
        if field.is(b"Content-Type") {
            if !self.has_type {
                self.has_type = true;
                self.kind = params::content_type(field.value);
            }
        } else if field.is(b"Content-Transfer-Encoding") {
            if self.encoding.is_none() && params::single_token(field.value).is_some() {
                self.encoding = Some(TransferEncoding::of_field(field.value));
            }
        } else if field.is(b"MIME-Version") {
            self.has_mime_version = true;
        }
    }
}

/// True for the types whose body is a message (RFC 2046 §5.2.1, RFC 6532 §3.7).
pub(crate) fn is_message(kind: &ContentType) -> bool {
    kind.is(b"message", b"rfc822") || kind.is(b"message", b"global")
}

#[cfg(test)]
#[path = "structure_tests.rs"]
mod tests;
