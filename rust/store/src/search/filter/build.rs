//! Building segments in the background, one bounded step at a time.
//!
//! A step takes the lock of the volume's search folder (one builder at a time, in all processes), finds an account with
//! enough documents that no segment covers, and writes one segment, or merges some. What an account needs is known from
//! its highest modseq and the change log; its messages are listed only when the log does not reach back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::OpenOptions;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::FlockOperation;

use super::gram::Collector;
use super::index::{SearchIndex, make_folder};
use super::manifest::Manifest;
use super::merge::{self, Merged};
use super::segment::{DOCUMENTS_MAX, Document, Fault, Segment, segment_path};
use super::waiting::{Waiting, changes, list};
use super::write::SegmentWriter;
use crate::db::keys;
use crate::db::records::{AccountRecord, ChangeKind};
use crate::db::tables::{ReadTxn, damaged};
use crate::error::{Result, StoreError};
use crate::fetch::message::{Access, Content};
use crate::ids::{AccountId, ModSeq};
use crate::jobs::ReadContext;
use crate::search::document::{body_pieces, prefix_text};

/// Documents of a segment that are looked at to tell whether it is mostly of the past.
const SAMPLED: usize = 64;

/// What bounds a step. The defaults keep it below about 64 MiB and a few seconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pairs of gram and document held in memory; eight octets each.
    pub pairs: usize,
    /// A larger message is not indexed but always looked at: it would be in memory whole, decoded and folded.
    pub document_octets: u32,
    /// An account with fewer waiting documents is left alone: reading that many exactly costs a search little.
    pub documents_min: u64,
    /// Waiting documents listed at once.
    pub listed: usize,
    /// Account rows looked at in one step.
    pub accounts: usize,
    /// Reading messages ends after this.
    pub time: Duration,
    /// Octets of the smallest class of segments, for merging.
    pub class_octets: u64,
    /// Octets of a merged segment, and so of a merge.
    pub segment_octets: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pairs: 3 << 20,
            document_octets: 8 << 20,
            documents_min: 128,
            listed: 1 << 16,
            accounts: 5000,
            time: Duration::from_secs(2),
            class_octets: 1 << 20,
            segment_octets: 64 << 20,
        }
    }
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStep {
    /// Documents that a segment covers now.
    pub documents: u64,
    /// Segments that were merged.
    pub merged: u64,
    /// There is more to do now; false also when another process is the builder.
    pub more: bool,
}

/// What the builder remembers of accounts; all of it can be found out again.
#[derive(Debug, Default)]
pub(super) struct Known {
    accounts: HashMap<AccountId, Seen>,
    /// The account after the one last looked at.
    next: AccountId,
    /// An account whose last step left something to do.
    again: Option<AccountId>,
    /// The last transaction when this round over all accounts began.
    round: u64,
    /// The last transaction at which a whole round found nothing to do.
    quiet: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Changes up to here have been counted.
    modseq: ModSeq,
    /// Documents that came since the account was covered, at most.
    waiting: u64,
    documents: u64,
    octets: u64,
}

impl Known {
    /// Documents, waiting documents, octets.
    fn sums(&self) -> [u64; 3] {
        self.accounts
            .values()
            .fold([0; 3], |[documents, waiting, octets], seen| {
                [documents + seen.documents, waiting + seen.waiting, octets + seen.octets]
            })
    }
}

/// One step; reads messages and writes files, so it belongs on a thread that may wait.
///
/// # Errors
/// Whatever the index or the file system raises; what was finished before stays.
pub fn step(context: &ReadContext, limits: &Limits) -> Result<IndexStep> {
    let index = &context.search;
    let idle = IndexStep::default();
    if !index.is_enabled() || index.is_stopped() {
        return Ok(idle);
    }
    make_folder(index.folder())?;
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(index.folder().join("lock"))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(idle),
        Err(error) => return Err(error.into()),
    }
    // A step writes one segment before it removes others.
    if !index.has_room(limits.segment_octets * 2)? {
        return Ok(idle);
    }
    let done = Builder { context, index, limits }.step();
    let sums = index.known.lock().sums();
    for (count, sum) in index.counts.iter().zip(sums) {
        count.store(sum, Ordering::Relaxed);
    }
    done
}

enum Found {
    Account(AccountId),
    Nothing,
    MoreAccounts,
}

struct Builder<'a> {
    context: &'a ReadContext,
    index: &'a SearchIndex,
    limits: &'a Limits,
}

impl Builder<'_> {
    fn step(&self) -> Result<IndexStep> {
        let again = self.index.known.lock().again.take();
        if let Some(account) = again.map_or_else(|| self.take_wanted(), |account| Ok(Some(account)))? {
            return self.account(account);
        }
        match self.find_work()? {
            Found::Account(account) => self.account(account),
            Found::Nothing => Ok(IndexStep::default()),
            Found::MoreAccounts => Ok(IndexStep {
                more: true,
                ..IndexStep::default()
            }),
        }
    }

    /// An account that a search, or whoever found damage, has asked for.
    fn take_wanted(&self) -> Result<Option<AccountId>> {
        let entries = match std::fs::read_dir(self.index.wanted()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            std::fs::remove_file(entry.path())?;
            if let Some(account) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                return Ok(Some(account));
            }
        }
        Ok(None)
    }

    /// Goes on over the accounts until one has enough to do.
    fn find_work(&self) -> Result<Found> {
        let mut known = self.index.known.lock();
        if known.next == 0 {
            if self.context.last_transaction() == known.quiet {
                return Ok(Found::Nothing);
            }
            known.round = self.context.begin()?.id() as u64;
            self.remove_dead_accounts()?;
        }
        let txn = self.context.begin()?;
        let first = keys::account(known.next);
        let bounds = (Bound::Included(&first[..]), Bound::Unbounded);
        for (looked_at, row) in self.context.tables.accounts.range(&txn, &bounds)?.enumerate() {
            let (key, value) = row?;
            let account = keys::u32_at(key, 0).ok_or_else(|| damaged("accounts", "key"))?;
            known.next = account;
            if looked_at >= self.limits.accounts {
                return Ok(Found::MoreAccounts);
            }
            let record = AccountRecord::decode(value).ok_or_else(|| damaged("accounts", account))?;
            // Also when this account's step fails the next one comes: it must not keep others from their turn.
            known.next = account.saturating_add(1);
            if !record.removing && self.is_due(&mut known, &txn, account, &record)? {
                return Ok(Found::Account(account));
            }
        }
        known.next = 0;
        known.quiet = known.round;
        Ok(Found::Nothing)
    }

    /// Whether enough documents wait in an account. Reads its row, and the changes since it was last asked.
    fn is_due(&self, known: &mut Known, txn: &ReadTxn<'_>, account: AccountId, record: &AccountRecord) -> Result<bool> {
        let seen = match known.accounts.entry(account) {
            Entry::Occupied(seen) => seen.into_mut(),
            Entry::Vacant(place) => {
                let manifest = Manifest::read(&self.index.account_folder(account), &self.index.owner(account))?;
                place.insert(Seen::of(&manifest))
            }
        };
        if seen.modseq >= record.highest_modseq {
            return Ok(false);
        }
        if record.changes_after > seen.modseq {
            return Ok(true);
        }
        for row in changes(self.context, txn, account, seen.modseq)?.take(self.limits.listed) {
            let (modseq, change) = row?;
            seen.modseq = modseq;
            if change.kind == ChangeKind::Added {
                let count = |(first, last): &(u32, u32)| u64::from(last.saturating_sub(*first)) + 1;
                seen.waiting += change.uids.iter().map(count).sum::<u64>();
            }
        }
        seen.modseq = seen.modseq.max(record.highest_modseq);
        Ok(seen.waiting >= self.limits.documents_min)
    }

    /// Covers what waits in an account, as much as one step may, or else merges its segments.
    fn account(&self, account: AccountId) -> Result<IndexStep> {
        let done = self.account_step(account)?;
        if done.more {
            self.index.known.lock().again = Some(account);
        }
        Ok(done)
    }

    fn account_step(&self, account: AccountId) -> Result<IndexStep> {
        let folder = self.index.account_folder(account);
        {
            let txn = self.context.begin()?;
            let row = self.context.tables.account(&txn, account)?;
            if row.is_none_or(|row| row.removing) {
                self.index.known.lock().accounts.remove(&account);
                return Ok(IndexStep::default());
            }
        }
        make_folder(&folder)?;
        let (mut manifest, segments) = self.usable(account, &folder)?;
        let listed = list(self.context, account, &manifest, &segments, self.limits.listed)?;
        let mut done = IndexStep::default();
        let mut whole = listed.whole;
        if !listed.waiting.is_empty() {
            let covered = self.write_segment(account, &folder, &mut manifest, &listed.waiting)?;
            done.documents = covered as u64;
            whole &= covered == listed.waiting.len();
        }
        // What was listed is covered up to there even when more waits behind it.
        let covered = if done.documents == listed.waiting.len() as u64 {
            listed.covered
        } else {
            manifest.covered
        };
        if covered != manifest.covered || done.documents > 0 {
            manifest.covered = covered;
            manifest.write(&folder, &self.index.owner(account))?;
        }
        if done.documents == 0 && !self.index.is_stopped() {
            done.merged = self.merge(account, &folder, &mut manifest)?;
        }
        done.more = !self.index.is_stopped()
            && (!whole
                || done.merged > 0
                || !merge::candidates(&manifest, self.limits).is_empty()
                || self.mostly_gone(account, &manifest)?.is_some());
        let mut seen = Seen::of(&manifest);
        if !whole {
            seen.waiting = (listed.waiting.len() as u64).saturating_sub(done.documents);
        }
        self.index.known.lock().accounts.insert(account, seen);
        Ok(done)
    }

    /// The manifest without segments that are lost or damaged, and the others, open. Files that it does not name go.
    fn usable(&self, account: AccountId, folder: &Path) -> Result<(Manifest, Vec<Arc<Segment>>)> {
        let mut manifest = Manifest::read(folder, &self.index.owner(account))?;
        let mut segments = Vec::new();
        let before = manifest.segments.len();
        let mut fault = None;
        manifest.segments.retain(|entry| {
            // A segment that is open here may have been thrown away by another process.
            let there = segment_path(folder, entry.number).exists();
            match self.index.segment(account, entry.number) {
                Ok(segment) if there => segments.push(segment),
                Ok(_) | Err(Fault::Missing | Fault::Damaged) => return false,
                Err(Fault::Io(error)) => fault = Some(error),
            }
            true
        });
        if let Some(error) = fault {
            return Err(error.into());
        }
        if manifest.segments.len() < before {
            manifest.covered = 0;
            manifest.write(folder, &self.index.owner(account))?;
        }
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_left_over = name.to_str().is_some_and(|name| match name.strip_suffix(".seg") {
                Some(number) => manifest
                    .segments
                    .iter()
                    .all(|segment| number != segment.number.to_string()),
                None => name.ends_with(".tmp"),
            });
            if is_left_over {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok((manifest, segments))
    }

    /// Writes a segment of the first waiting documents, as many as the limits allow; how many are settled.
    fn write_segment(
        &self,
        account: AccountId,
        folder: &Path,
        manifest: &mut Manifest,
        waiting: &[Waiting],
    ) -> Result<usize> {
        let started = Instant::now();
        let mut pairs: Vec<u64> = Vec::with_capacity(self.limits.pairs);
        let mut documents: Vec<(Document, bool)> = Vec::new();
        let mut collector = Collector::default();
        let mut text_octets = 0;
        let mut settled = 0;
        for one in waiting {
            if self.index.is_stopped() || documents.len() >= DOCUMENTS_MAX as usize {
                break;
            }
            let Some(read) = self.read(one, &mut collector)? else {
                settled += 1;
                continue;
            };
            // A document that is damaged, or has more grams than a step may hold, is always looked at.
            let wild = !read.indexed || collector.len() > self.limits.pairs;
            if !wild && pairs.len() + collector.len() > self.limits.pairs {
                break;
            }
            let ordinal = documents.len() as u64;
            collector.take(|gram| {
                if !wild {
                    pairs.push(u64::from(gram) << 32 | ordinal);
                }
            });
            text_octets += if wild { 0 } else { read.text_octets };
            documents.push((one.document, wild));
            settled += 1;
            if started.elapsed() > self.limits.time {
                break;
            }
        }
        if documents.is_empty() {
            return Ok(settled);
        }
        pairs.sort_unstable();
        let mut writer = SegmentWriter::create(folder, account, next_number(manifest), &documents, text_octets)?;
        let mut ordinals = Vec::new();
        for group in pairs.chunk_by(|one, next| one >> 32 == next >> 32) {
            ordinals.clear();
            ordinals.extend(group.iter().map(|pair| *pair as u32));
            writer.term((group[0] >> 32) as u32, &ordinals)?;
        }
        manifest.segments.push(writer.finish()?);
        Ok(settled)
    }

    /// Reads a document into the collector; `None` when it is gone.
    fn read(&self, one: &Waiting, collector: &mut Collector) -> Result<Option<ReadText>> {
        collector.take(|_| {});
        let txn = self.context.begin()?;
        if self.is_gone(&txn, &one.document)? {
            return Ok(None);
        }
        let mut read = ReadText::default();
        if one.size > self.limits.document_octets {
            return Ok(Some(read));
        }
        let access = Access {
            context: self.context,
            txn: &txn,
        };
        let mut content = Content::of_blob(one.document.blob, one.document.prefix, one.prefix_len, one.size);
        let (mut prefix, mut blob, mut folded) = (Vec::new(), Vec::new(), String::new());
        let octets = content.octets();
        let loaded = content
            .read(&access, 0..content.prefix_octets(), &mut prefix)
            .and_then(|()| content.read(&access, content.prefix_octets()..octets, &mut blob))
            .and_then(|()| content.structure(&access).map(drop));
        match loaded {
            Ok(()) => {}
            // Gone since, or damaged; then it is not found as long as it stays so, and must be looked at when mended.
            Err(StoreError::Corrupt(_) | StoreError::NotFound(_)) => return Ok(Some(read)),
            Err(error) => return Err(error),
        }
        prefix_text(&prefix, &mut folded);
        let mut take = |piece: &str| {
            read.text_octets += piece.len() as u64;
            collector.add(piece);
            true
        };
        take(&folded);
        body_pieces(&mut &blob[..], content.structure(&access)?, true, &mut folded, take);
        read.indexed = true;
        Ok(Some(read))
    }

    fn is_gone(&self, txn: &ReadTxn<'_>, document: &Document) -> Result<bool> {
        let blobs = &self.context.tables.blobs;
        let gone = |blob| Ok::<bool, StoreError>(blobs.get(txn, &keys::blob(blob))?.is_none());
        Ok(gone(document.blob)? || (document.prefix != 0 && gone(document.prefix)?))
    }

    /// The first segment of whose documents at least half are gone, by a sample: written anew alone, so that space comes
    /// back however large it is.
    fn mostly_gone(&self, account: AccountId, manifest: &Manifest) -> Result<Option<u64>> {
        let txn = self.context.begin()?;
        for entry in &manifest.segments {
            let Ok(segment) = self.index.segment(account, entry.number) else {
                continue;
            };
            let documents = segment.documents();
            let (mut looked_at, mut gone) = (0, 0);
            for document in documents.iter().step_by(documents.len().div_ceil(SAMPLED).max(1)) {
                looked_at += 1;
                gone += usize::from(self.is_gone(&txn, document)?);
            }
            if looked_at > 0 && gone * 2 >= looked_at {
                return Ok(Some(entry.number));
            }
        }
        Ok(None)
    }

    /// Merges some segments if there are enough, or writes one anew that is mostly of the past; how many.
    fn merge(&self, account: AccountId, folder: &Path, manifest: &mut Manifest) -> Result<u64> {
        let mut chosen = merge::candidates(manifest, self.limits);
        if chosen.is_empty() {
            chosen.extend(self.mostly_gone(account, manifest)?);
        }
        let mut segments = Vec::new();
        for number in &chosen {
            match self.index.segment(account, *number) {
                Ok(segment) => segments.push(segment),
                Err(Fault::Io(error)) => return Err(error.into()),
                Err(Fault::Missing | Fault::Damaged) => {
                    self.index.discard(account, *number);
                    return Ok(0);
                }
            }
        }
        if segments.is_empty() {
            return Ok(0);
        }
        let alive = |documents: &[Document]| {
            let txn = self.context.begin()?;
            documents
                .iter()
                .map(|document| Ok(!self.is_gone(&txn, document)?))
                .collect()
        };
        let number = next_number(manifest);
        let made = match merge::merge(folder, account, number, &segments, alive, || self.index.is_stopped()) {
            Ok(Merged::Into(written)) => Some(written),
            Ok(Merged::Nothing) => None,
            Ok(Merged::Stopped) => return Ok(0),
            Err((_, Fault::Io(error))) => return Err(error.into()),
            Err((number, Fault::Missing | Fault::Damaged)) => {
                self.index.discard(account, number);
                return Ok(0);
            }
        };
        let first = manifest
            .segments
            .iter()
            .position(|segment| chosen.contains(&segment.number));
        let place = first.unwrap_or_default();
        manifest.segments.retain(|segment| !chosen.contains(&segment.number));
        if let Some(made) = made {
            manifest.segments.insert(place.min(manifest.segments.len()), made);
        }
        manifest.write(folder, &self.index.owner(account))?;
        for number in &chosen {
            // If this fails the next step finds a file that the manifest does not name.
            let _ = std::fs::remove_file(segment_path(folder, *number));
        }
        Ok(chosen.len() as u64)
    }

    /// Removes the folders of accounts that are gone.
    fn remove_dead_accounts(&self) -> Result<()> {
        let txn = self.context.begin()?;
        for entry in std::fs::read_dir(self.index.folder())? {
            let entry = entry?;
            let Some(account) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let row = self.context.tables.account(&txn, account)?;
            if row.is_none_or(|row| row.removing) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// What reading a document came to.
#[derive(Clone, Copy, Debug, Default)]
struct ReadText {
    text_octets: u64,
    indexed: bool,
}

impl Seen {
    fn of(manifest: &Manifest) -> Self {
        Self {
            modseq: manifest.covered,
            waiting: 0,
            documents: manifest.documents(),
            octets: manifest.octets(),
        }
    }
}

/// A number that no segment of the account has had: of the clock, above all that are known.
fn next_number(manifest: &Manifest) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64);
    let last = manifest.segments.iter().map(|segment| segment.number).max();
    now.max(last.unwrap_or(0) + 1)
}
