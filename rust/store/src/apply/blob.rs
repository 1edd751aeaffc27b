//! Blobs and their references; packs' live octets; packs that nothing points to.

use heed::PutFlags;

use super::Batch;
use crate::db::keys;
use crate::db::records::{BlobRecord, DoomedRecord};
use crate::error::{Result, StoreError};
use crate::ids::{BlobId, PackId};
use crate::prepare::PreparedRecord;

impl Batch<'_, '_> {
    /// Makes a blob for a record that is on disk. `references` is not 0.
    pub(super) fn new_blob(&mut self, record: &PreparedRecord, references: u32) -> Result<BlobId> {
        let (pack, offset) = record
            .place
            .ok_or_else(|| StoreError::Failed("a record was not placed before its transaction".to_owned()))?;
        let id = self.counters.blob;
        self.counters.blob += 1;
        let row = BlobRecord {
            pack,
            offset,
            length: record.length,
            raw_len: record.raw_len,
            references,
            digest: record.digest,
        };
        // Blob numbers only grow, under LMDB's own writer lock, so rows are appended and pages fill up.
        self.tables
            .blobs
            .put_with_flags(&mut self.txn, PutFlags::APPEND, &keys::blob(id), &row.encode())?;
        if !record.card.is_empty() {
            self.tables
                .cards
                .put_with_flags(&mut self.txn, PutFlags::APPEND, &keys::blob(id), &record.card)?;
        }
        self.told.digests.insert(id, record.digest);
        let is_single = record.is_single();
        let seconds = self.seconds();
        let pack_row = self.pack(pack)?;
        pack_row.point(id, record.length);
        if is_single {
            pack_row.state = crate::db::records::PackState::Sealed;
            pack_row.synced = offset + u64::from(record.length);
            pack_row.sealed = seconds;
        }
        Ok(id)
    }

    /// Adds references to a blob that has some.
    pub(super) fn keep_blob(&mut self, blob: BlobId, more: u32) -> Result<()> {
        if blob == 0 || more == 0 {
            return Ok(());
        }
        let mut row = self.blob_row(blob)?;
        row.references = row
            .references
            .checked_add(more)
            .ok_or_else(|| StoreError::Corrupt(format!("references of blob {blob}")))?;
        self.tables.blobs.put(&mut self.txn, &keys::blob(blob), &row.encode())?;
        Ok(())
    }

    /// Takes one reference away; the last takes the blob and its card along. An absent blob (0) is passed over.
    pub(super) fn release_blob(&mut self, blob: BlobId) -> Result<()> {
        if blob == 0 {
            return Ok(());
        }
        let mut row = self.blob_row(blob)?;
        if row.references > 1 {
            row.references -= 1;
            self.tables.blobs.put(&mut self.txn, &keys::blob(blob), &row.encode())?;
            return Ok(());
        }
        self.tables.blobs.delete(&mut self.txn, &keys::blob(blob))?;
        self.tables.cards.delete(&mut self.txn, &keys::blob(blob))?;
        let pack = self.pack(row.pack)?;
        pack.live = pack.live.saturating_sub(u64::from(row.length));
        pack.blobs = pack.blobs.saturating_sub(1);
        Ok(())
    }

    fn blob_row(&self, blob: BlobId) -> Result<BlobRecord> {
        self.tables
            .blob(&self.txn, blob)?
            .ok_or_else(|| StoreError::Corrupt(format!("blob {blob} has no row")))
    }

    /// Takes a sealed pack without living records out of the index; its file is unlinked after the commit.
    pub(super) fn doom_pack(&mut self, pack: PackId) -> Result<()> {
        self.tables.packs.delete(&mut self.txn, &keys::pack(pack))?;
        self.tables.doomed.put(
            &mut self.txn,
            &keys::doomed_pack(pack),
            &DoomedRecord::default().encode(),
        )?;
        self.purge = true;
        Ok(())
    }
}
