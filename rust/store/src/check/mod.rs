//! Checks all invariants of a volume (docs/storage-format.md, "Invariants") within one read transaction.
//!
//! It changes nothing. The transaction pins old pages while it lasts, so a full check belongs to quiet hours.

mod quota;
mod sample;
mod space;

pub use sample::sample;

use std::collections::{HashMap, HashSet};

use crate::db::keys;
use crate::db::records::{
    AccountRecord, ChangeRecord, DoomedRecord, MailboxRecord, MessageRecord, NameRecord, QueueRecord, flag,
};
use crate::db::tables::{ReadTxn, Tables};
use crate::db::uids::UidChunk;
use crate::error::Result;
use crate::ids::{AccountId, BlobId, MailboxId, PackId, Uid};
use crate::jobs::ReadContext;
use crate::ops::CheckReport;

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
    check.retained()?;
    check.quotas()?;
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

impl Sums {
    fn add(&mut self, uid: Uid, record: &MessageRecord) {
        self.messages += 1;
        self.unseen += u32::from(record.flags & flag::SEEN == 0);
        self.deleted += u32::from(record.flags & flag::DELETED != 0);
        self.size += u64::from(record.size);
        self.last_uid = uid;
        self.highest_modseq = self.highest_modseq.max(record.modseq);
    }

    /// The same with the counters of the mailbox's row, which says nothing of the rest.
    fn as_told_by(&self, record: &MailboxRecord) -> Self {
        Self {
            messages: record.messages,
            unseen: record.unseen,
            deleted: record.deleted,
            size: record.size,
            ..*self
        }
    }
}

#[derive(Debug, Default)]
struct PackSums {
    live: u64,
    blobs: u32,
    end: u64,
    first: BlobId,
    last: BlobId,
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
                set.put(uid % keys::UIDS_PER_CHUNK, record.flags);
            }
            if self.doomed.contains_key(&mailbox) {
                continue;
            }
            self.report.messages += 1;
            sums.entry(mailbox).or_default().add(uid, &record);
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
            let told = counted.as_told_by(&record);
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
