//! Gives space back: unlinks packs that nothing points to. Copying the living out of half-dead packs comes later.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::read::{PackFiles, pack_path};
use crate::error::{Result, StoreError};
use crate::failpoints;
use crate::ids::PackId;
use crate::prepare::sync_folder;

/// Unlinks the files of packs that the index has let go, and syncs their folders, so that their rows in `doomed` may
/// go too. A file that is gone already is no fault: another process may do the same work, or may have died before its
/// sync, so the folder is synced all the same. `Failed` when a sync fails.
pub(crate) fn unlink(files: &PackFiles, packs: &[PackId]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for pack in packs {
        failpoints::pass("pack-unlink")?;
        files.forget(*pack);
        match std::fs::remove_file(pack_path(files.folder(), *pack)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => folders.insert(pack.writer()),
        };
    }
    for writer in folders {
        let synced = match sync_folder(&files.folder().join(writer.to_string())) {
            // The folder went with its last file; then its own name counts.
            Err(error) if error.kind() == ErrorKind::NotFound => sync_folder(files.folder()),
            other => other,
        };
        synced.map_err(|error| StoreError::Failed(format!("syncing a folder of packs: {error}")))?;
    }
    Ok(())
}

/// True when the path names a pack file, and which.
pub(crate) fn pack_of(path: &Path, writer: u32) -> Option<PackId> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_suffix(".pack")?.parse().ok()?;
    Some(PackId::new(writer, number))
}
