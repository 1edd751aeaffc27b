//! The read jobs: what each reads and answers. They run on the reader pool (`jobs.rs`); a transaction lasts one job,
//! and a long job takes several.

mod deleted;
mod facts;
mod keep;
mod section;

pub use deleted::deleted_octets;
pub use facts::{FACTS_MAX, MessageFact, facts};
pub use keep::{RETAINED_MAX, RetainedMessage, expirable, group_quota, quota, retained};
pub use section::{Located, locate};

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::search_key::SearchProgram;
use ironpost_proto::imap::sequence::SequenceSet;

use crate::apply::mailbox_info;
use crate::db::keys;
use crate::db::records::{AccountRecord, MailboxRecord, NameRecord, QueueRecord};
use crate::db::tables::{ReadTxn, Tables, damaged};
use crate::db::uids::UidChunk;
use crate::error::{Result, StoreError};
use crate::fetch::FetchCursor;
use crate::fetch::message::{Access, Content};
use crate::ids::{AccountId, MailboxId, ModSeq, QueueId, Uid};
use crate::jobs::{ReadContext, ReadJob};
use crate::ops::{MailboxInfo, Outcome};
use crate::search::{self, live};
use crate::view::rows::each_row;
use crate::view::told::Permitted;
use crate::view::uids::UidSet;
use crate::view::{MailboxView, Refreshed, StoreLines};
use crate::volume::Follow;

/// Octets that one read answers at most, whatever was asked for.
pub const READ_OCTETS_MAX: u64 = 8 << 20;
/// Queue items that one read answers at most.
pub const QUEUE_ITEMS_MAX: usize = 10_000;

/// A view, and whether \Recent is to be claimed for it.
#[derive(Debug)]
pub struct Opened {
    /// The view.
    pub view: Arc<MailboxView>,
    /// `Op::ClaimRecent` is due.
    pub claim_recent: bool,
}

/// A view that has been brought up to date.
#[derive(Debug)]
pub struct Updated {
    /// The view.
    pub view: Arc<MailboxView>,
    /// The lines that tell it.
    pub lines: Vec<u8>,
    /// `Op::ClaimRecent` is due.
    pub claim_recent: bool,
}

/// One item of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueItem {
    /// Its number.
    pub id: QueueId,
    /// The row with the whole state.
    pub record: QueueRecord,
}

/// Opens a view; answers `Boxed(Opened)`, `NotFound` without the mailbox.
#[must_use]
pub fn open_view(account: AccountId, name: String, read_only: bool) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let (view, claim_recent) = MailboxView::open(&context.tables, &txn, account, &name, read_only)?;
        Ok(Outcome::Boxed(Box::new(Opened {
            view: Arc::new(view),
            claim_recent,
        })))
    })
}

/// Brings a view up to date; answers `Boxed(Updated)`, `NotFound` when the mailbox is gone.
#[must_use]
pub fn refresh(view: Arc<MailboxView>, permitted: Permitted) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let mut told = if permitted.expunges {
            live::before_expunges(context, &txn, &view)?
        } else {
            Vec::new()
        };
        let Refreshed { lines, claim_recent } = view.refresh(&context.tables, &txn, permitted)?;
        drop(txn);
        told.extend(lines);
        told.extend(live::after_refresh(context, &view));
        Ok(Outcome::Boxed(Box::new(Updated {
            view,
            lines: told,
            claim_recent,
        })))
    })
}

/// Whether there may be anything new for a view. Instant: a memory read, and one hot row when that differs.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn stale(context: &ReadContext, view: &MailboxView) -> Result<bool> {
    if !view.outdated(context.last_transaction()) {
        return Ok(false);
    }
    let txn = context.begin()?;
    view.account_changed(&context.tables, &txn)
}

/// UID and size of a message number; `None` beyond the end, or when the message is gone. Instant: one hot row.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn message(context: &ReadContext, view: &MailboxView, number: u32) -> Result<Option<(Uid, u32)>> {
    let Some(uid) = view.told().uids.select(number) else {
        return Ok(None);
    };
    let txn = context.begin()?;
    Ok(context
        .tables
        .message(&txn, view.mailbox, uid)?
        .map(|row| (uid, row.size)))
}

/// Whether the store knows the account already. Instant: one hot row.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn knows_account(context: &ReadContext, account: AccountId) -> Result<bool> {
    let txn = context.begin()?;
    Ok(context.tables.account(&txn, account)?.is_some())
}

/// The answer to a STORE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreAnswer {
    /// Untagged lines.
    pub lines: Vec<u8>,
    /// The set of MODIFIED; empty when nothing was refused.
    pub modified: Vec<u8>,
}

/// The second half of a STORE; answers `Boxed(StoreAnswer)`.
#[must_use]
pub fn answer_store(view: Arc<MailboxView>, told_as: StoreLines) -> Follow {
    Box::new(move |context, outcome| {
        let Outcome::Flags(flags) = outcome else {
            return Ok(outcome);
        };
        view.remember_own(&flags);
        let txn = context.begin()?;
        Ok(Outcome::Boxed(Box::new(StoreAnswer {
            lines: view.stored_lines(&context.tables, &txn, &flags, told_as)?,
            modified: view.modified_set(&flags, told_as.uids),
        })))
    })
}

/// What has gone since a modseq, see [`MailboxView::vanished_since`]; answers the line as `Bytes`.
#[must_use]
pub fn vanished(
    view: Arc<MailboxView>,
    since: ModSeq,
    known: Option<SequenceSet>,
    matches: Option<(SequenceSet, SequenceSet)>,
) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let line = view.vanished_since(&context.tables, &txn, since, known.as_ref(), matches.as_ref())?;
        Ok(Outcome::Bytes(line))
    })
}

/// The second half of a ClaimRecent.
#[must_use]
pub fn answer_claim(view: Arc<MailboxView>) -> Follow {
    Box::new(move |_, outcome| {
        if let Outcome::Recent(from, until) = outcome {
            view.claimed(from, until);
        }
        Ok(Outcome::None)
    })
}

/// Those of the wanted messages that lack \Seen, and have a greater modseq than `changed_since`. Instant: one short row for
/// each 4,096 UIDs that are wanted; with `changed_since` one for each that is unseen.
///
/// # Errors
/// Corrupt for a damaged row.
pub fn unseen_of(
    context: &ReadContext,
    view: &MailboxView,
    wanted: &UidSet,
    changed_since: Option<ModSeq>,
) -> Result<UidSet> {
    let txn = context.begin()?;
    let mut unseen = UidSet::new();
    let mut next = wanted.first();
    while let Some(uid) = next {
        let number = uid / keys::UIDS_PER_CHUNK;
        let chunk = context.tables.uid_chunk(&txn, view.mailbox, number)?;
        let bits = std::array::from_fn(|word| chunk.present.0[word] & !chunk.seen.0[word]);
        unseen.union_chunk(number, &bits);
        next = number
            .checked_add(1)
            .and_then(|following| following.checked_mul(keys::UIDS_PER_CHUNK))
            .and_then(|following| wanted.first_from(following));
    }
    let unseen = wanted.intersection(&unseen);
    let Some(since) = changed_since else {
        return Ok(unseen);
    };
    let mut changed = Vec::new();
    each_row(&context.tables, &txn, view.mailbox, unseen.iter(), |uid, row| {
        if row.is_ok_and(|row| row.modseq > since) {
            changed.push(uid);
        }
        Ok(true)
    })?;
    Ok(UidSet::from_ascending(changed))
}

/// The next stretch of a FETCH; answers `Bytes`.
#[must_use]
pub fn fetch(cursor: Arc<FetchCursor>, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        Ok(Outcome::Bytes(cursor.stretch(&Access { context, txn: &txn }, limit)?))
    })
}

/// The whole answer of a small FETCH whose octets lie in memory; `None`: it must be a job. Instant.
///
/// # Errors
/// As [`FetchCursor::stretch`].
pub fn fetch_now(context: &ReadContext, cursor: &FetchCursor) -> Result<Option<Vec<u8>>> {
    let txn = context.begin()?;
    let access = Access { context, txn: &txn };
    if !cursor.warm(&access)? {
        return Ok(None);
    }
    cursor.stretch(&access, usize::MAX).map(Some)
}

/// SEARCH; answers the line as `Bytes`. Setting `cancelled` ends it early.
#[must_use]
pub fn search(
    view: Arc<MailboxView>,
    program: SearchProgram,
    uid: bool,
    tag: String,
    cancelled: Arc<AtomicBool>,
) -> ReadJob {
    Box::new(move |context| search::run(context, &view, &program, uid, &tag, &cancelled).map(Outcome::Bytes))
}

/// The search of an ESEARCH in one mailbox; answers what its line says of UIDs as `Bytes`. Setting `cancelled` ends it early.
#[must_use]
pub fn search_data(view: Arc<MailboxView>, program: SearchProgram, cancelled: Arc<AtomicBool>) -> ReadJob {
    Box::new(move |context| search::data(context, &view, &program, &cancelled).map(Outcome::Bytes))
}

/// UID and size of every message of a view, in order; answers `Boxed(Vec<(Uid, u32)>)`. A message that is gone keeps its
/// place with size 0.
#[must_use]
pub fn messages(view: Arc<MailboxView>) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let told = view.told();
        let mut uids = told.uids.iter();
        let mut listed = Vec::with_capacity(told.uids.len() as usize);
        each_row(&context.tables, &txn, view.mailbox, told.uids.iter(), |uid, row| {
            for gone in uids.by_ref().take_while(|&before| before != uid) {
                listed.push((gone, 0));
            }
            // Reading a message whose row is damaged tells so.
            listed.push((uid, row.map_or(0, |row| row.size)));
            Ok(true)
        })?;
        listed.extend(uids.map(|gone| (gone, 0)));
        Ok(Outcome::Boxed(Box::new(listed)))
    })
}

/// Octets of a message; answers `Bytes`, `NotFound` when it is gone.
#[must_use]
pub fn read_message(view: Arc<MailboxView>, uid: Uid, offset: u64, length: u64) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let mut content = content(context, &txn, view.mailbox, uid)?;
        let end = offset.saturating_add(length.min(READ_OCTETS_MAX));
        let mut out = Vec::new();
        content.read(&Access { context, txn: &txn }, offset..end, &mut out)?;
        Ok(Outcome::Bytes(out))
    })
}

/// Octets of header, empty line and the first `lines` lines of the body (RFC 1939 §7, TOP), to be read by
/// [`read_message`]: what they are may be too much for memory. Answers `Count`.
#[must_use]
pub fn top_octets(view: Arc<MailboxView>, uid: Uid, lines: u32) -> ReadJob {
    /// Octets looked at in one step.
    const STEP_OCTETS: u64 = 64 * 1024;
    Box::new(move |context| {
        let txn = context.begin()?;
        let access = Access { context, txn: &txn };
        let mut content = content(context, &txn, view.mailbox, uid)?;
        let mut position = content.prefix_octets() + content.structure(&access)?.header_len() as u64;
        let mut step = Vec::new();
        let mut left = lines;
        while left > 0 && position < content.octets() {
            step.clear();
            content.read(&access, position..position.saturating_add(STEP_OCTETS), &mut step)?;
            if step.is_empty() {
                break;
            }
            let mut end = step.len();
            for line_end in memchr::memchr_iter(b'\n', &step) {
                left -= 1;
                if left == 0 {
                    end = line_end + 1;
                    break;
                }
            }
            position += end as u64;
        }
        Ok(Outcome::Count(position))
    })
}

/// All mailboxes and subscribed names of an account, by name; answers `Boxed(Vec<MailboxInfo>)`.
#[must_use]
pub fn list_mailboxes(account: AccountId) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let mut listed = Vec::new();
        for row in context.tables.names.prefix_iter(&txn, &keys::account(account))? {
            let (_, value) = row?;
            // A damaged one must not hide the others; whoever asks for it by its name is told.
            let Some(name) = NameRecord::decode(value) else {
                continue;
            };
            let record = match name.mailbox {
                0 => None,
                id => match context.tables.mailbox(&txn, account, id) {
                    Ok(Some(record)) => Some(record),
                    Ok(None) | Err(StoreError::Corrupt(_)) => continue,
                    Err(error) => return Err(error),
                },
            };
            listed.push(info(
                &context.tables,
                &txn,
                name.mailbox,
                name.name,
                name.subscribed,
                record,
            )?);
        }
        Ok(Outcome::Boxed(Box::new(listed)))
    })
}

/// One mailbox; answers `Mailbox`, `NotFound` when there is none of that name.
#[must_use]
pub fn mailbox(account: AccountId, name: String) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let found = context
            .tables
            .name(&txn, account, &name)?
            .filter(|found| found.mailbox != 0);
        let found = found.ok_or_else(|| StoreError::NotFound(format!("mailbox {name:?}")))?;
        let record = context.tables.mailbox(&txn, account, found.mailbox)?;
        let record = record.ok_or_else(|| damaged("mailboxes", found.mailbox))?;
        let info = info(
            &context.tables,
            &txn,
            found.mailbox,
            found.name,
            found.subscribed,
            Some(record),
        )?;
        Ok(Outcome::Mailbox(info))
    })
}

/// All accounts, ascending; answers `Boxed(Vec<AccountId>)`.
#[must_use]
pub fn accounts() -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let mut listed: Vec<AccountId> = Vec::new();
        for row in context.tables.accounts.iter(&txn)? {
            let (key, value) = row?;
            let account = keys::u32_at(key, 0).ok_or_else(|| damaged("accounts", "key"))?;
            let record = AccountRecord::decode(value).ok_or_else(|| damaged("accounts", account))?;
            // A tombstone of an account that has been purged whole.
            if !(record.removing && record.highest_modseq == 0) {
                listed.push(account);
            }
        }
        Ok(Outcome::Boxed(Box::new(listed)))
    })
}

/// Items due at `now` (microseconds since 1970), by due time; answers `Boxed(Vec<QueueItem>)`.
#[must_use]
pub fn queue_due(now: u64, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let last = keys::due(now, QueueId::MAX);
        let bounds = (Bound::Unbounded, Bound::Included(&last[..]));
        let mut items = Vec::new();
        for row in context
            .tables
            .due
            .range(&txn, &bounds)?
            .take(limit.min(QUEUE_ITEMS_MAX))
        {
            let (key, _) = row?;
            let id = keys::u64_at(key, 8).ok_or_else(|| damaged("due", "key"))?;
            let record = context
                .tables
                .queue_item(&txn, id)?
                .ok_or_else(|| damaged("queue", id))?;
            items.push(QueueItem { id, record });
        }
        Ok(Outcome::Boxed(Box::new(items)))
    })
}

/// The earliest due time in microseconds since 1970; answers `Boxed(Option<u64>)`.
#[must_use]
pub fn queue_next_due() -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let due: Option<u64> = match context.tables.due.first(&txn)? {
            None => None,
            Some((key, _)) => Some(keys::u64_at(key, 0).ok_or_else(|| damaged("due", "key"))?),
        };
        Ok(Outcome::Boxed(Box::new(due)))
    })
}

/// Items with numbers above `after`, ascending; answers `Boxed(Vec<QueueItem>)`.
#[must_use]
pub fn queue_list(after: QueueId, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let first = keys::queue(after.saturating_add(1), 0);
        let bounds = (Bound::Included(&first[..]), Bound::Unbounded);
        let mut items = Vec::new();
        for row in context.tables.queue.range(&txn, &bounds)? {
            let (key, _) = row?;
            // Parts beyond the first belong to the item before.
            if key.get(8..10) != Some(&[0, 0][..]) {
                continue;
            }
            if items.len() >= limit.min(QUEUE_ITEMS_MAX) {
                break;
            }
            let id = keys::u64_at(key, 0).ok_or_else(|| damaged("queue", "key"))?;
            let record = context
                .tables
                .queue_item(&txn, id)?
                .ok_or_else(|| damaged("queue", id))?;
            items.push(QueueItem { id, record });
        }
        Ok(Outcome::Boxed(Box::new(items)))
    })
}

/// Octets of a queue item, prefix and body together; answers `Bytes`, `NotFound` when it is gone.
#[must_use]
pub fn queue_read(id: QueueId, offset: u64, length: u64) -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        let item = context.tables.queue_item(&txn, id)?;
        let item = item.ok_or_else(|| StoreError::NotFound(format!("queue item {id}")))?;
        let mut content = Content::of_blob(item.blob, item.prefix, item.prefix_len, item.size);
        let end = offset.saturating_add(length.min(READ_OCTETS_MAX));
        let mut out = Vec::new();
        content.read(&Access { context, txn: &txn }, offset..end, &mut out)?;
        Ok(Outcome::Bytes(out))
    })
}

/// How many items the queue has; answers `Count`.
#[must_use]
pub fn queue_size() -> ReadJob {
    Box::new(move |context| {
        let txn = context.begin()?;
        // One row of `due` for each item; rows of `queue` may be several.
        Ok(Outcome::Count(context.tables.due.len(&txn)?))
    })
}

fn content(context: &ReadContext, txn: &ReadTxn<'_>, mailbox: MailboxId, uid: Uid) -> Result<Content> {
    let row = context.tables.message(txn, mailbox, uid)?;
    row.map(|row| Content::new(&row))
        .ok_or_else(|| StoreError::NotFound(format!("message {uid}")))
}

fn info(
    tables: &Tables,
    txn: &ReadTxn<'_>,
    id: MailboxId,
    name: String,
    subscribed: bool,
    record: Option<MailboxRecord>,
) -> Result<MailboxInfo> {
    let record = record.unwrap_or_default();
    let recent = if record.recent_from < record.uid_next {
        match recent(tables, txn, id, record.recent_from) {
            // Opening the mailbox tells of the damage; a list of mailboxes is not to fail for it.
            Err(StoreError::Corrupt(_)) => 0,
            other => other?,
        }
    } else {
        0
    };
    Ok(MailboxInfo {
        name,
        ..mailbox_info(id, &record, subscribed, recent)
    })
}

/// How many messages have UIDs from `from` on.
fn recent(tables: &Tables, txn: &ReadTxn<'_>, mailbox: MailboxId, from: Uid) -> Result<u32> {
    let (first, last) = (
        keys::uid_chunk(mailbox, from / keys::UIDS_PER_CHUNK),
        keys::uid_chunk(mailbox, u32::MAX),
    );
    let mut count = 0;
    for row in tables
        .uidmap
        .range(txn, &(Bound::Included(&first[..]), Bound::Included(&last[..])))?
    {
        let (key, value) = row?;
        let chunk = UidChunk::decode(value).ok_or_else(|| damaged("uidmap", mailbox))?;
        let number = keys::u32_at(key, 4).ok_or_else(|| damaged("uidmap", mailbox))?;
        count += if number == from / keys::UIDS_PER_CHUNK {
            chunk
                .present
                .iter()
                .filter(|&position| position >= from % keys::UIDS_PER_CHUNK)
                .count() as u32
        } else {
            chunk.present.count()
        };
    }
    Ok(count)
}
