//! The writer thread: takes all waiting operations, syncs their bodies, applies them in one transaction, commits,
//! completes their tickets. Exactly in this order: bodies synced, index transaction, completion.

mod pending;
mod shared;

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heed::{Env, WithoutTls};

use crate::apply::{ApplyError, Batch, PIN, Setting, doomed_packs};
use crate::completion::Completions;
use crate::db::tables::Tables;
use crate::error::{Result, StoreError, is_no_space};
use crate::failpoints;
use crate::ids::{AccountId, MailboxId, PackId, WriterId};
use crate::jobs::Readers;
use crate::ops::{Op, Outcome};
use crate::pack::append::{AppendError, Appender};
use crate::pack::compact;
use crate::pack::read::PackFiles;
use crate::prepare::PreparedRecord;

pub(crate) use pending::PendingJournal;
pub(crate) use shared::{Loads, Queued, WriterShared};

/// Operations in one batch at most.
const BATCH_OPS_MAX: usize = 512;
/// Octets of bodies in one batch at most.
const BATCH_OCTETS_MAX: usize = 32 << 20;
/// Messages that the operations of one batch may touch, about: keeps its dirty pages far below LMDB's bound of 2^17.
const BATCH_MESSAGES_MAX: u64 = 20_000;
/// How long the journal of the last batch may wait for the bodies of a next one before it goes to the pack alone.
const JOURNAL_IDLE: Duration = Duration::from_secs(30);
/// How long a look at the free space counts.
const FREE_LOOK: Duration = Duration::from_millis(500);

/// The writer thread's own.
pub(crate) struct Writer {
    pub(crate) env: Env<WithoutTls>,
    pub(crate) tables: Tables,
    pub(crate) packs: Arc<PackFiles>,
    pub(crate) appender: Appender,
    pub(crate) shared: Arc<WriterShared>,
    pub(crate) completions: Arc<Completions>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) folder: PathBuf,
    pub(crate) loads: Arc<Loads>,
    pub(crate) min_free: u64,
    pub(crate) map_size: u64,
    pub(crate) number: WriterId,
    pub(crate) retention: u32,
    pub(crate) epoch: Instant,
    pub(crate) purge: bool,
    pub(crate) free: Option<(Instant, u64)>,
    pub(crate) journal: PendingJournal,
    /// The transaction at hand is the last one that tells anything.
    pub(crate) ending: bool,
}

/// What became of the operations of one transaction.
type Results = Vec<(Queued, Result<Outcome>)>;

/// Why a transaction did not commit.
enum CommitError {
    /// Try again with less.
    Less(StoreError),
    /// Never again: the volume has failed.
    Fatal(String),
}

impl Writer {
    /// Runs until the queue is closed and empty. Returns with the active pack sealed in the index, if all went well.
    pub(crate) fn run(mut self) {
        while let Some(batch) = self.take() {
            let began = (self.epoch.elapsed().as_micros() as u64).max(1);
            self.shared.batch_began.store(began, Ordering::Relaxed);
            let mut waiting = batch;
            let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| self.process(&mut waiting)));
            if outcome.is_err() {
                self.shared.fail("the writer panicked".to_owned());
            }
            // Whatever is still here was not reached: the volume has failed.
            if !waiting.is_empty() {
                self.fail_all(waiting);
            }
            if outcome.is_err() {
                self.completions.fail_open("the writer panicked");
            }
            self.shared.batch_began.store(0, Ordering::Relaxed);
            // LMDB's writer lock is not fair: let a writer of another process have its turn.
            std::thread::yield_now();
        }
        if self.shared.failed().is_none() {
            self.finish();
        }
    }

    /// Waits for operations and takes as many as one batch holds. `None`: closed and empty.
    fn take(&mut self) -> Option<Vec<Queued>> {
        let mut queue = self.shared.queue.lock();
        while queue.ops.is_empty() && !self.purge {
            if queue.closed {
                return None;
            }
            if self.journal.is_empty() {
                self.shared.wake.wait(&mut queue);
            } else if self.shared.wake.wait_for(&mut queue, JOURNAL_IDLE).timed_out() && queue.ops.is_empty() {
                self.journal.due = true;
                return Some(Vec::new());
            }
        }
        let closing = queue.closed && queue.ops.is_empty();
        if closing {
            // What is left to purge is found again by the next open.
            return None;
        }
        let (mut octets, mut weight) = (0, 0);
        let mut batch = Vec::new();
        while let Some(next) = queue.ops.front() {
            octets += next.prepared.octets();
            weight += next.weight();
            let over = octets > BATCH_OCTETS_MAX || weight > BATCH_MESSAGES_MAX || batch.len() >= BATCH_OPS_MAX;
            if over && !batch.is_empty() {
                break;
            }
            batch.extend(queue.ops.pop_front());
        }
        drop(queue);
        if self.purge {
            self.purge = false;
            // A step of its own between batches keeps others from waiting for a long purge.
            if let Ok(load) = self.loads.take(0) {
                batch.push(Queued::new(None, Op::Purge, None, load));
            } else {
                self.purge = true;
            }
        }
        Some(batch)
    }

    fn fail_all(&self, ops: Vec<Queued>) {
        let reason = self
            .shared
            .failed()
            .unwrap_or_else(|| "the volume has failed".to_owned());
        let results = ops.into_iter().map(|mut queued| {
            // A transaction may have come to point to these files before the failure was seen.
            queued.prepared.records_mut().for_each(PreparedRecord::keep);
            (queued, Err(StoreError::Failed(reason.clone())))
        });
        self.complete(results.collect(), Vec::new());
    }

    /// Takes the operations out of `waiting` as they are settled.
    fn process(&mut self, waiting: &mut Vec<Queued>) {
        if self.shared.failed().is_some() {
            return;
        }
        self.shared.counters.batches.fetch_add(1, Ordering::Relaxed);
        self.shared
            .counters
            .ops
            .fetch_add(waiting.len() as u64, Ordering::Relaxed);
        let short = self.space_fault();
        if let Some(text) = short {
            let (refused, rest): (Vec<Queued>, Vec<Queued>) = waiting
                .drain(..)
                .partition(|queued| !queued.op.frees_space() && !queued.op.is_compaction());
            *waiting = rest;
            let results = refused
                .into_iter()
                .map(|queued| (queued, Err(StoreError::Full(text.clone()))));
            self.complete(results.collect(), Vec::new());
        }
        let seals = waiting.iter().any(|queued| matches!(queued.op, Op::Seal));
        // What a retired pack told must be in another before the index lets it go.
        self.journal.due |= seals || waiting.iter().any(|queued| matches!(queued.op, Op::Retire { .. }));
        match self.write_bodies(waiting) {
            Ok(failed) => self.complete(failed, Vec::new()),
            Err(reason) => {
                self.shared.fail(reason);
                return;
            }
        }
        if !self.journal.is_empty() {
            self.refuse_retirement(waiting);
        }
        if seals && let Err(AppendError::Write(error) | AppendError::Sync(error)) = self.appender.seal() {
            self.shared.fail(format!("sealing a pack: {error}"));
            return;
        }
        let purged = match self.unlink_dead_packs(waiting) {
            Ok(purged) => purged,
            Err(StoreError::Failed(reason)) => {
                self.shared.fail(reason);
                return;
            }
            Err(error) => {
                // The purge step is tried again with the next batch.
                waiting.retain(|queued| !matches!(queued.op, Op::Purge));
                self.purge = !matches!(error, StoreError::Io(_));
                Vec::new()
            }
        };
        if !waiting.is_empty() || self.journal.is_written() {
            self.commit_all(waiting, &purged);
        }
    }

    /// The disk had no room for the journal: no pack may go whose own was told again in it.
    fn refuse_retirement(&self, waiting: &mut Vec<Queued>) {
        let (refused, rest): (Vec<Queued>, Vec<Queued>) = waiting
            .drain(..)
            .partition(|queued| matches!(queued.op, Op::Retire { .. }));
        *waiting = rest;
        let full = || StoreError::Full("there is no room for the journal of a pack".to_owned());
        let results = refused.into_iter().map(|queued| (queued, Err(full())));
        self.complete(results.collect(), Vec::new());
    }

    /// Why no new mail may be taken, if so.
    fn space_fault(&mut self) -> Option<String> {
        let stale = self.free.is_none_or(|(at, _)| at.elapsed() > FREE_LOOK);
        if stale && let Ok(stat) = rustix::fs::statvfs(&self.folder) {
            self.free = Some((Instant::now(), stat.f_bavail.saturating_mul(stat.f_frsize)));
        }
        if self.free.is_some_and(|(_, free)| free < self.min_free) {
            return Some("the disk is nearly full".to_owned());
        }
        // The map has a reserve beyond its told size, so that deletes still find pages.
        let page = u64::from(self.env.stat().page_size);
        let used = self.env.info().last_page_number as u64 * page;
        if used >= self.map_size
            && self
                .env
                .non_free_pages_size()
                .is_ok_and(|live| live + (1 << 20) >= self.map_size)
        {
            return Some("the index has reached its map size".to_owned());
        }
        None
    }

    /// Appends the bodies of the batch and syncs them. Operations whose bodies have no room are settled with `Full`;
    /// an error is the reason for which the volume has failed.
    fn write_bodies(&mut self, waiting: &mut Vec<Queued>) -> std::result::Result<Results, String> {
        let mut records: Vec<&mut PreparedRecord> = waiting
            .iter_mut()
            .flat_map(|queued| queued.prepared.shared_mut())
            .collect();
        if self.journal.due && !self.journal.is_empty() && failpoints::pass("journal-flush").is_err() {
            return Err("an armed fault".to_owned());
        }
        // What earlier transactions did travels with the bodies of this one, for no sync of its own.
        let mut journal = self.journal.record(!records.is_empty());
        if let Some(journal) = &mut journal {
            records.insert(0, journal);
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let counters = &self.shared.counters;
        let octets: usize = records.iter().map(|record| record.bytes.len()).sum();
        let first = self.appender.append(&mut records);
        drop(records);
        match first {
            Ok(()) => {
                if let Some((pack, length)) = journal.and_then(|record| Some((record.place?.0, record.length))) {
                    self.journal.written(pack, length);
                }
                counters.pack_syncs.fetch_add(1, Ordering::Relaxed);
                counters.octets.fetch_add(octets as u64, Ordering::Relaxed);
                return Ok(Vec::new());
            }
            Err(AppendError::Sync(error)) => return Err(format!("syncing a pack: {error}")),
            Err(AppendError::Write(error)) if !is_no_space(&error) => {
                return Err(format!("writing a pack: {error}"));
            }
            Err(AppendError::Write(_)) => {}
        }
        // Too little room for all: one by one, so that the small ones still get in. The journal can wait.
        let mut failed = Vec::new();
        let mut kept = Vec::new();
        // Mail goes before what compaction copies.
        waiting.sort_by_key(|queued| queued.op.is_compaction());
        for mut queued in waiting.drain(..) {
            counters.retries.fetch_add(1, Ordering::Relaxed);
            let mut records: Vec<&mut PreparedRecord> = queued.prepared.shared_mut().collect();
            match self.appender.append(&mut records) {
                Ok(()) => kept.push(queued),
                Err(AppendError::Write(error)) if is_no_space(&error) => {
                    failed.push((queued, Err(StoreError::Full(error.to_string()))));
                }
                Err(AppendError::Write(error)) => return Err(format!("writing a pack: {error}")),
                Err(AppendError::Sync(error)) => return Err(format!("syncing a pack: {error}")),
            }
        }
        *waiting = kept;
        Ok(failed)
    }

    /// The file work of a purge step, outside LMDB's writer lock.
    fn unlink_dead_packs(&self, waiting: &[Queued]) -> Result<Vec<PackId>> {
        if !waiting.iter().any(|queued| matches!(queued.op, Op::Purge)) {
            return Ok(Vec::new());
        }
        let packs = {
            let txn = self.env.read_txn()?;
            if self.tables.leased(&txn, PIN, now_micros())? {
                // Somebody copies packs: they stay until the lease is given back or has expired.
                return Ok(Vec::new());
            }
            doomed_packs(&self.tables, &txn)?
        };
        compact::unlink(&self.packs, &packs)?;
        Ok(packs)
    }

    /// Commits the operations, all at once if that works, else in halves down to single ones.
    fn commit_all(&mut self, waiting: &mut Vec<Queued>, purged: &[PackId]) {
        let mut groups = VecDeque::new();
        groups.push_back(std::mem::take(waiting));
        while let Some(mut group) = groups.pop_front() {
            let fault = match self.commit(&mut group, purged) {
                Ok((results, dirty)) => {
                    self.complete(results, dirty);
                    if !group.is_empty() {
                        groups.push_front(group);
                    }
                    continue;
                }
                Err(CommitError::Fatal(reason)) => {
                    self.shared.fail(reason);
                    waiting.extend(group);
                    waiting.extend(groups.drain(..).flatten());
                    return;
                }
                Err(CommitError::Less(fault)) => fault,
            };
            self.shared.counters.retries.fetch_add(1, Ordering::Relaxed);
            if group.len() > 1 {
                // Those that free space go first.
                group.sort_by_key(|queued| (!queued.op.frees_space(), queued.op.is_compaction()));
                let second = group.split_off(group.len() / 2);
                groups.push_front(second);
                groups.push_front(group);
                continue;
            }
            let gives_space = group.first().is_some_and(|queued| queued.op.frees_space());
            if fault.is_full() && gives_space && self.give_up_reserve() {
                groups.push_front(group);
                continue;
            }
            let fault = if fault.is_full() {
                StoreError::Full(fault.to_string())
            } else {
                fault
            };
            self.complete(
                group
                    .into_iter()
                    .map(|queued| (queued, Err(fault.duplicate())))
                    .collect(),
                Vec::new(),
            );
        }
    }

    /// Unlinks the reserve file; true when there was one.
    fn give_up_reserve(&self) -> bool {
        std::fs::remove_file(self.folder.join("reserve")).is_ok()
    }

    /// One transaction. After an error nothing of it has happened and `group` is as it was; after success `group`
    /// holds the operations that have more to do.
    fn commit(
        &mut self,
        group: &mut Vec<Queued>,
        purged: &[PackId],
    ) -> std::result::Result<(Results, Vec<(AccountId, MailboxId)>), CommitError> {
        failpoints::pass("txn-begin").map_err(fault_of_io)?;
        let txn = self.env.write_txn().map_err(fault_of_index)?;
        let setting = Setting {
            writer: self.number,
            retention: self.retention,
            now: now_micros(),
        };
        let mut batch = Batch::begin(txn, &self.tables, setting).map_err(fault_of)?;
        let mut outcomes = Vec::with_capacity(group.len());
        for queued in group.iter() {
            failpoints::pass("apply").map_err(fault_of_io)?;
            match batch.apply(&queued.op, &queued.prepared, purged) {
                Ok(outcome) => outcomes.push((Ok(outcome), batch.again, batch.unused)),
                Err(ApplyError::Rejected(error)) => outcomes.push((Err(error), false, true)),
                Err(ApplyError::Broken(error)) => return Err(fault_of(error)),
            }
        }
        for sealed in self.appender.sealed() {
            batch.pack_grown(sealed.0, sealed.1).map_err(fault_of)?;
            batch.pack_sealed(sealed.0).map_err(fault_of)?;
        }
        if let Some((pack, length)) = self.appender.active() {
            batch.pack_grown(pack, length).map_err(fault_of)?;
        }
        for &(pack, octets) in self.journal.packs() {
            batch.journal_written(pack, octets).map_err(fault_of)?;
        }
        batch.drop_journal(self.journal.parts_written()).map_err(fault_of)?;
        if self.ending {
            batch.tell_ended(self.number);
        }
        let told = batch.flush().map_err(fault_of)?;
        let next_part = batch.keep_journal(self.journal.next_part(), &told).map_err(fault_of)?;
        failpoints::pass("before-commit").map_err(fault_of_io)?;
        let Batch { txn, dirty, purge, .. } = batch;
        txn.commit().map_err(fault_of_commit)?;
        self.appender.told();
        self.journal.committed(&told, next_part);
        self.purge |= purge;
        self.shared.counters.commits.fetch_add(1, Ordering::Relaxed);
        // The transaction has happened: an armed fault here can only kill.
        let _ = failpoints::pass("after-commit");
        let mut results = Vec::with_capacity(group.len());
        for (mut queued, (outcome, again, unused)) in std::mem::take(group).into_iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Count(count)) if again => {
                    queued.progress += count;
                    group.push(queued);
                    continue;
                }
                Ok(outcome) => {
                    if !unused {
                        queued.prepared.records_mut().for_each(PreparedRecord::keep);
                    }
                    let outcome = match outcome {
                        Outcome::Count(count) => Outcome::Count(count + queued.progress),
                        other => other,
                    };
                    results.push((queued, Ok(outcome)));
                }
                Err(error) => results.push((queued, Err(error))),
            }
        }
        Ok((results, dirty.into_iter().collect()))
    }

    /// Tells results, with one wake-up for all; those with a second half go to the readers.
    fn complete(&self, results: Results, dirty: Vec<(AccountId, MailboxId)>) {
        if results.is_empty() && dirty.is_empty() {
            return;
        }
        let _ = failpoints::pass("before-complete");
        let mut finished = Vec::with_capacity(results.len());
        for (queued, result) in results {
            if let Some(reply) = &queued.reply {
                // Who has asked may have gone: the volume closes.
                let _ = reply.send(result);
                continue;
            }
            let Some(ticket) = queued.ticket else { continue };
            match (queued.follow, result) {
                (Some(follow), Ok(outcome)) => {
                    self.readers
                        .follow(ticket, Box::new(move |context| follow(context, outcome)));
                }
                (_, result) => finished.push((ticket, result)),
            }
        }
        self.completions.finish_with(finished, dirty);
    }

    /// Writes the journal and seals the active pack, so that the next open has nothing to recover.
    fn finish(&mut self) {
        if !self.journal.is_empty() || self.appender.has_packs() {
            // A rebuild then knows that nothing of this writer is missing.
            self.ending = true;
            let told = self.commit(&mut Vec::new(), &[]);
            self.ending = false;
            if let Err(CommitError::Fatal(reason)) = told {
                self.shared.fail(reason);
                return;
            }
        }
        self.journal.due = true;
        if let Err(reason) = self.write_bodies(&mut Vec::new()) {
            self.shared.fail(reason);
            return;
        }
        if let Err(AppendError::Write(error) | AppendError::Sync(error)) = self.appender.seal() {
            self.shared.fail(format!("sealing a pack: {error}"));
            return;
        }
        match self.commit(&mut Vec::new(), &[]) {
            Ok(_) => {}
            Err(CommitError::Fatal(reason)) => self.shared.fail(reason),
            // The index does not know that the pack is sealed: the next open recovers this writer.
            Err(CommitError::Less(error)) => self.shared.fail(error.to_string()),
        }
    }
}

fn now_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}

/// Faults while applying: LMDB's own state is sound, the transaction is aborted, less may work. A panic of LMDB's
/// environment is final.
fn fault_of(error: StoreError) -> CommitError {
    match error {
        StoreError::Index(heed::Error::Mdb(heed::MdbError::Panic)) => {
            CommitError::Fatal("the index has failed".to_owned())
        }
        error => CommitError::Less(error),
    }
}

fn fault_of_index(error: heed::Error) -> CommitError {
    fault_of(error.into())
}

fn fault_of_io(error: std::io::Error) -> CommitError {
    if is_no_space(&error) {
        CommitError::Less(error.into())
    } else {
        CommitError::Fatal(error.to_string())
    }
}

/// Faults of the commit itself: only a lack of space may be tried again; after any other what is on disk is unknown.
fn fault_of_commit(error: heed::Error) -> CommitError {
    match StoreError::from(error) {
        error if error.is_full() => CommitError::Less(error),
        error => CommitError::Fatal(format!("committing: {error}")),
    }
}
