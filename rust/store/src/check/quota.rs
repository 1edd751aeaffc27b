//! What accounts and quota groups hold, and what is retained.

use std::collections::HashMap;

use super::{Check, reference};
use crate::db::keys;
use crate::db::records::{GroupRecord, RetainedRecord};
use crate::error::Result;
use crate::ids::AccountId;

impl Check<'_> {
    /// Retained messages refer to blobs as others do.
    pub(super) fn retained(&mut self) -> Result<()> {
        for row in self.tables.retained.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(account), Some(record)) = (keys::u32_at(key, 0), RetainedRecord::decode(value)) else {
                self.problem(format!("retained row {key:?} is damaged"));
                continue;
            };
            self.require(key.len() == 20 && self.accounts.contains_key(&account), || {
                format!("retained row {key:?} belongs to no account")
            });
            let message = &record.message;
            reference(
                &mut self.bodies,
                message.blob,
                message.size.saturating_sub(message.prefix_len),
            );
            if message.prefix != 0 {
                reference(&mut self.prefixes, message.prefix, message.prefix_len);
            }
        }
        Ok(())
    }

    /// Usage is the sum of the mailboxes, that of a group the sum of its accounts.
    pub(super) fn quotas(&mut self) -> Result<()> {
        let mut held: HashMap<AccountId, (u64, u64)> = HashMap::new();
        for (account, record) in self.mailboxes.values() {
            let sum = held.entry(*account).or_default();
            sum.0 += u64::from(record.messages);
            sum.1 += record.size;
        }
        let mut groups: HashMap<String, (u64, u64)> = HashMap::new();
        let mut wrong = Vec::new();
        for (account, record) in &self.accounts {
            let counted = held.get(account).copied().unwrap_or_default();
            if counted != (record.messages, record.octets) {
                wrong.push(format!(
                    "account {account}: holds {} messages of {} octets, its row says {} of {}",
                    counted.0, counted.1, record.messages, record.octets
                ));
            }
            if !record.group.is_empty() {
                let sum = groups.entry(record.group.clone()).or_default();
                sum.0 += counted.0;
                sum.1 += counted.1;
            }
        }
        for row in self.tables.groups.iter(self.txn)? {
            let (key, value) = row?;
            let name = String::from_utf8_lossy(key).into_owned();
            let Some(record) = GroupRecord::decode(value) else {
                wrong.push(format!("group {name} is damaged"));
                continue;
            };
            let counted = groups.remove(&name).unwrap_or_default();
            if counted != (record.messages, record.octets) {
                wrong.push(format!(
                    "group {name}: holds {} messages of {} octets, its row says {} of {}",
                    counted.0, counted.1, record.messages, record.octets
                ));
            }
        }
        wrong.extend(
            groups
                .keys()
                .map(|name| format!("group {name} has accounts but no row")),
        );
        wrong.into_iter().for_each(|text| self.problem(text));
        Ok(())
    }
}
