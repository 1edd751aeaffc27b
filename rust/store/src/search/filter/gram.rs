//! Grams: every five letters that follow one another within a word of a folded text, hashed to 20 bits.
//!
//! A word is a run of letters, digits and whatever else is no white space or punctuation. Its grams begin at each letter that has
//! two more behind it; where the word ends before the fifth, its end is part of the gram. So the number of grams grows
//! with the words that a text has, not with the ways in which words follow one another, and the five letters of a rare word
//! are rarer than three. A letter counts as one code octet, one of the large scripts (U+2E80 and above: Han, Kana, Hangul,
//! emoji) as two, so that a gram tells about as much in every script.
//!
//! The first three codes, the fourth and the fifth have bits of their own in the hash: a needle that ends after three or
//! four letters has a range of grams instead of one. Letters may share a code and grams a number; that makes a filter let
//! more through, never less.

use std::ops::Range;

/// A hashed gram.
pub type Gram = u32;

/// Bits of a gram: of the first three codes, of the fourth, of the fifth.
const BITS: [u32; 3] = [14, 3, 3];
/// All of them.
pub const GRAM_BITS: u32 = BITS[0] + BITS[1] + BITS[2];

/// What a text must have that holds the needle: one gram at least of each range. Nothing: the needle is too short to tell.
#[must_use]
pub fn wanted(folded: &str) -> Vec<Range<Gram>> {
    let mut wanted = Vec::new();
    let mut word = Word::default();
    let mut exact = |gram: Gram| wanted.push(gram..gram + 1);
    for letter in folded.chars() {
        if is_letter(letter) {
            each_code(letter, |code| word.push(code, &mut exact));
        } else {
            // The word ends here in the text too.
            word.end(&mut exact);
        }
    }
    // How the last word goes on is not known.
    let free = match word.length {
        3 => BITS[1] + BITS[2],
        4 => BITS[2],
        _ => 0,
    };
    if free > 0 {
        let codes = word.window << (8 * (5 - word.length));
        let start = gram(codes) >> free << free;
        wanted.push(start..start + (1 << free));
    }
    wanted.sort_unstable_by_key(|range| range.start);
    wanted.dedup();
    wanted
}

/// Whether a letter belongs to words. Only ASCII and the common blocks of punctuation are told apart: what counts is that
/// text and needle are treated alike.
fn is_letter(letter: char) -> bool {
    match letter {
        '\0'..='\u{7f}' => letter.is_ascii_alphanumeric(),
        '\u{80}'..='\u{bf}' => matches!(letter, 'ª' | 'µ' | 'º'),
        '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{303f}' => false,
        _ => true,
    }
}

fn each_code(letter: char, mut take: impl FnMut(u64)) {
    let letter = u64::from(u32::from(letter));
    match letter {
        0..0x80 => take(letter),
        0x80..0x2e80 => take(0x80 | letter & 0x7f),
        _ => {
            take(0x80 | letter >> 8 & 0x7f);
            // Not the end of a word.
            take((letter & 0xff).max(1));
        }
    }
}

/// The gram of five codes, the first the most significant.
fn gram(codes: u64) -> Gram {
    let hash = |codes: u64, bits: u32| (codes.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as u32;
    (hash(codes >> 16, BITS[0]) << BITS[1] | hash(codes >> 8, BITS[1])) << BITS[2] | hash(codes, BITS[2])
}

/// The word that is being read.
#[derive(Debug, Default)]
struct Word {
    /// Its last five codes.
    window: u64,
    /// Its codes, up to five.
    length: u32,
}

impl Word {
    fn push(&mut self, code: u64, take: &mut impl FnMut(Gram)) {
        self.window = (self.window << 8 | code) & 0xff_ffff_ffff;
        if self.length >= 4 {
            self.length = 5;
            take(gram(self.window));
        } else {
            self.length += 1;
        }
    }

    fn end(&mut self, take: &mut impl FnMut(Gram)) {
        // Of the grams that begin before the end: with four letters, and with three.
        for missing in 1..=2 {
            if self.length >= 5 - missing {
                // Zeros, which no letter has as its code, stand for what is missing.
                take(gram(self.window << (8 * missing) & 0xff_ffff_ffff));
            }
        }
        *self = Self::default();
    }
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
    /// Adds a folded piece; it ends a word.
    pub fn add(&mut self, folded: &str) {
        let (seen, found) = (&mut self.seen, &mut self.found);
        let mut put = |gram: Gram| {
            let word = &mut seen[gram as usize / 64];
            let bit = 1 << (gram % 64);
            if *word & bit == 0 {
                *word |= bit;
                found.push(gram);
            }
        };
        let mut word = Word::default();
        for letter in folded.chars() {
            if is_letter(letter) {
                each_code(letter, |code| word.push(code, &mut put));
            } else {
                word.end(&mut put);
            }
        }
        word.end(&mut put);
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
        wanted(needle)
            .into_iter()
            .all(|mut range| range.any(|gram| found.contains(&gram)))
    }

    #[test]
    fn what_is_not_there_is_ruled_out() {
        let found = grams(&["the minutes of abc, abcd and xyz-12", "議事録を見て", "совещание"]);
        for there in [
            "minutes",
            "nutes",
            "inu",
            "abc",
            "bcd",
            "abcd and",
            "xyz-1",
            "議事録",
            "事録",
            "щани",
            "совещание",
            "f abc",
        ] {
            assert!(may_hold(&found, there), "{there}");
        }
        for absent in [
            "minutez",
            "nutesx",
            "ghi",
            "abd",
            "xyza",
            "xyz12",
            "abcd. xyw",
            "議録",
            "會議",
            "совещания",
            "abcdab",
            "minut of",
        ] {
            assert!(!may_hold(&found, absent), "{absent}");
        }
    }

    #[test]
    fn what_a_needle_wants() {
        let sizes = |needle: &str| -> Vec<u32> {
            wanted(needle)
                .into_iter()
                .map(|range| range.end - range.start)
                .collect()
        };
        for nothing in ["", "ab", "議", "a-b-c", "of the"] {
            // The last word may go on; one of two letters tells nothing.
            assert!(sizes(nothing).iter().all(|size| *size == 64), "{nothing}");
        }
        assert_eq!(sizes("abc"), [64]);
        assert_eq!(sizes("abcd"), [8]);
        assert_eq!(sizes("議事"), [8]);
        assert_eq!(sizes("abcde"), [1]);
        assert_eq!(sizes("abc "), [1], "the end of the word is known");
        assert_eq!(sizes("abcdefgh").len(), 4);
        assert_eq!(sizes("abcde "), [1, 1, 1]);
        assert!(
            wanted("abcdefghijklmnopqrstuvwxyz")
                .iter()
                .all(|range| range.end <= 1 << GRAM_BITS)
        );
    }

    proptest! {
        #[test]
        fn what_is_there_is_never_ruled_out(text in "([a-e]{0,9}[ .,-]?|\\PC|[\u{3040}-\u{30ff}]|[а-я]|\\s){0,40}", start: usize, length in 0_usize..16) {
            let letters: Vec<char> = text.chars().collect();
            let start = start % (letters.len() + 1);
            let end = letters.len().min(start + length);
            let needle: String = letters[start..end].iter().collect();
            prop_assert!(may_hold(&grams(&["before", &text, "after"]), &needle), "{:?} in {:?}", needle, text);
        }
    }
}
