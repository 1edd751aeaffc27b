//! Mailboxes and messages that come from elsewhere, with the numbers and dates that they had.

use super::mailbox::{check_name, check_use, mailbox_info};
use super::quota::Amount;
use super::{Applied, Batch, reject};
use crate::db::records::{MessageRecord, flag};
use crate::error::StoreError;
use crate::ids::{AccountId, Uid};
use crate::ops::{FlagSet, Outcome};
use crate::prepare::Prepared;

/// Foreign UIDVALIDITYs, UIDNEXTs and UIDs above this are not taken over: what comes after them must have numbers, too, and
/// the account's next mailbox or the mailbox's next message would be refused for ever. A message with such a UID is
/// refused; whoever moves in asks again without it.
const NUMBER_MAX: u32 = u32::MAX - (1 << 24);

/// What an imported message was.
pub(super) struct Former<'o> {
    pub(super) uid: Option<Uid>,
    pub(super) flags: &'o FlagSet,
    pub(super) internal_date: Option<i64>,
    pub(super) internal_zone: i16,
    pub(super) saved: Option<u32>,
    pub(super) quota: bool,
}

impl Batch<'_, '_> {
    pub(super) fn import(
        &mut self,
        account: AccountId,
        mailbox: &str,
        former: &Former<'_>,
        prepared: &Prepared,
    ) -> Applied<Outcome> {
        let name = &*check_name(mailbox)?;
        let Some(body) = &prepared.body else {
            return reject(StoreError::Refused("there is no message to import".to_owned()));
        };
        self.require_account(account)?;
        let Some(mailbox) = self.mailbox_named(account, name)? else {
            return reject(StoreError::NotFound(name.to_owned()));
        };
        let next = self.known_mailbox(account, mailbox)?.uid_next;
        let uid = former.uid.unwrap_or(next);
        if former.uid.is_some_and(|wanted| wanted > NUMBER_MAX) {
            return reject(StoreError::Refused(format!(
                "UID {uid} would leave too few for what comes after it: the greatest that is taken over is {NUMBER_MAX}"
            )));
        }
        if uid < next {
            return reject(StoreError::Refused(format!(
                "UID {uid} cannot be given: the next one is {next}"
            )));
        }
        if former.quota {
            self.require_room(account, Amount::one(body.raw_len))?;
        }
        let plan = self.plan_keywords(account, &former.flags.keywords)?;
        // Nothing below rejects.
        let keywords = self.make_keywords(account, &plan)?;
        self.known_mailbox(account, mailbox)?.uid_next = uid;
        let record = MessageRecord {
            flags: former.flags.system & flag::ALL,
            internal_zone: former.internal_zone,
            blob: self.new_blob(body, 1)?,
            keywords,
            internal_date: former.internal_date.unwrap_or((self.now / 1_000_000) as i64),
            size: body.raw_len,
            saved: former.saved.unwrap_or_else(|| self.seconds()),
            ..MessageRecord::default()
        };
        Ok(Outcome::Stored(self.add_message(account, mailbox, record)?))
    }

    pub(super) fn adopt_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: &str,
        subscribed: Option<bool>,
        numbers: (Option<u32>, Option<Uid>),
    ) -> Applied<Outcome> {
        let name = &*check_name(name)?;
        let special_use = check_use(special_use)?;
        let exists = self.account_exists(account)?;
        if !exists || self.mailbox_named(account, name)?.is_none() {
            self.check_creatable(account, name)?;
        }
        self.ensure_account(account)?;
        let mailbox = match self.mailbox_named(account, name)? {
            Some(mailbox) => mailbox,
            None => self.create_with_superiors(account, name, special_use, false)?,
        };
        if let Some(wanted) = subscribed {
            self.subscribe(account, name, wanted)?;
        }
        let (uid_validity, uid_next) = numbers;
        let is_unused = self.known_mailbox(account, mailbox)?.uid_next == 1;
        if let Some(wanted) = uid_validity.filter(|wanted| (1..=NUMBER_MAX).contains(wanted) && is_unused)
            && !self.has_uid_validity(account, mailbox, wanted)?
        {
            let record = &mut self.account(account)?.record;
            record.uid_validity_last = record.uid_validity_last.max(wanted);
            self.known_mailbox(account, mailbox)?.uid_validity = wanted;
        }
        let record = self.known_mailbox(account, mailbox)?;
        record.uid_next = record
            .uid_next
            .max(uid_next.filter(|&wanted| wanted <= NUMBER_MAX).unwrap_or(1));
        if !special_use.is_empty() {
            record.special_use = special_use.to_owned();
        }
        self.mailbox_changed(account, mailbox)?;
        let is_subscribed = self
            .tables
            .name(&self.txn, account, name)?
            .is_some_and(|row| row.subscribed);
        let record = self.known_mailbox(account, mailbox)?;
        Ok(Outcome::Mailbox(mailbox_info(mailbox, record, is_subscribed, 0)))
    }
}
