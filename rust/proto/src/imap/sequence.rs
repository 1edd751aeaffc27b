//! Sequence sets (RFC 9051 §9, `sequence-set`): numbers, ranges and `*`.

/// One end of a range: a number from 1, or `*`, the largest in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceNumber {
    /// A given number, never 0.
    Number(u32),
    /// `*`.
    Largest,
}

/// A sequence set as the client wrote it; it becomes numbers only against a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    /// Ranges in the order given; a single number is a range of one. Ends may stand in either order.
    pub ranges: Vec<(SequenceNumber, SequenceNumber)>,
}

impl SequenceSet {
    /// The set against a mailbox whose largest number is `largest`: ascending, disjoint, not adjacent ranges.
    ///
    /// Numbers above `largest` stay in (the caller decides what an unknown number means), save that `*` and ranges
    /// with `*` follow RFC 9051: `*` is `largest`, and `n:*` with n above it contains `largest`.
    #[must_use]
    pub fn resolve(&self, largest: u32) -> Vec<(u32, u32)> {
        let number = |end: SequenceNumber| match end {
            SequenceNumber::Number(number) => number,
            SequenceNumber::Largest => largest,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .map(|&(first, last)| (number(first), number(last)))
            .map(|(first, last)| (first.min(last), first.max(last)))
            .filter(|&(_, last)| last > 0)
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        merged
    }
}
