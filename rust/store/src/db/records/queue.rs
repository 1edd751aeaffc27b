//! The outgoing queue, and leases.

use super::{FIRST, decode_with};
use crate::db::codec::put_short_bytes;
use crate::ids::{BlobId, WriterId};

/// `queue`, part 0: one item of the outgoing queue. A state longer than [`QueueRecord::STATE_OCTETS`] goes on in the
/// parts 1, 2, ... as plain octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueRecord {
    /// The body.
    pub blob: BlobId,
    /// Trace headers before it; 0 when there are none.
    pub prefix: BlobId,
    /// Octets of the prefix.
    pub prefix_len: u32,
    /// Octets of prefix and body.
    pub size: u32,
    /// When it is due, microseconds since 1970.
    pub due: u64,
    /// When it was queued, microseconds since 1970.
    pub created: u64,
    /// Parts that follow.
    pub parts: u16,
    /// The relay's own state, or its first piece.
    pub state: Vec<u8>,
}

impl QueueRecord {
    /// Octets of the state in one row at most: below LMDB's overflow limit.
    pub const STATE_OCTETS: usize = 1800;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.state.len());
        out.push(FIRST);
        out.extend_from_slice(&self.blob.to_le_bytes());
        out.extend_from_slice(&self.prefix.to_le_bytes());
        out.extend_from_slice(&self.prefix_len.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.due.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        put_short_bytes(&mut out, &self.state);
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(FIRST, bytes, |r| {
            Some(Self {
                blob: r.u64()?,
                prefix: r.u64()?,
                prefix_len: r.u32()?,
                size: r.u32()?,
                due: r.u64()?,
                created: r.u64()?,
                parts: r.u16()?,
                state: r.short_bytes()?.to_vec(),
            })
        })
    }
}

/// `leases`: who holds a name, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The writer that holds it.
    pub owner: WriterId,
    /// Microseconds since 1970.
    pub expires: u64,
}

impl LeaseRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FIRST];
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.extend_from_slice(&self.expires.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(FIRST, bytes, |r| {
            Some(Self {
                owner: r.u32()?,
                expires: r.u64()?,
            })
        })
    }
}
