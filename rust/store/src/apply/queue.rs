//! The outgoing queue: items and their index by due time.

use std::collections::HashSet;

use super::{Applied, Batch, reject};
use crate::db::keys;
use crate::db::records::QueueRecord;
use crate::error::{Result, StoreError};
use crate::ids::{BlobId, QueueId};
use crate::journal::Entry;
use crate::ops::{Enqueue, Submit};

/// Octets of an item's state at most.
const STATE_OCTETS_MAX: usize = 1 << 20;

impl Batch<'_, '_> {
    /// Rejects states that are too long, and items that are not there or are named twice.
    pub(super) fn check_queue(&mut self, submit: &Submit) -> Applied<()> {
        let states = submit
            .enqueue
            .iter()
            .map(|item| &item.state)
            .chain(submit.requeue.iter().map(|item| &item.state));
        if states.into_iter().any(|state| state.len() > STATE_OCTETS_MAX) {
            return reject(StoreError::Refused("the state of a queue item is too long".to_owned()));
        }
        let mut seen = HashSet::new();
        for id in submit
            .dequeue
            .iter()
            .copied()
            .chain(submit.requeue.iter().map(|item| item.id))
        {
            if !seen.insert(id) {
                return reject(StoreError::Refused(format!("queue item {id} is named twice")));
            }
            if self.tables.queue.get(&self.txn, &keys::queue(id, 0))?.is_none() {
                return reject(StoreError::NotFound(format!("queue item {id}")));
            }
        }
        Ok(())
    }

    /// Adds an item; the blobs' references were counted when they were made.
    pub(super) fn enqueue(
        &mut self,
        item: &Enqueue,
        blob: BlobId,
        prefix: BlobId,
        prefix_len: u32,
        body_len: u32,
    ) -> Result<QueueId> {
        let id = self.counters.queue;
        self.counters.queue += 1;
        let record = QueueRecord {
            blob,
            prefix,
            prefix_len,
            size: body_len.saturating_add(prefix_len),
            due: item.due,
            created: self.now,
            parts: 0,
            state: Vec::new(),
        };
        self.put_queue_item(id, record, &item.state)?;
        Ok(id)
    }

    fn put_queue_item(&mut self, id: QueueId, mut record: QueueRecord, state: &[u8]) -> Result<()> {
        let mut pieces = state.chunks(QueueRecord::STATE_OCTETS);
        record.state = pieces.next().unwrap_or_default().to_vec();
        record.parts = pieces.len() as u16;
        self.tables
            .queue
            .put(&mut self.txn, &keys::queue(id, 0), &record.encode())?;
        for (index, piece) in pieces.enumerate() {
            self.tables
                .queue
                .put(&mut self.txn, &keys::queue(id, index as u16 + 1), piece)?;
        }
        self.tables.due.put(&mut self.txn, &keys::due(record.due, id), &[])?;
        self.tell_queued(id, &record, state)?;
        self.dirty.insert((0, 0));
        Ok(())
    }

    /// Takes an item's rows away and returns it without the rest of its state.
    fn take_queue_item(&mut self, id: QueueId) -> Result<QueueRecord> {
        let bytes = self.tables.queue.get(&self.txn, &keys::queue(id, 0))?;
        let record = bytes
            .and_then(QueueRecord::decode)
            .ok_or_else(|| crate::db::tables::damaged("queue", id))?;
        for part in 0..=record.parts {
            self.tables.queue.delete(&mut self.txn, &keys::queue(id, part))?;
        }
        self.tables.due.delete(&mut self.txn, &keys::due(record.due, id))?;
        self.dirty.insert((0, 0));
        Ok(record)
    }

    /// Carries out dequeue and requeue, which were checked before.
    pub(super) fn change_queue(&mut self, submit: &Submit) -> Result<()> {
        for id in &submit.dequeue {
            let record = self.take_queue_item(*id)?;
            self.release_blob(record.blob)?;
            self.release_blob(record.prefix)?;
            let at = u64::from(self.seconds());
            self.tell(&Entry::Dequeued(*id, at));
        }
        for item in &submit.requeue {
            let mut record = self.take_queue_item(item.id)?;
            record.due = item.due;
            self.put_queue_item(item.id, record, &item.state)?;
        }
        Ok(())
    }
}
