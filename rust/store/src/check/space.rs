//! Blobs, their cards and records, packs and their files.

use std::collections::HashSet;
use std::os::unix::fs::FileExt;

use super::Check;
use crate::card::Card;
use crate::db::keys;
use crate::db::records::{BlobRecord, PackRecord, PackState};
use crate::error::Result;
use crate::ids::{BlobId, PackId};
use crate::pack::compact::pack_of;
use crate::pack::format::{RECORD_HEADER, RecordKind, TRAILER, decode_file_header, trailer_fits};
use crate::pack::read::pack_path;

impl Check<'_> {
    pub(super) fn blobs(&mut self, full: bool) -> Result<()> {
        for row in self.tables.blobs.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(blob), Some(record)) = (keys::u64_at(key, 0), BlobRecord::decode(value)) else {
                self.problem(format!("blob row {key:?} is damaged"));
                continue;
            };
            self.report.blobs += 1;
            let (body, prefix) = (self.bodies.remove(&blob), self.prefixes.remove(&blob));
            let kind = if body.is_some() {
                RecordKind::Body
            } else {
                RecordKind::Prefix
            };
            let (references, length) = match (body, prefix) {
                (Some(found), None) | (None, Some(found)) => found,
                (None, None) => (0, record.raw_len),
                (Some(_), Some(_)) => {
                    self.problem(format!("blob {blob} is a body and a prefix"));
                    continue;
                }
            };
            self.require(references == record.references, || {
                format!(
                    "blob {blob}: {references} references, its row says {}",
                    record.references
                )
            });
            self.require(length == record.raw_len, || {
                format!("blob {blob}: has {} octets, its messages say {length}", record.raw_len)
            });
            if kind == RecordKind::Body {
                let card = self.tables.cards.get(self.txn, &keys::blob(blob))?;
                self.require(card.is_some_and(|card| Card::decode(card).is_some()), || {
                    format!("blob {blob}: its card is missing or damaged")
                });
            }
            let sums = self.packs.entry(record.pack).or_default();
            sums.live += u64::from(record.length);
            sums.blobs += 1;
            sums.first = if sums.first == 0 { blob } else { sums.first };
            sums.last = blob;
            sums.end = sums.end.max(record.offset + u64::from(record.length));
            if full {
                self.record(blob, &record, kind)?;
            }
        }
        let (bodies, prefixes) = (std::mem::take(&mut self.bodies), std::mem::take(&mut self.prefixes));
        for blob in bodies.keys().chain(prefixes.keys()) {
            self.problem(format!("blob {blob} is referred to but has no row"));
        }
        Ok(())
    }

    /// Reads one record whole.
    fn record(&mut self, blob: BlobId, row: &BlobRecord, kind: RecordKind) -> Result<()> {
        let contents = self
            .context
            .packs
            .record(row)
            .and_then(|record| record.verify().map(|()| record));
        match contents {
            Err(error) => {
                // Released since our snapshot, its pack may be gone: no fault.
                let later = self.context.begin()?;
                if self.tables.blobs.get(&later, &keys::blob(blob))?.is_some() {
                    self.problem(format!("blob {blob}: {error}"));
                }
            }
            Ok(record) => {
                self.require(record.raw_len() == u64::from(row.raw_len), || {
                    format!("blob {blob}: its record has another length")
                });
                self.require(record.kind() == kind, || {
                    format!("blob {blob}: its record is of another kind")
                });
                let closed = self.is_closed(row);
                self.require(closed, || {
                    format!("blob {blob}: its record does not end with its trailer")
                });
                if kind == RecordKind::Body {
                    self.require(Card::decode(record.card()).is_some(), || {
                        format!("blob {blob}: the card in its record is damaged")
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether the record's last octets repeat its header's checksum; only what rebuilds an index needs them.
    fn is_closed(&self, row: &BlobRecord) -> bool {
        let (mut header, mut trailer) = ([0; RECORD_HEADER], [0; TRAILER]);
        let end = row.offset + u64::from(row.length);
        self.context.packs.file(row.pack).is_ok_and(|file| {
            file.read_exact_at(&mut header, row.offset).is_ok()
                && file
                    .read_exact_at(&mut trailer, end.saturating_sub(TRAILER as u64))
                    .is_ok()
                && trailer_fits(&trailer, &header)
        })
    }

    pub(super) fn cards(&mut self) -> Result<()> {
        for row in self.tables.cards.iter(self.txn)? {
            let (key, _) = row?;
            let known = self.tables.blobs.get(self.txn, key)?.is_some();
            self.require(known, || format!("card {key:?} belongs to no blob"));
        }
        Ok(())
    }

    pub(super) fn packs(&mut self) -> Result<()> {
        let mut known = HashSet::new();
        for row in self.tables.packs.iter(self.txn)? {
            let (key, value) = row?;
            let (Some(pack), Some(record)) = (keys::u64_at(key, 0).map(PackId), PackRecord::decode(value)) else {
                self.problem(format!("pack row {key:?} is damaged"));
                continue;
            };
            self.report.packs += 1;
            known.insert(pack);
            let sums = self.packs.remove(&pack).unwrap_or_default();
            self.require(sums.live == record.live && sums.blobs == record.blobs, || {
                format!(
                    "pack {pack}: {} blobs with {} octets live, its row says {} with {}",
                    sums.blobs, sums.live, record.blobs, record.live
                )
            });
            self.require(sums.end <= record.synced, || {
                format!("pack {pack}: a record beyond what was synced")
            });
            let in_range = sums.first == 0 || (record.first_blob <= sums.first && sums.last <= record.last_blob);
            self.require(in_range, || format!("pack {pack}: a blob beyond the range of its row"));
            self.require((record.sealed != 0) == (record.state == PackState::Sealed), || {
                format!("pack {pack}: its state and its time of sealing differ")
            });
            self.pack_file(pack, record.synced)?;
        }
        for pack in std::mem::take(&mut self.packs).keys() {
            self.problem(format!("pack {pack} is referred to but has no row"));
        }
        self.orphans(&known)
    }

    /// The file of a pack whose index row is sound.
    fn pack_file(&mut self, pack: PackId, synced: u64) -> Result<()> {
        let length = std::fs::metadata(pack_path(self.context.packs.folder(), pack)).map(|metadata| metadata.len());
        if length.is_err() {
            // Unlinked since our snapshot, with its row, it is no fault.
            let later = self.context.begin()?;
            if self.tables.packs.get(&later, &keys::pack(pack))?.is_none() {
                return Ok(());
            }
        }
        self.require(length.is_ok_and(|length| length >= synced), || {
            format!("pack {pack}: its file is missing or too short")
        });
        let mut header = [0; crate::pack::format::FILE_HEADER];
        let named = self.context.packs.file(pack).is_ok_and(|file| {
            std::os::unix::fs::FileExt::read_exact_at(&*file, &mut header, 0).is_ok()
                && decode_file_header(&header) == Some(pack)
        });
        self.require(named, || {
            format!("pack {pack}: its file has another pack's header, or none")
        });
        Ok(())
    }

    /// Files of writers that have ended, which no row knows.
    fn orphans(&mut self, known: &HashSet<PackId>) -> Result<()> {
        for folder in std::fs::read_dir(self.context.packs.folder())? {
            let folder = folder?.path();
            let writer = folder
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.parse().ok());
            let Some(writer) = writer else { continue };
            if self.tables.meta.get(self.txn, &keys::writer(writer))?.is_some() {
                continue;
            }
            let Ok(files) = std::fs::read_dir(&folder) else {
                continue;
            };
            for file in files {
                let path = file?.path();
                let Some(pack) = pack_of(&path, writer) else { continue };
                let doomed = self.tables.doomed.get(self.txn, &keys::doomed_pack(pack))?.is_some();
                // A file made or let go after our snapshot is no orphan: its writer's number tells the first, the
                // file's absence by now the second.
                let counters = self.tables.counters(self.txn)?;
                let orphan = !known.contains(&pack) && !doomed && writer < counters.writer && path.exists();
                self.require(!orphan, || format!("pack {pack}: a file that no row knows"));
            }
        }
        Ok(())
    }
}
