//! One stored message as a FETCH or SEARCH reads it: hot row, card, part table and octets, each loaded when first needed.

use std::ops::Range;

use ironpost_mime::{Limits, Structure};

use crate::card::Card;
use crate::db::keys;
use crate::db::records::MessageRecord;
use crate::db::tables::{ReadTxn, damaged};
use crate::error::{Result, StoreError};
use crate::ids::{BlobId, Uid};
use crate::jobs::ReadContext;
use crate::pack::read::StoredRecord;
use crate::pack::window::{self, Window};

/// A body up to this is read as a whole at its first use, since further sections of it are likely.
const WHOLE_OCTETS_MAX: u64 = 128 * 1024;

/// Octets of a header section that are read at once to look for fields in it (HEADER.FIELDS, SEARCH HEADER); what follows
/// them is read by BODY[HEADER] alone.
pub const HEADER_OCTETS_MAX: u64 = 16 << 20;

/// What a job reads from.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// Environment, tables and packs.
    pub context: &'a ReadContext,
    /// The job's transaction.
    pub txn: &'a ReadTxn<'a>,
}

/// What the hot row and the session know of a message.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// UID.
    pub uid: Uid,
    /// Recent in this session.
    pub recent: bool,
    /// The hot row.
    pub row: MessageRecord,
}

/// The parts of one message that have been loaded. It outlives the job's transaction while a body is being streamed.
#[derive(Debug)]
pub struct Content {
    blob: BlobId,
    prefix_blob: BlobId,
    prefix_octets: u64,
    blob_octets: u64,
    record: Option<StoredRecord>,
    prefix: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    structure: Option<Structure>,
}

impl Content {
    /// Of the message with this row; nothing is read yet.
    #[must_use]
    pub fn new(row: &MessageRecord) -> Self {
        Self {
            blob: row.blob,
            prefix_blob: row.prefix,
            prefix_octets: u64::from(row.prefix_len),
            blob_octets: u64::from(row.size.saturating_sub(row.prefix_len)),
            record: None,
            prefix: None,
            body: None,
            structure: None,
        }
    }

    /// Of any blob with a prefix before it, such as a queue item's.
    #[must_use]
    pub fn of_blob(blob: BlobId, prefix: BlobId, prefix_octets: u32, size: u32) -> Self {
        Self::new(&MessageRecord {
            blob,
            prefix,
            prefix_len: prefix_octets,
            size,
            ..MessageRecord::default()
        })
    }

    /// The blob, and that of the prefix (0: none).
    #[must_use]
    pub fn blobs(&self) -> (BlobId, BlobId) {
        (self.blob, self.prefix_blob)
    }

    /// Octets of the prefix.
    #[must_use]
    pub fn prefix_octets(&self) -> u64 {
        self.prefix_octets
    }

    /// Octets of the blob.
    #[must_use]
    pub fn blob_octets(&self) -> u64 {
        self.blob_octets
    }

    /// Octets of both.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.prefix_octets + self.blob_octets
    }

    /// Whether anything has been read from a pack yet.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.record.is_some()
    }

    /// Opens the records of blob and prefix, so that no later call needs the index.
    ///
    /// # Errors
    /// Corrupt for a damaged record or a reference to nothing.
    pub fn load(&mut self, access: &Access<'_>) -> Result<()> {
        if self.record.is_none() {
            let record = open_record(access, self.blob)?;
            if record.raw_len() != self.blob_octets {
                return Err(StoreError::Corrupt(format!(
                    "blob {}: its length differs from the message row",
                    self.blob
                )));
            }
            self.record = Some(record);
        }
        if self.prefix.is_none() {
            let prefix = if self.prefix_blob == 0 {
                Vec::new()
            } else {
                open_record(access, self.prefix_blob)?.read_all()?
            };
            if prefix.len() as u64 != self.prefix_octets {
                return Err(StoreError::Corrupt(format!(
                    "prefix {}: its length differs from the message row",
                    self.prefix_blob
                )));
            }
            self.prefix = Some(prefix);
        }
        Ok(())
    }

    /// Appends octets of prefix and blob together; what lies beyond the end is left out.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn read(&mut self, access: &Access<'_>, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        self.load(access)?;
        let (Some(record), Some(prefix)) = (&self.record, &self.prefix) else {
            return Ok(());
        };
        let at = |position: u64| position.min(self.prefix_octets) as usize;
        out.extend_from_slice(prefix.get(at(range.start)..at(range.end)).unwrap_or_default());
        let blob_range = range.start.saturating_sub(self.prefix_octets)..range.end.saturating_sub(self.prefix_octets);
        if blob_range.is_empty() {
            return Ok(());
        }
        if self.blob_octets > WHOLE_OCTETS_MAX {
            return record.read(blob_range, out);
        }
        let body = match &self.body {
            Some(body) => body,
            None => self.body.insert(record.read_all()?),
        };
        let at = |position: u64| position.min(body.len() as u64) as usize;
        out.extend_from_slice(body.get(at(blob_range.start)..at(blob_range.end)).unwrap_or_default());
        Ok(())
    }

    /// The octets of the blob, for readers that go through them by steps.
    pub(crate) fn blob_window<'c>(
        &'c mut self,
        access: &'c Access<'_>,
    ) -> Window<impl FnMut(Range<u64>, &mut Vec<u8>) -> Result<()> + 'c> {
        let prefix = self.prefix_octets;
        Window::new(self.blob_octets, move |range, out| {
            self.read(access, prefix + range.start..prefix + range.end, out)
        })
    }

    /// The part table of the blob.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn structure(&mut self, access: &Access<'_>) -> Result<&Structure> {
        if self.structure.is_none() {
            self.load(access)?;
            let stored = self
                .record
                .as_ref()
                .and_then(|record| Structure::decode(record.structure()));
            let structure = match stored {
                Some(structure) => structure,
                // A table of another release: the message is read anew.
                None => {
                    let record = self.record.as_ref().ok_or_else(|| damaged("blobs", self.blob))?;
                    let mut message = window::of_record(record);
                    let structure = Structure::read(&mut message, &Limits::default());
                    message.finish()?;
                    structure
                }
            };
            self.structure = Some(structure);
        }
        self.structure
            .as_ref()
            .ok_or_else(|| StoreError::Corrupt(format!("blob {}: no part table", self.blob)))
    }

    /// One field of the card: from the index when it stands there, else from the record.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_card<R>(&mut self, access: &Access<'_>, take: impl Fn(&Card<'_>) -> Option<R>) -> Result<R> {
        if self.record.is_none() {
            let short = access.context.tables.cards.get(access.txn, &keys::blob(self.blob))?;
            if let Some(found) = short.and_then(Card::decode).and_then(|card| take(&card)) {
                return Ok(found);
            }
        }
        self.load(access)?;
        self.record
            .as_ref()
            .and_then(|record| Card::decode(record.card()))
            .and_then(|card| take(&card))
            .ok_or_else(|| StoreError::Corrupt(format!("blob {}: its card", self.blob)))
    }
}

/// Opens a blob's record. Its pack may have been compacted away since the transaction began, so a missing one is looked
/// up again, once, by the newest state of the index.
fn open_record(access: &Access<'_>, blob: BlobId) -> Result<StoredRecord> {
    let missing = || StoreError::Corrupt(format!("blob {blob}: no such row"));
    let row = access.context.tables.blob(access.txn, blob)?.ok_or_else(missing)?;
    match access.context.packs.record(&row) {
        Err(StoreError::Corrupt(first)) => {
            let txn = access.context.begin()?;
            match access.context.tables.blob(&txn, blob)? {
                Some(now) if (now.pack, now.offset) != (row.pack, row.offset) => access.context.packs.record(&now),
                _ => Err(StoreError::Corrupt(first)),
            }
        }
        other => other,
    }
}
