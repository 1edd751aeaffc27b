//! Format 1 to 2: usage of accounts, times of arrival, digests and ranges of blobs, names of doomed mailboxes; then the
//! journal is told everything, by the writer, in the background.

use std::collections::HashMap;
use std::ops::Bound;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use heed::{Env, RoTxn, WithoutTls};

use super::{Progress, begin, commit, progress, put_progress};
use crate::apply::{CHECKPOINT, CHECKPOINT_WRITERS};
use crate::db::codec::Reader;
use crate::db::keys::{self, behind};
use crate::db::records::{
    AccountRecord, BlobRecord, Counters, DoomedRecord, MailboxRecord, MessageRecord, PackRecord, PackState,
};
use crate::db::tables::{Table, Tables, damaged};
use crate::error::Result;
use crate::ids::{BlobId, PackId};
use crate::pack::format::{RECORD_HEADER, RecordHeader};
use crate::pack::read::PackFiles;

const FORMAT: u32 = 2;
/// Rows of one step.
const STEP_ROWS: usize = 5000;
/// First octet of a row of format 1.
const OLD: u8 = 1;

/// What a stage does.
type Stage = fn(&mut Step<'_>) -> Result<Vec<Change>>;
/// A row to be written, by table.
type Change = (Table, Vec<u8>, Vec<u8>);

const STAGES: [Stage; 5] = [packs, blobs, messages, doomed, accounts];

/// What a step may look at.
struct Step<'s> {
    tables: &'s Tables,
    txn: &'s RoTxn<'s, WithoutTls>,
    files: &'s PackFiles,
    now: u32,
    /// Behind this key; set to the last one seen.
    after: Vec<u8>,
    /// The stage's table has been seen to its end.
    done: bool,
}

pub(super) fn run(env: &Env<WithoutTls>, tables: &Tables, packs: &Path) -> Result<()> {
    let files = PackFiles::new(packs.to_owned());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u32::try_from(since.as_secs()).unwrap_or(u32::MAX).max(1);
    begin(env, tables)?;
    let mut at = progress(env, tables)?;
    while let Some(stage) = STAGES.get(usize::from(at.stage)) {
        let (changes, next) = {
            let txn = env.read_txn()?;
            let mut step = Step {
                tables,
                txn: &txn,
                files: &files,
                now,
                after: at.after.clone(),
                done: false,
            };
            let changes = stage(&mut step)?;
            let next = if step.done {
                Progress {
                    stage: at.stage + 1,
                    after: Vec::new(),
                }
            } else {
                Progress {
                    stage: at.stage,
                    after: step.after,
                }
            };
            (changes, next)
        };
        let mut txn = env.write_txn()?;
        for (table, key, value) in changes {
            table.put(&mut txn, &key, &value)?;
        }
        put_progress(tables, &mut txn, &next)?;
        commit(txn)?;
        at = next;
    }
    let mut txn = env.write_txn()?;
    if let Some(old) = tables.meta.get(&txn, b"counters")? {
        let counters = old_counters(old).ok_or_else(|| damaged("meta", "counters"))?;
        tables
            .meta
            .put(&mut txn, CHECKPOINT_WRITERS, &counters.writer.to_le_bytes())?;
        tables.meta.put(&mut txn, b"counters", &counters.encode())?;
    }
    tables.meta.put(&mut txn, CHECKPOINT, &[0])?;
    tables.meta.put(&mut txn, b"format", &FORMAT.to_le_bytes())?;
    tables.meta.put(&mut txn, b"features", &0_u64.to_le_bytes())?;
    tables.meta.delete(&mut txn, super::PROGRESS)?;
    commit(txn)
}

impl Step<'_> {
    /// The next rows of a table as they are: (key, value).
    fn rows(&mut self, table: Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let bounds = (behind(&self.after), Bound::Unbounded);
        let mut rows = Vec::new();
        for row in table.range(self.txn, &bounds)?.take(STEP_ROWS) {
            let (key, value) = row?;
            rows.push((key.to_vec(), value.to_vec()));
        }
        match rows.last() {
            Some((key, _)) if rows.len() == STEP_ROWS => self.after.clone_from(key),
            _ => self.done = true,
        }
        Ok(rows)
    }

    /// The next rows that are still of format 1, without their version octet.
    fn old_rows(&mut self, table: Table) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let rows = self.rows(table)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| match value.split_first() {
                Some((&OLD, fields)) => Some((key, fields.to_vec())),
                _ => None,
            })
            .collect())
    }
}

fn packs(step: &mut Step<'_>) -> Result<Vec<Change>> {
    let table = step.tables.packs;
    let mut changes = Vec::new();
    for (key, fields) in step.old_rows(table)? {
        let record = old_pack(&fields, step.now).ok_or_else(|| damaged("packs", format!("{key:?}")))?;
        changes.push((table, key, record.encode()));
    }
    Ok(changes)
}

fn old_pack(fields: &[u8], now: u32) -> Option<PackRecord> {
    let mut r = Reader(fields);
    let state = match r.u8()? {
        1 => PackState::Active,
        2 => PackState::Sealed,
        _ => return None,
    };
    let record = PackRecord {
        state,
        live: r.u64()?,
        synced: r.u64()?,
        blobs: r.u32()?,
        sealed: if state == PackState::Sealed { now } else { 0 },
        ..PackRecord::default()
    };
    r.0.is_empty().then_some(record)
}

/// Digests come from the records in the packs. One that cannot be read stays unknown: check names the record.
fn blobs(step: &mut Step<'_>) -> Result<Vec<Change>> {
    let table = step.tables.blobs;
    let mut ranges: HashMap<PackId, (BlobId, BlobId)> = HashMap::new();
    let mut changes = Vec::new();
    for (key, fields) in step.old_rows(table)? {
        let blob = keys::u64_at(&key, 0).ok_or_else(|| damaged("blobs", "key"))?;
        let mut record = old_blob(&fields).ok_or_else(|| damaged("blobs", blob))?;
        record.digest = digest(step.files, &record);
        let range = ranges.entry(record.pack).or_insert((blob, blob));
        *range = (range.0.min(blob), range.1.max(blob));
        changes.push((table, key, record.encode().to_vec()));
    }
    for (pack, (first, last)) in ranges {
        let row = step.tables.pack(step.txn, pack)?;
        let mut row = row.ok_or_else(|| damaged("packs", pack))?;
        row.first_blob = if row.first_blob == 0 {
            first
        } else {
            row.first_blob.min(first)
        };
        row.last_blob = row.last_blob.max(last);
        changes.push((step.tables.packs, keys::pack(pack).to_vec(), row.encode()));
    }
    Ok(changes)
}

fn old_blob(fields: &[u8]) -> Option<BlobRecord> {
    let mut r = Reader(fields);
    let record = BlobRecord {
        pack: PackId(r.u64()?),
        offset: r.u64()?,
        length: r.u32()?,
        raw_len: r.u32()?,
        references: r.u32()?,
        digest: [0; 16],
    };
    r.0.is_empty().then_some(record)
}

fn digest(files: &PackFiles, record: &BlobRecord) -> [u8; 16] {
    let mut header = [0; RECORD_HEADER];
    let read = files
        .file(record.pack)
        .is_ok_and(|file| file.read_exact_at(&mut header, record.offset).is_ok());
    let header = RecordHeader::decode(&header).filter(|header| read && header.length == record.length);
    header.map_or([0; 16], |header| std::array::from_fn(|index| header.digest[index]))
}

/// Nobody wrote down when these came; counting from now on expires nothing too early.
fn messages(step: &mut Step<'_>) -> Result<Vec<Change>> {
    let table = step.tables.messages;
    let mut changes = Vec::new();
    for (key, fields) in step.old_rows(table)? {
        let record = old_message(&fields, step.now).ok_or_else(|| damaged("messages", format!("{key:?}")))?;
        changes.push((table, key, record.encode().to_vec()));
    }
    Ok(changes)
}

fn old_message(fields: &[u8], now: u32) -> Option<MessageRecord> {
    let mut r = Reader(fields);
    let record = MessageRecord {
        flags: r.u8()?,
        internal_zone: r.i16()?,
        blob: r.u64()?,
        prefix: r.u64()?,
        keywords: r.u64()?,
        modseq: r.u64()?,
        internal_date: r.i64()?,
        size: r.u32()?,
        prefix_len: r.u32()?,
        thread: r.u64()?,
        saved: now,
    };
    r.0.is_empty().then_some(record)
}

fn doomed(step: &mut Step<'_>) -> Result<Vec<Change>> {
    let table = step.tables.doomed;
    let mut changes = Vec::new();
    for (key, fields) in step.old_rows(table)? {
        let account = Reader(&fields)
            .u32()
            .ok_or_else(|| damaged("doomed", format!("{key:?}")))?;
        let record = DoomedRecord {
            account,
            ..DoomedRecord::default()
        };
        changes.push((table, key, record.encode()));
    }
    Ok(changes)
}

fn accounts(step: &mut Step<'_>) -> Result<Vec<Change>> {
    let table = step.tables.accounts;
    let mut changes = Vec::new();
    for (key, fields) in step.old_rows(table)? {
        let mut record = old_account(&fields).ok_or_else(|| damaged("accounts", format!("{key:?}")))?;
        for row in step.tables.mailboxes.prefix_iter(step.txn, &key)? {
            let (key, value) = row?;
            let mailbox = MailboxRecord::decode(value).ok_or_else(|| damaged("mailboxes", format!("{key:?}")))?;
            record.messages += u64::from(mailbox.messages);
            record.octets += mailbox.size;
        }
        changes.push((table, key, record.encode()));
    }
    Ok(changes)
}

fn old_account(fields: &[u8]) -> Option<AccountRecord> {
    let mut r = Reader(fields);
    let record = AccountRecord {
        removing: r.u8()? != 0,
        highest_modseq: r.u64()?,
        changes_after: r.u64()?,
        uid_validity_last: r.u32()?,
        mailboxes: r.u32()?,
        ..AccountRecord::default()
    };
    r.0.is_empty().then_some(record)
}

fn old_counters(row: &[u8]) -> Option<Counters> {
    let mut r = Reader(row);
    if r.u8()? != OLD {
        return Counters::decode(row);
    }
    let counters = Counters {
        writer: r.u32()?,
        mailbox: r.u32()?,
        blob: r.u64()?,
        queue: r.u64()?,
        ..Counters::default()
    };
    r.0.is_empty().then_some(counters)
}
