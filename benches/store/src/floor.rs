//! The floor below durable appends: a bare loop that does to the disk what the store's batches do to it, and nothing else.
//!
//! The same octets into a preallocated file, `fdatasync`, one LMDB transaction of as many rows with keys and values of the
//! same sizes in tables of the same names, commit.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags, WithoutTls};
use ironpost_store::Volume;
use ironpost_store::db::keys;
use ironpost_store::db::records::MessageRecord;
use ironpost_store::db::tables::Table;
use ironpost_store::journal::Entry;

use crate::Fault;

/// As the store allocates its packs.
const ALLOCATE_OCTETS: u64 = 8 << 20;
const TABLES: [&str; 10] = [
    "blobs",
    "cards",
    "messages",
    "changes",
    "mailboxes",
    "accounts",
    "uidmap",
    "packs",
    "meta",
    "journal",
];
/// Octets of the journal in one row, as in the store.
const JOURNAL_ROW: usize = 1900;

/// Rows so far in the tables that only grow, to tell what a turn of the store has added; and its counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) messages: u64,
    pub(crate) blobs: u64,
    pub(crate) changes: u64,
    pub(crate) batches: u64,
    pub(crate) pack_syncs: u64,
    pub(crate) commits: u64,
    pub(crate) octets: u64,
}

impl Mark {
    pub(crate) fn of(volume: &Volume) -> Result<Self, Fault> {
        let context = volume.context();
        let txn = context.begin()?;
        let metrics = volume.metrics();
        let count = |name: &str| metrics.get(name).copied().unwrap_or(0);
        Ok(Self {
            messages: context.tables.messages.len(&txn)?,
            blobs: context.tables.blobs.len(&txn)?,
            changes: context.tables.changes.len(&txn)?,
            batches: count("batches"),
            pack_syncs: count("pack_syncs"),
            commits: count("commits"),
            octets: count("bytes_appended"),
        })
    }
}

/// Sizes of the store's rows.
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    /// Of the last blobs: body and prefix.
    blobs: Vec<usize>,
    cards: Vec<usize>,
    message: usize,
    change: usize,
    mailbox: usize,
    account: usize,
    chunk: usize,
    pack: usize,
    counters: usize,
    /// Octets that one message adds to the journal.
    journal: usize,
}

impl Sizes {
    /// Looks at the rows that the volume has.
    pub(crate) fn of(volume: &Volume) -> Result<Self, Fault> {
        let context = volume.context();
        let txn = context.begin()?;
        let last = |table: &Table, rows: usize| -> Result<Vec<usize>, Fault> {
            let lengths: Result<Vec<usize>, _> = table
                .rev_iter(&txn)?
                .take(rows)
                .map(|row| row.map(|(_, value)| value.len()))
                .collect();
            Ok(lengths?)
        };
        let one = |table: &Table| -> Result<usize, Fault> { Ok(last(table, 1)?.first().copied().unwrap_or(0)) };
        let tables = &context.tables;
        let mut entry = Vec::new();
        Entry::Message(0, 0, [1; 16], [1; 16], MessageRecord::default()).encode(&mut entry);
        let counters = tables.meta.get(&txn, b"counters")?.map_or(0, <[u8]>::len);
        Ok(Self {
            blobs: last(&tables.blobs, 2)?,
            cards: last(&tables.cards, 2)?,
            message: one(&tables.messages)?,
            change: one(&tables.changes)?,
            mailbox: one(&tables.mailboxes)?,
            account: one(&tables.accounts)?,
            chunk: one(&tables.uidmap)?,
            pack: one(&tables.packs)?,
            counters,
            journal: entry.len(),
        })
    }

    /// Rows and octets (keys included) that a batch of so many messages to so many mailboxes writes.
    pub(crate) fn batch(&self, messages: f64, mailboxes: f64) -> (f64, f64) {
        let (blobs, cards): (usize, usize) = (self.blobs.iter().sum(), self.cards.iter().sum());
        let journal = (messages * self.journal as f64 / JOURNAL_ROW as f64).ceil();
        let rows =
            messages * (1.0 + self.blobs.len() as f64 + self.cards.len() as f64) + mailboxes * 4.0 + 2.0 + journal;
        let each = 8 * (1 + self.blobs.len() + self.cards.len()) + self.message + blobs + cards;
        let of_mailbox = 8 + 4 + 8 + 12 + self.mailbox + self.account + self.chunk + self.change;
        let octets = messages * (each + self.journal) as f64
            + mailboxes * of_mailbox as f64
            + (self.pack + self.counters + 16) as f64
            + journal * 8.0;
        (rows, octets)
    }
}

/// The bare loop.
pub(crate) struct Floor {
    file: File,
    length: u64,
    allocated: u64,
    env: Env<WithoutTls>,
    tables: Vec<Database<Bytes, Bytes>>,
    accounts: u64,
    /// Messages so far.
    messages: u64,
    blobs: u64,
    journal: std::ops::Range<u32>,
    octets: Vec<u8>,
}

impl Floor {
    /// `two_syncs` false: the commit syncs nothing, so that the file's is the only one.
    pub(crate) fn new(folder: &Path, accounts: u64, commit_syncs: bool) -> Result<Self, Fault> {
        std::fs::create_dir_all(folder)?;
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(64 << 30).max_dbs(TABLES.len() as u32);
        let mut flags = EnvFlags::NO_READ_AHEAD;
        if !commit_syncs {
            flags |= EnvFlags::NO_SYNC;
        }
        // SAFETY: the flags only advise the kernel and leave out syncs; the environment is this process's alone.
        unsafe { options.flags(flags) };
        // SAFETY: the folder is this run's own and nobody else opens or changes what is in it.
        let env = unsafe { options.open(folder) }?;
        let mut txn = env.write_txn()?;
        let tables: Result<Vec<_>, heed::Error> = TABLES
            .iter()
            .map(|name| env.create_database(&mut txn, Some(name)))
            .collect();
        let tables = tables?;
        txn.commit()?;
        // Nothing that any layer below could compress or take for zeros.
        let mut state = 88_172_645_463_325_252_u64;
        let octets = (0..4 << 20)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state as u8
            })
            .collect();
        Ok(Self {
            file: File::create(folder.join("pack"))?,
            length: 0,
            allocated: 0,
            env,
            tables,
            accounts,
            messages: 0,
            blobs: 0,
            journal: 0..0,
            octets,
        })
    }

    /// One batch.
    pub(crate) fn batch(&mut self, sizes: &Sizes, messages: u64, octets: u64) -> Result<(), Fault> {
        if self.length + octets > self.allocated {
            rustix::fs::fallocate(
                &self.file,
                rustix::fs::FallocateFlags::empty(),
                self.allocated,
                ALLOCATE_OCTETS,
            )?;
            self.allocated += ALLOCATE_OCTETS;
        }
        let piece = self
            .octets
            .get(..octets as usize)
            .ok_or("a batch is larger than the floor's buffer")?;
        self.file.write_all_at(piece, self.length)?;
        self.length += octets;
        rustix::fs::fdatasync(&self.file)?;
        let [
            blobs,
            cards,
            rows,
            changes,
            mailboxes,
            accounts,
            uidmap,
            packs,
            meta,
            journal,
        ] = self.tables[..]
        else {
            return Err("tables are missing".into());
        };
        let value = &self.octets;
        let mut txn = self.env.write_txn()?;
        let first = self.messages;
        for message in first..first + messages {
            for (blob, card) in sizes.blobs.iter().zip(&sizes.cards) {
                let key = keys::blob(self.blobs);
                blobs.put_with_flags(&mut txn, PutFlags::APPEND, &key, &value[..*blob])?;
                cards.put_with_flags(&mut txn, PutFlags::APPEND, &key, &value[..*card])?;
                self.blobs += 1;
            }
            let (mailbox, uid) = ((message % self.accounts) as u32, (message / self.accounts) as u32);
            rows.put(&mut txn, &keys::message(mailbox, uid), &value[..sizes.message])?;
        }
        // Neighbouring messages go to different mailboxes.
        for message in first..first + messages.min(self.accounts) {
            let (mailbox, uid) = ((message % self.accounts) as u32, message / self.accounts);
            changes.put(&mut txn, &keys::change(mailbox, uid), &value[..sizes.change])?;
            mailboxes.put(&mut txn, &keys::mailbox(mailbox, mailbox), &value[..sizes.mailbox])?;
            accounts.put(&mut txn, &keys::account(mailbox), &value[..sizes.account])?;
            let chunk = keys::uid_chunk(mailbox, uid as u32 / keys::UIDS_PER_CHUNK);
            uidmap.put(&mut txn, &chunk, &value[..sizes.chunk])?;
        }
        self.messages += messages;
        packs.put(&mut txn, b"00000001", &value[..sizes.pack])?;
        meta.put(&mut txn, b"counters", &value[..sizes.counters])?;
        for part in self.journal.clone() {
            journal.delete(&mut txn, &keys::journal(1, part))?;
        }
        let mut left = messages as usize * sizes.journal;
        self.journal = self.journal.end..self.journal.end;
        while left > 0 {
            let piece = left.min(JOURNAL_ROW);
            journal.put(&mut txn, &keys::journal(1, self.journal.end), &value[..piece])?;
            self.journal.end += 1;
            left -= piece;
        }
        Ok(txn.commit()?)
    }

    /// `messages` and `octets` in so many batches.
    pub(crate) fn turn(&mut self, sizes: &Sizes, messages: u64, octets: u64, batches: u64) -> Result<(), Fault> {
        for number in 0..batches {
            let part = |whole: u64| whole * (number + 1) / batches - whole * number / batches;
            self.batch(sizes, part(messages), part(octets))?;
        }
        Ok(())
    }
}
