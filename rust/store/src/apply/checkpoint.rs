//! A checkpoint tells the journal everything that the index holds, in bounded steps: after a migration from a format
//! without a journal, and when the journal is found to be incomplete.
//!
//! `meta["checkpoint"]` holds the phase and the key behind which the next step begins; it is absent when none is due.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::{Applied, Batch};
use crate::db::keys::{self, behind};
use crate::db::records::{MessageRecord, NameRecord};
use crate::db::tables::damaged;
use crate::error::Result;
use crate::ids::{AccountId, PackId, WriterId};
use crate::journal::Entry;

/// Key of `meta`.
pub(crate) const CHECKPOINT: &[u8] = b"checkpoint";
/// Key of `meta`: no writer with this number or a greater one had been when the checkpoint fell due, and all below had ended.
pub(crate) const CHECKPOINT_WRITERS: &[u8] = b"checkpoint writers";
/// Accounts of one step.
const STEP_ACCOUNTS: usize = 100;
/// Messages of one step.
const STEP_MESSAGES: usize = 2000;
/// Queue items of one step.
const STEP_ITEMS: usize = 200;

impl Batch<'_, '_> {
    /// One step, if a checkpoint is due.
    pub(super) fn checkpoint_step(&mut self) -> Applied<()> {
        let (phase, after) = match self.tables.meta.get(&self.txn, CHECKPOINT)? {
            None => return Ok(()),
            Some([phase, after @ ..]) => (*phase, after.to_vec()),
            Some([]) => (0, Vec::new()),
        };
        let next = match phase {
            0 => self.checkpoint_accounts(&after)?,
            1 => self.checkpoint_messages(&after)?,
            2 => self.checkpoint_queue(&after)?,
            _ => return self.checkpoint_end(),
        };
        let mut row = vec![if next.is_some() { phase } else { phase + 1 }];
        row.extend(next.unwrap_or_default());
        self.tables.meta.put(&mut self.txn, CHECKPOINT, &row)?;
        self.purge = true;
        Ok(())
    }

    /// Everything has been told. Of the writers that had ended before the checkpoint began nothing is missing; but other
    /// processes may have taken steps whose journal is in no pack yet, and then the end waits for a later purge.
    fn checkpoint_end(&mut self) -> Applied<()> {
        for row in self.tables.journal.iter(&self.txn)? {
            if keys::u32_at(row?.0, 0) != Some(self.writer) {
                return Ok(());
            }
        }
        let before = self.tables.meta.get(&self.txn, CHECKPOINT_WRITERS)?;
        let before = before.and_then(|row| row.try_into().ok()).map_or(0, u32::from_le_bytes);
        let mut ended: BTreeSet<WriterId> = BTreeSet::new();
        for row in self.tables.packs.iter(&self.txn)? {
            let pack = keys::u64_at(row?.0, 0).map(PackId);
            ended.extend(pack.map(PackId::writer).filter(|&writer| writer < before));
        }
        ended.into_iter().for_each(|writer| self.tell_ended(writer));
        self.tables.meta.delete(&mut self.txn, CHECKPOINT_WRITERS)?;
        self.tables.meta.delete(&mut self.txn, CHECKPOINT)?;
        Ok(())
    }

    /// Accounts with their keywords, names and mailboxes.
    fn checkpoint_accounts(&mut self, after: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut found: Vec<AccountId> = Vec::new();
        let bounds = (behind(after), Bound::Unbounded);
        for row in self.tables.accounts.range(&self.txn, &bounds)?.take(STEP_ACCOUNTS) {
            found.push(keys::u32_at(row?.0, 0).ok_or_else(|| damaged("accounts", "key"))?);
        }
        for &account in &found {
            self.tell_account(account);
            for (number, keyword) in self.tables.account_keywords(&self.txn, account)? {
                let keyword = String::from_utf8_lossy(&keyword).into_owned();
                self.tell(&Entry::Keyword(account, number, keyword));
            }
            let mut names = Vec::new();
            for row in self.tables.names.prefix_iter(&self.txn, &keys::account(account))? {
                names.push(NameRecord::decode(row?.1).ok_or_else(|| damaged("names", account))?);
            }
            for row in names {
                self.tell_name(account, &row.name);
                if row.mailbox != 0 {
                    self.tell_mailbox(account, row.mailbox);
                }
            }
        }
        let last = found.last().filter(|_| found.len() == STEP_ACCOUNTS);
        Ok(last.map(|&account| keys::account(account).to_vec()))
    }

    fn checkpoint_messages(&mut self, after: &[u8]) -> Result<Option<Vec<u8>>> {
        let bounds = (behind(after), Bound::Unbounded);
        let mut found = Vec::new();
        for row in self.tables.messages.range(&self.txn, &bounds)?.take(STEP_MESSAGES) {
            let (key, value) = row?;
            let record = MessageRecord::decode(value).ok_or_else(|| damaged("messages", format!("{key:?}")))?;
            found.push((key.to_vec(), record));
        }
        for (key, record) in &found {
            let numbers = keys::u32_at(key, 0).zip(keys::u32_at(key, 4));
            let (mailbox, uid) = numbers.ok_or_else(|| damaged("messages", "key"))?;
            self.tell_message(mailbox, uid, record)?;
        }
        let last = found.last().filter(|_| found.len() == STEP_MESSAGES);
        Ok(last.map(|(key, _)| key.clone()))
    }

    fn checkpoint_queue(&mut self, after: &[u8]) -> Result<Option<Vec<u8>>> {
        let bounds = (behind(after), Bound::Unbounded);
        let mut found = Vec::new();
        for row in self.tables.queue.range(&self.txn, &bounds)? {
            let (key, _) = row?;
            if key.get(8..) == Some(&[0, 0][..]) {
                found.extend(keys::u64_at(key, 0));
                if found.len() == STEP_ITEMS {
                    break;
                }
            }
        }
        for &id in &found {
            if let Some(record) = self.tables.queue_item(&self.txn, id)? {
                let state = record.state.clone();
                self.tell_queued(id, &record, &state)?;
            }
        }
        let last = found.last().filter(|_| found.len() == STEP_ITEMS);
        Ok(last.map(|&id| keys::queue(id, u16::MAX).to_vec()))
    }
}
