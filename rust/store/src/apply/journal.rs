//! What the transaction tells the journal (`crate::journal`): entries as they happen, and states of rows at its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Batch, ranges};
use crate::db::keys;
use crate::db::records::{MessageRecord, QueueRecord};
use crate::db::tables::damaged;
use crate::db::uids::UidChunk;
use crate::error::Result;
use crate::ids::{AccountId, BlobId, MailboxId, ModSeq, QueueId, Uid, WriterId};
use crate::journal::{Digest, Entry};

/// Octets of the journal in one row of the index at most: below LMDB's overflow limit.
pub(crate) const PART_OCTETS: usize = 1900;

/// What one transaction tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    entries: Vec<u8>,
    /// Rows whose state at the end is told.
    accounts: BTreeSet<AccountId>,
    groups: BTreeSet<String>,
    mailboxes: BTreeSet<(AccountId, MailboxId)>,
    names: BTreeSet<(AccountId, String)>,
    /// Mailboxes whose UIDs at the end are told, and a UID below which all have been given out.
    uids: BTreeMap<MailboxId, Uid>,
    /// Digests of blobs that this transaction has made.
    pub(super) digests: HashMap<BlobId, Digest>,
}

impl Batch<'_, '_> {
    pub(super) fn tell_account(&mut self, account: AccountId) {
        self.told.accounts.insert(account);
    }

    pub(super) fn tell_group(&mut self, group: &str) {
        self.told.groups.insert(group.to_owned());
    }

    pub(super) fn tell_mailbox(&mut self, account: AccountId, mailbox: MailboxId) {
        self.told.mailboxes.insert((account, mailbox));
    }

    pub(super) fn tell_name(&mut self, account: AccountId, name: &str) {
        self.told.names.insert((account, name.to_owned()));
    }

    /// Tells which UIDs are there at the end. `uid_next`: entries that are told no more have reached so far.
    pub(super) fn tell_uids(&mut self, mailbox: MailboxId, uid_next: Uid) {
        let known = self.told.uids.entry(mailbox).or_default();
        *known = (*known).max(uid_next);
    }

    /// Tells one entry now.
    pub(super) fn tell(&mut self, entry: &Entry) {
        entry.encode(&mut self.told.entries);
    }

    /// Tells that a writer has done all that it ever will.
    pub(crate) fn tell_ended(&mut self, writer: WriterId) {
        self.tell(&Entry::Ended(writer));
    }

    pub(super) fn tell_message(&mut self, mailbox: MailboxId, uid: Uid, record: &MessageRecord) -> Result<()> {
        let (body, prefix) = (self.digest_of(record.blob)?, self.digest_of(record.prefix)?);
        self.tell(&Entry::Message(mailbox, uid, body, prefix, *record));
        Ok(())
    }

    pub(super) fn tell_flags(&mut self, mailbox: MailboxId, uid: Uid, record: &MessageRecord, modseq: ModSeq) {
        self.tell(&Entry::Flags(mailbox, uid, record.flags, record.keywords, modseq));
    }

    pub(super) fn tell_queued(&mut self, id: QueueId, record: &QueueRecord, state: &[u8]) -> Result<()> {
        let (body, prefix) = (self.digest_of(record.blob)?, self.digest_of(record.prefix)?);
        let whole = QueueRecord {
            state: state.to_vec(),
            ..record.clone()
        };
        self.tell(&Entry::Queued(id, body, prefix, whole));
        Ok(())
    }

    /// The blob's digest; zeros for none.
    pub(super) fn digest_of(&self, blob: BlobId) -> Result<Digest> {
        if blob == 0 {
            return Ok(Digest::default());
        }
        if let Some(digest) = self.told.digests.get(&blob) {
            return Ok(*digest);
        }
        Ok(self
            .tables
            .blob(&self.txn, blob)?
            .map_or(Digest::default(), |row| row.digest))
    }

    /// The encoded entries of the transaction, rows' states included. The shared rows must have been written.
    pub(super) fn told_entries(&mut self) -> Result<Vec<u8>> {
        let told = std::mem::take(&mut self.told);
        let mut out = told.entries;
        for account in told.accounts {
            if let Some(record) = self.tables.account(&self.txn, account)? {
                Entry::Account(account, record).encode(&mut out);
            }
        }
        for group in told.groups {
            let record = self.tables.group(&self.txn, &group)?;
            Entry::Group(group, record.limit_messages, record.limit_octets).encode(&mut out);
        }
        for (account, mailbox) in told.mailboxes {
            if let Some(record) = self.tables.mailbox(&self.txn, account, mailbox)? {
                Entry::Mailbox(account, mailbox, record).encode(&mut out);
            }
        }
        for (account, name) in told.names {
            let row = self.tables.name(&self.txn, account, &name)?;
            let subscribed = row.is_some_and(|row| row.subscribed);
            Entry::Name(account, name, subscribed).encode(&mut out);
        }
        for (mailbox, uid_next) in told.uids {
            let mut uids = Vec::new();
            for row in self.tables.uidmap.prefix_iter(&self.txn, &mailbox.to_be_bytes())? {
                let (key, value) = row?;
                let chunk = keys::u32_at(key, 4).zip(UidChunk::decode(value));
                let (chunk, set) = chunk.ok_or_else(|| damaged("uidmap", mailbox))?;
                let base = chunk.saturating_mul(keys::UIDS_PER_CHUNK);
                uids.extend(set.present.iter().map(|position| base + position));
            }
            Entry::Uids(mailbox, uid_next, ranges(uids)).encode(&mut out);
        }
        Ok(out)
    }

    /// Keeps an encoded transaction in the index until a pack holds it.
    pub(crate) fn keep_journal(&mut self, first_part: u32, transaction: &[u8]) -> Result<u32> {
        let mut part = first_part;
        for piece in transaction.chunks(PART_OCTETS) {
            self.tables
                .journal
                .put(&mut self.txn, &keys::journal(self.writer, part), piece)?;
            part += 1;
        }
        Ok(part)
    }

    /// A pack holds these parts now.
    pub(crate) fn drop_journal(&mut self, parts: std::ops::Range<u32>) -> Result<()> {
        for part in parts {
            self.tables
                .journal
                .delete(&mut self.txn, &keys::journal(self.writer, part))?;
        }
        Ok(())
    }
}
