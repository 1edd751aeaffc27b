//! Mailboxes: CREATE, DELETE, RENAME, SUBSCRIBE (RFC 9051 §6.3). The hierarchy separator is `/`.

use super::quota::Amount;
use super::{Applied, Batch, OpenMailbox, reject};
use crate::db::keys;
use crate::db::records::{ChangeKind, DoomedRecord, MailboxRecord, NameRecord};
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId};
use crate::journal::Entry;
use crate::ops::{MailboxInfo, Outcome};

/// Octets of a mailbox name at most.
pub(crate) const NAME_OCTETS_MAX: usize = 1000;
/// Levels of a mailbox name at most.
const NAME_LEVELS_MAX: usize = 64;
/// Mailboxes of an account at most.
const MAILBOXES_MAX: u32 = 10_000;
const INBOX: &str = "INBOX";

/// The name in its stored form: INBOX in upper case whatever its spelling, one separator at the end dropped (CREATE
/// may have one, RFC 9051 §6.3.4). A rejection when it cannot be a name.
pub(super) fn check_name(name: &str) -> Applied<&str> {
    if name.eq_ignore_ascii_case(INBOX) {
        return Ok(INBOX);
    }
    let name = name.strip_suffix('/').unwrap_or(name);
    let what = if name.is_empty() || name.split('/').any(str::is_empty) {
        "a mailbox name has an empty level"
    } else if name.len() > NAME_OCTETS_MAX {
        "a mailbox name has at most 1000 octets"
    } else if name.split('/').count() > NAME_LEVELS_MAX {
        "a mailbox name has at most 64 levels"
    } else if name.chars().any(char::is_control) {
        "a mailbox name has no control characters"
    } else {
        return Ok(name);
    };
    reject(StoreError::Refused(what.to_owned()))
}

/// The special use in its own spelling (RFC 6154 §2), or empty. A rejection when it is none of ours.
pub(super) fn check_use(special_use: &str) -> Applied<&'static str> {
    const KNOWN: [&str; 8] = [
        "",
        "\\All",
        "\\Archive",
        "\\Drafts",
        "\\Flagged",
        "\\Junk",
        "\\Sent",
        "\\Trash",
    ];
    match KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(special_use)) {
        Some(known) => Ok(known),
        None => reject(StoreError::Refused("this special use is not supported".to_owned())),
    }
}

/// Superior names, the highest first, without the name itself.
fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

impl Batch<'_, '_> {
    /// The mailbox of a checked name.
    pub(super) fn mailbox_named(&self, account: AccountId, name: &str) -> Result<Option<MailboxId>> {
        let row = self.tables.name(&self.txn, account, name)?;
        Ok(row.map(|row| row.mailbox).filter(|&mailbox| mailbox != 0))
    }

    /// Makes one mailbox; its name is free, its account is open.
    pub(super) fn new_mailbox(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: &str,
        subscribed: bool,
    ) -> Result<MailboxId> {
        let mailbox = self.counters.mailbox;
        self.counters.mailbox += 1;
        let record = MailboxRecord {
            uid_validity: self.next_uid_validity(account)?,
            uid_next: 1,
            recent_from: 1,
            special_use: special_use.to_owned(),
            name: name.to_owned(),
            ..MailboxRecord::default()
        };
        self.mailboxes.insert(mailbox, OpenMailbox { account, record });
        self.tell_mailbox(account, mailbox);
        self.tell_account(account);
        let was_subscribed = self
            .tables
            .name(&self.txn, account, name)?
            .is_some_and(|row| row.subscribed);
        self.put_name(account, mailbox, name, subscribed || was_subscribed)?;
        self.account(account)?.record.mailboxes += 1;
        let modseq = self.change(account, ChangeKind::MailboxCreated, mailbox, Vec::new())?;
        self.known_mailbox(account, mailbox)?.highest_modseq = modseq;
        Ok(mailbox)
    }

    /// From the wall clock, yet greater than all before, so that a name that comes again never meets an old value
    /// (RFC 9051 §2.3.1.1).
    fn next_uid_validity(&mut self, account: AccountId) -> Result<u32> {
        let clock = u32::try_from(self.now / 1_000_000).unwrap_or(u32::MAX);
        let record = &mut self.account(account)?.record;
        let next = record.uid_validity_last.checked_add(1);
        let next = next.ok_or_else(|| StoreError::Refused("no UIDVALIDITY is left in this account".to_owned()))?;
        record.uid_validity_last = next.max(clock);
        Ok(record.uid_validity_last)
    }

    /// True when another mailbox of the account has this UIDVALIDITY.
    pub(super) fn has_uid_validity(&self, account: AccountId, mailbox: MailboxId, wanted: u32) -> Result<bool> {
        for row in self.tables.mailboxes.prefix_iter(&self.txn, &keys::account(account))? {
            let (key, value) = row?;
            let id = keys::u32_at(key, 4).unwrap_or(0);
            // Those open in this batch may say something else by now.
            if id == mailbox || self.mailboxes.contains_key(&id) {
                continue;
            }
            if MailboxRecord::decode(value).is_none_or(|record| record.uid_validity == wanted) {
                return Ok(true);
            }
        }
        let open = self.mailboxes.iter().filter(|(id, _)| **id != mailbox);
        Ok(open
            .into_iter()
            .any(|(_, open)| open.account == account && open.record.uid_validity == wanted))
    }

    /// Logs that a mailbox's own facts have changed, as a rename without another name.
    pub(super) fn mailbox_changed(&mut self, account: AccountId, mailbox: MailboxId) -> Result<()> {
        let modseq = self.change(account, ChangeKind::MailboxRenamed, mailbox, Vec::new())?;
        self.known_mailbox(account, mailbox)?.highest_modseq = modseq;
        self.tell_mailbox(account, mailbox);
        self.tell_account(account);
        Ok(())
    }

    fn put_name(&mut self, account: AccountId, mailbox: MailboxId, name: &str, subscribed: bool) -> Result<()> {
        self.tell_name(account, name);
        let row = NameRecord {
            mailbox,
            subscribed,
            name: name.to_owned(),
        };
        self.tables
            .names
            .put(&mut self.txn, &keys::name(account, name), &row.encode())?;
        Ok(())
    }

    /// The superior names that have no mailbox yet; a rejection when the account would have too many mailboxes.
    fn missing_superiors(&mut self, account: AccountId, name: &str, more: u32) -> Applied<Vec<String>> {
        let mut missing = Vec::new();
        for superior in superiors(name) {
            if self.mailbox_named(account, superior)?.is_none() {
                missing.push(superior.to_owned());
            }
        }
        let count = match self.accounts.get(&account) {
            Some(open) => open.record.mailboxes,
            None => self
                .tables
                .account(&self.txn, account)?
                .map_or(0, |record| record.mailboxes),
        };
        if count.saturating_add(missing.len() as u32).saturating_add(more) > MAILBOXES_MAX {
            return reject(StoreError::Refused(format!(
                "an account has at most {MAILBOXES_MAX} mailboxes"
            )));
        }
        Ok(missing)
    }

    /// Checks that the mailbox may be made, without making it.
    pub(super) fn check_creatable(&mut self, account: AccountId, name: &str) -> Applied<()> {
        self.missing_superiors(account, name, 1).map(drop)
    }

    /// Makes a mailbox and its superiors (RFC 9051 §6.3.4); the name is checked and free.
    pub(super) fn create_with_superiors(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: &str,
        subscribed: bool,
    ) -> Applied<MailboxId> {
        for superior in self.missing_superiors(account, name, 1)? {
            self.new_mailbox(account, &superior, "", false)?;
        }
        Ok(self.new_mailbox(account, name, special_use, subscribed)?)
    }

    pub(super) fn create_mailbox(&mut self, account: AccountId, name: &str, special_use: &str) -> Applied<Outcome> {
        let name = check_name(name)?;
        let special_use = check_use(special_use)?;
        let exists = self.account_exists(account)?;
        if exists && self.mailbox_named(account, name)?.is_some() {
            return reject(StoreError::AlreadyExists(name.to_owned()));
        }
        self.check_creatable(account, name)?;
        self.ensure_account(account)?;
        // A new account may have brought the name along.
        let mailbox = match self.mailbox_named(account, name)? {
            Some(mailbox) => mailbox,
            None => self.create_with_superiors(account, name, special_use, false)?,
        };
        let subscribed = self
            .tables
            .name(&self.txn, account, name)?
            .is_some_and(|row| row.subscribed);
        let record = self.known_mailbox(account, mailbox)?;
        Ok(Outcome::Mailbox(mailbox_info(mailbox, record, subscribed, 0)))
    }

    pub(super) fn delete_mailbox(&mut self, account: AccountId, name: &str) -> Applied<Outcome> {
        let name = check_name(name)?;
        if name == INBOX {
            return reject(StoreError::Refused("INBOX cannot be deleted".to_owned()));
        }
        self.require_account(account)?;
        let Some(row) = self
            .tables
            .name(&self.txn, account, name)?
            .filter(|row| row.mailbox != 0)
        else {
            return reject(StoreError::NotFound(name.to_owned()));
        };
        self.drop_name(account, name, row.subscribed)?;
        self.account(account)?.record.mailboxes -= 1;
        self.doom_mailbox(account, row.mailbox, true)?;
        self.change(account, ChangeKind::MailboxDeleted, row.mailbox, Vec::new())?;
        Ok(Outcome::None)
    }

    /// The name loses its mailbox; a subscription stays (RFC 9051 §6.3.7).
    fn drop_name(&mut self, account: AccountId, name: &str, subscribed: bool) -> Result<()> {
        if subscribed {
            self.put_name(account, 0, name, true)
        } else {
            self.tell_name(account, name);
            self.tables.names.delete(&mut self.txn, &keys::name(account, name))?;
            Ok(())
        }
    }

    /// Takes a mailbox's row away; its messages are purged, or with `retain` retained, in steps. They leave the quota at once.
    ///
    /// Which of the two is decided here: a process that retains nothing may carry the steps out.
    pub(super) fn doom_mailbox(&mut self, account: AccountId, mailbox: MailboxId, retain: bool) -> Result<()> {
        let retain = retain && self.retention > 0;
        let record = self.known_mailbox(account, mailbox)?;
        let held = Amount {
            messages: u64::from(record.messages),
            octets: record.size,
        };
        let name = if retain { record.name.clone() } else { String::new() };
        self.count_out(account, held)?;
        self.mailboxes.remove(&mailbox);
        let at = u64::from(self.seconds());
        self.tell(&Entry::MailboxGone(account, mailbox, retain, at));
        self.tables
            .mailboxes
            .delete(&mut self.txn, &keys::mailbox(account, mailbox))?;
        let row = DoomedRecord { account, name }.encode();
        self.tables
            .doomed
            .put(&mut self.txn, &keys::doomed_mailbox(mailbox), &row)?;
        self.purge = true;
        Ok(())
    }

    pub(super) fn rename_mailbox(&mut self, account: AccountId, old: &str, new: &str) -> Applied<Outcome> {
        let (old, new) = (check_name(old)?, check_name(new)?);
        self.require_account(account)?;
        let Some(mailbox) = self.mailbox_named(account, old)? else {
            return reject(StoreError::NotFound(old.to_owned()));
        };
        if self.mailbox_named(account, new)?.is_some() {
            return reject(StoreError::AlreadyExists(new.to_owned()));
        }
        if new.strip_prefix(old).is_some_and(|rest| rest.starts_with('/')) && old != INBOX {
            return reject(StoreError::Refused(
                "a mailbox cannot become its own inferior".to_owned(),
            ));
        }
        if old == INBOX {
            return self.rename_inbox(account, mailbox, new);
        }
        let mut renames = vec![(old.to_owned(), new.to_owned(), mailbox)];
        let start = format!("{old}/");
        let mut inferiors = Vec::new();
        for row in self
            .tables
            .names
            .prefix_iter(&self.txn, &keys::name_prefix(account, &start))?
        {
            let row = NameRecord::decode(row?.1).ok_or_else(|| crate::db::tables::damaged("names", old))?;
            if row.mailbox != 0 && row.name.starts_with(&start) {
                inferiors.push((row.name, row.mailbox));
            }
        }
        for (name, inferior) in inferiors {
            let wanted = format!("{new}{}", &name[old.len()..]);
            check_name(&wanted)?;
            if self.mailbox_named(account, &wanted)?.is_some() {
                return reject(StoreError::AlreadyExists(wanted));
            }
            renames.push((name, wanted, inferior));
        }
        let superiors = self.missing_superiors(account, new, 0)?;
        // Nothing below rejects.
        for superior in &superiors {
            self.new_mailbox(account, superior, "", false)?;
        }
        for (from, to, id) in renames {
            let subscribed = self
                .tables
                .name(&self.txn, account, &from)?
                .is_some_and(|row| row.subscribed);
            let there = self
                .tables
                .name(&self.txn, account, &to)?
                .is_some_and(|row| row.subscribed);
            self.drop_name(account, &from, subscribed)?;
            self.put_name(account, id, &to, subscribed || there)?;
            self.known_mailbox(account, id)?.name = to;
            self.tell_mailbox(account, id);
            self.change(account, ChangeKind::MailboxRenamed, id, Vec::new())?;
        }
        Ok(Outcome::None)
    }

    /// Moves INBOX's messages to a new mailbox and leaves INBOX, and its inferiors, as they are (RFC 9051 §6.3.6).
    fn rename_inbox(&mut self, account: AccountId, inbox: MailboxId, new: &str) -> Applied<Outcome> {
        self.check_creatable(account, new)?;
        let rows = self.messages_in(inbox, &[(1, u32::MAX)])?;
        let target = self.create_with_superiors(account, new, "", false)?;
        self.copy_rows(account, target, &rows, true)?;
        self.remove_rows(account, inbox, &rows, false)?;
        Ok(Outcome::None)
    }

    pub(super) fn subscribe(&mut self, account: AccountId, name: &str, subscribed: bool) -> Applied<Outcome> {
        let name = check_name(name)?;
        self.account_exists(account)?;
        self.ensure_account(account)?;
        let row = self.tables.name(&self.txn, account, name)?;
        let (mailbox, before) = row.map_or((0, false), |row| (row.mailbox, row.subscribed));
        if before == subscribed {
            return Ok(Outcome::None);
        }
        if mailbox == 0 && !subscribed {
            self.tell_name(account, name);
            self.tables.names.delete(&mut self.txn, &keys::name(account, name))?;
        } else {
            self.put_name(account, mailbox, name, subscribed)?;
        }
        self.change(account, ChangeKind::Subscribed, mailbox, Vec::new())?;
        Ok(Outcome::None)
    }

    /// Takes the \Recent messages for one session (RFC 3501 §2.3.2).
    pub(super) fn claim_recent(&mut self, account: AccountId, mailbox: MailboxId) -> Applied<Outcome> {
        self.require_account(account)?;
        match self.mailbox(account, mailbox)? {
            None => reject(StoreError::NotFound(format!("mailbox {mailbox}"))),
            Some(record) => {
                let from = record.recent_from;
                record.recent_from = record.uid_next;
                Ok(Outcome::Recent(from, record.uid_next))
            }
        }
    }
}

/// A mailbox's row as LIST and STATUS show it.
#[must_use]
pub(crate) fn mailbox_info(id: MailboxId, record: &MailboxRecord, subscribed: bool, recent: u32) -> MailboxInfo {
    MailboxInfo {
        id,
        name: record.name.clone(),
        special_use: record.special_use.clone(),
        subscribed,
        uid_validity: record.uid_validity,
        uid_next: record.uid_next,
        messages: record.messages,
        unseen: record.unseen,
        deleted: record.deleted,
        recent,
        size: record.size,
        highest_modseq: record.highest_modseq,
    }
}
