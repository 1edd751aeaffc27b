//! Reading packs: pread, checksum, decompress, ranges. A damaged record is told by name and harms no other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::{ReadWriteFlags, preadv2};

use super::format::{FRAME_ENTRY, FRAME_OCTETS, Frame, RECORD_HEADER, RecordHeader, RecordKind, TRAILER, trailer_fits};
use crate::db::records::BlobRecord;
use crate::error::{Result, StoreError};
use crate::ids::PackId;

/// Pack files kept open at most.
const OPEN_FILES_MAX: usize = 128;
/// A record up to this is read as a whole by one call.
const WHOLE_OCTETS_MAX: u32 = 128 * 1024;

/// The path of a pack file under the volume's `packs` folder.
#[must_use]
pub fn pack_path(packs: &Path, pack: PackId) -> PathBuf {
    packs
        .join(pack.writer().to_string())
        .join(format!("{}.pack", pack.number()))
}

/// The pack files of a volume, opened when first read.
#[derive(Debug)]
pub struct PackFiles {
    folder: PathBuf,
    open: Mutex<OpenFiles>,
}

#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<PackId, (Arc<File>, u64)>,
    clock: u64,
}

impl PackFiles {
    /// Over the folder `packs` of a volume.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            open: Mutex::default(),
        }
    }

    /// The volume's `packs` folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a pack; `NotFound` when it has been unlinked.
    pub fn file(&self, pack: PackId) -> Result<Arc<File>> {
        {
            let mut open = self.open.lock();
            open.clock += 1;
            let clock = open.clock;
            if let Some((file, used)) = open.files.get_mut(&pack) {
                *used = clock;
                return Ok(Arc::clone(file));
            }
        }
        // Opened outside the lock: no lock is held over I/O.
        let file = match File::open(pack_path(&self.folder, pack)) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::NotFound(format!("pack {pack}")));
            }
            Err(error) => return Err(error.into()),
        };
        let mut open = self.open.lock();
        if open.files.len() >= OPEN_FILES_MAX {
            let oldest = open
                .files
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(pack, _)| *pack);
            if let Some(oldest) = oldest {
                open.files.remove(&oldest);
            }
        }
        let clock = open.clock;
        open.files.insert(pack, (Arc::clone(&file), clock));
        Ok(file)
    }

    /// True when the whole record lies in the page cache now: the kernel is asked to answer without waiting.
    ///
    /// False also when that cannot be known: the pack is gone, the file system cannot tell, the record is large.
    #[must_use]
    pub fn is_warm(&self, blob: &BlobRecord) -> bool {
        thread_local! {
            static PROBE: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        if blob.length > WHOLE_OCTETS_MAX {
            return false;
        }
        let Ok(file) = self.file(blob.pack) else { return false };
        PROBE.with_borrow_mut(|probe| {
            probe.resize(WHOLE_OCTETS_MAX as usize, 0);
            let room = &mut probe[..blob.length as usize];
            let buffers = &mut [IoSliceMut::new(room)];
            preadv2(&file, buffers, blob.offset, ReadWriteFlags::NOWAIT)
                .is_ok_and(|count| count == blob.length as usize)
        })
    }

    /// Forgets an unlinked pack, so that its space returns.
    pub fn forget(&self, pack: PackId) {
        self.open.lock().files.remove(&pack);
    }

    /// Lets go of files that another process has unlinked.
    pub fn forget_unlinked(&self) {
        let files: Vec<(PackId, Arc<File>)> = self
            .open
            .lock()
            .files
            .iter()
            .map(|(pack, (file, _))| (*pack, Arc::clone(file)))
            .collect();
        for (pack, file) in files {
            if rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_nlink == 0) {
                self.forget(pack);
            }
        }
    }

    /// Reads and verifies the head of a record, and with a small record its data too.
    pub fn record(&self, blob: &BlobRecord) -> Result<StoredRecord> {
        let file = match self.file(blob.pack) {
            Ok(file) => file,
            Err(StoreError::NotFound(_)) => return Err(corrupt(blob.pack, blob.offset, "its pack is missing")),
            Err(error) => return Err(error),
        };
        StoredRecord::open(file, blob.pack, blob.offset, blob.length)
    }
}

fn corrupt(pack: PackId, offset: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!("pack {pack}, record at {offset}: {what}"))
}

/// A record of a pack whose head has been verified.
#[derive(Debug)]
pub struct StoredRecord {
    file: Arc<File>,
    pack: PackId,
    offset: u64,
    header: RecordHeader,
    /// Sections as they lie in the file.
    sections: Vec<u8>,
    /// The whole record, when it was small enough to be read at once.
    whole: Option<Vec<u8>>,
    /// Where each frame begins within the data, and where the last ends.
    starts: Vec<u64>,
}

impl StoredRecord {
    /// Reads the record of `length` octets at `offset` of a pack.
    pub fn open(file: Arc<File>, pack: PackId, offset: u64, length: u32) -> Result<Self> {
        let bad = |what: &str| corrupt(pack, offset, what);
        let first = if length <= WHOLE_OCTETS_MAX {
            length as usize
        } else {
            RECORD_HEADER
        };
        let mut bytes = vec![0; first.max(RECORD_HEADER)];
        read_exact(&file, &mut bytes, offset, pack)?;
        let header = RecordHeader::decode(&bytes).ok_or_else(|| bad("no record header"))?;
        if header.length != length {
            return Err(bad("length differs from the index"));
        }
        let is_whole = length <= WHOLE_OCTETS_MAX;
        let sections = if is_whole {
            let start = header.sections_offset as usize;
            let end = start + header.sections_len();
            let sections = bytes
                .get(start..end)
                .ok_or_else(|| bad("sections beyond the record"))?
                .to_vec();
            if !trailer_fits(&bytes[bytes.len() - TRAILER..], &bytes) {
                return Err(bad("trailer does not fit"));
            }
            sections
        } else {
            let mut sections = vec![0; header.sections_len()];
            read_exact(&file, &mut sections, offset + u64::from(header.sections_offset), pack)?;
            sections
        };
        if !RecordHeader::verify(&bytes, &sections) {
            return Err(bad("checksum of the header"));
        }
        let mut starts = Vec::with_capacity(header.frames as usize + 1);
        let mut position = 0_u64;
        starts.push(0);
        for entry in sections[..header.frames as usize * FRAME_ENTRY].chunks_exact(FRAME_ENTRY) {
            let frame = Frame::decode(entry).ok_or_else(|| bad("frame table"))?;
            position += u64::from(frame.stored_len);
            starts.push(position);
        }
        if position != u64::from(header.stored_len) {
            return Err(bad("frame table"));
        }
        let whole = is_whole.then_some(bytes);
        Ok(Self {
            file,
            pack,
            offset,
            header,
            sections,
            whole,
            starts,
        })
    }

    /// The fixed header.
    #[must_use]
    pub fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// Body or prefix.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.header.kind
    }

    /// Octets of the contents.
    #[must_use]
    pub fn raw_len(&self) -> u64 {
        u64::from(self.header.raw_len)
    }

    /// The encoded MIME table (`ironpost_mime::Structure::decode`); empty for a prefix.
    #[must_use]
    pub fn structure(&self) -> &[u8] {
        let start = self.header.frames as usize * FRAME_ENTRY;
        &self.sections[start..start + self.header.structure_len as usize]
    }

    /// The full card (`card::Card::decode`); empty for a prefix.
    #[must_use]
    pub fn card(&self) -> &[u8] {
        let start = self.header.frames as usize * FRAME_ENTRY + self.header.structure_len as usize;
        &self.sections[start..start + self.header.card_len as usize]
    }

    /// Name of the first recipient's mailbox.
    #[must_use]
    pub fn hint(&self) -> &[u8] {
        &self.sections[self.sections.len() - usize::from(self.header.hint_len)..]
    }

    /// Appends the contents in `range`; what lies beyond the end is left out.
    ///
    /// Reads and verifies only the frames that the range touches. `Corrupt` names the record.
    pub fn read(&self, range: Range<u64>, out: &mut Vec<u8>) -> Result<()> {
        let end = range.end.min(self.raw_len());
        if range.start >= end {
            return Ok(());
        }
        let frame_octets = FRAME_OCTETS as u64;
        let mut stored = Vec::new();
        let mut raw = Vec::new();
        for index in range.start / frame_octets..=(end - 1) / frame_octets {
            let frame_start = index * frame_octets;
            let raw_len = (self.raw_len() - frame_start).min(frame_octets) as usize;
            let from = range.start.saturating_sub(frame_start) as usize;
            let until = ((end - frame_start) as usize).min(raw_len);
            let plain = self.frame(index as usize, raw_len, &mut stored, &mut raw)?;
            out.extend_from_slice(&plain[from..until]);
        }
        Ok(())
    }

    /// The whole record as it lies in the file.
    pub fn octets(&self) -> Result<Vec<u8>> {
        if let Some(whole) = &self.whole {
            return Ok(whole.clone());
        }
        let mut bytes = vec![0; self.header.length as usize];
        read_exact(&self.file, &mut bytes, self.offset, self.pack)?;
        Ok(bytes)
    }

    /// Reads everything and compares it with its checksums and its digest; `Corrupt` names the record.
    pub fn verify(&self) -> Result<()> {
        let mut hasher = blake3::Hasher::new();
        let (mut stored, mut raw) = (Vec::new(), Vec::new());
        for index in 0..self.header.frames as usize {
            let start = index as u64 * FRAME_OCTETS as u64;
            let raw_len = (self.raw_len() - start).min(FRAME_OCTETS as u64) as usize;
            hasher.update(self.frame(index, raw_len, &mut stored, &mut raw)?);
        }
        if hasher.finalize() != blake3::Hash::from_bytes(self.header.digest) {
            return Err(corrupt(self.pack, self.offset, "its contents do not fit their digest"));
        }
        Ok(())
    }

    /// All contents.
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.raw_len() as usize);
        self.read(0..self.raw_len(), &mut out)?;
        Ok(out)
    }

    /// One frame's contents, from the record in memory or from the file by way of `stored` and `raw`.
    fn frame<'a>(
        &'a self,
        index: usize,
        raw_len: usize,
        stored: &'a mut Vec<u8>,
        raw: &'a mut Vec<u8>,
    ) -> Result<&'a [u8]> {
        let bad = |what: &str| corrupt(self.pack, self.offset, what);
        let start = self.starts[index];
        let length = (self.starts[index + 1] - start) as usize;
        let at = u64::from(self.header.data_offset) + start;
        let stored: &[u8] = if let Some(whole) = &self.whole {
            &whole[at as usize..at as usize + length]
        } else {
            stored.resize(length, 0);
            read_exact(&self.file, stored, self.offset + at, self.pack)?;
            stored
        };
        let entry = Frame::decode(&self.sections[index * FRAME_ENTRY..]).ok_or_else(|| bad("frame table"))?;
        if crc32fast::hash(stored) != entry.crc {
            return Err(bad("checksum of the contents"));
        }
        if !self.header.compressed {
            return if stored.len() == raw_len {
                Ok(stored)
            } else {
                Err(bad("length of a frame"))
            };
        }
        raw.resize(raw_len, 0);
        match decompress(stored, raw.as_mut_slice()) {
            Ok(length) if length == raw_len => Ok(raw),
            _ => Err(bad("compressed frame")),
        }
    }
}

thread_local! {
    /// Making one costs several times what a message of usual size costs to expand (docs/decisions/0011).
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

/// Expands one frame; the length of what came out.
fn decompress(stored: &[u8], raw: &mut [u8]) -> std::io::Result<usize> {
    DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
        Some(decompressor) => decompressor.decompress_to_buffer(stored, raw),
        None => zstd::bulk::decompress_to_buffer(stored, raw),
    })
}

/// Reads exactly; an end of file is a damaged pack, not a fault of the system.
fn read_exact(file: &File, bytes: &mut [u8], offset: u64, pack: PackId) -> Result<()> {
    match file.read_exact_at(bytes, offset) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Err(corrupt(pack, offset, "the file ends before the record"))
        }
        Err(error) => Err(error.into()),
    }
}
