//! Arguments of APPEND, SEARCH, FETCH, STORE, COPY, MOVE and UID EXPUNGE (RFC 9051 §6.3.12, §6.4).

use super::command::{Arguments, Context, StoreMode};
use super::command_mailbox::name;
use super::date_time::date_time;
use super::fault::Fault;
use super::fetch_att::FetchAttribute;
use super::flags::{flag_list, store_flags};
use super::lexer::Lexer;
use super::modseq::{fetch_modifiers, unchanged_since};
use super::search_key::SearchProgram;
use super::sequence::SequenceSet;

/// `SP sequence-set`
fn set(lexer: &mut Lexer<'_>) -> Result<SequenceSet, Fault> {
    lexer.space()?;
    SequenceSet::parse(lexer)
}

/// `fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")")
/// [fetch-modifiers]` (RFC 4466 §2.3)
pub(super) fn fetch(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let set = set(lexer)?;
    lexer.space()?;
    Ok(Arguments::Fetch {
        set,
        items: FetchAttribute::parse_list(lexer)?,
        modifiers: fetch_modifiers(lexer)?,
    })
}

/// `search = "SEARCH" [search-return-opts] SP search-program`
pub(super) fn search(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mut program = SearchProgram::parse(lexer, context.search_depth_max)?;
    if context.rev2 && !program.returns.extended {
        // RFC 9051 §6.4.4: without RETURN the answer is still ESEARCH, as for RETURN (ALL).
        program.returns.extended = true;
        program.returns.all = true;
    }
    Ok(Arguments::Search(program))
}

/// `SP sequence-set [store-modifiers] SP store-att-flags` (RFC 4466 §2.5),
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`
pub(super) fn store(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let set = set(lexer)?;
    lexer.space()?;
    let unchanged_since = unchanged_since(lexer)?;
    let mode = if lexer.eat(b'+') {
        StoreMode::Add
    } else if lexer.eat(b'-') {
        StoreMode::Remove
    } else {
        StoreMode::Replace
    };
    let word = lexer.atom()?;
    let silent = word.eq_ignore_ascii_case("FLAGS.SILENT");
    if !silent && !word.eq_ignore_ascii_case("FLAGS") {
        return Err(Fault::syntax("unknown STORE item"));
    }
    lexer.space()?;
    Ok(Arguments::Store {
        set,
        unchanged_since,
        mode,
        silent,
        flags: store_flags(lexer)?,
    })
}

/// COPY and MOVE: `SP sequence-set SP mailbox`
pub(super) fn copy(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let set = set(lexer)?;
    Ok(Arguments::Copy {
        set,
        mailbox: name(lexer, context)?,
    })
}

/// `uid-expunge = "UID" SP "EXPUNGE" SP sequence-set` (RFC 4315 §2.1)
pub(super) fn uid_expunge(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    Ok(Arguments::Set(set(lexer)?))
}

/// An APPEND that has ended without announcing a message.
pub(super) fn append(_: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    Err(Fault::syntax("APPEND needs a message literal"))
}

/// What stands before the message literal of an APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AppendHead {
    pub(super) flags: Vec<String>,
    pub(super) internal_date: Option<(i64, i32)>,
    /// `UTF8 (` stood before the literal.
    pub(super) wrapped: bool,
}

/// Reads an APPEND up to the literal that ends `lexer`'s input; the lexer stands behind the command's name.
///
/// `None` when that literal is the mailbox name itself.
/// `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP append-data`,
/// `append-data = literal / literal8 / "UTF8" SP "(" literal8 ")"` (RFC 9051 §9, RFC 6855 §4)
pub(super) fn append_head(lexer: &mut Lexer<'_>, context: &Context) -> Result<Option<(String, AppendHead)>, Fault> {
    let mut attempt = lexer.clone();
    attempt.space()?;
    if at_announcement(&attempt) && attempt.peek() == Some(b'{') {
        return Ok(None);
    }
    let mailbox = name(lexer, context)?;
    Ok(Some((mailbox, append_message(lexer)?)))
}

/// Reads what stands between the mailbox name, or the message before (RFC 3502 §6.3.11), and the literal that ends
/// `lexer`'s input: `append-message = [SP flag-list] [SP date-time] SP append-data`.
pub(super) fn append_message(lexer: &mut Lexer<'_>) -> Result<AppendHead, Fault> {
    lexer.space()?;
    let mut flags = Vec::new();
    if lexer.peek() == Some(b'(') {
        flags = flag_list(lexer)?;
        lexer.space()?;
    }
    let mut internal_date = None;
    if lexer.peek() == Some(b'"') {
        internal_date = Some(date_time(lexer)?);
        lexer.space()?;
    }
    let mut wrapped = false;
    if !at_announcement(lexer) {
        if !lexer.atom()?.eq_ignore_ascii_case("UTF8") {
            return Err(Fault::syntax("APPEND needs a message literal"));
        }
        lexer.space()?;
        lexer.open()?;
        wrapped = true;
        if !at_announcement(lexer) || lexer.peek() != Some(b'~') {
            return Err(Fault::syntax("UTF8 needs a literal8"));
        }
    }
    Ok(AppendHead {
        flags,
        internal_date,
        wrapped,
    })
}

/// Is the rest of the input nothing but `[~]{n[+]}` CRLF?
fn at_announcement(lexer: &Lexer<'_>) -> bool {
    let rest = lexer.rest();
    let rest = rest.strip_prefix(b"~").unwrap_or(rest);
    let Some(inner) = rest.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}\r\n")) else {
        return false;
    };
    let digits = inner.strip_suffix(b"+").unwrap_or(inner);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
