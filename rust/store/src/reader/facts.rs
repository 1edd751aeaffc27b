//! What the index says of the messages of a mailbox, for who compares mailboxes: contents, flags and dates, no octets.

use std::sync::Arc;

use crate::db::tables::damaged;
use crate::ids::Uid;
use crate::jobs::ReadJob;
use crate::listing::flag_names;
use crate::ops::Outcome;
use crate::view::MailboxView;
use crate::view::rows::{each_row, keyword_names};

/// Messages that one read answers at most.
pub const FACTS_MAX: usize = 10_000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFact {
    /// Its UID.
    pub uid: Uid,
    /// Octets.
    pub size: u32,
    /// The first octets of the BLAKE3 of all its octets; zeros when the index does not know it (a message with trace
    /// headers of its own, or one that format 1 has stored).
    pub digest: [u8; 16],
    /// System flags and keywords.
    pub flags: Vec<String>,
    /// Internal date in Unix seconds.
    pub internal_date: i64,
}

/// Messages of a view behind the UID `after`, in order; answers `Boxed(Vec<MessageFact>)`. Those that are gone are left
/// out.
#[must_use]
pub fn facts(view: Arc<MailboxView>, after: Uid, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let keywords = keyword_names(&context.tables, &txn, view.account)?;
        let limit = limit.clamp(1, FACTS_MAX);
        let told = view.told();
        let wanted = told.uids.iter().skip_while(|&uid| uid <= after);
        let mut found = Vec::new();
        let mut blobs = Vec::new();
        each_row(&context.tables, &txn, view.mailbox, wanted, |uid, row| {
            blobs.push((row.prefix == 0).then_some(row.blob));
            found.push(MessageFact {
                uid,
                size: row.size,
                digest: [0; 16],
                flags: flag_names(row, &keywords),
                internal_date: row.internal_date,
            });
            Ok(found.len() < limit)
        })?;
        for (fact, blob) in found.iter_mut().zip(blobs) {
            if let Some(blob) = blob {
                let record = context.tables.blob(&txn, blob)?;
                fact.digest = record.ok_or_else(|| damaged("blobs", blob))?.digest;
            }
        }
        Ok(Outcome::Boxed(Box::new(found)))
    })
}
