//! One volume: environment, packs, writer, readers; opening it is the recovery.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::fd::{OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use heed::types::Bytes;
use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use crate::apply::CHECKPOINT;
use crate::check;
use crate::compaction::{Compactor, Rules};
use crate::completion::{Completions, Finished, closed};
use crate::db::birth;
use crate::db::env;
use crate::db::keys;
use crate::db::migrate;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, Ticket, WriterId};
use crate::jobs::{ReadContext, ReadJob, Readers};
use crate::lineup::Lineup;
use crate::opening::{check_format, create_tables, holds_packs, make_reserve, map_size_of, register};
use crate::ops::{Op, Outcome};
use crate::pack::append::Appender;
use crate::pack::compact::pack_of;
use crate::pack::read::PackFiles;
use crate::pack::recover;
use crate::prepare::{PREFIX_OCTETS_MAX, sync_folder};
use crate::preparer::Preparer;
use crate::search::filter::index::SearchIndex;
use crate::search::indexer::Indexer;
use crate::sink::{SHARED_BODY, Sink, SinkHub};
use crate::writer::{Loads, Queued, Writer, WriterShared};

/// Format of a volume of this release; newer ones are refused.
pub const FORMAT: u32 = 2;
/// Threads that prepare bodies at most.
const PREPARE_THREADS_MAX: usize = 2;

/// How a volume is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Address space for the index; the same in all processes.
    pub map_size: usize,
    /// Octets of free disk below which new mail is refused.
    pub min_free: u64,
    /// Reader threads.
    pub readers: usize,
    /// False is for tests of logic only: nothing survives a power loss.
    pub sync: bool,
    /// How long expunged messages can be recovered, in seconds; 0: not at all.
    pub retention: u32,
    /// Text searches use the search index, and it may be built; false: each reads all messages.
    pub search_index: bool,
    /// A body up to so many octets is gathered in memory and goes to the shared pack; a larger one has a pack of its own.
    pub shared_body: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            map_size: 64 << 30,
            min_free: 64 << 20,
            readers: 2,
            sync: true,
            retention: 0,
            search_index: true,
            shared_body: SHARED_BODY,
        }
    }
}

/// Makes the second half of a write on a reader thread, for example the response lines of a STORE.
pub type Follow = Box<dyn FnOnce(&ReadContext, Outcome) -> Result<Outcome> + Send>;

/// An open volume. Dropping it closes it.
pub struct Volume {
    context: ReadContext,
    completions: Arc<Completions>,
    readers: Arc<Readers>,
    indexer: Indexer,
    shared: Arc<WriterShared>,
    loads: Arc<Loads>,
    hub: Arc<SinkHub>,
    path: PathBuf,
    recovery: String,
    epoch: Instant,
    number: WriterId,
    running: Mutex<Option<Running>>,
    prepare: Sender<(Queued, Vec<Sink>)>,
    lineup: Arc<Lineup>,
    min_free: u64,
    compactor: Mutex<Option<JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Volume({})", self.path.display())
    }
}

/// What ends with the volume.
struct Running {
    preparers: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    /// Held for life: whoever gets this lock knows that we are dead.
    lock: OwnedFd,
}

impl Volume {
    /// Opens or creates the volume in the folder `path`; runs recovery; blocks.
    ///
    /// `Open` when the format is newer, the file system unfit or the volume already open in this process.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let packs = path.join("packs");
        let index = path.join("index");
        // Mail is nobody else's: the folder keeps others out whatever the modes within.
        birth::make_folders(&packs)?;
        env::refuse_network_file_system(path)?;
        // Held while opening only, so that the first opener recovers alone. Not one of LMDB's own files.
        let opening = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("open.lock"))?;
        rustix::fs::flock(&opening, FlockOperation::LockExclusive)?;
        let map_size = map_size_of(options.map_size);
        birth::ensure_index(
            path,
            map_size,
            options.sync,
            || holds_packs(&packs),
            |environment| create_tables(environment).map(drop),
        )?;
        let environment = env::open(&index, map_size, options.sync)?;
        let is_new = {
            let txn = environment.read_txn()?;
            environment.open_database::<Bytes, Bytes>(&txn, Some("meta"))?.is_none()
        };
        if is_new && holds_packs(&packs)? {
            return Err(birth::no_index(path));
        }
        let tables = create_tables(&environment)?;
        let format = check_format(&environment, &tables)?;
        if format < FORMAT {
            migrate::run(&environment, &tables, &packs, format)?;
        }
        let found = recover::recover(&environment, &tables, &packs)?;
        let (number, lock, journal) = register(&environment, &tables, &packs, &found.ended)?;
        sync_folder(path)?;
        make_reserve(&path.join("reserve"), options.min_free);
        drop(opening);

        let files = Arc::new(PackFiles::new(packs.clone()));
        let completions = Arc::new(Completions::new()?);
        let identity = {
            let txn = environment.read_txn()?;
            tables.identity(&txn)?
        };
        let context = ReadContext {
            env: environment.clone(),
            tables,
            packs: Arc::clone(&files),
            search: Arc::new(
                SearchIndex::new(path.join("search"), identity, options.search_index).with_min_free(options.min_free),
            ),
        };
        let readers = Arc::new(Readers::start(
            context.clone(),
            Arc::clone(&completions),
            options.readers,
        )?);
        let hub = SinkHub::start(
            packs.join(number.to_string()),
            number,
            options.shared_body,
            Arc::clone(&completions),
        )?;
        let shared = Arc::new(WriterShared::default());
        let loads = Arc::new(Loads::default());
        let epoch = Instant::now();
        let purge = {
            let txn = environment.read_txn()?;
            !tables.doomed.is_empty(&txn)? || tables.meta.get(&txn, CHECKPOINT)?.is_some()
        };
        let writer = Writer {
            env: environment,
            tables,
            packs: files,
            appender: Appender::new(packs.clone(), Arc::clone(&hub), options.sync),
            shared: Arc::clone(&shared),
            completions: Arc::clone(&completions),
            readers: Arc::clone(&readers),
            folder: path.to_owned(),
            loads: Arc::clone(&loads),
            min_free: options.min_free,
            map_size: options.map_size as u64,
            number,
            retention: options.retention,
            epoch,
            purge,
            free: None,
            journal,
            ending: false,
        };
        let writer = std::thread::Builder::new()
            .name("store-write".to_owned())
            .spawn(move || writer.run())?;
        let (prepare, work) = crossbeam_channel::unbounded();
        let lineup = Arc::new(Lineup::default());
        let mut preparers = Vec::new();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for thread in 0..cores.clamp(1, PREPARE_THREADS_MAX) {
            let preparer = Preparer {
                work: work.clone(),
                packs: packs.clone(),
                shared: Arc::clone(&shared),
                completions: Arc::clone(&completions),
                lineup: Arc::clone(&lineup),
            };
            let builder = std::thread::Builder::new().name(format!("store-prepare-{thread}"));
            preparers.push(builder.spawn(move || preparer.run())?);
        }
        Ok(Self {
            context,
            completions,
            readers,
            indexer: Indexer::default(),
            shared,
            loads,
            hub,
            path: path.to_owned(),
            recovery: found.to_string(),
            epoch,
            number,
            running: Mutex::new(Some(Running {
                preparers,
                writer,
                lock,
            })),
            prepare,
            lineup,
            min_free: options.min_free,
            compactor: Mutex::default(),
            stop: Arc::default(),
        })
    }

    /// What read jobs use; also for instant reads on the caller's thread (`last_transaction`).
    #[must_use]
    pub fn context(&self) -> &ReadContext {
        &self.context
    }

    /// Queues a read job; its ticket completes with what it returns. `Busy` when too many wait.
    pub fn read(&self, job: ReadJob) -> Result<Ticket> {
        self.readers.submit(job)
    }

    /// Queues a write without a body. `Busy` when the queue is full.
    pub fn write(&self, op: Op) -> Result<Ticket> {
        self.submit(op, None, None)
    }

    /// Queues a write whose outcome, once durable, goes through `follow` on a reader thread.
    pub fn write_then(&self, op: Op, follow: Follow) -> Result<Ticket> {
        self.submit(op, None, Some(follow))
    }

    /// Queues a write with its body ([`Op::Submit`], [`Op::Append`]). The sink's faults are told by the ticket.
    ///
    /// `Busy` when the queue is full (the sink is then given up), `Failed` when the volume has failed, `Refused` when
    /// a prefix has more than 16 KiB.
    pub fn submit(&self, op: Op, sink: Option<Sink>, follow: Option<Follow>) -> Result<Ticket> {
        self.submit_all(op, sink.into_iter().collect(), follow)
    }

    /// The same with the bodies of [`Op::AppendAll`].
    pub fn submit_all(&self, op: Op, sinks: Vec<Sink>, follow: Option<Follow>) -> Result<Ticket> {
        if let Some(reason) = self.shared.failed() {
            return Err(StoreError::Failed(reason));
        }
        let mut prefixes = 0;
        for prefix in op.prefixes() {
            if prefix.len() > PREFIX_OCTETS_MAX {
                return Err(StoreError::Refused("the trace headers are too long".to_owned()));
            }
            prefixes += prefix.len();
        }
        let octets = sinks.iter().map(Sink::memory_octets).sum::<usize>() + prefixes;
        let load = self.loads.take(octets as u64)?;
        let ticket = self.completions.issue();
        let mut queued = Queued::new(Some(ticket), op, follow, load);
        queued.place = self.lineup.join(&queued.op);
        let accepted = if !sinks.is_empty() || prefixes > 0 || queued.place.is_some() {
            self.prepare.send((queued, sinks)).is_ok()
        } else {
            self.shared.push(queued)
        };
        if accepted {
            Ok(ticket)
        } else {
            self.completions.withdraw(ticket);
            Err(closed())
        }
    }

    /// A new sink for one message; `size_hint` may be 0.
    #[must_use]
    pub fn sink(&self, size_hint: u64) -> Sink {
        Sink::new(Arc::clone(&self.hub), size_hint)
    }

    /// A ticket that completes with `Outcome::None` when the sink has room again.
    pub fn wait_sink(&self, sink: &Sink) -> Result<Ticket> {
        let ticket = self.completions.issue();
        sink.wait(ticket);
        Ok(ticket)
    }

    /// Checks all invariants on a reader thread; answers `Outcome::Check`. `full` reads every record.
    pub fn check(&self, full: bool) -> Result<Ticket> {
        self.read(Box::new(move |context| {
            Ok(Outcome::Check(check::check(context, full)?))
        }))
    }

    /// One bounded step of building the search index, on a thread of its own; its ticket completes with
    /// `Boxed(IndexStep)`. Nothing is done while another step runs, in this process or in another.
    pub fn index_step(&self) -> Result<Ticket> {
        self.indexer.start(&self.context, &self.completions)
    }

    /// Compacts packs on a thread of its own; answers `Boxed(Compacted)`. `Busy` while a run of this process goes on,
    /// `Refused` by the ticket while one of another process does. Closing the volume ends it early.
    pub fn compact(&self, rules: Rules) -> Result<Ticket> {
        let mut running = self.compactor.lock();
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Err(StoreError::Busy);
        }
        let compactor = Compactor {
            context: self.context.clone(),
            shared: Arc::clone(&self.shared),
            loads: Arc::clone(&self.loads),
            stop: Arc::clone(&self.stop),
            rules,
            number: self.number,
            min_free: self.min_free,
        };
        let completions = Arc::clone(&self.completions);
        let ticket = completions.issue();
        let thread = std::thread::Builder::new()
            .name("store-compact".to_owned())
            .spawn(move || {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| compactor.run()));
                let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Failed("the compactor panicked".to_owned())));
                completions.finish([(ticket, outcome.map(|done| Outcome::Boxed(Box::new(done))))]);
            });
        match thread {
            Ok(thread) => {
                *running = Some(thread);
                Ok(ticket)
            }
            Err(error) => {
                self.completions.withdraw(ticket);
                Err(error.into())
            }
        }
    }

    /// Checks a few of everything; answers `Outcome::Check`.
    pub fn check_sample(&self) -> Result<Ticket> {
        self.read(Box::new(|context| Ok(Outcome::Check(check::sample(context)?))))
    }

    /// The eventfd: readable while completions wait.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.completions.descriptor()
    }

    /// Clears the eventfd and takes at most `limit` finished tickets.
    pub fn completions(&self, limit: usize) -> Vec<Finished> {
        self.completions.take(limit)
    }

    /// Blocks until completions wait or the time is up; for tools and tests, which have no event loop.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        self.completions.wait(limit)
    }

    /// Pairs changed by commits of this process since the last call; mailbox 0 is the account's list of mailboxes,
    /// account 0 the queue.
    pub fn take_dirty(&self) -> Vec<(AccountId, MailboxId)> {
        self.completions.take_dirty()
    }

    /// The result is not wanted any more; a write still happens.
    pub fn cancel(&self, ticket: Ticket) {
        self.completions.cancel(ticket);
    }

    /// One line on what recovery found at open.
    #[must_use]
    pub fn recovery(&self) -> &str {
        &self.recovery
    }

    /// Why the volume has failed, if it has.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.shared.failed()
    }

    /// Seconds that the batch now being committed has taken; 0.0 when none.
    #[must_use]
    pub fn oldest_commit_age(&self) -> f64 {
        self.shared.batch_age(self.epoch)
    }

    /// Octets free on the volume's file system.
    pub fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> HashMap<&'static str, u64> {
        let counters = &self.shared.counters;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let info = self.context.env.info();
        let mut metrics = HashMap::from([
            ("batches", load(&counters.batches)),
            ("ops", load(&counters.ops)),
            ("pack_syncs", load(&counters.pack_syncs)),
            ("commits", load(&counters.commits)),
            ("commit_retries", load(&counters.retries)),
            ("bytes_appended", load(&counters.octets)),
            ("queued", self.loads.ops()),
            ("writes_waiting", self.shared.waiting() as u64),
            ("tickets_open", self.completions.open() as u64),
            ("reads_waiting", self.readers.waiting() as u64),
            ("reads_running", self.readers.busy() as u64),
            ("readers_in_use", u64::from(info.number_of_readers)),
            ("sink_bytes", self.hub.memory() as u64),
            (
                "index_bytes",
                (info.last_page_number as u64 + 1) * u64::from(self.context.env.stat().page_size),
            ),
            ("last_transaction", info.last_txn_id as u64),
        ]);
        metrics.extend(self.context.search.metrics());
        metrics
    }

    /// Clears reader slots of dead processes and lets go of unlinked packs; how many slots there were.
    pub fn clear_dead_readers(&self) -> Result<usize> {
        self.context.packs.forget_unlinked();
        self.context.search.forget_unlinked();
        Ok(self.context.env.clear_stale_readers()?)
    }

    /// Finishes what is queued, stops the threads, closes the environment. Blocks.
    pub fn close(self) {
        drop(self);
    }

    fn shut_down(&mut self) {
        let Some(running) = self.running.lock().take() else {
            return;
        };
        // Without a sender the preparers finish what is queued and end; a new channel takes nothing.
        let (nowhere, _) = crossbeam_channel::bounded(0);
        drop(std::mem::replace(&mut self.prepare, nowhere));
        let mut clean = true;
        self.stop.store(true, Ordering::Relaxed);
        if let Some(compactor) = self.compactor.lock().take() {
            clean &= compactor.join().is_ok();
        }
        for preparer in running.preparers {
            clean &= preparer.join().is_ok();
        }
        self.shared.close();
        clean &= running.writer.join().is_ok();
        self.hub.close();
        self.indexer.close(&self.context);
        self.readers.close();
        if clean && self.shared.failed().is_none() {
            // If this does not work the next open recovers us, which finds nothing to do.
            let _ = self.deregister();
        }
        drop(running.lock);
    }

    /// A clean end: the writer's row goes, so that nobody has to recover it.
    fn deregister(&self) -> Result<()> {
        // Removals in our folder that nobody has synced (a body that was refused, a purge cut short) must not come
        // undone once the row is gone: nobody would look for those files again.
        let folder = self.path.join("packs").join(self.number.to_string());
        sync_folder(&folder)?;
        let mut txn = self.context.env.write_txn()?;
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let known = match pack_of(&path, self.number) {
                Some(pack) => {
                    let tables = &self.context.tables;
                    tables.pack(&txn, pack)?.is_some() || tables.doomed.get(&txn, &keys::doomed_pack(pack))?.is_some()
                }
                None => path.file_name().is_some_and(|name| name == "lock"),
            };
            if !known {
                // It could not be removed when it should have been: the row stays, so that recovery does it.
                return Ok(());
            }
        }
        self.context.tables.meta.delete(&mut txn, &keys::writer(self.number))?;
        txn.commit()?;
        let is_empty = std::fs::read_dir(&folder)?.all(|entry| entry.is_ok_and(|entry| entry.file_name() == "lock"));
        if is_empty {
            std::fs::remove_file(folder.join("lock"))?;
            std::fs::remove_dir(&folder)?;
        }
        Ok(())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.shut_down();
    }
}
