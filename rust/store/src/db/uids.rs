//! Rows of `uidmap`: three sets of 4,096 bits (present, \Seen, \Deleted), each in its shortest form.

use super::codec::Reader;
use super::keys::UIDS_PER_CHUNK;
use super::records::flag;

/// Words of a set.
const WORDS: usize = UIDS_PER_CHUNK as usize / 64;
/// More runs than these, of four octets each, are not shorter than plain bits.
const RUNS_MAX: usize = WORDS * 2 - 1;
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

    /// Adds all positions from the first to the last, which is below 4,096: by words, since every batch reads and writes
    /// the sets of the mailboxes that it touches.
    fn fill(&mut self, first: u32, last: u32) {
        let (from, until) = (first as usize / 64, last as usize / 64);
        for (index, word) in self.0.iter_mut().enumerate().take(until + 1).skip(from) {
            let above = if index == from { !0 << (first % 64) } else { !0 };
            let below = if index == until { !0 >> (63 - last % 64) } else { !0 };
            *word |= above & below;
        }
    }

    /// Runs of adjacent members as (first, last), as many as are shorter than plain bits and one more.
    fn runs(&self) -> Vec<(u16, u16)> {
        let mut runs = Vec::new();
        let mut open = None;
        for (index, &word) in self.0.iter().enumerate() {
            let base = index as u32 * 64;
            let mut at = 0;
            while at < 64 {
                let rest = word >> at;
                if let Some(first) = open {
                    at += rest.trailing_ones();
                    if at < 64 {
                        runs.push((first, (base + at - 1) as u16));
                        open = None;
                    }
                } else if rest == 0 {
                    break;
                } else {
                    at += rest.trailing_zeros();
                    open = Some((base + at) as u16);
                }
            }
            if runs.len() > RUNS_MAX {
                return runs;
            }
        }
        runs.extend(open.map(|first| (first, (UIDS_PER_CHUNK - 1) as u16)));
        runs
    }

    /// A length in octets: 0 empty, 512 plain bits, else 4 octets for each run.
    fn encode(&self, out: &mut Vec<u8>) {
        let runs = self.runs();
        if runs.len() <= RUNS_MAX {
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
            set.fill(first, last);
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
    /// The plain bits or the runs of a set, made position by position.
    fn plainly(set: &BitSet) -> Vec<u8> {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for position in (0..4096).filter(|position| set.contains(*position)) {
            let position = position as u16;
            match runs.last_mut() {
                Some(run) if run.1 + 1 == position => run.1 = position,
                _ => runs.push((position, position)),
            }
        }
        let body: Vec<u8> = if runs.len() * 4 < 512 {
            let numbers = runs.iter().flat_map(|(first, last)| [*first, *last]);
            numbers.flat_map(u16::to_le_bytes).collect()
        } else {
            set.0.iter().flat_map(|word| word.to_le_bytes()).collect()
        };
        [&(body.len() as u16).to_le_bytes()[..], &body].concat()
    }

    #[test]
    fn words_and_positions_agree() {
        let ranges: [&[(u32, u32)]; 12] = [
            &[],
            &[(0, 0)],
            &[(4095, 4095)],
            &[(0, 4095)],
            &[(0, 63)],
            &[(64, 127)],
            &[(63, 64)],
            &[(1, 62), (64, 64), (66, 190), (192, 4094)],
            &[(0, 62), (64, 4095)],
            &[(127, 128), (4032, 4095)],
            &[(5, 5), (7, 9), (63, 63), (65, 65)],
            &[(0, 2047), (2049, 4095)],
        ];
        for ranges in ranges {
            let (mut filled, mut set) = (BitSet::default(), BitSet::default());
            for &(first, last) in ranges {
                filled.fill(first, last);
                for position in first..=last {
                    set.set(position, true);
                }
            }
            assert_eq!(filled, set, "{ranges:?}");
            let mut encoded = Vec::new();
            set.encode(&mut encoded);
            assert_eq!(encoded, plainly(&set), "{ranges:?}");
            assert_eq!(BitSet::decode(&mut Reader(&encoded)), Some(set), "{ranges:?}");
        }
        // From few and long runs to many and short ones, across the bound between both forms.
        let mut state = 88_172_645_463_325_252_u64;
        for density in 1..64 {
            let mut set = BitSet::default();
            for position in 0..4096 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                set.set(position, state % 64 < density);
            }
            let mut encoded = Vec::new();
            set.encode(&mut encoded);
            assert_eq!(encoded, plainly(&set), "{density}");
            assert_eq!(BitSet::decode(&mut Reader(&encoded)), Some(set), "{density}");
        }
        for runs in [126, 127, 128, 129] {
            let mut set = BitSet::default();
            for run in 0..runs {
                set.set(run * 3, true);
            }
            let mut encoded = Vec::new();
            set.encode(&mut encoded);
            assert_eq!(encoded, plainly(&set), "{runs}");
        }
    }
}
