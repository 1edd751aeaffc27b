//! Posting lists: which documents hold a gram, as Rice-coded gaps.
//!
//! A list of n out of N documents takes about n · (log2(N/n) + 1.5) bits, close to what any code can do; for half of
//! the documents that is a plain bitmap. Of a list with more than seven tenths of all documents those that are absent
//! are written. The octets: one that holds the parameter (lower five bits) and the mark of a list of absent ones (the
//! uppermost), then for each gap its quotient in zeros, a one, and the remainder; zeros fill the last octet.

/// Mark of a list of absent documents.
const ABSENT: u8 = 0x80;
/// Bits of the parameter.
const PARAMETER: u8 = 0x1f;

/// Appends an ascending list without doubles, all below `documents`.
pub fn encode(list: &[u32], documents: u32, out: &mut Vec<u8>) {
    if (list.len() as u64) * 10 <= u64::from(documents) * 7 {
        encode_gaps(list.iter().copied(), list.len(), documents, 0, out);
        return;
    }
    let mut present = list.iter().copied().peekable();
    let absent = (0..documents).filter(|&ordinal| present.next_if_eq(&ordinal).is_none());
    encode_gaps(absent, documents as usize - list.len(), documents, ABSENT, out);
}

fn encode_gaps(list: impl Iterator<Item = u32>, count: usize, documents: u32, mark: u8, out: &mut Vec<u8>) {
    // The best parameter is near log2 of ln 2 times the mean gap.
    let mean = u64::from(documents) * 7 / 10 / count.max(1) as u64;
    let parameter = mean.max(1).ilog2();
    out.push(mark | parameter as u8);
    let mut bits = BitWriter { word: 0, used: 0, out };
    let mut next = 0;
    for ordinal in list {
        let gap = ordinal - next;
        next = ordinal + 1;
        bits.zeros(gap >> parameter);
        bits.put(1, 1);
        bits.put(u64::from(gap) & ((1 << parameter) - 1), parameter);
    }
    bits.finish();
}

/// Appends the ordinals of an encoded list; `None` when it is damaged.
#[must_use]
pub fn decode(bytes: &[u8], documents: u32, out: &mut Vec<u32>) -> Option<()> {
    let (&head, rest) = bytes.split_first()?;
    let parameter = u32::from(head & PARAMETER);
    let mut bits = BitReader { bytes: rest, at: 0 };
    let mut next = 0_u32;
    if head & ABSENT == 0 {
        while let Some(gap) = bits.gap(parameter) {
            let ordinal = next.checked_add(gap).filter(|&ordinal| ordinal < documents)?;
            out.push(ordinal);
            next = ordinal + 1;
        }
    } else {
        while let Some(gap) = bits.gap(parameter) {
            let absent = next.checked_add(gap).filter(|&ordinal| ordinal < documents)?;
            out.extend(next..absent);
            next = absent + 1;
        }
        out.extend(next..documents);
    }
    Some(())
}

/// Octets of the only ordinal of a list that has no other.
#[must_use]
pub fn lone_octets(documents: u32) -> usize {
    match documents {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 3,
    }
}

/// The only ordinal of a list; `None` when it is damaged.
#[must_use]
pub fn decode_lone(bytes: &[u8], documents: u32) -> Option<u32> {
    let ordinal = bytes
        .iter()
        .rev()
        .fold(0, |ordinal, octet| ordinal << 8 | u32::from(*octet));
    (bytes.len() <= 3 && ordinal < documents).then_some(ordinal)
}

/// Appends a number, seven bits in each octet, the lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front; `None` when it does not end or is too large.
#[must_use]
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(octet & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        number |= part << shift;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Bits, the lowest of each octet first.
struct BitWriter<'a> {
    word: u64,
    used: u32,
    out: &'a mut Vec<u8>,
}

impl BitWriter<'_> {
    /// `count` is below 32.
    fn put(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.used;
        self.used += count;
        while self.used >= 8 {
            self.out.push(self.word as u8);
            self.word >>= 8;
            self.used -= 8;
        }
    }

    fn zeros(&mut self, mut count: u32) {
        while count > 24 {
            self.put(0, 24);
            count -= 24;
        }
        self.put(0, count);
    }

    fn finish(self) {
        if self.used > 0 {
            self.out.push(self.word as u8);
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl BitReader<'_> {
    /// The bits from here on, at least 56 of them unless the end is near, and how many.
    fn peek(&self) -> (u64, u32) {
        let (octet, bit) = (self.at / 8, (self.at % 8) as u32);
        let rest = self.bytes.get(octet..).unwrap_or_default();
        if let Some(eight) = rest.first_chunk() {
            return (u64::from_le_bytes(*eight) >> bit, 64 - bit);
        }
        let mut eight = [0; 8];
        eight[..rest.len()].copy_from_slice(rest);
        (
            u64::from_le_bytes(eight) >> bit,
            (rest.len() as u32 * 8).saturating_sub(bit),
        )
    }

    /// The next gap; `None` at the end.
    fn gap(&mut self, parameter: u32) -> Option<u32> {
        let mut quotient = 0_u32;
        loop {
            let (word, have) = self.peek();
            if have == 0 {
                return None;
            }
            let zeros = word.trailing_zeros().min(have);
            quotient = quotient.checked_add(zeros)?;
            self.at += zeros as usize;
            if zeros < have {
                break;
            }
        }
        self.at += 1;
        let (word, have) = self.peek();
        if have < parameter {
            return None;
        }
        self.at += parameter as usize;
        let remainder = word & ((1 << parameter) - 1);
        u32::try_from(u64::from(quotient) << parameter | remainder).ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn round(list: &[u32], documents: u32) -> usize {
        let mut bytes = Vec::new();
        encode(list, documents, &mut bytes);
        let mut decoded = Vec::new();
        decode(&bytes, documents, &mut decoded).unwrap();
        assert_eq!(decoded, list);
        bytes.len()
    }

    #[test]
    fn edges_and_sizes() {
        round(&[], 0);
        round(&[], 9);
        assert_eq!(round(&(0..131_072).collect::<Vec<u32>>(), 131_072), 1);
        assert!(round(&[131_071], 131_072) <= 5);
        round(&[0], 1);
        // Half of the documents: one bit each.
        assert!(round(&(0..100_000).step_by(2).collect::<Vec<u32>>(), 100_000) <= 100_000 / 8 + 2);
        // A cluster at the end, which the mean gap tells nothing of.
        assert!(round(&(90_000..100_000).collect::<Vec<u32>>(), 100_000) < 100_000 / 8);
    }

    proptest! {
        #[test]
        fn any_list_comes_back(documents in 1_u32..5000, share in 0.0_f64..1.0, seed: u64) {
            let mut state = seed | 1;
            let list: Vec<u32> = (0..documents)
                .filter(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    ((state >> 33) as f64) < share * f64::from(1_u32 << 31)
                })
                .collect();
            round(&list, documents);
        }

        #[test]
        fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), documents in 0_u32..1000) {
            let mut out = Vec::new();
            if decode(&bytes, documents, &mut out).is_some() {
                prop_assert!(out.is_sorted() && out.iter().all(|&ordinal| ordinal < documents));
            }
        }

        #[test]
        fn varints(number: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut rest = &bytes[..];
            prop_assert_eq!(take_varint(&mut rest), Some(number));
            prop_assert!(rest.is_empty());
        }
    }
}
