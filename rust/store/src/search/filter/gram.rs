//! Grams: every four letters that follow one another in a folded text, hashed to 20 bits.
//!
//! A letter counts as one code octet, one of the large scripts (U+2E80 and above: Han, Kana, Hangul, emoji) as two, so that
//! a gram tells about as much in every script. Two letters may share a code and two grams a number: that makes a filter let
//! more through and never less. The three first codes and the fourth are hashed apart, so that a needle of three codes has
//! its few grams too: all that begin with it. No gram spans two pieces of text, since no match does.

/// A hashed gram.
pub type Gram = u32;

/// Bits of a gram; the lowest [`FOURTH_BITS`] are of its fourth code.
pub const GRAM_BITS: u32 = 20;
const FOURTH_BITS: u32 = 4;
/// Stands behind the end of a piece.
const END: u32 = 0;

/// The grams that a text must have that holds a needle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The needle is too short to tell.
    Unknown,
    /// Any of these.
    Any(Vec<Gram>),
    /// All of these.
    All(Vec<Gram>),
}

/// The grams of a folded needle.
#[must_use]
pub fn wanted(folded: &str) -> Wanted {
    let mut codes = Vec::with_capacity(folded.len());
    folded
        .chars()
        .for_each(|letter| each_code(letter, |code| codes.push(code)));
    match codes[..] {
        [first, second, third] => {
            let start = first_three(first << 16 | second << 8 | third);
            Wanted::Any((0..1 << FOURTH_BITS).map(|fourth| start | fourth).collect())
        }
        [] | [_] | [_, _] => Wanted::Unknown,
        _ => {
            let mut grams: Vec<Gram> = codes
                .windows(4)
                .map(|four| gram(four.iter().fold(0, |window, code| window << 8 | code)))
                .collect();
            grams.sort_unstable();
            grams.dedup();
            Wanted::All(grams)
        }
    }
}

fn each_code(letter: char, mut take: impl FnMut(u32)) {
    let letter = u32::from(letter);
    match letter {
        0..0x80 => take(letter),
        0x80..0x2e80 => take(0x80 | letter & 0x7f),
        _ => {
            take(0x80 | letter >> 8 & 0x7f);
            take(letter & 0xff);
        }
    }
}

/// The gram of four codes, the first the most significant.
fn gram(window: u32) -> Gram {
    first_three(window >> 8) | (window & 0xff).wrapping_mul(0x9e37_79b1) >> (32 - FOURTH_BITS)
}

fn first_three(codes: u32) -> Gram {
    codes.wrapping_mul(0x9e37_79b1) >> (32 - (GRAM_BITS - FOURTH_BITS)) << FOURTH_BITS
}

/// Gathers the different grams of a document that comes in pieces. Holds 128 KiB, and the document's grams.
#[derive(Debug)]
pub struct Collector {
    seen: Vec<u64>,
    found: Vec<Gram>,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            seen: vec![0; (1 << GRAM_BITS) / 64],
            found: Vec::new(),
        }
    }
}

impl Collector {
    /// Adds a folded piece.
    pub fn add(&mut self, folded: &str) {
        let (mut window, mut codes) = (0_u32, 0_u32);
        for letter in folded.chars() {
            each_code(letter, |code| {
                window = window << 8 | code;
                codes = codes.saturating_add(1);
                if codes >= 4 {
                    self.put(gram(window));
                }
            });
        }
        if codes >= 3 {
            self.put(gram(window << 8 | END));
        }
    }

    fn put(&mut self, gram: Gram) {
        let word = &mut self.seen[gram as usize / 64];
        let bit = 1 << (gram % 64);
        if *word & bit == 0 {
            *word |= bit;
            self.found.push(gram);
        }
    }

    /// What the document had, in no order; the next document begins.
    pub fn take(&mut self, mut each: impl FnMut(Gram)) {
        for gram in self.found.drain(..) {
            self.seen[gram as usize / 64] = 0;
            each(gram);
        }
    }

    /// Different grams so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn grams(pieces: &[&str]) -> HashSet<Gram> {
        let mut collector = Collector::default();
        pieces.iter().for_each(|piece| collector.add(piece));
        let mut found = HashSet::new();
        collector.take(|gram| assert!(found.insert(gram), "once each"));
        assert!(collector.is_empty());
        found
    }

    /// What the filter says of a needle in a text.
    fn may_hold(found: &HashSet<Gram>, needle: &str) -> bool {
        match wanted(needle) {
            Wanted::Unknown => true,
            Wanted::Any(grams) => grams.iter().any(|gram| found.contains(gram)),
            Wanted::All(grams) => grams.iter().all(|gram| found.contains(gram)),
        }
    }

    #[test]
    fn short_needles_and_ends() {
        assert_eq!(
            (wanted(""), wanted("ab"), wanted("議")),
            (Wanted::Unknown, Wanted::Unknown, Wanted::Unknown)
        );
        let found = grams(&["abc", "xyz", "日本語"]);
        assert!(may_hold(&found, "abc") && may_hold(&found, "xyz") && may_hold(&found, "本語"));
        assert!(!may_hold(&found, "cxy"), "pieces do not join");
        assert!(!may_hold(&found, "abcd") && !may_hold(&found, "本日") && !may_hold(&found, "bcx"));
        assert!(
            matches!(wanted("会議"), Wanted::All(grams) if grams.len() == 1),
            "two Han letters make a gram"
        );
        assert_eq!(grams(&["ab", "議"]), HashSet::new());
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_ruled_out(text: String, start: usize, length in 0_usize..12) {
            let letters: Vec<char> = text.chars().collect();
            let start = start % (letters.len() + 1);
            let end = letters.len().min(start + length);
            let needle: String = letters[start..end].iter().collect();
            prop_assert!(may_hold(&grams(&["before", &text, "after"]), &needle));
        }
    }
}
