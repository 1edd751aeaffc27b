//! COPY and MOVE between accounts, or with some flags only (RFC 4314 §4).

use super::message::COPY_MESSAGES_MAX;
use super::quota::Amount;
use super::{Applied, Batch, reject};
use crate::db::records::MessageRecord;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, Uid};
use crate::ops::{Copied, Outcome};
use crate::sharing::CopyAcross;

impl Batch<'_, '_> {
    pub(super) fn copy_across(&mut self, copy: &CopyAcross) -> Applied<Outcome> {
        let target = &*super::mailbox::check_name(&copy.target)?;
        self.require_mailbox(copy.account, copy.mailbox)?;
        self.require_account(copy.to)?;
        let Some(target_id) = self.mailbox_named(copy.to, target)? else {
            return reject(StoreError::NotFound(target.to_owned()));
        };
        let rows = self.messages_in(copy.mailbox, &copy.uids)?;
        if rows.len() > COPY_MESSAGES_MAX {
            return reject(StoreError::Refused(format!(
                "at most {COPY_MESSAGES_MAX} messages are copied at once"
            )));
        }
        self.require_uids(copy.to, target_id, rows.len())?;
        let foreign = copy.to != copy.account;
        if foreign || !copy.remove {
            let mut more = Amount::default();
            for (_, record) in &rows {
                more.add(Amount::one(record.size));
            }
            self.require_room(copy.to, more)?;
        }
        let mut kept = rows.clone();
        for (_, record) in &mut kept {
            record.flags &= copy.kept.system();
            record.keywords &= copy.kept.keywords();
        }
        if foreign {
            self.translate_keywords(copy.account, copy.to, &mut kept)?;
        }
        let pairs = self.copy_rows(copy.to, target_id, &kept, copy.remove && !foreign)?;
        if copy.remove {
            self.remove_rows(copy.account, copy.mailbox, &rows, foreign)?;
        }
        let uid_validity = self.known_mailbox(copy.to, target_id)?.uid_validity;
        Ok(Outcome::Copied(Copied {
            uid_validity,
            mailbox: target_id,
            uids: pairs,
        }))
    }

    /// Keywords have numbers of their own in each account: those of one become those of another, by name.
    fn translate_keywords(&mut self, from: AccountId, to: AccountId, rows: &mut [(Uid, MessageRecord)]) -> Applied<()> {
        let used = rows.iter().fold(0, |bits, (_, record)| bits | record.keywords);
        if used == 0 {
            return Ok(());
        }
        let source: Vec<(u64, String)> = self
            .tables
            .account_keywords(&self.txn, from)?
            .into_iter()
            .filter(|(number, _)| used & (1 << number) != 0)
            .map(|(number, name)| (1 << number, String::from_utf8_lossy(&name).into_owned()))
            .collect();
        let names: Vec<String> = source.iter().map(|(_, name)| name.clone()).collect();
        let plan = self.plan_keywords(to, &names)?;
        self.make_keywords(to, &plan)?;
        let bits = source
            .iter()
            .map(|(bit, name)| Ok((*bit, self.known_keywords(to, std::slice::from_ref(name))?)))
            .collect::<Result<Vec<(u64, u64)>>>()?;
        for (_, record) in rows {
            let before = record.keywords;
            let named = bits.iter().filter(|(bit, _)| before & bit != 0);
            record.keywords = named.fold(0, |bits, (_, bit)| bits | bit);
        }
        Ok(())
    }
}
