//! Where a message's octets come from: memory, or a window that moves over something too large for it.
//!
//! The readers go forward and step back a little, so that a window costs a second look at few octets.
use std::ops::Range;

use memchr::{memchr, memchr_iter};

/// Octets that [`Octets::at`] gives at least, unless the message ends before.
pub const LOOK_AHEAD: usize = 16;

/// A message to be read by position.
pub trait Octets {
    /// Octets of the whole message.
    fn size(&self) -> usize;

    /// The octets from a position on, as many as are at hand: at least [`LOOK_AHEAD`], or all up to the end.
    ///
    /// Nothing before the end says that the message cannot be read there: readers take it for its end, and whoever made
    /// the source knows why.
    fn at(&mut self, position: usize) -> &[u8];
}

impl Octets for &[u8] {
    fn size(&self) -> usize {
        self.len()
    }

    fn at(&mut self, position: usize) -> &[u8] {
        self.get(position..).unwrap_or_default()
    }
}

/// Where the line that holds `at` ends, its LF included.
pub(crate) fn line_end<O: Octets + ?Sized>(source: &mut O, at: usize) -> usize {
    let size = source.size();
    let mut position = at;
    let end = loop {
        let piece = source.at(position);
        if piece.is_empty() {
            break size;
        }
        if let Some(offset) = memchr(b'\n', piece) {
            break position + offset + 1;
        }
        position += piece.len();
    };
    crate::work::note(end.saturating_sub(at));
    end
}

/// Where `start..end` ends without the CRLF or LF that ends it.
pub(crate) fn without_line_end<O: Octets + ?Sized>(source: &mut O, start: usize, end: usize) -> usize {
    let from = end.saturating_sub(2).max(start);
    match source.at(from).get(..end.saturating_sub(from)) {
        Some([b'\r', b'\n']) => end - 2,
        Some([.., b'\n']) => end - 1,
        _ => end,
    }
}

/// LF octets in a range.
pub(crate) fn count_lines<O: Octets + ?Sized>(source: &mut O, range: Range<usize>) -> usize {
    let (mut at, mut lines) = (range.start, 0);
    while at < range.end {
        let piece = source.at(at);
        if piece.is_empty() {
            break;
        }
        let piece = &piece[..piece.len().min(range.end - at)];
        lines += memchr_iter(b'\n', piece).count();
        at += piece.len();
    }
    lines
}

/// The octets of a range, borrowed where they are at hand, else gathered in `spare`; fewer when they cannot be read.
pub(crate) fn slice<'o, O: Octets + ?Sized>(
    source: &'o mut O,
    range: Range<usize>,
    spare: &'o mut Vec<u8>,
) -> &'o [u8] {
    let length = range.len();
    // Asked for twice, since a borrow that is given out on one way only lasts on the other too.
    if source.at(range.start).len() >= length {
        return &source.at(range.start)[..length];
    }
    spare.clear();
    append(source, range, spare);
    spare
}

/// Appends the octets of a range; fewer when they cannot be read.
pub(crate) fn append<O: Octets + ?Sized>(source: &mut O, range: Range<usize>, out: &mut Vec<u8>) {
    let mut at = range.start;
    while at < range.end {
        let piece = source.at(at);
        if piece.is_empty() {
            return;
        }
        let piece = &piece[..piece.len().min(range.end - at)];
        out.extend_from_slice(piece);
        at += piece.len();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Shows `width` octets at a time.
    pub(crate) struct Narrow<'a> {
        pub(crate) message: &'a [u8],
        pub(crate) width: usize,
        /// Where the octets cannot be read any more.
        pub(crate) broken_at: usize,
    }

    impl Octets for Narrow<'_> {
        fn size(&self) -> usize {
            self.message.len()
        }

        fn at(&mut self, position: usize) -> &[u8] {
            let end = self.broken_at.min(self.message.len());
            let rest = self.message.get(position..end).unwrap_or_default();
            &rest[..rest.len().min(self.width.max(LOOK_AHEAD))]
        }
    }

    #[test]
    fn narrow_and_whole_tell_the_same() {
        let text = b"one line\r\n\n\nand a long one without end, longer than a window\r\nlast".as_slice();
        for at in 0..=text.len() {
            let mut narrow = Narrow {
                message: text,
                width: 16,
                broken_at: usize::MAX,
            };
            let mut whole = text;
            assert_eq!(line_end(&mut narrow, at), line_end(&mut whole, at), "{at}");
            assert_eq!(
                count_lines(&mut narrow, at..text.len()),
                count_lines(&mut whole, at..text.len())
            );
            let (mut some, mut others) = (Vec::new(), Vec::new());
            let found = slice(&mut narrow, at..text.len(), &mut some).to_vec();
            assert_eq!(found, slice(&mut whole, at..text.len(), &mut others));
            assert_eq!(
                without_line_end(&mut narrow, 0, at),
                crate::headers::without_line_end(&text[..at]).len()
            );
        }
    }
}
