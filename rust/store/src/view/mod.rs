//! One session's picture of one mailbox: made by one read, brought up to date by the change log, held without any
//! transaction (architecture 5; RFC 9051 §5.2).

pub mod batches;
pub mod lines;
pub mod ranges;
pub mod rows;
pub mod told;
pub mod uids;
pub mod vanished;

use std::ops::Bound;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ironpost_proto::imap::sequence::SequenceSet;
use parking_lot::{Mutex, MutexGuard};

use self::lines::{FlagsLine, write_flag_lists, write_flags_line};
use self::ranges::write_set;
use self::rows::{each_row, index_sets, keyword_names};
use self::told::{Delta, FlagsNow, Permitted, Sync, Told};
use self::uids::UidSet;
use crate::db::keys;
use crate::db::records::{AccountRecord, ChangeKind, ChangeRecord, MailboxRecord};
use crate::db::tables::{ReadTxn, Tables, damaged};
use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::ops::FlagState;
use crate::search::live::LiveResult;

/// Rows of the change log read in one refresh; beyond it comparing the whole mailbox is cheaper.
const CHANGE_ROWS_MAX: usize = 10_000;

/// A mailbox as one client knows it.
#[derive(Debug)]
pub struct MailboxView {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub mailbox: MailboxId,
    /// EXAMINE.
    pub read_only: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// Message number of the first message without \Seen when the view was opened; 0 when there was none.
    pub first_unseen: u32,
    /// The transaction in which the view was last known to be up to date.
    transaction: AtomicU64,
    /// HIGHESTMODSEQ of the mailbox when everything up to it had been told.
    highest_modseq: AtomicU64,
    told: Mutex<Told>,
    /// UIDs that this session has claimed as \Recent beyond what it had been told: from, until.
    claims: Mutex<Vec<(Uid, Uid)>>,
    live: Mutex<Vec<LiveResult>>,
    /// How far the search that runs has come.
    progress: Progress,
}

/// Messages that a search has looked at, and how many it has to look at.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU32,
    total: AtomicU32,
}

impl Progress {
    /// A search begins.
    pub fn begin(&self, total: u32) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// It has come to the end of another message.
    pub fn step(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Done, and all.
    #[must_use]
    pub fn read(&self) -> (u32, u32) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// How a STORE is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLines {
    /// `.SILENT`.
    pub silent: bool,
    /// UID STORE: UIDs beside flags.
    pub uids: bool,
}

/// A refresh: the lines and what has to happen besides.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Untagged lines.
    pub lines: Vec<u8>,
    /// New messages have become recent here: the session's `ClaimRecent` is due.
    pub claim_recent: bool,
}

impl MailboxView {
    /// Opens a view; the second answer is true when \Recent is to be claimed for it.
    ///
    /// `transaction` is the environment's last transaction, taken before `txn` began.
    ///
    /// # Errors
    /// NotFound without such a mailbox, Corrupt for a damaged row.
    pub fn open(
        tables: &Tables,
        txn: &ReadTxn<'_>,
        account: AccountId,
        name: &str,
        read_only: bool,
    ) -> Result<(Self, bool)> {
        let found = tables.name(txn, account, name)?.filter(|found| found.mailbox != 0);
        let mailbox = found
            .ok_or_else(|| StoreError::NotFound(format!("mailbox {name:?}")))?
            .mailbox;
        let (account_record, record) = records(tables, txn, account, mailbox)?;
        let sets = index_sets(tables, txn, mailbox)?;
        let first_unseen = sets
            .present
            .difference(&sets.seen)
            .first()
            .and_then(|uid| sets.present.rank(uid));
        let recent = sets.present.within(&[(record.recent_from.max(1), Uid::MAX)]);
        let keywords = keyword_names(tables, txn, account)?;
        let claim = !read_only && record.recent_from < record.uid_next;
        let told = Told::new(
            sets.present,
            recent,
            account_record.highest_modseq,
            record.uid_next,
            keywords,
        );
        let view = Self {
            account,
            mailbox,
            read_only,
            uid_validity: record.uid_validity,
            first_unseen: first_unseen.unwrap_or(0),
            transaction: AtomicU64::new(txn.id() as u64),
            highest_modseq: AtomicU64::new(record.highest_modseq),
            told: Mutex::new(told),
            claims: Mutex::new(Vec::new()),
            live: Mutex::new(Vec::new()),
            progress: Progress::default(),
        };
        Ok((view, claim))
    }

    /// What the client has been told. Never held across a wait.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock()
    }

    /// The results that are kept up to date (RFC 5267). Never held across a wait of the session's.
    pub fn live(&self) -> MutexGuard<'_, Vec<LiveResult>> {
        self.live.lock()
    }

    /// How far the search that runs, or ran last, has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// HIGHESTMODSEQ of the mailbox: everything up to it has been told.
    #[must_use]
    pub fn highest_modseq(&self) -> ModSeq {
        self.highest_modseq.load(Ordering::Relaxed)
    }

    /// True unless nothing at all has been committed since the view was up to date; a memory read.
    #[must_use]
    pub fn outdated(&self, transaction: u64) -> bool {
        self.transaction.load(Ordering::Relaxed) != transaction
    }

    /// Looks at the account's one hot row: false when nothing of the account has changed, which is then remembered.
    ///
    /// # Errors
    /// Corrupt for a damaged row.
    pub fn account_changed(&self, tables: &Tables, txn: &ReadTxn<'_>) -> Result<bool> {
        let told = self.told.lock();
        let unchanged = told.gone.is_empty()
            && tables
                .account(txn, self.account)?
                .is_some_and(|account| account.highest_modseq == told.modseq);
        if unchanged {
            self.transaction.store(txn.id() as u64, Ordering::Relaxed);
        }
        Ok(!unchanged)
    }

    /// The UIDs that a set names, without those known to be gone.
    #[must_use]
    pub fn resolve(&self, set: &SequenceSet, uid: bool) -> UidSet {
        self.told.lock().resolve(set, uid)
    }

    /// Notes what a ClaimRecent of this session has given it.
    pub fn claimed(&self, from: Uid, until: Uid) {
        if from < until {
            self.claims.lock().push((from, until));
        }
    }

    /// Notes the changes of a STORE of this session, which will not be told again.
    pub fn remember_own(&self, flags: &[FlagState]) {
        let mut told = self.told.lock();
        let mut previous = None;
        for state in flags {
            if state.changed && previous != Some(state.modseq) {
                told.remember_own(state.modseq);
                previous = Some(state.modseq);
            }
        }
    }

    /// The untagged FETCH lines that answer a STORE; before them the lists of flags, when keywords have come.
    ///
    /// # Errors
    /// Corrupt for a damaged row.
    pub fn stored_lines(
        &self,
        tables: &Tables,
        txn: &ReadTxn<'_>,
        flags: &[FlagState],
        told_as: StoreLines,
    ) -> Result<Vec<u8>> {
        let mut told = self.told.lock();
        let modseqs = told.sync >= Sync::Modseqs;
        if told_as.silent && !modseqs {
            return Ok(Vec::new());
        }
        let names = keyword_names(tables, txn, self.account)?;
        let mut lines = Vec::with_capacity(flags.len() * 40);
        if names.len() > told.keywords_told && !told_as.silent {
            write_flag_lists(&mut lines, &names, (!self.read_only).then_some(told.permits));
            told.keywords_told = names.len();
            told.keywords = names;
        }
        for state in flags.iter().filter(|state| !state.refused) {
            if let Some(number) = told.uids.rank(state.uid) {
                let line = FlagsLine {
                    uid: state.uid,
                    tells_uid: told_as.uids || told.sync >= Sync::Vanished,
                    uid_only: told.uid_only,
                    // RFC 7162 §3.1.3: a silent STORE tells the modseq alone.
                    flags: (!told_as.silent).then_some((state.system, state.keywords)),
                    recent: told.recent.contains(state.uid),
                    modseq: modseqs.then_some(state.modseq),
                };
                write_flags_line(&mut lines, number, line, &told.keywords);
            }
        }
        Ok(lines)
    }

    /// The messages that a conditional STORE has refused, as the set of MODIFIED (RFC 7162 §3.1.3); empty for none.
    #[must_use]
    pub fn modified_set(&self, flags: &[FlagState], uids: bool) -> Vec<u8> {
        let told = self.told.lock();
        let refused = flags.iter().filter(|state| state.refused).map(|state| state.uid);
        let mut set = Vec::new();
        if uids {
            write_set(&mut set, refused);
        } else {
            write_set(&mut set, refused.filter_map(|uid| told.uids.rank(uid)));
        }
        set
    }

    /// Brings the client up to date: untagged EXPUNGE, EXISTS, RECENT and FETCH lines.
    ///
    /// # Errors
    /// NotFound when the mailbox is gone, Corrupt for a damaged row.
    pub fn refresh(&self, tables: &Tables, txn: &ReadTxn<'_>, permitted: Permitted) -> Result<Refreshed> {
        let mut told = self.told.lock();
        let (account, record) = records(tables, txn, self.account, self.mailbox)?;
        let mut delta = Delta {
            modseq: account.highest_modseq,
            uid_next: record.uid_next,
            ..Delta::default()
        };
        if record.highest_modseq > told.modseq || (permitted.flags && !told.flags_untold.is_empty()) {
            self.gather(tables, txn, &account, &told, &mut delta)?;
        }
        let names = keyword_names(tables, txn, self.account)?;
        if names.len() > told.keywords.len() {
            delta.keywords = Some(names);
        }
        if !delta.added.is_empty() {
            let claims = std::mem::take(&mut *self.claims.lock());
            let unclaimed = delta.added.within(&[(record.recent_from.max(1), Uid::MAX)]);
            delta.recent = claims
                .iter()
                .map(|&(from, until)| delta.added.within(&[(from, until.saturating_sub(1))]))
                .fold(unclaimed, |all, claimed| all.union(&claimed));
        }
        let claim_recent = !self.read_only && delta.added.last().is_some_and(|uid| uid >= record.recent_from);
        let mut lines = Vec::new();
        told.apply(&delta, permitted, self.read_only, &mut lines);
        // What is gone but untold keeps the view outdated, so that the next permitted moment tells it; and the client may not
        // take a HIGHESTMODSEQ beyond it for the truth.
        if told.gone.is_empty() && told.flags_untold.is_empty() {
            self.highest_modseq.store(record.highest_modseq, Ordering::Relaxed);
        }
        if told.gone.is_empty() {
            self.transaction.store(txn.id() as u64, Ordering::Relaxed);
        }
        Ok(Refreshed { lines, claim_recent })
    }

    /// Reads what has changed in this mailbox since the view's modseq.
    fn gather(
        &self,
        tables: &Tables,
        txn: &ReadTxn<'_>,
        account: &AccountRecord,
        told: &Told,
        delta: &mut Delta,
    ) -> Result<()> {
        let mut flagged = UidSet::new();
        let mut everything = account.changes_after > told.modseq;
        if !everything {
            let first = keys::change(self.account, told.modseq.saturating_add(1));
            let last = keys::change(self.account, account.highest_modseq);
            let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
            let (mut added, mut expunged, mut changed) = (Vec::new(), Vec::new(), Vec::new());
            for (count, row) in tables.changes.range(txn, &bounds)?.enumerate() {
                let (key, value) = row?;
                let change = ChangeRecord::decode(value).ok_or_else(|| damaged("changes", self.account))?;
                if count >= CHANGE_ROWS_MAX {
                    everything = true;
                    break;
                }
                if change.mailbox != self.mailbox {
                    continue;
                }
                match change.kind {
                    ChangeKind::Added => added.extend(change.uids),
                    ChangeKind::Expunged => expunged.extend(change.uids),
                    ChangeKind::Flags if !keys::u64_at(key, 4).is_some_and(|modseq| told.is_own(modseq)) => {
                        changed.extend(change.uids);
                    }
                    _ => {}
                }
            }
            if !everything {
                delta.added = members(added);
                let known = told.uids.union(&delta.added);
                delta.removed = known.within(&merged(expunged));
                let changed = told.uids.within(&merged(changed)).union(&told.flags_untold);
                flagged = changed.difference(&delta.removed);
            }
        }
        if everything {
            let present = index_sets(tables, txn, self.mailbox)?.present;
            delta.added = present.difference(&told.uids);
            delta.removed = told.uids.difference(&present);
            flagged = present.intersection(&told.uids);
        }
        each_row(tables, txn, self.mailbox, flagged.iter(), |uid, row| {
            // Whoever fetches a message whose row is damaged is told so; its flags are not.
            let Ok(row) = row else { return Ok(true) };
            let untold = told.flags_untold.contains(uid);
            if !everything || untold || (row.modseq > told.modseq && !told.is_own(row.modseq)) {
                delta.flags.push(FlagsNow {
                    uid,
                    flags: row.flags,
                    keywords: row.keywords,
                    modseq: row.modseq,
                });
            }
            Ok(true)
        })
    }
}

fn records(
    tables: &Tables,
    txn: &ReadTxn<'_>,
    account: AccountId,
    mailbox: MailboxId,
) -> Result<(AccountRecord, MailboxRecord)> {
    let missing = || StoreError::NotFound(format!("mailbox {mailbox}"));
    let account_record = tables.account(txn, account)?.ok_or_else(missing)?;
    Ok((
        account_record,
        tables.mailbox(txn, account, mailbox)?.ok_or_else(missing)?,
    ))
}

/// Ranges in any order as ascending, disjoint ones.
pub(crate) fn merged(mut ranges: Vec<(Uid, Uid)>) -> Vec<(Uid, Uid)> {
    ranges.sort_unstable();
    let mut result: Vec<(Uid, Uid)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match result.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => previous.1 = previous.1.max(last),
            _ => result.push((first, last)),
        }
    }
    result
}

/// All numbers of ranges.
fn members(ranges: Vec<(Uid, Uid)>) -> UidSet {
    UidSet::from_ascending(merged(ranges).into_iter().flat_map(|(first, last)| first..=last))
}
