//! The reader pool: runs read jobs on a few threads; a transaction lasts one job at most.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use heed::{Env, WithoutTls};
use parking_lot::{Condvar, Mutex};

use crate::completion::Completions;
use crate::db::records::BlobRecord;
use crate::db::tables::{ReadTxn, Tables, damaged};
use crate::error::{Result, StoreError};
use crate::ids::{BlobId, Ticket};
use crate::ops::Outcome;
use crate::pack::read::{PackFiles, StoredRecord};
use crate::search::filter::index::SearchIndex;

/// Jobs that wait at most.
const JOBS_WAITING_MAX: usize = 4096;

/// What a read job may use.
#[derive(Clone)]
pub struct ReadContext {
    /// The environment.
    pub env: Env<WithoutTls>,
    /// Its tables.
    pub tables: Tables,
    /// The packs.
    pub packs: Arc<PackFiles>,
    /// The search index.
    pub search: Arc<SearchIndex>,
}

impl std::fmt::Debug for ReadContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ReadContext")
    }
}

impl ReadContext {
    /// Begins a read transaction. Never keep one beyond the job: it stops the reuse of pages (lmdb.md 4.6).
    pub fn begin(&self) -> Result<ReadTxn<'_>> {
        Ok(self.env.read_txn()?)
    }

    /// Number of the environment's last transaction: a memory read. While a commit syncs it may be ahead of what a transaction that
    /// begins now sees, so that it may only be compared with the number of such a transaction, never kept for one.
    #[must_use]
    pub fn last_transaction(&self) -> u64 {
        self.env.info().last_txn_id as u64
    }

    /// The blob's row; an absent one is `NotFound`: the message has been removed since.
    pub fn blob(&self, txn: &ReadTxn<'_>, blob: BlobId) -> Result<BlobRecord> {
        self.tables
            .blob(txn, blob)?
            .ok_or_else(|| StoreError::NotFound(format!("blob {blob}")))
    }

    /// The blob's record. When its pack has gone since the row was read, looks the row up again, once.
    pub fn record(&self, blob: BlobId) -> Result<StoredRecord> {
        let first = {
            let txn = self.begin()?;
            self.blob(&txn, blob)?
        };
        match self.packs.record(&first) {
            Err(StoreError::Corrupt(text)) => {
                let txn = self.begin()?;
                let again = self.blob(&txn, blob)?;
                if again == first {
                    Err(StoreError::Corrupt(text))
                } else {
                    self.packs.record(&again)
                }
            }
            other => other,
        }
    }

    /// The blob's card as the index holds it.
    pub fn card<'t>(&self, txn: &'t ReadTxn<'_>, blob: BlobId) -> Result<&'t [u8]> {
        self.tables
            .cards
            .get(txn, &crate::db::keys::blob(blob))?
            .ok_or_else(|| damaged("cards", blob))
    }
}

/// A read job.
pub type ReadJob = Box<dyn FnOnce(&ReadContext) -> Result<Outcome> + Send>;

/// The pool.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    context: ReadContext,
    completions: Arc<Completions>,
    queue: Mutex<Queue>,
    wake: Condvar,
    busy: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Ticket, ReadJob)>,
    closed: bool,
}

impl Readers {
    pub(crate) fn start(context: ReadContext, completions: Arc<Completions>, threads: usize) -> Result<Self> {
        let shared = Arc::new(Shared {
            context,
            completions,
            queue: Mutex::default(),
            wake: Condvar::new(),
            busy: AtomicUsize::new(0),
        });
        let mut handles = Vec::new();
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name(format!("store-read-{number}"));
            handles.push(builder.spawn(move || shared.run())?);
        }
        Ok(Self {
            shared,
            threads: Mutex::new(handles),
        })
    }

    /// Queues a job; `Busy` when too many wait.
    pub(crate) fn submit(&self, job: ReadJob) -> Result<Ticket> {
        let ticket = self.shared.completions.issue();
        if self.queue(ticket, job, JOBS_WAITING_MAX) {
            Ok(ticket)
        } else {
            self.shared.completions.withdraw(ticket);
            Err(StoreError::Busy)
        }
    }

    /// Queues the second half of a write; never refused, since the write has happened.
    pub(crate) fn follow(&self, ticket: Ticket, job: ReadJob) {
        if !self.queue(ticket, job, usize::MAX) {
            self.shared
                .completions
                .finish([(ticket, Err(crate::completion::closed()))]);
        }
    }

    fn queue(&self, ticket: Ticket, job: ReadJob, waiting_max: usize) -> bool {
        let mut queue = self.shared.queue.lock();
        if queue.closed || queue.jobs.len() >= waiting_max {
            return false;
        }
        queue.jobs.push_back((ticket, job));
        self.shared.wake.notify_one();
        true
    }

    /// Threads that run a job now.
    pub(crate) fn busy(&self) -> usize {
        self.shared.busy.load(Ordering::Relaxed)
    }

    /// Jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.queue.lock().jobs.len()
    }

    /// Finishes what is queued and stops the threads.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().closed = true;
        self.shared.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A job's panic was caught and told by its ticket; nothing is left to say here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let (ticket, job) = {
                let mut queue = self.queue.lock();
                loop {
                    if let Some(next) = queue.jobs.pop_front() {
                        break next;
                    }
                    if queue.closed {
                        return;
                    }
                    self.wake.wait(&mut queue);
                }
            };
            self.busy.fetch_add(1, Ordering::Relaxed);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&self.context)));
            self.busy.fetch_sub(1, Ordering::Relaxed);
            let result = outcome.unwrap_or_else(|_| Err(StoreError::Failed("a read job panicked".to_owned())));
            self.completions.finish([(ticket, result)]);
        }
    }
}
