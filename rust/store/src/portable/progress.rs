//! What a long task tells while it runs: counters, lines, and whether it should stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::{Result, StoreError};

/// Lines kept at most until somebody takes them; more are counted only.
const NOTES_MAX: usize = 10_000;

/// Shared by the thread that works and the one that shows.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    octets: AtomicU64,
    total: AtomicU64,
    problems: AtomicU64,
    cancelled: AtomicBool,
    notes: Mutex<Vec<String>>,
}

impl Progress {
    /// So much more is done.
    pub fn advance(&self, count: u64, octets: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    /// What there is to do in all.
    pub fn set_total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    /// (done, octets, total; 0: unknown).
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        (
            self.done.load(Ordering::Relaxed),
            self.octets.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// Something is damaged or was left out: one line for a person. The task goes on.
    pub fn problem(&self, line: String) {
        self.problems.fetch_add(1, Ordering::Relaxed);
        let mut notes = self.notes.lock();
        if notes.len() < NOTES_MAX {
            notes.push(line);
        }
    }

    /// Problems told so far, those included of which no line was kept.
    #[must_use]
    pub fn problems(&self) -> u64 {
        self.problems.load(Ordering::Relaxed)
    }

    /// Takes the lines.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock())
    }

    /// Asks the task to stop at its next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// An error once the task was asked to stop.
    pub fn go_on(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(StoreError::Refused("interrupted".to_owned()));
        }
        Ok(())
    }
}
