//! Operations that are on their way into the volume: how many there may be, and what became of them.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Body, Digest, Import};
use crate::error::{Result, StoreError};
use crate::ids::{Ticket, Uid};
use crate::ops::{Op, Outcome};
use crate::sink::Sink;

/// Operations outstanding at most.
const OUTSTANDING_MAX: usize = 2048;
/// Octets of bodies outstanding at most.
const OUTSTANDING_OCTETS_MAX: u64 = 64 << 20;
/// No result for so long: the store has failed.
const WAIT: Duration = Duration::from_secs(120);

/// An operation on its way.
pub(super) struct Pending {
    /// For lines about it; empty for those that cannot be refused.
    pub(super) place: Arc<str>,
    pub(super) uid: Uid,
    pub(super) kind: Kind,
    pub(super) octets: u64,
    /// A body that later messages may share.
    pub(super) digest: Option<Digest>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Message,
    Retained,
    Queue,
}

impl Pending {
    pub(super) fn plain() -> Self {
        Self {
            place: Arc::from(""),
            uid: 0,
            kind: Kind::Other,
            octets: 0,
            digest: None,
        }
    }
}

impl<R: Read> Import<'_, R> {
    pub(super) fn submit_plain(&mut self, op: Op) -> Result<()> {
        self.submit(op, None, Pending::plain())
    }

    pub(super) fn submit(&mut self, op: Op, sink: Option<Sink>, pending: Pending) -> Result<()> {
        // The volume's own bound, shared with nobody, lies above ours; it keeps the order within each mailbox.
        let ticket = self.volume.submit(op, sink, None)?;
        if let Some(digest) = pending.digest {
            self.bodies.insert(digest, Body::InFlight(ticket));
        }
        self.pending_octets += pending.octets;
        self.pending.insert(ticket, pending);
        self.settle(false)
    }

    /// Takes results; waits until few enough are outstanding, or with `all` until none is.
    pub(super) fn settle(&mut self, all: bool) -> Result<()> {
        let mut last = Instant::now();
        loop {
            let too_many =
                self.pending.len() >= OUTSTANDING_MAX || self.pending_octets >= OUTSTANDING_OCTETS_MAX || all;
            if self.pending.is_empty() || !(too_many || self.pending.len().is_multiple_of(64)) {
                return Ok(());
            }
            if self.take()? {
                last = Instant::now();
            } else if too_many {
                if last.elapsed() > WAIT {
                    return Err(StoreError::Failed("the store does not answer".to_owned()));
                }
                self.volume.wait(Duration::from_millis(100))?;
            } else {
                return Ok(());
            }
        }
    }

    pub(super) fn drain(&mut self) -> Result<()> {
        self.settle(true)
    }

    pub(super) fn wait_for(&mut self, ticket: Ticket) -> Result<()> {
        let mut last = Instant::now();
        while self.pending.contains_key(&ticket) {
            if self.take()? {
                last = Instant::now();
            } else if last.elapsed() > WAIT {
                return Err(StoreError::Failed("the store does not answer".to_owned()));
            } else {
                self.volume.wait(Duration::from_millis(100))?;
            }
        }
        Ok(())
    }

    /// Takes finished tickets; false when there are none.
    fn take(&mut self) -> Result<bool> {
        let finished = self.volume.completions(1024);
        let some = !finished.is_empty();
        // Nobody is told of changes here: sessions look by themselves.
        self.volume.take_dirty();
        let mut fault = None;
        for (ticket, result) in finished {
            let Some(pending) = self.pending.remove(&ticket) else {
                continue;
            };
            self.pending_octets -= pending.octets;
            if let Err(error) = self.finished(ticket, &pending, result) {
                fault.get_or_insert(error);
            }
        }
        fault.map_or(Ok(some), Err)
    }

    fn finished(&mut self, ticket: Ticket, pending: &Pending, result: Result<Outcome>) -> Result<()> {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(StoreError::AlreadyExists(_)) if pending.kind == Kind::Retained => {
                self.imported.present += 1;
                self.forget(ticket, pending);
                return Ok(());
            }
            Err(error @ (StoreError::NotFound(_) | StoreError::Refused(_) | StoreError::AlreadyExists(_))) => {
                self.forget(ticket, pending);
                self.damaged(format!("{}UID {}: {error}", pending.place, pending.uid));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        match pending.kind {
            Kind::Message => self.imported.stored.messages += 1,
            Kind::Retained => self.imported.stored.retained += 1,
            Kind::Queue => self.imported.stored.queue += 1,
            Kind::Other => return Ok(()),
        }
        self.progress.advance(1, pending.octets);
        let blob = match outcome {
            Outcome::Restored(blob) => Some(blob),
            Outcome::Submitted(_, items) => {
                let context = self.volume.context();
                let txn = context.begin()?;
                let item = items
                    .first()
                    .map(|item| context.tables.queue_item(&txn, *item))
                    .transpose()?;
                item.flatten().map(|item| item.blob)
            }
            _ => None,
        };
        if let (Some(digest), Some(blob)) = (pending.digest, blob) {
            self.bodies.insert(digest, Body::Stored(blob));
        } else {
            self.forget(ticket, pending);
        }
        Ok(())
    }

    /// A body that did not come to be where later messages could share it.
    fn forget(&mut self, ticket: Ticket, pending: &Pending) {
        if let Some(digest) = pending.digest
            && matches!(self.bodies.get(&digest), Some(Body::InFlight(of)) if *of == ticket)
        {
            self.bodies.remove(&digest);
        }
    }
}
