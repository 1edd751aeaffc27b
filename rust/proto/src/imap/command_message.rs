//! Arguments of APPEND, REPLACE, SEARCH, FETCH, STORE, COPY, MOVE, UID EXPUNGE and UIDBATCHES (RFC 9051 §6.3.12, §6.4).

use super::append::{self, End};
use super::command::{Arguments, Context, StoreMode};
use super::command_mailbox::name;
use super::fault::Fault;
use super::fetch_att::FetchAttribute;
use super::flags::store_flags;
use super::lexer::{Lexer, utf8};
use super::modseq::{fetch_modifiers, unchanged_since};
use super::search_key::{SearchProgram, search_return, word_follows};
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
    if context.utf8_accept && names_charset(lexer.clone()) {
        return Err(Fault::syntax("after ENABLE UTF8=ACCEPT no charset may be given"));
    }
    let mut program = SearchProgram::parse(lexer, context.search_depth_max)?;
    if context.rev2 && !program.returns.extended {
        // RFC 9051 §6.4.4: without RETURN the answer is still ESEARCH, as for RETURN (ALL).
        program.returns.extended = true;
        program.returns.all = true;
    }
    Ok(Arguments::Search(program))
}

/// Does a SEARCH go on with CHARSET, behind its result options? A malformed one is told by its parser.
fn names_charset(mut lexer: Lexer<'_>) -> bool {
    if lexer.space().is_err() {
        return false;
    }
    if word_follows(&mut lexer, "RETURN") && (search_return(&mut lexer).is_err() || lexer.space().is_err()) {
        return false;
    }
    word_follows(&mut lexer, "CHARSET")
}

/// `cancelupdate = "CANCELUPDATE" 1*(SP quoted)` (RFC 5267 §5)
pub(super) fn cancel_update(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let mut tags = Vec::new();
    lexer.space()?;
    loop {
        tags.push(utf8(lexer.quoted()?)?);
        if !lexer.eat(b' ') {
            return Ok(Arguments::CancelUpdate(tags));
        }
    }
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

/// `message-batches = "UIDBATCHES" SP nz-number [SP nz-number ":" nz-number]` (RFC 10022 §4)
pub(super) fn uid_batches(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let size = lexer.nz_number()?;
    let mut batches = None;
    if lexer.eat(b' ') {
        let first = lexer.nz_number()?;
        lexer.expect(b':', "malformed range of batches")?;
        batches = Some((first, lexer.nz_number()?));
    }
    Ok(Arguments::UidBatches { size, batches })
}

/// An APPEND whose line has ended before any literal of a message: all that it brings are URLs (RFC 4469).
pub(super) fn append(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    whole_append(lexer, context, "APPEND")
}

/// REPLACE and UID REPLACE likewise (RFC 8508).
pub(super) fn replace(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    whole_append(lexer, context, "REPLACE")
}

fn whole_append(lexer: &mut Lexer<'_>, context: &Context, command: &str) -> Result<Arguments, Fault> {
    match append::head(lexer, context, command)? {
        Some((target, stretch)) if stretch.end == End::Line => Ok(Arguments::Append {
            target,
            parts: stretch.parts,
        }),
        _ => Err(Fault::syntax("a message literal is needed")),
    }
}
