//! Purging in bounded steps: messages of deleted mailboxes, rows of removed accounts, files of dead packs.

use heed::RoTxn;

use super::{Applied, ApplyError, Batch};
use crate::db::keys;
use crate::db::records::{AccountRecord, DoomedRecord, MessageRecord};
use crate::db::tables::{Tables, damaged};
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, PackId};
use crate::ops::Outcome;

/// Rows that one step removes, about.
const STEP_ROWS: usize = 2000;
/// Pack files that one step unlinks.
const STEP_PACKS: usize = 64;

/// The packs to unlink in the next step.
pub(crate) fn doomed_packs(tables: &Tables, txn: &RoTxn<'_>) -> Result<Vec<PackId>> {
    let mut packs = Vec::new();
    for row in tables.doomed.prefix_iter(txn, b"p")?.take(STEP_PACKS) {
        packs.extend(keys::u64_at(row?.0, 1).map(PackId));
    }
    Ok(packs)
}

impl Batch<'_, '_> {
    /// One step; `purged` are packs whose files have been unlinked and whose folders have been synced.
    pub(super) fn purge_step(&mut self, purged: &[PackId]) -> Applied<Outcome> {
        for pack in purged {
            self.tables.doomed.delete(&mut self.txn, &keys::doomed_pack(*pack))?;
        }
        self.checkpoint_step()?;
        let mut left = STEP_ROWS;
        while left > 0 {
            let Some(mailbox) = self.first_doomed(b"m")? else { break };
            left = self.purge_mailbox(mailbox, left)?;
        }
        if left > 0
            && let Some(account) = self.first_doomed(b"a")?
        {
            self.purge_account(account, left)?;
        }
        let waiting = self.tables.doomed.len(&self.txn)?;
        // Pinned packs wait for their lease; asking for steps meanwhile would only spin.
        let pinned = self.tables.leased(&self.txn, super::PIN, self.now)?;
        self.purge |=
            waiting > 0 && (!pinned || self.first_doomed(b"m")?.is_some() || self.first_doomed(b"a")?.is_some());
        Ok(Outcome::Count(waiting))
    }

    fn first_doomed(&self, tag: &[u8]) -> Result<Option<u32>> {
        match self.tables.doomed.prefix_iter(&self.txn, tag)?.next() {
            None => Ok(None),
            Some(row) => {
                let (key, value) = row?;
                let number = keys::u32_at(key, 1).filter(|_| DoomedRecord::decode(value).is_some());
                number
                    .map(Some)
                    .ok_or_else(|| damaged("doomed", String::from_utf8_lossy(tag)))
            }
        }
    }

    /// Removes messages of a mailbox that has no name any more; how many rows the step may still take.
    fn purge_mailbox(&mut self, mailbox: MailboxId, step: usize) -> Result<usize> {
        let mut rows = Vec::new();
        for row in self
            .tables
            .messages
            .prefix_iter(&self.txn, &mailbox.to_be_bytes())?
            .take(step)
        {
            let (key, value) = row?;
            // One that is damaged goes too, or nothing would ever go again: the mailbox has no name any more. The blobs
            // that it named keep a reference too many, which the check tells.
            rows.push((key.to_vec(), MessageRecord::decode(value)));
        }
        let doomed = self.tables.doomed.get(&self.txn, &keys::doomed_mailbox(mailbox))?;
        let doomed = doomed
            .and_then(DoomedRecord::decode)
            .ok_or_else(|| damaged("doomed", mailbox))?;
        for (key, record) in &rows {
            self.tables.messages.delete(&mut self.txn, key)?;
            let uid = keys::u32_at(key, 4).ok_or_else(|| damaged("messages", mailbox))?;
            if let Some(record) = record {
                self.retain_or_release(doomed.account, mailbox, uid, record, &doomed.name)?;
            }
        }
        if rows.len() < step {
            self.chunks.retain(|(of, _), _| *of != mailbox);
            let mut maps = Vec::new();
            for row in self.tables.uidmap.prefix_iter(&self.txn, &mailbox.to_be_bytes())? {
                maps.push(row?.0.to_vec());
            }
            for key in maps {
                self.tables.uidmap.delete(&mut self.txn, &key)?;
            }
            self.tables
                .doomed
                .delete(&mut self.txn, &keys::doomed_mailbox(mailbox))?;
        }
        Ok(step - rows.len())
    }

    /// Removes rows of an account that is being removed and has no mailboxes left.
    fn purge_account(&mut self, account: AccountId, step: usize) -> Result<()> {
        let prefix = keys::account(account);
        let mut old = Vec::new();
        for row in self.tables.changes.prefix_iter(&self.txn, &prefix)?.take(step) {
            old.push(row?.0.to_vec());
        }
        for key in &old {
            self.tables.changes.delete(&mut self.txn, key)?;
        }
        if old.len() == step {
            return Ok(());
        }
        self.purge_retained(account, u64::MAX).map_err(|error| match error {
            ApplyError::Rejected(error) | ApplyError::Broken(error) => error,
        })?;
        if std::mem::take(&mut self.again) {
            return Ok(());
        }
        for number in 0..super::account::KEYWORDS_MAX as u8 {
            self.tables
                .keywords
                .delete(&mut self.txn, &keys::keyword(account, number))?;
        }
        // The row stays as a tombstone: a delivery that was on its way must not make the account anew. Account numbers
        // are never reused, so nobody misses it.
        self.accounts.remove(&account);
        let tombstone = AccountRecord {
            removing: true,
            ..AccountRecord::default()
        };
        self.tables.accounts.put(&mut self.txn, &prefix, &tombstone.encode())?;
        self.tables
            .doomed
            .delete(&mut self.txn, &keys::doomed_account(account))?;
        Ok(())
    }
}
