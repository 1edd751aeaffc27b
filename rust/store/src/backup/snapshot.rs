//! A snapshot's index, opened for reading alone: nothing in the backup is changed, not even by a lock file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::db::env;
use crate::db::keys;
use crate::db::records::{AccountRecord, MailboxRecord, PackRecord};
use crate::db::tables::{Tables, damaged};
use crate::error::{Result, StoreError};
use crate::ids::PackId;
use crate::jobs::ReadContext;
use crate::opening;
use crate::pack::read::PackFiles;
use crate::search::filter::index::SearchIndex;
use crate::volume::FORMAT;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages.
    pub messages: u64,
    /// Octets of messages, as mailboxes count them.
    pub octets: u64,
}

/// An open snapshot.
#[derive(Debug)]
pub struct Snapshot {
    context: ReadContext,
}

impl Snapshot {
    /// Opens the index in the folder `index` over packs in the folder `packs`.
    ///
    /// `Open` when it is of another format than this release's own.
    pub fn open(index: &Path, packs: &Path) -> Result<Self> {
        if !index.join("data.mdb").is_file() {
            return Err(StoreError::NotFound(format!("{} holds no index", index.display())));
        }
        let env = env::open_copy(index)?;
        let txn = env.read_txn()?;
        let format = opening::stored_format(&env, &txn)?;
        if format != Some(FORMAT) {
            let format = format.map_or_else(|| "unreadable".to_owned(), |format| format.to_string());
            return Err(StoreError::Open(format!(
                "its format is {format}, this release reads {FORMAT}; restore it whole into a new directory first"
            )));
        }
        let tables = Tables::open(&env, &txn)?;
        // The handles outlive the transaction only when it is committed (lmdb.md 4.25).
        txn.commit()?;
        Ok(Self {
            context: ReadContext {
                env,
                tables,
                packs: Arc::new(PackFiles::new(packs.to_owned())),
                // A backup has no search index, and none is built for it.
                search: Arc::new(SearchIndex::new(index.join("search"), [0; 16], false)),
            },
        })
    }

    /// For read jobs.
    #[must_use]
    pub fn context(&self) -> &ReadContext {
        &self.context
    }

    /// Identity of the volume.
    pub fn volume(&self) -> Result<[u8; 16]> {
        identity(&self.context)
    }

    /// Packs and their rows.
    pub fn packs(&self) -> Result<BTreeMap<PackId, PackRecord>> {
        let txn = self.context.begin()?;
        let mut packs = BTreeMap::new();
        for row in self.context.tables.packs.iter(&txn)? {
            let (key, value) = row?;
            let pack = keys::u64_at(key, 0)
                .map(PackId)
                .ok_or_else(|| damaged("packs", "key"))?;
            let record = PackRecord::decode(value).ok_or_else(|| damaged("packs", pack))?;
            packs.insert(pack, record);
        }
        Ok(packs)
    }

    /// Adds up what the rows of accounts and mailboxes say.
    pub fn counts(&self) -> Result<Counts> {
        let txn = self.context.begin()?;
        let mut counts = Counts::default();
        for row in self.context.tables.accounts.iter(&txn)? {
            counts.accounts += u64::from(AccountRecord::decode(row?.1).is_some_and(|record| !record.removing));
        }
        for row in self.context.tables.mailboxes.iter(&txn)? {
            if let Some(record) = MailboxRecord::decode(row?.1) {
                counts.mailboxes += 1;
                counts.messages += u64::from(record.messages);
                counts.octets += record.size;
            }
        }
        Ok(counts)
    }

    /// Closes the index, so that the same path can be opened again.
    pub fn close(self) {
        let closing = self.context.env.prepare_for_closing();
        closing.wait();
    }
}

/// Identity of a volume.
pub(crate) fn identity(context: &ReadContext) -> Result<[u8; 16]> {
    let txn = context.begin()?;
    let volume = context.tables.meta.get(&txn, b"volume")?;
    volume
        .and_then(|octets| octets.try_into().ok())
        .ok_or_else(|| damaged("meta", "volume"))
}
