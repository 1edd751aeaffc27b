//! Checks all invariants of a volume (docs/storage-format.md, "Invariants") within one read transaction.
//!
//! It changes nothing. The transaction pins old pages while it lasts, so a full check belongs to quiet hours.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::FileExt;

use crate::card::Card;
use crate::db::keys;
use crate::db::records::{
    AccountRecord, BlobRecord, ChangeRecord, DoomedRecord, MailboxRecord, MessageRecord, NameRecord, PackRecord,
    QueueRecord, flag,
};
use crate::db::tables::{ReadTxn, Tables};
use crate::db::uids::UidChunk;
use crate::error::Result;
use crate::ids::{AccountId, BlobId, MailboxId, PackId};
use crate::jobs::ReadContext;
use crate::ops::CheckReport;
use crate::pack::compact::pack_of;
use crate::pack::format::{RECORD_HEADER, RecordKind, TRAILER, decode_file_header, trailer_fits};
use crate::pack::read::pack_path;

/// Problems told at most.
const PROBLEMS_MAX: usize = 1000;

/// Checks everything; `full` reads and hashes every record too.
pub fn check(context: &ReadContext, full: bool) -> Result<CheckReport> {
    let txn = context.begin()?;
    let mut check = Check {
        context,
        tables: &context.tables,
        txn: &txn,
        report: CheckReport::default(),
        accounts: HashMap::new(),
        mailboxes: HashMap::new(),
        doomed: HashMap::new(),
        bodies: HashMap::new(),
        prefixes: HashMap::new(),
        packs: HashMap::new(),
    };
    check.accounts()?;
    check.doomed()?;
    check.mailboxes()?;
    check.names()?;
    check.messages()?;
    check.changes()?;
    check.queue()?;
    check.blobs(full)?;
    check.cards()?;
    check.packs()?;
    check.counters()?;
    Ok(check.report)
}

/// What the messages of a mailbox add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    messages: u32,
    unseen: u32,
    deleted: u32,
    size: u64,
    last_uid: u32,
    highest_modseq: u64,
}

#[derive(Debug, Default)]
struct PackSums {
    live: u64,
    blobs: u32,
    end: u64,
}

struct Check<'c> {
    context: &'c ReadContext,
    tables: &'c Tables,
    txn: &'c ReadTxn<'c>,
    report: CheckReport,
    accounts: HashMap<AccountId, AccountRecord>,
    mailboxes: HashMap<MailboxId, (AccountId, MailboxRecord)>,
    doomed: HashMap<MailboxId, AccountId>,
    /// References counted, and the length that the rows claim.
    bodies: HashMap<BlobId, (u32, u32)>,
    prefixes: HashMap<BlobId, (u32, u32)>,
    packs: HashMap<PackId, PackSums>,
}

impl Check<'_> {
    fn problem(&mut self, text: String) {
        if self.report.problems.len() < PROBLEMS_MAX {
            self.report.problems.push(text);
        }
    }

    fn require(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            let text = text();
            self.problem(text);
        }
    }

    fn accounts(&mut self) -> Result<()> {
        for row in self.tables.accounts.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(account), Some(record)) = (keys::u32_at(key, 0), AccountRecord::decode(value)) else {
                self.problem(format!("account row {key:?} is damaged"));
                continue;
            };
            self.require(record.changes_after <= record.highest_modseq, || {
                format!("account {account}: changes begin after the highest modseq")
            });
            self.report.accounts += u64::from(!record.removing);
            self.accounts.insert(account, record);
        }
        Ok(())
    }

    fn doomed(&mut self) -> Result<()> {
        for row in self.tables.doomed.iter(self.txn)? {
            let (key, value) = row?;
            let Some(record) = DoomedRecord::decode(value) else {
                self.problem(format!("doomed row {key:?} is damaged"));
                continue;
            };
            if key.first() == Some(&b'm')
                && let Some(mailbox) = keys::u32_at(key, 1)
            {
                self.doomed.insert(mailbox, record.account);
            }
        }
        Ok(())
    }

    fn mailboxes(&mut self) -> Result<()> {
        let mut counts: HashMap<AccountId, u32> = HashMap::new();
        let mut validities = HashSet::new();
        for row in self.tables.mailboxes.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(account), Some(mailbox)) = (keys::u32_at(key, 0), keys::u32_at(key, 4)) else {
                self.problem(format!("mailbox key {key:?} is damaged"));
                continue;
            };
            let Some(record) = MailboxRecord::decode(value) else {
                self.problem(format!("mailbox {mailbox} is damaged"));
                continue;
            };
            self.report.mailboxes += 1;
            *counts.entry(account).or_default() += 1;
            let name = self.tables.name(self.txn, account, &record.name).ok().flatten();
            self.require(name.is_some_and(|name| name.mailbox == mailbox), || {
                format!("mailbox {mailbox}: its name does not lead to it")
            });
            self.require(validities.insert((account, record.uid_validity)), || {
                format!("mailbox {mailbox}: its UIDVALIDITY is not its own")
            });
            let last = self
                .accounts
                .get(&account)
                .map(|account| (account.uid_validity_last, account.highest_modseq));
            self.require(last.is_some_and(|(last, _)| record.uid_validity <= last), || {
                format!("mailbox {mailbox}: UIDVALIDITY beyond its account's")
            });
            self.require(
                last.is_some_and(|(_, highest)| record.highest_modseq <= highest),
                || format!("mailbox {mailbox}: modseq beyond its account's"),
            );
            self.require(record.uid_next > 0 && record.recent_from <= record.uid_next, || {
                format!("mailbox {mailbox}: \\Recent begins beyond UIDNEXT")
            });
            self.mailboxes.insert(mailbox, (account, record));
        }
        let accounts: Vec<(AccountId, u32)> = self
            .accounts
            .iter()
            .map(|(account, record)| (*account, record.mailboxes))
            .collect();
        for (account, told) in accounts {
            let counted = counts.remove(&account).unwrap_or_default();
            self.require(told == counted, || {
                format!("account {account}: {counted} mailboxes, its row says {told}")
            });
        }
        for account in counts.keys() {
            self.problem(format!("account {account} has mailboxes but no row"));
        }
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        for row in self.tables.names.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(account), Some(record)) = (keys::u32_at(key, 0), NameRecord::decode(value)) else {
                self.problem(format!("name row {key:?} is damaged"));
                continue;
            };
            self.require(keys::name(account, &record.name) == key, || {
                format!("account {account}: a name stands under another's key")
            });
            if record.mailbox == 0 {
                self.require(record.subscribed, || format!("account {account}: a name without a use"));
            } else {
                let known = self
                    .mailboxes
                    .get(&record.mailbox)
                    .is_some_and(|(of, _)| *of == account);
                self.require(known, || format!("account {account}: a name leads to no mailbox"));
            }
        }
        Ok(())
    }

    fn messages(&mut self) -> Result<()> {
        let mut sums: HashMap<MailboxId, Sums> = HashMap::new();
        let mut chunk: Option<((MailboxId, u32), UidChunk)> = None;
        let mut chunks = 0;
        for row in self.tables.messages.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(mailbox), Some(uid)) = (keys::u32_at(key, 0), keys::u32_at(key, 4)) else {
                self.problem(format!("message key {key:?} is damaged"));
                continue;
            };
            let Some(record) = MessageRecord::decode(value) else {
                self.problem(format!("message {mailbox}:{uid} is damaged"));
                continue;
            };
            let body_len = record.size.saturating_sub(record.prefix_len);
            reference(&mut self.bodies, record.blob, body_len);
            if record.prefix != 0 {
                reference(&mut self.prefixes, record.prefix, record.prefix_len);
            }
            self.require(
                record.blob != 0 && (record.prefix != 0 || record.prefix_len == 0),
                || format!("message {mailbox}:{uid}: has no body, or a prefix of nothing"),
            );
            let of = (mailbox, uid / keys::UIDS_PER_CHUNK);
            if chunk.as_ref().is_none_or(|(open, _)| *open != of) {
                if let Some((open, set)) = chunk.replace((of, UidChunk::default())) {
                    self.compare_chunk(open, &set);
                }
                chunks += 1;
            }
            if let Some((_, set)) = &mut chunk {
                let position = uid % keys::UIDS_PER_CHUNK;
                set.present.set(position, true);
                set.seen.set(position, record.flags & flag::SEEN != 0);
                set.deleted.set(position, record.flags & flag::DELETED != 0);
            }
            if self.doomed.contains_key(&mailbox) {
                continue;
            }
            self.report.messages += 1;
            let sum = sums.entry(mailbox).or_default();
            sum.messages += 1;
            sum.unseen += u32::from(record.flags & flag::SEEN == 0);
            sum.deleted += u32::from(record.flags & flag::DELETED != 0);
            sum.size += u64::from(record.size);
            sum.last_uid = uid;
            sum.highest_modseq = sum.highest_modseq.max(record.modseq);
        }
        if let Some((open, set)) = chunk {
            self.compare_chunk(open, &set);
        }
        // The map of a doomed mailbox goes after its messages.
        let rows = self.tables.uidmap.len(self.txn)?;
        self.require(rows == chunks || !self.doomed.is_empty(), || {
            format!("the UID map has {rows} rows, the messages fill {chunks}")
        });
        self.compare_sums(sums);
        Ok(())
    }

    fn compare_chunk(&mut self, of: (MailboxId, u32), counted: &UidChunk) {
        // A doomed mailbox is purged message by message, its map goes at the end.
        if self.doomed.contains_key(&of.0) {
            return;
        }
        let told = self.tables.uid_chunk(self.txn, of.0, of.1);
        self.require(told.is_ok_and(|told| told == *counted), || {
            format!(
                "mailbox {}: row {} of the UID map differs from the messages",
                of.0, of.1
            )
        });
    }

    fn compare_sums(&mut self, mut sums: HashMap<MailboxId, Sums>) {
        let mailboxes: Vec<(MailboxId, MailboxRecord)> = self
            .mailboxes
            .iter()
            .map(|(id, (_, record))| (*id, record.clone()))
            .collect();
        for (mailbox, record) in mailboxes {
            let counted = sums.remove(&mailbox).unwrap_or_default();
            let told = Sums {
                messages: record.messages,
                unseen: record.unseen,
                deleted: record.deleted,
                size: record.size,
                ..Sums {
                    last_uid: counted.last_uid,
                    highest_modseq: counted.highest_modseq,
                    ..Sums::default()
                }
            };
            self.require(told == counted, || {
                format!("mailbox {mailbox}: its counters say {told:?}, its messages {counted:?}")
            });
            self.require(counted.last_uid < record.uid_next, || {
                format!("mailbox {mailbox}: a UID beyond UIDNEXT")
            });
            self.require(counted.highest_modseq <= record.highest_modseq, || {
                format!("mailbox {mailbox}: a message's modseq beyond the mailbox's")
            });
        }
        for mailbox in sums.keys() {
            self.problem(format!("mailbox {mailbox} has messages but no row"));
        }
    }

    fn changes(&mut self) -> Result<()> {
        for row in self.tables.changes.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(account), Some(modseq)) = (keys::u32_at(key, 0), keys::u64_at(key, 4)) else {
                self.problem(format!("change key {key:?} is damaged"));
                continue;
            };
            let Some(record) = ChangeRecord::decode(value) else {
                self.problem(format!("change {account}:{modseq} is damaged"));
                continue;
            };
            let bounds = self
                .accounts
                .get(&account)
                .map(|record| (record.changes_after, record.highest_modseq));
            self.require(
                bounds.is_some_and(|(after, highest)| after < modseq && modseq <= highest),
                || format!("change {account}:{modseq} lies outside the account's log"),
            );
            let ordered = record.uids.iter().all(|(first, last)| first <= last)
                && record.uids.windows(2).all(|pair| pair[0].1 < pair[1].0);
            self.require(ordered, || {
                format!("change {account}:{modseq}: its ranges are not in order")
            });
        }
        Ok(())
    }

    fn queue(&mut self) -> Result<()> {
        let mut due = HashSet::new();
        for row in self.tables.due.iter(self.txn)? {
            let (key, _) = row?;
            due.extend(keys::u64_at(key, 0).zip(keys::u64_at(key, 8)));
        }
        for row in self.tables.queue.iter(self.txn)? {
            let (key, value) = row?;
            let Some(id) = keys::u64_at(key, 0) else { continue };
            if key.get(8..) != Some(&[0, 0][..]) {
                continue;
            }
            let Some(record) = QueueRecord::decode(value) else {
                self.problem(format!("queue item {id} is damaged"));
                continue;
            };
            self.report.queue += 1;
            reference(
                &mut self.bodies,
                record.blob,
                record.size.saturating_sub(record.prefix_len),
            );
            if record.prefix != 0 {
                reference(&mut self.prefixes, record.prefix, record.prefix_len);
            }
            self.require(due.remove(&(record.due, id)), || {
                format!("queue item {id} is not in the index of due times")
            });
            let whole = self.tables.queue_item(self.txn, id).is_ok();
            self.require(whole, || format!("queue item {id}: a part of its state is missing"));
        }
        for (_, id) in due {
            self.problem(format!(
                "the index of due times names queue item {id}, which is not there"
            ));
        }
        Ok(())
    }

    fn blobs(&mut self, full: bool) -> Result<()> {
        for row in self.tables.blobs.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(blob), Some(record)) = (keys::u64_at(key, 0), BlobRecord::decode(value)) else {
                self.problem(format!("blob row {key:?} is damaged"));
                continue;
            };
            self.report.blobs += 1;
            let (body, prefix) = (self.bodies.remove(&blob), self.prefixes.remove(&blob));
            let kind = if body.is_some() {
                RecordKind::Body
            } else {
                RecordKind::Prefix
            };
            let (references, length) = match (body, prefix) {
                (Some(found), None) | (None, Some(found)) => found,
                (None, None) => (0, record.raw_len),
                (Some(_), Some(_)) => {
                    self.problem(format!("blob {blob} is a body and a prefix"));
                    continue;
                }
            };
            self.require(references == record.references, || {
                format!(
                    "blob {blob}: {references} references, its row says {}",
                    record.references
                )
            });
            self.require(length == record.raw_len, || {
                format!("blob {blob}: has {} octets, its messages say {length}", record.raw_len)
            });
            if kind == RecordKind::Body {
                let card = self.tables.cards.get(self.txn, &keys::blob(blob))?;
                self.require(card.is_some_and(|card| Card::decode(card).is_some()), || {
                    format!("blob {blob}: its card is missing or damaged")
                });
            }
            let sums = self.packs.entry(record.pack).or_default();
            sums.live += u64::from(record.length);
            sums.blobs += 1;
            sums.end = sums.end.max(record.offset + u64::from(record.length));
            if full {
                self.record(blob, &record, kind)?;
            }
        }
        let (bodies, prefixes) = (std::mem::take(&mut self.bodies), std::mem::take(&mut self.prefixes));
        for blob in bodies.keys().chain(prefixes.keys()) {
            self.problem(format!("blob {blob} is referred to but has no row"));
        }
        Ok(())
    }

    /// Reads one record whole.
    fn record(&mut self, blob: BlobId, row: &BlobRecord, kind: RecordKind) -> Result<()> {
        let contents = self
            .context
            .packs
            .record(row)
            .and_then(|record| Ok((record.read_all()?, record)));
        match contents {
            Err(error) => {
                // Released since our snapshot, its pack may be gone: no fault.
                let later = self.context.begin()?;
                if self.tables.blobs.get(&later, &keys::blob(blob))?.is_some() {
                    self.problem(format!("blob {blob}: {error}"));
                }
            }
            Ok((contents, record)) => {
                let digest = *blake3::hash(&contents).as_bytes() == record.header().digest;
                self.require(digest, || format!("blob {blob}: its contents do not fit their digest"));
                self.require(record.raw_len() == u64::from(row.raw_len), || {
                    format!("blob {blob}: its record has another length")
                });
                self.require(record.kind() == kind, || {
                    format!("blob {blob}: its record is of another kind")
                });
                let closed = self.is_closed(row);
                self.require(closed, || {
                    format!("blob {blob}: its record does not end with its trailer")
                });
                if kind == RecordKind::Body {
                    self.require(Card::decode(record.card()).is_some(), || {
                        format!("blob {blob}: the card in its record is damaged")
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the record's last octets repeat its header's checksum; only what rebuilds an index needs them.
    fn is_closed(&self, row: &BlobRecord) -> bool {
        let (mut header, mut trailer) = ([0; RECORD_HEADER], [0; TRAILER]);
        let end = row.offset + u64::from(row.length);
        self.context.packs.file(row.pack).is_ok_and(|file| {
            file.read_exact_at(&mut header, row.offset).is_ok()
                && file
                    .read_exact_at(&mut trailer, end.saturating_sub(TRAILER as u64))
                    .is_ok()
                && trailer_fits(&trailer, &header)
        })
    }

    fn cards(&mut self) -> Result<()> {
        for row in self.tables.cards.iter(self.txn)? {
            let (key, _) = row?;
            let known = self.tables.blobs.get(self.txn, key)?.is_some();
            self.require(known, || format!("card {key:?} belongs to no blob"));
        }
        Ok(())
    }

    fn packs(&mut self) -> Result<()> {
        let mut known = HashSet::new();
        for row in self.tables.packs.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(pack), Some(record)) = (keys::u64_at(key, 0).map(PackId), PackRecord::decode(value)) else {
                self.problem(format!("pack row {key:?} is damaged"));
                continue;
            };
            self.report.packs += 1;
            known.insert(pack);
            let sums = self.packs.remove(&pack).unwrap_or_default();
            self.require(sums.live == record.live && sums.blobs == record.blobs, || {
                format!(
                    "pack {pack}: {} blobs with {} octets live, its row says {} with {}",
                    sums.blobs, sums.live, record.blobs, record.live
                )
            });
            self.require(sums.end <= record.synced, || {
                format!("pack {pack}: a record beyond what was synced")
            });
            self.pack_file(pack, record.synced)?;
        }
        for pack in std::mem::take(&mut self.packs).keys() {
            self.problem(format!("pack {pack} is referred to but has no row"));
        }
        self.orphans(&known)
    }

    /// The file of a pack whose index row is sound.
    fn pack_file(&mut self, pack: PackId, synced: u64) -> Result<()> {
        let length = std::fs::metadata(pack_path(self.context.packs.folder(), pack)).map(|metadata| metadata.len());
        if length.is_err() {
            // Unlinked since our snapshot, with its row, it is no fault.
            let later = self.context.begin()?;
            if self.tables.packs.get(&later, &keys::pack(pack))?.is_none() {
                return Ok(());
            }
        }
        self.require(length.is_ok_and(|length| length >= synced), || {
            format!("pack {pack}: its file is missing or too short")
        });
        let mut header = [0; crate::pack::format::FILE_HEADER];
        let named =
            self.context.packs.file(pack).is_ok_and(|file| {
                file.read_exact_at(&mut header, 0).is_ok() && decode_file_header(&header) == Some(pack)
            });
        self.require(named, || {
            format!("pack {pack}: its file has another pack's header, or none")
        });
        Ok(())
    }

    /// Files of writers that have ended, which no row knows.
    fn orphans(&mut self, known: &HashSet<PackId>) -> Result<()> {
        for folder in std::fs::read_dir(self.context.packs.folder())? {
            let folder = folder?.path();
            let writer = folder
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse().ok());
            let Some(writer) = writer else { continue };
            if self.tables.meta.get(self.txn, &keys::writer(writer))?.is_some() {
                continue;
            }
            let Ok(files) = std::fs::read_dir(&folder) else {
                continue;
            };
            for file in files {
                let path = file?.path();
                let Some(pack) = pack_of(&path, writer) else { continue };
                let doomed = self.tables.doomed.get(self.txn, &keys::doomed_pack(pack))?.is_some();
                // A file made or let go after our snapshot is no orphan: its writer's number tells the first, the
                // file's absence by now the second.
                let counters = self.tables.counters(self.txn)?;
                let orphan = !known.contains(&pack) && !doomed && writer < counters.writer && path.exists();
                self.require(!orphan, || format!("pack {pack}: a file that no row knows"));
            }
        }
        Ok(())
    }

    fn counters(&mut self) -> Result<()> {
        let counters = self.tables.counters(self.txn)?;
        let last_blob = self
            .tables
            .blobs
            .last(self.txn)?
            .and_then(|(key, _)| keys::u64_at(key, 0))
            .unwrap_or(0);
        self.require(last_blob < counters.blob, || {
            "the counter of blobs is behind".to_owned()
        });
        let last_item = self
            .tables
            .queue
            .last(self.txn)?
            .and_then(|(key, _)| keys::u64_at(key, 0))
            .unwrap_or(0);
        self.require(last_item < counters.queue, || {
            "the counter of queue items is behind".to_owned()
        });
        let last_mailbox = self
            .mailboxes
            .keys()
            .chain(self.doomed.keys())
            .max()
            .copied()
            .unwrap_or(0);
        self.require(last_mailbox < counters.mailbox, || {
            "the counter of mailboxes is behind".to_owned()
        });
        for row in self.tables.keywords.iter(self.txn)? {
            let (key, _) = row?;
            self.require(key.len() == 5 && key[4] < 64, || {
                format!("keyword {key:?} has no such number")
            });
        }
        Ok(())
    }
}

/// Counts one reference; two claims of different length make an impossible one, which is told with the blob.
fn reference(counts: &mut HashMap<BlobId, (u32, u32)>, blob: BlobId, length: u32) {
    let entry = counts.entry(blob).or_insert((0, length));
    entry.0 += 1;
    if entry.1 != length {
        entry.1 = u32::MAX;
    }
}
