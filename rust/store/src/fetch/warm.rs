//! May a FETCH be answered at once, on the caller's thread? Only a small one whose octets lie in the page cache.
//!
//! A ticket costs two wake-ups across threads, some 50 µs and more on a virtual machine, where a small warm read costs a
//! few. A cold read costs a disk access, which must never stop the caller's event loop. So the octets are asked for with
//! `RWF_NOWAIT` first: the kernel answers from the page cache or not at all (docs/decisions/0005).

use super::cursor::FetchCursor;
use super::message::Access;
use crate::db::tables::damaged;
use crate::error::Result;

/// Messages of a FETCH that is answered at once.
pub(crate) const MESSAGES_MAX: u32 = 16;
/// Octets of records that are read at once.
pub(crate) const OCTETS_MAX: u64 = 64 * 1024;

impl FetchCursor {
    /// True when the whole answer is small and its records lie in the page cache.
    ///
    /// # Errors
    /// Corrupt for a damaged row.
    pub fn warm(&self, access: &Access<'_>) -> Result<bool> {
        let Some(wanted) = self.few_left(MESSAGES_MAX) else {
            return Ok(false);
        };
        if self.rows_suffice() {
            return Ok(true);
        }
        let tables = &access.context.tables;
        let mut budget = OCTETS_MAX;
        for uid in wanted {
            let Some(row) = tables.message(access.txn, self.view().mailbox, uid)? else {
                continue;
            };
            // What is stored may be compressed; its contents are bounded too.
            let Some(left) = budget.checked_sub(u64::from(row.size) / 4) else {
                return Ok(false);
            };
            budget = left;
            for blob in [row.blob, row.prefix] {
                if blob == 0 {
                    continue;
                }
                let record = tables.blob(access.txn, blob)?.ok_or_else(|| damaged("blobs", blob))?;
                let Some(left) = budget.checked_sub(u64::from(record.length)) else {
                    return Ok(false);
                };
                budget = left;
                if !access.context.packs.is_warm(&record) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
