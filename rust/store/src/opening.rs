//! What opening a volume does once its index is there: format and features, tables, a writer's number and lock, the journal
//! of the dead, the reserve.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use heed::types::Bytes;
use heed::{Env, RwTxn, WithoutTls};
use rustix::fs::FallocateFlags;

use crate::apply::CHECKPOINT;
use crate::apply::journal::PART_OCTETS;
use crate::db::identity;
use crate::db::keys;
use crate::db::migrate;
use crate::db::records::Counters;
use crate::db::tables::Tables;
use crate::error::{Result, StoreError};
use crate::ids::WriterId;
use crate::journal::{Entry, put_transaction};
use crate::pack::recover::lock_writer;
use crate::prepare::sync_folder;
use crate::volume::FORMAT;
use crate::writer::PendingJournal;

/// Features that a volume may have and this release knows: none yet.
const FEATURES_KNOWN: u64 = 0;
/// Address space beyond the told map size, so that deletes still find pages when the index is full.
const MAP_RESERVE: usize = 64 << 20;
/// Map sizes are multiples of this, whatever the page size of the machine.
const MAP_STEP: usize = 1 << 20;
/// Octets set aside on disk, given up when even a delete meets a full disk.
const RESERVE_OCTETS: u64 = 4 << 20;

/// True when there are pack files.
pub(crate) fn holds_packs(packs: &Path) -> Result<bool> {
    for folder in std::fs::read_dir(packs)? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder)? {
            if file?.path().extension().is_some_and(|extension| extension == "pack") {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The reservation of address space for a told map size.
pub(crate) fn map_size_of(told: usize) -> usize {
    told.next_multiple_of(MAP_STEP) + MAP_RESERVE
}

/// Opens or creates the tables; a new volume gets its format and identity.
pub(crate) fn create_tables(environment: &Env<WithoutTls>) -> Result<Tables> {
    let mut txn = environment.write_txn()?;
    let tables = Tables::create(environment, &mut txn)?;
    if tables.meta.get(&txn, b"format")?.is_none() {
        tables.meta.put(&mut txn, b"format", &FORMAT.to_le_bytes())?;
        tables.meta.put(&mut txn, b"features", &0_u64.to_le_bytes())?;
        tables.meta.put(&mut txn, b"volume", &identity())?;
    }
    txn.commit()?;
    Ok(tables)
}

/// The volume's format; refuses newer ones and unknown features. Creating tables has changed nothing that an older or
/// newer release would miss.
pub(crate) fn check_format(environment: &Env<WithoutTls>, tables: &Tables) -> Result<u32> {
    let txn = environment.read_txn()?;
    let format = tables
        .meta
        .get(&txn, b"format")?
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_le_bytes)
        .ok_or_else(|| StoreError::Open("its format is unreadable".to_owned()))?;
    if format > FORMAT || format == 0 {
        return Err(StoreError::Open(format!(
            "its format is {format}, this release knows {FORMAT}"
        )));
    }
    let features = tables
        .meta
        .get(&txn, b"features")?
        .and_then(|bytes| bytes.try_into().ok())
        .map(u64::from_le_bytes);
    let known = if format < FORMAT {
        migrate::MIGRATING
    } else {
        FEATURES_KNOWN
    };
    if features.is_none_or(|features| features & !known != 0) {
        return Err(StoreError::Open(
            "it uses features that this release does not know".to_owned(),
        ));
    }
    Ok(format)
}

/// The format that an index says it has; `None` when that is unreadable.
pub(crate) fn stored_format(environment: &Env<WithoutTls>, txn: &heed::RoTxn<'_, WithoutTls>) -> Result<Option<u32>> {
    let Some(meta) = environment.open_database::<Bytes, Bytes>(txn, Some("meta"))? else {
        return Ok(None);
    };
    Ok(meta
        .get(txn, b"format")?
        .and_then(|octets| octets.try_into().ok())
        .map(u32::from_le_bytes))
}

/// Takes a writer number, makes its folder and holds its lock. The caller holds the volume's open lock.
pub(crate) fn register(
    environment: &Env<WithoutTls>,
    tables: &Tables,
    packs: &Path,
    ended: &[WriterId],
) -> Result<(WriterId, OwnedFd, PendingJournal)> {
    let mut txn = environment.write_txn()?;
    let mut counters = tables.counters(&txn)?;
    let number = counters.writer;
    counters.writer = number
        .checked_add(1)
        .ok_or_else(|| StoreError::Open("no writer numbers are left in this volume".to_owned()))?;
    tables
        .meta
        .put(&mut txn, &keys::writer(number), &std::process::id().to_le_bytes())?;
    let journal = take_journal(&mut txn, tables, number, ended, &mut counters)?;
    tables.meta.put(&mut txn, b"counters", &counters.encode())?;
    txn.commit()?;
    let folder = packs.join(number.to_string());
    std::fs::create_dir_all(&folder)?;
    let lock = lock_writer(&folder)?
        .ok_or_else(|| StoreError::Open(format!("somebody holds the lock of the new writer {number}")))?;
    sync_folder(packs)?;
    Ok((number, lock, journal))
}

/// Makes the journal rows that dead writers have left our own, and tells behind them that these have ended: what a rebuild
/// then finds in their packs untold was expunged, or never came to be. `ended` are those that this open has recovered.
fn take_journal(
    txn: &mut RwTxn<'_>,
    tables: &Tables,
    number: WriterId,
    ended: &[WriterId],
    counters: &mut Counters,
) -> Result<PendingJournal> {
    let mut ended: BTreeSet<WriterId> = ended.iter().copied().collect();
    let mut left: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for row in tables.journal.iter(txn)? {
        let (key, value) = row?;
        let writer = keys::u32_at(key, 0).unwrap_or(0);
        if tables.meta.get(txn, &keys::writer(writer))?.is_none() {
            ended.insert(writer);
            left.push((key.to_vec(), value.to_vec()));
        }
    }
    let mut waiting = Vec::new();
    let mut part = 0;
    for (key, piece) in left {
        tables.journal.delete(txn, &key)?;
        tables.journal.put(txn, &keys::journal(number, part), &piece)?;
        waiting.extend_from_slice(&piece);
        part += 1;
    }
    // While a checkpoint is due there is mail in the packs of the ended that no journal has told of.
    if !ended.is_empty() && tables.meta.get(txn, CHECKPOINT)?.is_none() {
        let mut entries = Vec::new();
        for writer in ended {
            Entry::Ended(writer).encode(&mut entries);
        }
        let start = waiting.len();
        put_transaction(&mut waiting, counters.journal, &entries);
        counters.journal += 1;
        for piece in waiting[start..].chunks(PART_OCTETS) {
            tables.journal.put(txn, &keys::journal(number, part), piece)?;
            part += 1;
        }
    }
    Ok(PendingJournal::left(waiting, part))
}

/// Sets space aside unless the disk is nearly full; without it the volume works as well.
pub(crate) fn make_reserve(path: &Path, min_free: u64) {
    let room = rustix::fs::statvfs(path.parent().unwrap_or(path))
        .is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) > min_free.saturating_add(RESERVE_OCTETS));
    // After a power loss the file may be there without its octets.
    let whole = std::fs::metadata(path).is_ok_and(|file| file.len() >= RESERVE_OCTETS);
    if !room || whole {
        return;
    }
    let made = File::create(path).and_then(|file| {
        Ok(rustix::fs::fallocate(
            &file,
            FallocateFlags::empty(),
            0,
            RESERVE_OCTETS,
        )?)
    });
    if made.is_err() {
        // Half a reserve is none; a later open tries again.
        let _ = std::fs::remove_file(path);
    }
}
