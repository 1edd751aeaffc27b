//! Submissions: deliveries and queue changes as one transaction.

use std::collections::HashMap;

use super::{Applied, ApplyError, Batch, reject};
use crate::db::records::{MessageRecord, flag};
use crate::error::StoreError;
use crate::ids::{AccountId, BlobId};
use crate::ops::{Outcome, Submit};
use crate::prepare::Prepared;

/// Deliveries and queue items of one submission at most.
const RECIPIENTS_MAX: usize = 10_000;

impl Batch<'_, '_> {
    pub(super) fn submit(&mut self, submit: &Submit, prepared: &Prepared) -> Applied<Outcome> {
        let references = submit.deliveries.len() + submit.enqueue.len();
        if references > RECIPIENTS_MAX {
            return reject(StoreError::Refused("too many recipients in one submission".to_owned()));
        }
        if references > 0 && prepared.body.is_none() {
            return reject(StoreError::Refused("there is no message to deliver".to_owned()));
        }
        self.check_deliveries(submit)?;
        self.check_queue(submit)?;
        // A refusal from here on comes in the middle of the writing: the transaction has to go.
        self.submit_checked(submit, prepared, references)
            .map_err(|error| match error {
                ApplyError::Rejected(error) | ApplyError::Broken(error) => ApplyError::Broken(error),
            })
    }

    fn submit_checked(&mut self, submit: &Submit, prepared: &Prepared, references: usize) -> Applied<Outcome> {
        let mut stored = Vec::with_capacity(submit.deliveries.len());
        let mut queued = Vec::with_capacity(submit.enqueue.len());
        if let Some(body) = prepared.body.as_ref().filter(|_| references > 0) {
            let blob = self.new_blob(body, references as u32)?;
            let mut prefixes: Vec<(BlobId, u32)> = Vec::with_capacity(prepared.prefixes.len());
            for (prefix, uses) in &prepared.prefixes {
                prefixes.push((self.new_blob(prefix, *uses)?, prefix.raw_len));
            }
            let prefix_of = |recipient: usize| match prepared.prefix_of.get(recipient).copied().flatten() {
                Some(index) => prefixes.get(index).copied().unwrap_or_default(),
                None => (0, 0),
            };
            let internal_date = submit.internal_date.unwrap_or((self.now / 1_000_000) as i64);
            self.make_all_keywords(submit)?;
            for (index, delivery) in submit.deliveries.iter().enumerate() {
                let account = delivery.account;
                self.ensure_account(account)?;
                let name = super::mailbox::check_name(&delivery.mailbox)?;
                let mailbox = match self.mailbox_named(account, name)? {
                    Some(mailbox) => mailbox,
                    None => self.create_with_superiors(account, name, "", true)?,
                };
                let (prefix, prefix_len) = prefix_of(index);
                let record = MessageRecord {
                    flags: delivery.flags.system & flag::ALL,
                    blob,
                    prefix,
                    keywords: self.known_keywords(account, &delivery.flags.keywords)?,
                    internal_date,
                    size: body.raw_len.saturating_add(prefix_len),
                    prefix_len,
                    ..MessageRecord::default()
                };
                stored.push(self.add_message(account, mailbox, record)?);
            }
            for (index, item) in submit.enqueue.iter().enumerate() {
                let (prefix, prefix_len) = prefix_of(submit.deliveries.len() + index);
                queued.push(self.enqueue(item, blob, prefix, prefix_len, body.raw_len)?);
            }
        }
        self.change_queue(submit)?;
        Ok(Outcome::Submitted(stored, queued))
    }

    fn check_deliveries(&mut self, submit: &Submit) -> Applied<()> {
        // New mailboxes of this submission count towards their account's limit together, so each is checked with all.
        let mut keywords: HashMap<AccountId, Vec<String>> = HashMap::new();
        for delivery in &submit.deliveries {
            let name = super::mailbox::check_name(&delivery.mailbox)?;
            if self.account_exists(delivery.account)? {
                match self.mailbox_named(delivery.account, name)? {
                    Some(mailbox) => self.require_uids(delivery.account, mailbox, submit.deliveries.len())?,
                    None => self.check_creatable(delivery.account, name)?,
                }
            }
            if !delivery.flags.keywords.is_empty() {
                keywords
                    .entry(delivery.account)
                    .or_default()
                    .extend(delivery.flags.keywords.iter().cloned());
            }
        }
        for (account, names) in keywords {
            self.plan_keywords(account, &names)?;
        }
        Ok(())
    }

    /// Makes the keywords of all deliveries, which were planned together before.
    fn make_all_keywords(&mut self, submit: &Submit) -> Applied<()> {
        for delivery in submit
            .deliveries
            .iter()
            .filter(|delivery| !delivery.flags.keywords.is_empty())
        {
            let plan = self.plan_keywords(delivery.account, &delivery.flags.keywords)?;
            self.make_keywords(delivery.account, &plan)?;
        }
        Ok(())
    }
}
