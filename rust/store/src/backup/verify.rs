//! Verifying a snapshot: each pack against its digest, then the store's own full check over index and packs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::list::{PackEntry, PackList};
use super::snapshot::Snapshot;
use crate::check;
use crate::error::{Result, StoreError};
use crate::ids::PackId;
use crate::ops::CheckReport;
use crate::pack::read::pack_path;
use crate::portable::Progress;

const PIECE_OCTETS: usize = 1 << 20;

/// Reads every pack of the list; each that is missing, short or different is told by name.
pub fn packs(list: &PackList, packs: &Path, progress: &Progress) -> Result<()> {
    progress.set_total(list.octets());
    for (pack, entry) in &list.0 {
        match digest(&pack_path(packs, *pack), entry.length, progress) {
            Ok(digest) if digest == entry.digest => {}
            Ok(_) => progress.problem(format!("pack {pack}: its contents do not fit their digest")),
            Err(error @ StoreError::Refused(_)) => return Err(error),
            Err(error) => progress.problem(format!("pack {pack}: {error}")),
        }
    }
    Ok(())
}

/// BLAKE3 of the first `length` octets of a file.
pub fn digest(path: &Path, length: u64, progress: &Progress) -> Result<blake3::Hash> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE_OCTETS.min(length as usize)];
    let mut left = length;
    while left > 0 {
        progress.go_on()?;
        let count = left.min(PIECE_OCTETS as u64) as usize;
        file.read_exact(&mut buffer[..count])
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => StoreError::Corrupt("its file is too short".to_owned()),
                _ => error.into(),
            })?;
        hasher.update(&buffer[..count]);
        left -= count as u64;
        progress.advance(count as u64, count as u64);
    }
    Ok(hasher.finalize())
}

/// Runs the store's check over a snapshot. `scratch` is an empty folder, which gets links to exactly its packs: what
/// other snapshots have besides is none of its business. Nothing in the backup is changed.
pub fn check(index: &Path, list: &PackList, packs: &Path, scratch: &Path, full: bool) -> Result<CheckReport> {
    let linked = scratch.join("packs");
    std::fs::create_dir_all(&linked)?;
    let packs = packs.canonicalize()?;
    for pack in list.0.keys() {
        link(&packs, &linked, *pack)?;
    }
    let snapshot = Snapshot::open(index, &linked)?;
    let report = missing(&snapshot, list).and_then(|missing| {
        let mut report = check::check(snapshot.context(), full)?;
        report.problems.extend(missing);
        Ok(report)
    });
    snapshot.close();
    report
}

fn link(packs: &Path, linked: &Path, pack: PackId) -> Result<()> {
    let path = pack_path(linked, pack);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::os::unix::fs::symlink(pack_path(packs, pack), path)?;
    Ok(())
}

/// Packs of which the list has less than the index points to.
fn missing(snapshot: &Snapshot, list: &PackList) -> Result<Vec<String>> {
    let short = |entry: Option<&PackEntry>, synced| entry.is_none_or(|entry| entry.length < synced);
    Ok(snapshot
        .packs()?
        .iter()
        .filter(|(pack, row)| short(list.0.get(pack), row.synced))
        .map(|(pack, _)| format!("pack {pack}: the list of packs has less of it than the index"))
        .collect())
}
