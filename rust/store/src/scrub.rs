//! The slow walk over everything that is stored, a stretch at a time: each record is read whole and compared with its
//! checksums and its digest, so that damage is known while a backup can still mend it.

use std::ops::Bound;

use crate::db::keys;
use crate::db::records::BlobRecord;
use crate::db::tables::damaged;
use crate::error::StoreError;
use crate::ids::BlobId;
use crate::jobs::ReadJob;
use crate::ops::Outcome;

/// Rows taken in one transaction.
const STRETCH_ROWS: usize = 256;

/// What a stretch has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Behind this blob the next stretch begins; 0 when everything has been read.
    pub after: BlobId,
    /// Blobs read.
    pub blobs: u64,
    /// Octets of their records.
    pub octets: u64,
    /// What is damaged, each named.
    pub problems: Vec<String>,
}

/// Reads about `octets` of records behind the blob `after`; answers `Boxed(Scrubbed)`.
#[must_use]
pub fn stretch(after: BlobId, octets: u64) -> ReadJob {
    Box::new(move |context| {
        let mut done = Scrubbed {
            after,
            ..Scrubbed::default()
        };
        while done.octets < octets {
            let mut rows: Vec<(BlobId, BlobRecord)> = Vec::with_capacity(STRETCH_ROWS);
            {
                let txn = context.begin()?;
                let first = keys::blob(done.after);
                let bounds = (Bound::Excluded(&first[..]), Bound::Unbounded);
                for row in context.tables.blobs.range(&txn, &bounds)?.take(STRETCH_ROWS) {
                    let (key, value) = row?;
                    let blob = keys::u64_at(key, 0).ok_or_else(|| damaged("blobs", "key"))?;
                    rows.push((blob, BlobRecord::decode(value).ok_or_else(|| damaged("blobs", blob))?));
                }
            }
            if rows.is_empty() {
                done.after = 0;
                break;
            }
            for (blob, row) in rows {
                if done.octets >= octets {
                    break;
                }
                match context.packs.record(&row).and_then(|record| record.verify()) {
                    Ok(()) => {}
                    Err(StoreError::Corrupt(text)) => {
                        // Released or moved meanwhile, it is no fault.
                        let txn = context.begin()?;
                        if context.tables.blob(&txn, blob)? == Some(row) {
                            done.problems.push(format!("blob {blob}: {text}"));
                        }
                    }
                    Err(error) => return Err(error),
                }
                done.after = blob;
                done.blobs += 1;
                done.octets += u64::from(row.length);
            }
        }
        Ok(Outcome::Boxed(Box::new(done)))
    })
}
