//! A sorted set of UIDs with rank (UID to message number) and select (message number to UID).
//!
//! UIDs lie in chunks of 4,096, the same as the rows of `uidmap`. A chunk is a bitmap when it holds more than 256 members
//! and a sorted list else, so that a member costs between one bit and two octets (beside the chunk's own 48). Message
//! numbers are those of RFC 9051 §2.3.1.2: 1 for the smallest UID, without gaps.

use std::cmp::Ordering;

/// UIDs a chunk covers.
pub const CHUNK_UIDS: u32 = 4096;
/// Words of a chunk's bitmap.
pub const CHUNK_WORDS: usize = 64;
/// A list of that many two-octet members is as large as the bitmap.
const LIST_MEMBERS_MAX: usize = 256;

/// One chunk as a bitmap: bit `uid % 4096`.
pub type ChunkBits = [u64; CHUNK_WORDS];

/// The members of one chunk.
#[derive(Clone, Debug)]
enum Members {
    /// Ascending low parts.
    List(Vec<u16>),
    /// One bit for each UID.
    Bits(Box<ChunkBits>),
}

/// One chunk that is not empty.
#[derive(Clone, Debug)]
struct Chunk {
    /// `uid / 4096`.
    number: u32,
    /// Members of all chunks before this one.
    before: u32,
    /// Members here, at least one.
    count: u32,
    members: Members,
}

/// A set of UIDs.
#[derive(Clone, Debug, Default)]
pub struct UidSet {
    chunks: Vec<Chunk>,
}

impl Members {
    fn from_bits(bits: &ChunkBits) -> (Self, u32) {
        let count = count_bits(bits);
        if count as usize > LIST_MEMBERS_MAX {
            return (Self::Bits(Box::new(*bits)), count);
        }
        let mut list = Vec::with_capacity(count as usize);
        each_bit(bits, |low| list.push(low));
        (Self::List(list), count)
    }

    fn to_bits(&self) -> ChunkBits {
        match self {
            Self::Bits(bits) => **bits,
            Self::List(list) => {
                let mut bits = [0; CHUNK_WORDS];
                for &low in list {
                    set_bit(&mut bits, low);
                }
                bits
            }
        }
    }

    fn contains(&self, low: u16) -> bool {
        match self {
            Self::Bits(bits) => bits[usize::from(low) / 64] >> (low % 64) & 1 == 1,
            Self::List(list) => list.binary_search(&low).is_ok(),
        }
    }

    /// Members below `low`.
    fn below(&self, low: u16) -> u32 {
        match self {
            Self::Bits(bits) => {
                let word = usize::from(low) / 64;
                let full: u32 = bits[..word].iter().map(|word| word.count_ones()).sum();
                full + (bits[word] & ((1 << (low % 64)) - 1)).count_ones()
            }
            Self::List(list) => list.partition_point(|&member| member < low) as u32,
        }
    }

    /// The member with `index` members below it.
    fn nth(&self, index: u32) -> Option<u16> {
        match self {
            Self::List(list) => list.get(index as usize).copied(),
            Self::Bits(bits) => {
                let mut left = index;
                for (number, &word) in bits.iter().enumerate() {
                    let ones = word.count_ones();
                    if left < ones {
                        return Some(number as u16 * 64 + nth_bit(word, left));
                    }
                    left -= ones;
                }
                None
            }
        }
    }

    fn first_from(&self, low: u16) -> Option<u16> {
        match self {
            Self::List(list) => list.get(list.partition_point(|&member| member < low)).copied(),
            Self::Bits(bits) => {
                let start = usize::from(low) / 64;
                for (number, &word) in bits.iter().enumerate().skip(start) {
                    let masked = if number == start {
                        word & (!0 << (low % 64))
                    } else {
                        word
                    };
                    if masked != 0 {
                        return Some(number as u16 * 64 + masked.trailing_zeros() as u16);
                    }
                }
                None
            }
        }
    }
}

impl UidSet {
    /// The empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of UIDs that come in ascending order; a repeated or smaller one is put in its place all the same.
    pub fn from_ascending(uids: impl IntoIterator<Item = u32>) -> Self {
        let mut set = Self::new();
        let mut bits = [0; CHUNK_WORDS];
        let mut current = None;
        for uid in uids {
            let number = uid / CHUNK_UIDS;
            match current {
                Some(chunk) if chunk == number => {}
                Some(chunk) => {
                    set.union_chunk(chunk, &bits);
                    bits = [0; CHUNK_WORDS];
                    current = Some(number);
                }
                None => current = Some(number),
            }
            set_bit(&mut bits, (uid % CHUNK_UIDS) as u16);
        }
        if let Some(chunk) = current {
            set.union_chunk(chunk, &bits);
        }
        set
    }

    /// How many UIDs: EXISTS.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.chunks.last().map_or(0, |chunk| chunk.before + chunk.count)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The smallest UID.
    #[must_use]
    pub fn first(&self) -> Option<u32> {
        self.first_from(0)
    }

    /// The largest UID.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        let chunk = self.chunks.last()?;
        chunk
            .members
            .nth(chunk.count - 1)
            .map(|low| chunk.number * CHUNK_UIDS + u32::from(low))
    }

    /// Whether the UID is a member.
    #[must_use]
    pub fn contains(&self, uid: u32) -> bool {
        self.position(uid / CHUNK_UIDS)
            .is_ok_and(|index| self.chunks[index].members.contains((uid % CHUNK_UIDS) as u16))
    }

    /// Members smaller than `uid`.
    #[must_use]
    pub fn below(&self, uid: u32) -> u32 {
        match self.position(uid / CHUNK_UIDS) {
            Ok(index) => {
                let chunk = &self.chunks[index];
                chunk.before + chunk.members.below((uid % CHUNK_UIDS) as u16)
            }
            Err(index) => self.chunks.get(index).map_or(self.len(), |chunk| chunk.before),
        }
    }

    /// The message number of a UID, from 1; `None` when it is not a member.
    #[must_use]
    pub fn rank(&self, uid: u32) -> Option<u32> {
        self.contains(uid).then(|| self.below(uid) + 1)
    }

    /// The UID of a message number, from 1; `None` beyond the end.
    #[must_use]
    pub fn select(&self, number: u32) -> Option<u32> {
        let index = number.checked_sub(1)?;
        let position = self
            .chunks
            .partition_point(|chunk| chunk.before <= index)
            .checked_sub(1)?;
        let chunk = &self.chunks[position];
        chunk
            .members
            .nth(index - chunk.before)
            .map(|low| chunk.number * CHUNK_UIDS + u32::from(low))
    }

    /// The smallest member that is not smaller than `uid`.
    #[must_use]
    pub fn first_from(&self, uid: u32) -> Option<u32> {
        let number = uid / CHUNK_UIDS;
        let index = match self.position(number) {
            Ok(index) => {
                let chunk = &self.chunks[index];
                if let Some(low) = chunk.members.first_from((uid % CHUNK_UIDS) as u16) {
                    return Some(number * CHUNK_UIDS + u32::from(low));
                }
                index + 1
            }
            Err(index) => index,
        };
        let chunk = self.chunks.get(index)?;
        chunk
            .members
            .nth(0)
            .map(|low| chunk.number * CHUNK_UIDS + u32::from(low))
    }

    /// Adds a UID; false when it was there.
    pub fn insert(&mut self, uid: u32) -> bool {
        let (number, low) = (uid / CHUNK_UIDS, (uid % CHUNK_UIDS) as u16);
        let index = match self.position(number) {
            Ok(index) => index,
            Err(index) => {
                let before = self.chunks.get(index).map_or(self.len(), |chunk| chunk.before);
                let members = Members::List(vec![low]);
                self.chunks.insert(
                    index,
                    Chunk {
                        number,
                        before,
                        count: 1,
                        members,
                    },
                );
                self.shift_after(index, 1);
                return true;
            }
        };
        let chunk = &mut self.chunks[index];
        if chunk.members.contains(low) {
            return false;
        }
        match &mut chunk.members {
            Members::Bits(bits) => set_bit(bits, low),
            Members::List(list) if list.len() < LIST_MEMBERS_MAX => {
                let place = list.partition_point(|&member| member < low);
                list.insert(place, low);
            }
            Members::List(_) => {
                let mut bits = chunk.members.to_bits();
                set_bit(&mut bits, low);
                chunk.members = Members::Bits(Box::new(bits));
            }
        }
        chunk.count += 1;
        self.shift_after(index, 1);
        true
    }

    /// Takes a UID out; false when it was not there.
    pub fn remove(&mut self, uid: u32) -> bool {
        let low = (uid % CHUNK_UIDS) as u16;
        let Ok(index) = self.position(uid / CHUNK_UIDS) else {
            return false;
        };
        let chunk = &mut self.chunks[index];
        if !chunk.members.contains(low) {
            return false;
        }
        chunk.count -= 1;
        match &mut chunk.members {
            Members::Bits(bits) => {
                bits[usize::from(low) / 64] &= !(1 << (low % 64));
                if (chunk.count as usize) < LIST_MEMBERS_MAX / 2 {
                    let (members, _) = Members::from_bits(bits);
                    chunk.members = members;
                }
            }
            Members::List(list) => {
                if let Ok(place) = list.binary_search(&low) {
                    list.remove(place);
                }
            }
        }
        let empty = chunk.count == 0;
        self.shift_after(index, -1);
        if empty {
            self.chunks.remove(index);
        }
        true
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter_range(0, u32::MAX)
    }

    /// The members from `first` to `last`, both included, ascending.
    pub fn iter_range(&self, first: u32, last: u32) -> impl Iterator<Item = u32> + '_ {
        let start = self.chunks.partition_point(|chunk| chunk.number < first / CHUNK_UIDS);
        RangeIter {
            chunks: self.chunks[start..].iter(),
            current: None,
            first,
            last,
        }
    }

    /// The members as ascending ranges with gaps between them.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for uid in self.iter() {
            match ranges.last_mut() {
                Some(range) if range.1.checked_add(1) == Some(uid) => range.1 = uid,
                _ => ranges.push((uid, uid)),
            }
        }
        ranges
    }

    /// The members in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, false, false, |left, right| left & right)
    }

    /// The members in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.combine(other, true, true, |left, right| left | right)
    }

    /// The members of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, true, false, |left, right| left & !right)
    }

    /// The members within ascending, disjoint ranges.
    #[must_use]
    pub fn within(&self, ranges: &[(u32, u32)]) -> Self {
        Self::from_ascending(ranges.iter().flat_map(|&(first, last)| self.iter_range(first, last)))
    }

    /// Adds all members of a chunk given as a bitmap.
    pub fn union_chunk(&mut self, number: u32, bits: &ChunkBits) {
        if bits.iter().all(|&word| word == 0) {
            return;
        }
        match self.position(number) {
            Ok(index) => {
                let mut merged = self.chunks[index].members.to_bits();
                for (word, more) in merged.iter_mut().zip(bits) {
                    *word |= more;
                }
                let (members, count) = Members::from_bits(&merged);
                let grown = count - self.chunks[index].count;
                self.chunks[index].members = members;
                self.chunks[index].count = count;
                self.shift_after(index, grown as i32);
            }
            Err(index) => {
                let (members, count) = Members::from_bits(bits);
                let before = self.chunks.get(index).map_or(self.len(), |chunk| chunk.before);
                self.chunks.insert(
                    index,
                    Chunk {
                        number,
                        before,
                        count,
                        members,
                    },
                );
                self.shift_after(index, count as i32);
            }
        }
    }

    /// Octets of memory in use, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let members: usize = self
            .chunks
            .iter()
            .map(|chunk| match &chunk.members {
                Members::List(list) => list.capacity() * size_of::<u16>(),
                Members::Bits(_) => size_of::<ChunkBits>(),
            })
            .sum();
        size_of::<Self>() + self.chunks.capacity() * size_of::<Chunk>() + members
    }

    fn position(&self, number: u32) -> Result<usize, usize> {
        // New mail comes at the end, so the last chunk is looked at first.
        match self.chunks.last() {
            Some(last) if last.number == number => Ok(self.chunks.len() - 1),
            Some(last) if last.number < number => Err(self.chunks.len()),
            _ => self.chunks.binary_search_by_key(&number, |chunk| chunk.number),
        }
    }

    fn shift_after(&mut self, index: usize, by: i32) {
        for chunk in self.chunks.iter_mut().skip(index + 1) {
            chunk.before = chunk.before.saturating_add_signed(by);
        }
    }

    fn combine(&self, other: &Self, keep_left: bool, keep_right: bool, join: impl Fn(u64, u64) -> u64) -> Self {
        let mut result = Self {
            chunks: Vec::with_capacity(self.chunks.len()),
        };
        let (mut left, mut right) = (self.chunks.iter().peekable(), other.chunks.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => left.number.cmp(&right.number),
            };
            let chunk = match order {
                Ordering::Less => left.next().filter(|_| keep_left).cloned(),
                Ordering::Greater => right.next().filter(|_| keep_right).cloned(),
                Ordering::Equal => match (left.next(), right.next()) {
                    (Some(left), Some(right)) => {
                        let (mine, others) = (left.members.to_bits(), right.members.to_bits());
                        let bits: ChunkBits = std::array::from_fn(|word| join(mine[word], others[word]));
                        let (members, count) = Members::from_bits(&bits);
                        Some(Chunk {
                            number: left.number,
                            before: 0,
                            count,
                            members,
                        })
                    }
                    _ => None,
                },
            };
            if let Some(mut chunk) = chunk.filter(|chunk| chunk.count > 0) {
                chunk.before = result.len();
                result.chunks.push(chunk);
            }
        }
        result
    }
}

impl PartialEq for UidSet {
    fn eq(&self, other: &Self) -> bool {
        self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(|(left, right)| {
                left.number == right.number
                    && left.count == right.count
                    && left.members.to_bits() == right.members.to_bits()
            })
    }
}

impl Eq for UidSet {}

impl FromIterator<u32> for UidSet {
    fn from_iter<I: IntoIterator<Item = u32>>(uids: I) -> Self {
        Self::from_ascending(uids)
    }
}

/// The members of a range, ascending.
struct RangeIter<'a> {
    chunks: std::slice::Iter<'a, Chunk>,
    current: Option<ChunkIter<'a>>,
    first: u32,
    last: u32,
}

impl Iterator for RangeIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        loop {
            if let Some(current) = &mut self.current {
                for uid in current {
                    if uid >= self.first {
                        return (uid <= self.last).then_some(uid);
                    }
                }
            }
            let chunk = self
                .chunks
                .next()
                .filter(|chunk| chunk.number <= self.last / CHUNK_UIDS)?;
            self.current = Some(ChunkIter::over(chunk));
        }
    }
}

/// The members of one chunk, ascending.
enum ChunkIter<'a> {
    List {
        base: u32,
        members: std::slice::Iter<'a, u16>,
    },
    Bits {
        base: u32,
        bits: &'a ChunkBits,
        word: usize,
        left: u64,
    },
}

impl<'a> ChunkIter<'a> {
    fn over(chunk: &'a Chunk) -> Self {
        let base = chunk.number * CHUNK_UIDS;
        match &chunk.members {
            Members::List(list) => Self::List {
                base,
                members: list.iter(),
            },
            Members::Bits(bits) => Self::Bits {
                base,
                bits,
                word: 0,
                left: bits[0],
            },
        }
    }
}

impl Iterator for ChunkIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Self::List { base, members } => members.next().map(|&low| *base + u32::from(low)),
            Self::Bits { base, bits, word, left } => {
                while *left == 0 {
                    *word += 1;
                    *left = *bits.get(*word)?;
                }
                let uid = *base + *word as u32 * 64 + left.trailing_zeros();
                *left &= *left - 1;
                Some(uid)
            }
        }
    }
}

fn set_bit(bits: &mut ChunkBits, low: u16) {
    bits[usize::from(low) / 64 % CHUNK_WORDS] |= 1 << (low % 64);
}

fn count_bits(bits: &ChunkBits) -> u32 {
    bits.iter().map(|word| word.count_ones()).sum()
}

fn each_bit(bits: &ChunkBits, mut take: impl FnMut(u16)) {
    for (number, &word) in bits.iter().enumerate() {
        let mut left = word;
        while left != 0 {
            take(number as u16 * 64 + left.trailing_zeros() as u16);
            left &= left - 1;
        }
    }
}

fn nth_bit(word: u64, index: u32) -> u16 {
    let mut left = word;
    for _ in 0..index {
        left &= left - 1;
    }
    left.trailing_zeros() as u16
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn check(set: &UidSet, model: &[u32]) {
        assert_eq!(set.len() as usize, model.len());
        assert_eq!(set.iter().collect::<Vec<_>>(), model);
        assert_eq!(set.first(), model.first().copied());
        assert_eq!(set.last(), model.last().copied());
        for (index, &uid) in model.iter().enumerate() {
            assert_eq!(set.rank(uid), Some(index as u32 + 1));
            assert_eq!(set.select(index as u32 + 1), Some(uid));
        }
        assert_eq!(set.select(0), None);
        assert_eq!(set.select(model.len() as u32 + 1), None);
    }

    fn uids() -> impl Strategy<Value = Vec<u32>> {
        prop_oneof![
            prop::collection::btree_set(1_u32..9000, 0..1500),
            prop::collection::btree_set(1_u32..=u32::MAX, 0..40),
        ]
        .prop_map(|set| set.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn rank_and_select_agree_with_a_vec(model in uids(), probes in prop::collection::vec(0_u32..10000, 20)) {
            let set = UidSet::from_ascending(model.iter().copied());
            check(&set, &model);
            for probe in probes {
                let below = model.iter().filter(|&&uid| uid < probe).count() as u32;
                prop_assert_eq!(set.below(probe), below);
                prop_assert_eq!(set.contains(probe), model.contains(&probe));
                prop_assert_eq!(set.first_from(probe), model.get(below as usize).copied());
            }
        }

        #[test]
        fn insert_and_remove_agree_with_a_set(steps in prop::collection::vec((any::<bool>(), 1_u32..6000), 0..3000)) {
            let (mut set, mut model) = (UidSet::new(), std::collections::BTreeSet::new());
            for (add, uid) in steps {
                if add {
                    prop_assert_eq!(set.insert(uid), model.insert(uid));
                } else {
                    prop_assert_eq!(set.remove(uid), model.remove(&uid));
                }
            }
            check(&set, &model.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn algebra_agrees_with_sets(left in uids(), right in uids()) {
            use std::collections::BTreeSet;
            let (a, b) = (UidSet::from_ascending(left.iter().copied()), UidSet::from_ascending(right.iter().copied()));
            let (x, y): (BTreeSet<u32>, BTreeSet<u32>) = (left.into_iter().collect(), right.into_iter().collect());
            check(&a.intersection(&b), &x.intersection(&y).copied().collect::<Vec<_>>());
            check(&a.union(&b), &x.union(&y).copied().collect::<Vec<_>>());
            check(&a.difference(&b), &x.difference(&y).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn iter_range_takes_both_ends() {
        let set = UidSet::from_ascending([1, 5, 4095, 4096, 9000]);
        assert_eq!(set.iter_range(5, 4096).collect::<Vec<_>>(), [5, 4095, 4096]);
        assert_eq!(set.iter_range(9001, u32::MAX).count(), 0);
        assert_eq!(set.ranges(), [(1, 1), (5, 5), (4095, 4096), (9000, 9000)]);
        assert_eq!(
            set.within(&[(1, 4), (4096, 20000)]).iter().collect::<Vec<_>>(),
            [1, 4096, 9000]
        );
        assert_eq!(UidSet::from_ascending([u32::MAX]).iter().next().unwrap(), u32::MAX);
    }

    #[test]
    fn a_dense_mailbox_costs_little() {
        let set = UidSet::from_ascending(1..=100_000);
        assert!(set.memory() < 100_000, "{} octets for 100,000 messages", set.memory());
    }
}
