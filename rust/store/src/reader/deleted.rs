//! What an EXPUNGE of a mailbox would remove (RFC 9208 §4.1.4, `DELETED-STORAGE`).

use crate::ids::MailboxId;
use crate::jobs::ReadJob;
use crate::ops::Outcome;
use crate::view::rows::{each_row, index_sets};

/// Octets of the messages of a mailbox that have \Deleted, each copy in full; answers `Count`. Reads one row for each, and
/// a damaged one does not count.
#[must_use]
pub fn deleted_octets(mailbox: MailboxId) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let deleted = index_sets(&context.tables, &txn, mailbox)?.deleted;
        let mut octets: u64 = 0;
        each_row(&context.tables, &txn, mailbox, deleted.iter(), |_, row| {
            if let Ok(row) = row {
                octets = octets.saturating_add(u64::from(row.size));
            }
            Ok(true)
        })?;
        Ok(Outcome::Count(octets))
    })
}
