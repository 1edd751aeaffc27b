//! Gives space back: unlinks packs that nothing points to. Copying the living out of half-dead packs comes later.

use std::collections::BTreeSet;
use std::path::Path;

use super::read::{PackFiles, pack_path};
use crate::error::Result;
use crate::failpoints;
use crate::ids::PackId;
use crate::prepare::sync_folder;

/// Unlinks the files of packs that the index has let go, and syncs their folders, so that their rows in `doomed` may
/// go too. A file that is gone already is no fault: another process may do the same work.
pub(crate) fn unlink(files: &PackFiles, packs: &[PackId]) -> Result<()> {
    let mut folders = BTreeSet::new();
    for pack in packs {
        failpoints::pass("pack-unlink")?;
        files.forget(*pack);
        match std::fs::remove_file(pack_path(files.folder(), *pack)) {
            Ok(()) => {
                folders.insert(pack.writer());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    for writer in folders {
        sync_folder(&files.folder().join(writer.to_string()))?;
    }
    Ok(())
}

/// True when the path names a pack file, and which.
pub(crate) fn pack_of(path: &Path, writer: u32) -> Option<PackId> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_suffix(".pack")?.parse().ok()?;
    Some(PackId::new(writer, number))
}
