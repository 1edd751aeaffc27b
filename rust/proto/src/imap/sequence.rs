//! Sequence sets (RFC 9051 §9, `sequence-set`): numbers, ranges, `*`, and `$` for the saved search result (RFC 5182).

use std::fmt;

use super::fault::Fault;
use super::lexer::Lexer;

/// One end of a range: a number from 1, or `*`, the largest in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequenceNumber {
    /// A given number, never 0.
    Number(u32),
    /// `*`.
    Largest,
    /// `$`: the saved search result; it stands alone, as the only range of its set.
    Saved,
}

/// A sequence set as the client wrote it; it becomes numbers only against a mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceSet {
    /// Ranges in the order given; a single number is a range of one. Ends may stand in either order.
    pub ranges: Vec<(SequenceNumber, SequenceNumber)>,
}

impl SequenceSet {
    /// A set of a program's own; zeros are left out, runs become ranges.
    #[must_use]
    pub fn of(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for number in numbers.into_iter().filter(|&number| number > 0) {
            match runs.last_mut() {
                Some(last) if number <= last.1.saturating_add(1) => last.1 = number,
                _ => runs.push((number, number)),
            }
        }
        let ends = |(first, last)| (SequenceNumber::Number(first), SequenceNumber::Number(last));
        Self {
            ranges: runs.into_iter().map(ends).collect(),
        }
    }

    /// The set against a mailbox whose largest number is `largest`: ascending, disjoint, not adjacent ranges.
    ///
    /// Numbers above `largest` stay in (the caller decides what an unknown number means), save that `*` and ranges
    /// with `*` follow RFC 9051: `*` is `largest`, and `n:*` with n above it contains `largest`. `$` names nothing here:
    /// only who keeps the result can tell it.
    #[must_use]
    pub fn resolve(&self, largest: u32) -> Vec<(u32, u32)> {
        let number = |end: SequenceNumber| match end {
            SequenceNumber::Number(number) => number,
            SequenceNumber::Largest => largest,
            SequenceNumber::Saved => 0,
        };
        let mut ranges: Vec<(u32, u32)> = self
            .ranges
            .iter()
            .map(|&(first, last)| (number(first), number(last)))
            .map(|(first, last)| (first.min(last).max(1), first.max(last)))
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

    /// Is it `$`, the saved search result?
    #[must_use]
    pub fn is_saved(&self) -> bool {
        matches!(self.ranges[..], [(SequenceNumber::Saved, _)])
    }

    /// Does it name a message number that a mailbox of `count` messages does not have? `*` is one when it is empty.
    #[must_use]
    pub fn exceeds(&self, count: u32) -> bool {
        let beyond = |end: SequenceNumber| match end {
            SequenceNumber::Number(number) => number > count,
            SequenceNumber::Largest => count == 0,
            SequenceNumber::Saved => false,
        };
        self.ranges.iter().any(|&(first, last)| beyond(first) || beyond(last))
    }

    /// Reads `seq-number / seq-range *("," ...)` or `$`; zero is refused.
    pub fn parse(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        if lexer.eat(b'$') {
            return Ok(Self {
                ranges: vec![(SequenceNumber::Saved, SequenceNumber::Saved)],
            });
        }
        let mut ranges = Vec::new();
        loop {
            let first = SequenceNumber::parse(lexer)?;
            let last = if lexer.eat(b':') {
                SequenceNumber::parse(lexer)?
            } else {
                first
            };
            ranges.push((first, last));
            if !lexer.eat(b',') {
                return Ok(Self { ranges });
            }
        }
    }
}

impl SequenceNumber {
    fn parse(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        match lexer.peek() {
            Some(b'*') => {
                lexer.eat(b'*');
                Ok(Self::Largest)
            }
            Some(b'$') => Err(Fault::syntax("$ stands alone")),
            Some(octet) if octet.is_ascii_digit() => lexer.nz_number().map(Self::Number),
            _ => Err(Fault::syntax("expected a sequence set")),
        }
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Largest => formatter.write_str("*"),
            Self::Saved => formatter.write_str("$"),
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            if first == last {
                write!(formatter, "{first}")?;
            } else {
                write!(formatter, "{first}:{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn set(text: &str) -> Result<SequenceSet, Fault> {
        SequenceSet::parse(&mut Lexer::new(text.as_bytes()))
    }

    #[test]
    fn made_of_numbers() {
        assert_eq!(
            SequenceSet::of(vec![9, 2, 3, 0, 4, 3, u32::MAX]).to_string(),
            "2:4,9,4294967295"
        );
        assert!(SequenceSet::of(vec![0]).ranges.is_empty());
    }

    #[test]
    fn prints_what_it_parsed() {
        for text in ["$", "1", "*", "1:*", "*:4", "2,4:7,9,12:*", "4294967295"] {
            assert_eq!(set(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn refuses() {
        for text in [
            "",
            "0",
            "1:0",
            "a",
            "1,$",
            "$:1",
            "1:$",
            "4294967296",
            ",1",
            "1,",
            "1:",
            "-1",
        ] {
            // What follows a whole set is for the command to refuse.
            let mut lexer = Lexer::new(text.as_bytes());
            assert!(
                SequenceSet::parse(&mut lexer).is_err() || lexer.peek().is_some(),
                "{text}"
            );
        }
    }

    #[test]
    fn numbers_beyond_the_end() {
        for (text, count, exceeds) in [
            ("1:3", 3, false),
            ("1:4", 3, true),
            ("4:*", 3, true),
            ("1:*", 3, false),
            ("*", 0, true),
            ("$", 0, false),
        ] {
            assert_eq!(set(text).unwrap().exceeds(count), exceeds, "{text}");
        }
        assert!(set("$").unwrap().is_saved());
        assert!(!set("1").unwrap().is_saved());
        assert_eq!(set("$").unwrap().resolve(9), []);
    }

    #[test]
    fn resolves() {
        assert_eq!(
            set("2,4:7,9,12:*").unwrap().resolve(15),
            [(2, 2), (4, 7), (9, 9), (12, 15)]
        );
        assert_eq!(set("3:*").unwrap().resolve(2), [(2, 3)]);
        assert_eq!(set("*").unwrap().resolve(0), []);
        assert_eq!(set("7:2,3,8").unwrap().resolve(5), [(2, 8)]);
        assert_eq!(set("5:*").unwrap().resolve(0), [(1, 5)]);
    }
}
