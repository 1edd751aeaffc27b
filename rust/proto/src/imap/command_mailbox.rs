//! Arguments of the commands on mailboxes (RFC 9051 §6.3, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 4466).

use super::command::{Arguments, Context, ListArguments};
use super::command_metadata;
use super::fault::{BadKind, Fault};
use super::lexer::Lexer;
use super::mailbox_name::{SEPARATOR, decode_name, decode_pattern};
use super::modseq;

/// STATUS items (RFC 9051 §6.3.11, RFC 3501 §6.3.10, RFC 8438, RFC 7889, RFC 9208); an extension adds its own.
const STATUS_ITEMS: &[&str] = &[
    "MESSAGES",
    "UIDNEXT",
    "UIDVALIDITY",
    "UNSEEN",
    "DELETED",
    "SIZE",
    "RECENT",
    "HIGHESTMODSEQ",
    "MAILBOXID",
    "APPENDLIMIT",
    "DELETED-STORAGE",
];

/// Parameters of SELECT and EXAMINE (RFC 4466 §2.1) without values; QRESYNC has some.
const SELECT_PARAMETERS: &[&str] = &["CONDSTORE"];

/// LIST selection options (RFC 5258 §3.1, RFC 6154 §4).
const LIST_SELECT_OPTIONS: &[&str] = &["SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"];

/// LIST return options without arguments (RFC 5258 §3.2, RFC 6154 §4, RFC 8440 §3).
const LIST_RETURN_OPTIONS: &[&str] = &["SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "MYRIGHTS"];

/// Special uses that a mailbox can be given (RFC 6154 §2, RFC 8457 §3).
const SPECIAL_USES: &[&str] = &[
    "\\All",
    "\\Archive",
    "\\Drafts",
    "\\Flagged",
    "\\Important",
    "\\Junk",
    "\\Sent",
    "\\Trash",
];

/// Patterns in one LIST.
const PATTERNS_MAX: usize = 64;

fn known(word: &str, table: &[&'static str], text: &'static str) -> Result<&'static str, Fault> {
    table
        .iter()
        .copied()
        .find(|name| name.eq_ignore_ascii_case(word))
        .ok_or(Fault::syntax(text))
}

fn push_once(list: &mut Vec<&'static str>, name: &'static str) {
    if !list.contains(&name) {
        list.push(name);
    }
}

/// `SP mailbox`
pub(super) fn name(lexer: &mut Lexer<'_>, context: &Context) -> Result<String, Fault> {
    lexer.space()?;
    decode_name(&lexer.astring()?, context.encoding)
}

/// DELETE, SUBSCRIBE, UNSUBSCRIBE: `SP mailbox`
pub(super) fn mailbox(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    Ok(Arguments::Mailbox(name(lexer, context)?))
}

/// `select = "SELECT" SP mailbox [select-params]`
pub(super) fn examine_or_select(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mailbox = name(lexer, context)?;
    let mut parameters: Vec<&'static str> = Vec::new();
    let mut resync = None;
    if lexer.eat(b' ') {
        lexer.open()?;
        loop {
            let word = lexer.atom()?;
            if word.eq_ignore_ascii_case("QRESYNC") && resync.is_none() {
                resync = Some(modseq::resync(lexer)?);
            } else {
                push_once(
                    &mut parameters,
                    known(word, SELECT_PARAMETERS, "unknown SELECT parameter")?,
                );
            }
            if !lexer.another()? {
                break;
            }
        }
    }
    Ok(Arguments::Select {
        mailbox,
        parameters: parameters.into_iter().map(str::to_owned).collect(),
        resync,
    })
}

/// `create = "CREATE" SP mailbox [create-params]`, `create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")"`
pub(super) fn create(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mut mailbox = name(lexer, context)?;
    // RFC 9051 §6.3.4: a final separator says that names will follow beneath; the mailbox is the name without it.
    if mailbox.ends_with(SEPARATOR) {
        mailbox.pop();
    }
    let mut special_use = None;
    if lexer.eat(b' ') {
        lexer.open()?;
        if !lexer.atom()?.eq_ignore_ascii_case("USE") {
            return Err(Fault::syntax("unknown CREATE parameter"));
        }
        lexer.space()?;
        special_use = special_uses(lexer)?;
        lexer.expect(b')', "expected )")?;
    }
    Ok(Arguments::Create { mailbox, special_use })
}

fn special_uses(lexer: &mut Lexer<'_>) -> Result<Option<&'static str>, Fault> {
    let mut found = None;
    lexer.open()?;
    if lexer.eat(b')') {
        return Ok(None);
    }
    loop {
        lexer.expect(b'\\', "a special use begins with a backslash")?;
        let word = lexer.atom()?;
        let special_use = SPECIAL_USES
            .iter()
            .copied()
            .find(|name| name.get(1..).is_some_and(|name| name.eq_ignore_ascii_case(word)))
            .ok_or(Fault::new(BadKind::UseAttribute, "unknown special use"))?;
        if found.is_some_and(|found| found != special_use) {
            return Err(Fault::new(BadKind::UseAttribute, "one special use for each mailbox"));
        }
        found = Some(special_use);
        if !lexer.another()? {
            return Ok(found);
        }
    }
}

/// `rename = "RENAME" SP mailbox SP mailbox`
pub(super) fn rename(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let old = name(lexer, context)?;
    let new = name(lexer, context)?;
    Ok(Arguments::Rename { old, new })
}

/// `status = "STATUS" SP mailbox SP "(" status-att *(SP status-att) ")"`
pub(super) fn status(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mailbox = name(lexer, context)?;
    lexer.space()?;
    Ok(Arguments::Status {
        mailbox,
        items: status_items(lexer)?,
    })
}

fn status_items(lexer: &mut Lexer<'_>) -> Result<Vec<&'static str>, Fault> {
    let mut items = Vec::new();
    lexer.open()?;
    loop {
        push_once(&mut items, known(lexer.atom()?, STATUS_ITEMS, "unknown STATUS item")?);
        if !lexer.another()? {
            return Ok(items);
        }
    }
}

/// `lsub = "LSUB" SP mailbox SP list-mailbox` (RFC 3501)
pub(super) fn lsub(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    lexer.space()?;
    let reference = decode_pattern(&lexer.astring()?, context.encoding)?;
    lexer.space()?;
    let pattern = decode_pattern(&lexer.list_mailbox()?, context.encoding)?;
    Ok(Arguments::Lsub { reference, pattern })
}

/// `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`
pub(super) fn list(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mut arguments = ListArguments::default();
    lexer.space()?;
    if lexer.peek() == Some(b'(') {
        arguments.select_options = list_select_options(lexer)?;
        lexer.space()?;
    }
    arguments.reference = decode_pattern(&lexer.astring()?, context.encoding)?;
    lexer.space()?;
    // mbox-or-pat = list-mailbox / patterns; patterns = "(" list-mailbox *(SP list-mailbox) ")"
    if lexer.eat(b'(') {
        loop {
            if arguments.patterns.len() >= PATTERNS_MAX {
                return Err(Fault::new(BadKind::Limit, "too many patterns"));
            }
            arguments
                .patterns
                .push(decode_pattern(&lexer.list_mailbox()?, context.encoding)?);
            if !lexer.another()? {
                break;
            }
        }
    } else {
        arguments
            .patterns
            .push(decode_pattern(&lexer.list_mailbox()?, context.encoding)?);
    }
    if lexer.eat(b' ') {
        list_return_options(lexer, &mut arguments)?;
    }
    Ok(Arguments::List(arguments))
}

/// `list-select-opts = "(" [list-select-opt *(SP list-select-opt)] ")"`
fn list_select_options(lexer: &mut Lexer<'_>) -> Result<Vec<&'static str>, Fault> {
    let mut options = Vec::new();
    lexer.open()?;
    if lexer.eat(b')') {
        return Ok(options);
    }
    loop {
        push_once(
            &mut options,
            known(lexer.atom()?, LIST_SELECT_OPTIONS, "unknown LIST selection option")?,
        );
        if !lexer.another()? {
            break;
        }
    }
    // RFC 5258 §3.1: RECURSIVEMATCH needs an option that selects something; REMOTE does not.
    let selects = options
        .iter()
        .any(|option| matches!(*option, "SUBSCRIBED" | "SPECIAL-USE"));
    if options.contains(&"RECURSIVEMATCH") && !selects {
        return Err(Fault::syntax("RECURSIVEMATCH needs another selection option"));
    }
    Ok(options)
}

/// `list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")"`
fn list_return_options(lexer: &mut Lexer<'_>, arguments: &mut ListArguments) -> Result<(), Fault> {
    if !lexer.atom()?.eq_ignore_ascii_case("RETURN") {
        return Err(Fault::syntax("expected RETURN"));
    }
    lexer.space()?;
    lexer.open()?;
    if lexer.eat(b')') {
        return Ok(());
    }
    loop {
        let word = lexer.atom()?;
        if word.eq_ignore_ascii_case("STATUS") {
            lexer.space()?;
            for item in status_items(lexer)? {
                push_once(&mut arguments.status_items, item);
            }
            push_once(&mut arguments.return_options, "STATUS");
        } else if word.eq_ignore_ascii_case("METADATA") {
            lexer.space()?;
            arguments.entries = command_metadata::entries(lexer)?;
            push_once(&mut arguments.return_options, "METADATA");
        } else {
            let option = known(word, LIST_RETURN_OPTIONS, "unknown LIST return option")?;
            push_once(&mut arguments.return_options, option);
        }
        if !lexer.another()? {
            return Ok(());
        }
    }
}
