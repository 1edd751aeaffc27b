//! Writes the new index: rows of everything that the journal has told and the packs still hold.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use heed::{Env, RwTxn, WithoutTls};
use rustix::fs::FlockOperation;

use super::state::{Mailbox, Message, State};
use super::{Contents, Rebuilt, Scan};
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
use crate::pack::recover::lock_writer;
use crate::pack::window;
use crate::prepare::{Recipient, recipients, structure_and_card, sync_folder};
use crate::volume::FORMAT;

/// Rows put in one transaction, about.
const STEP_ROWS: usize = 50_000;
/// How far the modseqs of an account are set ahead of the greatest that was told: EXPUNGEs, which are told without, have
/// taken some.
const MODSEQ_AHEAD: u64 = 1 << 20;
/// How far UIDNEXT is set ahead where the last UIDs given out may not have been told.
const UIDS_AHEAD: Uid = 1 << 16;
/// Likewise for the numbers of mailboxes, which name them to clients.
const MAILBOXES_AHEAD: MailboxId = 1 << 16;

/// Holds the volume against everybody else.
pub(super) struct Lock {
    _opening: File,
    _writers: Vec<std::os::fd::OwnedFd>,
}

/// Takes the volume alone; `Open` when somebody has it open.
pub(super) fn lock(folder: &Path) -> Result<Lock> {
    let taken = || {
        StoreError::Open(format!(
            "{} is open in another process: stop that first",
            folder.display()
        ))
    };
    let opening = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("open.lock"))?;
    rustix::fs::flock(&opening, FlockOperation::NonBlockingLockExclusive).map_err(|_| taken())?;
    let mut writers = Vec::new();
    for entry in std::fs::read_dir(folder.join("packs"))? {
        let path = entry?.path();
        if path.join("lock").exists() {
            writers.push(lock_writer(&path)?.ok_or_else(taken)?);
        }
    }
    Ok(Lock {
        _opening: opening,
        _writers: writers,
    })
}

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

struct Builder<'b> {
    environment: &'b Env<WithoutTls>,
    txn: Option<RwTxn<'b>>,
    rows: usize,
    tables: Tables,
    scan: &'b Scan,
    packs: PathBuf,
    now: u32,
    references: HashMap<Digest, u32>,
    /// Something was found that no journal told of, or is damaged, or a writer has not ended: what was given out last is
    /// not known.
    is_doubtful: bool,
}

/// A message that no journal has told of, for one of those whom its hint names.
struct FoundMessage {
    body: Digest,
    prefix: Digest,
    recipient: Recipient,
    received: i64,
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

    /// Bodies that no journal has told of, with the prefix that follows each in its pack, in the order of the packs.
    fn found(&self, state: &State, report: &mut Rebuilt) -> Vec<FoundMessage> {
        let mut found = Vec::new();
        for (index, digest) in self.scan.order.iter().enumerate() {
            let Some(contents) = self.scan.contents.get(digest) else {
                continue;
            };
            let is_told = !contents.untold || state.has_told(digest) || state.has_ended(contents.pack.writer());
            if contents.kind != RecordKind::Body || is_told {
                continue;
            }
            // What was never answered may be torn: it is worth a line of the report, and no message.
            let record = match contents.verify(&self.packs) {
                Ok(record) => record,
                Err(error) => {
                    report.damaged.push(error.to_string());
                    continue;
                }
            };
            let to = recipients(record.header().account, record.hint());
            if to.is_empty() {
                report.damaged.push(format!(
                    "pack {}: the body at {} was to be sent on, and to whom is lost",
                    contents.pack, contents.offset
                ));
                continue;
            }
            let prefixes = self.prefixes_behind(index, contents);
            for recipient in to {
                if state.accounts.get(&recipient.account).is_some_and(|row| row.removing) {
                    continue;
                }
                // Nobody gets a trace header that may be another's: it may name whom the others must not know.
                let own = prefixes.iter().find(|(_, of)| of.contains(&recipient));
                let prefix = own.map(|(digest, _)| *digest).unwrap_or_default();
                found.push(FoundMessage {
                    body: *digest,
                    prefix,
                    recipient,
                    received: record.header().received,
                });
            }
        }
        found
    }

    /// The prefixes that follow a body in its pack, and whose each is.
    fn prefixes_behind(&self, index: usize, body: &Contents) -> Vec<(Digest, Vec<Recipient>)> {
        let mut end = body.offset + u64::from(body.length);
        let mut prefixes = Vec::new();
        for digest in self.scan.order.iter().skip(index + 1) {
            let Some(contents) = self.scan.contents.get(digest) else {
                break;
            };
            if contents.kind != RecordKind::Prefix || (contents.pack, contents.offset) != (body.pack, end) {
                break;
            }
            end += u64::from(contents.length);
            if let Ok(record) = contents.verify(&self.packs) {
                prefixes.push((*digest, recipients(record.header().account, record.hint())));
            }
        }
        prefixes
    }

    /// Gives found messages to the mailboxes that they were meant for, behind all UIDs that can have been given out.
    fn place_found(&mut self, state: &mut State, found: Vec<FoundMessage>, report: &mut Rebuilt) {
        if self.is_doubtful {
            state.mailbox_next = state.mailbox_next.max(1).saturating_add(MAILBOXES_AHEAD);
            for mailbox in state.mailboxes.values_mut() {
                mailbox.row.uid_next = mailbox.row.uid_next.saturating_add(UIDS_AHEAD);
            }
        }
        let mut named: HashMap<(AccountId, String), MailboxId> = state
            .mailboxes
            .iter()
            .filter(|(_, mailbox)| mailbox.gone.is_none())
            .map(|(id, mailbox)| ((mailbox.account, mailbox.row.name.clone()), *id))
            .collect();
        for found in found {
            let recipient = &found.recipient;
            let placed = self.next_uid(state, &mut named, recipient.account, &recipient.mailbox);
            let Some((mailbox, uid)) = placed else {
                report
                    .damaged
                    .push(format!("account {} has no UIDs left", recipient.account));
                continue;
            };
            let length = |digest: &Digest| self.scan.contents.get(digest).map_or(0, |found| found.raw_len);
            let row = MessageRecord {
                internal_date: found.received,
                size: length(&found.body).saturating_add(length(&found.prefix)),
                prefix_len: length(&found.prefix),
                saved: self.now,
                ..MessageRecord::default()
            };
            report.found += 1;
            let message = Message::new(found.body, found.prefix, row);
            state.messages.insert((mailbox, uid), message);
        }
    }

    /// The mailbox of that name, made when missing, and its next UID. A removed account is nobody's.
    fn next_uid(
        &self,
        state: &mut State,
        named: &mut HashMap<(AccountId, String), MailboxId>,
        account: AccountId,
        name: &str,
    ) -> Option<(MailboxId, Uid)> {
        let row = state.accounts.entry(account).or_default();
        if row.removing {
            return None;
        }
        let id = match named.get(&(account, name.to_owned())) {
            Some(&id) => id,
            None => {
                let id = state.mailbox_next.max(1);
                state.mailbox_next = id.checked_add(1)?;
                row.uid_validity_last = row.uid_validity_last.saturating_add(1).max(self.now);
                let record = MailboxRecord {
                    uid_validity: row.uid_validity_last,
                    uid_next: 1,
                    recent_from: 1,
                    name: name.to_owned(),
                    ..MailboxRecord::default()
                };
                let mailbox = Mailbox {
                    account,
                    row: record,
                    gone: None,
                };
                state.mailboxes.insert(id, mailbox);
                state.names.insert((account, name.to_owned()), true);
                named.insert((account, name.to_owned()), id);
                id
            }
        };
        let mailbox = state.mailboxes.get_mut(&id)?;
        let uid = mailbox.row.uid_next;
        mailbox.row.uid_next = uid.checked_add(1)?;
        Some((id, uid))
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
