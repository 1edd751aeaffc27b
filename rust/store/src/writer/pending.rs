//! The journal of transactions that no pack holds yet. It stands in the index too (table `journal`), so that a crash loses
//! none of it, and goes to the pack with the bodies of a later batch.

use std::ops::Range;

use crate::ids::PackId;
use crate::prepare::{PreparedRecord, encode_journal};

/// Octets that may wait before they go to the pack with the next batch, whatever that is.
const OCTETS_MAX: usize = 1 << 20;

/// What waits, and what has been written since the index was last told.
#[derive(Debug, Default)]
pub(crate) struct PendingJournal {
    /// Transactions that no pack holds.
    waiting: Vec<u8>,
    /// The rows of `journal` that hold them, with those that a pack has come to hold before them.
    parts: Range<u32>,
    /// The first of these that no pack holds.
    unwritten: u32,
    /// Journal records in packs that no transaction has told of: (pack, octets).
    written: Vec<(PackId, u32)>,
    /// To be written with the next batch even if that has no bodies.
    pub(crate) due: bool,
}

impl PendingJournal {
    /// As found in the index: what a dead writer has left, in rows of ours now.
    pub(crate) fn left(waiting: Vec<u8>, next_part: u32) -> Self {
        Self {
            due: !waiting.is_empty(),
            waiting,
            parts: 0..next_part,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// True when a pack holds what the index does not know of.
    pub(crate) fn is_written(&self) -> bool {
        !self.written.is_empty()
    }

    /// The record of what waits, if it is to be written now. `bodies`: others are written with it.
    pub(crate) fn record(&self, bodies: bool) -> Option<PreparedRecord> {
        let wanted = bodies || self.due || self.waiting.len() > OCTETS_MAX;
        (wanted && !self.waiting.is_empty()).then(|| encode_journal(&self.waiting))
    }

    /// A pack holds, synced, what waited.
    pub(crate) fn written(&mut self, pack: PackId, octets: u32) {
        self.waiting.clear();
        self.due = false;
        self.unwritten = self.parts.end;
        self.written.push((pack, octets));
    }

    pub(crate) fn packs(&self) -> &[(PackId, u32)] {
        &self.written
    }

    /// Rows that may go.
    pub(crate) fn parts_written(&self) -> Range<u32> {
        self.parts.start..self.unwritten
    }

    /// The number of the next row.
    pub(crate) fn next_part(&self) -> u32 {
        self.parts.end
    }

    /// A transaction has told of what was written and left something new.
    pub(crate) fn committed(&mut self, told: &[u8], next_part: u32) {
        self.waiting.extend_from_slice(told);
        self.parts = self.unwritten..next_part;
        self.written.clear();
    }
}
