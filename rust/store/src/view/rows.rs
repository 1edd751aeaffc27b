//! Reading the index for views: a mailbox's UID sets, and its hot rows in one pass of a cursor.

use std::ops::Bound;
use std::sync::Arc;

use super::lines::{KEYWORDS_MAX, KeywordNames};
use super::uids::UidSet;
use crate::db::keys;
use crate::db::records::MessageRecord;
use crate::db::tables::{ReadTxn, Tables, damaged};
use crate::db::uids::UidChunk;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Uid};

/// Rows passed over before a cursor is placed anew instead: about what one descent of the tree costs.
const SKIPPED_ROWS_MAX: u32 = 24;

/// The sets that `uidmap` holds of one mailbox.
#[derive(Clone, Debug, Default)]
pub struct IndexSets {
    /// Messages that exist.
    pub present: UidSet,
    /// Those with \Seen.
    pub seen: UidSet,
    /// Those with \Deleted.
    pub deleted: UidSet,
}

/// Reads the sets of one mailbox.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn index_sets(tables: &Tables, txn: &ReadTxn<'_>, mailbox: MailboxId) -> Result<IndexSets> {
    let mut sets = IndexSets::default();
    for row in tables.uidmap.prefix_iter(txn, &mailbox.to_be_bytes())? {
        let (key, value) = row?;
        let number = keys::u32_at(key, 4).filter(|&number| number < 1 << 20);
        let (number, chunk) = number
            .and_then(|number| Some((number, UidChunk::decode(value)?)))
            .ok_or_else(|| damaged("uidmap", format!("{mailbox}:{number:?}")))?;
        sets.present.union_chunk(number, &chunk.present.0);
        sets.seen.union_chunk(number, &chunk.seen.0);
        sets.deleted.union_chunk(number, &chunk.deleted.0);
    }
    Ok(sets)
}

/// Reads the names of an account's keywords.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn keyword_names(tables: &Tables, txn: &ReadTxn<'_>, account: AccountId) -> Result<KeywordNames> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for (number, name) in tables.account_keywords(txn, account)? {
        let number = usize::from(number);
        if number >= KEYWORDS_MAX {
            return Err(damaged("keywords", format!("{account}:{number}")));
        }
        while names.len() <= number {
            names.push("".into());
        }
        names[number] = String::from_utf8_lossy(&name).into();
    }
    Ok(names.into())
}

/// Calls `take` with each of the wanted messages that exists, ascending; stops when it answers false. In place of a damaged
/// row it gets the error: what becomes of the others is its choice.
///
/// One pass of a cursor over the hot rows; a gap between wanted UIDs is crossed row by row when short.
///
/// # Errors
/// Whatever `take` raises.
pub fn each_row(
    tables: &Tables,
    txn: &ReadTxn<'_>,
    mailbox: MailboxId,
    wanted: impl Iterator<Item = Uid>,
    mut take: impl FnMut(Uid, Result<&MessageRecord>) -> Result<bool>,
) -> Result<()> {
    let mut wanted = wanted.peekable();
    while let Some(&start) = wanted.peek() {
        let (first, last) = (keys::message(mailbox, start), keys::message(mailbox, Uid::MAX));
        let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
        let mut skipped = 0;
        let mut ended = true;
        for row in tables.messages.range(txn, &bounds)? {
            let (key, value) = row?;
            let uid = keys::u32_at(key, 4).ok_or_else(|| damaged("messages", mailbox))?;
            while wanted.next_if(|&next| next < uid).is_some() {}
            match wanted.peek() {
                None => return Ok(()),
                Some(&next) if next == uid => {
                    wanted.next();
                    skipped = 0;
                    let record = MessageRecord::decode(value);
                    let record = record.as_ref();
                    if !take(
                        uid,
                        record.ok_or_else(|| damaged("messages", format!("{mailbox}:{uid}"))),
                    )? {
                        return Ok(());
                    }
                }
                Some(_) => {
                    skipped += 1;
                    if skipped > SKIPPED_ROWS_MAX {
                        ended = false;
                        break;
                    }
                }
            }
        }
        if ended {
            return Ok(());
        }
    }
    Ok(())
}
