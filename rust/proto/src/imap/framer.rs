//! Finds where a command ends, across its literals (RFC 9051 §4.3, RFC 7888), in bounded memory and linear time.
//!
//! The framer knows lines and literals and nothing else. At each announced literal it stops and lets the server decide:
//! take it into the command, refuse it, or read it as a message. Only CRLF ends a line: a bare LF is answered as
//! malformed at once (so that nobody waits for ever) and taints everything up to the next CRLF, so that it can hide no
//! command inside another.

use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, decimal, is_tag_char};
use crate::buffer::Buffer;

/// A literal as announced: `{n}`, `{n+}`, `~{n}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LiteralHead {
    /// Octets; `u64::MAX` when the number does not fit.
    pub(super) length: u64,
    /// The client waits for our consent.
    pub(super) synchronising: bool,
    /// literal8 (RFC 3516).
    pub(super) binary: bool,
}

/// A refusal together with the tag it belongs to.
pub(super) type Report = (Option<String>, Fault);

/// What the framer has found.
#[derive(Debug)]
pub(super) enum Framed {
    NeedData,
    /// The first octets of the buffer, this many, are a whole command.
    Command(usize),
    /// The first octets, this many, end in the announcement of a literal.
    Literal(usize, LiteralHead),
    /// Something malformed, already consumed.
    Bad(Report),
}

#[derive(Debug)]
enum Mode {
    /// A line of the command; `start` is where it begins in the buffer.
    Line { start: usize, tainted: bool },
    /// Inside a literal of the command that ends at `until`.
    Literal { until: usize },
    /// Throwing away the rest of a line.
    SkipLine { report: Option<Report> },
    /// Throwing away a literal.
    SkipLiteral { remaining: u64, report: Option<Report> },
}

/// Octets kept at the end of a skipped line: enough for the announcement of a literal.
const SKIP_TAIL_OCTETS: usize = 64;

/// More digits announce nothing: the announcement must lie within [`SKIP_TAIL_OCTETS`].
const LENGTH_DIGITS_MAX: usize = 40;

/// The scanner; its place in the buffer is the buffer's own `scanned`.
#[derive(Debug)]
pub(super) struct Framer {
    mode: Mode,
    command_octets_max: usize,
}

impl Framer {
    pub(super) fn new(command_octets_max: usize) -> Self {
        Self {
            mode: FRESH,
            command_octets_max,
        }
    }

    /// Goes on until a decision or more data is needed.
    pub(super) fn advance(&mut self, buffer: &mut Buffer) -> Framed {
        loop {
            match &mut self.mode {
                Mode::Line { start, tainted } => {
                    let (start, tainted) = (*start, *tainted);
                    let Some(newline) = find_newline(buffer) else {
                        if buffer.len() > self.command_octets_max {
                            self.skip_line(buffer, tainted);
                            continue;
                        }
                        return Framed::NeedData;
                    };
                    // Whether the end of the line has come already must not decide what is told of it.
                    if newline > self.command_octets_max {
                        self.skip_line(buffer, tainted);
                        continue;
                    }
                    let line = buffer.bytes().get(start..newline).unwrap_or_default();
                    let Some(line) = line.strip_suffix(b"\r") else {
                        let tag = tag_of(buffer.bytes());
                        buffer.consume(newline + 1);
                        self.mode = Mode::Line {
                            start: 0,
                            tainted: true,
                        };
                        return Framed::Bad((tag, BARE_NEWLINE));
                    };
                    let literal = announced_literal(line);
                    if tainted || newline >= self.command_octets_max {
                        let fault = if tainted { BARE_NEWLINE } else { TOO_LONG };
                        let report = (tag_of(buffer.bytes()), fault);
                        if let Some(report) = self.skip(buffer, newline + 1, literal, report) {
                            return Framed::Bad(report);
                        }
                        continue;
                    }
                    buffer.set_scanned(newline + 1);
                    return match literal {
                        Some(literal) => Framed::Literal(newline + 1, literal),
                        None => {
                            self.mode = FRESH;
                            Framed::Command(newline + 1)
                        }
                    };
                }
                Mode::Literal { until } => {
                    let until = *until;
                    if buffer.len() < until {
                        return Framed::NeedData;
                    }
                    buffer.set_scanned(until);
                    self.mode = Mode::Line {
                        start: until,
                        tainted: false,
                    };
                }
                Mode::SkipLine { report } => {
                    let Some(newline) = find_newline(buffer) else {
                        buffer.consume(buffer.len().saturating_sub(SKIP_TAIL_OCTETS));
                        return Framed::NeedData;
                    };
                    let line = buffer.bytes().get(..newline).unwrap_or_default();
                    let Some(line) = line.strip_suffix(b"\r") else {
                        buffer.consume(newline + 1);
                        continue;
                    };
                    let literal = announced_literal(line).filter(|literal| !literal.synchronising);
                    let report = report.take();
                    buffer.consume(newline + 1);
                    match literal {
                        Some(literal) => {
                            self.mode = Mode::SkipLiteral {
                                remaining: literal.length,
                                report,
                            }
                        }
                        None => {
                            self.mode = FRESH;
                            if let Some(report) = report {
                                return Framed::Bad(report);
                            }
                        }
                    }
                }
                Mode::SkipLiteral { remaining, report } => {
                    let waiting = buffer.len() as u64;
                    let dropped = waiting.min(*remaining);
                    *remaining -= dropped;
                    let rest = waiting - dropped;
                    let done = *remaining == 0;
                    let report = if done { report.take() } else { None };
                    buffer.consume(buffer.len() - usize::try_from(rest).unwrap_or(0));
                    if !done {
                        return Framed::NeedData;
                    }
                    buffer.set_scanned(0);
                    self.mode = Mode::SkipLine { report };
                }
            }
        }
    }

    /// Would a literal of this length after `head` octets keep the command within its bound?
    pub(super) fn fits(&self, head: usize, length: u64) -> bool {
        self.command_octets_max
            .checked_sub(head)
            .is_some_and(|room| length <= room as u64)
    }

    /// Takes the announced literal into the command; it must fit.
    pub(super) fn take_literal(&mut self, head: usize, length: u64) {
        let until = usize::try_from(length)
            .ok()
            .and_then(|length| head.checked_add(length))
            .unwrap_or(usize::MAX);
        self.mode = Mode::Literal { until };
    }

    /// Gives up the command whose first `head` octets announce a literal. A synchronising one will not be sent, so the
    /// report comes back at once; otherwise it comes when literal and rest have passed.
    pub(super) fn refuse_literal(
        &mut self,
        buffer: &mut Buffer,
        head: usize,
        literal: LiteralHead,
        report: Report,
    ) -> Option<Report> {
        self.skip(buffer, head, Some(literal), report)
    }

    /// Throws away a message literal that was announced without waiting, and the rest of its command, in silence.
    pub(super) fn discard_literal(&mut self, length: u64) {
        self.mode = Mode::SkipLiteral {
            remaining: length,
            report: None,
        };
    }

    /// The command's octets so far have been consumed by the server (a message literal follows).
    pub(super) fn restart(&mut self) {
        self.mode = FRESH;
    }

    /// Gives up a line that has passed the bound, wherever its end may be.
    fn skip_line(&mut self, buffer: &Buffer, tainted: bool) {
        let fault = if tainted { BARE_NEWLINE } else { TOO_LONG };
        let report = Some((tag_of(buffer.bytes()), fault));
        self.mode = Mode::SkipLine { report };
    }

    fn skip(
        &mut self,
        buffer: &mut Buffer,
        octets: usize,
        literal: Option<LiteralHead>,
        report: Report,
    ) -> Option<Report> {
        buffer.consume(octets);
        buffer.set_scanned(0);
        match literal {
            Some(LiteralHead {
                synchronising: false,
                length,
                ..
            }) => {
                self.mode = Mode::SkipLiteral {
                    remaining: length,
                    report: Some(report),
                };
                None
            }
            _ => {
                self.mode = FRESH;
                Some(report)
            }
        }
    }
}

const FRESH: Mode = Mode::Line {
    start: 0,
    tainted: false,
};

const TOO_LONG: Fault = Fault::new(BadKind::TooLong, "the command is too long");

const BARE_NEWLINE: Fault = Fault::new(BadKind::BareNewline, "lines end with CR and LF, not LF alone");

/// The next LF that has not been seen yet; what was searched in vain is not searched again.
fn find_newline(buffer: &mut Buffer) -> Option<usize> {
    match memchr::memchr(b'\n', buffer.unscanned()) {
        Some(offset) => Some(buffer.scanned() + offset),
        None => {
            buffer.set_scanned(buffer.len());
            None
        }
    }
}

/// The literal announced at the end of a line (CRLF taken off), if any.
///
/// `literal = ["~"] "{" number64 ["+"] "}" CRLF`
pub(super) fn announced_literal(line: &[u8]) -> Option<LiteralHead> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, synchronising) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    let (before, digits) = inner.split_at_checked(inner.len().checked_sub(digits)?)?;
    if digits.is_empty() || digits.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    let before = before.strip_suffix(b"{")?;
    let length = decimal(digits).unwrap_or(u64::MAX);
    Some(LiteralHead {
        length,
        synchronising,
        binary: before.ends_with(b"~"),
    })
}

/// The tag at the start of a broken command, where one can be read: `tag SP` or a tag and the end of the line.
pub(super) fn tag_of(command: &[u8]) -> Option<String> {
    /// Longer than any client's tag; keeps a flood of letters from being echoed.
    const TAG_OCTETS_MAX: usize = 128;
    let tag = Lexer::new(command)
        .tag()
        .ok()
        .filter(|tag| tag.len() <= TAG_OCTETS_MAX)?;
    debug_assert!(tag.bytes().all(is_tag_char), "the lexer reads tags");
    matches!(command.get(tag.len()), None | Some(b' ' | b'\r' | b'\n')).then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announcements() {
        let head = |length, synchronising, binary| {
            Some(LiteralHead {
                length,
                synchronising,
                binary,
            })
        };
        assert_eq!(announced_literal(b"a LOGIN {5}"), head(5, true, false));
        assert_eq!(announced_literal(b"a LOGIN {5+}"), head(5, false, false));
        assert_eq!(announced_literal(b"a APPEND x ~{0}"), head(0, true, true));
        assert_eq!(
            announced_literal(b"a {99999999999999999999999+}"),
            head(u64::MAX, false, false)
        );
        for none in [
            &b"a {}"[..],
            b"a {+}",
            b"a {5-}",
            b"a 5}",
            b"a {5} ",
            b"}",
            b"+}",
            b"",
            b"{x5}",
        ] {
            assert_eq!(announced_literal(none), None, "{none:?}");
        }
    }

    #[test]
    fn tags() {
        assert_eq!(tag_of(b"a1 NOOP").as_deref(), Some("a1"));
        assert_eq!(tag_of(b"a1\r\n").as_deref(), Some("a1"));
        assert_eq!(tag_of(b"+ NOOP"), None);
        assert_eq!(tag_of(b"* NOOP"), None);
        assert_eq!(tag_of(b"a(b NOOP"), None);
        assert_eq!(tag_of(b"\r\n"), None);
    }
}
