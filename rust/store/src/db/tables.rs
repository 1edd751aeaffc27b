//! The tables. All are written by the writer thread alone (`apply/`), save `meta` at open and close.

use heed::types::Bytes;
use heed::{Database, Env, RoTxn, RwTxn, WithoutTls};

use super::keys;
use super::records::{
    AccountRecord, BlobRecord, Counters, GroupRecord, LeaseRecord, MailboxRecord, MessageRecord, NameRecord,
    PackRecord, QueueRecord,
};
use super::uids::UidChunk;
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, BlobId, MailboxId, PackId, QueueId, Uid};

/// One table: octets to octets; the codecs are in `records`.
pub type Table = Database<Bytes, Bytes>;

/// A read transaction; it may be begun on any thread and lasts one job.
pub type ReadTxn<'e> = RoTxn<'e, WithoutTls>;

/// Named databases at most; more than the tables, as room for later ones.
pub const TABLES_MAX: u32 = 32;

/// All tables of a volume.
#[derive(Clone, Copy)]
pub struct Tables {
    /// Format, features, counters, writers.
    pub meta: Table,
    /// account → `AccountRecord`.
    pub accounts: Table,
    /// account, mailbox → `MailboxRecord`.
    pub mailboxes: Table,
    /// account, name → `NameRecord`.
    pub names: Table,
    /// name → `GroupRecord`: accounts that share a quota.
    pub groups: Table,
    /// mailbox, uid → `MessageRecord`.
    pub messages: Table,
    /// account, expunged at, mailbox, uid → `RetainedRecord`.
    pub retained: Table,
    /// blob → card (`card.rs`).
    pub cards: Table,
    /// mailbox, uid / 4096 → `UidChunk`.
    pub uidmap: Table,
    /// account, modseq → `ChangeRecord`.
    pub changes: Table,
    /// account, number → keyword.
    pub keywords: Table,
    /// blob → `BlobRecord`.
    pub blobs: Table,
    /// pack → `PackRecord`.
    pub packs: Table,
    /// queue id, part → `QueueRecord`, or the rest of its state.
    pub queue: Table,
    /// due time, queue id → nothing.
    pub due: Table,
    /// name → `LeaseRecord`.
    pub leases: Table,
    /// writer, part → octets of the journal that no pack holds yet.
    pub journal: Table,
    /// `m` mailbox, `a` account or `p` pack → `DoomedRecord`: what is still to be purged.
    pub doomed: Table,
}

impl std::fmt::Debug for Tables {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tables")
    }
}

impl Tables {
    /// Opens all tables, creating what is missing, in one write transaction (lmdb.md 4.25).
    pub fn create(env: &Env<WithoutTls>, txn: &mut RwTxn<'_>) -> Result<Self> {
        Self::each(|name| Ok(env.create_database(txn, Some(name))?))
    }

    /// Opens the tables of an index that is only read. The caller commits the transaction, or the handles are void.
    pub fn open(env: &Env<WithoutTls>, txn: &RoTxn<'_, WithoutTls>) -> Result<Self> {
        Self::each(|name| {
            env.open_database(txn, Some(name))?
                .ok_or_else(|| StoreError::Open(format!("its index has no table {name}")))
        })
    }

    fn each(mut table: impl FnMut(&str) -> Result<Table>) -> Result<Self> {
        Ok(Self {
            meta: table("meta")?,
            accounts: table("accounts")?,
            mailboxes: table("mailboxes")?,
            names: table("names")?,
            groups: table("groups")?,
            messages: table("messages")?,
            retained: table("retained")?,
            cards: table("cards")?,
            uidmap: table("uidmap")?,
            changes: table("changes")?,
            keywords: table("keywords")?,
            blobs: table("blobs")?,
            packs: table("packs")?,
            queue: table("queue")?,
            due: table("due")?,
            leases: table("leases")?,
            journal: table("journal")?,
            doomed: table("doomed")?,
        })
    }

    /// Identity of the index: another one whenever it is made anew.
    pub fn identity(&self, txn: &RoTxn<'_>) -> Result<[u8; 16]> {
        let found = self.meta.get(txn, b"volume")?.and_then(|bytes| bytes.try_into().ok());
        found.ok_or_else(|| damaged("meta", "volume"))
    }

    /// The volume's counters.
    pub fn counters(&self, txn: &RoTxn<'_>) -> Result<Counters> {
        match self.meta.get(txn, b"counters")? {
            None => Ok(Counters::default()),
            Some(bytes) => Counters::decode(bytes).ok_or_else(|| damaged("meta", "counters")),
        }
    }

    /// One account, `None` when the store has not seen it.
    pub fn account(&self, txn: &RoTxn<'_>, account: AccountId) -> Result<Option<AccountRecord>> {
        let Some(bytes) = self.accounts.get(txn, &keys::account(account))? else {
            return Ok(None);
        };
        AccountRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("accounts", account))
    }

    /// One quota group; an absent row is an empty one.
    pub fn group(&self, txn: &RoTxn<'_>, name: &str) -> Result<GroupRecord> {
        let Some(bytes) = self.groups.get(txn, name.as_bytes())? else {
            return Ok(GroupRecord::default());
        };
        GroupRecord::decode(bytes).ok_or_else(|| damaged("groups", name))
    }

    /// True when somebody holds a lease whose name begins with `prefix` at `now` (microseconds since 1970).
    pub fn leased(&self, txn: &RoTxn<'_>, prefix: &str, now: u64) -> Result<bool> {
        for row in self.leases.prefix_iter(txn, prefix.as_bytes())? {
            let (key, value) = row?;
            let lease = LeaseRecord::decode(value).ok_or_else(|| damaged("leases", String::from_utf8_lossy(key)))?;
            if lease.expires > now {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One mailbox by its number.
    pub fn mailbox(&self, txn: &RoTxn<'_>, account: AccountId, mailbox: MailboxId) -> Result<Option<MailboxRecord>> {
        let Some(bytes) = self.mailboxes.get(txn, &keys::mailbox(account, mailbox))? else {
            return Ok(None);
        };
        MailboxRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("mailboxes", mailbox))
    }

    /// One name.
    pub fn name(&self, txn: &RoTxn<'_>, account: AccountId, name: &str) -> Result<Option<NameRecord>> {
        let Some(bytes) = self.names.get(txn, &keys::name(account, name))? else {
            return Ok(None);
        };
        NameRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("names", name))
    }

    /// One message.
    pub fn message(&self, txn: &RoTxn<'_>, mailbox: MailboxId, uid: Uid) -> Result<Option<MessageRecord>> {
        let Some(bytes) = self.messages.get(txn, &keys::message(mailbox, uid))? else {
            return Ok(None);
        };
        MessageRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("messages", format!("{mailbox}:{uid}")))
    }

    /// One row of the UID map; an absent row is an empty one.
    pub fn uid_chunk(&self, txn: &RoTxn<'_>, mailbox: MailboxId, chunk: u32) -> Result<UidChunk> {
        let Some(bytes) = self.uidmap.get(txn, &keys::uid_chunk(mailbox, chunk))? else {
            return Ok(UidChunk::default());
        };
        UidChunk::decode(bytes).ok_or_else(|| damaged("uidmap", format!("{mailbox}:{chunk}")))
    }

    /// One blob.
    pub fn blob(&self, txn: &RoTxn<'_>, blob: BlobId) -> Result<Option<BlobRecord>> {
        let Some(bytes) = self.blobs.get(txn, &keys::blob(blob))? else {
            return Ok(None);
        };
        BlobRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("blobs", blob))
    }

    /// One pack.
    pub fn pack(&self, txn: &RoTxn<'_>, pack: PackId) -> Result<Option<PackRecord>> {
        let Some(bytes) = self.packs.get(txn, &keys::pack(pack))? else {
            return Ok(None);
        };
        PackRecord::decode(bytes)
            .map(Some)
            .ok_or_else(|| damaged("packs", pack))
    }

    /// One queue item with its whole state.
    pub fn queue_item(&self, txn: &RoTxn<'_>, id: QueueId) -> Result<Option<QueueRecord>> {
        let Some(bytes) = self.queue.get(txn, &keys::queue(id, 0))? else {
            return Ok(None);
        };
        let mut record = QueueRecord::decode(bytes).ok_or_else(|| damaged("queue", id))?;
        for part in 1..=record.parts {
            let more = self
                .queue
                .get(txn, &keys::queue(id, part))?
                .ok_or_else(|| damaged("queue", id))?;
            record.state.extend_from_slice(more);
        }
        Ok(Some(record))
    }

    /// The account's keywords as (number, keyword).
    pub fn account_keywords(&self, txn: &RoTxn<'_>, account: AccountId) -> Result<Vec<(u8, Vec<u8>)>> {
        let mut found = Vec::new();
        for row in self.keywords.prefix_iter(txn, &keys::account(account))? {
            let (key, value) = row?;
            let number = key.get(4).copied().filter(|&number| number < 64);
            found.push((number.ok_or_else(|| damaged("keywords", account))?, value.to_vec()));
        }
        Ok(found)
    }
}

/// The error for a row that does not decode.
pub fn damaged(table: &str, row: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("index table {table}, row {row}"))
}
