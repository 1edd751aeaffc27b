//! Arguments of GETQUOTA and SETQUOTA (RFC 9208 §4.1); GETQUOTAROOT takes a mailbox like any other command.

use super::command::{Arguments, Context};
use super::fault::{BadKind, Fault};
use super::lexer::{Lexer, utf8};

/// Resources that one SETQUOTA may name.
const RESOURCES_MAX: usize = 16;

/// `quota-root-name = astring`
fn root(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    lexer.space()?;
    utf8(lexer.astring()?)
}

/// `getquota = "GETQUOTA" SP quota-root-name`
pub(super) fn get_quota(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    Ok(Arguments::QuotaRoot(root(lexer)?))
}

/// `setquota = "SETQUOTA" SP quota-root-name SP setquota-list`,
/// `setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")"`,
/// `setquota-resource = resource-name SP resource-limit`
pub(super) fn set_quota(lexer: &mut Lexer<'_>, _: &Context) -> Result<Arguments, Fault> {
    let root = root(lexer)?;
    lexer.space()?;
    lexer.open()?;
    let mut limits = Vec::new();
    if lexer.eat(b')') {
        return Ok(Arguments::SetQuota { root, limits });
    }
    loop {
        if limits.len() >= RESOURCES_MAX {
            return Err(Fault::new(BadKind::Limit, "too many resources"));
        }
        let name = lexer.atom()?.to_ascii_uppercase();
        lexer.space()?;
        limits.push((name, lexer.number64()?));
        if !lexer.another()? {
            return Ok(Arguments::SetQuota { root, limits });
        }
    }
}
