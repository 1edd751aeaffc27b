//! The beginning of what a message says, for lists of messages (PREVIEW, RFC 8970).
//!
//! Plain, not clever: the first text part that says anything, decoded, HTML without its tags, white space folded. Of a part
//! only the beginning is read.

use crate::charset;
use crate::headers;
use crate::html;
use crate::octets::{Octets, slice};
use crate::structure::{Part, PartKind, Structure};
use crate::text::content_type;
use crate::transfer::{Decoder, TransferEncoding};

/// Characters of a preview at most (RFC 8970 §3.2).
pub const PREVIEW_CHARACTERS_MAX: usize = 200;
/// Octets of one part that are looked at: HTML often begins with a long style sheet.
const INPUT_OCTETS_MAX: usize = 64 << 10;
/// Parts that are looked at.
const PARTS_MAX: usize = 16;

/// The preview; empty when no text part says anything.
#[must_use]
pub fn preview(message: &mut dyn Octets, structure: &Structure) -> String {
    let mut looked_at = 0;
    for part in structure.parts() {
        if part.kind != PartKind::Leaf {
            continue;
        }
        looked_at += 1;
        if looked_at > PARTS_MAX {
            break;
        }
        if let Some(text) = text_of(message, part) {
            let folded = fold(&text);
            if !folded.is_empty() {
                return folded;
            }
        }
    }
    String::new()
}

/// The beginning of a part that is text for people, not attached.
fn text_of(message: &mut dyn Octets, part: &Part) -> Option<String> {
    let kind = content_type(message, part);
    let is_html = kind.as_ref().is_some_and(|kind| kind.is(b"text", b"html"));
    let is_plain = kind.as_ref().is_none_or(|kind| kind.is(b"text", b"plain"));
    if !(is_html || is_plain) || is_attached(message, part) {
        return None;
    }
    let end = part.body.end.min(part.body.start.saturating_add(INPUT_OCTETS_MAX));
    let mut spare = Vec::new();
    let body = slice(message, part.body.start..end, &mut spare);
    let encoding = match part.encoding {
        TransferEncoding::Unknown => return None,
        encoding => encoding,
    };
    let mut decoded = Vec::new();
    let mut decoder = Decoder::new(encoding);
    decoder.push(body, &mut decoded);
    let is_whole = end == part.body.end;
    if is_whole {
        decoder.finish(&mut decoded);
    }
    let label = kind.as_ref().and_then(|kind| kind.param(b"charset"));
    let mut text = String::new();
    charset::Stream::new(label).push(&decoded, is_whole, &mut text);
    Some(if is_html { html::to_text(&text) } else { text })
}

fn is_attached(message: &mut dyn Octets, part: &Part) -> bool {
    let end = part.header.end.min(part.header.start.saturating_add(INPUT_OCTETS_MAX));
    let mut spare = Vec::new();
    let header = slice(message, part.header.start..end, &mut spare);
    let disposition = headers::first(header, b"Content-Disposition").unwrap_or_default();
    let word = disposition.trim_ascii_start().get(..b"attachment".len());
    part.is_mime && word.is_some_and(|word| word.eq_ignore_ascii_case(b"attachment"))
}

/// White space becomes single spaces; control characters and those that show nothing go; cut at the limit.
fn fold(text: &str) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut space = false;
    for character in text.chars() {
        if character.is_whitespace() {
            space = count > 0;
            continue;
        }
        // Soft hyphens, joiners and marks with which newsletters pad their previews.
        let shows_nothing = character.is_control()
            || matches!(
                character,
                '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'
            );
        if shows_nothing {
            continue;
        }
        if space {
            if count + 1 >= PREVIEW_CHARACTERS_MAX {
                break;
            }
            out.push(' ');
            count += 1;
            space = false;
        }
        if count >= PREVIEW_CHARACTERS_MAX {
            break;
        }
        out.push(character);
        count += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::structure::Limits;

    fn of(mut message: &[u8]) -> String {
        let structure = Structure::parse(message, &Limits::default());
        preview(&mut message, &structure)
    }

    #[test]
    fn the_first_text_that_says_something() {
        assert_eq!(
            of(b"Subject: x\r\n\r\nHello\r\n\r\n  there\tJoe \r\n"),
            "Hello there Joe"
        );
        assert_eq!(of(b"Subject: x\r\n\r\n \r\n"), "");
        assert_eq!(of(b""), "");
        assert_eq!(
            of(b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n<style>p{}</style><p>f\xfcr <b>dich</b> &amp; mich"),
            "f\u{fc}r dich & mich"
        );
        assert_eq!(
            of(b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n"),
            "Gr\u{fc}\u{df}e"
        );
        let multipart =
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\nimage\r\n\
--b\r\nContent-Disposition: Attachment; filename=a\r\n\r\nattached\r\n--b\r\n\r\n\r\n\r\n--b\r\n\r\nbody\r\n--b--\r\n";
        assert_eq!(of(multipart), "body");
        assert_eq!(of(b"Content-Type: image/png\r\n\r\nimage"), "");
        assert_eq!(
            of(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-odd\r\n\r\nodd"),
            ""
        );
    }

    #[test]
    fn two_hundred_characters() {
        let long = format!(
            "Content-Type: text/plain; charset=utf-8\r\n\r\n{}",
            "\u{e9}".repeat(100_000)
        );
        assert_eq!(of(long.as_bytes()), "\u{e9}".repeat(200));
        assert_eq!(fold(&"ab ".repeat(100)).chars().count(), 200);
        assert_eq!(fold(&format!("{} b", "a".repeat(199))), "a".repeat(199));
        assert_eq!(fold("a\u{200c} \u{a0}\u{ad}\0\u{feff} b"), "a b");
    }
}
