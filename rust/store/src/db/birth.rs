//! How a new index comes to be: whole and durable under its name, or not at all.
//!
//! LMDB writes the first pages of a new file without a sync and never syncs the folder. A power loss in that moment
//! would leave a file that no release can open, or no file at all beneath packs that hold mail. So a new index is made
//! in a folder of its own, synced, and renamed.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use heed::{Env, WithoutTls};

use super::env;
use crate::error::{Result, StoreError};
use crate::prepare::sync_folder;

/// Makes a folder and its superiors, each for the owner alone and durable with its name.
pub(crate) fn make_folders(path: &Path) -> Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for folder in missing {
        if let Some(parent) = folder.parent() {
            let parent = if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            };
            sync_folder(parent)?;
        }
    }
    Ok(())
}

/// Makes the index of a volume that has none; `fill` writes its first transaction. The caller holds the open lock.
///
/// `Open` when the index is missing or empty although there are packs: a new one would know nothing of their mail,
/// and recovery would take them for orphans.
pub(crate) fn ensure_index(
    volume: &Path,
    map_size: usize,
    sync: bool,
    holds_packs: impl FnOnce() -> Result<bool>,
    fill: impl FnOnce(&Env<WithoutTls>) -> Result<()>,
) -> Result<()> {
    let index = volume.join("index");
    let data = index.join("data.mdb");
    if std::fs::metadata(&data).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    if holds_packs()? {
        return Err(no_index(volume));
    }
    let unborn = volume.join("index.new");
    remove_folder(&unborn)?;
    make_folders(&unborn)?;
    let environment = env::open(&unborn, map_size, sync)?;
    fill(&environment)?;
    environment.prepare_for_closing().wait();
    sync_folder(&unborn)?;
    // A folder without an index, as an interrupted earlier release has left it.
    remove_folder(&index)?;
    std::fs::rename(&unborn, &index)?;
    sync_folder(volume)?;
    Ok(())
}

fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The refusal of a volume that has packs and no index.
pub(crate) fn no_index(volume: &Path) -> StoreError {
    StoreError::Open(format!(
        "{} has packs but no index (index/data.mdb): make one with `ironpost store rebuild`",
        volume.display()
    ))
}
