//! Second chances: what was expunged is retained for a time, can be put back, and is let go in the end.

use super::mailbox::check_name;
use super::quota::Amount;
use super::{Applied, ApplyError, Batch, reject};
use crate::db::keys;
use crate::db::records::{MessageRecord, RetainedRecord, flag};
use crate::db::tables::damaged;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::journal::Entry;
use crate::ops::{Outcome, RetainedChoice};

/// Messages that one transaction recovers, expires or lets go; what is left follows in the next.
const STEP_MESSAGES: usize = 2000;
/// Rows that one step looks at for those that are meant.
const STEP_LOOKS: usize = 100_000;
/// Where a message goes whose mailbox's name is unknown.
const NAMELESS: &str = "Recovered";

/// A row of `retained` with its key taken apart.
struct Found {
    key: Vec<u8>,
    record: RetainedRecord,
}

impl Batch<'_, '_> {
    /// Keeps an expunged message of the mailbox `name`, and its references to blobs; without a name gives the
    /// references back.
    pub(super) fn retain_or_release(
        &mut self,
        account: AccountId,
        mailbox: MailboxId,
        uid: Uid,
        record: &MessageRecord,
        name: &str,
    ) -> Result<()> {
        if name.is_empty() {
            self.release_blob(record.blob)?;
            return self.release_blob(record.prefix);
        }
        let row = RetainedRecord {
            message: *record,
            name: name.to_owned(),
        };
        let key = keys::retained(account, self.now / 1_000_000, mailbox, uid);
        self.tables.retained.put(&mut self.txn, &key, &row.encode())?;
        Ok(())
    }

    /// Lets go of messages of an account that were expunged before a time (Unix seconds), a step of them.
    pub(super) fn purge_retained(&mut self, account: AccountId, before: u64) -> Applied<Outcome> {
        let first = keys::retained(account, 0, 0, 0);
        let last = keys::retained(account, before, 0, 0);
        let bounds = (
            std::ops::Bound::Included(&first[..]),
            std::ops::Bound::Excluded(&last[..]),
        );
        let mut found = Vec::new();
        if first < last {
            for row in self.tables.retained.range(&self.txn, &bounds)?.take(STEP_MESSAGES) {
                found.push(decode(row?)?);
            }
        }
        self.again = found.len() == STEP_MESSAGES;
        for row in &found {
            self.tables.retained.delete(&mut self.txn, &row.key)?;
            self.tell_let_go(&row.key)?;
            self.release_blob(row.record.message.blob)?;
            self.release_blob(row.record.message.prefix)?;
        }
        Ok(Outcome::Count(found.len() as u64))
    }

    /// Puts retained messages back, a step of them, the oldest first.
    pub(super) fn recover(
        &mut self,
        account: AccountId,
        choice: &RetainedChoice,
        into: Option<&str>,
    ) -> Applied<Outcome> {
        self.require_account(account)?;
        let into = into.map(check_name).transpose()?;
        let wanted = choice.mailbox.as_deref().map(check_name).transpose()?;
        let found = self.retained_rows(account, choice, wanted.as_deref())?;
        let mut more = Amount::default();
        for row in &found {
            more.add(Amount::one(row.record.message.size));
        }
        self.require_room(account, more)?;
        // A refusal from here on comes in the middle of the writing: the transaction has to go.
        self.recover_found(account, &found, into.as_deref())
            .map_err(|error| match error {
                ApplyError::Rejected(error) | ApplyError::Broken(error) => ApplyError::Broken(error),
            })?;
        Ok(Outcome::Count(found.len() as u64))
    }

    fn retained_rows(
        &mut self,
        account: AccountId,
        choice: &RetainedChoice,
        wanted: Option<&str>,
    ) -> Result<Vec<Found>> {
        let (first, last) = (
            keys::retained(account, choice.since, 0, 0),
            keys::retained(account, u64::MAX, u32::MAX, u32::MAX),
        );
        let bounds = (
            std::ops::Bound::Included(&first[..]),
            std::ops::Bound::Included(&last[..]),
        );
        let mut found = Vec::new();
        for row in self.tables.retained.range(&self.txn, &bounds)? {
            let row = decode(row?)?;
            let uid = keys::u32_at(&row.key, 16).unwrap_or(0);
            let of_mailbox = wanted.is_none_or(|name| name == row.record.name);
            let of_uids =
                choice.uids.is_empty() || choice.uids.iter().any(|(first, last)| (*first..=*last).contains(&uid));
            if of_mailbox && of_uids {
                if found.len() == STEP_MESSAGES {
                    self.again = true;
                    break;
                }
                found.push(row);
            }
        }
        Ok(found)
    }

    fn recover_found(&mut self, account: AccountId, found: &[Found], into: Option<&str>) -> Applied<()> {
        for row in found {
            let name = into.unwrap_or(match row.record.name.as_str() {
                "" => NAMELESS,
                name => name,
            });
            let mailbox = match self.mailbox_named(account, name)? {
                Some(mailbox) => mailbox,
                None => self.create_with_superiors(account, name, "", true)?,
            };
            let mut record = row.record.message;
            record.flags &= !flag::DELETED;
            record.saved = self.seconds();
            self.tables.retained.delete(&mut self.txn, &row.key)?;
            self.tell_let_go(&row.key)?;
            self.add_message(account, mailbox, record)?;
        }
        Ok(())
    }

    /// Tells that a message is retained no more. What a restore has put here may have the numbers of another message, which
    /// lives.
    fn tell_let_go(&mut self, key: &[u8]) -> Result<()> {
        let numbers = keys::u32_at(key, 12).zip(keys::u32_at(key, 16));
        let (mailbox, uid) = numbers.ok_or_else(|| damaged("retained", format!("{key:?}")))?;
        if self.tables.message(&self.txn, mailbox, uid)?.is_none() {
            let at = u64::from(self.seconds());
            self.tell(&Entry::Expunged(mailbox, vec![(uid, uid)], false, at));
        }
        Ok(())
    }

    /// Expunges messages that came into the mailbox before a time (Unix seconds), a step of them.
    pub(super) fn expire(&mut self, account: AccountId, mailbox: MailboxId, before: u32) -> Applied<Outcome> {
        self.require_account(account)?;
        if self.mailbox(account, mailbox)?.is_none() {
            return reject(StoreError::NotFound(format!("mailbox {mailbox}")));
        }
        let mut rows = Vec::new();
        for (looked_at, row) in self
            .tables
            .messages
            .prefix_iter(&self.txn, &mailbox.to_be_bytes())?
            .enumerate()
        {
            let (key, value) = row?;
            let uid = keys::u32_at(key, 4).ok_or_else(|| damaged("messages", mailbox))?;
            let record = MessageRecord::decode(value).ok_or_else(|| damaged("messages", format!("{mailbox}:{uid}")))?;
            if record.saved < before {
                if rows.len() == STEP_MESSAGES {
                    self.again = true;
                    break;
                }
                rows.push((uid, record));
            } else if looked_at >= STEP_LOOKS {
                // Later UIDs were saved later, but for imported ones, which the next day's pass reaches.
                break;
            }
        }
        self.remove_rows(account, mailbox, &rows, true)?;
        Ok(Outcome::Count(rows.len() as u64))
    }
}

fn decode(row: (&[u8], &[u8])) -> Result<Found> {
    let (key, value) = row;
    let record = RetainedRecord::decode(value).ok_or_else(|| damaged("retained", format!("{key:?}")))?;
    Ok(Found {
        key: key.to_vec(),
        record,
    })
}
