//! Quotas: what accounts and their groups hold, exact in every transaction, and what they may hold.

use super::{Applied, Batch, reject};
use crate::db::records::GroupRecord;
use crate::error::{Result, StoreError};
use crate::ids::AccountId;
use crate::ops::Outcome;

/// Messages and octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) messages: u64,
    pub(super) octets: u64,
}

impl Amount {
    pub(super) fn one(octets: u32) -> Self {
        Self {
            messages: 1,
            octets: u64::from(octets),
        }
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self {
            messages: self.messages.saturating_sub(other.messages),
            octets: self.octets.saturating_sub(other.octets),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.octets = self.octets.saturating_add(other.octets);
    }
}

/// Why `more` does not fit, if it does not; `who` is told to the peer.
fn excess(used: Amount, more: Amount, limit: Amount, who: &str) -> Option<String> {
    let over = |used: u64, more: u64, limit: u64| limit != 0 && more > 0 && used.saturating_add(more) > limit;
    if over(used.octets, more.octets, limit.octets) {
        return Some(format!("{who} may hold {} octets", limit.octets));
    }
    if over(used.messages, more.messages, limit.messages) {
        return Some(format!("{who} may hold {} messages", limit.messages));
    }
    None
}

impl Batch<'_, '_> {
    /// The group's row.
    pub(super) fn group(&mut self, name: &str) -> Result<&mut GroupRecord> {
        if !self.groups.contains_key(name) {
            let record = self.tables.group(&self.txn, name)?;
            self.groups.insert(name.to_owned(), record);
        }
        self.groups
            .get_mut(name)
            .ok_or_else(|| StoreError::Corrupt(format!("group {name}")))
    }

    /// More is held.
    pub(super) fn count_in(&mut self, account: AccountId, more: Amount) -> Result<()> {
        let record = &mut self.account(account)?.record;
        record.messages = record.messages.saturating_add(more.messages);
        record.octets = record.octets.saturating_add(more.octets);
        let group = record.group.clone();
        if !group.is_empty() {
            let record = self.group(&group)?;
            record.messages = record.messages.saturating_add(more.messages);
            record.octets = record.octets.saturating_add(more.octets);
        }
        Ok(())
    }

    /// Less is held.
    pub(super) fn count_out(&mut self, account: AccountId, less: Amount) -> Result<()> {
        let record = &mut self.account(account)?.record;
        record.messages = record.messages.saturating_sub(less.messages);
        record.octets = record.octets.saturating_sub(less.octets);
        let group = record.group.clone();
        if !group.is_empty() {
            let record = self.group(&group)?;
            record.messages = record.messages.saturating_sub(less.messages);
            record.octets = record.octets.saturating_sub(less.octets);
        }
        Ok(())
    }

    /// Why an account, and with it its group, has no room for `more`, if so. `pending` is what the same operation is
    /// about to add to the group by other accounts. An unknown account has no limits.
    pub(super) fn excess(&mut self, account: AccountId, more: Amount, pending: Amount) -> Applied<Option<String>> {
        if !self.account_exists(account)? {
            return Ok(None);
        }
        let record = &self.account(account)?.record;
        let used = Amount {
            messages: record.messages,
            octets: record.octets,
        };
        let limit = Amount {
            messages: record.limit_messages,
            octets: record.limit_octets,
        };
        let group = record.group.clone();
        if let Some(why) = excess(used, more, limit, "the account") {
            return Ok(Some(why));
        }
        if group.is_empty() {
            return Ok(None);
        }
        let record = self.group(&group)?;
        let mut used = Amount {
            messages: record.messages,
            octets: record.octets,
        };
        used.add(pending);
        let limit = Amount {
            messages: record.limit_messages,
            octets: record.limit_octets,
        };
        Ok(excess(used, more, limit, &format!("all accounts of {group} together")))
    }

    /// Rejects when there is no room.
    pub(super) fn require_room(&mut self, account: AccountId, more: Amount) -> Applied<()> {
        match self.excess(account, more, Amount::default())? {
            Some(why) => reject(StoreError::OverQuota(why)),
            None => Ok(()),
        }
    }

    pub(super) fn set_quota(
        &mut self,
        account: AccountId,
        group: Option<&str>,
        messages: Option<u64>,
        octets: Option<u64>,
    ) -> Applied<Outcome> {
        if let Some(name) = group {
            check_group(name, true)?;
        }
        self.ensure_account(account)?;
        let record = &mut self.account(account)?.record;
        record.limit_messages = messages.unwrap_or(record.limit_messages);
        record.limit_octets = octets.unwrap_or(record.limit_octets);
        let held = Amount {
            messages: record.messages,
            octets: record.octets,
        };
        if let Some(name) = group.filter(|name| *name != record.group) {
            // Leaves the old group with all that it holds and enters the new one.
            self.count_out(account, held)?;
            self.account(account)?.record.group = name.to_owned();
            let record = &mut self.account(account)?.record;
            (record.messages, record.octets) = (0, 0);
            self.count_in(account, held)?;
        }
        self.tell_account(account);
        Ok(Outcome::None)
    }

    pub(super) fn set_group_quota(
        &mut self,
        group: &str,
        messages: Option<u64>,
        octets: Option<u64>,
    ) -> Applied<Outcome> {
        check_group(group, false)?;
        let record = self.group(group)?;
        record.limit_messages = messages.unwrap_or(record.limit_messages);
        record.limit_octets = octets.unwrap_or(record.limit_octets);
        self.tell_group(group);
        Ok(Outcome::None)
    }
}

fn check_group(name: &str, may_be_empty: bool) -> Applied<()> {
    if (name.is_empty() && !may_be_empty) || name.len() > GroupRecord::NAME_OCTETS_MAX {
        return reject(StoreError::Refused(
            "a quota group's name has 1 to 255 octets".to_owned(),
        ));
    }
    Ok(())
}
