//! Messages: arrival, flags, COPY, MOVE, EXPUNGE.

use std::collections::BTreeSet;

use super::quota::Amount;
use super::{Applied, Batch, ranges, reject};
use crate::db::keys::{self, UIDS_PER_CHUNK};
use crate::db::records::{ChangeKind, ChangeRecord, MessageRecord, flag};
use crate::db::tables::damaged;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::journal::Entry;
use crate::ops::{Copied, FlagMode, FlagSet, FlagState, Outcome, StoredMessage};

/// Messages that one transaction expunges at most; what is left follows in the next.
const EXPUNGE_STEP: usize = 20_000;
/// Messages that COPY and MOVE, which are one transaction, take at most.
pub(super) const COPY_MESSAGES_MAX: usize = 500_000;

impl Batch<'_, '_> {
    /// Rejects unless the mailbox is in the account.
    pub(super) fn require_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Applied<()> {
        self.require_account(account)?;
        if self.mailbox(account, mailbox)?.is_none() {
            return reject(StoreError::NotFound(format!("mailbox {mailbox}")));
        }
        Ok(())
    }

    /// Rejects unless the mailbox has `count` UIDs left.
    pub(super) fn require_uids(&mut self, account: AccountId, mailbox: MailboxId, count: usize) -> Applied<()> {
        let next = self.known_mailbox(account, mailbox)?.uid_next;
        match u32::try_from(count).ok().and_then(|count| next.checked_add(count)) {
            Some(_) => Ok(()),
            None => reject(StoreError::Refused("no UIDs are left in this mailbox".to_owned())),
        }
    }

    /// The messages in the ranges, ascending.
    pub(super) fn messages_in(&self, mailbox: MailboxId, uids: &[(Uid, Uid)]) -> Result<Vec<(Uid, MessageRecord)>> {
        self.first_messages_in(mailbox, uids, usize::MAX)
    }

    /// The first `limit` messages in the ranges, ascending.
    pub(super) fn first_messages_in(
        &self,
        mailbox: MailboxId,
        uids: &[(Uid, Uid)],
        limit: usize,
    ) -> Result<Vec<(Uid, MessageRecord)>> {
        let mut found = Vec::new();
        for (first, last) in uids {
            let (from, until) = (keys::message(mailbox, *first), keys::message(mailbox, *last));
            if from > until {
                continue;
            }
            let range = (
                std::ops::Bound::Included(&from[..]),
                std::ops::Bound::Included(&until[..]),
            );
            let left = limit - found.len();
            for row in self.tables.messages.range(&self.txn, &range)?.take(left) {
                let (key, value) = row?;
                let uid = keys::u32_at(key, 4).ok_or_else(|| damaged("messages", mailbox))?;
                let record =
                    MessageRecord::decode(value).ok_or_else(|| damaged("messages", format!("{mailbox}:{uid}")))?;
                found.push((uid, record));
            }
        }
        Ok(found)
    }

    fn put_message(&mut self, mailbox: MailboxId, uid: Uid, record: &MessageRecord) -> Result<()> {
        self.tables
            .messages
            .put(&mut self.txn, &keys::message(mailbox, uid), &record.encode())?;
        Ok(())
    }

    /// Adds a message at the mailbox's next UID; `modseq` of the record is set here.
    pub(super) fn add_message(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        mut record: MessageRecord,
    ) -> Result<StoredMessage> {
        let row = self.known_mailbox(account, mailbox)?;
        let uid = row.uid_next;
        row.uid_next = uid
            .checked_add(1)
            .ok_or_else(|| StoreError::Refused("no UIDs are left in this mailbox".to_owned()))?;
        row.messages += 1;
        row.unseen += u32::from(record.flags & flag::SEEN == 0);
        row.deleted += u32::from(record.flags & flag::DELETED != 0);
        row.size += u64::from(record.size);
        let uid_validity = row.uid_validity;
        let position = uid % UIDS_PER_CHUNK;
        self.chunk(mailbox, uid)?.put(position, record.flags);
        self.count_in(account, Amount::one(record.size))?;
        record.modseq = self.arrival(account, mailbox, uid)?;
        self.known_mailbox(account, mailbox)?.highest_modseq = record.modseq;
        self.put_message(mailbox, uid, &record)?;
        self.tell_message(mailbox, uid, &record)?;
        Ok(StoredMessage {
            account,
            mailbox,
            uid_validity,
            uid,
        })
    }

    pub(super) fn store_flags(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[(Uid, Uid)],
        mode: FlagMode,
        flags: &FlagSet,
        unchanged_since: Option<ModSeq>,
    ) -> Applied<Vec<FlagState>> {
        self.require_mailbox(account, mailbox)?;
        let rows = self.messages_in(mailbox, uids)?;
        let refused = |row: &MessageRecord| unchanged_since.is_some_and(|bound| row.modseq > bound);
        let keywords = if mode == FlagMode::Remove {
            self.known_keywords(account, &flags.keywords)?
        } else {
            let plan = self.plan_keywords(account, &flags.keywords)?;
            if rows.iter().all(|(_, row)| refused(row)) {
                plan.bits
            } else {
                self.make_keywords(account, &plan)?
            }
        };
        let system = flags.system & flag::ALL;
        let mut states = Vec::with_capacity(rows.len());
        let mut changed = Vec::new();
        for (uid, before) in rows {
            let mut after = before;
            let refused = refused(&before);
            match mode {
                _ if refused => {}
                FlagMode::Add => {
                    after.flags |= system;
                    after.keywords |= keywords;
                }
                FlagMode::Remove => {
                    after.flags &= !system;
                    after.keywords &= !keywords;
                }
                FlagMode::Replace => {
                    after.flags = system;
                    after.keywords = keywords;
                }
                FlagMode::ReplaceSome(some) => {
                    after.flags = before.flags & !some.system() | system & some.system();
                    after.keywords = before.keywords & !some.keywords() | keywords & some.keywords();
                }
            }
            let is_changed = after != before;
            states.push(FlagState {
                uid,
                system: after.flags,
                keywords: after.keywords,
                modseq: after.modseq,
                changed: is_changed,
                refused,
            });
            if is_changed {
                changed.push((states.len() - 1, before, after));
            }
        }
        let all = ranges(changed.iter().map(|(index, _, _)| states[*index].uid));
        let mut next = changed.into_iter();
        for some in all.chunks(ChangeRecord::RANGES_MAX) {
            let count: u64 = some.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
            let modseq = self.change(account, ChangeKind::Flags, mailbox, some.to_vec())?;
            for (index, before, mut after) in next.by_ref().take(count as usize) {
                let uid = states[index].uid;
                after.modseq = modseq;
                states[index].modseq = modseq;
                self.put_message(mailbox, uid, &after)?;
                self.tell_flags(mailbox, uid, &after, modseq);
                self.count_flags(account, mailbox, uid, before.flags, after.flags)?;
            }
            self.known_mailbox(account, mailbox)?.highest_modseq = modseq;
        }
        Ok(states)
    }

    /// Brings the mailbox's counters and UID map from one flag byte to another.
    fn count_flags(&mut self, account: AccountId, mailbox: MailboxId, uid: Uid, from: u8, to: u8) -> Result<()> {
        let turned = from ^ to;
        let row = self.known_mailbox(account, mailbox)?;
        if turned & flag::SEEN != 0 {
            row.unseen = if to & flag::SEEN != 0 {
                row.unseen.saturating_sub(1)
            } else {
                row.unseen + 1
            };
        }
        if turned & flag::DELETED != 0 {
            row.deleted = if to & flag::DELETED != 0 {
                row.deleted + 1
            } else {
                row.deleted.saturating_sub(1)
            };
        }
        if turned & (flag::SEEN | flag::DELETED) != 0 {
            let chunk = self.chunk(mailbox, uid)?;
            chunk.seen.set(uid % UIDS_PER_CHUNK, to & flag::SEEN != 0);
            chunk.deleted.set(uid % UIDS_PER_CHUNK, to & flag::DELETED != 0);
        }
        Ok(())
    }

    pub(super) fn mark_seen(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[(Uid, Uid)],
    ) -> Applied<Outcome> {
        let flags = FlagSet {
            system: flag::SEEN,
            keywords: Vec::new(),
        };
        self.store_flags(account, mailbox, uids, FlagMode::Add, &flags, None)?;
        Ok(Outcome::None)
    }

    pub(super) fn copy(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[(Uid, Uid)],
        target: &str,
        remove: bool,
    ) -> Applied<Outcome> {
        let target = &*super::mailbox::check_name(target)?;
        self.require_mailbox(account, mailbox)?;
        let Some(target_id) = self.mailbox_named(account, target)? else {
            return reject(StoreError::NotFound(target.to_owned()));
        };
        let rows = self.messages_in(mailbox, uids)?;
        if rows.len() > COPY_MESSAGES_MAX {
            return reject(StoreError::Refused(format!(
                "at most {COPY_MESSAGES_MAX} messages are copied at once"
            )));
        }
        self.require_uids(account, target_id, rows.len())?;
        if !remove {
            let mut more = Amount::default();
            for (_, record) in &rows {
                more.add(Amount::one(record.size));
            }
            self.require_room(account, more)?;
        }
        let pairs = self.copy_rows(account, target_id, &rows, remove)?;
        if remove {
            self.remove_rows(account, mailbox, &rows, false)?;
        }
        let uid_validity = self.known_mailbox(account, target_id)?.uid_validity;
        Ok(Outcome::Copied(Copied {
            uid_validity,
            mailbox: target_id,
            uids: pairs,
        }))
    }

    /// Adds copies of rows to a mailbox. When the originals go (`moved`), their references pass to the copies.
    pub(super) fn copy_rows(
        &mut self,
        account: AccountId,
        target: MailboxId,
        rows: &[(Uid, MessageRecord)],
        moved: bool,
    ) -> Result<Vec<(Uid, Uid)>> {
        let mut pairs = Vec::with_capacity(rows.len());
        for (uid, record) in rows {
            if !moved {
                self.keep_blob(record.blob, 1)?;
                self.keep_blob(record.prefix, 1)?;
            }
            let copy = MessageRecord {
                saved: self.seconds(),
                ..*record
            };
            pairs.push((*uid, self.add_message(account, target, copy)?.uid));
        }
        Ok(pairs)
    }

    /// Removes rows of a mailbox; `release` gives their references back.
    pub(super) fn remove_rows(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        rows: &[(Uid, MessageRecord)],
        release: bool,
    ) -> Result<()> {
        let name = match self.retention {
            0 => String::new(),
            _ => self.known_mailbox(account, mailbox)?.name.clone(),
        };
        let mut less = Amount::default();
        for (uid, record) in rows {
            less.add(Amount::one(record.size));
            self.tables
                .messages
                .delete(&mut self.txn, &keys::message(mailbox, *uid))?;
            let position = uid % UIDS_PER_CHUNK;
            let chunk = self.chunk(mailbox, *uid)?;
            chunk.present.set(position, false);
            chunk.seen.set(position, false);
            chunk.deleted.set(position, false);
            let row = self.known_mailbox(account, mailbox)?;
            row.messages = row.messages.saturating_sub(1);
            row.size = row.size.saturating_sub(u64::from(record.size));
            if record.flags & flag::SEEN == 0 {
                row.unseen = row.unseen.saturating_sub(1);
            }
            if record.flags & flag::DELETED != 0 {
                row.deleted = row.deleted.saturating_sub(1);
            }
            if release {
                self.retain_or_release(account, mailbox, *uid, record, &name)?;
            }
        }
        self.count_out(account, less)?;
        let gone = ranges(rows.iter().map(|(uid, _)| *uid));
        let at = u64::from(self.seconds());
        self.tell(&Entry::Expunged(
            mailbox,
            gone.clone(),
            release && self.retention > 0,
            at,
        ));
        for some in gone.chunks(ChangeRecord::RANGES_MAX) {
            let modseq = self.change(account, ChangeKind::Expunged, mailbox, some.to_vec())?;
            self.known_mailbox(account, mailbox)?.highest_modseq = modseq;
        }
        Ok(())
    }

    pub(super) fn expunge(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: Option<&[(Uid, Uid)]>,
    ) -> Applied<Outcome> {
        self.require_mailbox(account, mailbox)?;
        let row = self.known_mailbox(account, mailbox)?;
        if row.deleted == 0 {
            return Ok(Outcome::Count(0));
        }
        let everything = [(1, row.uid_next)];
        let wanted = self.deleted_among(mailbox, uids.unwrap_or(&everything), everything[0].1)?;
        self.expunge_found(account, mailbox, &wanted)
    }

    /// UIDs with \Deleted in the ranges, as ranges, from the UID map; at most one step and one.
    fn deleted_among(&mut self, mailbox: MailboxId, uids: &[(Uid, Uid)], uid_next: Uid) -> Result<Vec<(Uid, Uid)>> {
        let mut found = Vec::new();
        for &(first, last) in uids {
            let last = last.min(uid_next);
            for number in self.chunks_between(mailbox, first, last)? {
                if found.len() > EXPUNGE_STEP {
                    break;
                }
                let base = number * UIDS_PER_CHUNK;
                let set = self.chunk(mailbox, base)?.deleted;
                found.extend(
                    set.iter()
                        .map(|position| base + position)
                        .filter(|uid| (first..=last).contains(uid)),
                );
            }
        }
        Ok(ranges(found))
    }

    /// The rows of the UID map that there are for these UIDs, ascending. Imported UIDs may leave gaps of millions of rows.
    fn chunks_between(&self, mailbox: MailboxId, first: Uid, last: Uid) -> Result<BTreeSet<u32>> {
        let (from, until) = (first / UIDS_PER_CHUNK, last / UIDS_PER_CHUNK);
        let mut numbers = BTreeSet::new();
        if first > last {
            return Ok(numbers);
        }
        let (low, high) = (keys::uid_chunk(mailbox, from), keys::uid_chunk(mailbox, until));
        let bounds = (
            std::ops::Bound::Included(&low[..]),
            std::ops::Bound::Included(&high[..]),
        );
        for row in self.tables.uidmap.range(&self.txn, &bounds)? {
            numbers.insert(keys::u32_at(row?.0, 4).ok_or_else(|| damaged("uidmap", mailbox))?);
        }
        // Those made by this very batch have no row yet.
        let open = self.chunks.keys().filter(|(of, _)| *of == mailbox);
        numbers.extend(
            open.map(|&(_, number)| number)
                .filter(|number| (from..=until).contains(number)),
        );
        Ok(numbers)
    }

    pub(super) fn expunge_uids(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uids: &[(Uid, Uid)],
    ) -> Applied<Outcome> {
        self.require_mailbox(account, mailbox)?;
        self.expunge_found(account, mailbox, uids)
    }

    fn expunge_found(&mut self, account: AccountId, mailbox: MailboxId, uids: &[(Uid, Uid)]) -> Applied<Outcome> {
        // One more than a step tells that there is more: of a huge mailbox no step reads all that is left.
        let mut rows = self.first_messages_in(mailbox, uids, EXPUNGE_STEP + 1)?;
        if rows.len() > EXPUNGE_STEP {
            rows.truncate(EXPUNGE_STEP);
            self.again = true;
        }
        self.remove_rows(account, mailbox, &rows, true)?;
        Ok(Outcome::Count(rows.len() as u64))
    }
}
