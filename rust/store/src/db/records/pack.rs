//! Blobs, packs, and what is still to be purged.

use super::{SECOND, decode_with};
use crate::db::codec::put_short_bytes;
use crate::ids::{AccountId, BlobId, PackId};

/// `blobs`: where the octets are, and how many rows (messages and queue items) point here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// The file.
    pub pack: PackId,
    /// Where its record begins in the file.
    pub offset: u64,
    /// Octets of the whole record.
    pub length: u32,
    /// Octets of the contents.
    pub raw_len: u32,
    /// References; the row goes with the last.
    pub references: u32,
    /// The first octets of the contents' BLAKE3: finds the contents whatever pack they lie in.
    pub digest: [u8; 16],
}

impl BlobRecord {
    /// Length of the row.
    pub const OCTETS: usize = 45;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::OCTETS] {
        let mut out = [0; Self::OCTETS];
        out[0] = SECOND;
        out[1..9].copy_from_slice(&self.pack.0.to_le_bytes());
        out[9..17].copy_from_slice(&self.offset.to_le_bytes());
        out[17..21].copy_from_slice(&self.length.to_le_bytes());
        out[21..25].copy_from_slice(&self.raw_len.to_le_bytes());
        out[25..29].copy_from_slice(&self.references.to_le_bytes());
        out[29..45].copy_from_slice(&self.digest);
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                pack: PackId(r.u64()?),
                offset: r.u64()?,
                length: r.u32()?,
                raw_len: r.u32()?,
                references: r.u32()?,
                digest: r.array()?,
            })
        })
    }
}

/// Life of a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum PackState {
    /// Its writer appends.
    #[default]
    Active = 1,
    /// Never written again.
    Sealed = 2,
}

/// `packs`: one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackRecord {
    /// Life.
    pub state: PackState,
    /// Octets of records that a blob points to.
    pub live: u64,
    /// Octets of all records that the index has seen committed, living or not, and of the file's header.
    pub synced: u64,
    /// Blobs that point here.
    pub blobs: u32,
    /// Octets of journal records here that `store rebuild` would still need.
    pub journal: u64,
    /// No blob that points here has a smaller number; 0: none has come to point here yet.
    pub first_blob: BlobId,
    /// No blob that points here has a greater number.
    pub last_blob: BlobId,
    /// When it was sealed, Unix seconds; 0: not yet.
    pub sealed: u32,
}

impl PackRecord {
    /// A blob has come to point here, with a record of so many octets.
    pub fn point(&mut self, blob: BlobId, octets: u32) {
        self.live += u64::from(octets);
        self.blobs += 1;
        self.first_blob = if self.first_blob == 0 {
            blob
        } else {
            self.first_blob.min(blob)
        };
        self.last_blob = self.last_blob.max(blob);
    }

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SECOND, self.state as u8];
        out.extend_from_slice(&self.live.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.blobs.to_le_bytes());
        out.extend_from_slice(&self.journal.to_le_bytes());
        out.extend_from_slice(&self.first_blob.to_le_bytes());
        out.extend_from_slice(&self.last_blob.to_le_bytes());
        out.extend_from_slice(&self.sealed.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            let state = match r.u8()? {
                1 => PackState::Active,
                2 => PackState::Sealed,
                _ => return None,
            };
            Some(Self {
                state,
                live: r.u64()?,
                synced: r.u64()?,
                blobs: r.u32()?,
                journal: r.u64()?,
                first_blob: r.u64()?,
                last_blob: r.u64()?,
                sealed: r.u32()?,
            })
        })
    }
}

/// `doomed`: what is still to be purged in steps: a mailbox whose name is gone, an account, a pack file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoomedRecord {
    /// The account that a mailbox belonged to; 0 for a pack.
    pub account: AccountId,
    /// The name that a mailbox had, under which its messages are retained; empty: they are not.
    pub name: String,
}

impl DoomedRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SECOND];
        out.extend_from_slice(&self.account.to_le_bytes());
        put_short_bytes(&mut out, self.name.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                account: r.u32()?,
                name: r.short_text()?.to_owned(),
            })
        })
    }
}
