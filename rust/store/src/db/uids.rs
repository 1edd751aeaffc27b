//! Rows of `uidmap`: three sets of 4,096 bits (present, \Seen, \Deleted), each in its shortest form.

use super::codec::Reader;
use super::keys::UIDS_PER_CHUNK;
use super::records::flag;

/// Words of a set.
const WORDS: usize = UIDS_PER_CHUNK as usize / 64;
/// Codec version, the row's first octet.
const VERSION: u8 = 1;

/// A set of positions below 4,096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitSet(pub [u64; WORDS]);

impl Default for BitSet {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl BitSet {
    /// True when the position is in the set; positions beyond 4,095 are not.
    #[must_use]
    pub fn contains(&self, position: u32) -> bool {
        self.0
            .get(position as usize / 64)
            .is_some_and(|word| word >> (position % 64) & 1 == 1)
    }

    /// Adds or removes a position; true when that changed the set.
    pub fn set(&mut self, position: u32, member: bool) -> bool {
        let Some(word) = self.0.get_mut(position as usize / 64) else {
            return false;
        };
        let mask = 1_u64 << (position % 64);
        let before = *word;
        *word = if member { before | mask } else { before & !mask };
        *word != before
    }

    /// How many positions are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                if rest == 0 {
                    return None;
                }
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                Some(index as u32 * 64 + bit)
            })
        })
    }

    /// Runs of adjacent members as (first, last).
    fn runs(&self) -> Vec<(u16, u16)> {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for position in self.iter() {
            let position = position as u16;
            match runs.last_mut() {
                Some(run) if run.1 + 1 == position => run.1 = position,
                _ => runs.push((position, position)),
            }
        }
        runs
    }

    /// A length in octets: 0 empty, 512 plain bits, else 4 octets for each run.
    fn encode(&self, out: &mut Vec<u8>) {
        let runs = self.runs();
        if runs.len() * 4 < WORDS * 8 {
            out.extend_from_slice(&((runs.len() * 4) as u16).to_le_bytes());
            for (first, last) in runs {
                out.extend_from_slice(&first.to_le_bytes());
                out.extend_from_slice(&last.to_le_bytes());
            }
        } else {
            out.extend_from_slice(&((WORDS * 8) as u16).to_le_bytes());
            for word in self.0 {
                out.extend_from_slice(&word.to_le_bytes());
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let length = usize::from(reader.u16()?);
        let mut body = Reader(reader.take(length)?);
        let mut set = Self::default();
        if length == WORDS * 8 {
            for word in &mut set.0 {
                *word = body.u64()?;
            }
            return Some(set);
        }
        if length > WORDS * 8 || length % 4 != 0 {
            return None;
        }
        for _ in 0..length / 4 {
            let (first, last) = (u32::from(body.u16()?), u32::from(body.u16()?));
            if last >= UIDS_PER_CHUNK || first > last {
                return None;
            }
            for position in first..=last {
                set.set(position, true);
            }
        }
        Some(set)
    }
}

/// One row of `uidmap`: which of 4,096 UIDs exist, and which of them have \Seen and \Deleted.
///
/// Position `p` of chunk `c` is UID `c * 4096 + p`. \Seen and \Deleted are subsets of `present`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidChunk {
    /// Messages that exist.
    pub present: BitSet,
    /// Those with \Seen.
    pub seen: BitSet,
    /// Those with \Deleted.
    pub deleted: BitSet,
}

impl UidChunk {
    /// A message with these system flags is at the position.
    pub fn put(&mut self, position: u32, flags: u8) {
        self.present.set(position, true);
        self.seen.set(position, flags & flag::SEEN != 0);
        self.deleted.set(position, flags & flag::DELETED != 0);
    }

    /// At most 1,543 octets: below LMDB's overflow limit.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.push(VERSION);
        self.present.encode(&mut out);
        self.seen.encode(&mut out);
        self.deleted.encode(&mut out);
        out
    }

    /// `None` when the row is damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let chunk = Self {
            present: BitSet::decode(&mut reader)?,
            seen: BitSet::decode(&mut reader)?,
            deleted: BitSet::decode(&mut reader)?,
        };
        reader.0.is_empty().then_some(chunk)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn round_trip_in_every_form() {
        for step in [1_usize, 2, 3, 40, 4095] {
            let mut chunk = UidChunk::default();
            for position in (0..4096).step_by(step) {
                chunk.present.set(position, true);
                chunk.seen.set(position, position % 3 == 0);
            }
            chunk.deleted.set(4095, true);
            let bytes = chunk.encode();
            assert!(bytes.len() <= 1543);
            assert_eq!(UidChunk::decode(&bytes).unwrap(), chunk);
            for cut in 0..bytes.len() {
                assert_eq!(UidChunk::decode(&bytes[..cut]), None);
            }
        }
        assert_eq!(UidChunk::default().encode(), [1, 0, 0, 0, 0, 0, 0]);
    }
}
