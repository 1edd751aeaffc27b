//! A quick look at a few of everything: some mailboxes with all their rows, some blobs with their records. For each open
//! after a crash, and for stores whose full check takes hours.

use std::collections::HashSet;
use std::ops::Bound;
use std::time::SystemTime;

use super::Sums;
use crate::card::Card;
use crate::db::keys;
use crate::db::records::{BlobRecord, MailboxRecord, MessageRecord};
use crate::db::tables::Table;
use crate::db::uids::UidChunk;
use crate::error::Result;
use crate::ids::MailboxId;
use crate::jobs::ReadContext;
use crate::ops::CheckReport;
use crate::pack::format::RecordKind;

/// Mailboxes looked at.
const MAILBOXES: u32 = 32;
/// Messages of all these mailboxes at most; a larger mailbox is passed over.
const MESSAGES_MAX: u64 = 200_000;
/// Blobs whose records are read.
const BLOBS: u32 = 256;

/// Checks a sample. What it counts are the things that it has looked at.
///
/// # Errors
/// Faults of reading the index.
pub fn sample(context: &ReadContext) -> Result<CheckReport> {
    let mut report = CheckReport::default();
    let seed = blake3::hash(format!("{:?}", SystemTime::now()).as_bytes());
    let mut random = seed
        .as_bytes()
        .first_chunk()
        .map_or(1, |octets| u64::from_le_bytes(*octets))
        | 1;
    let mut next = move || {
        // xorshift64: any spread will do.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut seen = HashSet::new();
    for _ in 0..MAILBOXES {
        mailbox(context, next(), &mut seen, &mut report)?;
    }
    seen.clear();
    for _ in 0..BLOBS {
        blob(context, next(), &mut seen, &mut report)?;
    }
    report.problems.sort();
    report.problems.dedup();
    Ok(report)
}

/// A row of a table, some way behind its first and before its last key, by their leading eight octets.
fn pick(context: &ReadContext, table: Table, chance: u64) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let txn = context.begin()?;
    let head = |key: &[u8]| keys::u64_at(key, 0).unwrap_or(0);
    let (Some(first), Some(last)) = (table.first(&txn)?, table.last(&txn)?) else {
        return Ok(None);
    };
    let (first, last) = (head(first.0), head(last.0));
    let at = first + chance % (last - first + 1);
    let bounds = (Bound::Included(&at.to_be_bytes()[..]), Bound::Unbounded);
    let found = table.range(&txn, &bounds)?.next().transpose()?;
    Ok(found.map(|(key, value)| (key.to_vec(), value.to_vec())))
}

/// All rows of one mailbox against its counters and its UID map.
fn mailbox(context: &ReadContext, chance: u64, seen: &mut HashSet<Vec<u8>>, report: &mut CheckReport) -> Result<()> {
    let tables = &context.tables;
    let Some((key, _)) = pick(context, tables.mailboxes, chance)? else {
        return Ok(());
    };
    if !seen.insert(key.clone()) {
        return Ok(());
    }
    let txn = context.begin()?;
    // Read again within the transaction that reads its messages.
    let Some(value) = tables.mailboxes.get(&txn, &key)? else {
        return Ok(());
    };
    let id: MailboxId = keys::u32_at(&key, 4).unwrap_or(0);
    let Some(record) = MailboxRecord::decode(value) else {
        report.problems.push(format!("mailbox {id} is damaged"));
        return Ok(());
    };
    if report.messages + u64::from(record.messages) > MESSAGES_MAX {
        return Ok(());
    }
    report.mailboxes += 1;
    let mut counted = Sums::default();
    let mut chunks: Vec<(u32, UidChunk)> = Vec::new();
    for row in tables.messages.prefix_iter(&txn, &id.to_be_bytes())? {
        let (key, value) = row?;
        let uid = keys::u32_at(key, 4).unwrap_or(0);
        let Some(message) = MessageRecord::decode(value) else {
            report.problems.push(format!("message {id}:{uid} is damaged"));
            continue;
        };
        counted.add(uid, &message);
        let number = uid / keys::UIDS_PER_CHUNK;
        if chunks.last().is_none_or(|(open, _)| *open != number) {
            chunks.push((number, UidChunk::default()));
        }
        if let Some((_, chunk)) = chunks.last_mut() {
            chunk.put(uid % keys::UIDS_PER_CHUNK, message.flags);
        }
        if tables.blobs.get(&txn, &keys::blob(message.blob))?.is_none() {
            report
                .problems
                .push(format!("blob {} is referred to but has no row", message.blob));
        }
    }
    report.messages += u64::from(counted.messages);
    let told = counted.as_told_by(&record);
    if told != counted {
        report.problems.push(format!(
            "mailbox {id}: its counters say {told:?}, its messages {counted:?}"
        ));
    }
    let mut mapped = Vec::new();
    for row in tables.uidmap.prefix_iter(&txn, &id.to_be_bytes())? {
        let (key, value) = row?;
        mapped.push((keys::u32_at(key, 4).unwrap_or(0), UidChunk::decode(value)));
    }
    let same = mapped.len() == chunks.len()
        && mapped
            .iter()
            .zip(&chunks)
            .all(|((number, told), (counted, chunk))| number == counted && told.as_ref() == Some(chunk));
    if !same {
        report
            .problems
            .push(format!("mailbox {id}: its UID map differs from its messages"));
    }
    Ok(())
}

/// One blob, with its record and card.
fn blob(context: &ReadContext, chance: u64, seen: &mut HashSet<Vec<u8>>, report: &mut CheckReport) -> Result<()> {
    let tables = &context.tables;
    let Some((key, value)) = pick(context, tables.blobs, chance)? else {
        return Ok(());
    };
    if !seen.insert(key.clone()) {
        return Ok(());
    }
    let id = keys::u64_at(&key, 0).unwrap_or(0);
    let Some(row) = BlobRecord::decode(&value) else {
        report.problems.push(format!("blob row {id} is damaged"));
        return Ok(());
    };
    report.blobs += 1;
    let record = context.packs.record(&row).and_then(|record| {
        record.verify()?;
        Ok(record)
    });
    let fault = match record {
        Err(error) => error.to_string(),
        Ok(record) if record.raw_len() != u64::from(row.raw_len) => "its record has another length".to_owned(),
        Ok(record) if record.kind() != RecordKind::Body => return Ok(()),
        Ok(_) => {
            let txn = context.begin()?;
            let card = tables.cards.get(&txn, &key)?;
            if card.is_some_and(|card| Card::decode(card).is_some()) {
                return Ok(());
            }
            "its card is missing or damaged".to_owned()
        }
    };
    // Released or moved since, it is no fault.
    let txn = context.begin()?;
    if tables.blobs.get(&txn, &key)? == Some(&value[..]) {
        report.problems.push(format!("blob {id}: {fault}"));
    }
    Ok(())
}
