//! SORT and THREAD: in which order a search answers (RFC 5256 §4, RFC 5957, ESORT of RFC 5267 §3).

use super::command::{Arguments, Context};
use super::fault::Fault;
use super::lexer::Lexer;
use super::search_key::{SearchProgram, SearchReturn, search_return, word_follows};

/// Sort criteria of one command; there are ten of them, each of use once.
const CRITERIA_MAX: usize = 20;

/// In which order a search answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SearchOrder {
    /// SEARCH: by number.
    #[default]
    Number,
    /// SORT: by these, then by number.
    Sorted(Vec<SortCriterion>),
    /// THREAD.
    Threaded(ThreadAlgorithm),
}

/// One `sort-criterion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// REVERSE stood before it.
    pub reverse: bool,
}

/// What SORT compares (RFC 5256 §3, RFC 5957 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// Internal date and time.
    Arrival,
    /// Local part of the first Cc address.
    Cc,
    /// Sent date and time, in UTC.
    Date,
    /// Local part of the first From address.
    From,
    /// Octets.
    Size,
    /// Base subject.
    Subject,
    /// Local part of the first To address.
    To,
    /// Name of the first From address.
    DisplayFrom,
    /// Name of the first To address.
    DisplayTo,
}

/// How THREAD joins messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadAlgorithm {
    /// By base subject (RFC 5256 §3).
    OrderedSubject,
    /// By References, then by base subject (RFC 5256 §3).
    References,
    /// By References alone, the thread with the newest message last (draft-ietf-morg-inthread).
    Refs,
}

/// `sort = "SORT" [SP "RETURN" ...] SP "(" sort-criterion *(SP sort-criterion) ")" SP charset 1*(SP search-key)`
pub(super) fn sort(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let mut returns = SearchReturn::default();
    if word_follows(lexer, "RETURN") {
        returns = search_return(lexer)?;
        lexer.space()?;
    }
    lexer.open()?;
    let mut criteria = Vec::new();
    loop {
        let reverse = word_follows(lexer, "REVERSE");
        if reverse {
            lexer.space()?;
        }
        let key = sort_key(lexer.atom()?).ok_or(Fault::syntax("unknown sort criterion"))?;
        if criteria.len() == CRITERIA_MAX {
            return Err(Fault::syntax("too many sort criteria"));
        }
        criteria.push(SortCriterion { key, reverse });
        if !lexer.another()? {
            break;
        }
    }
    let program = SearchProgram::parse_criteria(lexer, context.search_depth_max, returns)?;
    Ok(Arguments::Search(SearchProgram {
        order: SearchOrder::Sorted(criteria),
        ..program
    }))
}

fn sort_key(word: &str) -> Option<SortKey> {
    Some(match word.to_ascii_uppercase().as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "FROM" => SortKey::From,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        _ => return None,
    })
}

/// `thread = "THREAD" SP thread-alg SP charset 1*(SP search-key)`
pub(super) fn thread(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let algorithm = match lexer.atom()?.to_ascii_uppercase().as_str() {
        "ORDEREDSUBJECT" => ThreadAlgorithm::OrderedSubject,
        "REFERENCES" => ThreadAlgorithm::References,
        "REFS" => ThreadAlgorithm::Refs,
        _ => return Err(Fault::syntax("unknown threading algorithm")),
    };
    let program = SearchProgram::parse_criteria(lexer, context.search_depth_max, SearchReturn::default())?;
    Ok(Arguments::Search(SearchProgram {
        order: SearchOrder::Threaded(algorithm),
        ..program
    }))
}
