//! The manifest of an account's segments: which files count, and up to where the account is covered.
//!
//! It is replaced as a whole (temporary name, sync, rename, sync of the folder). A file that it does not name is left
//! over from a crash and removed; without a readable manifest the account is indexed anew. It belongs to one index: when that
//! is made anew from the packs, blobs get other numbers.
//!
//! ```text
//! "IRONGMAN", format u32, text version u32, account u32, identity of the index (16), covered modseq u64, segments u32,
//! (number u64, octets u64, documents u32)*, CRC32 of all before
//! ```

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::write::Written;
use crate::db::codec::Reader;
use crate::ids::{AccountId, ModSeq};
use crate::prepare::sync_folder;

const MAGIC: &[u8; 8] = b"IRONGMAN";
const FORMAT: u32 = 1;
const NAME: &str = "manifest";
const TEMPORARY: &str = "manifest.tmp";
/// Segments that an account can have: more than a hundred million messages need.
const SEGMENTS_MAX: usize = 65_536;

/// Whose a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Identity of the index (`meta["volume"]`).
    pub identity: [u8; 16],
    /// The account.
    pub account: AccountId,
}

/// What counts of an account's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// All messages that came with changes up to here are in a segment, or gone.
    pub covered: ModSeq,
    /// The segments, the oldest first.
    pub segments: Vec<Written>,
}

impl Manifest {
    /// Reads the manifest in the folder of an account. The empty one when there is none, it is damaged, or of another
    /// release.
    ///
    /// # Errors
    /// What the file system raises besides.
    pub fn read(folder: &Path, owner: &Owner) -> std::io::Result<Self> {
        match std::fs::read(folder.join(NAME)) {
            Ok(bytes) => Ok(Self::decode(&bytes, owner).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the manifest, durably.
    ///
    /// # Errors
    /// What the file system raises; the former one stands then.
    pub fn write(&self, folder: &Path, owner: &Owner) -> std::io::Result<()> {
        let temporary = folder.join(TEMPORARY);
        let mut file = File::create(&temporary)?;
        file.write_all(&self.encode(owner))?;
        rustix::fs::fsync(&file)?;
        std::fs::rename(&temporary, folder.join(NAME))?;
        sync_folder(folder)
    }

    /// Octets of all segments.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.segments.iter().map(|segment| segment.octets).sum()
    }

    /// Documents of all segments.
    #[must_use]
    pub fn documents(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.documents)).sum()
    }

    fn encode(&self, owner: &Owner) -> Vec<u8> {
        let mut out = Vec::with_capacity(56 + self.segments.len() * 20);
        out.extend_from_slice(MAGIC);
        for word in [FORMAT, super::text_version(), owner.account] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&owner.identity);
        out.extend_from_slice(&self.covered.to_le_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.number.to_le_bytes());
            out.extend_from_slice(&segment.octets.to_le_bytes());
            out.extend_from_slice(&segment.documents.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8], owner: &Owner) -> Option<Self> {
        let (body, crc) = bytes.split_last_chunk()?;
        let mut r = Reader(body);
        let fits = crc32fast::hash(body) == u32::from_le_bytes(*crc)
            && r.take(8)? == MAGIC
            && r.u32()? == FORMAT
            && r.u32()? == super::text_version()
            && r.u32()? == owner.account
            && r.array::<16>()? == owner.identity;
        if !fits {
            return None;
        }
        let covered = r.u64()?;
        let count = r.u32()? as usize;
        if count > SEGMENTS_MAX || r.0.len() != count * 20 {
            return None;
        }
        let segment = |r: &mut Reader<'_>| {
            Some(Written {
                number: r.u64()?,
                octets: r.u64()?,
                documents: r.u32()?,
            })
        };
        let segments = (0..count).map(|_| segment(&mut r)).collect::<Option<Vec<Written>>>()?;
        Some(Self { covered, segments })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn owner(account: AccountId) -> Owner {
        Owner {
            identity: [1; 16],
            account,
        }
    }

    #[test]
    fn damage_makes_it_empty() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = Manifest {
            covered: 77,
            segments: vec![Written {
                number: 3,
                octets: 1000,
                documents: 12,
            }],
        };
        assert_eq!(Manifest::read(folder.path(), &owner(7)).unwrap(), Manifest::default());
        manifest.write(folder.path(), &owner(7)).unwrap();
        assert_eq!(Manifest::read(folder.path(), &owner(7)).unwrap(), manifest);
        assert_eq!(
            Manifest::read(folder.path(), &owner(8)).unwrap(),
            Manifest::default(),
            "another's"
        );
        let another = Owner {
            identity: [2; 16],
            account: 7,
        };
        assert_eq!(
            Manifest::read(folder.path(), &another).unwrap(),
            Manifest::default(),
            "of an index that is gone"
        );
        let path = folder.path().join(NAME);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(
                Manifest::read(folder.path(), &owner(7)).unwrap(),
                Manifest::default(),
                "{at}"
            );
            std::fs::write(&path, &bytes[..at]).unwrap();
            assert_eq!(
                Manifest::read(folder.path(), &owner(7)).unwrap(),
                Manifest::default(),
                "{at}"
            );
        }
    }
}
