//! Searchable text: decoded headers, text parts in UTF-8, HTML with and without its tags.
//!
//! The text comes in pieces; a match never spans two of them. Letters keep their case: comparing is the caller's work.
//! The store keeps an index of this text: whoever changes what is given out raises `TEXT_VERSION` in its
//! `search/filter`; a test there notices.
use std::borrow::Cow;

use crate::charset;
use crate::encoded_word;
use crate::headers::fields;
use crate::html;
use crate::params::{self, ContentType};
use crate::structure::{Part, PartKind, Structure};
use crate::transfer::{self, TransferEncoding};

/// Gives out decoded header texts and text parts as UTF-8, piece by piece (SEARCH TEXT, RFC 9051 §6.4.4).
///
/// Headers of body parts and of embedded messages count too. A field is given as `Name: value`.
pub fn searchable(message: &[u8], structure: &Structure, sink: &mut dyn FnMut(&str)) {
    search(message, structure, true, sink);
}

/// As [`searchable`], without the message's own header and those of body parts (SEARCH BODY).
pub fn searchable_body(message: &[u8], structure: &Structure, sink: &mut dyn FnMut(&str)) {
    search(message, structure, false, sink);
}

fn search(message: &[u8], structure: &Structure, with_headers: bool, sink: &mut dyn FnMut(&str)) {
    let parts = structure.parts();
    let mut index = 0;
    let mut is_embedded = false;
    while let Some(part) = parts.get(index) {
        if with_headers || is_embedded {
            give_header(message, part, sink);
        }
        is_embedded = part.kind == PartKind::Message;
        // An embedded message that is encoded (illegally, RFC 2046 §5.2.1) is searched as the text that it encodes.
        let is_encoded_message = is_embedded && part.encoding != TransferEncoding::Identity;
        if is_encoded_message || matches!(part.kind, PartKind::Leaf | PartKind::Opaque) {
            give_body(message, part, sink);
            is_embedded = false;
            index = part.next.max(index + 1);
        } else {
            index += 1;
        }
    }
}

fn give_header(message: &[u8], part: &Part, sink: &mut dyn FnMut(&str)) {
    let Some(header) = message.get(part.header.clone()) else {
        return;
    };
    let mut text = String::new();
    for field in fields(header) {
        text.clear();
        if !field.name.is_empty() {
            text.push_str(&String::from_utf8_lossy(field.name));
            text.push_str(": ");
        }
        text.push_str(&encoded_word::decode(field.value));
        sink(&text);
    }
}

fn give_body(message: &[u8], part: &Part, sink: &mut dyn FnMut(&str)) {
    let Some(body) = message.get(part.body.clone()) else {
        return;
    };
    if part.kind == PartKind::Opaque {
        // What is in it is unknown, but most of it will be text.
        sink(&String::from_utf8_lossy(body));
        return;
    }
    let kind = content_type(message, part);
    let is = |main: &[u8]| kind.as_ref().is_some_and(|kind| kind.main.eq_ignore_ascii_case(main));
    // message/delivery-status and its kin are text for people too.
    if kind.is_some() && !is(b"text") && !is(b"message") {
        return;
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
    sink(&text);
    if kind.as_ref().is_some_and(|kind| kind.is(b"text", b"html")) {
        // What the message says, and what its reader sees: the address of a link is in the one, words across tags in the other.
        sink(&html::to_text(&text));
    }
}

/// The media type of a part; `None` is text/plain.
fn content_type(message: &[u8], part: &Part) -> Option<ContentType> {
    if !part.is_mime {
        return None;
    }
    let header = message.get(part.header.clone())?;
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
}
