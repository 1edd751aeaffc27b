//! Content transfer encodings: a lenient reader, a strict writer (RFC 2045 §6).
//!
//! [`Decoder`] takes a body in pieces of any size and never fails: what is no code is skipped in base64 (RFC 2045 §6.8)
//! and kept as it stands in quoted-printable (RFC 2045 §6.7, note).
use crate::params::{hex, single_token};

/// How a body is encoded (RFC 2045 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferEncoding {
    /// 7bit, 8bit, binary or no field at all: the octets themselves.
    Identity,
    /// quoted-printable.
    QuotedPrintable,
    /// base64.
    Base64,
    /// A name that nobody knows: BINARY answers UNKNOWN-CTE.
    Unknown,
}

impl TransferEncoding {
    /// The encoding that a raw Content-Transfer-Encoding value names; one that is no token counts as absent.
    #[must_use]
    pub fn of_field(value: &[u8]) -> Self {
        let Some(token) = single_token(value) else {
            return Self::Identity;
        };
        match token.to_ascii_lowercase().as_slice() {
            b"7bit" | b"8bit" | b"binary" => Self::Identity,
            b"quoted-printable" => Self::QuotedPrintable,
            b"base64" => Self::Base64,
            _ => Self::Unknown,
        }
    }
}

/// Appends the decoded octets; lenient, never fails. `Unknown` is copied as it is.
pub fn decode(encoding: TransferEncoding, body: &[u8], out: &mut Vec<u8>) {
    let mut decoder = Decoder::new(encoding);
    decoder.push(body, out);
    decoder.finish(out);
}

/// Decodes a body that comes in pieces.
#[derive(Clone, Debug)]
pub struct Decoder {
    encoding: TransferEncoding,
    /// base64: bits not yet given out and how many there are.
    bits: u32,
    bit_count: u32,
    /// quoted-printable: a started escape, or white space (and CR) that may yet prove to stand at a line's end.
    held: Vec<u8>,
}

impl Decoder {
    /// A decoder at the start of a body.
    #[must_use]
    pub fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            bits: 0,
            bit_count: 0,
            held: Vec::new(),
        }
    }

    /// Takes the next piece and appends what it decodes to.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self.encoding {
            TransferEncoding::Identity | TransferEncoding::Unknown => out.extend_from_slice(piece),
            TransferEncoding::Base64 => self.push_base64(piece, out),
            TransferEncoding::QuotedPrintable => self.push_quoted(piece, out),
        }
    }

    /// Appends what the end of the body sets free.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        if self.held.first() == Some(&b'=') {
            // A soft break at the very end is one; a torn escape is text.
            if self.held.iter().skip(1).any(u8::is_ascii_hexdigit) {
                out.append(&mut self.held);
            }
        } else {
            // White space before the end of the last line was added in transport.
            self.held.retain(|&octet| octet == b'\r');
            out.append(&mut self.held);
        }
    }

    fn push_base64(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() / 4 * 3);
        for &octet in piece {
            match BASE64_VALUES[usize::from(octet)] {
                value if value < 64 => {
                    self.bits = self.bits << 6 | u32::from(value);
                    self.bit_count += 6;
                    if self.bit_count >= 8 {
                        self.bit_count -= 8;
                        out.push((self.bits >> self.bit_count & 0xff) as u8);
                        self.bits &= (1 << self.bit_count) - 1;
                    }
                }
                // Padding ends a quantum; another run may follow it (concatenated encodings).
                _ if octet == b'=' => (self.bits, self.bit_count) = (0, 0),
                _ => {}
            }
        }
    }

    fn push_quoted(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(&octet) = rest.first() {
            if self.held.is_empty() {
                let plain = rest
                    .iter()
                    .position(|octet| matches!(octet, b'=' | b' ' | b'\t' | b'\r'))
                    .unwrap_or(rest.len());
                out.extend_from_slice(&rest[..plain]);
                rest = &rest[plain..];
                if let Some((&first, tail)) = rest.split_first() {
                    self.held.push(first);
                    rest = tail;
                }
                continue;
            }
            rest = &rest[1..];
            if self.held[0] == b'=' {
                self.in_escape(octet, out);
            } else {
                self.in_white(octet, out);
            }
        }
    }

    /// `held` is `=` and what followed it: one hex digit, or white space before a soft line break.
    fn in_escape(&mut self, octet: u8, out: &mut Vec<u8>) {
        let second = self.held.get(1).copied();
        match (second.and_then(hex), hex(octet)) {
            (Some(high), Some(low)) => {
                out.push(high << 4 | low);
                self.held.clear();
            }
            (None, Some(_)) if second.is_none() => self.held.push(octet),
            (None, _) if octet == b'\n' => self.held.clear(),
            (None, _) if matches!(octet, b' ' | b'\t' | b'\r') => self.held.push(octet),
            _ => {
                out.append(&mut self.held);
                self.restart(octet, out);
            }
        }
    }

    /// `held` is white space, perhaps with a CR: gone before a line end, text before anything else.
    fn in_white(&mut self, octet: u8, out: &mut Vec<u8>) {
        match octet {
            b' ' | b'\t' => self.held.push(octet),
            b'\r' if self.held.last() != Some(&b'\r') => self.held.push(octet),
            b'\n' => {
                let has_cr = self.held.last() == Some(&b'\r');
                self.held.pop_if(|last| *last == b'\r');
                // Only the white space that touches the line end goes; a CR inside the run is content.
                while self.held.pop_if(|last| matches!(last, b' ' | b'\t')).is_some() {}
                out.append(&mut self.held);
                out.extend_from_slice(if has_cr { b"\r\n" } else { b"\n" });
            }
            _ => {
                out.append(&mut self.held);
                self.restart(octet, out);
            }
        }
    }

    fn restart(&mut self, octet: u8, out: &mut Vec<u8>) {
        if matches!(octet, b'=' | b' ' | b'\t' | b'\r') {
            self.held.push(octet);
        } else {
            out.push(octet);
        }
    }
}

const BASE64_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The value of each octet in base64; 64 for an octet outside the alphabet.
const BASE64_VALUES: [u8; 256] = {
    let mut values = [64_u8; 256];
    let mut value = 0;
    while value < 64 {
        values[BASE64_ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
};

/// The value of one base64 digit.
pub(crate) fn base64_value(octet: u8) -> Option<u8> {
    let value = BASE64_VALUES[usize::from(octet)];
    (value < 64).then_some(value)
}

/// Appends base64 without line ends (RFC 4648 §4).
pub fn encode_base64(data: &[u8], out: &mut Vec<u8>) {
    for group in data.chunks(3) {
        let octet = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for place in 0..4 {
            let digit = BASE64_ALPHABET[(bits >> (18 - 6 * place) & 0x3f) as usize];
            out.push(if place <= group.len() { digit } else { b'=' });
        }
    }
}

/// Appends base64 in lines of 76 octets, each with CRLF (RFC 2045 §6.8).
pub fn encode_base64_lines(data: &[u8], out: &mut Vec<u8>) {
    /// Octets that make a full line of 76.
    const LINE_OCTETS: usize = 57;
    for line in data.chunks(LINE_OCTETS) {
        encode_base64(line, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends quoted-printable text (RFC 2045 §6.7). Line ends, CRLF or LF, come out as CRLF; lines are at most 76 octets.
pub fn encode_quoted_printable(text: &[u8], out: &mut Vec<u8>) {
    /// Room on a line before the `=` of a soft break.
    const LINE_OCTETS: usize = 75;
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        let content = crate::headers::without_line_end(line);
        let mut width = 0;
        for (index, &octet) in content.iter().enumerate() {
            let is_last = index + 1 == content.len();
            let is_plain = matches!(octet, b'!'..=b'<' | b'>'..=b'~') || (matches!(octet, b' ' | b'\t') && !is_last);
            let needed = if is_plain { 1 } else { 3 };
            if width + needed > LINE_OCTETS {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            if is_plain {
                out.push(octet);
            } else {
                out.extend_from_slice(&[b'=', upper_hex(octet >> 4), upper_hex(octet & 0x0f)]);
            }
            width += needed;
        }
        if content.len() != line.len() {
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// An upper-case hexadecimal digit of a value below 16.
pub(crate) fn upper_hex(value: u8) -> u8 {
    if value < 10 {
        b'0' + value
    } else {
        b'A' + (value & 0x0f) - 10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: TransferEncoding, body: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        decode(encoding, body, &mut whole);
        for split in 0..=body.len() {
            let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
            decoder.push(&body[..split], &mut out);
            decoder.push(&body[split..], &mut out);
            decoder.finish(&mut out);
            assert_eq!(out, whole, "split at {split}");
        }
        whole
    }

    #[test]
    fn base64_is_lenient() {
        let base64 = |body: &[u8]| decoded(TransferEncoding::Base64, body);
        assert_eq!(base64(b"aGVsbG8="), b"hello");
        assert_eq!(base64(b"aGVs\r\nbG8=\r\n"), b"hello");
        assert_eq!(base64(b"aGVsbG8"), b"hello");
        assert_eq!(base64(b"aGV!s*bG8"), b"hello");
        assert_eq!(base64(b"aGk=aGk="), b"hihi");
        assert_eq!(base64(b"===="), b"");
        assert_eq!(base64(b"a"), b"");
    }

    #[test]
    fn quoted_printable_is_lenient() {
        let quoted = |body: &[u8]| decoded(TransferEncoding::QuotedPrintable, body);
        assert_eq!(quoted(b"a=3Db=3d"), b"a=b=");
        assert_eq!(quoted(b"soft=\r\nbreak=\nagain= \t\r\nx="), b"softbreakagainx");
        assert_eq!(quoted(b"trail \t\r\nnext  \nend "), b"trail\r\nnext\nend");
        assert_eq!(quoted(b"in  side"), b"in  side");
        assert_eq!(quoted(b"=ZZ=4"), b"=ZZ=4");
        assert_eq!(quoted(b"=4=41"), b"=4A");
        assert_eq!(quoted(b"a\rb\r\rc \rd"), b"a\rb\r\rc \rd");
        assert_eq!(quoted(b"==41= x"), b"=A= x");
    }

    #[test]
    fn writers_read_back() {
        let text = b"caf\xc3\xa9 = tea \r\n".repeat(20);
        let mut encoded = Vec::new();
        encode_quoted_printable(&text, &mut encoded);
        assert!(encoded.split(|&octet| octet == b'\n').all(|line| line.len() <= 77));
        assert_eq!(decoded(TransferEncoding::QuotedPrintable, &encoded), text);
        for length in 0..100_u8 {
            let data: Vec<u8> = (0..length).collect();
            let mut encoded = Vec::new();
            encode_base64_lines(&data, &mut encoded);
            assert_eq!(decoded(TransferEncoding::Base64, &encoded), data);
        }
    }

    #[test]
    fn names() {
        assert_eq!(TransferEncoding::of_field(b" BASE64 (x)"), TransferEncoding::Base64);
        assert_eq!(TransferEncoding::of_field(b" 8bit"), TransferEncoding::Identity);
        assert_eq!(
            TransferEncoding::of_field(b" Quoted-Printable"),
            TransferEncoding::QuotedPrintable
        );
        assert_eq!(TransferEncoding::of_field(b" x-uuencode"), TransferEncoding::Unknown);
        assert_eq!(TransferEncoding::of_field(b""), TransferEncoding::Identity);
    }
}
