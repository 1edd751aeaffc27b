//! The change log: one number per account, one row per change, trimmed at its old end.

use super::{Arrivals, Batch};
use crate::db::keys;
use crate::db::records::{ChangeKind, ChangeRecord};
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};

/// Changes kept for each account: a client that has missed more resyncs in full.
const CHANGES_KEPT: u64 = 65_536;
/// Trimming waits until this many are superfluous, so that it is not done in every transaction.
const TRIM_SLACK: u64 = 1024;
/// Rows trimmed in one transaction at most.
const TRIM_ROWS_MAX: usize = 4096;

impl Batch<'_, '_> {
    /// The next modseq of an account that is open in this batch.
    fn next_modseq(&mut self, account: AccountId) -> Result<ModSeq> {
        let open = self.account(account)?;
        open.record.highest_modseq += 1;
        Ok(open.record.highest_modseq)
    }

    /// Logs a change; `uids` has at most [`ChangeRecord::RANGES_MAX`] ranges.
    pub(super) fn change(
        &mut self,
        account: AccountId,
        kind: ChangeKind,
        mailbox: MailboxId,
        uids: Vec<(Uid, Uid)>,
    ) -> Result<ModSeq> {
        self.flush_arrivals(account)?;
        let modseq = self.next_modseq(account)?;
        let row = ChangeRecord { kind, mailbox, uids }.encode();
        self.tables
            .changes
            .put(&mut self.txn, &keys::change(account, modseq), &row)?;
        let of_list = !matches!(kind, ChangeKind::Added | ChangeKind::Flags | ChangeKind::Expunged);
        self.dirty.insert((account, if of_list { 0 } else { mailbox }));
        if kind == ChangeKind::MailboxDeleted {
            self.dirty.insert((account, mailbox));
        }
        Ok(modseq)
    }

    /// Logs the arrival of one message. Neighbours of one batch share a row and its modseq.
    pub(super) fn arrival(&mut self, account: AccountId, mailbox: MailboxId, uid: Uid) -> Result<ModSeq> {
        let open = self.account(account)?;
        if let Some(arrivals) = &mut open.arrivals
            && arrivals.mailbox == mailbox
            && arrivals.last.checked_add(1) == Some(uid)
        {
            arrivals.last = uid;
            return Ok(arrivals.modseq);
        }
        self.flush_arrivals(account)?;
        let modseq = self.next_modseq(account)?;
        self.account(account)?.arrivals = Some(Arrivals {
            modseq,
            mailbox,
            first: uid,
            last: uid,
        });
        self.dirty.insert((account, mailbox));
        Ok(modseq)
    }

    pub(super) fn flush_arrivals(&mut self, account: AccountId) -> Result<()> {
        let Some(arrivals) = self.accounts.get_mut(&account).and_then(|open| open.arrivals.take()) else {
            return Ok(());
        };
        let row = ChangeRecord {
            kind: ChangeKind::Added,
            mailbox: arrivals.mailbox,
            uids: vec![(arrivals.first, arrivals.last)],
        };
        self.tables
            .changes
            .put(&mut self.txn, &keys::change(account, arrivals.modseq), &row.encode())?;
        Ok(())
    }

    /// Writes the account's row and pending change; trims the log.
    pub(super) fn flush_account(&mut self, account: AccountId) -> Result<()> {
        self.flush_arrivals(account)?;
        let Some(open) = self.accounts.get_mut(&account) else {
            return Ok(());
        };
        let record = &mut open.record;
        let kept_after = record.highest_modseq.saturating_sub(CHANGES_KEPT);
        if kept_after >= record.changes_after + TRIM_SLACK {
            let from = keys::change(account, 0);
            let until = keys::change(account, kept_after);
            let range = (
                std::ops::Bound::Included(&from[..]),
                std::ops::Bound::Included(&until[..]),
            );
            let mut old = Vec::new();
            for row in self.tables.changes.range(&self.txn, &range)?.take(TRIM_ROWS_MAX) {
                if let Some(modseq) = keys::u64_at(row?.0, 4) {
                    old.push(modseq);
                }
            }
            for modseq in &old {
                self.tables
                    .changes
                    .delete(&mut self.txn, &keys::change(account, *modseq))?;
            }
            // Fewer rows than the bound: everything up to `kept_after` has gone.
            record.changes_after = if old.len() < TRIM_ROWS_MAX {
                kept_after
            } else {
                old.last().copied().unwrap_or(kept_after)
            };
        }
        self.tables
            .accounts
            .put(&mut self.txn, &keys::account(account), &record.encode())?;
        Ok(())
    }
}
