//! Arguments of SETACL, DELETEACL and LISTRIGHTS (RFC 4314 §7); GETACL and MYRIGHTS take a mailbox like any other command.

use super::command::{Arguments, Context, StoreMode};
use super::command_mailbox::name;
use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};

/// The rights of RFC 4314 §2.1, and the obsolete `c` and `d` (§2.1.1).
const RIGHTS: &[u8] = b"lrswipkxteacd";

/// Octets of an identifier.
const IDENTIFIER_OCTETS_MAX: usize = 1000;

/// `SP identifier`, `identifier = astring`. One that cannot be prepared is refused with BAD (RFC 4314 §3).
fn identifier(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    lexer.space()?;
    let identifier = utf8(lexer.astring()?)?;
    if identifier.trim_start_matches('-').trim().is_empty() {
        return Err(Fault::syntax("the identifier is empty"));
    }
    if identifier.chars().any(char::is_control) {
        return Err(Fault::syntax("control characters in the identifier"));
    }
    if identifier.len() > IDENTIFIER_OCTETS_MAX {
        return Err(Fault::new(BadKind::Limit, "the identifier is too long"));
    }
    Ok(identifier)
}

/// `deleteacl = "DELETEACL" SP mailbox SP identifier`, `listrights = "LISTRIGHTS" SP mailbox SP identifier`
pub(super) fn of_identifier(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    Ok(Arguments::Identifier {
        mailbox: name(lexer, context)?,
        identifier: identifier(lexer)?,
    })
}

/// `setacl = "SETACL" SP mailbox SP identifier SP mod-rights`
///
/// `mod-rights = astring ;; +rights to add, -rights to remove; rights to replace`. An unknown right is BAD (§3.1).
pub(super) fn set_acl(lexer: &mut Lexer<'_>, context: &Context) -> Result<Arguments, Fault> {
    let mailbox = name(lexer, context)?;
    let identifier = identifier(lexer)?;
    lexer.space()?;
    let text = utf8(lexer.astring()?)?;
    let (mode, rights) = match text.as_bytes().first() {
        Some(b'+') => (StoreMode::Add, text.get(1..)),
        Some(b'-') => (StoreMode::Remove, text.get(1..)),
        _ => (StoreMode::Replace, Some(text.as_str())),
    };
    let rights = rights.unwrap_or_default();
    if !rights.bytes().all(|right| RIGHTS.contains(&right)) {
        return Err(Fault::syntax("unknown right"));
    }
    let distinct = RIGHTS.iter().filter(|right| rights.as_bytes().contains(right));
    let rights = distinct.map(|&right| char::from(right)).collect();
    Ok(Arguments::SetAcl {
        mailbox,
        identifier,
        mode,
        rights,
    })
}
