//! Makes the index anew from the packs alone: accounts, mailboxes, UIDs, flags and dates as the journal last told them,
//! and messages that no journal knows, put where their record's hint says.
//!
//! The packs are read and never changed; what has a pack's name and is none goes aside. The new index is built beside the
//! old one without syncs, synced once at the end, and takes its place by renames; a crash before leaves everything as it
//! was.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};
use crate::ids::{PackId, WriterId};
use crate::journal::entries;
use crate::pack::compact::pack_of;

mod aside;
mod found;
mod index;
mod lock;
mod scan;
mod state;

use scan::Scan;
use state::State;

/// What a rebuild has made and met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages with their UIDs and flags.
    pub messages: u64,
    /// Messages that no journal knew, put where their hint says as new ones.
    pub found: u64,
    /// Messages that the journal knows and whose octets are in no pack.
    pub lost: u64,
    /// Messages that can still be recovered after an EXPUNGE.
    pub retained: u64,
    /// Queue items.
    pub queue: u64,
    /// Packs read.
    pub packs: u64,
    /// What is damaged, each named.
    pub damaged: Vec<String>,
}

/// Progress of a rebuild: packs done, and how many there are.
pub type Watch<'w> = &'w mut dyn FnMut(u64, u64);

/// Rebuilds the index of the volume in `folder`, which nobody has open. The old index, if any, is kept beside it as
/// `index.old-<n>`.
///
/// # Errors
/// `Open` when somebody has the volume open, faults of the disk.
pub fn rebuild(folder: &Path, map_size: usize, watch: Watch<'_>) -> Result<Rebuilt> {
    let packs = folder.join("packs");
    let opening = lock::take(folder)?;
    let mut scan = Scan::default();
    let files = pack_files(&packs, &mut scan.writers)?;
    if files.is_empty() {
        return Err(StoreError::Open(format!("{} holds no packs", packs.display())));
    }
    let mut report = Rebuilt::default();
    for (done, (pack, path)) in files.iter().enumerate() {
        watch(done as u64, files.len() as u64);
        scan.read(*pack, path, &mut report)?;
    }
    scan.choose(&packs);
    watch(files.len() as u64, files.len() as u64);
    let mut state = State::default();
    // All writers' transactions in the order in which they were committed.
    scan.journal.sort_by_key(|transaction| transaction.number);
    for transaction in &scan.journal {
        let contents = transaction.read()?;
        for entry in entries(&contents) {
            state.apply(transaction.number, entry);
        }
    }
    state.journal_next = scan.journal.last().map_or(1, |last| last.number + 1);
    state.finish();
    index::build(folder, map_size, &scan, state, &mut report)?;
    drop(opening);
    Ok(report)
}

/// All pack files, by writer and number; `writers` gets everyone who has a folder.
fn pack_files(packs: &Path, writers: &mut HashSet<WriterId>) -> Result<Vec<(PackId, PathBuf)>> {
    let mut files = Vec::new();
    let folders = match std::fs::read_dir(packs) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        Err(error) => return Err(error.into()),
    };
    for folder in folders {
        let folder = folder?.path();
        let writer: Option<WriterId> = folder
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.parse().ok());
        let Some(writer) = writer else { continue };
        writers.insert(writer);
        for file in std::fs::read_dir(&folder)? {
            let path = file?.path();
            files.extend(pack_of(&path, writer).map(|pack| (pack, path)));
        }
    }
    files.sort_unstable();
    Ok(files)
}
