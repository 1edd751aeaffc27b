//! What export and import need of a mailbox: every message with all that other formats carry, whole messages by the
//! batch, and what tells one message from another.

use std::sync::Arc;

use crate::db::records::{MessageRecord, flag};
use crate::error::{Result, StoreError};
use crate::fetch::message::{Access, Content};
use crate::ids::Uid;
use crate::jobs::{ReadContext, ReadJob};
use crate::ops::Outcome;
use crate::reader::READ_OCTETS_MAX;
use crate::view::MailboxView;
use crate::view::rows::{each_row, keyword_names};

/// Rows that one listing gives at most.
pub const ROWS_MAX: usize = 10_000;
/// Octets of a [`Fingerprint`].
pub const FINGERPRINT_OCTETS: usize = 16;

/// The first 16 octets of the BLAKE3 of a message, computed in pieces.
#[derive(Clone, Debug, Default)]
pub struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    /// Goes on with these octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// Of everything so far.
    #[must_use]
    pub fn digest(&self) -> [u8; FINGERPRINT_OCTETS] {
        let mut digest = [0; FINGERPRINT_OCTETS];
        digest.copy_from_slice(&self.0.finalize().as_bytes()[..FINGERPRINT_OCTETS]);
        digest
    }
}

/// One message of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// UID.
    pub uid: Uid,
    /// Octets.
    pub size: u32,
    /// Internal date in Unix seconds.
    pub internal_date: i64,
    /// Its zone, minutes east of UTC.
    pub internal_zone: i16,
    /// System flags as `\Name` and keywords.
    pub flags: Vec<String>,
}

impl ListedMessage {
    fn unreadable(uid: Uid) -> Self {
        Self {
            uid,
            size: 0,
            internal_date: 0,
            internal_zone: 0,
            flags: Vec::new(),
        }
    }
}

/// Messages of a view with UIDs above `after`, ascending, at most `limit` (and [`ROWS_MAX`]); answers
/// `Boxed(Vec<ListedMessage>)`. Those that are gone are left out; one whose row is damaged is there with its UID alone, no
/// octets and no flags, so that [`whole`] says of it why it can't be read and the others still leave.
#[must_use]
pub fn rows(view: Arc<MailboxView>, after: Uid, limit: usize) -> ReadJob {
    Box::new(move |context| {
        let limit = limit.min(ROWS_MAX);
        let txn = context.begin()?;
        let names = keyword_names(&context.tables, &txn, view.account)?;
        let uids = view.told().uids.clone();
        let mut listed = Vec::new();
        let wanted = uids.iter().skip_while(|&uid| uid <= after);
        each_row(&context.tables, &txn, view.mailbox, wanted, |uid, row| {
            listed.push(match row {
                Ok(row) => ListedMessage {
                    uid,
                    size: row.size,
                    internal_date: row.internal_date,
                    internal_zone: row.internal_zone,
                    flags: flag_names(row, &names),
                },
                Err(StoreError::Corrupt(_)) => ListedMessage::unreadable(uid),
                Err(error) => return Err(error),
            });
            Ok(listed.len() < limit)
        })?;
        Ok(Outcome::Boxed(Box::new(listed)))
    })
}

/// System flags and keywords of a message.
pub(crate) fn flag_names(row: &MessageRecord, keywords: &[Arc<str>]) -> Vec<String> {
    let system = [
        (flag::SEEN, "\\Seen"),
        (flag::ANSWERED, "\\Answered"),
        (flag::FLAGGED, "\\Flagged"),
        (flag::DELETED, "\\Deleted"),
        (flag::DRAFT, "\\Draft"),
    ];
    let system = system.iter().filter(|(bit, _)| row.flags & bit != 0);
    let mut names: Vec<String> = system.map(|(_, name)| (*name).to_owned()).collect();
    let set = keywords
        .iter()
        .enumerate()
        .filter(|(number, name)| *number < 64 && row.keywords & (1 << number) != 0 && !name.is_empty());
    names.extend(set.map(|(_, name)| name.to_string()));
    names
}

/// One whole message, or why it can't be read; `None`: it is gone.
pub type WholeMessage = (Uid, Option<std::result::Result<Vec<u8>, String>>);

/// Whole messages in the order given, until about `limit` octets (at most [`READ_OCTETS_MAX`]) are together; at least one.
/// Answers `Boxed(Vec<WholeMessage>)`, shorter than `uids` when the limit was met. A message above [`READ_OCTETS_MAX`] is
/// refused in its place: read it in pieces.
#[must_use]
pub fn whole(view: Arc<MailboxView>, uids: Vec<Uid>, limit: u64) -> ReadJob {
    Box::new(move |context| {
        let limit = limit.min(READ_OCTETS_MAX);
        let mut octets = 0;
        let mut read = Vec::new();
        for uid in uids {
            let message = one(context, &view, uid)?;
            octets += message.as_ref().map_or(0, |read| read.as_ref().map_or(0, Vec::len)) as u64;
            read.push((uid, message));
            if octets >= limit {
                break;
            }
        }
        Ok(Outcome::Boxed(Box::new(read)))
    })
}

fn one(context: &ReadContext, view: &MailboxView, uid: Uid) -> Result<Option<std::result::Result<Vec<u8>, String>>> {
    let txn = context.begin()?;
    let row = match context.tables.message(&txn, view.mailbox, uid) {
        Ok(Some(row)) => row,
        Ok(None) => return Ok(None),
        Err(StoreError::Corrupt(what)) => return Ok(Some(Err(StoreError::Corrupt(what).to_string()))),
        Err(error) => return Err(error),
    };
    let mut content = Content::new(&row);
    if content.octets() > READ_OCTETS_MAX {
        return Ok(Some(Err("too long to be read at once".to_owned())));
    }
    let mut out = Vec::with_capacity(content.octets() as usize);
    let all = 0..content.octets();
    Ok(Some(
        match content.read(&Access { context, txn: &txn }, all, &mut out) {
            Ok(()) => Ok(out),
            Err(StoreError::Failed(text)) => return Err(StoreError::Failed(text)),
            // One damaged message must not keep the others from leaving.
            Err(error) => Err(error.to_string()),
        },
    ))
}

/// [`Fingerprint`]s of messages; answers `Boxed(Vec<Option<[u8; 16]>>)` in the order given, `None` for a message that is gone
/// or damaged.
#[must_use]
pub fn fingerprints(view: Arc<MailboxView>, uids: Vec<Uid>) -> ReadJob {
    Box::new(move |context| {
        let digests: Result<Vec<_>> = uids.iter().map(|&uid| fingerprint(context, &view, uid)).collect();
        Ok(Outcome::Boxed(Box::new(digests?)))
    })
}

fn fingerprint(context: &ReadContext, view: &MailboxView, uid: Uid) -> Result<Option<[u8; FINGERPRINT_OCTETS]>> {
    /// Octets read at once.
    const STEP_OCTETS: u64 = 1 << 20;
    let txn = context.begin()?;
    let row = match context.tables.message(&txn, view.mailbox, uid) {
        Ok(Some(row)) => row,
        Ok(None) | Err(StoreError::Corrupt(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if row.prefix_len == 0
        && let Some(blob) = context.tables.blob(&txn, row.blob)?
        && blob.digest != [0; FINGERPRINT_OCTETS]
    {
        return Ok(Some(blob.digest));
    }
    // With a prefix, or of format 1: nobody has noted it.
    let mut content = Content::new(&row);
    let access = Access { context, txn: &txn };
    let mut fingerprint = Fingerprint::default();
    let mut position = 0;
    let mut piece = Vec::new();
    while position < content.octets() {
        let end = content.octets().min(position + STEP_OCTETS);
        piece.clear();
        match content.read(&access, position..end, &mut piece) {
            Ok(()) => fingerprint.update(&piece),
            Err(StoreError::Corrupt(_) | StoreError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        position = end;
    }
    Ok(Some(fingerprint.digest()))
}
