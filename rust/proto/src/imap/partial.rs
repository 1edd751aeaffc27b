//! Paged results: `partial-range` of SEARCH, SORT and FETCH (RFC 9394 §3, RFC 5267 §4.4).

use std::ops::Range;

use super::fault::Fault;
use super::lexer::Lexer;

/// A window over results in their order, `1:100` or, from the end, `-1:-100`. Ends may stand in either order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialRange {
    /// As the client wrote it, without sign.
    pub first: u32,
    /// Likewise.
    pub last: u32,
    /// Counted from the end.
    pub from_end: bool,
}

impl PartialRange {
    /// `SP partial-range`, `partial-range = nz-number ":" nz-number / MINUS nz-number ":" MINUS nz-number`
    pub(super) fn parse(lexer: &mut Lexer<'_>) -> Result<Self, Fault> {
        lexer.space()?;
        let from_end = lexer.eat(b'-');
        let first = lexer.nz_number()?;
        lexer.expect(b':', "malformed range of PARTIAL")?;
        if from_end {
            lexer.expect(b'-', "both ends of PARTIAL count from the same side")?;
        }
        let last = lexer.nz_number()?;
        Ok(Self { first, last, from_end })
    }

    /// Which of `count` results, from 0, are meant.
    #[must_use]
    pub fn pick(self, count: usize) -> Range<usize> {
        let low = self.first.min(self.last) as usize - 1;
        let high = self.first.max(self.last) as usize;
        let (low, high) = (low.min(count), high.min(count));
        if self.from_end {
            count - high..count - low
        } else {
            low..high
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parse(text: &str) -> Result<PartialRange, Fault> {
        let line = format!(" {text}\r\n");
        let mut lexer = Lexer::new(line.as_bytes());
        let range = PartialRange::parse(&mut lexer)?;
        lexer.end()?;
        Ok(range)
    }

    #[test]
    fn windows() {
        for (text, count, expected) in [
            ("1:3", 10, 0..3),
            ("3:1", 10, 0..3),
            ("4:4", 10, 3..4),
            ("-1:-3", 10, 7..10),
            ("-3:-1", 10, 7..10),
            ("-5:-6", 10, 4..6),
            ("8:20", 10, 7..10),
            ("11:20", 10, 10..10),
            ("-8:-20", 10, 0..3),
            ("-11:-20", 10, 0..0),
            ("1:4294967295", 0, 0..0),
        ] {
            assert_eq!(parse(text).unwrap().pick(count), expected, "{text} of {count}");
        }
        for text in [
            "0:1",
            "1:0",
            "1",
            "1:",
            "1:-2",
            "-1:2",
            "-0:-1",
            "1:2:3",
            "*:1",
            "1:4294967296",
            "+1:2",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
