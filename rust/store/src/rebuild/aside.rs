//! Files that have the name of a pack and that nobody can read: moved out of the way of recovery, which removes what no row
//! knows, so that somebody may look at them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::ids::PackId;
use crate::prepare::sync_folder;

/// Octets looked at in one go.
const STEP_OCTETS: usize = 1 << 20;

/// Where a pack's file goes, from the volume's folder.
pub(super) fn place(pack: PackId) -> PathBuf {
    Path::new("unreadable").join(format!("{}-{}.pack", pack.writer(), pack.number()))
}

/// True for a file that holds nothing but zeros.
pub(super) fn is_void(file: &File) -> Result<bool> {
    let mut octets = vec![0; STEP_OCTETS];
    let mut at = 0;
    loop {
        let count = file.read_at(&mut octets, at)?;
        if count == 0 {
            return Ok(true);
        }
        if octets[..count].iter().any(|octet| *octet != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
}

/// Moves the files, durably. One that an earlier rebuild has set aside under the same name stays as well.
pub(super) fn set_aside(volume: &Path, files: &[(PackId, PathBuf)]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let folder = volume.join("unreadable");
    std::fs::create_dir_all(&folder)?;
    sync_folder(volume)?;
    for (pack, path) in files {
        let target = volume.join(place(*pack));
        let earlier = (1..)
            .map(|number: u32| target.with_extension(format!("pack.{number}")))
            .find(|path| !path.exists());
        if let Some(earlier) = earlier.filter(|_| target.exists()) {
            std::fs::rename(&target, earlier)?;
        }
        std::fs::rename(path, &target)?;
    }
    sync_folder(&folder)?;
    for (_, path) in files {
        if let Some(home) = path.parent() {
            sync_folder(home)?;
        }
    }
    Ok(())
}
