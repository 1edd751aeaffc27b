//! What an export holds beside mailboxes and their messages: names, quota groups, retained messages, the queue.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use super::{Export, Parts, STEP_ROWS, rows};
use crate::db::keys;
use crate::db::records::{GroupRecord, MailboxRecord, NameRecord, QueueRecord, RetainedRecord};
use crate::db::tables::damaged;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::portable::format::Fields;

impl<W: Write> Export<'_, W> {
    /// Quota groups that have a limit.
    pub(super) fn groups(&mut self) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = rows(
                self.context,
                self.context.tables.groups,
                b"",
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (key, value) in &found {
                let name = String::from_utf8_lossy(key);
                let Some(record) = GroupRecord::decode(value) else {
                    self.damaged(&format!("quota group {name}"), &damaged("groups", &name))?;
                    continue;
                };
                if record.limit_messages + record.limit_octets > 0 {
                    let mut fields = Fields::new();
                    fields
                        .put("Name", &name)
                        .nonzero("Limit-Messages", record.limit_messages)
                        .nonzero("Limit-Octets", record.limit_octets);
                    self.writer.record("group", &fields, b"", b"")?;
                }
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    /// Messages that were expunged and can still be recovered.
    pub(super) fn retained(&mut self, account: AccountId) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            self.progress.go_on()?;
            let prefix = keys::account(account);
            let found = rows(
                self.context,
                self.context.tables.retained,
                &prefix,
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (key, value) in &found {
                let (expunged, uid) = (
                    keys::u64_at(key, 4).unwrap_or_default(),
                    keys::u32_at(key, 16).unwrap_or_default(),
                );
                let outcome = match RetainedRecord::decode(value) {
                    Some(record) => self.retained_message(account, expunged, uid, &record),
                    None => Err(damaged("retained", format!("{account}:{uid}"))),
                };
                self.survive(&format!("retained UID {uid}"), outcome)?;
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn retained_message(
        &mut self,
        account: AccountId,
        expunged: u64,
        uid: Uid,
        record: &RetainedRecord,
    ) -> Result<()> {
        if self.plan.mailbox.as_ref().is_some_and(|name| *name != record.name) {
            return Ok(());
        }
        let mut fields = Fields::new();
        fields
            .number("Account", account)
            .put("Name", &record.name)
            .number("UID", uid)
            .number("Expunged", expunged);
        self.put_message(&mut fields, &record.message);
        let parts = Parts {
            blob: record.message.blob,
            prefix: record.message.prefix,
        };
        match self.content("retained", &mut fields, &parts, None, Vec::new()) {
            // Let go of meanwhile.
            Err(StoreError::NotFound(_)) => Ok(()),
            Ok(_) => {
                self.summary.retained += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn queue(&mut self) -> Result<()> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            self.progress.go_on()?;
            let found = rows(
                self.context,
                self.context.tables.queue,
                b"",
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (key, _) in &found {
                if key.get(8..) == Some(&[0, 0][..])
                    && let Some(id) = keys::u64_at(key, 0)
                {
                    let outcome = self.queue_item(id);
                    self.survive(&format!(": item {id}"), outcome)?;
                }
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn queue_item(&mut self, id: u64) -> Result<()> {
        let item: Option<QueueRecord> = {
            let txn = self.context.begin()?;
            self.context.tables.queue_item(&txn, id)?
        };
        // Delivered or given up meanwhile.
        let Some(item) = item else { return Ok(()) };
        let mut fields = Fields::new();
        fields
            .number("Item", id)
            .number("Due", item.due)
            .number("Created", item.created)
            .number("State-Octets", item.state.len() as u64);
        let parts = Parts {
            blob: item.blob,
            prefix: item.prefix,
        };
        match self.content("queue", &mut fields, &parts, None, item.state) {
            Err(StoreError::NotFound(_)) => Ok(()),
            Ok(_) => {
                self.summary.queue += 1;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Subscribed mailboxes; names that are subscribed alone are written at once.
    pub(super) fn names(&mut self, account: AccountId) -> Result<HashMap<MailboxId, bool>> {
        let mut subscribed = HashMap::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let prefix = keys::account(account);
            let found = rows(
                self.context,
                self.context.tables.names,
                &prefix,
                after.as_deref(),
                STEP_ROWS,
            )?;
            for (_, value) in &found {
                let Some(record) = NameRecord::decode(value) else {
                    self.damaged("a name", &damaged("names", account))?;
                    continue;
                };
                if record.mailbox != 0 {
                    subscribed.insert(record.mailbox, record.subscribed);
                } else if self.plan.mailbox.is_none() {
                    let mut fields = Fields::new();
                    fields.number("Account", account).put("Name", &record.name);
                    self.writer.record("subscription", &fields, b"", b"")?;
                }
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(subscribed),
            }
        }
    }

    /// Messages to come, about.
    pub(super) fn count(&self) -> Result<u64> {
        let wanted: HashSet<AccountId> = self.plan.accounts.iter().map(|account| account.id).collect();
        let mut total = 0;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let found = rows(self.context, self.context.tables.mailboxes, b"", after.as_deref(), 4096)?;
            for (key, value) in &found {
                let is_wanted =
                    self.plan.unknown_accounts || keys::u32_at(key, 0).is_some_and(|account| wanted.contains(&account));
                if let Some(record) = MailboxRecord::decode(value).filter(|_| is_wanted)
                    && self.plan.mailbox.as_ref().is_none_or(|name| *name == record.name)
                {
                    total += u64::from(record.messages);
                }
            }
            match found.last() {
                Some((key, _)) => after = Some(key.clone()),
                None => return Ok(total),
            }
        }
    }
}
