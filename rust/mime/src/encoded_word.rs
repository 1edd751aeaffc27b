//! RFC 2047 encoded words: adjacent words join, characters split between words of one charset are made whole.
//!
//! Lenient: words inside a run of text and words longer than 75 octets are decoded too. Linear in the value's length.
use memchr::memmem;

use crate::charset;
use crate::headers::unfold;
use crate::params::hex;
use crate::transfer::{self, TransferEncoding};

/// One encoded word.
struct Word<'a> {
    charset: &'a [u8],
    text: Vec<u8>,
    /// Octets of the whole word.
    length: usize,
}

/// A header value, unfolded, with its encoded words decoded, in UTF-8 (RFC 2047 §6; raw UTF-8 as RFC 6532 has it).
#[must_use]
pub fn decode(value: &[u8]) -> String {
    let value = unfold(value);
    let value = value.trim_ascii_end();
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    // Once a search for the end of a word has failed, no later one can succeed.
    let mut may_end = true;
    while may_end && let Some(start) = memmem::find(rest, b"=?") {
        let Some(word) = word(&rest[start..], &mut may_end) else {
            push_raw(&mut out, &rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        push_raw(&mut out, &rest[..start]);
        rest = &rest[start + word.length..];
        let (mut charset, mut text) = (word.charset, word.text);
        while let Some((gap, next)) = adjacent(rest, &mut may_end) {
            rest = &rest[gap + next.length..];
            if next.charset.eq_ignore_ascii_case(charset) {
                text.extend_from_slice(&next.text);
            } else {
                out.push_str(&charset::to_utf8(charset, &text));
                (charset, text) = (next.charset, next.text);
            }
        }
        out.push_str(&charset::to_utf8(charset, &text));
    }
    push_raw(&mut out, rest);
    out
}

fn push_raw(out: &mut String, octets: &[u8]) {
    out.push_str(&String::from_utf8_lossy(octets));
}

/// A word after nothing but white space, which does not count between words (RFC 2047 §6.2).
fn adjacent<'a>(rest: &'a [u8], may_end: &mut bool) -> Option<(usize, Word<'a>)> {
    let gap = rest.iter().position(|octet| !octet.is_ascii_whitespace())?;
    let found = word(&rest[gap..], may_end)?;
    Some((gap, found))
}

/// `"=?" charset ["*" language] "?" encoding "?" encoded-text "?="` (RFC 2047 §2, RFC 2231 §5).
fn word<'a>(text: &'a [u8], may_end: &mut bool) -> Option<Word<'a>> {
    /// Charset and language together; longer is no encoded word.
    const CHARSET_OCTETS_MAX: usize = 75;
    let rest = text.strip_prefix(b"=?")?;
    let charset_end = rest.iter().take(CHARSET_OCTETS_MAX).position(|&octet| octet == b'?')?;
    let name = &rest[..charset_end];
    if name.is_empty() || name.iter().any(|octet| octet.is_ascii_whitespace() || *octet == b'=') {
        return None;
    }
    let charset = name.split(|&octet| octet == b'*').next().unwrap_or(name);
    let rest = &rest[charset_end + 1..];
    let &[method, b'?', ref rest @ ..] = rest else {
        return None;
    };
    let is_base64 = match method {
        b'b' | b'B' => true,
        b'q' | b'Q' => false,
        _ => return None,
    };
    let end = memmem::find(rest, b"?=");
    crate::work::note(end.unwrap_or(rest.len()));
    let Some(end) = end else {
        *may_end = false;
        return None;
    };
    let encoded = &rest[..end];
    let mut decoded = Vec::with_capacity(encoded.len());
    if is_base64 {
        transfer::decode(TransferEncoding::Base64, encoded, &mut decoded);
    } else {
        decode_q(encoded, &mut decoded);
    }
    Some(Word {
        charset,
        text: decoded,
        length: text.len() - rest.len() + end + 2,
    })
}

/// The Q encoding (RFC 2047 §4.2); a broken escape is kept as it stands.
fn decode_q(encoded: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&octet) = encoded.get(at) {
        at += 1;
        match octet {
            b'_' => out.push(b' '),
            b'=' => match encoded
                .get(at..at + 2)
                .and_then(|pair| Some((hex(pair[0])?, hex(pair[1])?)))
            {
                Some((high, low)) => {
                    out.push(high << 4 | low);
                    at += 2;
                }
                None => out.push(octet),
            },
            _ => out.push(octet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_rfc_2047_section_8() {
        for (value, expected) in [
            ("(=?ISO-8859-1?Q?a?=)", "(a)"),
            ("(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a?=  \r\n =?ISO-8859-1?Q?b?=)", "(ab)"),
            ("(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            ("(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            ("=?US-ASCII*EN?Q?Keith_Moore?= <x@y>", "Keith Moore <x@y>"),
        ] {
            assert_eq!(decode(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn split_characters_are_made_whole() {
        assert_eq!(decode(b"=?utf-8?B?4oI=?= =?UTF-8?Q?=AC?="), "\u{20ac}");
        assert_eq!(decode(b"=?utf-8?q?=e2=82?=x"), "\u{fffd}x");
        assert_eq!(decode(b"=?shift_jis?b?gg==?=\r\n\t=?shift_jis?b?oA==?="), "\u{3042}");
    }

    #[test]
    fn what_is_no_word_stays() {
        for value in [
            "=?",
            "=?x",
            "=?x?y?z?=",
            "=?utf-8?q?open",
            "a =? b ?= c",
            "=??q?x?=",
            "1=?2",
            "=?=?utf-8?z",
        ] {
            assert_eq!(decode(value.as_bytes()), value);
        }
        assert_eq!(decode(b"pre=?utf-8?q?in?=post"), "preinpost");
        assert_eq!(decode(b"=?utf-8?q?=4?="), "=4");
        assert_eq!(decode(b" \xc3\xa9\r\n x "), "\u{e9} x");
        assert_eq!(decode(b"=?=?utf-8?q?ok?="), "=?ok");
    }
}
