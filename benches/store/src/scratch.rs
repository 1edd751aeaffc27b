//! A folder on a real disk for the time of a run.

use std::path::{Path, PathBuf};

use crate::Fault;
use crate::arguments::Arguments;

/// Magic number of tmpfs (statfs(2)).
const TMPFS: u64 = 0x0102_1994;

/// Removed with all that is in it when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new folder in `--folder`, or in the folder for temporary files. Refuses one in memory: its syncs are free.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Fault> {
        let parent = arguments.folder().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&parent)?;
        if rustix::fs::statfs(&parent)?.f_type as u64 == TMPFS {
            return Err(format!("{} lies in memory: give --folder on a disk", parent.display()).into());
        }
        let path = parent.join(format!("ironpost-bench-{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}
