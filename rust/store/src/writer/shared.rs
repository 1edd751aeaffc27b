//! What is on its way to the writer thread, and what others see of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use super::BATCH_MESSAGES_MAX;
use crate::error::{Result, StoreError};
use crate::ids::Ticket;
use crate::lineup::Place;
use crate::ops::{Op, Outcome};
use crate::prepare::Prepared;
use crate::sharing::CopyAcross;
use crate::volume::Follow;

/// An operation on its way.
pub(crate) struct Queued {
    /// `None` for the store's own.
    pub(crate) ticket: Option<Ticket>,
    /// A thread of the store that waits for the outcome.
    pub(crate) reply: Option<Sender<Result<Outcome>>>,
    pub(crate) op: Op,
    pub(crate) prepared: Prepared,
    pub(crate) follow: Option<Follow>,
    /// Where it stands among those that keep their order, until it is prepared.
    pub(crate) place: Option<Place>,
    /// What was done by earlier transactions of an operation that takes several.
    pub(super) progress: u64,
    /// Counted against the bound of all that is on its way, until dropped.
    _load: Load,
}

impl Queued {
    pub(crate) fn new(ticket: Option<Ticket>, op: Op, follow: Option<Follow>, load: Load) -> Self {
        Self {
            ticket,
            reply: None,
            op,
            prepared: Prepared::default(),
            follow,
            place: None,
            progress: 0,
            _load: load,
        }
    }

    /// Messages that the operation touches, about.
    pub(super) fn weight(&self) -> u64 {
        let of = |uids: &[(u32, u32)]| {
            uids.iter().fold(0_u64, |sum, (first, last)| {
                sum + u64::from(last.saturating_sub(*first)) + 1
            })
        };
        match &self.op {
            Op::Submit(submit) => (submit.deliveries.len() + submit.enqueue.len()) as u64,
            Op::AppendAll { messages, .. } => messages.len() as u64,
            Op::StoreFlags { uids, .. }
            | Op::MarkSeen { uids, .. }
            | Op::Copy { uids, .. }
            | Op::CopyAcross(CopyAcross { uids, .. })
            | Op::ExpungeUids { uids, .. } => of(uids).min(BATCH_MESSAGES_MAX),
            Op::Relocate { blobs } => blobs.len() as u64,
            Op::Rejournal { entries, .. } => entries.len() as u64 / 64,
            Op::Expunge { .. } | Op::RenameMailbox { .. } | Op::RemoveAccount { .. } => 1000,
            Op::Purge | Op::Expire { .. } | Op::PurgeRetained { .. } | Op::Recover { .. } => 2000,
            _ => 1,
        }
    }
}

/// What is on its way: operations and octets, bounded.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    ops: AtomicU64,
    octets: AtomicU64,
}

/// One operation's share of [`Loads`].
#[derive(Debug)]
pub(crate) struct Load {
    loads: Arc<Loads>,
    octets: u64,
}

impl Loads {
    /// Operations on their way at most.
    const OPS_MAX: u64 = 8192;
    /// Octets of bodies on their way at most.
    const OCTETS_MAX: u64 = 256 << 20;

    /// `Busy` when the bound is reached; one operation of any size always passes.
    pub(crate) fn take(self: &Arc<Self>, octets: u64) -> Result<Load> {
        let ops = self.ops.fetch_add(1, Ordering::Relaxed);
        let before = self.octets.fetch_add(octets, Ordering::Relaxed);
        let load = Load {
            loads: Arc::clone(self),
            octets,
        };
        if ops >= Self::OPS_MAX || (ops > 0 && before + octets > Self::OCTETS_MAX) {
            return Err(StoreError::Busy);
        }
        Ok(load)
    }

    pub(crate) fn ops(&self) -> u64 {
        self.ops.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.loads.ops.fetch_sub(1, Ordering::Relaxed);
        self.loads.octets.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

/// What the writer thread and the volume share.
#[derive(Default)]
pub(crate) struct WriterShared {
    pub(super) queue: Mutex<WriteQueue>,
    pub(super) wake: Condvar,
    failed: Mutex<Option<String>>,
    has_failed: AtomicBool,
    /// Microseconds since `epoch` when the present batch was begun; 0 when there is none.
    pub(super) batch_began: AtomicU64,
    pub(crate) counters: WriterCounters,
}

#[derive(Default)]
pub(super) struct WriteQueue {
    pub(super) ops: VecDeque<Queued>,
    pub(super) closed: bool,
}

/// Counters for metrics.
#[derive(Debug, Default)]
pub(crate) struct WriterCounters {
    pub(crate) batches: AtomicU64,
    pub(crate) ops: AtomicU64,
    pub(crate) pack_syncs: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) octets: AtomicU64,
}

impl WriterShared {
    /// Hands an operation to the writer; false when the queue is closed.
    pub(crate) fn push(&self, queued: Queued) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        queue.ops.push_back(queued);
        self.wake.notify_one();
        true
    }

    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue.lock().ops.len()
    }

    pub(crate) fn failed(&self) -> Option<String> {
        if !self.has_failed.load(Ordering::Acquire) {
            return None;
        }
        self.failed.lock().clone()
    }

    pub(crate) fn fail(&self, reason: String) {
        self.failed.lock().get_or_insert(reason);
        self.has_failed.store(true, Ordering::Release);
    }

    pub(crate) fn batch_age(&self, epoch: Instant) -> f64 {
        match self.batch_began.load(Ordering::Relaxed) {
            0 => 0.0,
            began => (epoch.elapsed().as_micros() as u64).saturating_sub(began) as f64 / 1e6,
        }
    }
}
