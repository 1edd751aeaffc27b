//! Submissions: deliveries and queue changes as one transaction.

use std::collections::HashMap;

use super::quota::Amount;
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
        let fits = self.check_deliveries(submit, prepared)?;
        self.check_queue(submit)?;
        // A refusal from here on comes in the middle of the writing: the transaction has to go.
        self.submit_checked(submit, prepared, &fits)
            .map_err(|error| match error {
                ApplyError::Rejected(error) | ApplyError::Broken(error) => ApplyError::Broken(error),
            })
    }

    /// `fits` says of each delivery whether it takes place.
    fn submit_checked(&mut self, submit: &Submit, prepared: &Prepared, fits: &[bool]) -> Applied<Outcome> {
        let mut stored = Vec::with_capacity(submit.deliveries.len());
        let mut queued = Vec::with_capacity(submit.enqueue.len());
        let references = fits.iter().filter(|&&fits| fits).count() + submit.enqueue.len();
        self.unused = references == 0;
        if let Some(body) = prepared.body.as_ref().filter(|_| references > 0) {
            let blob = self.new_blob(body, references as u32)?;
            let prefixes = self.new_prefixes(prepared, fits)?;
            let prefix_of = |recipient: usize| match prepared.prefix_of.get(recipient).copied().flatten() {
                Some(index) => prefixes.get(index).copied().unwrap_or_default(),
                None => (0, 0),
            };
            let internal_date = submit.internal_date.unwrap_or((self.now / 1_000_000) as i64);
            self.make_all_keywords(submit, fits)?;
            for (index, delivery) in submit.deliveries.iter().enumerate() {
                if !fits.get(index).copied().unwrap_or(false) {
                    stored.push(None);
                    continue;
                }
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
                    saved: self.seconds(),
                    ..MessageRecord::default()
                };
                stored.push(Some(self.add_message(account, mailbox, record)?));
            }
            for (index, item) in submit.enqueue.iter().enumerate() {
                let (prefix, prefix_len) = prefix_of(submit.deliveries.len() + index);
                queued.push(self.enqueue(item, blob, prefix, prefix_len, body.raw_len)?);
            }
        } else {
            stored.resize(submit.deliveries.len(), None);
        }
        self.change_queue(submit)?;
        Ok(Outcome::Submitted(stored, queued))
    }

    /// Makes the prefixes that somebody has, as (blob, length) in their order; (0, 0) for those that nobody has.
    fn new_prefixes(&mut self, prepared: &Prepared, fits: &[bool]) -> Applied<Vec<(BlobId, u32)>> {
        let mut uses = vec![0_u32; prepared.prefixes.len()];
        for (recipient, prefix) in prepared.prefix_of.iter().enumerate() {
            // Queue items follow the deliveries and always take place.
            let counts = fits.get(recipient).copied().unwrap_or(true);
            if let Some(uses) = prefix.and_then(|index| uses.get_mut(index)).filter(|_| counts) {
                *uses += 1;
            }
        }
        let mut made = Vec::with_capacity(uses.len());
        for (prefix, uses) in prepared.prefixes.iter().zip(uses) {
            made.push(match uses {
                0 => (0, 0),
                uses => (self.new_blob(prefix, uses)?, prefix.raw_len),
            });
        }
        Ok(made)
    }

    /// Which deliveries take place: all, or with `partial` those within their quotas.
    fn check_deliveries(&mut self, submit: &Submit, prepared: &Prepared) -> Applied<Vec<bool>> {
        // New mailboxes of this submission count towards their account's limit together, so each is checked with all.
        let mut keywords: HashMap<AccountId, Vec<String>> = HashMap::new();
        let mut pending: HashMap<AccountId, Amount> = HashMap::new();
        let mut pending_groups: HashMap<String, Amount> = HashMap::new();
        let mut fits = Vec::with_capacity(submit.deliveries.len());
        for (index, delivery) in submit.deliveries.iter().enumerate() {
            let name = super::mailbox::check_name(&delivery.mailbox)?;
            if self.account_exists(delivery.account)? {
                match self.mailbox_named(delivery.account, name)? {
                    Some(mailbox) => self.require_uids(delivery.account, mailbox, submit.deliveries.len())?,
                    None => self.check_creatable(delivery.account, name)?,
                }
                let more = Amount::one(delivery_octets(prepared, index));
                let group = self.account(delivery.account)?.record.group.clone();
                let mut of_account = pending.get(&delivery.account).copied().unwrap_or_default();
                let of_group = pending_groups.get(&group).copied().unwrap_or_default();
                let others = of_group.without(of_account);
                of_account.add(more);
                if let Some(why) = self.excess(delivery.account, of_account, others)? {
                    if !submit.partial {
                        return reject(StoreError::OverQuota(why));
                    }
                    fits.push(false);
                    continue;
                }
                pending.insert(delivery.account, of_account);
                if !group.is_empty() {
                    pending_groups.entry(group).or_default().add(more);
                }
            }
            fits.push(true);
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
        Ok(fits)
    }

    /// Makes the keywords of all deliveries that take place, which were planned together before.
    fn make_all_keywords(&mut self, submit: &Submit, fits: &[bool]) -> Applied<()> {
        for (delivery, _) in submit
            .deliveries
            .iter()
            .zip(fits)
            .filter(|(delivery, fits)| **fits && !delivery.flags.keywords.is_empty())
        {
            let plan = self.plan_keywords(delivery.account, &delivery.flags.keywords)?;
            self.make_keywords(delivery.account, &plan)?;
        }
        Ok(())
    }
}

/// Octets of a recipient's prefix and the body.
fn delivery_octets(prepared: &Prepared, recipient: usize) -> u32 {
    let body = prepared.body.as_ref().map_or(0, |body| body.raw_len);
    let prefix = prepared.prefix_of.get(recipient).copied().flatten();
    let prefix = prefix.and_then(|index| prepared.prefixes.get(index));
    body.saturating_add(prefix.map_or(0, |prefix| prefix.raw_len))
}
