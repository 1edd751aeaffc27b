//! Writes header fields of the messages that we originate: bounces, reports, replies.
//!
//! Strict where the readers are lenient: ASCII only, lines of at most 78 octets where a space allows a break
//! (RFC 5322 §2.1.1), encoded words of less than 75 (RFC 2047 §2). Values cannot break out of their field: control
//! characters, line ends among them, become spaces.
use crate::transfer::{encode_base64, upper_hex};

/// Where a line should end (RFC 5322 §2.1.1).
const LINE_OCTETS: usize = 78;
/// Longest encoded word: RFC 2047 §2 allows 75, less lets one stand on the line of its field's name.
const WORD_OCTETS_MAX: usize = 64;

/// Appends an unstructured field, encoded and folded, with its CRLF.
///
/// `name` must be a field name; octets that none may have are left out (RFC 5322 §3.6.8).
pub fn text_field(name: &str, value: &str, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend(
        name.bytes()
            .filter(|octet| matches!(octet, b'!'..=b'~') && *octet != b':'),
    );
    out.push(b':');
    let mut line = out.len() - start;
    let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split(' ').filter(|word| !word.is_empty()).collect();
    let mut rest = words.as_slice();
    while let Some(first) = rest.first() {
        // Neighbours that both need encoding go into one run: white space between encoded words is lost.
        let run = rest
            .iter()
            .position(|word| needs_encoding(word) != needs_encoding(first))
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(run);
        if needs_encoding(first) {
            for piece in encoded_words(&head.join(" ")) {
                append_word(piece.as_bytes(), &mut line, out);
            }
        } else {
            for word in head {
                append_word(word.as_bytes(), &mut line, out);
            }
        }
        rest = tail;
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a word after a space, or after a fold when the line is full.
fn append_word(word: &[u8], line: &mut usize, out: &mut Vec<u8>) {
    if *line + 1 + word.len() > LINE_OCTETS && !out.ends_with(b":") {
        out.extend_from_slice(b"\r\n");
        *line = 0;
    }
    out.push(b' ');
    out.extend_from_slice(word);
    *line += 1 + word.len();
}

/// True for what must not stand in a header as it is: non-ASCII, and what looks like an encoded word.
fn needs_encoding(word: &str) -> bool {
    !word.is_ascii() || word.contains("=?")
}

/// Text as encoded words in UTF-8, split between characters (RFC 2047 §5).
#[must_use]
pub fn encoded_words(text: &str) -> Vec<String> {
    const OPEN_Q: &str = "=?utf-8?Q?";
    const OPEN_B: &str = "=?utf-8?B?";
    /// Room for the text of one word.
    const ROOM: usize = WORD_OCTETS_MAX - OPEN_Q.len() - 2;
    let cost: usize = text.bytes().map(q_cost).sum();
    let is_base64 = cost > text.len() * 4 / 3 + 4;
    let mut words = Vec::new();
    let mut piece = String::new();
    let (mut octets, mut q_octets) = (0_usize, 0_usize);
    for character in text.chars() {
        let length = character.len_utf8();
        let mut buffer = [0; 4];
        let q_length: usize = character.encode_utf8(&mut buffer).bytes().map(q_cost).sum();
        let is_full = if is_base64 {
            (octets + length).div_ceil(3) * 4 > ROOM
        } else {
            q_octets + q_length > ROOM
        };
        if is_full {
            words.push(std::mem::take(&mut piece));
            (octets, q_octets) = (0, 0);
        }
        piece.push(character);
        octets += length;
        q_octets += q_length;
    }
    if !piece.is_empty() {
        words.push(piece);
    }
    for word in &mut words {
        let mut encoded = Vec::from(if is_base64 { OPEN_B } else { OPEN_Q });
        if is_base64 {
            encode_base64(word.as_bytes(), &mut encoded);
        } else {
            encode_q(word.as_bytes(), &mut encoded);
        }
        encoded.extend_from_slice(b"?=");
        // Both encodings give ASCII only.
        *word = String::from_utf8_lossy(&encoded).into_owned();
    }
    words
}

/// A display name as a phrase: as it is, quoted, or encoded (RFC 5322 §3.2.5, RFC 2047 §5).
#[must_use]
pub fn phrase(name: &str) -> String {
    let clean: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if needs_encoding(&clean) {
        return encoded_words(&clean).join(" ");
    }
    let is_plain = |octet: u8| octet == b' ' || (octet.is_ascii() && crate::lexer::is_atext(octet));
    if !clean.trim().is_empty() && clean.bytes().all(is_plain) {
        return clean;
    }
    let mut quoted = String::from("\"");
    for character in clean.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Octets that an octet takes in the Q encoding.
fn q_cost(octet: u8) -> usize {
    if octet == b' ' || is_q_plain(octet) { 1 } else { 3 }
}

/// The octets that may stand in an encoded word anywhere, phrases included (RFC 2047 §5 (3)).
fn is_q_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!*+-/".contains(&octet)
}

fn encode_q(text: &[u8], out: &mut Vec<u8>) {
    for &octet in text {
        match octet {
            b' ' => out.push(b'_'),
            _ if is_q_plain(octet) => out.push(octet),
            _ => out.extend_from_slice(&[b'=', upper_hex(octet >> 4), upper_hex(octet & 0x0f)]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn field(value: &str) -> String {
        let mut out = Vec::new();
        text_field("Subject", value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_text_is_folded() {
        assert_eq!(field("short"), "Subject: short\r\n");
        assert_eq!(field(""), "Subject:\r\n");
        let long = field(&"word ".repeat(50));
        assert!(long.lines().all(|line| line.len() <= LINE_OCTETS), "{long}");
        assert!(
            long.split("\r\n")
                .skip(1)
                .all(|line| line.is_empty() || line.starts_with(' '))
        );
        // What cannot be broken is not broken, and no line holds white space only.
        assert_eq!(field(&"x".repeat(100)), format!("Subject: {}\r\n", "x".repeat(100)));
    }

    #[test]
    fn a_value_cannot_break_out() {
        assert_eq!(field("a\r\nBcc: b"), "Subject: a Bcc: b\r\n");
        let mut out = Vec::new();
        text_field("X:\r\nY", "z", &mut out);
        assert_eq!(out, b"XY: z\r\n");
    }

    #[test]
    fn other_text_is_encoded_and_reads_back() {
        for text in [
            "gr\u{fc}n",
            "a =?b?= c",
            "caf\u{e9} au lait \u{e0} la carte",
            &"\u{65e5}\u{672c}\u{8a9e} ".repeat(20),
        ] {
            let written = field(text);
            assert!(
                written.is_ascii() && written.lines().all(|line| line.len() <= LINE_OCTETS),
                "{written}"
            );
            let value = written.strip_prefix("Subject:").unwrap();
            assert_eq!(crate::encoded_word::decode(value.as_bytes()), text.trim_end());
        }
    }

    #[test]
    fn phrases() {
        assert_eq!(phrase("Jo Doe"), "Jo Doe");
        assert_eq!(phrase("Doe, \"Jo\""), "\"Doe, \\\"Jo\\\"\"");
        assert_eq!(phrase(""), "\"\"");
        assert_eq!(phrase("J\u{fc}"), "=?utf-8?Q?J=C3=BC?=");
    }
}
