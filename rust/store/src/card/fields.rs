//! The header fields that SEARCH finds in the card: decoded, folded, every occurrence of them (RFC 9051 §6.4.4).
//!
//! A block holds all values of one field, each behind an octet that no UTF-8 text has, so that a match never spans two
//! of them. An empty block says that the message has no such field. A block that was left out says nothing: the header
//! must be read.

use ironpost_mime::{encoded_word, headers};

use crate::search::needle::fold_onto;

/// How many fields there are.
pub const FIELDS: usize = 9;

/// Their names in lower case, in the order of the card.
pub const NAMES: [&[u8]; FIELDS] = [
    b"from",
    b"to",
    b"cc",
    b"bcc",
    b"subject",
    b"message-id",
    b"list-id",
    b"in-reply-to",
    b"references",
];

/// From here on only the absence of a field is told: their texts are long, and few ask for them.
const ABSENCE_ONLY: usize = 7;
/// Octets of a block at most; longer ones are left out even of the full card.
const BLOCK_OCTETS_MAX: usize = 16 * 1024;
/// Stands before each value; it occurs in no UTF-8 text, so in no needle.
const SEPARATOR: u8 = 0xff;
/// Length that stands for "left out: see the header".
const LEFT_OUT: u16 = u16::MAX;

/// The blocks of one card, as built or as decoded. `None`: left out.
pub type Blocks<B> = [Option<B>; FIELDS];

/// The place of a field in the card; `None` when cards do not tell of it. The name may be in any case.
#[must_use]
pub fn index_of(name: &[u8]) -> Option<usize> {
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name))
}

/// The blocks of a header section.
#[must_use]
pub fn build(header: &[u8]) -> Blocks<Vec<u8>> {
    let mut blocks: Blocks<Vec<u8>> = std::array::from_fn(|_| Some(Vec::new()));
    let mut folded = String::new();
    for field in headers::fields(header) {
        let Some(index) = index_of(field.name) else { continue };
        let slot = &mut blocks[index];
        let Some(block) = slot else { continue };
        if index >= ABSENCE_ONLY {
            *slot = None;
            continue;
        }
        folded.clear();
        fold_onto(&encoded_word::decode(field.value), &mut folded);
        if block.len() + 1 + folded.len() > BLOCK_OCTETS_MAX {
            *slot = None;
            continue;
        }
        block.push(SEPARATOR);
        block.extend_from_slice(folded.as_bytes());
    }
    blocks
}

/// Whether a prefix leaves the blocks of the body's card as they are: it ends its last line, has no empty one, and
/// none of the fields.
#[must_use]
pub fn is_plain_prefix(prefix: &[u8]) -> bool {
    let mut end = 0;
    for field in headers::fields(prefix) {
        if index_of(field.name).is_some() {
            return false;
        }
        end = field.raw.end;
    }
    end == prefix.len() && (prefix.is_empty() || prefix.ends_with(b"\n"))
}

/// Appends the lengths of all blocks, then their octets.
pub fn encode<B: AsRef<[u8]>>(blocks: &Blocks<B>, out: &mut Vec<u8>) {
    for block in blocks {
        let length = block.as_ref().map_or(LEFT_OUT, |block| block.as_ref().len() as u16);
        out.extend_from_slice(&length.to_le_bytes());
    }
    for block in blocks.iter().flatten() {
        out.extend_from_slice(block.as_ref());
    }
}

/// The blocks at the start of `bytes`, and what follows them.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<(Blocks<&[u8]>, &[u8])> {
    let (lengths, mut rest) = bytes.split_at_checked(FIELDS * 2)?;
    let mut blocks: Blocks<&[u8]> = [None; FIELDS];
    for (block, length) in blocks.iter_mut().zip(lengths.chunks_exact(2)) {
        let length = u16::from_le_bytes([length[0], length[1]]);
        if length != LEFT_OUT {
            let (head, tail) = rest.split_at_checked(usize::from(length))?;
            *block = Some(head);
            rest = tail;
        }
    }
    Some((blocks, rest))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn all_occurrences_are_kept_apart() {
        let header = b"FROM: Ann <a@x>\r\nX: y\r\nfrom : =?utf-8?q?J=C3=9C?= <j@x>\r\nCc:\r\nReferences: <1@x>\r\n\r\n";
        let blocks = build(header);
        assert_eq!(
            blocks[0].as_deref().unwrap(),
            "\u{0}ann <a@x>\u{0}jü <j@x>"
                .replace('\u{0}', "|")
                .as_bytes()
                .iter()
                .map(|&octet| if octet == b'|' { 0xff } else { octet })
                .collect::<Vec<u8>>()
        );
        assert_eq!(blocks[2].as_deref(), Some(&[0xff][..]));
        assert_eq!(blocks[1].as_deref(), Some(&[][..]));
        assert_eq!(blocks[8], None, "references are told of, not told");
        let mut out = Vec::new();
        encode(&blocks, &mut out);
        let length = out.len();
        out.extend_from_slice(b"rest");
        let (decoded, rest) = decode(&out).unwrap();
        assert_eq!(rest, b"rest");
        assert_eq!(decoded.map(|block| block.map(<[u8]>::to_vec)), blocks);
        for cut in 0..length {
            assert!(decode(&out[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn long_blocks_are_left_out() {
        let header = format!("To: {}\r\nSubject: s\r\n\r\n", "a@x,".repeat(5000));
        let blocks = build(header.as_bytes());
        assert_eq!(blocks[1], None);
        assert!(blocks[4].is_some());
    }

    #[test]
    fn plain_prefixes() {
        for (prefix, plain) in [
            (&b""[..], true),
            (b"Return-Path: <a@b>\r\nReceived: x\r\n\ty\r\n", true),
            (b"Received: x", false),
            (b"Received: x\r\n\r\n", false),
            (b"Received: x\r\nSubject: y\r\n", false),
            (b"MESSAGE-ID : y\n", false),
        ] {
            assert_eq!(is_plain_prefix(prefix), plain, "{}", String::from_utf8_lossy(prefix));
        }
    }
}
