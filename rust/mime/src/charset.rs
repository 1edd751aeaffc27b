//! Charsets to UTF-8: labels to encoding_rs, UTF-7 (RFC 2152), US-ASCII and ISO-8859-1 by hand.
//!
//! Never fails: what cannot be mapped becomes U+FFFD.
use std::borrow::Cow;

use encoding_rs::{CoderResult, Decoder, Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE};

use crate::transfer::base64_value;

/// What a label stands for.
enum Charset {
    Ascii,
    Latin1,
    Utf7,
    Utf16,
    Other(&'static Encoding),
    Unknown,
}

fn lookup(label: &[u8]) -> Charset {
    /// No registered name is longer (RFC 2978 §2.3 gives 40).
    const LABEL_OCTETS_MAX: usize = 64;
    let label = label.trim_ascii();
    if label.len() > LABEL_OCTETS_MAX {
        return Charset::Unknown;
    }
    match label.to_ascii_lowercase().as_slice() {
        b"us-ascii" | b"ascii" | b"us" | b"ansi_x3.4-1968" | b"iso646-us" | b"iso_646.irv:1991" | b"cp367" => {
            Charset::Ascii
        }
        b"iso-8859-1" | b"iso_8859-1" | b"iso8859-1" | b"iso_8859-1:1987" | b"latin1" | b"l1" | b"cp819" => {
            Charset::Latin1
        }
        b"utf-7" | b"unicode-1-1-utf-7" | b"utf7" => Charset::Utf7,
        b"utf-16" => Charset::Utf16,
        lower => match Encoding::for_label(lower) {
            Some(encoding) if encoding != REPLACEMENT => Charset::Other(encoding),
            _ => Charset::Unknown,
        },
    }
}

/// Text in UTF-8; what cannot be mapped becomes U+FFFD. An unknown label is read as UTF-8.
#[must_use]
pub fn to_utf8<'a>(label: &[u8], octets: &'a [u8]) -> Cow<'a, str> {
    match lookup(label) {
        // Text that says us-ascii and holds valid UTF-8 is UTF-8; its authors forgot the parameter.
        Charset::Ascii | Charset::Unknown => String::from_utf8_lossy(octets),
        Charset::Latin1 => {
            if octets.is_ascii() {
                return String::from_utf8_lossy(octets);
            }
            Cow::Owned(octets.iter().map(|&octet| char::from(octet)).collect())
        }
        Charset::Utf7 => Cow::Owned(utf7(octets)),
        // RFC 2781 §4.3: without a mark the order is big-endian.
        Charset::Utf16 if octets.starts_with(&[0xff, 0xfe]) => UTF_16LE.decode_with_bom_removal(octets).0,
        Charset::Utf16 => UTF_16BE.decode_with_bom_removal(octets).0,
        Charset::Other(encoding) => encoding.decode_with_bom_removal(octets).0,
    }
}

/// Decodes text that comes in pieces; for text too large to be decoded as a whole.
///
/// As [`to_utf8`] does, but that a run of UTF-7 is broken between two pieces, and that text without a label is judged
/// piece by piece.
#[derive(Debug)]
pub struct Stream {
    kind: Kind,
    /// A character that is not complete.
    held: Vec<u8>,
}

#[derive(Debug)]
enum Kind {
    Decoder(Box<Decoder>),
    Latin1,
    Utf7,
    /// UTF-8 where a piece is that, else windows-1252.
    Guess,
    /// UTF-16 whose first octets have not been seen.
    Utf16,
}

impl Stream {
    /// At the start of a text; without a label it is guessed.
    #[must_use]
    pub fn new(label: Option<&[u8]>) -> Self {
        let kind = match label.map(lookup) {
            None => Kind::Guess,
            Some(Charset::Ascii | Charset::Unknown) => decoder(UTF_8.new_decoder_without_bom_handling()),
            Some(Charset::Latin1) => Kind::Latin1,
            Some(Charset::Utf7) => Kind::Utf7,
            Some(Charset::Utf16) => Kind::Utf16,
            Some(Charset::Other(encoding)) => decoder(encoding.new_decoder_with_bom_removal()),
        };
        Self { kind, held: Vec::new() }
    }

    /// Appends what the next piece says; `last` when there is none behind it.
    pub fn push(&mut self, piece: &[u8], last: bool, out: &mut String) {
        if matches!(self.kind, Kind::Utf16) && !piece.is_empty() {
            let encoding = if piece.starts_with(&[0xff, 0xfe]) {
                UTF_16LE
            } else {
                UTF_16BE
            };
            self.kind = decoder(encoding.new_decoder_with_bom_removal());
        }
        match &mut self.kind {
            Kind::Utf16 => {}
            Kind::Latin1 => out.extend(piece.iter().map(|&octet| char::from(octet))),
            Kind::Utf7 => out.push_str(&utf7(piece)),
            Kind::Guess => {
                let mut octets = std::mem::take(&mut self.held);
                octets.extend_from_slice(piece);
                match std::str::from_utf8(&octets) {
                    Err(fault) if !last && fault.error_len().is_none() => {
                        self.held = octets.split_off(fault.valid_up_to())
                    }
                    _ => {}
                }
                let label: &[u8] = if std::str::from_utf8(&octets).is_ok() {
                    b"utf-8"
                } else {
                    b"windows-1252"
                };
                out.push_str(&to_utf8(label, &octets));
            }
            Kind::Decoder(decoder) => {
                let mut rest = piece;
                loop {
                    out.reserve(decoder.max_utf8_buffer_length(rest.len()).unwrap_or(rest.len()));
                    let (result, read, _) = decoder.decode_to_string(rest, out, last);
                    rest = &rest[read..];
                    if result == CoderResult::InputEmpty {
                        break;
                    }
                }
            }
        }
    }
}

fn decoder(decoder: Decoder) -> Kind {
    Kind::Decoder(Box::new(decoder))
}

/// True when the label names a charset that [`to_utf8`] knows (SEARCH CHARSET).
#[must_use]
pub fn is_known(label: &[u8]) -> bool {
    !matches!(lookup(label), Charset::Unknown)
}

/// Decodes UTF-7 (RFC 2152): `+` opens a run of base64 UTF-16, `-` or any other octet closes it.
fn utf7(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len());
    let mut at = 0;
    while let Some(&octet) = octets.get(at) {
        at += 1;
        if octet != b'+' {
            out.push(if octet.is_ascii() {
                char::from(octet)
            } else {
                char::REPLACEMENT_CHARACTER
            });
            continue;
        }
        let run = &octets[at..];
        let length = run
            .iter()
            .position(|&octet| base64_value(octet).is_none())
            .unwrap_or(run.len());
        if length == 0 {
            out.push('+');
        }
        utf7_run(&run[..length], &mut out);
        at += length;
        if octets.get(at) == Some(&b'-') {
            at += 1;
        }
    }
    out
}

fn utf7_run(run: &[u8], out: &mut String) {
    let mut units = Vec::with_capacity(run.len() / 2);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for value in run.iter().filter_map(|&octet| base64_value(octet)) {
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((bits >> count & 0xffff) as u16);
            bits &= (1 << count) - 1;
        }
    }
    out.extend(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        assert_eq!(to_utf8(b"ISO-8859-1", b"gr\xfcn \x80"), "gr\u{fc}n \u{80}");
        assert_eq!(to_utf8(b"windows-1252", b"\x80"), "\u{20ac}");
        assert_eq!(to_utf8(b"us-ascii", b"a\xff"), "a\u{fffd}");
        assert_eq!(to_utf8(b"us-ascii", "\u{e9}".as_bytes()), "\u{e9}");
        assert_eq!(to_utf8(b"koi8-r", b"\xc1"), "\u{430}");
        assert_eq!(to_utf8(b"iso-2022-jp", b"\x1b$B$\"\x1b(B"), "\u{3042}");
        assert_eq!(to_utf8(b"utf-16", b"\x00a\x00b"), "ab");
        assert_eq!(to_utf8(b"utf-16", b"\xff\xfea\x00"), "a");
        assert_eq!(to_utf8(b"no-such", "\u{e9}".as_bytes()), "\u{e9}");
        assert_eq!(to_utf8(b"iso-2022-kr", b"plain"), "plain");
        assert!(is_known(b"UTF-8") && is_known(b"utf-7") && !is_known(b"no-such") && !is_known(&[b'a'; 100]));
    }

    #[test]
    fn utf7_runs() {
        assert_eq!(to_utf8(b"utf-7", b"Hi Mom -+Jjo--!"), "Hi Mom -\u{263a}-!");
        assert_eq!(to_utf8(b"utf-7", b"A+ImIDkQ."), "A\u{2262}\u{391}.");
        assert_eq!(to_utf8(b"utf-7", b"1 +- 1 = 2"), "1 + 1 = 2");
        assert_eq!(to_utf8(b"utf-7", b"+2D3eAA- \xff +"), "\u{1f600} \u{fffd} +");
    }

    #[test]
    fn pieces_say_what_the_whole_says() {
        let text = "gr\u{fc}n \u{3042} plain";
        for (label, octets) in [
            (&b"utf-8"[..], text.as_bytes()),
            (b"us-ascii", b"a\xff\xe3\x81 b"),
            (b"no-such", text.as_bytes()),
            (b"iso-8859-1", b"gr\xfcn \x80"),
            (b"utf-16", b"\xff\xfea\x00b\x00"),
            (b"utf-16", b"\x00a\x00b"),
            (b"iso-2022-jp", b"\x1b$B$\"\x1b(B x"),
            (b"shift_jis", b"\x82\xa0 x"),
        ] {
            let whole = to_utf8(label, octets);
            for cut in 0..=octets.len() {
                // Which order UTF-16 has is decided by its first two octets.
                if label == b"utf-16" && cut == 1 {
                    continue;
                }
                let (mut stream, mut out) = (Stream::new(Some(label)), String::new());
                stream.push(&octets[..cut], false, &mut out);
                stream.push(&octets[cut..], true, &mut out);
                assert_eq!(out, whole, "{} cut at {cut}", String::from_utf8_lossy(label));
            }
        }
        for (octets, expected) in [(text.as_bytes(), text), (b"gr\xfcn", "gr\u{fc}n")] {
            for cut in 0..=octets.len() {
                let (mut stream, mut out) = (Stream::new(None), String::new());
                stream.push(&octets[..cut], false, &mut out);
                stream.push(&octets[cut..], true, &mut out);
                assert_eq!(out, expected, "cut at {cut}");
            }
        }
    }
}
