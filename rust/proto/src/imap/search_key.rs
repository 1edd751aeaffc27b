//! What a SEARCH asks for (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5182): the types, then the parser as a table of keys.

use super::date_time::date;
use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};
use super::modseq::search_modseq;
use super::partial::PartialRange;
use super::sequence::SequenceSet;
use super::sort::SearchOrder;

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
    /// `OLDER`: the internal date lies at least so many seconds back (RFC 5032).
    Older(u32),
    /// `YOUNGER`: at most so many.
    Younger(u32),
    /// `SAVEDBEFORE`: came into its mailbox earlier than that day, in UTC (RFC 8514).
    SavedBefore(Date),
    /// `SAVEDON`.
    SavedOn(Date),
    /// `SAVEDSINCE`.
    SavedSince(Date),
    /// `LARGER` than that many octets.
    Larger(u64),
    /// `SMALLER`.
    Smaller(u64),
    /// `MODSEQ`: changed at that modseq or later (RFC 7162).
    ModSeq(u64),
    /// `EMAILID` (RFC 8474).
    EmailId(String),
    /// `THREADID` (RFC 8474).
    ThreadId(String),
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
    /// SAVE (RFC 5182): what is found becomes `$`.
    pub save: bool,
    /// PARTIAL (RFC 9394): these of the results.
    pub partial: Option<PartialRange>,
    /// UPDATE (RFC 5267 §4.3): changes of the results are told.
    pub update: bool,
    /// CONTEXT (RFC 5267 §4.2): a hint.
    pub context: bool,
}

/// A parsed SEARCH, SORT or THREAD, or UID form of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchProgram {
    /// In which order to answer.
    pub order: SearchOrder,
    /// What to return.
    pub returns: SearchReturn,
    /// What to find.
    pub key: SearchKey,
}

/// Search keys in one program, lists and operators counted; a hand-written search has a dozen.
pub const SEARCH_KEYS_MAX: usize = 1024;

/// Above this no setting lets keys nest: the parser's own stack depends on it.
const DEPTH_MAX: usize = 128;

impl SearchKey {
    /// Whether `test` holds for one of the keys within it that hold no others.
    fn any(&self, test: &impl Fn(&Self) -> bool) -> bool {
        match self {
            Self::Not(key) => key.any(test),
            Self::Or(left, right) => left.any(test) || right.any(test),
            Self::And(keys) => keys.iter().any(|key| key.any(test)),
            key => test(key),
        }
    }
}

impl SearchProgram {
    /// True when a MODSEQ key is among the keys: the answer then tells a modseq too (RFC 7162 §3.1.5).
    #[must_use]
    pub fn asks_modseq(&self) -> bool {
        self.key.any(&|key| matches!(key, SearchKey::ModSeq(_)))
    }

    /// True when a set of message numbers is among the keys; `$` is none.
    #[must_use]
    pub fn names_numbers(&self) -> bool {
        self.key
            .any(&|key| matches!(key, SearchKey::Sequence(set) if !set.is_saved()))
    }

    /// True when `$` is among the keys, the result that the selected mailbox has saved (RFC 5182).
    #[must_use]
    pub fn names_saved(&self) -> bool {
        self.key
            .any(&|key| matches!(key, SearchKey::Sequence(set) | SearchKey::Uid(set) if set.is_saved()))
    }

    /// Reads `[SP "RETURN" ...] SP ["CHARSET" SP charset SP] search-key *(SP search-key)` up to the end of the command
    /// (RFC 9051 §6.4.4). Keys nest at most `depth_max` deep and number at most [`SEARCH_KEYS_MAX`].
    pub fn parse(lexer: &mut Lexer<'_>, depth_max: usize) -> Result<Self, Fault> {
        lexer.space()?;
        let mut returns = SearchReturn::default();
        if word_follows(lexer, "RETURN") {
            returns = search_return(lexer)?;
            lexer.space()?;
        }
        Self::parse_keys(lexer, depth_max, returns).map_err(|fault| Fault {
            forgets: returns.save,
            ..fault
        })
    }

    /// Reads `SP charset 1*(SP search-key)`, which SORT and THREAD have (RFC 5256 §5).
    pub(super) fn parse_criteria(
        lexer: &mut Lexer<'_>,
        depth_max: usize,
        returns: SearchReturn,
    ) -> Result<Self, Fault> {
        let rest = |lexer: &mut Lexer<'_>| {
            lexer.space()?;
            charset(lexer)?;
            lexer.space()?;
            Self::parse_program(lexer, depth_max, returns)
        };
        rest(lexer).map_err(|fault| Fault {
            forgets: returns.save,
            ..fault
        })
    }

    fn parse_keys(lexer: &mut Lexer<'_>, depth_max: usize, returns: SearchReturn) -> Result<Self, Fault> {
        if word_follows(lexer, "CHARSET") {
            lexer.space()?;
            charset(lexer)?;
            lexer.space()?;
        }
        Self::parse_program(lexer, depth_max, returns)
    }

    fn parse_program(lexer: &mut Lexer<'_>, depth_max: usize, returns: SearchReturn) -> Result<Self, Fault> {
        let mut parser = KeyParser {
            lexer,
            depth_left: depth_max.min(DEPTH_MAX),
            keys_left: SEARCH_KEYS_MAX,
        };
        let mut keys = vec![parser.key()?];
        while parser.lexer.eat(b' ') {
            keys.push(parser.key()?);
        }
        Ok(Self {
            order: SearchOrder::Number,
            returns,
            key: conjunction(keys),
        })
    }
}

fn charset(lexer: &mut Lexer<'_>) -> Result<(), Fault> {
    let charset = lexer.astring()?;
    if charset.eq_ignore_ascii_case(b"UTF-8") || charset.eq_ignore_ascii_case(b"US-ASCII") {
        return Ok(());
    }
    Err(Fault::new(
        BadKind::BadCharset,
        "only UTF-8 and US-ASCII are understood",
    ))
}

/// Reads a word and nothing else when the next word is that one.
pub(super) fn word_follows(lexer: &mut Lexer<'_>, word: &str) -> bool {
    let mut attempt = lexer.clone();
    let found = attempt.atom().is_ok_and(|found| found.eq_ignore_ascii_case(word));
    if found {
        *lexer = attempt;
    }
    found
}

/// `SP "(" [search-return-opt *(SP search-return-opt)] ")"`; nothing inside means ALL.
pub(super) fn search_return(lexer: &mut Lexer<'_>) -> Result<SearchReturn, Fault> {
    let mut returns = SearchReturn {
        extended: true,
        ..SearchReturn::default()
    };
    lexer.space()?;
    lexer.open()?;
    if lexer.eat(b')') {
        returns.all = true;
        return Ok(returns);
    }
    loop {
        match lexer.atom()?.to_ascii_uppercase().as_str() {
            "MIN" => returns.min = true,
            "MAX" => returns.max = true,
            "ALL" => returns.all = true,
            "COUNT" => returns.count = true,
            "SAVE" => returns.save = true,
            "UPDATE" => returns.update = true,
            "CONTEXT" => returns.context = true,
            "PARTIAL" if returns.partial.is_none() => returns.partial = Some(PartialRange::parse(lexer)?),
            _ => return Err(Fault::syntax("unknown SEARCH return option")),
        }
        if !lexer.another()? {
            break;
        }
    }
    if returns.all && returns.partial.is_some() {
        // RFC 9394 §3.1
        return Err(Fault::syntax("ALL and PARTIAL exclude each other"));
    }
    Ok(returns)
}

fn conjunction(mut keys: Vec<SearchKey>) -> SearchKey {
    match (keys.len(), keys.pop()) {
        (1, Some(key)) => key,
        (_, last) => {
            keys.extend(last);
            SearchKey::And(keys)
        }
    }
}

struct KeyParser<'lexer, 'data> {
    lexer: &'lexer mut Lexer<'data>,
    depth_left: usize,
    keys_left: usize,
}

type ParseKey = fn(&mut KeyParser<'_, '_>) -> Result<SearchKey, Fault>;

/// One row per search key: its name, and what reads its arguments.
const KEYS: &[(&str, ParseKey)] = &[
    ("ALL", |_| Ok(SearchKey::All)),
    ("ANSWERED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Answered,
            set: true,
        })
    }),
    ("DELETED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Deleted,
            set: true,
        })
    }),
    ("DRAFT", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Draft,
            set: true,
        })
    }),
    ("FLAGGED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Flagged,
            set: true,
        })
    }),
    ("SEEN", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Seen,
            set: true,
        })
    }),
    ("UNANSWERED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Answered,
            set: false,
        })
    }),
    ("UNDELETED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Deleted,
            set: false,
        })
    }),
    ("UNDRAFT", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Draft,
            set: false,
        })
    }),
    ("UNFLAGGED", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Flagged,
            set: false,
        })
    }),
    ("UNSEEN", |_| {
        Ok(SearchKey::Flag {
            flag: SystemFlag::Seen,
            set: false,
        })
    }),
    ("KEYWORD", |parser| {
        Ok(SearchKey::Keyword {
            keyword: parser.keyword()?,
            set: true,
        })
    }),
    ("UNKEYWORD", |parser| {
        Ok(SearchKey::Keyword {
            keyword: parser.keyword()?,
            set: false,
        })
    }),
    ("NEW", |_| Ok(SearchKey::New)),
    ("OLD", |_| Ok(SearchKey::Old)),
    ("RECENT", |_| Ok(SearchKey::Recent)),
    ("BCC", |parser| parser.header("bcc")),
    ("CC", |parser| parser.header("cc")),
    ("FROM", |parser| parser.header("from")),
    ("SUBJECT", |parser| parser.header("subject")),
    ("TO", |parser| parser.header("to")),
    ("HEADER", |parser| {
        parser.lexer.space()?;
        let name = utf8(parser.lexer.astring()?)?.to_ascii_lowercase();
        parser.header(&name)
    }),
    ("BODY", |parser| Ok(SearchKey::Body(parser.text()?))),
    ("TEXT", |parser| Ok(SearchKey::Text(parser.text()?))),
    ("BEFORE", |parser| Ok(SearchKey::Before(parser.date()?))),
    ("ON", |parser| Ok(SearchKey::On(parser.date()?))),
    ("SINCE", |parser| Ok(SearchKey::Since(parser.date()?))),
    ("SENTBEFORE", |parser| Ok(SearchKey::SentBefore(parser.date()?))),
    ("SENTON", |parser| Ok(SearchKey::SentOn(parser.date()?))),
    ("SENTSINCE", |parser| Ok(SearchKey::SentSince(parser.date()?))),
    ("OLDER", |parser| Ok(SearchKey::Older(parser.interval()?))),
    ("YOUNGER", |parser| Ok(SearchKey::Younger(parser.interval()?))),
    ("SAVEDBEFORE", |parser| Ok(SearchKey::SavedBefore(parser.date()?))),
    ("SAVEDON", |parser| Ok(SearchKey::SavedOn(parser.date()?))),
    ("SAVEDSINCE", |parser| Ok(SearchKey::SavedSince(parser.date()?))),
    // Every mailbox here has save dates.
    ("SAVEDATESUPPORTED", |_| Ok(SearchKey::All)),
    ("LARGER", |parser| Ok(SearchKey::Larger(parser.size()?))),
    ("SMALLER", |parser| Ok(SearchKey::Smaller(parser.size()?))),
    ("MODSEQ", |parser| Ok(SearchKey::ModSeq(search_modseq(parser.lexer)?))),
    ("EMAILID", |parser| Ok(SearchKey::EmailId(parser.object_id()?))),
    ("THREADID", |parser| Ok(SearchKey::ThreadId(parser.object_id()?))),
    ("UID", |parser| {
        parser.lexer.space()?;
        Ok(SearchKey::Uid(SequenceSet::parse(parser.lexer)?))
    }),
    ("NOT", |parser| {
        parser.lexer.space()?;
        Ok(SearchKey::Not(Box::new(parser.key()?)))
    }),
    ("OR", |parser| {
        parser.lexer.space()?;
        let first = parser.key()?;
        parser.lexer.space()?;
        Ok(SearchKey::Or(Box::new(first), Box::new(parser.key()?)))
    }),
];

impl KeyParser<'_, '_> {
    /// `search-key`
    fn key(&mut self) -> Result<SearchKey, Fault> {
        self.keys_left = self
            .keys_left
            .checked_sub(1)
            .ok_or(Fault::new(BadKind::Limit, "too many search keys"))?;
        self.depth_left = self
            .depth_left
            .checked_sub(1)
            .ok_or(Fault::new(BadKind::Limit, "search keys nest too deep"))?;
        let key = self.key_inside();
        self.depth_left += 1;
        key
    }

    fn key_inside(&mut self) -> Result<SearchKey, Fault> {
        match self.lexer.peek() {
            Some(b'(') => {
                self.lexer.open()?;
                let mut keys = Vec::new();
                loop {
                    keys.push(self.key()?);
                    if !self.lexer.another()? {
                        return Ok(conjunction(keys));
                    }
                }
            }
            Some(b'0'..=b'9' | b'*' | b'$') => Ok(SearchKey::Sequence(SequenceSet::parse(self.lexer)?)),
            _ => {
                let word = self.lexer.atom()?;
                let row = KEYS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
                row.map_or(Err(Fault::syntax("unknown search key")), |(_, parse)| parse(self))
            }
        }
    }

    fn keyword(&mut self) -> Result<Vec<u8>, Fault> {
        self.lexer.space()?;
        Ok(self.lexer.atom()?.as_bytes().to_vec())
    }

    fn text(&mut self) -> Result<String, Fault> {
        self.lexer.space()?;
        utf8(self.lexer.astring()?)
    }

    fn header(&mut self, name: &str) -> Result<SearchKey, Fault> {
        Ok(SearchKey::Header {
            name: name.as_bytes().to_vec(),
            text: self.text()?,
        })
    }

    /// `objectid = 1*255(ALPHA / DIGIT / "_" / "-")` (RFC 8474 §7)
    fn object_id(&mut self) -> Result<String, Fault> {
        const OBJECT_ID_OCTETS_MAX: usize = 255;
        self.lexer.space()?;
        let id = self.lexer.atom()?;
        let known = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'_' || octet == b'-';
        if id.len() > OBJECT_ID_OCTETS_MAX || !id.bytes().all(known) {
            return Err(Fault::syntax("malformed object identifier"));
        }
        Ok(id.to_owned())
    }

    fn date(&mut self) -> Result<Date, Fault> {
        self.lexer.space()?;
        date(self.lexer)
    }

    /// `SP nz-number`, seconds (RFC 5032 §3)
    fn interval(&mut self) -> Result<u32, Fault> {
        self.lexer.space()?;
        self.lexer.nz_number()
    }

    fn size(&mut self) -> Result<u64, Fault> {
        self.lexer.space()?;
        self.lexer.number64()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::imap::sequence::SequenceNumber;

    fn parse(text: &str) -> Result<SearchProgram, Fault> {
        let line = format!(" {text}\r\n");
        let mut lexer = Lexer::new(line.as_bytes());
        let program = SearchProgram::parse(&mut lexer, 32)?;
        lexer.end()?;
        Ok(program)
    }

    fn header(name: &str, text: &str) -> SearchKey {
        SearchKey::Header {
            name: name.as_bytes().to_vec(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn examples_of_the_rfc() {
        let date = Date {
            year: 1994,
            month: 2,
            day: 1,
        };
        let expected = SearchKey::And(vec![
            SearchKey::Flag {
                flag: SystemFlag::Flagged,
                set: true,
            },
            SearchKey::Since(date),
            SearchKey::Not(Box::new(header("from", "Smith"))),
        ]);
        let program = parse("FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"").unwrap();
        assert_eq!(
            program,
            SearchProgram {
                order: SearchOrder::Number,
                returns: SearchReturn::default(),
                key: expected
            }
        );
        let program = parse("RETURN (MIN COUNT) FLAGGED").unwrap();
        let returns = SearchReturn {
            extended: true,
            min: true,
            count: true,
            ..SearchReturn::default()
        };
        assert_eq!(program.returns, returns);
        assert!(parse("RETURN () ALL").unwrap().returns.all);
        let literal = "\u{441}\u{430}".len();
        assert_eq!(
            parse(&format!("CHARSET UTF-8 TEXT {{{literal}}}\r\n\u{441}\u{430}"))
                .unwrap()
                .key,
            SearchKey::Text("\u{441}\u{430}".to_owned())
        );
    }

    #[test]
    fn all_simple_keys_parse_in_any_case() {
        for (name, _) in KEYS {
            let line = match *name {
                "KEYWORD" | "UNKEYWORD" => format!("{name} $Junk"),
                "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" | "BODY" | "TEXT" => format!("{name} \"x y\""),
                "HEADER" => "HEADER X-Foo \"\"".to_owned(),
                "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE" | "SAVEDBEFORE" | "SAVEDON"
                | "SAVEDSINCE" => {
                    format!("{name} \"1-Jan-2020\"")
                }
                "OLDER" | "YOUNGER" => format!("{name} 3600"),
                "LARGER" | "SMALLER" | "MODSEQ" => format!("{name} 4294967296"),
                "EMAILID" | "THREADID" => format!("{name} M6d99ac3275bb4e_-"),
                "UID" => "UID 1:*".to_owned(),
                "NOT" => "NOT ALL".to_owned(),
                "OR" => "OR ALL (SEEN 2:4)".to_owned(),
                _ => (*name).to_owned(),
            };
            assert!(parse(&line).is_ok(), "{line}");
            if !line.contains('"') {
                assert_eq!(parse(&line.to_lowercase()).is_ok(), parse(&line).is_ok(), "{line}");
            }
        }
        assert_eq!(parse("HEADER Message-ID <x>").unwrap().key, header("message-id", "<x>"));
    }

    #[test]
    fn refused() {
        for bad in [
            "",
            "FOO",
            "NOT",
            "OR ALL",
            "()",
            "(ALL",
            "ALL)",
            "ALL  SEEN",
            "FROM",
            "LARGER x",
            "LARGER -1",
            "UID 0",
            "0",
            "1,$",
            "RETURN ALL",
            "RETURN (FOO) ALL",
            "RETURN (ALL)",
            "CHARSET UTF-8",
            "KEYWORD \"x\"",
            "SINCE 31-Feb-2020",
            "TEXT {1}\r\n\u{e9}",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let fault = parse("CHARSET KOI8-R ALL").unwrap_err();
        assert_eq!((fault.kind, fault.forgets), (BadKind::BadCharset, false));
        let fault = parse("RETURN (SAVE) CHARSET KOI8-R ALL").unwrap_err();
        assert_eq!((fault.kind, fault.forgets), (BadKind::BadCharset, true));
    }

    #[test]
    fn saved_results() {
        let program = parse("RETURN (SAVE MIN) $ NOT UID $").unwrap();
        assert!(program.returns.save && program.returns.min && !program.returns.all);
        let saved = || SequenceSet {
            ranges: vec![(SequenceNumber::Saved, SequenceNumber::Saved)],
        };
        let expected = vec![
            SearchKey::Sequence(saved()),
            SearchKey::Not(Box::new(SearchKey::Uid(saved()))),
        ];
        assert_eq!(program.key, SearchKey::And(expected));
    }

    #[test]
    fn bounds() {
        assert!(parse(&format!("{}ALL", "NOT ".repeat(31))).is_ok());
        assert_eq!(
            parse(&format!("{}ALL", "NOT ".repeat(32))).unwrap_err().kind,
            BadKind::Limit
        );
        assert_eq!(parse(&"(".repeat(60_000)).unwrap_err().kind, BadKind::Limit);
        assert!(parse(&format!("ALL{}", " ALL".repeat(1023))).is_ok());
        assert_eq!(
            parse(&format!("ALL{}", " ALL".repeat(1024))).unwrap_err().kind,
            BadKind::Limit
        );
    }
}
