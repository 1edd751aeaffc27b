//! A SEARCH key made ready for one mailbox: sets where the index answers, tests ordered by what they cost.
//!
//! Sub-trees that UID sets answer alone (ALL, SEEN, DELETED, UID, sequence numbers, RECENT and their combinations) are
//! folded into one set before any message is looked at. What is left is tested message by message, the cheapest first
//! (RFC 9051 §6.4.4).

use ironpost_proto::imap::search_key::{Date, SearchKey, SystemFlag};

use super::needle::Needle;
use crate::fetch::object_id::{EmailId, read_email_id};
use crate::view::uids::UidSet;

/// The sets of a mailbox that keys refer to, all at one moment.
pub struct Sets<'a> {
    /// Every message that may be found.
    pub all: &'a UidSet,
    /// What the client numbers, for sequence sets.
    pub numbered: &'a UidSet,
    /// With \Seen.
    pub seen: &'a UidSet,
    /// With \Deleted.
    pub deleted: &'a UidSet,
    /// Recent in this session.
    pub recent: &'a UidSet,
    /// The saved search result, `$`.
    pub saved: &'a UidSet,
    /// The present in Unix seconds.
    pub now: i64,
    /// Bit of a keyword in the rows; `None` when nobody has used it.
    pub keyword_bit: &'a dyn Fn(&[u8]) -> Option<u64>,
}

/// What a test may ask of one message; the later ones cost more.
pub trait Facts {
    /// Why a fact could not be had.
    type Error;
    /// The UID.
    fn uid(&self) -> u32;
    /// The system flags.
    fn flags(&self) -> u8;
    /// The keyword bits.
    fn keywords(&self) -> u64;
    /// The modseq.
    fn modseq(&self) -> u64;
    /// Octets, RFC822.SIZE.
    fn size(&self) -> u64;
    /// The internal date's own calendar day.
    fn internal_day(&self) -> Date;
    /// The internal date in Unix seconds.
    fn internal_seconds(&self) -> i64;
    /// The day, in UTC, on which it came into its mailbox; that of the internal date when nobody has noted it.
    fn saved_day(&self) -> Date;
    /// The identity of the contents.
    fn email_id(&mut self) -> Result<EmailId, Self::Error>;
    /// The Date field's own calendar day; `None` when there is none that can be read.
    fn sent_day(&mut self) -> Result<Option<Date>, Self::Error>;
    /// Whether a header field of that name (lower case) holds the text.
    fn header_holds(&mut self, name: &[u8], needle: &Needle) -> Result<bool, Self::Error>;
    /// True when the filter proves that no text of the message holds it, header included; false proves nothing.
    fn text_ruled_out(&self, needle: &Needle) -> bool;
    /// Whether the decoded text holds it; with `header` the message's header counts too.
    fn text_holds(&mut self, needle: &Needle, header: bool) -> Result<bool, Self::Error>;
}

/// How two calendar days are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayTest {
    /// Earlier than.
    Before,
    /// The same.
    On,
    /// The same or later.
    Since,
}

impl DayTest {
    fn holds(self, day: Date, bound: Date) -> bool {
        match self {
            Self::Before => day < bound,
            Self::On => day == bound,
            Self::Since => day >= bound,
        }
    }
}

/// A prepared key.
#[derive(Debug)]
pub enum Test {
    /// One of these.
    Member(UidSet),
    /// A system flag.
    Flag(u8),
    /// A keyword.
    Keyword(u64),
    /// Changed at that modseq or later.
    ModSeq(u64),
    /// The internal date.
    Internal(DayTest, Date),
    /// The internal date lies before or at this moment.
    Until(i64),
    /// At it or behind it.
    From(i64),
    /// The save date.
    Saved(DayTest, Date),
    /// More octets than.
    Larger(u64),
    /// Fewer octets than.
    Smaller(u64),
    /// The Date field.
    Sent(DayTest, Date),
    /// The identity of the contents.
    EmailId(EmailId),
    /// A header field.
    Header(Vec<u8>, Needle),
    /// The body's text.
    Body(Needle),
    /// Header or body.
    Text(Needle),
    /// The opposite.
    Not(Box<Test>),
    /// All of them, cheapest first.
    All(Vec<Test>),
    /// Any of them, cheapest first.
    Any(Vec<Test>),
}

/// What a test has to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A set in memory.
    Set,
    /// The hot row.
    Row,
    /// The header section.
    Header,
    /// The whole message.
    Message,
}

impl Test {
    /// Prepares a key. Recursion is bounded by the parser's depth limit.
    #[must_use]
    pub fn prepare(key: &SearchKey, sets: &Sets<'_>) -> Self {
        match key {
            SearchKey::All => Self::Member(sets.all.clone()),
            SearchKey::Flag { flag, set } => match flag {
                SystemFlag::Seen => member(sets, sets.seen, *set),
                SystemFlag::Deleted => member(sets, sets.deleted, *set),
                other => wanted(Self::Flag(other.bit()), *set),
            },
            SearchKey::Keyword { keyword, set } => match (sets.keyword_bit)(keyword) {
                Some(bit) => wanted(Self::Keyword(bit), *set),
                None if *set => Self::Member(UidSet::new()),
                None => Self::Member(sets.all.clone()),
            },
            SearchKey::Recent => member(sets, sets.recent, true),
            SearchKey::Old => member(sets, sets.recent, false),
            SearchKey::New => Self::Member(sets.all.intersection(sets.recent).difference(sets.seen)),
            SearchKey::Header { name, text } => Self::Header(name.clone(), Needle::new(text)),
            SearchKey::Body(text) => Self::Body(Needle::new(text)),
            SearchKey::Text(text) => Self::Text(Needle::new(text)),
            SearchKey::Before(date) => Self::Internal(DayTest::Before, *date),
            SearchKey::On(date) => Self::Internal(DayTest::On, *date),
            SearchKey::Since(date) => Self::Internal(DayTest::Since, *date),
            SearchKey::Older(seconds) => Self::Until(sets.now - i64::from(*seconds)),
            SearchKey::Younger(seconds) => Self::From(sets.now - i64::from(*seconds)),
            SearchKey::SavedBefore(date) => Self::Saved(DayTest::Before, *date),
            SearchKey::SavedOn(date) => Self::Saved(DayTest::On, *date),
            SearchKey::SavedSince(date) => Self::Saved(DayTest::Since, *date),
            SearchKey::SentBefore(date) => Self::Sent(DayTest::Before, *date),
            SearchKey::SentOn(date) => Self::Sent(DayTest::On, *date),
            SearchKey::SentSince(date) => Self::Sent(DayTest::Since, *date),
            SearchKey::Larger(octets) => Self::Larger(*octets),
            SearchKey::Smaller(octets) => Self::Smaller(*octets),
            SearchKey::ModSeq(modseq) => Self::ModSeq(*modseq),
            SearchKey::EmailId(id) => read_email_id(id).map_or_else(|| Self::Member(UidSet::new()), Self::EmailId),
            // No message has one.
            SearchKey::ThreadId(_) => Self::Member(UidSet::new()),
            SearchKey::Uid(set) | SearchKey::Sequence(set) if set.is_saved() => member(sets, sets.saved, true),
            SearchKey::Uid(set) => {
                // `*` is the largest UID the client knows of (RFC 9051 §6.4.9).
                let ranges = set.resolve(sets.numbered.last().unwrap_or(0));
                Self::Member(sets.all.within(&ranges))
            }
            SearchKey::Sequence(set) => {
                let uids = uid_ranges(sets.numbered, &set.resolve(sets.numbered.len()));
                Self::Member(sets.all.within(&uids))
            }
            SearchKey::Not(key) => match Self::prepare(key, sets) {
                Self::Member(found) => Self::Member(sets.all.difference(&found)),
                Self::Not(test) => *test,
                test => Self::Not(Box::new(test)),
            },
            SearchKey::Or(left, right) => {
                let mut tests = Vec::new();
                let mut found = UidSet::new();
                for side in [left, right] {
                    match Self::prepare(side, sets) {
                        Self::Member(set) => found = found.union(&set),
                        Self::Any(inner) => tests.extend(inner),
                        test => tests.push(test),
                    }
                }
                if tests.is_empty() {
                    return Self::Member(found);
                }
                if !found.is_empty() {
                    tests.push(Self::Member(found));
                }
                tests.sort_by_key(Self::cost);
                Self::Any(tests)
            }
            SearchKey::And(keys) => {
                let mut tests = Vec::new();
                let mut found: Option<UidSet> = None;
                for key in keys {
                    match Self::prepare(key, sets) {
                        Self::Member(set) => {
                            found = Some(found.map_or_else(|| set.clone(), |found| found.intersection(&set)));
                        }
                        Self::All(inner) => tests.extend(inner),
                        test => tests.push(test),
                    }
                }
                if tests.is_empty() {
                    return Self::Member(found.unwrap_or_else(|| sets.all.clone()));
                }
                if let Some(found) = found {
                    if found.is_empty() {
                        return Self::Member(found);
                    }
                    tests.push(Self::Member(found));
                }
                tests.sort_by_key(Self::cost);
                Self::All(tests)
            }
        }
    }

    /// The dearest thing that the test may have to read.
    #[must_use]
    pub fn cost(&self) -> Cost {
        match self {
            Self::Member(_) => Cost::Set,
            Self::Flag(_)
            | Self::Keyword(_)
            | Self::ModSeq(_)
            | Self::Internal(..)
            | Self::Until(_)
            | Self::From(_)
            | Self::Saved(..)
            | Self::Larger(_)
            | Self::Smaller(_) => Cost::Row,
            Self::EmailId(_) | Self::Sent(..) | Self::Header(..) => Cost::Header,
            Self::Body(_) | Self::Text(_) => Cost::Message,
            Self::Not(test) => test.cost(),
            Self::All(tests) | Self::Any(tests) => tests.iter().map(Self::cost).max().unwrap_or(Cost::Set),
        }
    }

    /// The messages outside of which the test cannot hold.
    #[must_use]
    pub fn candidates(&self, all: &UidSet) -> UidSet {
        match self {
            Self::Member(set) => set.clone(),
            Self::All(tests) => tests.iter().fold(all.clone(), |left, test| match test {
                Self::Member(set) => left.intersection(set),
                _ => left,
            }),
            _ => all.clone(),
        }
    }

    /// The needles of text searches, each of which gets the next slot of a filter.
    pub fn text_needles(&mut self) -> Vec<&Needle> {
        let mut found = Vec::new();
        self.number_needles(&mut found);
        found
    }

    fn number_needles<'a>(&'a mut self, found: &mut Vec<&'a Needle>) {
        match self {
            Self::Body(needle) | Self::Text(needle) => {
                needle.slot = Some(found.len());
                found.push(needle);
            }
            Self::Not(test) => test.number_needles(found),
            Self::All(tests) | Self::Any(tests) => tests.iter_mut().for_each(|test| test.number_needles(found)),
            _ => {}
        }
    }

    /// What can be said without reading header or text; `None`: it takes [`Self::holds`]. Three-valued, so that a
    /// combination is decided as soon as enough of it is, whatever the order of its tests.
    #[must_use]
    pub fn decided<F: Facts>(&self, facts: &F) -> Option<bool> {
        match self {
            Self::Member(set) => Some(set.contains(facts.uid())),
            Self::Flag(bit) => Some(facts.flags() & bit != 0),
            Self::Keyword(bit) => Some(facts.keywords() & bit != 0),
            Self::ModSeq(modseq) => Some(facts.modseq() >= *modseq),
            Self::Internal(test, bound) => Some(test.holds(facts.internal_day(), *bound)),
            Self::Until(moment) => Some(facts.internal_seconds() <= *moment),
            Self::From(moment) => Some(facts.internal_seconds() >= *moment),
            Self::Saved(test, bound) => Some(test.holds(facts.saved_day(), *bound)),
            Self::Larger(octets) => Some(facts.size() > *octets),
            Self::Smaller(octets) => Some(facts.size() < *octets),
            Self::EmailId(_) | Self::Sent(..) | Self::Header(..) => None,
            Self::Body(needle) | Self::Text(needle) => facts.text_ruled_out(needle).then_some(false),
            Self::Not(test) => test.decided(facts).map(|held| !held),
            Self::All(tests) => combined(tests, facts, false),
            Self::Any(tests) => combined(tests, facts, true),
        }
    }

    /// Whether the test holds for one message.
    ///
    /// # Errors
    /// Whatever the facts raise.
    pub fn holds<F: Facts>(&self, facts: &mut F) -> Result<bool, F::Error> {
        Ok(match self {
            Self::Member(set) => set.contains(facts.uid()),
            Self::Flag(bit) => facts.flags() & bit != 0,
            Self::Keyword(bit) => facts.keywords() & bit != 0,
            Self::ModSeq(modseq) => facts.modseq() >= *modseq,
            Self::Internal(test, bound) => test.holds(facts.internal_day(), *bound),
            Self::Until(moment) => facts.internal_seconds() <= *moment,
            Self::From(moment) => facts.internal_seconds() >= *moment,
            Self::Saved(test, bound) => test.holds(facts.saved_day(), *bound),
            Self::Larger(octets) => facts.size() > *octets,
            Self::Smaller(octets) => facts.size() < *octets,
            Self::Sent(test, bound) => facts.sent_day()?.is_some_and(|day| test.holds(day, *bound)),
            Self::EmailId(id) => facts.email_id()? == *id,
            Self::Header(name, needle) => facts.header_holds(name, needle)?,
            Self::Body(needle) => facts.text_holds(needle, false)?,
            Self::Text(needle) => facts.text_holds(needle, true)?,
            Self::Not(test) => !test.holds(facts)?,
            Self::All(tests) => {
                for test in tests {
                    if !test.holds(facts)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(tests) => {
                for test in tests {
                    if test.holds(facts)? {
                        return Ok(true);
                    }
                }
                false
            }
        })
    }
}

/// The value of a combination that one test of value `enough` decides.
fn combined<F: Facts>(tests: &[Test], facts: &F, enough: bool) -> Option<bool> {
    let mut all_decided = true;
    for test in tests {
        match test.decided(facts) {
            Some(held) if held == enough => return Some(enough),
            Some(_) => {}
            None => all_decided = false,
        }
    }
    all_decided.then_some(!enough)
}

/// UID ranges of message-number ranges; numbers beyond the mailbox name nothing.
#[must_use]
pub fn uid_ranges(numbered: &UidSet, numbers: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let count = numbered.len();
    numbers
        .iter()
        .filter(|(first, _)| *first <= count)
        .filter_map(|&(first, last)| Some((numbered.select(first.max(1))?, numbered.select(last.min(count))?)))
        .collect()
}

fn member(sets: &Sets<'_>, set: &UidSet, wanted: bool) -> Test {
    Test::Member(if wanted {
        sets.all.intersection(set)
    } else {
        sets.all.difference(set)
    })
}

fn wanted(test: Test, set: bool) -> Test {
    if set { test } else { Test::Not(Box::new(test)) }
}
