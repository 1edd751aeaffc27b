//! Line splitter: a line ends at CRLF and nowhere else (RFC 5321 §2.3.8).
//!
//! A CR or LF alone does not end a line; it stays inside and the line comes out as flawed, so that nobody can make this
//! server see two commands where another saw one. An over-long line is skipped to its end in bounded memory.

use crate::buffer::Buffer;

/// Why a line's octets are not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A CR that is not followed by LF.
    BareCr,
    /// An LF that does not follow CR.
    BareLf,
    /// An octet of value zero.
    Nul,
}

/// One complete line, already consumed from the buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Without its CRLF; holds neither CR, LF nor NUL.
    Clean(Vec<u8>),
    /// It held one of those; the first is named. Its octets are gone.
    Flawed(Flaw),
    /// Longer than the limit; its octets are gone.
    TooLong,
}

/// Splits a [`Buffer`] into lines. Two octets of state; nothing is searched twice.
#[derive(Debug, Default, Clone)]
pub struct LineSplitter {
    skipping: bool,
}

impl LineSplitter {
    /// A splitter at the start of a line.
    pub const fn new() -> Self {
        Self { skipping: false }
    }

    /// Whether the beginning of an over-long line has been dropped and its end is still awaited.
    pub fn skipping(&self) -> bool {
        self.skipping
    }

    /// The next complete line, or `None` when more octets are needed.
    ///
    /// `octets_max` counts the CRLF (RFC 5321 §4.5.3.1.4). A longer line gives [`Line::TooLong`] once, when its end has
    /// been seen; no more than `octets_max` of it is ever kept.
    pub fn next_line(&mut self, buffer: &mut Buffer, octets_max: usize) -> Option<Line> {
        match find_crlf(buffer) {
            Some(length) => {
                let total = length + 2;
                if std::mem::take(&mut self.skipping) || total > octets_max {
                    buffer.consume(total);
                    return Some(Line::TooLong);
                }
                let mut octets = buffer.take(total);
                octets.truncate(length);
                Some(match flaw(&octets) {
                    Some(flaw) => Line::Flawed(flaw),
                    None => Line::Clean(octets),
                })
            }
            None => {
                if self.skipping || buffer.len() >= octets_max {
                    self.skipping = true;
                    // A CR at the very end may be half of the CRLF that ends the line.
                    let keep = usize::from(buffer.bytes().last() == Some(&b'\r'));
                    let drop = buffer.len() - keep;
                    buffer.consume(drop);
                    buffer.set_scanned(0);
                }
                None
            }
        }
    }
}

/// Length of the first line without its CRLF; remembers in the buffer how far it looked.
pub fn find_crlf(buffer: &mut Buffer) -> Option<usize> {
    let bytes = buffer.bytes();
    let mut from = buffer.scanned();
    while let Some(offset) = memchr::memchr(b'\n', bytes.get(from..).unwrap_or_default()) {
        let at = from + offset;
        if at > 0 && bytes.get(at - 1) == Some(&b'\r') {
            return Some(at - 1);
        }
        from = at + 1;
    }
    let length = bytes.len();
    buffer.set_scanned(length);
    None
}

/// The first CR, LF or NUL in octets that should hold none.
pub fn flaw(octets: &[u8]) -> Option<Flaw> {
    let at = memchr::memchr3(b'\r', b'\n', 0, octets)?;
    Some(match octets.get(at) {
        Some(b'\r') => Flaw::BareCr,
        Some(b'\n') => Flaw::BareLf,
        _ => Flaw::Nul,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]], octets_max: usize) -> Vec<Line> {
        let mut buffer = Buffer::new();
        let mut splitter = LineSplitter::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            buffer.extend(chunk);
            while let Some(line) = splitter.next_line(&mut buffer, octets_max) {
                lines.push(line);
            }
            assert!(buffer.len() <= octets_max);
        }
        lines
    }

    #[test]
    fn only_crlf_ends_a_line() {
        let input = b"one\r\ntwo\nstill two\r\nthree\rstill three\r\n\r\nfo\0ur\r\n\n\r\r\r\nlast";
        let expected = vec![
            Line::Clean(b"one".to_vec()),
            Line::Flawed(Flaw::BareLf),
            Line::Flawed(Flaw::BareCr),
            Line::Clean(Vec::new()),
            Line::Flawed(Flaw::Nul),
            Line::Flawed(Flaw::BareLf),
        ];
        assert_eq!(split(&[input], 100), expected);
        for at in 0..=input.len() {
            let (left, right) = input.split_at(at);
            assert_eq!(split(&[left, right], 100), expected, "split at {at}");
        }
        let single: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(split(&single, 100), expected);
    }

    #[test]
    fn an_over_long_line_is_told_once_and_the_next_is_whole() {
        let mut input = vec![b'x'; 1000];
        input.extend_from_slice(b"\ny\ry\r\nnext\r\n");
        let expected = vec![Line::TooLong, Line::Clean(b"next".to_vec())];
        for size in [1, 2, 3, 9, 10, 11, 64, 2000] {
            let chunks: Vec<&[u8]> = input.chunks(size).collect();
            let mut buffer = Buffer::new();
            let mut splitter = LineSplitter::new();
            let mut lines = Vec::new();
            for chunk in chunks {
                buffer.extend(chunk);
                while let Some(line) = splitter.next_line(&mut buffer, 10) {
                    lines.push(line);
                }
            }
            assert_eq!(lines, expected, "chunks of {size}");
        }
    }

    #[test]
    fn the_limit_counts_the_line_end() {
        assert_eq!(split(&[b"12345678\r\n"], 10), [Line::Clean(b"12345678".to_vec())]);
        assert_eq!(split(&[b"123456789\r\n"], 10), [Line::TooLong]);
        let single: Vec<&[u8]> = b"12345678\r\n123456789\r\n".chunks(1).collect();
        assert_eq!(split(&single, 10), [Line::Clean(b"12345678".to_vec()), Line::TooLong]);
    }

    #[test]
    fn a_carriage_return_at_the_edge_of_a_skipped_line_counts() {
        assert_eq!(
            split(&[b"123456789\r", b"\nok\r\n"], 10),
            [Line::TooLong, Line::Clean(b"ok".to_vec())]
        );
        assert_eq!(split(&[b"1234567890\r", b"x\nok\r", b"\n"], 10), [Line::TooLong]);
    }
}
