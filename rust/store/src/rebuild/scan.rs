//! What the packs hold: where each body and prefix lies, and the journal's transactions.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Rebuilt, aside};
use crate::error::Result;
use crate::ids::{BlobId, PackId, WriterId};
use crate::journal::{Digest, transactions};
use crate::pack::format::{FILE_HEADER, FOOTER, RecordKind, decode_file_header, decode_footer};
use crate::pack::read::{StoredRecord, pack_path};
use crate::pack::scan::{Found, walk};

/// A record that holds a body or a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contents {
    pub(super) blob: BlobId,
    pub(super) pack: PackId,
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) raw_len: u32,
    pub(super) kind: RecordKind,
    /// No journal record follows it in its pack, nor in a later one of its writer: it may never have been told of.
    pub(super) untold: bool,
}

/// Digest of a body, its pack, and where it lies there.
type Place = (Digest, PackId, u64);

impl Contents {
    pub(super) fn open(&self, packs: &Path) -> Result<StoredRecord> {
        let file = Arc::new(File::open(pack_path(packs, self.pack))?);
        StoredRecord::open(file, self.pack, self.offset, self.length)
    }

    /// The record, whose contents have been read and fit their digest.
    pub(super) fn verify(&self, packs: &Path) -> Result<StoredRecord> {
        let record = self.open(packs)?;
        record.verify()?;
        Ok(record)
    }
}

/// One transaction of the journal: where it lies.
pub(super) struct Transaction {
    pub(super) number: u64,
    record: Arc<JournalRecord>,
    start: usize,
    length: usize,
}

struct JournalRecord {
    file: Arc<File>,
    pack: PackId,
    offset: u64,
    length: u32,
}

impl Transaction {
    pub(super) fn read(&self) -> Result<Vec<u8>> {
        let record = &self.record;
        let stored = StoredRecord::open(Arc::clone(&record.file), record.pack, record.offset, record.length)?;
        let mut contents = Vec::with_capacity(self.length);
        stored.read(self.start as u64..(self.start + self.length) as u64, &mut contents)?;
        Ok(contents)
    }
}

/// What the packs hold.
#[derive(Default)]
pub(super) struct Scan {
    pub(super) contents: HashMap<Digest, Contents>,
    /// Further records with the same contents: of a second delivery, or a compaction's, which a power loss may have torn.
    copies: HashMap<Digest, Vec<Contents>>,
    /// Digests in the order in which they were met; a blob's number is its place here, from 1.
    pub(super) order: Vec<Digest>,
    pub(super) journal: Vec<Transaction>,
    /// Pack, octets up to the end of its last record, octets of its journal.
    pub(super) packs: Vec<(PackId, u64, u64)>,
    pub(super) writers: HashSet<WriterId>,
    /// Files without any record and without their own header, which hold something all the same.
    pub(super) unreadable: Vec<(PackId, PathBuf)>,
    /// Bodies of shared packs behind the last journal record of their writer.
    tails: HashMap<WriterId, Vec<Place>>,
}

impl Scan {
    pub(super) fn read(&mut self, pack: PackId, path: &Path, report: &mut Rebuilt) -> Result<()> {
        let file = Arc::new(File::open(path)?);
        let length = file.metadata()?.len();
        let mut header = [0; FILE_HEADER];
        let named = length >= FILE_HEADER as u64
            && file.read_exact_at(&mut header, 0).is_ok()
            && decode_file_header(&header) == Some(pack);
        let end = sealed_length(&file, pack, length).unwrap_or(length);
        let mut damaged = Vec::new();
        let mut untold: Vec<Place> = Vec::new();
        let mut last = FILE_HEADER as u64;
        let mut journal_octets = 0;
        walk(&file, end, |found| {
            match found {
                Found::Damaged(at, octets) => {
                    damaged.push(format!("pack {pack}: {octets} octets at {at} are no record"));
                }
                Found::Doubtful(at, header) if header.kind == RecordKind::Journal => {
                    last = at + u64::from(header.length);
                    damaged.push(format!(
                        "pack {pack}: the journal at {at} follows damage and is not believed"
                    ));
                }
                Found::Record(at, header) | Found::Doubtful(at, header) => {
                    let is_certain = matches!(found, Found::Record(..));
                    last = at + u64::from(header.length);
                    if header.kind == RecordKind::Journal {
                        journal_octets += u64::from(header.length);
                        let record = Arc::new(JournalRecord {
                            file: Arc::clone(&file),
                            pack,
                            offset: at,
                            length: header.length,
                        });
                        if let Err(error) = self.journal_record(&record) {
                            // Torn or damaged: it tells of nothing.
                            damaged.push(error.to_string());
                            return Ok(());
                        }
                        // What its writer has put into shared packs before it has been told of, if it came to be.
                        let tail = self.tails.remove(&pack.writer()).unwrap_or_default();
                        for place in untold.drain(..).chain(tail) {
                            self.tell(place);
                        }
                    } else {
                        let digest: Digest = std::array::from_fn(|index| header.digest[index]);
                        // A body with a pack of its own may be committed after those in packs with greater numbers.
                        if is_certain && header.sections_offset < header.data_offset {
                            untold.push((digest, pack, at));
                        }
                        let next = self.order.len() as BlobId + 1;
                        let order = &mut self.order;
                        let contents = Contents {
                            blob: next,
                            pack,
                            offset: at,
                            length: header.length,
                            raw_len: header.raw_len,
                            kind: header.kind,
                            // What is doubtful is only put where the journal names it.
                            untold: is_certain,
                        };
                        match self.contents.entry(digest) {
                            Entry::Vacant(entry) => {
                                order.push(digest);
                                entry.insert(contents);
                            }
                            Entry::Occupied(_) => self.copies.entry(digest).or_default().push(contents),
                        }
                    }
                }
            }
            Ok(())
        })?;
        let has_records = last > FILE_HEADER as u64;
        if !has_records && !named && !aside::is_void(&file)? {
            // A power loss between the file's birth and its first sync leaves such a thing, and so does damage: nobody can
            // tell, and the next open would remove it.
            report.damaged.push(format!(
                "pack {pack}: no header and no record; set aside as {}",
                aside::place(pack).display()
            ));
            self.unreadable.push((pack, path.to_owned()));
            return Ok(());
        }
        if !has_records && (!named || damaged.is_empty()) {
            // Born and never written: nobody was told of anything in it, and the next open removes it.
            return Ok(());
        }
        if !named {
            damaged.push(format!("pack {pack}: its file has another pack's header, or none"));
        }
        self.tails.entry(pack.writer()).or_default().append(&mut untold);
        self.packs.push((pack, last, journal_octets));
        report.packs += 1;
        report.damaged.append(&mut damaged);
        Ok(())
    }

    /// The body at this place was there before its writer last told what it had done.
    fn tell(&mut self, (digest, pack, offset): Place) {
        let copies = self.copies.get_mut(&digest).into_iter().flatten();
        for contents in self.contents.get_mut(&digest).into_iter().chain(copies) {
            contents.untold &= (contents.pack, contents.offset) != (pack, offset);
        }
    }

    /// Where there are several records of the same contents: the first of them that can be read.
    pub(super) fn choose(&mut self, packs: &Path) {
        for (digest, copies) in self.copies.drain() {
            let Some(first) = self.contents.get_mut(&digest) else {
                continue;
            };
            if first.verify(packs).is_ok() {
                continue;
            }
            if let Some(sound) = copies.into_iter().find(|copy| copy.verify(packs).is_ok()) {
                *first = Contents {
                    blob: first.blob,
                    ..sound
                };
            }
        }
    }

    fn journal_record(&mut self, record: &Arc<JournalRecord>) -> Result<()> {
        let stored = StoredRecord::open(Arc::clone(&record.file), record.pack, record.offset, record.length)?;
        let contents = stored.read_all()?;
        for (number, entries) in transactions(&contents) {
            // The slice borrows from the contents, so its place is the difference of the two addresses' offsets.
            let start = entries.as_ptr() as usize - contents.as_ptr() as usize;
            self.journal.push(Transaction {
                number,
                record: Arc::clone(record),
                start,
                length: entries.len(),
            });
        }
        Ok(())
    }
}

/// Octets before the footer of a sealed pack.
fn sealed_length(file: &File, pack: PackId, length: u64) -> Option<u64> {
    let at = length.checked_sub(FOOTER as u64)?;
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, at).ok()?;
    decode_footer(&footer, pack).filter(|told| *told == at)
}
