//! Trigrams: every three octets that follow one another in a folded text, in any script.

/// A trigram: its three octets, the first the most significant.
pub type Trigram = u32;

/// Trigrams there can be.
const TRIGRAMS: usize = 1 << 24;

/// The trigrams of one text, each once, ascending. Empty for texts below three octets.
#[must_use]
pub fn of_text(folded: &[u8]) -> Vec<Trigram> {
    let mut found: Vec<Trigram> = folded
        .windows(3)
        .map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Gathers the different trigrams of a document that comes in pieces. Holds 2 MiB, and the document's trigrams.
pub struct Collector {
    seen: Vec<u64>,
    found: Vec<Trigram>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Collector({} trigrams)", self.found.len())
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            seen: vec![0; TRIGRAMS / 64],
            found: Vec::new(),
        }
    }
}

impl Collector {
    /// Adds a folded piece; no trigram spans two pieces, since no match does.
    pub fn add(&mut self, folded: &[u8]) {
        let Some((&[first, second], rest)) = folded.split_first_chunk() else {
            return;
        };
        let mut window = u32::from(first) << 8 | u32::from(second);
        for &octet in rest {
            window = (window << 8 | u32::from(octet)) & 0x00ff_ffff;
            let word = &mut self.seen[window as usize / 64];
            let bit = 1 << (window % 64);
            if *word & bit == 0 {
                *word |= bit;
                self.found.push(window);
            }
        }
    }

    /// What the document had, in no order; the next document begins.
    pub fn take(&mut self, mut each: impl FnMut(Trigram)) {
        for trigram in self.found.drain(..) {
            self.seen[trigram as usize / 64] = 0;
            each(trigram);
        }
    }

    /// Different trigrams so far.
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
    use super::*;

    #[test]
    fn collector_and_list_agree() {
        let mut collector = Collector::default();
        for text in [
            "",
            "ab",
            "abc",
            "abcabc",
            "grüße aus köln",
            "日本語のテキスト",
            "\u{ffff}\u{10ffff}",
        ] {
            collector.add(text.as_bytes());
            let mut found = Vec::new();
            collector.take(|trigram| found.push(trigram));
            found.sort_unstable();
            assert_eq!(found, of_text(text.as_bytes()), "{text}");
        }
        collector.add(b"ab");
        collector.add(b"cd");
        assert!(collector.is_empty(), "pieces do not join");
    }
}
