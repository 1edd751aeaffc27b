//! Writes the new index: rows of everything that the journal has told and the packs still hold.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use heed::{Env, RwTxn, WithoutTls};

use super::Rebuilt;
use super::scan::{Contents, Scan};
use super::state::{Message, State};
use crate::apply::{CHECKPOINT, CHECKPOINT_WRITERS};
use crate::card;
use crate::db::keys;
use crate::db::records::{
    AccountRecord, BlobRecord, Counters, GroupRecord, MailboxRecord, MessageRecord, NameRecord, PackRecord, PackState,
    QueueRecord, RetainedRecord, flag,
};
use crate::db::tables::{Table, Tables};
use crate::db::uids::UidChunk;
use crate::db::{self, env};
use crate::error::{Result, StoreError};
use crate::failpoints;
use crate::ids::{AccountId, BlobId, MailboxId, PackId, Uid};
use crate::journal::Digest;
use crate::opening::map_size_of;
use crate::pack::format::RecordKind;
use crate::pack::window;
use crate::prepare::{structure_and_card, sync_folder};
use crate::volume::FORMAT;

/// Rows put in one transaction, about.
const STEP_ROWS: usize = 50_000;
/// How far the modseqs of an account are set ahead of the greatest that was told: EXPUNGEs, which are told without, have
/// taken some.
const MODSEQ_AHEAD: u64 = 1 << 20;

/// Builds `index` from what was read; the old one becomes `index.old-<n>`.
pub(super) fn build(folder: &Path, map_size: usize, scan: &Scan, state: State, report: &mut Rebuilt) -> Result<()> {
    let making = folder.join("index.new");
    match std::fs::remove_dir_all(&making) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    std::fs::create_dir_all(&making)?;
    let environment = env::open(&making, map_size_of(map_size), false)?;
    let mut txn = environment.write_txn()?;
    let tables = Tables::create(&environment, &mut txn)?;
    txn.commit()?;
    failpoints::pass("rebuild-fill")?;
    let mut builder = Builder::new(&environment, tables, scan, folder.join("packs"))?;
    builder.fill(state, report)?;
    builder.commit()?;
    drop(builder);
    failpoints::pass("rebuild-sync")?;
    environment.force_sync()?;
    environment.prepare_for_closing().wait();
    sync_folder(&making)?;
    super::aside::set_aside(folder, &scan.unreadable)?;
    failpoints::pass("rebuild-rename")?;
    let index = folder.join("index");
    if index.exists() {
        let old = (1..)
            .map(|number: u32| folder.join(format!("index.old-{number}")))
            .find(|path| !path.exists());
        std::fs::rename(&index, old.unwrap_or_else(|| folder.join("index.old")))?;
    }
    failpoints::pass("rebuild-between-renames")?;
    std::fs::rename(&making, &index)?;
    failpoints::pass("rebuild-renamed")?;
    sync_folder(folder)?;
    Ok(())
}

pub(super) struct Builder<'b> {
    environment: &'b Env<WithoutTls>,
    txn: Option<RwTxn<'b>>,
    rows: usize,
    tables: Tables,
    pub(super) scan: &'b Scan,
    pub(super) packs: PathBuf,
    pub(super) now: u32,
    references: HashMap<Digest, u32>,
    /// Something was found that no journal told of, or is damaged, or a writer has not ended: what was given out last is
    /// not known.
    pub(super) is_doubtful: bool,
}

/// What the messages of a mailbox add up to, and its UID map.
#[derive(Default)]
struct Sums {
    messages: u32,
    unseen: u32,
    deleted: u32,
    size: u64,
    chunks: BTreeMap<u32, UidChunk>,
}

impl Sums {
    fn add(&mut self, uid: Uid, row: &MessageRecord) {
        self.messages += 1;
        self.unseen += u32::from(row.flags & flag::SEEN == 0);
        self.deleted += u32::from(row.flags & flag::DELETED != 0);
        self.size += u64::from(row.size);
        let chunk = self.chunks.entry(uid / keys::UIDS_PER_CHUNK).or_default();
        chunk.put(uid % keys::UIDS_PER_CHUNK, row.flags);
    }
}

impl<'b> Builder<'b> {
    fn new(environment: &'b Env<WithoutTls>, tables: Tables, scan: &'b Scan, packs: PathBuf) -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            environment,
            txn: Some(environment.write_txn()?),
            rows: 0,
            tables,
            scan,
            packs,
            now: u32::try_from(since.as_secs()).unwrap_or(u32::MAX).max(1),
            references: HashMap::new(),
            is_doubtful: false,
        })
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<()> {
        if self.rows >= STEP_ROWS {
            self.commit()?;
            self.txn = Some(self.environment.write_txn()?);
        }
        self.rows += 1;
        match &mut self.txn {
            Some(txn) => Ok(table.put(txn, key, value)?),
            None => Err(StoreError::Failed("no transaction is open".to_owned())),
        }
    }

    fn commit(&mut self) -> Result<()> {
        self.rows = 0;
        if let Some(txn) = self.txn.take() {
            txn.commit()?;
        }
        Ok(())
    }

    fn fill(&mut self, mut state: State, report: &mut Rebuilt) -> Result<()> {
        let found = self.found(&state, report);
        // Of a writer that has not ended the last transactions may have stood in the lost index alone.
        let all_ended = self.scan.writers.iter().all(|writer| state.has_ended(*writer));
        self.is_doubtful = !found.is_empty() || !report.damaged.is_empty() || !all_ended;
        self.place_found(&mut state, found, report);
        let mut sums: BTreeMap<MailboxId, Sums> = BTreeMap::new();
        let messages = std::mem::take(&mut state.messages);
        for ((mailbox, uid), message) in &messages {
            self.message(&state, *mailbox, *uid, message, &mut sums, report)?;
        }
        drop(messages);
        self.queue(&state, report)?;
        self.mailboxes(&mut state, sums, report)?;
        self.blobs(report)?;
        self.counters(&state)
    }

    fn holds(&self, digest: &Digest, kind: RecordKind) -> bool {
        self.scan.contents.get(digest).is_some_and(|found| found.kind == kind)
    }

    /// The number of a blob that is in a pack, which gets one more reference; 0 for none.
    fn refer(&mut self, digest: &Digest, kind: RecordKind) -> Option<BlobId> {
        if *digest == Digest::default() {
            return Some(0);
        }
        let contents = self.scan.contents.get(digest).filter(|found| found.kind == kind)?;
        *self.references.entry(*digest).or_default() += 1;
        Some(contents.blob)
    }

    fn message(
        &mut self,
        state: &State,
        mailbox: MailboxId,
        uid: Uid,
        message: &Message,
        sums: &mut BTreeMap<MailboxId, Sums>,
        report: &mut Rebuilt,
    ) -> Result<()> {
        let Some(home) = state.mailboxes.get(&mailbox) else {
            return Ok(());
        };
        let has_prefix = message.prefix == Digest::default() || self.holds(&message.prefix, RecordKind::Prefix);
        if !self.holds(&message.body, RecordKind::Body) || !has_prefix {
            // Of a message that is retained nobody misses what compaction has rightly dropped.
            if message.retained.is_none() {
                report.lost += 1;
                report.damaged.push(format!(
                    "account {}, mailbox {:?}, UID {uid}: its octets are in no pack",
                    home.account, home.row.name
                ));
            }
            return Ok(());
        }
        let (Some(blob), Some(prefix)) = (
            self.refer(&message.body, RecordKind::Body),
            self.refer(&message.prefix, RecordKind::Prefix),
        ) else {
            return Ok(());
        };
        let row = MessageRecord {
            blob,
            prefix,
            ..message.row
        };
        if let Some(at) = message.retained {
            let record = RetainedRecord {
                message: row,
                name: home.row.name.clone(),
            };
            report.retained += 1;
            return self.put(
                self.tables.retained,
                &keys::retained(home.account, at, mailbox, uid),
                &record.encode(),
            );
        }
        sums.entry(mailbox).or_default().add(uid, &row);
        report.messages += 1;
        self.put(self.tables.messages, &keys::message(mailbox, uid), &row.encode())
    }

    fn queue(&mut self, state: &State, report: &mut Rebuilt) -> Result<()> {
        for (id, (body, prefix, row)) in &state.queue {
            let (Some(blob), Some(prefix)) = (
                self.refer(body, RecordKind::Body),
                self.refer(prefix, RecordKind::Prefix),
            ) else {
                report.lost += 1;
                report
                    .damaged
                    .push(format!("queue item {id}: its octets are in no pack"));
                continue;
            };
            let mut pieces = row.state.chunks(QueueRecord::STATE_OCTETS);
            let record = QueueRecord {
                blob,
                prefix,
                state: pieces.next().unwrap_or_default().to_vec(),
                parts: pieces.len() as u16,
                ..row.clone()
            };
            self.put(self.tables.queue, &keys::queue(*id, 0), &record.encode())?;
            for (index, piece) in pieces.enumerate() {
                self.put(self.tables.queue, &keys::queue(*id, index as u16 + 1), piece)?;
            }
            self.put(self.tables.due, &keys::due(row.due, *id), &[])?;
            report.queue += 1;
        }
        Ok(())
    }

    fn mailboxes(
        &mut self,
        state: &mut State,
        mut sums: BTreeMap<MailboxId, Sums>,
        report: &mut Rebuilt,
    ) -> Result<()> {
        let mut names: BTreeMap<(AccountId, String), MailboxId> = BTreeMap::new();
        for (id, mailbox) in &state.mailboxes {
            if mailbox.gone.is_some() {
                continue;
            }
            let account = mailbox.account;
            let sum = sums.remove(id).unwrap_or_default();
            let mut name = mailbox.row.name.clone();
            if names.contains_key(&(account, name.clone())) {
                name = format!("{name}-{id}");
                self.is_doubtful = true;
            }
            names.insert((account, name.clone()), *id);
            let row = MailboxRecord {
                recent_from: mailbox.row.uid_next,
                messages: sum.messages,
                unseen: sum.unseen,
                deleted: sum.deleted,
                size: sum.size,
                name,
                ..mailbox.row.clone()
            };
            self.put(self.tables.mailboxes, &keys::mailbox(account, *id), &row.encode())?;
            for (chunk, set) in &sum.chunks {
                self.put(self.tables.uidmap, &keys::uid_chunk(*id, *chunk), &set.encode())?;
            }
            let home = state.accounts.entry(account).or_default();
            home.mailboxes += 1;
            home.messages += u64::from(row.messages);
            home.octets += row.size;
            report.mailboxes += 1;
        }
        for ((account, name), subscribed) in &state.names {
            let mailbox = names.remove(&(*account, name.clone())).unwrap_or(0);
            if mailbox != 0 || *subscribed {
                self.name(*account, mailbox, name, *subscribed)?;
            }
        }
        for ((account, name), mailbox) in names {
            self.name(account, mailbox, &name, true)?;
        }
        for ((account, number), keyword) in &state.keywords {
            self.put(
                self.tables.keywords,
                &keys::keyword(*account, *number),
                keyword.as_bytes(),
            )?;
        }
        self.accounts(state, report)
    }

    fn name(&mut self, account: AccountId, mailbox: MailboxId, name: &str, subscribed: bool) -> Result<()> {
        let row = NameRecord {
            mailbox,
            subscribed,
            name: name.to_owned(),
        };
        self.put(self.tables.names, &keys::name(account, name), &row.encode())
    }

    fn accounts(&mut self, state: &State, report: &mut Rebuilt) -> Result<()> {
        let mut groups: BTreeMap<String, GroupRecord> = BTreeMap::new();
        for (name, (messages, octets)) in &state.groups {
            let group = groups.entry(name.clone()).or_default();
            (group.limit_messages, group.limit_octets) = (*messages, *octets);
        }
        for (account, record) in &state.accounts {
            let mut row = record.clone();
            if row.removing {
                row = AccountRecord {
                    removing: true,
                    ..AccountRecord::default()
                };
            } else {
                row.highest_modseq = row.highest_modseq.saturating_add(MODSEQ_AHEAD);
                // What happened before is not known: every client compares its whole mailbox.
                row.changes_after = row.highest_modseq;
                report.accounts += 1;
                if !row.group.is_empty() {
                    let group = groups.entry(row.group.clone()).or_default();
                    group.messages += row.messages;
                    group.octets += row.octets;
                }
            }
            self.put(self.tables.accounts, &keys::account(*account), &row.encode())?;
        }
        for (name, group) in groups {
            self.put(self.tables.groups, name.as_bytes(), &group.encode())?;
        }
        Ok(())
    }

    /// Rows of blobs that something points to, their cards, and the packs.
    fn blobs(&mut self, report: &mut Rebuilt) -> Result<()> {
        let mut packs: BTreeMap<PackId, PackRecord> = BTreeMap::new();
        for &(pack, end, journal) in &self.scan.packs {
            let row = PackRecord {
                state: PackState::Sealed,
                synced: end,
                journal,
                sealed: self.now,
                ..PackRecord::default()
            };
            packs.insert(pack, row);
        }
        for digest in &self.scan.order {
            let (Some(contents), Some(&references)) = (self.scan.contents.get(digest), self.references.get(digest))
            else {
                continue;
            };
            let row = BlobRecord {
                pack: contents.pack,
                offset: contents.offset,
                length: contents.length,
                raw_len: contents.raw_len,
                references,
                digest: *digest,
            };
            self.put(self.tables.blobs, &keys::blob(contents.blob), &row.encode())?;
            if let Some(pack) = packs.get_mut(&contents.pack) {
                pack.point(contents.blob, contents.length);
            }
            if contents.kind == RecordKind::Body {
                let card = match self.card(contents) {
                    Ok(card) => card,
                    Err(error) => {
                        report.damaged.push(error.to_string());
                        card::for_index(&structure_and_card(&mut &b""[..]).1)
                    }
                };
                self.put(self.tables.cards, &keys::blob(contents.blob), &card)?;
            } else if contents.kind == RecordKind::Prefix {
                // One that cannot be read is marked as well: header searches then look for it.
                let prefix = contents.open(&self.packs).and_then(|record| record.read_all());
                let mark = card::for_prefix(&prefix.unwrap_or_else(|_| b"\r\n".to_vec()));
                if !mark.is_empty() {
                    self.put(self.tables.cards, &keys::blob(contents.blob), &mark)?;
                }
            }
        }
        for (pack, row) in packs {
            self.put(self.tables.packs, &keys::pack(pack), &row.encode())?;
        }
        Ok(())
    }

    /// The index card of a body: as its record has it, or made anew.
    fn card(&self, contents: &Contents) -> Result<Vec<u8>> {
        let record = contents.open(&self.packs)?;
        if card::Card::decode(record.card()).is_some() {
            return Ok(card::for_index(record.card()));
        }
        let mut message = window::of_record(&record);
        let full_card = structure_and_card(&mut message).1;
        message.finish()?;
        Ok(card::for_index(&full_card))
    }

    fn counters(&mut self, state: &State) -> Result<()> {
        let counters = Counters {
            writer: self.scan.writers.iter().max().map_or(1, |last| last + 1),
            mailbox: state.mailbox_next.max(1),
            blob: self.scan.order.len() as BlobId + 1,
            queue: state.queue_next.max(1),
            journal: state.journal_next,
        };
        self.put(self.tables.meta, b"counters", &counters.encode())?;
        if self.is_doubtful {
            // What was found, and the mailboxes made for it, no journal knows: it is told, or a second rebuild would
            // lose what comes to be after this one.
            self.put(self.tables.meta, CHECKPOINT, &[0])?;
            self.put(self.tables.meta, CHECKPOINT_WRITERS, &counters.writer.to_le_bytes())?;
        }
        // As if none of them had ended in order: the next open removes files that no row knows.
        for writer in &self.scan.writers {
            self.put(self.tables.meta, &keys::writer(*writer), &0_u32.to_le_bytes())?;
        }
        self.put(self.tables.meta, b"format", &FORMAT.to_le_bytes())?;
        self.put(self.tables.meta, b"features", &0_u64.to_le_bytes())?;
        let identity = db::identity();
        self.put(self.tables.meta, b"volume", &identity)
    }
}
