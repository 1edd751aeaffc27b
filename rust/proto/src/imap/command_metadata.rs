//! Arguments of GETMETADATA and SETMETADATA (RFC 5464 §4.2, §4.3, §5), and entries of LIST RETURN (METADATA) (RFC 9590).

use super::command::{Arguments, Context};
use super::command_mailbox::name;
use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};

/// Entries in one command.
const ENTRIES_MAX: usize = 100;
/// Octets of an entry's name.
const ENTRY_OCTETS_MAX: usize = 250;

/// How far below an entry GETMETADATA looks (RFC 5464 §4.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// At the entry alone.
    #[default]
    Zero,
    /// And at those directly below.
    One,
    /// And at all below.
    Infinity,
}

/// `entry = astring`: slash-separated names of ASCII characters, none of them empty; no wildcards (RFC 5464 §3.1). In lower
/// case, since case does not matter.
fn entry(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    let entry = utf8(lexer.astring()?)?.to_ascii_lowercase();
    if entry.len() > ENTRY_OCTETS_MAX {
        return Err(Fault::new(BadKind::Limit, "the entry's name is too long"));
    }
    let clean = |octet: u8| (0x20..0x7f).contains(&octet) && octet != b'*' && octet != b'%';
    if !entry.starts_with('/') || entry.ends_with('/') || entry.contains("//") || !entry.bytes().all(clean) {
        return Err(Fault::syntax("malformed entry name"));
    }
    Ok(entry)
}

/// `entries = entry / "(" entry *(SP entry) ")"`
pub(super) fn entries(lexer: &mut Lexer<'_>) -> Result<Vec<String>, Fault> {
    if !lexer.eat(b'(') {
        return Ok(vec![entry(lexer)?]);
    }
    let mut entries = Vec::new();
    loop {
        if entries.len() >= ENTRIES_MAX {
            return Err(TOO_MANY);
        }
        let entry = entry(lexer)?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
        if !lexer.another()? {
            return Ok(entries);
        }
    }
}

const TOO_MANY: Fault = Fault::new(BadKind::Limit, "too many entries");

/// `getmetadata = "GETMETADATA" [SP getmetadata-options] SP mailbox SP entries`; the RFC's own examples have the options behind
/// the mailbox, where they are understood as well.
pub(super) fn get_metadata(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let (mut max_size, mut depth) = (None, Depth::Zero);
    let options = |lexer: &mut Lexer<'_>| lexer.rest().starts_with(b" (") && lexer.rest().get(2) != Some(&b'/');
    let quoted = |lexer: &mut Lexer<'_>| matches!(lexer.rest().get(2), Some(b'"' | b'{'));
    if options(lexer) {
        get_options(lexer, &mut max_size, &mut depth)?;
    }
    let mailbox = name(lexer, context)?;
    if options(lexer) && !quoted(lexer) {
        get_options(lexer, &mut max_size, &mut depth)?;
    }
    lexer.space()?;
    Ok(Arguments::GetMetadata {
        mailbox,
        max_size,
        depth,
        entries: entries(lexer)?,
    })
}

/// `getmetadata-options = "(" getmetadata-option *(SP getmetadata-option) ")"`, `MAXSIZE SP number`, `DEPTH SP
/// ("0" / "1" / "infinity")`
fn get_options(lexer: &mut Lexer<'_>, max_size: &mut Option<u32>, depth: &mut Depth) -> Result<(), Fault> {
    lexer.space()?;
    lexer.open()?;
    loop {
        let option = lexer.atom()?;
        lexer.space()?;
        if option.eq_ignore_ascii_case("MAXSIZE") {
            *max_size = Some(lexer.number()?);
        } else if option.eq_ignore_ascii_case("DEPTH") {
            *depth = match lexer.atom()? {
                "0" => Depth::Zero,
                "1" => Depth::One,
                word if word.eq_ignore_ascii_case("infinity") => Depth::Infinity,
                _ => return Err(Fault::syntax("unknown depth")),
            };
        } else {
            return Err(Fault::syntax("unknown GETMETADATA option"));
        }
        if !lexer.another()? {
            return Ok(());
        }
    }
}

/// `setmetadata = "SETMETADATA" SP mailbox SP entry-values`, `entry-values = "(" entry-value *(SP entry-value) ")"`,
/// `entry-value = entry SP value`, `value = nstring / literal8`
pub(super) fn set_metadata(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mailbox = name(lexer, context)?;
    lexer.space()?;
    lexer.open()?;
    let mut values: Vec<(String, Option<Vec<u8>>)> = Vec::new();
    loop {
        if values.len() >= ENTRIES_MAX {
            return Err(TOO_MANY);
        }
        let entry = entry(lexer)?;
        lexer.space()?;
        let value = if lexer.peek() == Some(b'~') {
            Some(lexer.literal8()?.to_vec())
        } else {
            lexer.nstring()?.map(std::borrow::Cow::into_owned)
        };
        values.push((entry, value));
        if !lexer.another()? {
            return Ok(Arguments::SetMetadata { mailbox, values });
        }
    }
}
