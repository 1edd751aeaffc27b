//! Gives space back while mail goes on: copies the living out of packs that are mostly dead, and out of many small ones,
//! tells their journal anew, and lets them go.
//!
//! Nothing is overwritten. A copy is synced before the transaction that repoints its blob; the old pack goes when no blob
//! is left in it and its journal is in another pack. A crash anywhere leaves both, or copies that nobody points to, which
//! the next run counts as dead. Two runs at once are kept apart by a lease; were they not, a blob would still be
//! repointed only from where it was copied.

use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::db::keys;
use crate::db::records::{BlobRecord, PackRecord, PackState};
use crate::db::tables::damaged;
use crate::error::{Result, StoreError};
use crate::failpoints;
use crate::ids::{BlobId, PackId, WriterId};
use crate::jobs::ReadContext;
use crate::journal::{Digest, Entry, entries, transactions};
use crate::ops::{Op, Outcome, RetainedSet};
use crate::pack::format::{PACK_OCTETS_MAX, RecordKind};
use crate::pack::read::StoredRecord;
use crate::pack::scan::{Found, walk};
use crate::prepare::PreparedRecord;
use crate::writer::{Loads, Queued, WriterShared};

/// Octets copied in one operation, about.
const STEP_OCTETS: usize = 2 << 20;
/// Octets of journal told again in one operation, about.
const STEP_JOURNAL: usize = 128 << 10;
/// How long a compactor keeps its lease without a sign of life, in seconds.
const LEASE_SECONDS: u32 = 900;
const LEASE: &str = "compact";
/// Blob rows looked at in one transaction.
const STRETCH_ROWS: usize = 50_000;
/// Retained messages remembered at most during a run; beyond it nothing is compacted that tells of messages.
const RETAINED_MAX: usize = 8 << 20;
/// How long the compactor stands back when mail waits for the writer.
const STAND_BACK: Duration = Duration::from_millis(5);
/// Of these waits in a row it takes at most so many: under endless load space must come back too.
const STAND_BACK_MAX: u32 = 40;

/// Which packs are compacted, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Share of a pack that is dead, in percent, from which on it is copied.
    pub dead_percent: u64,
    /// A sealed pack below this many octets is small.
    pub small_octets: u64,
    /// So many small ones are made into one.
    pub small_count: usize,
    /// Packs sealed later than so many seconds ago are left alone.
    pub age: u32,
    /// Octets copied in a second at most; 0: as fast as it goes.
    pub rate: u64,
    /// Octets copied by one run, about; 0: all there is to do.
    pub budget: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            dead_percent: 50,
            small_octets: 16 << 20,
            small_count: 16,
            age: 3600,
            rate: 32 << 20,
            budget: 0,
        }
    }
}

/// What a run has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Packs let go.
    pub packs: u64,
    /// Blobs copied.
    pub blobs: u64,
    /// Octets of their records.
    pub copied: u64,
    /// Octets of the packs let go.
    pub freed: u64,
    /// Damaged records, each named; their packs stay as they are.
    pub damaged: Vec<String>,
}

/// One run. Blocks; on a thread of its own.
pub(crate) struct Compactor {
    pub(crate) context: ReadContext,
    pub(crate) shared: Arc<WriterShared>,
    pub(crate) loads: Arc<Loads>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) rules: Rules,
    /// The writer of this process.
    pub(crate) number: WriterId,
    /// Octets of free disk below which new mail is refused.
    pub(crate) min_free: u64,
}

/// A pack that is to go.
struct Candidate {
    pack: PackId,
    row: PackRecord,
}

/// What one pack's journal needs of the index.
struct Pace {
    began: Instant,
    octets: u64,
}

impl Compactor {
    /// Compacts what the rules choose. `Refused` while another process does.
    pub(crate) fn run(&self) -> Result<Compacted> {
        let mut done = Compacted::default();
        self.write(
            Op::Lease {
                name: LEASE.to_owned(),
                seconds: LEASE_SECONDS,
            },
            Vec::new(),
        )?;
        let outcome = self.run_leased(&mut done);
        let released = self.write(Op::ReleaseLease { name: LEASE.to_owned() }, Vec::new());
        outcome?;
        released?;
        Ok(done)
    }

    fn run_leased(&self, done: &mut Compacted) -> Result<()> {
        let candidates = self.choose()?;
        if candidates.is_empty() {
            return Ok(());
        }
        let mut pace = Pace {
            began: Instant::now(),
            octets: 0,
        };
        for candidate in candidates {
            if self.stop.load(Ordering::Relaxed) || (self.rules.budget > 0 && done.copied >= self.rules.budget) {
                break;
            }
            if !self.has_room(&candidate)? {
                continue;
            }
            self.compact(&candidate, &mut pace, done)?;
            self.write(
                Op::Lease {
                    name: LEASE.to_owned(),
                    seconds: LEASE_SECONDS,
                },
                Vec::new(),
            )?;
        }
        Ok(())
    }

    /// The packs to compact: first those that are mostly dead, by what they give back; then small ones, when there are
    /// many.
    fn choose(&self) -> Result<Vec<Candidate>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = (now.as_secs() as u32).saturating_sub(self.rules.age);
        let (mut dead, mut small) = (Vec::new(), Vec::new());
        let txn = self.context.begin()?;
        for row in self.context.tables.packs.iter(&txn)? {
            let (key, value) = row?;
            let pack = keys::u64_at(key, 0)
                .map(PackId)
                .ok_or_else(|| damaged("packs", "key"))?;
            let row = PackRecord::decode(value).ok_or_else(|| damaged("packs", pack))?;
            if row.state != PackState::Sealed || row.sealed > until {
                continue;
            }
            let useful = row.live + row.journal;
            let share = row.synced.saturating_sub(useful) * 100 / row.synced.max(1);
            if row.blobs == 0 || share >= self.rules.dead_percent {
                dead.push(Candidate { pack, row });
            } else if row.synced < self.rules.small_octets && row.journal > 0 {
                // Packs with one large body have no journal; copying them would give nothing back.
                small.push(Candidate { pack, row });
            }
        }
        dead.sort_by_key(|candidate| std::cmp::Reverse(candidate.row.synced.saturating_sub(candidate.row.live)));
        if small.len() >= self.rules.small_count.max(2) {
            // Neighbours by the numbers of their blobs, so that the range that a pack covers stays short.
            small.sort_by_key(|candidate| candidate.row.first_blob);
            let mut octets = 0;
            small.retain(|candidate| {
                octets += candidate.row.synced;
                octets <= PACK_OCTETS_MAX
            });
            dead.extend(small);
        }
        Ok(dead)
    }

    /// What is retained, for the journal; `None` when that is too much to remember.
    fn retained(&self) -> Result<Option<RetainedSet>> {
        let mut found = RetainedSet::default();
        let mut after: Vec<u8> = Vec::new();
        loop {
            let txn = self.context.begin()?;
            let bounds = (keys::behind(&after), Bound::Unbounded);
            let mut count = 0;
            let mut last = Vec::new();
            for row in self.context.tables.retained.range(&txn, &bounds)?.take(STRETCH_ROWS) {
                let (key, _) = row?;
                let numbers = (keys::u64_at(key, 4), keys::u32_at(key, 12), keys::u32_at(key, 16));
                let (Some(account), (Some(at), Some(mailbox), Some(uid))) = (keys::u32_at(key, 0), numbers) else {
                    return Err(damaged("retained", "key"));
                };
                found.messages.insert((mailbox, uid), at);
                found.mailboxes.insert(mailbox, account);
                last = key.to_vec();
                count += 1;
            }
            if found.messages.len() > RETAINED_MAX {
                return Ok(None);
            }
            if count < STRETCH_ROWS {
                return Ok(Some(found));
            }
            after = last;
        }
    }

    fn compact(&self, candidate: &Candidate, pace: &mut Pace, done: &mut Compacted) -> Result<()> {
        let damaged_before = done.damaged.len();
        let living = self.living(candidate)?;
        let untold = self.untold_elsewhere()?;
        if living.iter().any(|(_, row)| untold.contains(&row.digest)) {
            // A copy of ours, behind which our journal follows, would look as if that had told of it.
            return Ok(());
        }
        let mut group: Vec<(BlobId, BlobRecord)> = Vec::new();
        let mut octets = 0;
        for blob in living {
            octets += blob.1.length as usize;
            group.push(blob);
            if octets >= STEP_OCTETS {
                self.copy(std::mem::take(&mut group), pace, done)?;
                octets = 0;
            }
            if self.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        self.copy(group, pace, done)?;
        failpoints::pass("rejournal")?;
        let journals = if candidate.row.journal > 0 {
            self.journals(candidate, done)?
        } else {
            Vec::new()
        };
        if done.damaged.len() > damaged_before {
            // What cannot be read stays where it is: somebody may mend it from a backup.
            return Ok(());
        }
        if !journals.is_empty() {
            let Some(before) = self.retained()? else { return Ok(()) };
            let before = Arc::new(before);
            if !self.tell_again(candidate, &journals, &before, done)? {
                return Ok(());
            }
            // What was expunged after the first look and before its entry was told again counted as void.
            let Some(after) = self.retained()? else { return Ok(()) };
            let is_new = after.messages.keys().any(|place| !before.messages.contains_key(place));
            if is_new && !self.tell_again(candidate, &journals, &Arc::new(after), done)? {
                return Ok(());
            }
        }
        failpoints::pass("retire")?;
        self.write(Op::Retire { pack: candidate.pack }, Vec::new())?;
        done.packs += 1;
        done.freed += candidate.row.synced;
        Ok(())
    }

    /// Digests of bodies that transactions of other writers have come to point to, whose journal is in no pack yet.
    fn untold_elsewhere(&self) -> Result<HashSet<Digest>> {
        let mut waiting: BTreeMap<WriterId, Vec<u8>> = BTreeMap::new();
        let txn = self.context.begin()?;
        for row in self.context.tables.journal.iter(&txn)? {
            let (key, piece) = row?;
            let writer = keys::u32_at(key, 0).ok_or_else(|| damaged("journal", "key"))?;
            if writer != self.number {
                waiting.entry(writer).or_default().extend_from_slice(piece);
            }
        }
        let mut found = HashSet::new();
        for (_, encoded) in waiting.values().flat_map(|octets| transactions(octets)) {
            for entry in entries(encoded) {
                if let Entry::Message(_, _, body, prefix, _) | Entry::Queued(_, body, prefix, _) = entry {
                    found.extend([body, prefix]);
                }
            }
        }
        found.remove(&Digest::default());
        Ok(found)
    }

    /// True when copying the pack's living neither makes mail wait for space, nor is in vain. Where mail has no room any
    /// more, giving space back comes first.
    fn has_room(&self, candidate: &Candidate) -> Result<bool> {
        let stat = rustix::fs::statvfs(self.context.packs.folder())?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let need = candidate.row.live + candidate.row.journal;
        let is_short = free < self.min_free;
        Ok(free >= need.saturating_add(if is_short { 0 } else { self.min_free }))
    }

    /// The blobs that point to the pack, by where they lie in it.
    fn living(&self, candidate: &Candidate) -> Result<Vec<(BlobId, BlobRecord)>> {
        let mut found = Vec::with_capacity(candidate.row.blobs as usize);
        let mut next = candidate.row.first_blob;
        while candidate.row.blobs > 0 && next <= candidate.row.last_blob {
            let txn = self.context.begin()?;
            let (first, last) = (keys::blob(next), keys::blob(candidate.row.last_blob));
            let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
            let mut count = 0;
            for row in self.context.tables.blobs.range(&txn, &bounds)?.take(STRETCH_ROWS) {
                let (key, value) = row?;
                let blob = keys::u64_at(key, 0).ok_or_else(|| damaged("blobs", "key"))?;
                let row = BlobRecord::decode(value).ok_or_else(|| damaged("blobs", blob))?;
                if row.pack == candidate.pack {
                    found.push((blob, row));
                }
                next = blob + 1;
                count += 1;
            }
            if count < STRETCH_ROWS {
                break;
            }
        }
        found.sort_unstable_by_key(|(_, row)| row.offset);
        Ok(found)
    }

    /// Copies records as they are; each is read whole and must fit its checksums first.
    fn copy(&self, group: Vec<(BlobId, BlobRecord)>, pace: &mut Pace, done: &mut Compacted) -> Result<()> {
        let mut blobs = Vec::with_capacity(group.len());
        let mut moved = Vec::with_capacity(group.len());
        for (blob, row) in group {
            match self.raw(&row) {
                Ok(bytes) => {
                    done.copied += bytes.len() as u64;
                    pace.octets += bytes.len() as u64;
                    blobs.push((blob, row.pack, row.offset));
                    moved.push(PreparedRecord::copied(bytes, row.raw_len, row.digest));
                }
                Err(StoreError::Corrupt(text)) => {
                    // Released meanwhile, it is no fault.
                    let txn = self.context.begin()?;
                    if self.context.tables.blob(&txn, blob)? == Some(row) {
                        done.damaged.push(format!("blob {blob}: {text}"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        if blobs.is_empty() {
            return Ok(());
        }
        failpoints::pass("relocate")?;
        if let Outcome::Count(count) = self.write(Op::Relocate { blobs }, moved)? {
            done.blobs += count;
        }
        self.rest(pace);
        Ok(())
    }

    /// A record's octets, verified.
    fn raw(&self, row: &BlobRecord) -> Result<Vec<u8>> {
        let record = self.context.packs.record(row)?;
        record.verify()?;
        record.octets()
    }

    /// Where the pack's journal records lie: (offset, length).
    fn journals(&self, candidate: &Candidate, done: &mut Compacted) -> Result<Vec<(u64, u32)>> {
        let file = self.context.packs.file(candidate.pack)?;
        let mut journals = Vec::new();
        walk(&file, candidate.row.synced, |found| {
            match found {
                Found::Record(at, header) if header.kind == RecordKind::Journal => journals.push((at, header.length)),
                Found::Record(..) => {}
                Found::Doubtful(at, header) => done.damaged.push(format!(
                    "pack {}: {} octets at {at} follow damage and lead nowhere",
                    candidate.pack, header.length
                )),
                Found::Damaged(at, octets) => done.damaged.push(format!(
                    "pack {}: {octets} octets at {at} are no record",
                    candidate.pack
                )),
            }
            Ok(())
        })?;
        Ok(journals)
    }

    /// Tells journal records again; false when stopped in the middle, or when some of it cannot be understood: damaged, or
    /// of a later release.
    fn tell_again(
        &self,
        candidate: &Candidate,
        journals: &[(u64, u32)],
        retained: &Arc<RetainedSet>,
        done: &mut Compacted,
    ) -> Result<bool> {
        let file = self.context.packs.file(candidate.pack)?;
        for &(at, length) in journals {
            let record = StoredRecord::open(Arc::clone(&file), candidate.pack, at, length)?;
            let contents = record.read_all()?;
            if !crate::journal::is_whole(&contents) {
                done.damaged.push(format!(
                    "pack {}: the journal at {at} is not understood",
                    candidate.pack
                ));
                return Ok(false);
            }
            for (_, entries) in transactions(&contents) {
                for piece in crate::journal::pieces(entries, STEP_JOURNAL) {
                    if self.stop.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                    let op = Op::Rejournal {
                        entries: piece.to_vec(),
                        retained: Arc::clone(retained),
                    };
                    self.write(op, Vec::new())?;
                }
            }
        }
        Ok(true)
    }

    /// Hands an operation to the writer, when mail does not wait for it, and waits for the outcome.
    fn write(&self, op: Op, moved: Vec<PreparedRecord>) -> Result<Outcome> {
        for _ in 0..STAND_BACK_MAX {
            if self.shared.waiting() == 0 || self.stop.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(STAND_BACK);
        }
        let (reply, outcome) = crossbeam_channel::bounded(1);
        let octets = moved.iter().map(|record| record.bytes.len() as u64).sum();
        let mut queued = Queued::new(None, op, None, self.loads.take(octets)?);
        queued.prepared.moved = moved;
        queued.reply = Some(reply);
        if !self.shared.push(queued) {
            return Err(crate::completion::closed());
        }
        outcome.recv().map_err(|_| crate::completion::closed())?
    }

    /// Sleeps as long as the rate asks for.
    fn rest(&self, pace: &Pace) {
        if self.rules.rate == 0 {
            return;
        }
        let due = Duration::from_secs_f64(pace.octets as f64 / self.rules.rate as f64);
        while let Some(left) = due.checked_sub(pace.began.elapsed()) {
            if left.is_zero() || self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}
