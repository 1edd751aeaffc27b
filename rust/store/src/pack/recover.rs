//! What a dead writer left: torn tails are cut, packs sealed, temporary files and orphans removed.
//!
//! Nothing beyond a pack's synced length in the index was ever acknowledged: the row that tells that length commits in
//! the transaction that points to the records. So the tail is scanned only to tell what it was, and cut in any case;
//! were whole records kept, a rebuilt index would hold messages that their senders have sent again.

use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use heed::{Env, WithoutTls};
use rustix::fs::FlockOperation;

use super::compact::pack_of;
use super::format::{RECORD_HEADER, RecordHeader, RecordKind, TRAILER, encode_footer, trailer_fits};
use super::read::pack_path;
use crate::db::keys;
use crate::db::records::{LeaseRecord, PackRecord, PackState};
use crate::db::tables::{Tables, damaged};
use crate::error::Result;
use crate::ids::{PackId, WriterId};
use crate::prepare::sync_folder;

/// What recovery found; zeros after a clean end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Writers that had died.
    pub(crate) ended: Vec<WriterId>,
    /// Packs sealed.
    pub(crate) packs_sealed: u32,
    /// Whole records that no transaction had come to point to.
    pub(crate) records_forgotten: u64,
    /// Torn records.
    pub(crate) torn: u32,
    /// Temporary files and orphaned packs removed.
    pub(crate) files_removed: u32,
    /// Leases of the dead dropped.
    pub(crate) leases_dropped: u32,
    /// Reader slots of the dead cleared.
    pub(crate) readers_cleared: usize,
}

impl std::fmt::Display for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "dead writers {}, packs sealed {}, unacknowledged records forgotten {}, torn records cut {}, \
             files removed {}, leases dropped {}, reader slots cleared {}",
            self.ended.len(),
            self.packs_sealed,
            self.records_forgotten,
            self.torn,
            self.files_removed,
            self.leases_dropped,
            self.readers_cleared
        )
    }
}

/// Takes a writer's lock if nobody holds it: its owner is dead, or it is our own new number. The lock lives as long
/// as the descriptor.
pub(crate) fn lock_writer(folder: &Path) -> Result<Option<OwnedFd>> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("lock"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file.into())),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Recovers every dead writer. The caller holds the volume's open lock, so that no writer is just being born.
pub(crate) fn recover(env: &Env<WithoutTls>, tables: &Tables, packs: &Path) -> Result<Found> {
    let mut found = Found {
        readers_cleared: env.clear_stale_readers()?,
        ..Found::default()
    };
    let mut writers: Vec<WriterId> = Vec::new();
    {
        let txn = env.read_txn()?;
        for row in tables.meta.prefix_iter(&txn, b"writer:")? {
            writers.extend(keys::u32_at(row?.0, 7));
        }
    }
    for writer in writers {
        let folder = packs.join(writer.to_string());
        std::fs::create_dir_all(&folder)?;
        // Held until this writer is done with: only then may its packs be touched.
        let Some(_lock) = lock_writer(&folder)? else { continue };
        found.ended.push(writer);
        recover_writer(env, tables, packs, writer, &mut found)?;
    }
    Ok(found)
}

fn recover_writer(
    env: &Env<WithoutTls>,
    tables: &Tables,
    packs: &Path,
    writer: WriterId,
    found: &mut Found,
) -> Result<()> {
    let folder = packs.join(writer.to_string());
    let mut active = Vec::new();
    let mut known = std::collections::HashSet::new();
    let mut leases = Vec::new();
    {
        let txn = env.read_txn()?;
        for row in tables.packs.prefix_iter(&txn, &writer.to_be_bytes())? {
            let (key, value) = row?;
            let pack = keys::u64_at(key, 0)
                .map(PackId)
                .ok_or_else(|| damaged("packs", writer))?;
            let record = PackRecord::decode(value).ok_or_else(|| damaged("packs", pack))?;
            known.insert(pack);
            if record.state == PackState::Active {
                active.push((pack, record));
            }
        }
        for row in tables.leases.iter(&txn)? {
            let (key, value) = row?;
            if LeaseRecord::decode(value).is_none_or(|lease| lease.owner == writer) {
                leases.push(key.to_vec());
            }
        }
    }
    for (pack, record) in &active {
        seal(&pack_path(packs, *pack), *pack, record, found)?;
    }
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        let is_known = pack_of(&path, writer).is_some_and(|pack| known.contains(&pack));
        let is_lock = path.file_name().is_some_and(|name| name == "lock");
        if !is_known && !is_lock {
            std::fs::remove_file(&path)?;
            found.files_removed += 1;
        }
    }
    sync_folder(&folder)?;
    let mut txn = env.write_txn()?;
    for (pack, record) in active {
        // Read again: others may have released blobs of this pack meanwhile.
        let mut record = tables.pack(&txn, pack)?.unwrap_or(record);
        record.state = PackState::Sealed;
        record.sealed = seconds();
        // The journal in it may be all that tells of messages in other packs.
        if record.blobs == 0 && record.journal == 0 {
            tables.packs.delete(&mut txn, &keys::pack(pack))?;
            let row = crate::db::records::DoomedRecord::default().encode();
            tables.doomed.put(&mut txn, &keys::doomed_pack(pack), &row)?;
        } else {
            tables.packs.put(&mut txn, &keys::pack(pack), &record.encode())?;
        }
    }
    for lease in leases {
        tables.leases.delete(&mut txn, &lease)?;
        found.leases_dropped += 1;
    }
    tables.meta.delete(&mut txn, &keys::writer(writer))?;
    txn.commit()?;
    Ok(())
}

/// The present in Unix seconds, never 0.
fn seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX).max(1)
}

/// Cuts a pack at the length that the index knows and closes it with a footer.
fn seal(path: &Path, pack: PackId, record: &PackRecord, found: &mut Found) -> Result<()> {
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        // Its messages answer with an error, check names it; the others of the volume live.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let length = file.metadata()?.len();
    if length > record.synced {
        scan_tail(&file, record.synced, length, found)?;
        rustix::fs::ftruncate(&file, record.synced)?;
    }
    if length >= record.synced {
        file.write_all_at(&encode_footer(pack, record.synced), record.synced)?;
    }
    rustix::fs::fsync(&file)?;
    found.packs_sealed += 1;
    Ok(())
}

/// Counts whole records from `at` on, and a torn one behind them. Zeros are space that was allocated ahead.
fn scan_tail(file: &File, mut at: u64, length: u64, found: &mut Found) -> Result<()> {
    let mut header = [0; RECORD_HEADER];
    while length - at >= RECORD_HEADER as u64 {
        file.read_exact_at(&mut header, at)?;
        let Some(record) = RecordHeader::decode(&header) else {
            if header.iter().any(|&octet| octet != 0) {
                found.torn += 1;
            }
            return Ok(());
        };
        let end = at + u64::from(record.length);
        let mut trailer = [0; TRAILER];
        if end > length || file.read_exact_at(&mut trailer, end - TRAILER as u64).is_err() {
            found.torn += 1;
            return Ok(());
        }
        if !trailer_fits(&trailer, &header) {
            found.torn += 1;
            return Ok(());
        }
        // The journal is in the index too, and the next writer takes it up.
        found.records_forgotten += u64::from(record.kind != RecordKind::Journal);
        at = end;
    }
    Ok(())
}
