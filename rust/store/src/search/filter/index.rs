//! The segments of a volume: where they are, which are open, which accounts want the builder.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::build::Known;
use super::manifest::{Manifest, Owner};
use super::segment::{Fault, Segment, segment_path};
use crate::ids::AccountId;

/// Octets of memory that open segments take at most, beyond those in use.
const OPEN_OCTETS_MAX: usize = 32 << 20;
/// How often a manifest is read again when a segment that it names has been merged away.
const TRIES: usize = 4;

/// The search index of a volume, in one process.
#[derive(Debug)]
pub struct SearchIndex {
    folder: PathBuf,
    identity: [u8; 16],
    enabled: bool,
    /// Octets of free disk below which nothing is built.
    min_free: u64,
    open: Mutex<Open>,
    /// What the builder knows of accounts.
    pub(super) known: Mutex<Known>,
    /// The volume is being closed: a step ends early.
    stop: AtomicBool,
    /// Documents, waiting documents, octets: as of the builder's last step.
    pub(super) counts: [AtomicU64; 3],
}

#[derive(Debug, Default)]
struct Open {
    segments: HashMap<(AccountId, u64), (Arc<Segment>, u64)>,
    clock: u64,
    octets: usize,
}

impl SearchIndex {
    /// Over the folder `search` of a volume whose index has this identity; the folder need not exist. Not `enabled` means:
    /// every search reads the messages.
    #[must_use]
    pub fn new(folder: PathBuf, identity: [u8; 16], enabled: bool) -> Self {
        Self {
            folder,
            identity,
            enabled,
            min_free: 0,
            open: Mutex::default(),
            known: Mutex::default(),
            stop: AtomicBool::new(false),
            counts: Default::default(),
        }
    }

    /// The same, building nothing that leaves less free disk than this.
    #[must_use]
    pub fn with_min_free(self, min_free: u64) -> Self {
        Self { min_free, ..self }
    }

    /// Whether there is disk for so many octets more; the index never takes what mail is meant to have.
    ///
    /// # Errors
    /// What the file system raises.
    pub(super) fn has_room(&self, octets: u64) -> std::io::Result<bool> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >= self.min_free.saturating_add(octets))
    }

    /// Whether it is used and built.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// The folder of all accounts.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Identity of the index that it belongs to.
    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// Whose an account's manifest must be.
    #[must_use]
    pub fn owner(&self, account: AccountId) -> Owner {
        Owner {
            identity: self.identity,
            account,
        }
    }

    /// The folder of an account.
    #[must_use]
    pub fn account_folder(&self, account: AccountId) -> PathBuf {
        self.folder.join(account.to_string())
    }

    /// The readable segments of an account. One that is damaged is thrown away; a fault of the system leaves it out.
    #[must_use]
    pub fn segments(&self, account: AccountId) -> Vec<Arc<Segment>> {
        let mut found = Vec::new();
        if !self.enabled {
            return found;
        }
        let folder = self.account_folder(account);
        for attempt in 1..=TRIES {
            found.clear();
            let Ok(manifest) = Manifest::read(&folder, &self.owner(account)) else {
                return found;
            };
            self.forget_others(account, &manifest);
            let mut missing = false;
            for segment in &manifest.segments {
                match self.segment(account, segment.number) {
                    Ok(open) => found.push(open),
                    Err(Fault::Missing) => missing = true,
                    Err(Fault::Damaged) => self.discard(account, segment.number),
                    Err(Fault::Io(_)) => {}
                }
            }
            if !missing {
                break;
            }
            if attempt == TRIES {
                // Not merged away, but lost.
                self.want(account);
            }
        }
        found
    }

    /// One segment, open.
    ///
    /// # Errors
    /// The fault that makes it useless.
    pub fn segment(&self, account: AccountId, number: u64) -> Result<Arc<Segment>, Fault> {
        {
            let mut open = self.open.lock();
            open.clock += 1;
            let clock = open.clock;
            if let Some((segment, used)) = open.segments.get_mut(&(account, number)) {
                *used = clock;
                return Ok(Arc::clone(segment));
            }
        }
        // Opened outside the lock: no lock is held over I/O.
        let segment = Arc::new(Segment::open(&self.account_folder(account), account, number)?);
        let mut open = self.open.lock();
        let clock = open.clock;
        open.octets += segment.memory();
        if let Some((twice, _)) = open.segments.insert((account, number), (Arc::clone(&segment), clock)) {
            open.octets -= twice.memory();
        }
        while open.octets > OPEN_OCTETS_MAX && open.segments.len() > 1 {
            let oldest = open.segments.iter().min_by_key(|(_, (_, used))| *used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            open.forget(oldest);
        }
        Ok(segment)
    }

    /// Throws a damaged segment away and asks for it to be built anew.
    pub fn discard(&self, account: AccountId, number: u64) {
        // Numbers are never used again, so this cannot hit another; if it fails the next search tries again.
        let _ = std::fs::remove_file(segment_path(&self.account_folder(account), number));
        self.open.lock().forget((account, number));
        self.want(account);
    }

    /// Asks the builder, whichever process it is in, to look at an account soon. A hint: faults are of no consequence.
    pub fn want(&self, account: AccountId) {
        if self.enabled {
            let folder = self.wanted();
            let path = folder.join(account.to_string());
            if !path.exists() && make_folder(&folder).is_ok() {
                let _ = std::fs::File::create(path);
            }
        }
    }

    /// The folder of the hints.
    pub(super) fn wanted(&self) -> PathBuf {
        self.folder.join("wanted")
    }

    /// Lets go of segments that another process has unlinked.
    pub fn forget_unlinked(&self) {
        let mut open = self.open.lock();
        let gone: Vec<(AccountId, u64)> = open.segments.keys().copied().collect();
        for (account, number) in gone {
            if !segment_path(&self.account_folder(account), number).exists() {
                open.forget((account, number));
            }
        }
    }

    fn forget_others(&self, account: AccountId, manifest: &Manifest) {
        let mut open = self.open.lock();
        let others: Vec<(AccountId, u64)> = open
            .segments
            .keys()
            .filter(|(of, number)| *of == account && manifest.segments.iter().all(|segment| segment.number != *number))
            .copied()
            .collect();
        for key in others {
            open.forget(key);
        }
    }

    /// Makes a running step end soon, and every later one at once.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// True once the volume is being closed.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Documents in segments, documents that wait, octets of segments: of the accounts that this process has looked at as
    /// the builder; 0 in the others.
    #[must_use]
    pub fn metrics(&self) -> [(&'static str, u64); 3] {
        let [documents, waiting, octets] = &self.counts;
        [
            ("search_documents", documents.load(Ordering::Relaxed)),
            ("search_waiting", waiting.load(Ordering::Relaxed)),
            ("search_octets", octets.load(Ordering::Relaxed)),
        ]
    }
}

impl Open {
    fn forget(&mut self, key: (AccountId, u64)) {
        if let Some((segment, _)) = self.segments.remove(&key) {
            self.octets -= segment.memory();
        }
    }
}

/// Makes a folder that is nobody else's.
pub(super) fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
