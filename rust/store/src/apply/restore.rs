//! Messages out of a backup or an export: as they were, with trace headers and body apart, so that bodies stay shared
//! and a second restore knows them again.

use super::mailbox::check_name;
use super::{Applied, Batch, OpenAccount, reject};
use crate::db::keys;
use crate::db::records::{MessageRecord, RetainedRecord, flag};
use crate::error::StoreError;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::journal::Entry;
use crate::ops::{Outcome, Restore};
use crate::prepare::Prepared;

impl Batch<'_, '_> {
    /// As an account begins that brings its mailboxes along. Its usual ones would be too many, and would take numbers
    /// that the others had.
    pub(super) fn adopt_account(&mut self, account: AccountId) -> Applied<Outcome> {
        if !self.account_exists(account)? {
            self.accounts.insert(account, OpenAccount::default());
            self.new_mailbox(account, "INBOX", "", true)?;
        }
        Ok(Outcome::None)
    }

    /// Limits of quotas do not count: what was taken before is taken back.
    pub(super) fn restore(&mut self, restore: &Restore, prepared: &Prepared) -> Applied<Outcome> {
        let account = restore.account;
        let name = &*check_name(&restore.mailbox)?;
        self.require_account(account)?;
        let mailbox = self.mailbox_named(account, name)?;
        let shared = match (&prepared.body, restore.body) {
            (Some(_), _) => None,
            (None, Some(blob)) => match self.tables.blob(&self.txn, blob)? {
                Some(row) => Some((blob, row.raw_len)),
                None => return reject(StoreError::NotFound(format!("blob {blob}"))),
            },
            (None, None) => return reject(StoreError::Refused("there is no message to restore".to_owned())),
        };
        let (uid, retained) = match (restore.expunged, mailbox) {
            (None, None) => return reject(StoreError::NotFound(name.to_owned())),
            (None, Some(mailbox)) => (self.restored_uid(restore, mailbox)?, None),
            (Some(expunged), mailbox) => {
                let uid = restore.uid.unwrap_or_default();
                let key = keys::retained(account, expunged, mailbox.unwrap_or_default(), uid);
                if self.tables.retained.get(&self.txn, &key)?.is_some() {
                    return reject(StoreError::AlreadyExists(format!("retained message {uid} of {name}")));
                }
                (uid, Some(key))
            }
        };
        let plan = self.plan_keywords(account, &restore.flags.keywords)?;
        // Nothing below rejects.
        let keywords = self.make_keywords(account, &plan)?;
        let (blob, body_len) = match (shared, &prepared.body) {
            (Some((blob, length)), _) => {
                self.keep_blob(blob, 1)?;
                (blob, length)
            }
            (None, Some(body)) => (self.new_blob(body, 1)?, body.raw_len),
            (None, None) => return reject(StoreError::Refused("there is no message to restore".to_owned())),
        };
        let (prefix, prefix_len) = match prepared.prefixes.first() {
            Some(prefix) => (self.new_blob(prefix, 1)?, prefix.raw_len),
            None => (0, 0),
        };
        let record = MessageRecord {
            flags: restore.flags.system & flag::ALL,
            internal_zone: restore.internal_zone,
            blob,
            prefix,
            keywords,
            internal_date: restore.internal_date,
            size: body_len.saturating_add(prefix_len),
            prefix_len,
            saved: if restore.saved == 0 {
                self.seconds()
            } else {
                restore.saved
            },
            ..MessageRecord::default()
        };
        match (retained, mailbox) {
            (Some(key), _) => {
                let row = RetainedRecord {
                    message: record,
                    name: name.to_owned(),
                };
                self.tables.retained.put(&mut self.txn, &key, &row.encode())?;
                self.tell_restored_retained(mailbox.unwrap_or_default(), restore, &record)?;
            }
            (None, Some(mailbox)) => {
                self.known_mailbox(account, mailbox)?.uid_next = uid;
                self.add_message(account, mailbox, record)?;
            }
            (None, None) => return reject(StoreError::NotFound(name.to_owned())),
        }
        Ok(Outcome::Restored(blob))
    }

    /// Tells the journal of a message that is retained only. Where its mailbox is gone, or the UID names another message
    /// now, only that its body is nothing to be found: no mailbox has the number 0.
    fn tell_restored_retained(&mut self, mailbox: MailboxId, restore: &Restore, record: &MessageRecord) -> Applied<()> {
        let uid = restore.uid.unwrap_or_default();
        let is_taken = self.tables.message(&self.txn, mailbox, uid)?.is_some();
        let mailbox = if is_taken { 0 } else { mailbox };
        self.tell_message(mailbox, uid, record)?;
        let at = restore.expunged.unwrap_or_default();
        self.tell(&Entry::Expunged(mailbox, vec![(uid, uid)], true, at));
        Ok(())
    }

    /// The UID that it had while that is still to be given, else the next one: mail may have come meanwhile.
    fn restored_uid(&mut self, restore: &Restore, mailbox: MailboxId) -> Applied<Uid> {
        let next = self.known_mailbox(restore.account, mailbox)?.uid_next;
        if next == Uid::MAX {
            return reject(StoreError::Refused("no UIDs are left in this mailbox".to_owned()));
        }
        Ok(restore.uid.filter(|&uid| uid >= next && uid < Uid::MAX).unwrap_or(next))
    }
}
