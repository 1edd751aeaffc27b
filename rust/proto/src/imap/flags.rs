//! Message flags of STORE and APPEND (RFC 9051 §2.3.2, §9 `flag`).

use super::fault::{BadKind, Fault};
use super::lexer::Lexer;

/// What a client may set, in canonical case.
const SYSTEM_FLAGS: [&str; 5] = ["\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen"];

/// Flags in one command; far above what any client keeps.
pub const FLAGS_MAX: usize = 256;

/// `flag`: a system flag in canonical case, or a keyword as written. \Recent and unknown system flags are refused.
fn flag(lexer: &mut Lexer<'_>) -> Result<String, Fault> {
    if !lexer.eat(b'\\') {
        return lexer.atom().map(str::to_owned);
    }
    let name = lexer.atom()?;
    SYSTEM_FLAGS
        .iter()
        .find(|flag| flag.get(1..).is_some_and(|known| known.eq_ignore_ascii_case(name)))
        .map(|&flag| flag.to_owned())
        .ok_or(Fault::syntax("a system flag that cannot be set"))
}

fn push(flags: &mut Vec<String>, flag: String) -> Result<(), Fault> {
    if flags.iter().any(|known| known.eq_ignore_ascii_case(&flag)) {
        return Ok(());
    }
    if flags.len() >= FLAGS_MAX {
        return Err(Fault::new(BadKind::Limit, "too many flags"));
    }
    flags.push(flag);
    Ok(())
}

/// `flag-list = "(" [flag *(SP flag)] ")"`, duplicates dropped.
pub(super) fn flag_list(lexer: &mut Lexer<'_>) -> Result<Vec<String>, Fault> {
    let mut flags = Vec::new();
    lexer.open()?;
    if lexer.eat(b')') {
        return Ok(flags);
    }
    loop {
        push(&mut flags, flag(lexer)?)?;
        if !lexer.another()? {
            return Ok(flags);
        }
    }
}

/// `flag-list / (flag *(SP flag))`, duplicates dropped.
pub(super) fn store_flags(lexer: &mut Lexer<'_>) -> Result<Vec<String>, Fault> {
    if lexer.peek() == Some(b'(') {
        return flag_list(lexer);
    }
    let mut flags = Vec::new();
    loop {
        push(&mut flags, flag(lexer)?)?;
        if !lexer.eat(b' ') {
            return Ok(flags);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn canonical_and_refused() {
        let parse = |text: &str| store_flags(&mut Lexer::new(text.as_bytes()));
        assert_eq!(
            parse("(\\seen \\DELETED $Junk)").unwrap(),
            ["\\Seen", "\\Deleted", "$Junk"]
        );
        assert_eq!(parse("\\Seen $junk $JUNK\r\n").unwrap(), ["\\Seen", "$junk"]);
        assert!(parse("()").unwrap().is_empty());
        for bad in ["(\\Recent)", "\\*", "\\Foo", "(a", "(a  b)", "\\ Seen", "", "(a]b)"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..300).map(|number| format!("k{number}")).collect();
        assert_eq!(parse(&many.join(" ")).unwrap_err().kind, BadKind::Limit);
    }
}
