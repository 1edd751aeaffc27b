//! Writes in the order in which they are given, although several threads prepare their bodies.
//!
//! [`Volume::submit`] keeps no order among operations: sessions wait for one before they ask for the next. Whoever puts
//! whole mailboxes back does not wait, and UIDs must ascend.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::completion::Completions;
use crate::error::{Result, StoreError};
use crate::ids::Ticket;
use crate::sink::Sink;
use crate::volume::{Volume, prepare_queued, push_prepared};
use crate::writer::{Queued, WriterShared};

/// Threads that prepare bodies at most.
const THREADS_MAX: usize = 4;
/// Operations that wait for a thread at most.
const WAITING_MAX: usize = 256;

type Work = (u64, Queued, Option<Sink>);

/// The way into one volume.
pub(crate) struct Ordered {
    work: Option<Sender<Work>>,
    threads: Vec<JoinHandle<()>>,
    next: u64,
}

/// Where prepared operations wait for those before them.
struct Gate {
    shared: Arc<WriterShared>,
    completions: Arc<Completions>,
    packs: PathBuf,
    state: Mutex<GateState>,
}

#[derive(Default)]
struct GateState {
    next: u64,
    /// `None`: its preparation failed.
    waiting: BTreeMap<u64, Option<Queued>>,
}

impl Ordered {
    pub(crate) fn start(volume: &Volume) -> Result<Self> {
        let (shared, completions, packs) = volume.doors();
        let gate = Arc::new(Gate {
            shared,
            completions,
            packs,
            state: Mutex::default(),
        });
        let (sender, work) = bounded::<Work>(WAITING_MAX);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        for number in 0..cores.clamp(1, THREADS_MAX) {
            let (gate, work) = (Arc::clone(&gate), work.clone());
            let builder = std::thread::Builder::new().name(format!("store-restore-{number}"));
            threads.push(builder.spawn(move || gate.run(&work))?);
        }
        Ok(Self {
            work: Some(sender),
            threads,
            next: 0,
        })
    }

    /// Takes an operation; it waits while many do.
    pub(crate) fn push(&mut self, queued: Queued, sink: Option<Sink>) -> Result<Ticket> {
        let ended = || StoreError::Failed("the volume is closed".to_owned());
        let ticket = queued.ticket.ok_or_else(ended)?;
        let work = self.work.as_ref().ok_or_else(ended)?;
        work.send((self.next, queued, sink)).map_err(|_| ended())?;
        self.next += 1;
        Ok(ticket)
    }
}

impl Drop for Ordered {
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            // Its panics were caught and told by tickets.
            let _ = thread.join();
        }
    }
}

impl Gate {
    fn run(&self, work: &Receiver<Work>) {
        while let Ok((number, queued, sink)) = work.recv() {
            let prepared = prepare_queued(queued, sink, &self.packs, &self.shared, &self.completions);
            let mut state = self.state.lock();
            state.waiting.insert(number, prepared);
            // Under the lock, or two threads could push in the wrong order.
            while let Some(queued) = {
                let next = state.next;
                state.waiting.remove(&next)
            } {
                state.next += 1;
                if let Some(queued) = queued {
                    push_prepared(queued, &self.shared, &self.completions);
                }
            }
        }
    }
}
