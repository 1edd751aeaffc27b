//! Accounts: made by the first operation that names one, removed in bounded steps; their keywords.

use super::{Applied, Batch, OpenAccount, reject};
use crate::db::keys;
use crate::db::records::{AccountRecord, DoomedRecord};
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId};
use crate::journal::Entry;
use crate::ops::Outcome;

/// Mailboxes of a new account, with their special uses (RFC 6154); all are subscribed.
const USUAL_MAILBOXES: [(&str, &str); 6] = [
    ("INBOX", ""),
    ("Sent", "\\Sent"),
    ("Drafts", "\\Drafts"),
    ("Trash", "\\Trash"),
    ("Junk", "\\Junk"),
    ("Archive", "\\Archive"),
];

/// Keywords of an account at most: they are bits of one number in each message's row.
pub(crate) const KEYWORDS_MAX: usize = 64;
/// Octets of a keyword at most.
const KEYWORD_OCTETS_MAX: usize = 128;

/// Keywords of one operation, looked up before it writes.
#[derive(Debug, Default)]
pub(super) struct KeywordPlan {
    /// Bits of all keywords, those to be made included.
    pub(super) bits: u64,
    /// Those to be made.
    missing: Vec<(u8, String)>,
}

impl Batch<'_, '_> {
    /// The account's row, which the operation has made sure of before.
    pub(super) fn account(&mut self, account: AccountId) -> Result<&mut OpenAccount> {
        use std::collections::hash_map::Entry;
        match self.accounts.entry(account) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => match self.tables.account(&self.txn, account)? {
                Some(record) => Ok(entry.insert(OpenAccount { record, arrivals: None })),
                None => Err(StoreError::Corrupt(format!("account {account} has no row"))),
            },
        }
    }

    /// True when the account is there; a rejection when it is being removed.
    pub(super) fn account_exists(&mut self, account: AccountId) -> Applied<bool> {
        let record = match self.accounts.get(&account) {
            Some(open) => Some(open.record.removing),
            None => self.tables.account(&self.txn, account)?.map(|record| record.removing),
        };
        match record {
            Some(true) => reject(StoreError::NotFound(format!("account {account} is being removed"))),
            Some(false) => Ok(true),
            None => Ok(false),
        }
    }

    /// Rejects when there is no such account.
    pub(super) fn require_account(&mut self, account: AccountId) -> Applied<()> {
        if self.account_exists(account)? {
            Ok(())
        } else {
            reject(StoreError::NotFound(format!("account {account}")))
        }
    }

    /// Makes the account with its usual mailboxes if it is unknown.
    pub(super) fn ensure_account(&mut self, account: AccountId) -> Applied<()> {
        if self.account_exists(account)? {
            return Ok(());
        }
        self.accounts.insert(
            account,
            OpenAccount {
                record: AccountRecord::default(),
                arrivals: None,
            },
        );
        self.tell_account(account);
        for (name, special_use) in USUAL_MAILBOXES {
            self.new_mailbox(account, name, special_use, true)?;
        }
        Ok(())
    }

    /// Marks the account, dooms its mailboxes; the rest goes in steps of [`Op::Purge`](crate::ops::Op::Purge).
    pub(super) fn remove_account(&mut self, account: AccountId) -> Applied<Outcome> {
        self.require_account(account)?;
        let mut mailboxes: Vec<MailboxId> = Vec::new();
        for row in self.tables.mailboxes.prefix_iter(&self.txn, &keys::account(account))? {
            mailboxes.extend(keys::u32_at(row?.0, 4));
        }
        // Those made by this very batch have no row yet.
        mailboxes.extend(
            self.mailboxes
                .iter()
                .filter(|(_, open)| open.account == account)
                .map(|(id, _)| *id),
        );
        mailboxes.sort_unstable();
        mailboxes.dedup();
        for mailbox in mailboxes {
            self.doom_mailbox(account, mailbox, false)?;
        }
        let mut names = Vec::new();
        for row in self.tables.names.prefix_iter(&self.txn, &keys::account(account))? {
            names.push(row?.0.to_vec());
        }
        for name in names {
            self.tables.names.delete(&mut self.txn, &name)?;
        }
        let record = &mut self.account(account)?.record;
        record.removing = true;
        record.mailboxes = 0;
        // Its mailboxes have left the quota of its group.
        record.group.clear();
        (record.limit_messages, record.limit_octets) = (0, 0);
        self.tables.doomed.put(
            &mut self.txn,
            &keys::doomed_account(account),
            &DoomedRecord {
                account,
                ..DoomedRecord::default()
            }
            .encode(),
        )?;
        self.purge = true;
        self.tell_account(account);
        self.dirty.insert((account, 0));
        Ok(Outcome::None)
    }

    /// Looks keywords up; a rejection when one is malformed or there is no number left for it.
    ///
    /// `earlier` holds keywords that the same operation will make before.
    pub(super) fn plan_keywords(&mut self, account: AccountId, names: &[String]) -> Applied<KeywordPlan> {
        let mut plan = KeywordPlan::default();
        if names.is_empty() {
            return Ok(plan);
        }
        let mut known = self.tables.account_keywords(&self.txn, account)?;
        for name in names {
            let found = known
                .iter()
                .find(|(_, keyword)| keyword.eq_ignore_ascii_case(name.as_bytes()));
            let number = match found {
                Some((number, _)) => *number,
                None => {
                    check_keyword(name)?;
                    let free = (0..KEYWORDS_MAX as u8).find(|number| known.iter().all(|(taken, _)| taken != number));
                    let Some(number) = free else {
                        return reject(StoreError::Refused(format!(
                            "an account holds at most {KEYWORDS_MAX} different keywords"
                        )));
                    };
                    known.push((number, name.clone().into_bytes()));
                    plan.missing.push((number, name.clone()));
                    number
                }
            };
            plan.bits |= 1 << number;
        }
        Ok(plan)
    }

    /// Makes the keywords that a plan found missing; the bits of all.
    pub(super) fn make_keywords(&mut self, account: AccountId, plan: &KeywordPlan) -> Applied<u64> {
        for (number, name) in &plan.missing {
            self.tables
                .keywords
                .put(&mut self.txn, &keys::keyword(account, *number), name.as_bytes())?;
            self.tell(&Entry::Keyword(account, *number, name.clone()));
        }
        Ok(plan.bits)
    }

    /// The bits of those keywords that the account has.
    pub(super) fn known_keywords(&mut self, account: AccountId, names: &[String]) -> Result<u64> {
        if names.is_empty() {
            return Ok(0);
        }
        let known = self.tables.account_keywords(&self.txn, account)?;
        let named = |keyword: &[u8]| names.iter().any(|name| keyword.eq_ignore_ascii_case(name.as_bytes()));
        Ok(known
            .iter()
            .filter(|(_, keyword)| named(keyword))
            .fold(0, |bits, (number, _)| bits | 1 << number))
    }
}

/// An atom (RFC 9051 §9, `flag-keyword`).
fn check_keyword(name: &str) -> Applied<()> {
    let is_atom = name
        .bytes()
        .all(|octet| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet));
    if name.is_empty() || name.len() > KEYWORD_OCTETS_MAX || !is_atom {
        return reject(StoreError::Refused(
            "a keyword is an atom of at most 128 octets".to_owned(),
        ));
    }
    Ok(())
}
