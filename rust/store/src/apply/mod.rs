//! What each operation does inside the writer's transaction.
//!
//! An operation validates fully before it writes: a refusal ([`ApplyError::Rejected`]) has changed nothing, so the
//! others of its batch go on. Any other error may have left half an operation behind; then the whole transaction is
//! aborted and its operations are tried again in smaller groups (`writer.rs`).
//!
//! Rows that many operations of a batch share (counters, accounts, mailboxes, UID maps, packs) are kept decoded in
//! [`Batch`] and written once, by [`Batch::flush`].

mod account;
mod across;
mod append;
mod blob;
mod changes;
mod checkpoint;
mod compact;
mod import;
pub(crate) mod journal;
mod lease;
mod mailbox;
mod message;
mod purge;
mod queue;
mod quota;
mod restore;
mod retain;
mod submit;

use std::collections::{HashMap, HashSet};

use heed::RwTxn;

use crate::db::keys;
use crate::db::records::{AccountRecord, Counters, GroupRecord, MailboxRecord, PackRecord, PackState};
use crate::db::tables::Tables;
use crate::db::uids::UidChunk;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, ModSeq, PackId, Uid, WriterId};
use crate::journal::put_transaction;
use crate::ops::{Op, Outcome};
use crate::prepare::Prepared;

pub(crate) use checkpoint::{CHECKPOINT, CHECKPOINT_WRITERS};
pub(crate) use lease::PIN;
pub(crate) use mailbox::mailbox_info;
pub(crate) use purge::doomed_packs;

/// Why an operation was not applied.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// Refused before anything was written.
    Rejected(StoreError),
    /// Failed in the middle: the transaction must be aborted.
    Broken(StoreError),
}

impl From<StoreError> for ApplyError {
    fn from(error: StoreError) -> Self {
        Self::Broken(error)
    }
}

impl From<heed::Error> for ApplyError {
    fn from(error: heed::Error) -> Self {
        Self::Broken(error.into())
    }
}

/// What applying answers.
pub(crate) type Applied<T> = std::result::Result<T, ApplyError>;

/// A refusal.
pub(crate) fn reject<T>(error: StoreError) -> Applied<T> {
    Err(ApplyError::Rejected(error))
}

/// A mailbox row in use by the batch.
#[derive(Debug)]
struct OpenMailbox {
    account: AccountId,
    record: MailboxRecord,
}

/// An account row in use by the batch.
#[derive(Debug, Default)]
struct OpenAccount {
    record: AccountRecord,
    /// Arrivals told by the latest change row, not written yet: neighbours share it.
    arrivals: Option<Arrivals>,
}

#[derive(Clone, Copy, Debug)]
struct Arrivals {
    modseq: ModSeq,
    mailbox: MailboxId,
    first: Uid,
    last: Uid,
}

/// A write transaction with the rows that its operations share.
pub(crate) struct Batch<'e, 't> {
    pub(crate) txn: RwTxn<'e>,
    tables: &'t Tables,
    counters: Counters,
    accounts: HashMap<AccountId, OpenAccount>,
    groups: HashMap<String, GroupRecord>,
    mailboxes: HashMap<MailboxId, OpenMailbox>,
    chunks: HashMap<(MailboxId, u32), UidChunk>,
    packs: HashMap<PackId, PackRecord>,
    told: journal::Told,
    /// Pairs to hint at after the commit.
    pub(crate) dirty: HashSet<(AccountId, MailboxId)>,
    /// Rows were added to `doomed`: a purge step is due.
    pub(crate) purge: bool,
    /// The operation applied last has more to do in a further transaction.
    pub(crate) again: bool,
    /// Nothing has come to point to the bodies of the operation applied last: every recipient was over quota.
    pub(crate) unused: bool,
    /// Who writes.
    writer: WriterId,
    /// How long expunged messages are kept, in seconds; 0: not at all.
    retention: u32,
    /// Microseconds since 1970.
    now: u64,
}

/// What a batch knows of its writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) writer: WriterId,
    pub(crate) retention: u32,
    /// Microseconds since 1970.
    pub(crate) now: u64,
}

impl<'e, 't> Batch<'e, 't> {
    pub(crate) fn begin(txn: RwTxn<'e>, tables: &'t Tables, setting: Setting) -> Result<Self> {
        let counters = tables.counters(&txn)?;
        Ok(Self {
            txn,
            tables,
            counters,
            accounts: HashMap::new(),
            groups: HashMap::new(),
            mailboxes: HashMap::new(),
            chunks: HashMap::new(),
            packs: HashMap::new(),
            told: journal::Told::default(),
            dirty: HashSet::new(),
            purge: false,
            again: false,
            unused: false,
            writer: setting.writer,
            retention: setting.retention,
            now: setting.now,
        })
    }

    /// The present in Unix seconds, never 0.
    fn seconds(&self) -> u32 {
        u32::try_from(self.now / 1_000_000).unwrap_or(u32::MAX).max(1)
    }

    /// Applies one operation. `prepared` holds its bodies, already on disk; `purged` the packs unlinked for a purge.
    pub(crate) fn apply(&mut self, op: &Op, prepared: &Prepared, purged: &[PackId]) -> Applied<Outcome> {
        self.again = false;
        self.unused = false;
        match op {
            Op::Submit(submit) => self.submit(submit, prepared),
            Op::Append {
                account,
                mailbox,
                flags,
                internal_date,
                internal_zone,
            } => {
                let arrival = append::Arriving {
                    flags,
                    internal_date: *internal_date,
                    internal_zone: *internal_zone,
                };
                let bodies = prepared.body.iter();
                self.append(*account, mailbox, &[arrival], bodies)
            }
            Op::AppendAll {
                account,
                mailbox,
                messages,
            } => {
                let messages: Vec<_> = messages.iter().map(append::Arriving::from).collect();
                self.append(*account, mailbox, &messages, prepared.bodies.iter())
            }
            Op::Replace {
                account,
                mailbox,
                message,
                replaced,
            } => self.replace(*account, mailbox, message, *replaced, &prepared.body),
            Op::Import {
                account,
                mailbox,
                uid,
                flags,
                internal_date,
                internal_zone,
                saved,
                quota,
            } => {
                let former = import::Former {
                    uid: *uid,
                    flags,
                    internal_date: *internal_date,
                    internal_zone: *internal_zone,
                    saved: *saved,
                    quota: *quota,
                };
                self.import(*account, mailbox, &former, prepared)
            }
            Op::AdoptAccount { account } => self.adopt_account(*account),
            Op::Restore(restore) => self.restore(restore, prepared),
            Op::AdoptMailbox {
                account,
                name,
                special_use,
                subscribed,
                uid_validity,
                uid_next,
            } => self.adopt_mailbox(*account, name, special_use, *subscribed, (*uid_validity, *uid_next)),
            Op::SetQuota {
                account,
                group,
                messages,
                octets,
            } => self.set_quota(*account, group.as_deref(), *messages, *octets),
            Op::SetGroupQuota {
                group,
                messages,
                octets,
            } => self.set_group_quota(group, *messages, *octets),
            Op::Expire {
                account,
                mailbox,
                before,
            } => self.expire(*account, *mailbox, *before),
            Op::PurgeRetained { account, before } => self.purge_retained(*account, *before),
            Op::Recover { account, choice, into } => self.recover(*account, choice, into.as_deref()),
            Op::Lease { name, seconds } => self.lease(name, *seconds),
            Op::ReleaseLease { name } => self.release_lease(name),
            // The writer has done it before this transaction, which tells the index.
            Op::Seal => Ok(Outcome::None),
            Op::EnsureAccount { account } => {
                self.ensure_account(*account)?;
                Ok(Outcome::None)
            }
            Op::CreateMailbox {
                account,
                name,
                special_use,
            } => self.create_mailbox(*account, name, special_use),
            Op::DeleteMailbox { account, name } => self.delete_mailbox(*account, name),
            Op::RenameMailbox { account, old, new } => self.rename_mailbox(*account, old, new),
            Op::Subscribe {
                account,
                name,
                subscribed,
            } => self.subscribe(*account, name, *subscribed),
            Op::StoreFlags {
                account,
                mailbox,
                uids,
                mode,
                flags,
                unchanged_since,
            } => {
                let states = self.store_flags(*account, *mailbox, uids, *mode, flags, *unchanged_since)?;
                Ok(Outcome::Flags(states))
            }
            Op::MarkSeen { account, mailbox, uids } => self.mark_seen(*account, *mailbox, uids),
            Op::Copy {
                account,
                mailbox,
                uids,
                target,
                remove,
            } => self.copy(*account, *mailbox, uids, target, *remove),
            Op::CopyAcross(copy) => self.copy_across(copy),
            Op::Expunge { account, mailbox, uids } => self.expunge(*account, *mailbox, uids.as_deref()),
            Op::ExpungeUids { account, mailbox, uids } => self.expunge_uids(*account, *mailbox, uids),
            Op::ClaimRecent { account, mailbox } => self.claim_recent(*account, *mailbox),
            Op::RemoveAccount { account } => self.remove_account(*account),
            Op::Relocate { blobs } => self.relocate(blobs, prepared),
            Op::Rejournal { entries, retained } => self.rejournal(entries, retained),
            Op::Retire { pack } => self.retire(*pack),
            Op::Purge => self.purge_step(purged),
        }
    }

    /// Writes the shared rows; answers the transaction as the journal tells it, empty when it has nothing to tell.
    /// Nothing may be applied afterwards.
    pub(crate) fn flush(&mut self) -> Result<Vec<u8>> {
        let accounts: Vec<AccountId> = self.accounts.keys().copied().collect();
        for account in accounts {
            self.flush_account(account)?;
        }
        for (name, record) in &self.groups {
            self.tables
                .groups
                .put(&mut self.txn, name.as_bytes(), &record.encode())?;
        }
        for (mailbox, open) in &self.mailboxes {
            self.tables.mailboxes.put(
                &mut self.txn,
                &keys::mailbox(open.account, *mailbox),
                &open.record.encode(),
            )?;
        }
        for ((mailbox, chunk), set) in &self.chunks {
            let key = keys::uid_chunk(*mailbox, *chunk);
            if set.present.count() == 0 {
                self.tables.uidmap.delete(&mut self.txn, &key)?;
            } else {
                self.tables.uidmap.put(&mut self.txn, &key, &set.encode())?;
            }
        }
        let packs = std::mem::take(&mut self.packs);
        for (pack, record) in packs {
            if record.state == PackState::Sealed && record.blobs == 0 && record.journal == 0 {
                self.doom_pack(pack)?;
            } else {
                self.tables
                    .packs
                    .put(&mut self.txn, &keys::pack(pack), &record.encode())?;
            }
        }
        let entries = self.told_entries()?;
        let mut transaction = Vec::new();
        if !entries.is_empty() {
            put_transaction(&mut transaction, self.counters.journal, &entries);
            self.counters.journal += 1;
        }
        self.tables
            .meta
            .put(&mut self.txn, b"counters", &self.counters.encode())?;
        Ok(transaction)
    }

    /// Tells that a pack has grown to `synced` octets, or is new.
    pub(crate) fn pack_grown(&mut self, pack: PackId, synced: u64) -> Result<()> {
        let record = self.pack(pack)?;
        record.synced = record.synced.max(synced);
        Ok(())
    }

    /// Tells that a pack holds a journal record of so many octets.
    pub(crate) fn journal_written(&mut self, pack: PackId, octets: u32) -> Result<()> {
        self.pack(pack)?.journal += u64::from(octets);
        Ok(())
    }

    /// Tells that a pack is never written again.
    pub(crate) fn pack_sealed(&mut self, pack: PackId) -> Result<()> {
        let sealed = self.seconds();
        let record = self.pack(pack)?;
        record.state = PackState::Sealed;
        record.sealed = sealed;
        Ok(())
    }

    fn pack(&mut self, pack: PackId) -> Result<&mut PackRecord> {
        use std::collections::hash_map::Entry;
        match self.packs.entry(pack) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let record = self.tables.pack(&self.txn, pack)?.unwrap_or_default();
                Ok(entry.insert(record))
            }
        }
    }

    /// The mailbox's row; `None` when there is no such mailbox in that account.
    fn mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<Option<&mut MailboxRecord>> {
        use std::collections::hash_map::Entry;
        match self.mailboxes.entry(mailbox) {
            Entry::Occupied(entry) => {
                let open = entry.into_mut();
                Ok((open.account == account).then_some(&mut open.record))
            }
            Entry::Vacant(entry) => match self.tables.mailbox(&self.txn, account, mailbox)? {
                None => Ok(None),
                Some(record) => Ok(Some(&mut entry.insert(OpenMailbox { account, record }).record)),
            },
        }
    }

    /// The mailbox's row, for operations that have checked before that it is there.
    fn known_mailbox(&mut self, account: AccountId, mailbox: MailboxId) -> Result<&mut MailboxRecord> {
        self.mailbox(account, mailbox)?
            .ok_or_else(|| StoreError::Corrupt(format!("mailbox {mailbox} of account {account} has no row")))
    }

    /// The row of the UID map that holds `uid`.
    fn chunk(&mut self, mailbox: MailboxId, uid: Uid) -> Result<&mut UidChunk> {
        use std::collections::hash_map::Entry;
        let chunk = uid / keys::UIDS_PER_CHUNK;
        match self.chunks.entry((mailbox, chunk)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(self.tables.uid_chunk(&self.txn, mailbox, chunk)?)),
        }
    }
}

/// Ascending UIDs as ranges.
pub(crate) fn ranges(uids: impl IntoIterator<Item = Uid>) -> Vec<(Uid, Uid)> {
    let mut ranges: Vec<(Uid, Uid)> = Vec::new();
    for uid in uids {
        match ranges.last_mut() {
            Some(range) if range.1.checked_add(1) == Some(uid) => range.1 = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    ranges
}
