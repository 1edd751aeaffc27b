//! Results that are kept up to date: UPDATE of SEARCH and SORT (RFC 5267 §4.3).
//!
//! Whenever a view is brought up to date its live results are found anew and the difference is told. Whoever looks for texts
//! is not read anew for it: of such a search only messages that have come or changed since are looked at.

use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::quoting::write_string;
use ironpost_proto::imap::search_key::{SearchKey, SearchProgram};
use ironpost_proto::imap::sort::SearchOrder;

use super::answer::write_ordered_set;
use super::{Known, find, sort};
use crate::card::fields;
use crate::db::tables::ReadTxn;
use crate::error::Result;
use crate::ids::{ModSeq, Uid};
use crate::jobs::ReadContext;
use crate::view::MailboxView;
use crate::view::rows::{each_row, index_sets};
use crate::view::uids::UidSet;

/// Live results of one view: each is found anew at every change.
pub const LIVE_MAX: usize = 8;
/// Messages of a live SORT at most: their order is kept in memory, 4 octets each.
pub const LIVE_SORTED_MAX: usize = 250_000;

/// One live result.
#[derive(Debug)]
pub struct LiveResult {
    /// Of the command that asked for it.
    pub tag: String,
    uid: bool,
    program: SearchProgram,
    results: Results,
    /// Changes up to this one are in the results.
    modseq: ModSeq,
}

/// What was found: in the order of the mailbox, or in one of its own.
#[derive(Debug)]
enum Results {
    Set(UidSet),
    Sorted(Vec<Uid>),
}

/// What looking anew costs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Rows and cards: everything is looked at.
    Whole,
    /// Messages: only what has changed is looked at.
    Changed,
    /// Messages, by what changes without them: numbers, `$`, time.
    Refused,
}

impl LiveResult {
    /// Keeps what a command has found as of `modseq`; false when it cannot be kept up to date.
    pub(super) fn keep(
        view: &MailboxView,
        program: &SearchProgram,
        uid: bool,
        tag: &str,
        found: &UidSet,
        sorted: Option<&[Uid]>,
        modseq: ModSeq,
    ) -> bool {
        let mut live = view.live();
        let is_too_long = sorted.is_some_and(|sorted| sorted.len() > LIVE_SORTED_MAX);
        if live.len() >= LIVE_MAX || is_too_long || kind(&program.key) == Kind::Refused {
            return false;
        }
        live.push(Self {
            tag: tag.to_owned(),
            uid,
            program: program.clone(),
            results: sorted.map_or_else(
                || Results::Set(found.clone()),
                |sorted| Results::Sorted(sorted.to_vec()),
            ),
            modseq,
        });
        true
    }

    /// Takes messages out of the results and tells it.
    fn remove(&mut self, gone: &UidSet, numbered: &UidSet, out: &mut Vec<u8>) {
        let mut pairs: Vec<(usize, Vec<Uid>)> = Vec::new();
        match &mut self.results {
            Results::Set(set) => {
                let removed = set.intersection(gone);
                *set = set.difference(gone);
                pairs.extend((!removed.is_empty()).then(|| (0, removed.iter().collect())));
            }
            Results::Sorted(uids) => {
                // Each pair is carried out before the next is read: what was before has closed up.
                let mut kept = Vec::with_capacity(uids.len());
                for &uid in uids.iter() {
                    if !gone.contains(uid) {
                        kept.push(uid);
                        continue;
                    }
                    let position = kept.len() + 1;
                    match pairs.last_mut() {
                        Some((place, run)) if *place == position => run.push(uid),
                        _ => pairs.push((position, vec![uid])),
                    }
                }
                *uids = kept;
            }
        }
        self.tell(b" REMOVEFROM ", &pairs, numbered, out);
    }

    /// Takes the results as they are now and tells what has come. Nothing is in the old ones that is not in these.
    fn add(&mut self, now: Results, numbered: &UidSet, out: &mut Vec<u8>) {
        let mut pairs: Vec<(usize, Vec<Uid>)> = Vec::new();
        match (&self.results, &now) {
            (Results::Sorted(before), Results::Sorted(after)) => {
                // What is sorted by never changes in a message: the old ones stand in their old order.
                let mut old = before.iter().peekable();
                let mut follows = false;
                for (place, &uid) in after.iter().enumerate() {
                    if old.next_if_eq(&&uid).is_some() {
                        follows = false;
                        continue;
                    }
                    match pairs.last_mut() {
                        Some((_, run)) if follows => run.push(uid),
                        _ => pairs.push((place + 1, vec![uid])),
                    }
                    follows = true;
                }
            }
            (before, after) => {
                let added = after.set().difference(&before.set());
                pairs.extend((!added.is_empty()).then(|| (0, added.iter().collect())));
            }
        }
        self.tell(b" ADDTO ", &pairs, numbered, out);
        self.results = now;
    }

    /// `"ADDTO" SP "(" context-position SP sequence-set *(SP context-position SP sequence-set) ")"` (RFC 5267 §5)
    fn tell(&self, item: &[u8], pairs: &[(usize, Vec<Uid>)], numbered: &UidSet, out: &mut Vec<u8>) {
        if pairs.is_empty() {
            return;
        }
        out.extend_from_slice(b"* ESEARCH (TAG ");
        write_string(out, self.tag.as_bytes());
        out.push(b')');
        if self.uid {
            out.extend_from_slice(b" UID");
        }
        out.extend_from_slice(item);
        for (index, (position, uids)) in pairs.iter().enumerate() {
            out.push(if index == 0 { b'(' } else { b' ' });
            out.extend_from_slice(format!("{position} ").as_bytes());
            if self.uid {
                write_ordered_set(out, uids);
            } else {
                let numbers: Vec<u32> = uids.iter().filter_map(|&uid| numbered.rank(uid)).collect();
                write_ordered_set(out, &numbers);
            }
        }
        out.extend_from_slice(b")\r\n");
    }

    fn look_anew(&mut self, context: &ReadContext, view: &MailboxView, out: &mut Vec<u8>) -> Result<()> {
        let (numbered, recent, saved, modseq) = {
            let told = view.told();
            (told.uids.clone(), told.recent.clone(), told.saved.clone(), told.modseq)
        };
        let known = Known {
            numbered: &numbered,
            recent: &recent,
            saved: &saved,
        };
        let cancelled = AtomicBool::new(false);
        let found = if kind(&self.program.key) == Kind::Whole {
            find(context, view, &self.program, &known, None, &cancelled)?
        } else {
            let (present, changed) = changed_since(context, view, &numbered, self.modseq)?;
            let unchanged = self.results.set().intersection(&present).difference(&changed);
            unchanged.union(&find(context, view, &self.program, &known, Some(&changed), &cancelled)?)
        };
        let now = match &self.program.order {
            SearchOrder::Sorted(criteria) => {
                Results::Sorted(sort::sorted(context, view, &found, criteria, &cancelled)?)
            }
            SearchOrder::Number | SearchOrder::Threaded(_) => Results::Set(found),
        };
        let gone = self.results.set().difference(&now.set());
        self.remove(&gone, &numbered, out);
        self.add(now, &numbered, out);
        self.modseq = modseq;
        Ok(())
    }
}

impl Results {
    fn set(&self) -> UidSet {
        match self {
            Self::Set(set) => set.clone(),
            Self::Sorted(uids) => {
                let mut uids = uids.clone();
                uids.sort_unstable();
                UidSet::from_ascending(uids)
            }
        }
    }
}

/// What goes before the EXPUNGE lines of a refresh in the same transaction: messages that are gone leave the results while
/// they still have numbers (RFC 5267 §4.3.4).
///
/// # Errors
/// Corrupt for a damaged index.
pub fn before_expunges(context: &ReadContext, txn: &ReadTxn<'_>, view: &MailboxView) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut live = view.live();
    if live.is_empty() {
        return Ok(out);
    }
    let numbered = view.told().uids.clone();
    let gone = numbered.difference(&index_sets(&context.tables, txn, view.mailbox)?.present);
    if !gone.is_empty() {
        for result in live.iter_mut() {
            result.remove(&gone, &numbered, &mut out);
        }
    }
    Ok(out)
}

/// What goes behind the lines of a refresh, when new messages have their numbers (RFC 5267 §4.3.3). A result that cannot be
/// found any more is given up, and the client is told so.
#[must_use]
pub fn after_refresh(context: &ReadContext, view: &MailboxView) -> Vec<u8> {
    let mut out = Vec::new();
    view.live().retain_mut(|result| {
        let looked = result.look_anew(context, view, &mut out);
        if looked.is_err() {
            write_no_update(&mut out, &result.tag, "cannot be kept up to date");
        }
        looked.is_ok()
    });
    out
}

/// `* NO [NOUPDATE "tag"] text` (RFC 5267 §4.3.1)
pub(super) fn write_no_update(out: &mut Vec<u8>, tag: &str, text: &str) {
    out.extend_from_slice(b"* NO [NOUPDATE ");
    write_string(out, tag.as_bytes());
    out.extend_from_slice(format!("] {text}\r\n").as_bytes());
}

/// The messages that exist, and those of them that have come or changed after a modseq.
fn changed_since(
    context: &ReadContext,
    view: &MailboxView,
    numbered: &UidSet,
    modseq: ModSeq,
) -> Result<(UidSet, UidSet)> {
    let txn = context.begin()?;
    let (mut present, mut changed) = (Vec::new(), Vec::new());
    each_row(&context.tables, &txn, view.mailbox, numbered.iter(), |uid, row| {
        if let Ok(row) = row {
            present.push(uid);
            if row.modseq > modseq {
                changed.push(uid);
            }
        }
        Ok(true)
    })?;
    Ok((UidSet::from_ascending(present), UidSet::from_ascending(changed)))
}

fn kind(key: &SearchKey) -> Kind {
    let (mut reads_messages, mut changes_by_itself) = (false, false);
    let mut waiting = vec![key];
    while let Some(key) = waiting.pop() {
        match key {
            SearchKey::Body(_) | SearchKey::Text(_) | SearchKey::EmailId(_) => reads_messages = true,
            SearchKey::Header { name, .. } => reads_messages |= fields::index_of(name).is_none(),
            SearchKey::Recent
            | SearchKey::New
            | SearchKey::Old
            | SearchKey::Sequence(_)
            | SearchKey::Older(_)
            | SearchKey::Younger(_) => changes_by_itself = true,
            SearchKey::Uid(set) => changes_by_itself |= set.is_saved(),
            SearchKey::Not(key) => waiting.push(key),
            SearchKey::Or(left, right) => waiting.extend([&**left, &**right]),
            SearchKey::And(keys) => waiting.extend(keys),
            _ => {}
        }
    }
    match (reads_messages, changes_by_itself) {
        (false, _) => Kind::Whole,
        (true, false) => Kind::Changed,
        (true, true) => Kind::Refused,
    }
}

#[cfg(test)]
mod tests {
    use ironpost_proto::imap::search_key::SearchReturn;

    use super::*;

    fn live(results: Results, uid: bool) -> LiveResult {
        LiveResult {
            tag: "B01".to_owned(),
            uid,
            program: SearchProgram {
                order: SearchOrder::Number,
                returns: SearchReturn::default(),
                key: SearchKey::All,
            },
            results,
            modseq: 0,
        }
    }

    fn set(uids: &[u32]) -> UidSet {
        UidSet::from_ascending(uids.iter().copied())
    }

    fn removed(live: &mut LiveResult, gone: &[u32], numbered: &[u32]) -> String {
        let mut out = Vec::new();
        live.remove(&set(gone), &set(numbered), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn added(live: &mut LiveResult, now: Results, numbered: &[u32]) -> String {
        let mut out = Vec::new();
        live.add(now, &set(numbered), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn sets_change_at_position_zero() {
        let mut found = live(Results::Set(set(&[10, 20])), true);
        let now = Results::Set(set(&[10, 20, 30, 31]));
        assert_eq!(
            added(&mut found, now, &[10, 20, 30, 31]),
            "* ESEARCH (TAG \"B01\") UID ADDTO (0 30:31)\r\n"
        );
        assert_eq!(
            removed(&mut found, &[10, 15, 31], &[10, 20, 30, 31]),
            "* ESEARCH (TAG \"B01\") UID REMOVEFROM (0 10,31)\r\n"
        );
        assert_eq!(removed(&mut found, &[10], &[20, 30]), "");
        found.uid = false;
        assert_eq!(
            removed(&mut found, &[30], &[20, 30]),
            "* ESEARCH (TAG \"B01\") REMOVEFROM (0 2)\r\n"
        );
    }

    #[test]
    fn sorted_results_change_at_their_positions() {
        // RFC 5267 §4.3.3: from 2734:2735 to 2731:2735 by ADDTO (1 2731:2733).
        let mut found = live(Results::Sorted(vec![2734, 2735]), true);
        let now = Results::Sorted((2731..=2735).collect());
        assert_eq!(
            added(&mut found, now, &[]),
            "* ESEARCH (TAG \"B01\") UID ADDTO (1 2731:2733)\r\n"
        );
        let now = Results::Sorted(vec![9, 2731, 2732, 8, 7, 2733, 2734, 2735, 10]);
        assert_eq!(
            added(&mut found, now, &[]),
            "* ESEARCH (TAG \"B01\") UID ADDTO (1 9 4 8,7 9 10)\r\n"
        );
        assert_eq!(
            removed(&mut found, &[9, 2732, 8, 2735, 10], &[]),
            "* ESEARCH (TAG \"B01\") UID REMOVEFROM (1 9 2 2732,8 5 2735,10)\r\n"
        );
        let Results::Sorted(left) = &found.results else {
            unreachable!("still sorted")
        };
        assert_eq!(*left, [2731, 7, 2733, 2734]);
    }

    #[test]
    fn what_would_be_read_over_and_over_is_refused() {
        let text = || SearchKey::Text("x".to_owned());
        let header = |name: &str| SearchKey::Header {
            name: name.as_bytes().to_vec(),
            text: "x".to_owned(),
        };
        assert!(kind(&header("subject")) == Kind::Whole);
        assert!(kind(&SearchKey::Recent) == Kind::Whole);
        assert!(kind(&SearchKey::Not(Box::new(text()))) == Kind::Changed);
        assert!(kind(&header("x-loop")) == Kind::Changed);
        assert!(kind(&SearchKey::And(vec![text(), SearchKey::Younger(5)])) == Kind::Refused);
    }
}
