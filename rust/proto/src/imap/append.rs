//! APPEND and REPLACE: what stands before, between and behind the literals that messages come in (RFC 9051 §6.3.12, RFC 3502,
//! RFC 4469, RFC 6855 §4, RFC 8508).
//!
//! A message is a literal, or CATENATE's pieces: literals and URLs of what lies in mailboxes. The line is read in stretches, each
//! up to the next literal of a message; literals that are names or URLs stay in their stretch.

use super::command::Context;
use super::command_mailbox::name;
use super::date_time::date_time;
use super::fault::{BadKind, Fault};
use super::flags::flag_list;
use super::lexer::{Lexer, utf8};
use super::sequence::{SequenceNumber, SequenceSet};

/// Parts of one stretch. It is read anew at each literal that is a URL, so that this also bounds the work.
const STRETCH_PARTS_MAX: usize = 500;

/// Where the messages go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendTarget {
    /// Unicode, INBOX in upper case.
    pub mailbox: String,
    /// REPLACE: the one message that the new one takes the place of; a number or a UID.
    pub replaces: Option<SequenceSet>,
}

/// One step in making messages, in the order of the line; octets of literals come between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendPart {
    /// Another message begins.
    Message {
        /// Canonical.
        flags: Vec<String>,
        /// Unix seconds and the zone's offset in minutes.
        internal_date: Option<(i64, i32)>,
        /// CATENATE: it is made of pieces (RFC 4469).
        pieces: bool,
    },
    /// A piece: what this IMAP URL names (RFC 4469 §3). Not looked at yet.
    Url(String),
}

/// Where a stretch begins: behind what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// The mailbox name; a message must follow.
    Target,
    /// The literal of a whole message.
    Message,
    /// A whole message in `UTF8 (...)`, whose parenthesis is to be closed.
    Wrapped,
    /// A piece in `TEXT {...}`.
    Piece,
    /// A piece in `UTF8 (...)`, likewise.
    WrappedPiece,
}

/// How a stretch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a literal of a message, behind which the next begins so.
    Literal(Resume),
    /// With a literal that is a name or a URL: there is more to come of this stretch.
    Inline,
    /// With the line.
    Line,
}

/// A stretch of the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) parts: Vec<AppendPart>,
    pub(super) end: End,
}

/// What stands behind the command's name: `append = "APPEND" SP mailbox 1*append-message`,
/// `replace = "REPLACE" SP seq-number SP mailbox append-message`. `None`: the line ends with the literal of the mailbox name.
pub(super) fn head(
    lexer: &mut Lexer<'_>,
    context: &Context,
    command: &str,
) -> Result<Option<(AppendTarget, Stretch)>, Fault> {
    let replaces = if command == "APPEND" {
        None
    } else {
        Some(replaced(lexer)?)
    };
    let mut attempt = lexer.clone();
    attempt.space()?;
    if at_inline_literal(&attempt) {
        return Ok(None);
    }
    let mailbox = name(lexer, context)?;
    let stretch = stretch(lexer, Resume::Target, replaces.is_some())?;
    Ok(Some((AppendTarget { mailbox, replaces }, stretch)))
}

/// `SP seq-number`, or a UID: exactly one message (RFC 8508 §3.4).
fn replaced(lexer: &mut Lexer<'_>) -> Result<SequenceSet, Fault> {
    lexer.space()?;
    let set = SequenceSet::parse(lexer)?;
    match set.ranges[..] {
        [(first, last)] if first == last && first != SequenceNumber::Saved => Ok(set),
        _ => Err(Fault::syntax("REPLACE is for one message")),
    }
}

/// Reads a stretch up to the literal or the line's end that ends `lexer`'s input. `single`: one message only.
///
/// `append-message = [SP flag-list] [SP date-time] SP append-data`,
/// `append-data = literal / literal8 / "UTF8" SP "(" literal8 ")" / "CATENATE" SP "(" cat-part *(SP cat-part) ")"`
pub(super) fn stretch(lexer: &mut Lexer<'_>, from: Resume, single: bool) -> Result<Stretch, Fault> {
    let mut parts = Vec::new();
    if matches!(from, Resume::Wrapped | Resume::WrappedPiece) {
        lexer.expect(b')', "expected )")?;
    }
    let mut end = match from {
        Resume::Piece | Resume::WrappedPiece => more_pieces(lexer, &mut parts)?,
        Resume::Target => message(lexer, &mut parts)?,
        Resume::Message | Resume::Wrapped => None,
    };
    while end.is_none() {
        if lexer.at_end() {
            end = Some(End::Line);
        } else if single {
            return Err(Fault::syntax("unexpected characters after the message"));
        } else {
            end = message(lexer, &mut parts)?;
        }
    }
    Ok(Stretch {
        parts,
        end: end.unwrap_or(End::Line),
    })
}

/// One message up to its literal; `None`: it is complete, made of URLs alone.
fn message(lexer: &mut Lexer<'_>, parts: &mut Vec<AppendPart>) -> Result<Option<End>, Fault> {
    lexer.space()?;
    let mut flags = Vec::new();
    if lexer.peek() == Some(b'(') {
        flags = flag_list(lexer)?;
        lexer.space()?;
    }
    let mut internal_date = None;
    if lexer.peek() == Some(b'"') {
        internal_date = Some(date_time(lexer)?);
        lexer.space()?;
    }
    let mut begin = |pieces| {
        parts.push(AppendPart::Message {
            flags: std::mem::take(&mut flags),
            internal_date,
            pieces,
        });
    };
    if at_literal(lexer) {
        begin(false);
        return Ok(Some(End::Literal(Resume::Message)));
    }
    let word = lexer.atom()?;
    if word.eq_ignore_ascii_case("UTF8") {
        begin(false);
        wrapped(lexer)?;
        return Ok(Some(End::Literal(Resume::Wrapped)));
    }
    if !word.eq_ignore_ascii_case("CATENATE") {
        return Err(Fault::syntax("a message literal is needed"));
    }
    begin(true);
    lexer.space()?;
    lexer.open()?;
    piece(lexer, parts)?.map_or_else(|| more_pieces(lexer, parts), |end| Ok(Some(end)))
}

/// `*(SP cat-part) ")"`; `None` behind the parenthesis.
fn more_pieces(lexer: &mut Lexer<'_>, parts: &mut Vec<AppendPart>) -> Result<Option<End>, Fault> {
    while lexer.another()? {
        if let Some(end) = piece(lexer, parts)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// `cat-part = "URL" SP astring / "TEXT" SP literal / "UTF8" SP "(" literal8 ")"`; `None` behind a URL.
fn piece(lexer: &mut Lexer<'_>, parts: &mut Vec<AppendPart>) -> Result<Option<End>, Fault> {
    let word = lexer.atom()?;
    if word.eq_ignore_ascii_case("UTF8") {
        wrapped(lexer)?;
        return Ok(Some(End::Literal(Resume::WrappedPiece)));
    }
    let text = word.eq_ignore_ascii_case("TEXT");
    if !text && !word.eq_ignore_ascii_case("URL") {
        return Err(Fault::syntax("unknown part of CATENATE"));
    }
    lexer.space()?;
    if text {
        return if at_literal(lexer) {
            Ok(Some(End::Literal(Resume::Piece)))
        } else {
            Err(Fault::syntax("TEXT needs a literal"))
        };
    }
    if at_inline_literal(lexer) {
        return Ok(Some(End::Inline));
    }
    if parts.len() >= STRETCH_PARTS_MAX {
        return Err(Fault::new(BadKind::Limit, "too many URLs one after the other"));
    }
    parts.push(AppendPart::Url(utf8(lexer.astring()?)?));
    Ok(None)
}

/// `SP "("` before a literal8.
fn wrapped(lexer: &mut Lexer<'_>) -> Result<(), Fault> {
    lexer.space()?;
    lexer.open()?;
    if at_literal(lexer) && lexer.peek() == Some(b'~') {
        Ok(())
    } else {
        Err(Fault::syntax("UTF8 needs a literal8"))
    }
}

/// Is the rest of the input nothing but `{n[+]}` CRLF?
fn at_inline_literal(lexer: &Lexer<'_>) -> bool {
    lexer.peek() == Some(b'{') && at_literal(lexer)
}

/// Is the rest of the input nothing but `[~]{n[+]}` CRLF?
fn at_literal(lexer: &Lexer<'_>) -> bool {
    let rest = lexer.rest();
    let rest = rest.strip_prefix(b"~").unwrap_or(rest);
    let Some(inner) = rest.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}\r\n")) else {
        return false;
    };
    let digits = inner.strip_suffix(b"+").unwrap_or(inner);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
