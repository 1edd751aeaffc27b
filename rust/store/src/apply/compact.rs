//! What compaction does to the index: blobs are repointed to their copies, the journal of an old pack is told anew, and
//! the pack, which nothing needs any more, is let go.

use std::collections::HashSet;

use super::{Applied, Batch, ranges};
use crate::db::keys;
use crate::error::{Result, StoreError};
use crate::ids::{BlobId, MailboxId, PackId, Uid};
use crate::journal::{Entry, entries};
use crate::ops::{Outcome, RetainedSet};
use crate::prepare::Prepared;

/// How long the journal remembers that a queue item was done with, in seconds: longer than any item may wait.
const DEQUEUED_KEPT: u64 = 60 * 86_400;

impl Batch<'_, '_> {
    /// Repoints blobs that are still where they were copied from; how many.
    pub(super) fn relocate(&mut self, blobs: &[(BlobId, PackId, u64)], prepared: &Prepared) -> Applied<Outcome> {
        let mut moved = 0;
        for (&(blob, pack, offset), copy) in blobs.iter().zip(&prepared.moved) {
            let Some(mut row) = self.tables.blob(&self.txn, blob)? else {
                continue;
            };
            let (to, at) = copy
                .place
                .ok_or_else(|| StoreError::Failed("a record was not placed before its transaction".to_owned()))?;
            if (row.pack, row.offset) != (pack, offset) || row.length != copy.length {
                continue;
            }
            (row.pack, row.offset) = (to, at);
            self.tables.blobs.put(&mut self.txn, &keys::blob(blob), &row.encode())?;
            let old = self.pack(pack)?;
            old.live = old.live.saturating_sub(u64::from(row.length));
            old.blobs = old.blobs.saturating_sub(1);
            self.pack(to)?.point(blob, row.length);
            moved += 1;
        }
        Ok(Outcome::Count(moved))
    }

    /// Tells the journal again what entries of an old pack told, as it is now; what is void is dropped. How many were kept.
    pub(super) fn rejournal(&mut self, encoded: &[u8], retained: &RetainedSet) -> Applied<Outcome> {
        let mut told: HashSet<(MailboxId, Uid)> = HashSet::new();
        let mut kept = 0;
        for entry in entries(encoded) {
            kept += u64::from(self.retell(entry, retained, &mut told)?);
        }
        Ok(Outcome::Count(kept))
    }

    fn retell(&mut self, entry: Entry, retained: &RetainedSet, told: &mut HashSet<(MailboxId, Uid)>) -> Result<bool> {
        match entry {
            Entry::Account(account, _) => self.tell_account(account),
            Entry::Group(name, ..) => self.tell_group(&name),
            Entry::Mailbox(account, mailbox, _) => {
                if self.tables.mailbox(&self.txn, account, mailbox)?.is_some() {
                    self.tell_mailbox(account, mailbox);
                } else if self.is_deleted(mailbox, retained)? {
                    // Deleted, yet the name is needed for what can be recovered. An entry that says so voids the rest.
                    self.tell(&entry);
                } else {
                    return Ok(false);
                }
            }
            Entry::Name(account, name, _) => self.tell_name(account, &name),
            Entry::Keyword(account, number, _) => {
                let row = self.tables.keywords.get(&self.txn, &keys::keyword(account, number))?;
                let Some(keyword) = row.map(|row| String::from_utf8_lossy(row).into_owned()) else {
                    return Ok(false);
                };
                self.tell(&Entry::Keyword(account, number, keyword));
            }
            Entry::MailboxGone(account, ..) => {
                // A removed account's own entry voids all that was its.
                let removed = self.tables.account(&self.txn, account)?.is_none_or(|row| row.removing);
                if removed {
                    return Ok(false);
                }
                self.tell(&entry);
            }
            Entry::Message(mailbox, uid, ..) => {
                if let Some(row) = self.tables.message(&self.txn, mailbox, uid)? {
                    if told.insert((mailbox, uid)) {
                        self.tell_message(mailbox, uid, &row)?;
                    }
                } else if let Some(&at) = retained.messages.get(&(mailbox, uid)) {
                    self.tell(&entry);
                    self.tell(&Entry::Expunged(mailbox, vec![(uid, uid)], true, at));
                } else {
                    // Its UID is never given anew.
                    self.tell_uids(mailbox, uid.saturating_add(1));
                    return Ok(false);
                }
            }
            Entry::Flags(mailbox, uid, ..) => match self.tables.message(&self.txn, mailbox, uid)? {
                Some(row) if !told.contains(&(mailbox, uid)) => {
                    self.tell_flags(mailbox, uid, &row, row.modseq);
                }
                _ => return Ok(false),
            },
            // One entry with all UIDs that are there voids those of messages that are gone, in whatever pack they lie;
            // what is retained is told before, for it is not among these UIDs either. A deleted mailbox has no UIDs that
            // are there: what it retained, or let go, is told as it was.
            Entry::Expunged(mailbox, ..) if self.is_deleted(mailbox, retained)? => self.tell(&entry),
            Entry::Expunged(mailbox, uids, was_retained, _) => {
                let last = uids.last().map_or(0, |range| range.1);
                if was_retained {
                    for (at, uids) in retained.among(mailbox, &uids) {
                        self.tell(&Entry::Expunged(mailbox, ranges(uids), true, at));
                    }
                }
                self.tell_uids(mailbox, last.saturating_add(1));
            }
            Entry::Uids(mailbox, uid_next, uids) => {
                let last = uids.last().map_or(0, |range| range.1);
                self.tell_uids(mailbox, uid_next.max(last.saturating_add(1)));
            }
            Entry::Queued(id, ..) => match self.tables.queue_item(&self.txn, id)? {
                Some(record) => {
                    let state = record.state.clone();
                    self.tell_queued(id, &record, &state)?;
                }
                None => return Ok(false),
            },
            Entry::Dequeued(_, at) => {
                if at + DEQUEUED_KEPT < u64::from(self.seconds()) {
                    return Ok(false);
                }
                self.tell(&entry);
            }
            // What was true then stays true.
            Entry::Ended(_) => self.tell(&entry),
        }
        Ok(true)
    }

    /// True for a deleted mailbox of which something is still to be purged or can be recovered.
    fn is_deleted(&self, mailbox: MailboxId, retained: &RetainedSet) -> Result<bool> {
        if self
            .tables
            .doomed
            .get(&self.txn, &keys::doomed_mailbox(mailbox))?
            .is_some()
        {
            return Ok(true);
        }
        match retained.mailboxes.get(&mailbox) {
            Some(&account) => Ok(self.tables.mailbox(&self.txn, account, mailbox)?.is_none()),
            None => Ok(false),
        }
    }

    /// The journal of a pack has been told again, and is in other packs: the pack goes when no blob is left in it.
    pub(super) fn retire(&mut self, pack: PackId) -> Applied<Outcome> {
        if self.tables.packs.get(&self.txn, &keys::pack(pack))?.is_some() {
            self.pack(pack)?.journal = 0;
        }
        Ok(Outcome::None)
    }
}
