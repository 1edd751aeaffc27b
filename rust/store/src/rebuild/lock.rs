//! A rebuild has the volume to itself.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::FlockOperation;

use crate::error::{Result, StoreError};
use crate::pack::recover::lock_writer;

/// Holds the volume against everybody else.
pub(super) struct Lock {
    _opening: File,
    _writers: Vec<std::os::fd::OwnedFd>,
}

/// Takes the volume alone; `Open` when somebody has it open.
pub(super) fn take(folder: &Path) -> Result<Lock> {
    let taken = || {
        StoreError::Open(format!(
            "{} is open in another process: stop that first",
            folder.display()
        ))
    };
    let opening = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("open.lock"))?;
    rustix::fs::flock(&opening, FlockOperation::NonBlockingLockExclusive).map_err(|_| taken())?;
    let mut writers = Vec::new();
    for entry in std::fs::read_dir(folder.join("packs"))? {
        let path = entry?.path();
        if path.join("lock").exists() {
            writers.push(lock_writer(&path)?.ok_or_else(taken)?);
        }
    }
    Ok(Lock {
        _opening: opening,
        _writers: writers,
    })
}
