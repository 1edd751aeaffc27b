//! Which UIDs have gone since a modseq: VANISHED (EARLIER) (RFC 7162 §3.2.6, §3.2.10.1).
//!
//! Works on ranges: imported UIDs may leave gaps of billions. Messages that still have a number in this session are never
//! told here, gone or not: their VANISHED comes with the next refresh.

use std::ops::Bound;

use ironpost_proto::imap::quoting::write_number;
use ironpost_proto::imap::sequence::SequenceSet;

use super::uids::UidSet;
use super::{CHANGE_ROWS_MAX, MailboxView, merged};
use crate::db::keys;
use crate::db::records::{ChangeKind, ChangeRecord};
use crate::db::tables::{ReadTxn, Tables, damaged};
use crate::error::{Result, StoreError};
use crate::ids::{ModSeq, Uid};

/// Ascending, disjoint ranges of UIDs.
type Ranges = Vec<(Uid, Uid)>;

impl MailboxView {
    /// The line `* VANISHED (EARLIER) ...`, or nothing, for those of `known` (all when `None`) that went after `since`.
    ///
    /// Where the change log no longer reaches back to `since`, it names every UID below UIDNEXT that nobody has; `matches`,
    /// message numbers and the UIDs that the client believes them to have, then spares it those that it knows of already.
    ///
    /// # Errors
    /// NotFound without the account, Corrupt for a damaged row.
    pub fn vanished_since(
        &self,
        tables: &Tables,
        txn: &ReadTxn<'_>,
        since: ModSeq,
        known: Option<&SequenceSet>,
        matches: Option<&(SequenceSet, SequenceSet)>,
    ) -> Result<Vec<u8>> {
        let expunged = self.expunged_since(tables, txn, since)?;
        let told = self.told();
        let gone = gone_earlier(
            &told.uids,
            told.uid_next.saturating_sub(1),
            expunged.as_deref(),
            known,
            matches,
        );
        drop(told);
        let mut line = Vec::new();
        if !gone.is_empty() {
            line.extend_from_slice(b"* VANISHED (EARLIER) ");
            write_ranges(&mut line, &gone);
            line.extend_from_slice(b"\r\n");
        }
        Ok(line)
    }

    /// What the change log tells; `None` when it does not reach back, or has too many rows to be worth it.
    fn expunged_since(&self, tables: &Tables, txn: &ReadTxn<'_>, since: ModSeq) -> Result<Option<Ranges>> {
        let account = tables.account(txn, self.account)?;
        let account = account.ok_or_else(|| StoreError::NotFound(format!("account {}", self.account)))?;
        if account.changes_after > since {
            return Ok(None);
        }
        let mut expunged = Vec::new();
        if since < account.highest_modseq {
            let first = keys::change(self.account, since.saturating_add(1));
            let last = keys::change(self.account, account.highest_modseq);
            let bounds = (Bound::Included(&first[..]), Bound::Included(&last[..]));
            for (count, row) in tables.changes.range(txn, &bounds)?.enumerate() {
                if count >= CHANGE_ROWS_MAX {
                    return Ok(None);
                }
                let change = ChangeRecord::decode(row?.1).ok_or_else(|| damaged("changes", self.account))?;
                if change.mailbox == self.mailbox && change.kind == ChangeKind::Expunged {
                    expunged.extend(change.uids);
                }
            }
        }
        Ok(Some(merged(expunged)))
    }
}

/// UIDs up to `last` that a client knows and that no message has; those `expunged` where that is known.
fn gone_earlier(
    present: &UidSet,
    last: Uid,
    expunged: Option<&[(Uid, Uid)]>,
    known: Option<&SequenceSet>,
    matches: Option<&(SequenceSet, SequenceSet)>,
) -> Ranges {
    let wanted = match known {
        // What the saved result holds are messages with numbers: none of them has gone unseen.
        Some(known) if known.is_saved() => Vec::new(),
        // `*` is the largest UID that the client can have known, not that of a message that is still there.
        Some(known) => known.resolve(last),
        None => vec![(1, Uid::MAX)],
    };
    let wanted = common(&wanted, &[(1, last)]);
    let candidates = if let Some(expunged) = expunged {
        common(&wanted, expunged)
    } else {
        let agreed = matches.map_or(0, |(numbers, uids)| agreed_up_to(present, numbers, uids));
        match agreed.checked_add(1) {
            Some(from) => common(&wanted, &[(from, Uid::MAX)]),
            None => Vec::new(),
        }
    };
    without(&candidates, present)
}

/// The highest UID up to which a client that gives these numbers to these UIDs has lost nothing: messages only ever go, so
/// one number that fits proves all below it.
fn agreed_up_to(present: &UidSet, numbers: &SequenceSet, uids: &SequenceSet) -> Uid {
    let each = |set: &SequenceSet| {
        let ranges = set.resolve(0);
        ranges.into_iter().flat_map(|(first, last)| first..=last)
    };
    each(numbers)
        .zip(each(uids))
        .take_while(|&(number, uid)| present.select(number) == Some(uid))
        .last()
        .map_or(0, |(_, uid)| uid)
}

/// What two lists of ranges have in common.
fn common(left: &[(Uid, Uid)], right: &[(Uid, Uid)]) -> Ranges {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    let mut found = Vec::new();
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        let (first, last) = (one.0.max(other.0), one.1.min(other.1));
        if first <= last {
            found.push((first, last));
        }
        if one.1 < other.1 {
            left.next();
        } else {
            right.next();
        }
    }
    found
}

/// Ranges without the members of a set.
fn without(ranges: &[(Uid, Uid)], set: &UidSet) -> Ranges {
    let mut left = Vec::new();
    for &(first, last) in ranges {
        let mut next = Some(first);
        for uid in set.iter_range(first, last) {
            if let Some(from) = next.filter(|&from| from < uid) {
                left.push((from, uid - 1));
            }
            next = uid.checked_add(1);
        }
        if let Some(from) = next.filter(|&from| from <= last) {
            left.push((from, last));
        }
    }
    left
}

fn write_ranges(out: &mut Vec<u8>, ranges: &[(Uid, Uid)]) {
    for (index, &(first, last)) in ranges.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_number(out, u64::from(first));
        if last > first {
            out.push(b':');
            write_number(out, u64::from(last));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use ironpost_proto::imap::lexer::Lexer;

    use super::*;

    fn set(text: &str) -> SequenceSet {
        SequenceSet::parse(&mut Lexer::new(text.as_bytes())).unwrap()
    }

    #[test]
    fn ranges_in_common() {
        assert_eq!(common(&[(1, 5), (8, 9)], &[(2, 3), (5, 8)]), [(2, 3), (5, 5), (8, 8)]);
        assert_eq!(common(&[(1, 5)], &[]), []);
        assert_eq!(common(&[(1, u32::MAX)], &[(7, u32::MAX)]), [(7, u32::MAX)]);
    }

    #[test]
    fn ranges_without_members() {
        let present = UidSet::from_ascending([1, 3, 4, 9, u32::MAX]);
        assert_eq!(without(&[(1, 10)], &present), [(2, 2), (5, 8), (10, 10)]);
        assert_eq!(without(&[(3, 4)], &present), []);
        assert_eq!(without(&[(9, u32::MAX)], &present), [(10, u32::MAX - 1)]);
        let mut text = Vec::new();
        write_ranges(&mut text, &[(2, 2), (5, 8)]);
        assert_eq!(text, b"2,5:8");
    }

    #[test]
    fn a_log_that_does_not_reach_back_names_all_that_nobody_has() {
        let present = UidSet::from_ascending([5, 9, 12, 20]);
        let gone = |known: Option<&str>, matches: Option<(&str, &str)>| {
            let known = known.map(set);
            let matches = matches.map(|(numbers, uids)| (set(numbers), set(uids)));
            gone_earlier(&present, 22, None, known.as_ref(), matches.as_ref())
        };
        assert_eq!(gone(None, None), [(1, 4), (6, 8), (10, 11), (13, 19), (21, 22)]);
        assert_eq!(gone(Some("1:4294967295"), None), gone(None, None));
        assert_eq!(gone(Some("4:10"), None), [(4, 4), (6, 8), (10, 10)]);
        assert_eq!(gone(Some("5,9"), None), []);
        assert_eq!(gone(None, Some(("1,3", "5,12"))), [(13, 19), (21, 22)]);
        assert_eq!(gone(None, Some(("1", "4"))), gone(None, None));
        // With the log: only what it tells, and never what still has a number.
        let told = gone_earlier(&present, 22, Some(&[(5, 7), (30, 31)]), None, None);
        assert_eq!(told, [(6, 7)]);
        assert_eq!(gone_earlier(&present, 0, None, None, None), []);
    }

    #[test]
    fn one_number_that_fits_proves_those_below() {
        // The example of RFC 7162 §3.2.5.2: half of the numbers fit.
        let present = UidSet::from_ascending([5, 9, 12, 20]);
        assert_eq!(agreed_up_to(&present, &set("1,2,3"), &set("5,9,12")), 12);
        assert_eq!(agreed_up_to(&present, &set("1:4"), &set("5,9,13,21")), 9);
        assert_eq!(agreed_up_to(&present, &set("2"), &set("8")), 0);
        assert_eq!(agreed_up_to(&present, &set("1:4000000000"), &set("1:4000000000")), 0);
    }
}
