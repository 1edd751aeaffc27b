//! Taking a snapshot: copy the index, then every pack that the copy points to.
//!
//! The order makes it consistent: bodies are on disk before their rows (docs/storage-format.md), so when the index has
//! been copied all its octets lie in packs, at the latest `synced` octets into each. A lease keeps every process from
//! unlinking packs meanwhile; should one go all the same, the index is copied anew.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use heed::CompactionOption;

use super::list::{PackEntry, PackList};
use super::pin::Pin;
use super::snapshot::{Counts, Snapshot};
use crate::db::records::{PackRecord, PackState};
use crate::error::{Result, StoreError};
use crate::failpoints;
use crate::ids::PackId;
use crate::jobs::ReadContext;
use crate::pack::read::pack_path;
use crate::portable::Progress;
use crate::prepare::sync_folder;
use crate::volume::{Options, Volume};

/// Octets read, hashed and written at once.
const PIECE_OCTETS: usize = 1 << 20;
/// Tries when packs go while they are copied.
const TRIES: u32 = 3;

/// How a snapshot is taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct TakeOptions {
    /// Copies even where a hard link would do.
    pub copy: bool,
    /// Octets read per second at most.
    pub rate: Option<u64>,
}

/// What taking it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What the snapshot holds.
    pub counts: Counts,
    /// Identity of the volume.
    pub volume: [u8; 16],
    /// Packs of the snapshot.
    pub packs: u64,
    /// Octets of them.
    pub pack_octets: u64,
    /// Packs that the backup had already, as they are.
    pub packs_kept: u64,
    /// Packs hard-linked.
    pub packs_linked: u64,
    /// Octets copied.
    pub octets_copied: u64,
}

/// Opens the volume in `store` beside whoever has it open, takes a snapshot as [`take`] does, and closes it again.
pub fn take_of(
    store: &Path,
    volume: &Options,
    packs: &Path,
    snapshot: &Path,
    known: &PackList,
    options: TakeOptions,
    progress: &Progress,
) -> Result<Taken> {
    let volume = Volume::open(store, volume)?;
    let mut pin = Pin::take(&volume, &format!("pin:backup:{}", std::process::id()))?;
    let taken = take(volume.context(), packs, snapshot, known, options, progress, &mut || {
        pin.renew()
    });
    pin.release();
    volume.close();
    taken
}

/// Identity of the volume in `store`, which nobody of this process has open.
pub fn volume_of(store: &Path, options: &Options) -> Result<[u8; 16]> {
    let volume = Volume::open(store, options)?;
    let identity = super::snapshot::identity(volume.context());
    volume.close();
    identity
}

/// Takes a snapshot of `context` into the folder `snapshot`, its packs into the folder `packs` of the backup.
///
/// `known` are the packs of all whole snapshots of the backup. `renew` is called now and then, between pieces: it
/// renews the lease. What an interrupted try has left in either folder is used or replaced; files that `known` names are
/// only ever made longer.
pub fn take(
    context: &ReadContext,
    packs: &Path,
    snapshot: &Path,
    known: &PackList,
    options: TakeOptions,
    progress: &Progress,
    renew: &mut dyn FnMut() -> Result<()>,
) -> Result<Taken> {
    let mut attempt = 1;
    loop {
        let mut taker = Taker {
            source: context.packs.folder(),
            packs,
            known,
            options,
            progress,
            renew,
            pace: Pace::new(options.rate),
            taken: Taken::default(),
        };
        match taker.run(context, snapshot) {
            Err(StoreError::NotFound(_)) if attempt < TRIES => attempt += 1,
            other => return other,
        }
    }
}

struct Taker<'t> {
    source: &'t Path,
    packs: &'t Path,
    known: &'t PackList,
    options: TakeOptions,
    progress: &'t Progress,
    renew: &'t mut dyn FnMut() -> Result<()>,
    pace: Pace,
    taken: Taken,
}

impl Taker<'_> {
    fn run(&mut self, context: &ReadContext, snapshot: &Path) -> Result<Taken> {
        (self.renew)()?;
        let index = snapshot.join("index");
        std::fs::create_dir_all(&index)?;
        copy_index(context, &index.join("data.mdb"))?;
        sync_folder(&index)?;
        let copy = Snapshot::open(&index, self.packs)?;
        let rows = copy.packs();
        let facts = copy.counts().and_then(|counts| Ok((counts, copy.volume()?)));
        copy.close();
        (self.taken.counts, self.taken.volume) = facts?;
        let rows = rows?;
        self.progress.set_total(rows.values().map(|row| row.synced).sum());
        let mut list = PackList::default();
        for (pack, row) in rows {
            self.progress.go_on()?;
            failpoints::pass("backup-pack")?;
            let entry = self.pack(pack, &row)?;
            list.0.insert(pack, entry);
        }
        self.sync_folders(&list)?;
        failpoints::pass("backup-list")?;
        list.save(&snapshot.join("packs.list"))?;
        self.taken.packs = list.0.len() as u64;
        self.taken.pack_octets = list.octets();
        Ok(self.taken)
    }

    fn pack(&mut self, pack: PackId, row: &PackRecord) -> Result<PackEntry> {
        let target = pack_path(self.packs, pack);
        let there = std::fs::metadata(&target).map(|facts| facts.len()).ok();
        if let Some(known) = self.known.0.get(&pack)
            && let Some(length) = there
            && length >= known.length
        {
            if known.length == row.synced {
                self.taken.packs_kept += 1;
                self.progress.advance(row.synced, 0);
                return Ok(*known);
            }
            if known.length < row.synced {
                return self.extend(pack, &target, row.synced, Some(*known));
            }
            return Err(StoreError::Corrupt(format!(
                "pack {pack} has {} octets, an earlier snapshot has {} of it",
                row.synced, known.length
            )));
        }
        if self.known.0.contains_key(&pack) {
            self.progress.problem(format!(
                "pack {pack} of an earlier snapshot was missing or cut; it is copied again"
            ));
        }
        std::fs::create_dir_all(self.packs.join(pack.writer().to_string()))?;
        let source = self.open(pack)?;
        if row.state == PackState::Sealed && !self.options.copy && self.link(pack, &source, &target)? {
            return self.hash(&source, row.synced, pack);
        }
        self.copy(pack, source, &target, row.synced)
    }

    fn open(&self, pack: PackId) -> Result<File> {
        File::open(pack_path(self.source, pack)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => StoreError::NotFound(format!("pack {pack}")),
            _ => error.into(),
        })
    }

    /// True when the backup's file is the store's own, linked now or before.
    fn link(&mut self, pack: PackId, source: &File, target: &Path) -> Result<bool> {
        let facts = source.metadata()?;
        if let Ok(there) = std::fs::metadata(target) {
            if (there.dev(), there.ino()) == (facts.dev(), facts.ino()) {
                self.taken.packs_linked += 1;
                return Ok(true);
            }
            // Left by an interrupted try, and no snapshot names it.
            std::fs::remove_file(target)?;
        }
        match std::fs::hard_link(pack_path(self.source, pack), target) {
            Ok(()) => {
                self.taken.packs_linked += 1;
                Ok(true)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(StoreError::NotFound(format!("pack {pack}")))
            }
            // Another file system, or one without links.
            Err(_) => Ok(false),
        }
    }

    /// Copies the first `length` octets into a file of its own, which gets its name when it is on disk.
    fn copy(&mut self, pack: PackId, mut source: File, target: &Path, length: u64) -> Result<PackEntry> {
        let there = std::fs::metadata(target).map(|facts| facts.len()).unwrap_or(0);
        if there > 0 && there <= length {
            // Left whole by an interrupted try: what is missing is appended.
            return self.extend(pack, target, length, None);
        }
        let temporary = target.with_extension("tmp");
        let mut out = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let digest = self.stream(&mut source, length, pack, |piece| Ok(out.write_all(piece)?))?;
        failpoints::pass("backup-sync")?;
        out.sync_all()?;
        failpoints::pass("backup-rename")?;
        std::fs::rename(&temporary, target)?;
        self.taken.octets_copied += length;
        Ok(PackEntry { length, digest })
    }

    /// Makes the backup's copy as long as the pack has become. What it holds is compared, never written again.
    fn extend(&mut self, pack: PackId, target: &Path, length: u64, known: Option<PackEntry>) -> Result<PackEntry> {
        let mut source = self.open(pack)?;
        let mut out = OpenOptions::new().read(true).write(true).open(target)?;
        let has = out.metadata()?.len();
        let keep = known.map_or(has, |known| known.length).min(length);
        if let Some(known) = known {
            let digest = self.stream(&mut source, known.length, pack, |_| Ok(()))?;
            if digest != known.digest {
                return Err(StoreError::Corrupt(format!(
                    "pack {pack}: its first {} octets are not those of an earlier snapshot; check the store and verify \
                     the backup",
                    known.length
                )));
            }
            source.seek(SeekFrom::Start(0))?;
        }
        let source_facts = source.metadata()?;
        let facts = out.metadata()?;
        if (facts.dev(), facts.ino()) == (source_facts.dev(), source_facts.ino()) {
            // A link to a sealed pack, which has been whole all the time.
            return self.hash(&source, length, pack);
        }
        let mut at = 0_u64;
        out.seek(SeekFrom::Start(keep))?;
        let mut compare = OpenOptions::new().read(true).open(target)?;
        let mut held = Vec::new();
        let mut same = true;
        let digest = self.stream(&mut source, length, pack, |piece| {
            let old = keep.saturating_sub(at).min(piece.len() as u64) as usize;
            if known.is_none() && old > 0 {
                held.resize(old, 0);
                compare.read_exact(&mut held)?;
                same &= held == piece[..old];
            }
            at += piece.len() as u64;
            Ok(out.write_all(&piece[old..])?)
        })?;
        failpoints::pass("backup-sync")?;
        out.sync_all()?;
        if !same {
            // No snapshot names it, so it may go.
            std::fs::remove_file(target)?;
            let source = self.open(pack)?;
            return self.copy(pack, source, target, length);
        }
        self.taken.octets_copied += length - keep;
        Ok(PackEntry { length, digest })
    }

    fn hash(&mut self, source: &File, length: u64, pack: PackId) -> Result<PackEntry> {
        let mut source = source.try_clone()?;
        source.seek(SeekFrom::Start(0))?;
        let digest = self.stream(&mut source, length, pack, |_| Ok(()))?;
        Ok(PackEntry { length, digest })
    }

    /// Reads `length` octets in pieces, at the pace that is allowed; their digest.
    fn stream(
        &mut self,
        source: &mut File,
        length: u64,
        pack: PackId,
        mut piece: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; PIECE_OCTETS.min(length as usize)];
        let mut left = length;
        while left > 0 {
            self.progress.go_on()?;
            let count = left.min(PIECE_OCTETS as u64) as usize;
            source
                .read_exact(&mut buffer[..count])
                .map_err(|error| match error.kind() {
                    std::io::ErrorKind::UnexpectedEof => StoreError::Corrupt(format!(
                        "pack {pack}: its file is shorter than the {length} octets of the index"
                    )),
                    _ => error.into(),
                })?;
            hasher.update(&buffer[..count]);
            failpoints::pass("backup-write")?;
            piece(&buffer[..count])?;
            left -= count as u64;
            self.progress.advance(count as u64, count as u64);
            self.pace.octets += count as u64;
            (self.renew)()?;
            while let Some(pause) = self.pace.pause() {
                self.progress.go_on()?;
                std::thread::sleep(pause);
                (self.renew)()?;
            }
        }
        Ok(hasher.finalize())
    }

    fn sync_folders(&self, list: &PackList) -> Result<()> {
        let mut last = None;
        for pack in list.0.keys() {
            if last.replace(pack.writer()) != Some(pack.writer()) {
                sync_folder(&self.packs.join(pack.writer().to_string()))?;
            }
        }
        sync_folder(self.packs)?;
        Ok(())
    }
}

/// Copies the index, compacted, within one read transaction of LMDB's own, and syncs it.
fn copy_index(context: &ReadContext, path: &PathBuf) -> Result<()> {
    failpoints::pass("backup-index")?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    context.env.copy_to_file(&mut file, CompactionOption::Enabled)?;
    file.sync_all()?;
    Ok(())
}

/// Holds a task to so many octets per second.
struct Pace {
    rate: Option<u64>,
    began: Instant,
    octets: u64,
}

impl Pace {
    /// A pause is cut into pieces of this, so that an interruption is seen.
    const PAUSE_MAX: Duration = Duration::from_secs(1);

    fn new(rate: Option<u64>) -> Self {
        Self {
            rate: rate.filter(|&rate| rate > 0),
            began: Instant::now(),
            octets: 0,
        }
    }

    /// How long to pause now for what has been read, at most [`Self::PAUSE_MAX`]; `None` when there is no need.
    fn pause(&self) -> Option<Duration> {
        let due = Duration::from_secs_f64(self.octets as f64 / self.rate? as f64);
        let ahead = due.saturating_sub(self.began.elapsed()).min(Self::PAUSE_MAX);
        (!ahead.is_zero()).then_some(ahead)
    }
}
