//! Bodies kept aside in a temporary file: the first message that had one is not wanted, a later one may be.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

use super::format::CHECK_OCTETS;
use crate::error::{Result, StoreError};

/// The file, made when first needed, without a name.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    file: Option<File>,
    length: u64,
    places: HashMap<[u8; CHECK_OCTETS], (u64, u64)>,
    open: [u8; CHECK_OCTETS],
}

impl Spare {
    /// Begins a body; what follows by [`Self::write`] is its.
    pub(crate) fn begin(&mut self, digest: &[u8; CHECK_OCTETS]) -> Result<()> {
        if self.file.is_none() {
            self.file = Some(unnamed()?);
        }
        self.open = *digest;
        self.places.insert(*digest, (self.length, 0));
        Ok(())
    }

    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<()> {
        let file = self.file.as_mut().ok_or_else(lost)?;
        file.write_all(octets)?;
        self.length += octets.len() as u64;
        let place = self.places.get_mut(&self.open).ok_or_else(lost)?;
        place.1 += octets.len() as u64;
        Ok(())
    }

    /// At most `limit` octets of a body from `at` on; never none.
    pub(crate) fn read(&self, digest: &[u8; CHECK_OCTETS], at: u64, limit: usize) -> Result<Vec<u8>> {
        let (start, length) = self.places.get(digest).copied().ok_or_else(lost)?;
        let count = length.saturating_sub(at).min(limit as u64);
        if count == 0 {
            return Err(lost());
        }
        let mut octets = vec![0; count as usize];
        let file = self.file.as_ref().ok_or_else(lost)?;
        file.read_exact_at(&mut octets, start + at)?;
        Ok(octets)
    }
}

fn lost() -> StoreError {
    StoreError::Corrupt("a body that was kept aside".to_owned())
}

/// A file without a name in the folder for temporary ones.
fn unnamed() -> Result<File> {
    use rustix::fs::{Mode, OFlags};
    let descriptor = rustix::fs::open(
        std::env::temp_dir(),
        OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )?;
    Ok(descriptor.into())
}
