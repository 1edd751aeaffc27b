//! This writer's active pack: one vectored write and one sync for a whole batch.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FallocateFlags;

use super::format::{FILE_HEADER, PACK_OCTETS_MAX, encode_file_header, encode_footer};
use super::read::pack_path;
use crate::failpoints;
use crate::ids::PackId;
use crate::prepare::{PreparedRecord, sync_folder};
use crate::sink::SinkHub;

/// Octets allocated ahead, so that a sync seldom has to write the file's size and extents too.
const ALLOCATE_OCTETS: u64 = 8 << 20;
/// Buffers in one vectored write at most (IOV_MAX of Linux).
const SLICES_MAX: usize = 1024;

/// A pack that was sealed and its length, for the transaction that follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed(pub(crate) PackId, pub(crate) u64);

/// The pack that this writer appends to.
#[derive(Debug)]
pub(crate) struct Appender {
    /// `packs` of the volume.
    packs: PathBuf,
    hub: Arc<SinkHub>,
    active: Option<Active>,
    sync: bool,
    /// Sealed since the index was last told.
    sealed: Vec<Sealed>,
}

#[derive(Debug)]
struct Active {
    file: File,
    pack: PackId,
    length: u64,
    allocated: u64,
}

impl Appender {
    pub(crate) fn new(packs: PathBuf, hub: Arc<SinkHub>, sync: bool) -> Self {
        Self {
            packs,
            hub,
            active: None,
            sync,
            sealed: Vec::new(),
        }
    }

    /// The active pack and its length.
    pub(crate) fn active(&self) -> Option<(PackId, u64)> {
        self.active.as_ref().map(|active| (active.pack, active.length))
    }

    /// True when this writer may have packs, of one kind or the other.
    pub(crate) fn has_packs(&self) -> bool {
        self.hub.has_new_packs()
    }

    /// Packs sealed since [`Self::told`].
    pub(crate) fn sealed(&self) -> &[Sealed] {
        &self.sealed
    }

    /// The index has committed what [`Self::sealed`] told.
    pub(crate) fn told(&mut self) {
        self.sealed.clear();
    }

    /// Appends records and syncs them; sets their places. After an error none of them is placed, and what was
    /// written is cut off again; after a failed sync the caller must not go on.
    pub(crate) fn append(&mut self, records: &mut [&mut PreparedRecord]) -> Result<(), AppendError> {
        let total: u64 = records.iter().map(|record| record.bytes.len() as u64).sum();
        if total == 0 {
            return Ok(());
        }
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.length + total > PACK_OCTETS_MAX)
        {
            self.seal()?;
        }
        if self.active.is_none() {
            self.active = Some(self.create()?);
        }
        let Some(active) = self.active.as_mut() else {
            return Ok(());
        };
        let start = active.length;
        let written = active.write(records, total);
        if let Err(error) = written {
            // What lies beyond `length` is never pointed to and is written over by the next batch; the space is
            // given back where that works.
            let _ = rustix::fs::ftruncate(&active.file, start);
            active.allocated = start;
            return Err(AppendError::Write(error));
        }
        if self.sync {
            failpoints::pass("pack-sync").map_err(AppendError::Sync)?;
            rustix::fs::fdatasync(&active.file).map_err(|error| AppendError::Sync(error.into()))?;
        }
        let mut offset = start;
        for record in records {
            record.place = Some((active.pack, offset));
            offset += record.bytes.len() as u64;
        }
        active.length = offset;
        Ok(())
    }

    fn create(&self) -> Result<Active, AppendError> {
        failpoints::pass("pack-create").map_err(AppendError::Write)?;
        let pack = self.hub.new_pack();
        let path = pack_path(&self.packs, pack);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(AppendError::Write)?;
        let header = file.write_all_at(&encode_file_header(pack), 0);
        let made = header.map_err(AppendError::Write).and_then(|()| {
            if self.sync {
                sync_folder(&self.packs.join(pack.writer().to_string())).map_err(AppendError::Sync)?;
            }
            Ok(())
        });
        if let Err(error) = made {
            // An orphan left by a failing removal goes with the next recovery.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Active {
            file,
            pack,
            length: FILE_HEADER as u64,
            allocated: FILE_HEADER as u64,
        })
    }

    /// Cuts what was allocated ahead, writes the footer, syncs. The next append makes a new pack.
    pub(crate) fn seal(&mut self) -> Result<(), AppendError> {
        let Some(active) = self.active.as_ref() else {
            return Ok(());
        };
        rustix::fs::ftruncate(&active.file, active.length).map_err(|error| AppendError::Sync(error.into()))?;
        let footer = encode_footer(active.pack, active.length);
        match active.file.write_all_at(&footer, active.length) {
            // A pack without a footer is as good: the index knows its length.
            Err(error) if crate::error::is_no_space(&error) => {}
            Err(error) => return Err(AppendError::Sync(error)),
            Ok(()) => {}
        }
        if self.sync {
            rustix::fs::fsync(&active.file).map_err(|error| AppendError::Sync(error.into()))?;
        }
        self.sealed.push(Sealed(active.pack, active.length));
        self.active = None;
        Ok(())
    }
}

/// Why a batch did not get into the pack.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// A write or a creation failed; the pack is as it was.
    Write(io::Error),
    /// A sync failed: what is on disk is unknown.
    Sync(io::Error),
}

impl Active {
    fn write(&mut self, records: &[&mut PreparedRecord], total: u64) -> io::Result<()> {
        failpoints::pass("pack-write")?;
        let end = self.length + total;
        if end > self.allocated {
            let until = end.next_multiple_of(ALLOCATE_OCTETS);
            // Not every file system can, and a nearly full one need not: then the writes allocate as they go.
            if rustix::fs::fallocate(&self.file, FallocateFlags::empty(), self.length, until - self.length).is_ok() {
                self.allocated = until;
            }
        }
        let mut offset = self.length;
        for group in records.chunks(SLICES_MAX) {
            let mut slices: Vec<IoSlice<'_>> = group.iter().map(|record| IoSlice::new(&record.bytes)).collect();
            let mut rest = slices.as_mut_slice();
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.file, rest, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}
