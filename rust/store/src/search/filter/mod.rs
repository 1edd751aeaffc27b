//! The filter: which messages a text search need not read (docs/search-index.md).
//!
//! A message that is covered by a segment, and that lacks a gram of the needle there, cannot hold the needle: both
//! sides were folded alike, and no match spans two pieces. Everything else is looked at exactly. So answers are the same
//! whether segments are complete, old, damaged or missing.

pub mod build;
pub mod gram;
pub mod index;
pub mod manifest;
pub mod merge;
pub mod postings;
pub mod segment;
mod waiting;
pub mod write;

use std::sync::Arc;

use self::index::SearchIndex;
use self::segment::{Document, Fault, Segment};
use super::needle::Needle;
use crate::ids::AccountId;

/// To be raised with any change of what text is searched: pieces, their decoding (`mime::text`, `html`, `charset`) or
/// their folding. Segments of another version are thrown away.
const TEXT_VERSION: u8 = 1;

/// Grams (and ranges of them) of a needle that are looked up at most; a part of them is as sound as all.
const LOOKED_UP_MAX: usize = 32;

/// What must be equal for a segment to be of use: our own version, and that of the tables that fold characters.
#[must_use]
pub fn text_version() -> u32 {
    let (major, minor, update) = char::UNICODE_VERSION;
    u32::from_be_bytes([major, minor, update, TEXT_VERSION])
}

/// Where a document was found: which segment, and its ordinal there.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    part: usize,
    ordinal: u32,
}

/// The filter of one search: for each segment and each needle the documents that may hold it.
#[derive(Debug)]
pub struct Filter {
    parts: Vec<Part>,
    /// The part in which the last document was found.
    last: usize,
}

#[derive(Debug)]
struct Part {
    segment: Arc<Segment>,
    hint: usize,
    /// For each needle; `None`: nothing is ruled out.
    sets: Vec<Option<Vec<u64>>>,
}

impl Filter {
    /// Looks the needles up in all segments of an account; a needle's place in the list is its slot.
    #[must_use]
    pub fn prepare(index: &SearchIndex, account: AccountId, needles: &[&Needle]) -> Self {
        let mut parts = Vec::new();
        for segment in index.segments(account) {
            let sets: Result<Vec<_>, Fault> = needles.iter().map(|needle| look_up(&segment, needle)).collect();
            match sets {
                Ok(sets) => parts.push(Part { segment, hint: 0, sets }),
                // Its documents are looked at exactly.
                Err(Fault::Damaged) => index.discard(account, segment.number()),
                Err(Fault::Missing | Fault::Io(_)) => {}
            }
        }
        Self { parts, last: 0 }
    }

    /// True when there is no segment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Where a document is; `None` when no segment covers it.
    pub fn place(&mut self, document: Document) -> Option<Place> {
        let mut order = std::iter::once(self.last).chain((0..self.parts.len()).filter(|part| *part != self.last));
        let (part, ordinal) = order.find_map(|number| {
            let part = self.parts.get_mut(number)?;
            Some((number, part.segment.ordinal(document, &mut part.hint)?))
        })?;
        self.last = part;
        Some(Place { part, ordinal })
    }

    /// True when the document there cannot hold the needle of that slot.
    #[must_use]
    pub fn rules_out(&self, place: Place, slot: usize) -> bool {
        let set = self
            .parts
            .get(place.part)
            .and_then(|part| part.sets.get(slot)?.as_ref());
        set.is_some_and(|set| {
            let word = set.get(place.ordinal as usize / 64).copied().unwrap_or(u64::MAX);
            word >> (place.ordinal % 64) & 1 == 0
        })
    }
}

/// The documents of a segment that may hold the needle, as bits; `None`: all may.
fn look_up(segment: &Segment, needle: &Needle) -> Result<Option<Vec<u64>>, Fault> {
    let wanted = gram::wanted(needle.folded());
    if wanted.is_empty() {
        return Ok(None);
    }
    let step = wanted.len().div_ceil(LOOKED_UP_MAX);
    let mut wanted = wanted.into_iter().step_by(step);
    let (mut found, mut list) = (Vec::new(), Vec::new());
    if let Some(first) = wanted.next() {
        segment.list(first, &mut found)?;
    }
    for grams in wanted {
        if found.is_empty() {
            break;
        }
        list.clear();
        segment.list(grams, &mut list)?;
        intersect(&mut found, &list);
    }
    let mut bits = vec![0; segment.documents().len().div_ceil(64)];
    for &ordinal in found.iter().chain(segment.wild()) {
        if let Some(word) = bits.get_mut(ordinal as usize / 64) {
            *word |= 1_u64 << (ordinal % 64);
        }
    }
    Ok(Some(bits))
}

/// Keeps what stands in both; both ascend.
fn intersect(left: &mut Vec<u32>, right: &[u32]) {
    let mut right = right.iter().copied().peekable();
    left.retain(|&member| {
        while right.next_if(|&other| other < member).is_some() {}
        right.peek() == Some(&member)
    });
}
