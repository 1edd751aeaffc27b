//! A message as its readers see it when it is too large for memory: a window of two frames that goes where they look.
//!
//! Not a map of the file: a disk that fails under a map kills the process (SIGBUS), while a read that fails is an error
//! of this one message.

use std::ops::Range;

use ironpost_mime::Octets;
use ironpost_mime::octets::LOOK_AHEAD;

use super::format::FRAME_OCTETS;
use super::read::StoredRecord;
use crate::error::Result;

/// Octets held at once.
const WINDOW_OCTETS: usize = 2 * FRAME_OCTETS;

/// Shows octets that `read` appends: all of the range, or an error.
pub(crate) struct Window<R> {
    read: R,
    size: usize,
    base: usize,
    octets: Vec<u8>,
    fault: Result<()>,
}

impl<R: FnMut(Range<u64>, &mut Vec<u8>) -> Result<()>> Window<R> {
    /// Of so many octets; nothing is read yet.
    pub(crate) fn new(size: u64, read: R) -> Self {
        Self {
            read,
            size: usize::try_from(size).unwrap_or(usize::MAX),
            base: 0,
            octets: Vec::new(),
            fault: Ok(()),
        }
    }

    /// Whether all that was looked at could be read; what was made of it is of no use otherwise.
    pub(crate) fn finish(self) -> Result<()> {
        self.fault
    }
}

/// A window on a record's contents.
pub(crate) fn of_record(record: &StoredRecord) -> Window<impl FnMut(Range<u64>, &mut Vec<u8>) -> Result<()>> {
    Window::new(record.raw_len(), |range, out| record.read(range, out))
}

impl<R: FnMut(Range<u64>, &mut Vec<u8>) -> Result<()>> Octets for Window<R> {
    fn size(&self) -> usize {
        self.size
    }

    fn at(&mut self, position: usize) -> &[u8] {
        let end = self.base + self.octets.len();
        let is_there = position >= self.base && (position + LOOK_AHEAD <= end || (end == self.size && position <= end));
        if !is_there {
            self.octets.clear();
            if position >= self.size || self.fault.is_err() {
                return &[];
            }
            // From the beginning of a frame on, so that none is decompressed for a part of it.
            self.base = position - position % FRAME_OCTETS;
            let until = self.size.min(self.base + WINDOW_OCTETS);
            self.fault = (self.read)(self.base as u64..until as u64, &mut self.octets);
            if self.fault.is_err() {
                self.octets.clear();
            }
        }
        self.octets.get(position - self.base..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreError;

    #[test]
    fn any_position_shows_what_is_there() {
        let message: Vec<u8> = (0..FRAME_OCTETS * 3 + 5).map(|number| (number % 251) as u8).collect();
        let mut reads = 0;
        let mut window = Window::new(message.len() as u64, |range: Range<u64>, out: &mut Vec<u8>| {
            reads += 1;
            out.extend_from_slice(&message[range.start as usize..range.end as usize]);
            Ok(())
        });
        let near = |position: usize| position.saturating_sub(20)..(position + 20).min(message.len() + 1);
        for position in [0, FRAME_OCTETS, WINDOW_OCTETS, FRAME_OCTETS * 3, message.len()]
            .into_iter()
            .flat_map(near)
            .chain([7, message.len() + 100])
        {
            let shown = window.at(position);
            let rest = message.get(position..).unwrap_or_default();
            assert!(rest.starts_with(shown), "{position}");
            assert!(shown.len() >= rest.len().min(LOOK_AHEAD), "{position}");
        }
        window.finish().unwrap_or_else(|error| panic!("{error}"));
        assert!(reads < 40, "{reads} reads");
    }

    #[test]
    fn a_fault_is_the_end_and_is_told() {
        let mut window = Window::new(1 << 20, |range: Range<u64>, out: &mut Vec<u8>| {
            if range.start > 0 {
                return Err(StoreError::Corrupt("a frame".to_owned()));
            }
            out.resize((range.end - range.start) as usize, b'a');
            Ok(())
        });
        assert_eq!(window.at(0).len(), WINDOW_OCTETS);
        assert!(window.at(WINDOW_OCTETS).is_empty());
        assert!(window.at(0).is_empty());
        assert!(matches!(window.finish(), Err(StoreError::Corrupt(_))));
    }
}
