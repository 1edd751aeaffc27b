//! Merging segments of about one size into one; documents that are gone stay behind.

use std::path::Path;
use std::sync::Arc;

use super::build::Limits;
use super::manifest::Manifest;
use super::segment::{DOCUMENTS_MAX, Document, Fault, Segment};
use super::write::{SegmentWriter, Written};
use crate::ids::AccountId;

/// Segments that one merge joins at most; so each document is written about log8(n) times.
pub const FAN_IN: usize = 8;

/// The segments to merge next: as soon as there are eight of one class of size, of the smallest such class; as many of
/// them as one segment may hold.
#[must_use]
pub fn candidates(manifest: &Manifest, limits: &Limits) -> Vec<u64> {
    let class = |segment: &Written| (segment.octets / limits.class_octets.max(1)).max(1).ilog(FAN_IN as u64);
    let small =
        |segment: &&Written| segment.octets < limits.segment_octets / 2 && segment.documents < DOCUMENTS_MAX / 2;
    let last = manifest.segments.iter().filter(small).map(class).max();
    for wanted in 0..=last.unwrap_or(0) {
        let of_class: Vec<&Written> = manifest
            .segments
            .iter()
            .filter(small)
            .filter(|segment| class(segment) == wanted)
            .collect();
        if of_class.len() < FAN_IN {
            continue;
        }
        let (mut octets, mut documents) = (0, 0);
        let chosen: Vec<u64> = of_class
            .into_iter()
            .take(FAN_IN)
            .take_while(|segment| {
                octets += segment.octets;
                documents += segment.documents;
                octets <= limits.segment_octets && documents <= DOCUMENTS_MAX
            })
            .map(|segment| segment.number)
            .collect();
        if chosen.len() > 1 {
            return chosen;
        }
    }
    Vec::new()
}

/// What became of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// One segment in place of all.
    Into(Written),
    /// None of their documents is alive.
    Nothing,
    /// It was told to stop; nothing has changed.
    Stopped,
}

/// Merges segments into one of that number, unless `stopped` says so.
///
/// # Errors
/// The fault, and the number of the segment that it belongs to (0: none).
pub fn merge(
    folder: &Path,
    account: AccountId,
    number: u64,
    segments: &[Arc<Segment>],
    alive: impl Fn(&[Document]) -> crate::error::Result<Vec<bool>>,
    stopped: impl Fn() -> bool,
) -> Result<Merged, (u64, Fault)> {
    let own = |error: std::io::Error| (0, Fault::Io(error));
    let mut all: Vec<(Document, bool)> = Vec::new();
    for segment in segments {
        let mut wild = segment.wild().iter().copied().peekable();
        let alive = alive(segment.documents()).map_err(|error| own(std::io::Error::other(error)))?;
        for (ordinal, (document, alive)) in (0..).zip(segment.documents().iter().zip(alive)) {
            let is_wild = wild.next_if_eq(&ordinal).is_some();
            if alive {
                all.push((*document, is_wild));
            }
        }
    }
    // Of one that stands in two segments the one that is in the lists counts.
    all.sort_unstable();
    all.dedup_by(|later, first| later.0 == first.0);
    if all.is_empty() {
        return Ok(Merged::Nothing);
    }
    let text_octets = segments.iter().map(|segment| segment.text_octets()).sum();
    let mut writer = SegmentWriter::create(folder, account, number, &all, text_octets).map_err(own)?;
    let moved: Vec<Vec<u32>> = segments
        .iter()
        .map(|segment| {
            let place = |document| all.binary_search_by_key(document, |(document, _)| *document);
            let new = segment.documents().iter().map(place);
            new.map(|found| found.map_or(u32::MAX, |ordinal| ordinal as u32))
                .collect()
        })
        .collect();
    let mut cursors: Vec<_> = segments.iter().map(|segment| segment.cursor()).collect();
    let (mut list, mut merged) = (Vec::new(), Vec::new());
    loop {
        if stopped() {
            return Ok(Merged::Stopped);
        }
        let mut least = None;
        for (cursor, segment) in cursors.iter_mut().zip(segments) {
            let term = cursor.term().map_err(|fault| (segment.number(), fault))?;
            least = least.into_iter().chain(term).min();
        }
        let Some(term) = least else { break };
        merged.clear();
        for (index, cursor) in cursors.iter_mut().enumerate() {
            let number = segments[index].number();
            if cursor.term().map_err(|fault| (number, fault))? == Some(term) {
                list.clear();
                cursor.take(&mut list).map_err(|fault| (number, fault))?;
                let new = list.iter().filter_map(|&ordinal| moved[index].get(ordinal as usize));
                merged.extend(new.copied().filter(|&ordinal| ordinal != u32::MAX));
            }
        }
        // Documents of different segments mostly follow one another, which sorting notices.
        if !merged.is_sorted() {
            merged.sort_unstable();
        }
        merged.dedup();
        writer.term(term, &merged).map_err(own)?;
    }
    writer.finish().map(Merged::Into).map_err(own)
}
