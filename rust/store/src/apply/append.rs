//! APPEND of one message or several, and REPLACE (RFC 9051 §6.3.12, RFC 3502, RFC 8508): everything is checked before anything is changed, so
//! that all messages come in or none.

use super::account::KeywordPlan;
use super::quota::Amount;
use super::{Applied, Batch, reject};
use crate::db::records::{MessageRecord, flag};
use crate::error::StoreError;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::ops::{Arrival, FlagSet, Outcome};
use crate::prepare::PreparedRecord;

/// What comes along with a body.
pub(super) struct Arriving<'o> {
    pub(super) flags: &'o FlagSet,
    pub(super) internal_date: Option<i64>,
    pub(super) internal_zone: i16,
}

impl<'o> From<&'o Arrival> for Arriving<'o> {
    fn from(arrival: &'o Arrival) -> Self {
        Self {
            flags: &arrival.flags,
            internal_date: arrival.internal_date,
            internal_zone: arrival.internal_zone,
        }
    }
}

impl Batch<'_, '_> {
    /// Adds a message and removes the one whose place it takes; both or neither.
    pub(super) fn replace(
        &mut self,
        account: AccountId,
        mailbox: &str,
        message: &Arrival,
        (owner, source, uid): (AccountId, MailboxId, Uid),
        body: &Option<PreparedRecord>,
    ) -> Applied<Outcome> {
        self.require_mailbox(owner, source)?;
        if self.first_messages_in(source, &[(uid, uid)], 1)?.is_empty() {
            return reject(StoreError::Refused("the message to replace is gone".to_owned()));
        }
        let stored = self.append(account, mailbox, &[message.into()], body.iter())?;
        self.expunge_uids(owner, source, &[(uid, uid)])?;
        Ok(stored)
    }

    /// Adds the messages with their bodies, in order; answers where the first has come to.
    pub(super) fn append<'p>(
        &mut self,
        account: AccountId,
        mailbox: &str,
        messages: &[Arriving<'_>],
        bodies: impl ExactSizeIterator<Item = &'p PreparedRecord> + Clone,
    ) -> Applied<Outcome> {
        let name = &*super::mailbox::check_name(mailbox)?;
        if messages.is_empty() || bodies.len() != messages.len() {
            return reject(StoreError::Refused("there is no message to append".to_owned()));
        }
        let inbox_of_new = !self.account_exists(account)? && name == "INBOX";
        let found = if inbox_of_new {
            None
        } else {
            self.mailbox_named(account, name)?
        };
        if found.is_none() && !inbox_of_new {
            return reject(StoreError::NotFound(name.to_owned()));
        }
        // Together, so that keywords that are new to several count once against the bound.
        let mut names: Vec<String> = Vec::new();
        for message in messages {
            for name in &message.flags.keywords {
                if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                    names.push(name.clone());
                }
            }
        }
        let plan = self.plan_keywords(account, &names)?;
        if let Some(mailbox) = found {
            self.require_uids(account, mailbox, messages.len())?;
        }
        let mut more = Amount::default();
        for body in bodies.clone() {
            more.add(Amount::one(body.raw_len));
        }
        self.require_room(account, more)?;
        // Nothing is refused from here on.
        self.ensure_account(account)?;
        let mailbox = self
            .mailbox_named(account, name)?
            .ok_or_else(|| StoreError::Corrupt(format!("account {account} has no INBOX")))?;
        self.make_keywords(account, &plan)?;
        let mut first = None;
        for (message, body) in messages.iter().zip(bodies) {
            let KeywordPlan { bits: keywords, .. } = self.plan_keywords(account, &message.flags.keywords)?;
            let blob = self.new_blob(body, 1)?;
            let record = MessageRecord {
                flags: message.flags.system & flag::ALL,
                internal_zone: message.internal_zone,
                blob,
                keywords,
                internal_date: message.internal_date.unwrap_or((self.now / 1_000_000) as i64),
                size: body.raw_len,
                saved: self.seconds(),
                ..MessageRecord::default()
            };
            let stored = self.add_message(account, mailbox, record)?;
            first.get_or_insert(stored);
        }
        first.map_or_else(
            || reject(StoreError::Refused("there is no message to append".to_owned())),
            |stored| Ok(Outcome::Stored(stored)),
        )
    }
}
