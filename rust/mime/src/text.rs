//! Searchable text: decoded headers, text parts in UTF-8, HTML with and without its tags.
//!
//! The text comes in pieces; a match never spans two of them. Letters keep their case: comparing is the caller's work.
//! The store keeps an index of this text: whoever changes what is given out raises `TEXT_VERSION` in its
//! `search/filter`; a test there notices.
use std::borrow::Cow;

use memchr::memrchr;

use crate::charset;
use crate::encoded_word;
use crate::headers::fields;
use crate::html;
use crate::octets::{Octets, slice};
use crate::params::{self, ContentType};
use crate::structure::{Part, PartKind, Structure};
use crate::transfer::{self, Decoder, TransferEncoding};

/// Octets of a header section or part that are decoded at once; a larger one is given out in pieces of that size.
pub const PIECE_OCTETS: usize = 4 << 20;
/// Octets of text that such a piece has in common with the one before it: a match up to this length, that of an IMAP command,
/// is in one of them.
pub const OVERLAP_OCTETS: usize = 64 << 10;

/// Gives out decoded header texts and text parts as UTF-8, piece by piece (SEARCH TEXT, RFC 9051 §6.4.4).
///
/// Headers of body parts and of embedded messages count too. A field is given as `Name: value`.
pub fn searchable(mut message: &[u8], structure: &Structure, sink: &mut dyn FnMut(&str)) {
    let mut all = |piece: &str| {
        sink(piece);
        true
    };
    search(&mut message, structure, true, &mut all);
}

/// As [`searchable`], without the message's own header and those of body parts (SEARCH BODY).
pub fn searchable_body(mut message: &[u8], structure: &Structure, sink: &mut dyn FnMut(&str)) {
    let mut all = |piece: &str| {
        sink(piece);
        true
    };
    search(&mut message, structure, false, &mut all);
}

/// As [`searchable`], or without `with_headers` [`searchable_body`], until `sink` answers false. Reads only what may be
/// text, and never more than a piece at a time.
pub fn search(message: &mut dyn Octets, structure: &Structure, with_headers: bool, sink: &mut dyn FnMut(&str) -> bool) {
    let parts = structure.parts();
    let mut index = 0;
    let mut is_embedded = false;
    while let Some(part) = parts.get(index) {
        if (with_headers || is_embedded) && !give_header(message, part, sink) {
            return;
        }
        is_embedded = part.kind == PartKind::Message;
        // An embedded message that is encoded (illegally, RFC 2046 §5.2.1) is searched as the text that it encodes.
        let is_encoded_message = is_embedded && part.encoding != TransferEncoding::Identity;
        if is_encoded_message || matches!(part.kind, PartKind::Leaf | PartKind::Opaque) {
            if !give_body(message, part, sink) {
                return;
            }
            is_embedded = false;
            index = part.next.max(index + 1);
        } else {
            index += 1;
        }
    }
}

fn give_header(message: &mut dyn Octets, part: &Part, sink: &mut dyn FnMut(&str) -> bool) -> bool {
    let mut spare = Vec::new();
    let mut text = String::new();
    let mut at = part.header.start;
    while at < part.header.end {
        let end = part.header.end.min(at.saturating_add(PIECE_OCTETS));
        let mut octets = slice(message, at..end, &mut spare);
        if octets.len() < end - at {
            return true;
        }
        let mut next = end;
        if end < part.header.end {
            if let Some(last) = memrchr(b'\n', octets) {
                octets = &octets[..=last];
                next = at + octets.len();
            } else {
                next -= OVERLAP_OCTETS;
            }
        }
        for field in fields(octets) {
            text.clear();
            if !field.name.is_empty() {
                text.push_str(&String::from_utf8_lossy(field.name));
                text.push_str(": ");
            }
            text.push_str(&encoded_word::decode(field.value));
            if !sink(&text) {
                return false;
            }
        }
        at = next;
    }
    true
}

fn give_body(message: &mut dyn Octets, part: &Part, sink: &mut dyn FnMut(&str) -> bool) -> bool {
    let kind = content_type(message, part);
    if part.kind != PartKind::Opaque {
        let is = |main: &[u8]| kind.as_ref().is_some_and(|kind| kind.main.eq_ignore_ascii_case(main));
        // message/delivery-status and its kin are text for people too.
        if kind.is_some() && !is(b"text") && !is(b"message") {
            return true;
        }
    }
    if part.body.len() > PIECE_OCTETS {
        return give_large(message, part, kind.as_ref(), sink);
    }
    let mut spare = Vec::new();
    let body = slice(message, part.body.clone(), &mut spare);
    if body.len() < part.body.len() {
        return true;
    }
    if part.kind == PartKind::Opaque {
        // What is in it is unknown, but most of it will be text.
        return sink(&String::from_utf8_lossy(body));
    }
    let octets = match part.encoding {
        TransferEncoding::Identity | TransferEncoding::Unknown => Cow::Borrowed(body),
        encoding => {
            let mut decoded = Vec::new();
            transfer::decode(encoding, body, &mut decoded);
            Cow::Owned(decoded)
        }
    };
    let text = match kind.as_ref().and_then(|kind| kind.param(b"charset")) {
        Some(label) => charset::to_utf8(label, &octets),
        // 8-bit text that says nothing and is no UTF-8 is mostly of this kind.
        None if std::str::from_utf8(&octets).is_err() => charset::to_utf8(b"windows-1252", &octets),
        None => charset::to_utf8(b"utf-8", &octets),
    };
    give_text(&text, kind.as_ref(), sink)
}

fn give_text(text: &str, kind: Option<&ContentType>, sink: &mut dyn FnMut(&str) -> bool) -> bool {
    // What the message says, and what its reader sees: the address of a link is in the one, words across tags in the other.
    sink(text) && (!kind.is_some_and(|kind| kind.is(b"text", b"html")) || sink(&html::to_text(text)))
}

/// A body in pieces, each with the end of the one before it. Tags of HTML that two pieces share are read as each has them.
fn give_large(
    message: &mut dyn Octets,
    part: &Part,
    kind: Option<&ContentType>,
    sink: &mut dyn FnMut(&str) -> bool,
) -> bool {
    let is_opaque = part.kind == PartKind::Opaque;
    let encoding = if is_opaque {
        TransferEncoding::Identity
    } else {
        part.encoding
    };
    let mut decoder = Some(Decoder::new(encoding));
    let label = kind.and_then(|kind| kind.param(b"charset"));
    let mut charset = charset::Stream::new(if is_opaque { Some(b"utf-8") } else { label });
    let (mut spare, mut decoded, mut text) = (Vec::new(), Vec::new(), String::new());
    let mut at = part.body.start;
    while at < part.body.end {
        let end = part.body.end.min(at.saturating_add(PIECE_OCTETS));
        let octets = slice(message, at..end, &mut spare);
        if octets.len() < end - at {
            return true;
        }
        decoded.clear();
        if let Some(decoder) = &mut decoder {
            decoder.push(octets, &mut decoded);
        }
        let last = end == part.body.end;
        if last && let Some(decoder) = decoder.take() {
            decoder.finish(&mut decoded);
        }
        charset.push(&decoded, last, &mut text);
        if !give_text(&text, kind.filter(|_| !is_opaque), sink) {
            return false;
        }
        let mut kept = text.len().saturating_sub(OVERLAP_OCTETS);
        while !text.is_char_boundary(kept) {
            kept += 1;
        }
        text.drain(..kept);
        at = end;
    }
    true
}

/// The media type of a part; `None` is text/plain.
pub(crate) fn content_type(message: &mut dyn Octets, part: &Part) -> Option<ContentType> {
    if !part.is_mime {
        return None;
    }
    let mut spare = Vec::new();
    let end = part.header.end.min(part.header.start.saturating_add(PIECE_OCTETS));
    let header = slice(message, part.header.start..end, &mut spare);
    params::content_type(crate::headers::first(header, b"Content-Type")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::Limits;

    const MESSAGE: &[u8] = b"Subject: =?utf-8?q?gr=C3=BCn?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
hidden preamble\r\n--b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\
\r\n<p>f=FCr<style>x</style> &amp;</p>\r\n--b\r\nContent-Type: image/png\r\n\r\nhidden image\r\n--b\r\n\
Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--b\r\nContent-Type: message/rfc822\r\n\
Content-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogZW5jCgplbmNvZGVk\r\n--b--\r\n";

    fn pieces(with_headers: bool) -> Vec<String> {
        let structure = Structure::parse(MESSAGE, &Limits::default());
        let mut found = Vec::new();
        let give = if with_headers { searchable } else { searchable_body };
        give(MESSAGE, &structure, &mut |piece| found.push(piece.trim().to_owned()));
        found
    }

    #[test]
    fn all_text() {
        assert_eq!(
            pieces(true),
            [
                "Subject: gr\u{fc}n",
                "Content-Type: multipart/mixed; boundary=b",
                "Content-Type: text/html; charset=iso-8859-1",
                "Content-Transfer-Encoding: quoted-printable",
                "<p>f\u{fc}r<style>x</style> &amp;</p>",
                "f\u{fc}r &",
                "Content-Type: image/png",
                "Content-Type: message/rfc822",
                "Subject: inner",
                "inner body",
                "Content-Type: message/rfc822",
                "Content-Transfer-Encoding: base64",
                "Subject: enc\n\nencoded",
            ]
        );
    }

    #[test]
    fn text_that_says_nothing_of_its_charset() {
        for (message, expected) in [(&b"\r\ngr\xfcn"[..], "gr\u{fc}n"), (b"\r\ngr\xc3\xbcn", "gr\u{fc}n")] {
            let structure = Structure::parse(message, &Limits::default());
            searchable_body(message, &structure, &mut |piece| assert_eq!(piece, expected));
        }
    }

    #[test]
    fn body_text() {
        assert_eq!(
            pieces(false),
            [
                "<p>f\u{fc}r<style>x</style> &amp;</p>",
                "f\u{fc}r &",
                "Subject: inner",
                "inner body",
                "Subject: enc\n\nencoded"
            ]
        );
    }

    /// Everything that is found of a message whose text is larger than a piece, from pieces of `width` octets.
    fn holds(message: &[u8], needles: &[&str]) -> Vec<bool> {
        let structure = Structure::parse(message, &Limits::default());
        let mut narrow = crate::octets::tests::Narrow {
            message,
            width: 100_000,
            broken_at: usize::MAX,
        };
        let mut found = vec![false; needles.len()];
        search(&mut narrow, &structure, true, &mut |piece| {
            assert!(piece.len() <= 2 * PIECE_OCTETS, "{}", piece.len());
            for (found, needle) in found.iter_mut().zip(needles) {
                *found |= piece.contains(needle);
            }
            true
        });
        found
    }

    #[test]
    fn large_text_is_found_across_the_borders_of_pieces() {
        let needle = "gr\u{fc}n und b\u{fc}ndig";
        for shift in [0, 1, 9, 18, 4000] {
            for start in [
                "Subject: x\r\n\r\n",
                "Content-Type: text/html; charset=utf-8\r\n\r\n",
                "X: ",
            ] {
                let header = if start.ends_with("\r\n\r\n") { start.len() } else { 0 };
                let mut message = start.as_bytes().to_vec();
                message.resize(header + PIECE_OCTETS - shift, b'a');
                message.extend_from_slice(needle.as_bytes());
                message.resize(header + 2 * PIECE_OCTETS + 7, b'z');
                assert_eq!(
                    holds(&message, &[needle, "no such"]),
                    [true, false],
                    "{start:?} {shift}"
                );
            }
        }
        let mut encoded =
            b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n".to_vec();
        let mut text = vec![b'a'; PIECE_OCTETS / 4 * 3 - 9];
        text.extend_from_slice(needle.as_bytes());
        text.resize(PIECE_OCTETS, b'z');
        transfer::encode_base64(&text, &mut encoded);
        assert_eq!(holds(&encoded, &[needle, "no such"]), [true, false]);
    }

    #[test]
    fn whoever_has_found_it_need_not_read_on() {
        let structure = Structure::parse(MESSAGE, &Limits::default());
        let mut pieces = 0;
        search(&mut &MESSAGE[..], &structure, true, &mut |_| {
            pieces += 1;
            pieces < 3
        });
        assert_eq!(pieces, 3);
    }
}
