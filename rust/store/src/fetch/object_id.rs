//! EMAILID: a name for the contents of a message, the same for all copies and never that of another (RFC 8474 §5.1).
//!
//! Made of the digests of body and prefix, so that moving blobs, compaction and a rebuild change nothing. A message without
//! prefix has its body's digest for a name.

use std::ops::Range;

use super::message::{Access, Content};
use crate::db::tables::damaged;
use crate::error::Result;
use crate::ids::BlobId;

/// Octets of the identity.
pub const EMAIL_ID_OCTETS: usize = 16;
/// Octets of a body read at once where the index has no digest.
const PIECE_OCTETS: u64 = 1 << 20;

/// The identity of a message.
pub type EmailId = [u8; EMAIL_ID_OCTETS];

/// The identity of a message.
///
/// # Errors
/// Corrupt when the message cannot be read.
pub fn email_id(access: &Access<'_>, content: &mut Content) -> Result<EmailId> {
    let (blob, prefix) = content.blobs();
    let (begin, end) = (content.prefix_octets(), content.octets());
    let body = digest_of(access, content, blob, begin..end)?;
    if prefix == 0 {
        return Ok(body);
    }
    let before = digest_of(access, content, prefix, 0..begin)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before);
    hasher.update(&body);
    Ok(cut(&hasher))
}

/// The digest that the index has, or that of the octets where it has none (blobs of format 1).
fn digest_of(access: &Access<'_>, content: &mut Content, blob: BlobId, mut range: Range<u64>) -> Result<EmailId> {
    let record = access.context.tables.blob(access.txn, blob)?;
    let digest = record.ok_or_else(|| damaged("blobs", blob))?.digest;
    if digest != EmailId::default() {
        return Ok(digest);
    }
    let mut hasher = blake3::Hasher::new();
    let mut piece = Vec::new();
    while !range.is_empty() {
        let end = range.end.min(range.start.saturating_add(PIECE_OCTETS));
        piece.clear();
        content.read(access, range.start..end, &mut piece)?;
        hasher.update(&piece);
        range.start = end;
    }
    Ok(cut(&hasher))
}

fn cut(hasher: &blake3::Hasher) -> EmailId {
    let mut id = EmailId::default();
    id.copy_from_slice(&hasher.finalize().as_bytes()[..EMAIL_ID_OCTETS]);
    id
}

/// Appends it as `objectid`: M and hexadecimal digits.
pub fn write_email_id(out: &mut Vec<u8>, id: EmailId) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'M');
    for octet in id {
        out.push(DIGITS[usize::from(octet >> 4)]);
        out.push(DIGITS[usize::from(octet & 15)]);
    }
}

/// Reads what [`write_email_id`] has written; `None` for anything else, which names no message. Letters count: object
/// identifiers are compared octet by octet.
#[must_use]
pub fn read_email_id(text: &str) -> Option<EmailId> {
    let digits = text.strip_prefix('M')?.as_bytes();
    if digits.len() != 2 * EMAIL_ID_OCTETS {
        return None;
    }
    let mut id = EmailId::default();
    for (octet, pair) in id.iter_mut().zip(digits.chunks(2)) {
        for &digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *octet = *octet << 4 | value;
        }
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let id: EmailId = std::array::from_fn(|index| index as u8 * 17);
        let mut text = Vec::new();
        write_email_id(&mut text, id);
        let text = String::from_utf8(text).unwrap_or_default();
        assert_eq!(text, "M00112233445566778899aabbccddeeff");
        assert_eq!(read_email_id(&text), Some(id));
        for other in [
            "",
            "M",
            "m00112233445566778899aabbccddeeff",
            "M00112233445566778899AABBCCDDEEFF",
            "x",
        ] {
            assert_eq!(read_email_id(other), None, "{other}");
        }
    }
}
