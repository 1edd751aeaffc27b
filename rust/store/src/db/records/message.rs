//! The hot row of a message, and of one that has been expunged but is still kept.

use super::{SECOND, decode_with};
use crate::db::codec::put_short_bytes;
use crate::ids::{BlobId, ModSeq};

/// \Seen, \Answered, \Flagged, \Deleted, \Draft as bits 0 to 4, as `SystemFlag::bit` of ironpost-proto has them.
pub mod flag {
    /// \Seen.
    pub const SEEN: u8 = 1;
    /// \Answered.
    pub const ANSWERED: u8 = 2;
    /// \Flagged.
    pub const FLAGGED: u8 = 4;
    /// \Deleted.
    pub const DELETED: u8 = 8;
    /// \Draft.
    pub const DRAFT: u8 = 16;
    /// All of them.
    pub const ALL: u8 = 31;
}

/// `messages`: the hot row of one message, [`MessageRecord::OCTETS`] long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRecord {
    /// System flags, bits of [`flag`].
    pub flags: u8,
    /// Zone of the internal date in minutes east of UTC.
    pub internal_zone: i16,
    /// The body as received.
    pub blob: BlobId,
    /// Trace headers before it; 0 when there are none.
    pub prefix: BlobId,
    /// Keywords by their numbers in the account.
    pub keywords: u64,
    /// Modseq of the latest change of the flags, or of the arrival.
    pub modseq: ModSeq,
    /// Internal date in Unix seconds (RFC 9051 §2.3.3).
    pub internal_date: i64,
    /// Octets of prefix and body together (RFC822.SIZE).
    pub size: u32,
    /// Octets of the prefix.
    pub prefix_len: u32,
    /// Thread; 0 until threads are built.
    pub thread: u64,
    /// When it came into this mailbox, Unix seconds (RFC 8514); what expiry counts from.
    pub saved: u32,
}

impl MessageRecord {
    /// Length of the row.
    pub const OCTETS: usize = 64;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::OCTETS] {
        let mut out = [0; Self::OCTETS];
        out[0] = SECOND;
        out[1] = self.flags;
        out[2..4].copy_from_slice(&self.internal_zone.to_le_bytes());
        out[4..12].copy_from_slice(&self.blob.to_le_bytes());
        out[12..20].copy_from_slice(&self.prefix.to_le_bytes());
        out[20..28].copy_from_slice(&self.keywords.to_le_bytes());
        out[28..36].copy_from_slice(&self.modseq.to_le_bytes());
        out[36..44].copy_from_slice(&self.internal_date.to_le_bytes());
        out[44..48].copy_from_slice(&self.size.to_le_bytes());
        out[48..52].copy_from_slice(&self.prefix_len.to_le_bytes());
        out[52..60].copy_from_slice(&self.thread.to_le_bytes());
        out[60..64].copy_from_slice(&self.saved.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                flags: r.u8()?,
                internal_zone: r.i16()?,
                blob: r.u64()?,
                prefix: r.u64()?,
                keywords: r.u64()?,
                modseq: r.u64()?,
                internal_date: r.i64()?,
                size: r.u32()?,
                prefix_len: r.u32()?,
                thread: r.u64()?,
                saved: r.u32()?,
            })
        })
    }
}

/// `retained`: a message that was expunged and may still be recovered. It keeps its references to blobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetainedRecord {
    /// As it was.
    pub message: MessageRecord,
    /// Name of the mailbox that it was in.
    pub name: String,
}

impl RetainedRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1 + MessageRecord::OCTETS + 2 + self.name.len());
        out.push(SECOND);
        out.extend_from_slice(&self.message.encode());
        put_short_bytes(&mut out, self.name.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                message: MessageRecord::decode(r.take(MessageRecord::OCTETS)?)?,
                name: r.short_text()?.to_owned(),
            })
        })
    }
}
