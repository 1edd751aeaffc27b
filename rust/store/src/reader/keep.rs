//! Reads about quotas, retained messages and expiry.

use std::ops::Bound;

use crate::db::keys;
use crate::db::records::{AccountRecord, GroupRecord, MessageRecord, RetainedRecord};
use crate::db::tables::damaged;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::jobs::{ReadContext, ReadJob};
use crate::ops::Outcome;

/// Retained messages that one read answers at most.
pub const RETAINED_MAX: usize = 10_000;
/// Rows that an instant look at a mailbox reads for the first that expires.
const EXPIRY_LOOKS: usize = 64;

/// An expunged message that can still be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetainedMessage {
    /// When it was expunged, Unix seconds.
    pub expunged: u64,
    /// The mailbox that it was in, which may be gone.
    pub mailbox: MailboxId,
    /// The UID that it had there.
    pub uid: Uid,
    /// The row.
    pub record: RetainedRecord,
}

/// The account's row and its group's; `None` when the store has not seen the account. Instant: two hot rows.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn quota(context: &ReadContext, account: AccountId) -> Result<Option<(AccountRecord, GroupRecord)>> {
    let txn = context.begin()?;
    let Some(record) = context.tables.account(&txn, account)? else {
        return Ok(None);
    };
    let group = match record.group.as_str() {
        "" => GroupRecord::default(),
        name => context.tables.group(&txn, name)?,
    };
    Ok(Some((record, group)))
}

/// A quota group's row; an unknown one is empty. Instant.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn group_quota(context: &ReadContext, group: &str) -> Result<GroupRecord> {
    if group.is_empty() || group.len() > GroupRecord::NAME_OCTETS_MAX {
        return Ok(GroupRecord::default());
    }
    let txn = context.begin()?;
    context.tables.group(&txn, group)
}

/// Whether `Op::Expire` may find anything: a look at the first rows, and at the last of a long mailbox's beginning.
/// Instant; imported messages with old dates far behind others are found by the next full pass.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn expires(context: &ReadContext, mailbox: MailboxId, before: u32) -> Result<bool> {
    let txn = context.begin()?;
    let rows = context.tables.messages.prefix_iter(&txn, &mailbox.to_be_bytes())?;
    for row in rows.take(EXPIRY_LOOKS) {
        let record = MessageRecord::decode(row?.1).ok_or_else(|| damaged("messages", mailbox))?;
        if record.saved < before {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Retained messages of an account behind `after` (expunged, mailbox, uid), by time; answers
/// `Boxed(Vec<RetainedMessage>)`.
#[must_use]
pub fn retained(account: AccountId, after: Option<(u64, MailboxId, Uid)>, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let (expunged, mailbox, uid) = after.unwrap_or_default();
        let first = keys::retained(account, expunged, mailbox, uid);
        let last = keys::retained(account, u64::MAX, u32::MAX, u32::MAX);
        let bounds = (Bound::Excluded(&first[..]), Bound::Included(&last[..]));
        let mut found = Vec::new();
        for row in context
            .tables
            .retained
            .range(&txn, &bounds)?
            .take(limit.min(RETAINED_MAX))
        {
            let (key, value) = row?;
            let numbers = (keys::u64_at(key, 4), keys::u32_at(key, 12), keys::u32_at(key, 16));
            let (Some(expunged), Some(mailbox), Some(uid)) = numbers else {
                return Err(damaged("retained", account));
            };
            let record = RetainedRecord::decode(value).ok_or_else(|| damaged("retained", account))?;
            found.push(RetainedMessage {
                expunged,
                mailbox,
                uid,
                record,
            });
        }
        Ok(Outcome::Boxed(Box::new(found)))
    })
}
