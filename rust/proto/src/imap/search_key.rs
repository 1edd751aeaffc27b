//! What a SEARCH asks for (RFC 9051 §6.4.4): the types; the parser stands beside them.

use super::sequence::SequenceSet;

/// A calendar date without zone (RFC 9051 §9, `date`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year, 0 to 9999.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day, 1 to 31.
    pub day: u8,
}

/// The system flags (RFC 9051 §2.3.2), as bit numbers of a flag byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SystemFlag {
    /// \Seen, bit 0.
    Seen = 0,
    /// \Answered, bit 1.
    Answered = 1,
    /// \Flagged, bit 2.
    Flagged = 2,
    /// \Deleted, bit 3.
    Deleted = 3,
    /// \Draft, bit 4.
    Draft = 4,
}

impl SystemFlag {
    /// The flag's bit in a flag byte.
    #[must_use]
    pub fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

/// One search key; lists of keys are conjunctions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// `ALL`.
    All,
    /// A flag is set (ANSWERED, DELETED, DRAFT, FLAGGED, SEEN) or, with `set` false, not (UNSEEN, ...).
    Flag {
        /// Which.
        flag: SystemFlag,
        /// Wanted state.
        set: bool,
    },
    /// `KEYWORD` and `UNKEYWORD`.
    Keyword {
        /// The keyword.
        keyword: Vec<u8>,
        /// Wanted state.
        set: bool,
    },
    /// `RECENT` (RFC 3501).
    Recent,
    /// `NEW` (RFC 3501): recent and unseen.
    New,
    /// `OLD` (RFC 3501): not recent.
    Old,
    /// `BCC`, `CC`, `FROM`, `SUBJECT`, `TO` and `HEADER name text`: substring of a header field.
    Header {
        /// Field name in lower case.
        name: Vec<u8>,
        /// UTF-8 text, converted from the given charset; empty matches any message with the field.
        text: String,
    },
    /// `BODY`: substring of the decoded text of the body.
    Body(String),
    /// `TEXT`: substring of header or body.
    Text(String),
    /// `BEFORE`: internal date, its calendar day, earlier than.
    Before(Date),
    /// `ON`.
    On(Date),
    /// `SINCE`.
    Since(Date),
    /// `SENTBEFORE`: the Date header's own calendar day, earlier than.
    SentBefore(Date),
    /// `SENTON`.
    SentOn(Date),
    /// `SENTSINCE`.
    SentSince(Date),
    /// `LARGER` than that many octets.
    Larger(u64),
    /// `SMALLER`.
    Smaller(u64),
    /// `UID set`.
    Uid(SequenceSet),
    /// A sequence set by message number.
    Sequence(SequenceSet),
    /// `NOT`.
    Not(Box<SearchKey>),
    /// `OR`.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// A parenthesised list, or the whole program: all must hold.
    And(Vec<SearchKey>),
}

/// ESEARCH result options (RFC 9051 §6.4.4, RFC 4731).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// RETURN was given at all: the answer is ESEARCH.
    pub extended: bool,
    /// MIN.
    pub min: bool,
    /// MAX.
    pub max: bool,
    /// ALL; also what `RETURN ()` means.
    pub all: bool,
    /// COUNT.
    pub count: bool,
}

/// A parsed SEARCH or UID SEARCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchProgram {
    /// What to return.
    pub returns: SearchReturn,
    /// What to find.
    pub key: SearchKey,
}
