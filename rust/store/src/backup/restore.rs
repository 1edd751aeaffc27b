//! Restoring the packs of a snapshot into a new volume's folder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::list::{PackEntry, PackList};
use crate::error::{Result, StoreError};
use crate::ids::PackId;
use crate::pack::read::pack_path;
use crate::portable::Progress;
use crate::prepare::sync_folder;

const PIECE_OCTETS: usize = 1 << 20;

/// Copies every pack of the list and compares it on the way. Damage is told by name and copied all the same: most
/// messages of a damaged pack are whole, and the store names the others.
///
/// Files are copied even where links would do: the restored store seals packs, and a backup is never written to.
pub fn packs(list: &PackList, from: &Path, to: &Path, progress: &Progress) -> Result<()> {
    progress.set_total(list.octets());
    std::fs::create_dir_all(to)?;
    let mut folder = None;
    for (pack, entry) in &list.0 {
        let path = pack_path(to, *pack);
        if let Some(parent) = path.parent()
            && folder.as_deref() != Some(parent)
        {
            std::fs::create_dir_all(parent)?;
            if let Some(done) = folder.replace(parent.to_owned()) {
                sync_folder(&done)?;
            }
        }
        match copy(*pack, entry, from, &path, progress) {
            Ok(digest) if digest == entry.digest => {}
            Ok(_) => progress.problem(format!("pack {pack}: its contents do not fit their digest")),
            Err(StoreError::Corrupt(text)) => progress.problem(text),
            Err(error) => return Err(error),
        }
    }
    if let Some(done) = folder {
        sync_folder(&done)?;
    }
    sync_folder(to)?;
    Ok(())
}

/// `Corrupt` when the backup's file cannot be read to the end; what can be is copied.
fn copy(pack: PackId, entry: &PackEntry, from: &Path, to: &Path, progress: &Progress) -> Result<blake3::Hash> {
    let fault = |what: String| StoreError::Corrupt(format!("pack {pack}: {what}"));
    let mut source = File::open(pack_path(from, pack)).map_err(|error| fault(error.to_string()))?;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; PIECE_OCTETS];
    let mut left = entry.length;
    while left > 0 {
        progress.go_on()?;
        let limit = left.min(PIECE_OCTETS as u64) as usize;
        let count = match source.read(&mut buffer[..limit]) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(|error| fault(error.to_string()))?,
        };
        if count == 0 {
            out.sync_all()?;
            return Err(fault("its file is too short".to_owned()));
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])?;
        left -= count as u64;
        progress.advance(count as u64, count as u64);
    }
    out.sync_all()?;
    Ok(hasher.finalize())
}
