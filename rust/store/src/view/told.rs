//! What one client has been told of one mailbox, and the lines that bring it up to date (RFC 9051 §5.2, §7.5).
//!
//! Pure bookkeeping: the store's rows come in as a [`Delta`], untagged lines go out. Message numbers are positions among
//! the UIDs told; a message that is gone from the store keeps its number until its EXPUNGE has been sent.

use std::collections::BTreeSet;

use ironpost_proto::imap::sequence::SequenceSet;

use super::lines::{FlagsLine, KeywordNames, write_flag_lists, write_flags_line, write_numbered};
use super::ranges::write_set;
use super::uids::UidSet;
use crate::sharing::FlagClasses;

/// Own modseqs remembered between two refreshes; beyond it the oldest is forgotten and its flags are told once more.
const OWN_MODSEQS_MAX: usize = 4096;

/// What the client knows.
#[derive(Clone, Debug)]
pub struct Told {
    /// Every message that has a number.
    pub uids: UidSet,
    /// Those of them that the store has no more.
    pub gone: UidSet,
    /// Those of them that are recent in this session (RFC 3501 §2.3.2).
    pub recent: UidSet,
    /// The saved search result, `$` (RFC 5182); some of it may be gone.
    pub saved: UidSet,
    /// All changes up to this one have been told.
    pub modseq: u64,
    /// UIDNEXT when last told.
    pub uid_next: u32,
    /// Keywords of the account; the client knows the first `keywords_told`.
    pub keywords: KeywordNames,
    /// No message is shown as recent: the client has left RFC 3501 behind (RFC 9051 §2.3.2).
    pub hides_recent: bool,
    /// How changes are told.
    pub sync: Sync,
    /// The client counts in UIDs alone: UIDFETCH and VANISHED (RFC 9586).
    pub uid_only: bool,
    /// Flags that this session may change in a mailbox that is open for writing (RFC 4314 §5.1.1).
    pub permits: FlagClasses,
    /// See `keywords`.
    pub keywords_told: usize,
    /// RECENT as the client knows it.
    pub recent_told: u32,
    /// Flags of these have changed and could not be told yet.
    pub flags_untold: UidSet,
    /// Changes that this session made and has answered for already.
    own: BTreeSet<u64>,
}

/// What a client has enabled for keeping in step (RFC 7162); each includes those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sync {
    /// Nothing.
    #[default]
    Plain,
    /// CONDSTORE: modseqs come with flags.
    Modseqs,
    /// QRESYNC: UIDs come with flags, and VANISHED in place of EXPUNGE.
    Vanished,
}

/// The flags of one message as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagsNow {
    /// The message.
    pub uid: u32,
    /// System flags.
    pub flags: u8,
    /// Keyword bits.
    pub keywords: u64,
    /// Its modseq.
    pub modseq: u64,
}

/// What has happened in the store since the view's modseq.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// Messages that the client does not know.
    pub added: UidSet,
    /// Messages of `added` that become recent here.
    pub recent: UidSet,
    /// Messages that the store has no more.
    pub removed: UidSet,
    /// Flags that have changed, ascending by UID.
    pub flags: Vec<FlagsNow>,
    /// The modseq up to which this is the whole truth.
    pub modseq: u64,
    /// UIDNEXT at that modseq.
    pub uid_next: u32,
    /// All keywords of the account, when there are more than the view knows.
    pub keywords: Option<KeywordNames>,
}

/// What a refresh may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// EXPUNGE lines, which renumber (forbidden during FETCH, STORE and SEARCH, RFC 9051 §7.5.1).
    pub expunges: bool,
    /// FETCH lines of flags; what may not be told is kept for the next time.
    pub flags: bool,
    /// UIDs beside flags.
    pub uids: bool,
}

impl Told {
    /// What a client knows right after SELECT.
    #[must_use]
    pub fn new(uids: UidSet, recent: UidSet, modseq: u64, uid_next: u32, keywords: KeywordNames) -> Self {
        let (keywords_told, recent_told) = (keywords.len(), recent.len());
        let (gone, saved, own) = (UidSet::new(), UidSet::new(), BTreeSet::new());
        Self {
            uids,
            gone,
            recent,
            saved,
            modseq,
            uid_next,
            keywords,
            hides_recent: false,
            sync: Sync::Plain,
            uid_only: false,
            permits: FlagClasses::ALL,
            keywords_told,
            recent_told,
            flags_untold: UidSet::new(),
            own,
        }
    }

    /// The UIDs that a set names: message numbers, or UIDs with `uid`, or what `$` holds. Numbers of messages that are gone, and numbers
    /// and UIDs that nobody has, name nothing.
    #[must_use]
    pub fn resolve(&self, set: &SequenceSet, uid: bool) -> UidSet {
        let named = if set.is_saved() {
            self.uids.intersection(&self.saved)
        } else if uid {
            self.uids.within(&set.resolve(self.uids.last().unwrap_or(0)))
        } else {
            let count = self.uids.len();
            let ranges: Vec<(u32, u32)> = set
                .resolve(count)
                .into_iter()
                .filter_map(|(first, last)| Some((self.uids.select(first.max(1))?, self.uids.select(last.min(count))?)))
                .collect();
            self.uids.within(&ranges)
        };
        if self.gone.is_empty() {
            named
        } else {
            named.difference(&self.gone)
        }
    }

    /// Shows no message as recent from now on.
    pub fn hide_recent(&mut self) {
        self.hides_recent = true;
        self.recent = UidSet::new();
        self.recent_told = 0;
    }

    /// Notes a change that this session made itself and that needs no further line.
    pub fn remember_own(&mut self, modseq: u64) {
        if modseq > self.modseq {
            self.own.insert(modseq);
            if self.own.len() > OWN_MODSEQS_MAX {
                self.own.pop_first();
            }
        }
    }

    /// Whether a change is one of ours, already answered for.
    #[must_use]
    pub fn is_own(&self, modseq: u64) -> bool {
        self.own.contains(&modseq)
    }

    /// Takes the delta in and appends the lines that tell it. `read_only`: after EXAMINE PERMANENTFLAGS is empty.
    pub fn apply(&mut self, delta: &Delta, permitted: Permitted, read_only: bool, out: &mut Vec<u8>) {
        // A message that came and went between two refreshes has never been told and never will be.
        let added = delta.added.difference(&delta.removed).difference(&self.uids);
        self.gone = self.gone.union(&delta.removed.intersection(&self.uids));
        if permitted.expunges && !self.gone.is_empty() {
            self.expunge(out);
        }
        if !added.is_empty() {
            self.uids = self.uids.union(&added);
            if !self.hides_recent {
                self.recent = self.recent.union(&delta.recent.intersection(&added));
            }
            write_numbered(out, self.uids.len(), b"EXISTS\r\n");
        }
        if self.recent.len() != self.recent_told {
            self.recent_told = self.recent.len();
            write_numbered(out, self.recent_told, b"RECENT\r\n");
        }
        if let Some(keywords) = &delta.keywords {
            self.keywords = keywords.clone();
        }
        if self.keywords.len() > self.keywords_told {
            self.keywords_told = self.keywords.len();
            write_flag_lists(out, &self.keywords, (!read_only).then_some(self.permits));
        }
        let untold = std::mem::take(&mut self.flags_untold);
        if !permitted.flags {
            let changed = UidSet::from_ascending(delta.flags.iter().map(|now| now.uid));
            self.flags_untold = untold.union(&changed).difference(&self.gone);
        }
        for now in delta.flags.iter().filter(|_| permitted.flags) {
            if self.gone.contains(now.uid) {
                continue;
            }
            if let Some(number) = self.uids.rank(now.uid) {
                let recent = self.recent.contains(now.uid);
                let line = FlagsLine {
                    uid: now.uid,
                    tells_uid: permitted.uids || self.sync >= Sync::Vanished,
                    uid_only: self.uid_only,
                    flags: Some((now.flags, now.keywords)),
                    recent,
                    modseq: (self.sync >= Sync::Modseqs).then_some(now.modseq),
                };
                write_flags_line(out, number, line, &self.keywords);
            }
        }
        self.modseq = self.modseq.max(delta.modseq);
        self.uid_next = self.uid_next.max(delta.uid_next);
        self.own = self.own.split_off(&(self.modseq.saturating_add(1)));
    }

    /// Tells all that is gone, from the highest number down, so that no line renumbers one that follows.
    fn expunge(&mut self, out: &mut Vec<u8>) {
        let gone = std::mem::take(&mut self.gone);
        if self.sync >= Sync::Vanished || self.uid_only {
            out.extend_from_slice(b"* VANISHED ");
            write_set(out, gone.iter());
            out.extend_from_slice(b"\r\n");
        } else {
            let numbers: Vec<u32> = gone.iter().filter_map(|uid| self.uids.rank(uid)).collect();
            for number in numbers.into_iter().rev() {
                write_numbered(out, number, b"EXPUNGE\r\n");
            }
        }
        self.uids = self.uids.difference(&gone);
        self.saved = self.saved.difference(&gone);
        let recent = self.recent.difference(&gone);
        // EXPUNGE tells the client of lost recent messages by itself only if it counts them; RECENT follows then.
        self.recent = recent;
    }
}

#[cfg(test)]
mod tests {
    use ironpost_proto::imap::sequence::SequenceNumber::{Largest, Number, Saved};

    use super::*;

    const ALL: Permitted = Permitted {
        expunges: true,
        flags: true,
        uids: false,
    };

    fn set(uids: &[u32]) -> UidSet {
        UidSet::from_ascending(uids.iter().copied())
    }

    fn told(uids: &[u32]) -> Told {
        Told::new(set(uids), UidSet::new(), 10, 100, KeywordNames::from([]))
    }

    fn applied(told: &mut Told, delta: &Delta, permitted: Permitted) -> String {
        let mut out = Vec::new();
        told.apply(delta, permitted, false, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn expunges_come_before_exists_and_from_the_top() {
        let mut told = told(&[1, 5, 9, 12]);
        let flags = vec![FlagsNow {
            uid: 9,
            flags: 1,
            keywords: 0,
            modseq: 12,
        }];
        let delta = Delta {
            added: set(&[20]),
            removed: set(&[1, 9]),
            modseq: 12,
            uid_next: 21,
            flags,
            ..Delta::default()
        };
        assert_eq!(
            applied(&mut told, &delta, ALL),
            "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\n* 3 EXISTS\r\n"
        );
        assert_eq!(told.uids, set(&[5, 12, 20]));
        assert_eq!(told.modseq, 12);
    }

    #[test]
    fn who_keeps_in_step_is_told_more() {
        let delta = Delta {
            added: set(&[20]),
            removed: set(&[1, 5]),
            modseq: 12,
            uid_next: 21,
            flags: vec![FlagsNow {
                uid: 9,
                flags: 1,
                keywords: 0,
                modseq: 12,
            }],
            ..Delta::default()
        };
        for (sync, text) in [
            (
                Sync::Modseqs,
                "* 2 EXPUNGE\r\n* 1 EXPUNGE\r\n* 3 EXISTS\r\n* 1 FETCH (FLAGS (\\Seen) MODSEQ (12))\r\n",
            ),
            (
                Sync::Vanished,
                "* VANISHED 1,5\r\n* 3 EXISTS\r\n* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (12))\r\n",
            ),
        ] {
            let mut told = told(&[1, 5, 9, 12]);
            told.sync = sync;
            assert_eq!(applied(&mut told, &delta, ALL), text);
        }
    }

    #[test]
    fn without_permission_the_gone_keep_their_numbers() {
        let mut told = told(&[1, 5, 9]);
        let quiet = Permitted { expunges: false, ..ALL };
        let delta = Delta {
            removed: set(&[5]),
            modseq: 11,
            ..Delta::default()
        };
        assert_eq!(applied(&mut told, &delta, quiet), "");
        assert_eq!(told.uids.len(), 3);
        let every = SequenceSet {
            ranges: vec![(Number(1), Largest)],
        };
        assert_eq!(told.resolve(&every, false), set(&[1, 9]));
        assert_eq!(
            told.resolve(
                &SequenceSet {
                    ranges: vec![(Number(2), Number(2))]
                },
                false
            ),
            set(&[])
        );
        let flags = vec![FlagsNow {
            uid: 9,
            flags: 1,
            keywords: 0,
            modseq: 12,
        }];
        let delta = Delta {
            flags,
            modseq: 12,
            ..Delta::default()
        };
        assert_eq!(applied(&mut told, &delta, quiet), "* 3 FETCH (FLAGS (\\Seen))\r\n");
        assert_eq!(
            applied(
                &mut told,
                &Delta {
                    modseq: 12,
                    ..Delta::default()
                },
                ALL
            ),
            "* 2 EXPUNGE\r\n"
        );
    }

    #[test]
    fn what_came_and_went_is_never_told() {
        let mut told = told(&[1]);
        let delta = Delta {
            added: set(&[7, 8]),
            removed: set(&[7]),
            modseq: 13,
            ..Delta::default()
        };
        assert_eq!(applied(&mut told, &delta, ALL), "* 2 EXISTS\r\n");
        assert_eq!(told.uids, set(&[1, 8]));
    }

    #[test]
    fn recent_and_keywords_are_told_once() {
        let mut told = told(&[1]);
        let delta = Delta {
            added: set(&[2]),
            recent: set(&[2]),
            flags: vec![FlagsNow {
                uid: 2,
                flags: 0,
                keywords: 1,
                modseq: 12,
            }],
            keywords: Some(KeywordNames::from(["$Junk".into()])),
            modseq: 11,
            ..Delta::default()
        };
        let uids = Permitted { uids: true, ..ALL };
        assert_eq!(
            applied(&mut told, &delta, uids),
            "* 2 EXISTS\r\n* 1 RECENT\r\n\
             * FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk)\r\n\
             * OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk \\*)] Keywords have grown\r\n\
             * 2 FETCH (UID 2 FLAGS (\\Recent $Junk))\r\n"
        );
        assert_eq!(
            applied(
                &mut told,
                &Delta {
                    modseq: 12,
                    ..Delta::default()
                },
                uids
            ),
            ""
        );
    }

    #[test]
    fn own_changes_are_remembered_until_told() {
        let mut told = told(&[1]);
        told.remember_own(9);
        told.remember_own(12);
        assert!(!told.is_own(9));
        assert!(told.is_own(12));
        applied(
            &mut told,
            &Delta {
                modseq: 12,
                ..Delta::default()
            },
            ALL,
        );
        assert!(!told.is_own(12));
    }

    #[test]
    fn sets_resolve_by_uid_and_by_number() {
        let told = told(&[3, 5, 9]);
        let range = |first, last| SequenceSet {
            ranges: vec![(first, last)],
        };
        assert_eq!(told.resolve(&range(Number(2), Number(9)), false), set(&[5, 9]));
        assert_eq!(told.resolve(&range(Number(4), Number(9)), false), set(&[]));
        assert_eq!(told.resolve(&range(Number(100), Largest), true), set(&[9]));
        assert_eq!(told.resolve(&range(Number(4), Number(6)), true), set(&[5]));
    }

    #[test]
    fn the_saved_result_loses_what_is_expunged() {
        let mut told = told(&[3, 5, 9]);
        let saved = SequenceSet {
            ranges: vec![(Saved, Saved)],
        };
        assert_eq!(told.resolve(&saved, true), set(&[]));
        told.saved = set(&[3, 9]);
        assert_eq!(told.resolve(&saved, false), set(&[3, 9]));
        let delta = Delta {
            removed: set(&[9]),
            modseq: 11,
            ..Delta::default()
        };
        applied(&mut told, &delta, Permitted { expunges: false, ..ALL });
        assert_eq!(told.resolve(&saved, true), set(&[3]));
        applied(&mut told, &Delta::default(), ALL);
        assert_eq!(told.saved, set(&[3]));
    }
}
