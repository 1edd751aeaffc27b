//! What CONDSTORE and QRESYNC add to the arguments of commands: modseqs and modifiers (RFC 7162 §7).

use super::fault::Fault;
use super::lexer::Lexer;
use super::partial::PartialRange;
use super::sequence::{SequenceNumber, SequenceSet};

/// Modifiers of a FETCH; an extension adds its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchModifiers {
    /// Only messages with a greater modseq.
    pub changed_since: Option<u64>,
    /// The UIDs that have gone since are wanted too.
    pub vanished: bool,
    /// Only these of the messages named (RFC 9394 §3.3).
    pub partial: Option<PartialRange>,
}

/// What a client knows of a mailbox that it selects (RFC 7162 §3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resync {
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// All changes up to this one are known.
    pub modseq: u64,
    /// UIDs in the client's cache; all when `None`.
    pub known: Option<SequenceSet>,
    /// Message numbers and the UIDs that they had, as many of one as of the other.
    pub matches: Option<(SequenceSet, SequenceSet)>,
}

/// `mod-sequence-value`: from 1 to 2^63-1.
pub(super) fn modseq(lexer: &mut Lexer<'_>) -> Result<u64, Fault> {
    match modseq_or_zero(lexer)? {
        0 => Err(Fault::syntax("zero where a positive number is needed")),
        modseq => Ok(modseq),
    }
}

/// `mod-sequence-valzer`: from 0 to 2^63-1.
pub(super) fn modseq_or_zero(lexer: &mut Lexer<'_>) -> Result<u64, Fault> {
    lexer.number64()
}

/// `fetch-modifiers = SP "(" fetch-modifier *(SP fetch-modifier) ")"` (RFC 4466 §2.3),
/// `fetch-modifier =/ "CHANGEDSINCE" SP mod-sequence-value / "VANISHED" / "PARTIAL" SP partial-range`
pub(super) fn fetch_modifiers(lexer: &mut Lexer<'_>) -> Result<FetchModifiers, Fault> {
    let mut modifiers = FetchModifiers::default();
    if !lexer.eat(b' ') {
        return Ok(modifiers);
    }
    lexer.open()?;
    loop {
        let word = lexer.atom()?;
        if word.eq_ignore_ascii_case("CHANGEDSINCE") && modifiers.changed_since.is_none() {
            lexer.space()?;
            modifiers.changed_since = Some(modseq(lexer)?);
        } else if word.eq_ignore_ascii_case("VANISHED") && !modifiers.vanished {
            modifiers.vanished = true;
        } else if word.eq_ignore_ascii_case("PARTIAL") && modifiers.partial.is_none() {
            modifiers.partial = Some(PartialRange::parse(lexer)?);
        } else {
            return Err(Fault::syntax("unknown or repeated FETCH modifier"));
        }
        if !lexer.another()? {
            break;
        }
    }
    if modifiers.vanished && modifiers.changed_since.is_none() {
        return Err(Fault::syntax("VANISHED needs CHANGEDSINCE"));
    }
    Ok(modifiers)
}

/// `store-modifier =/ "UNCHANGEDSINCE" SP mod-sequence-valzer`, in parentheses and with the space behind them; `None` when
/// there are none.
pub(super) fn unchanged_since(lexer: &mut Lexer<'_>) -> Result<Option<u64>, Fault> {
    if !lexer.eat(b'(') {
        return Ok(None);
    }
    if !lexer.atom()?.eq_ignore_ascii_case("UNCHANGEDSINCE") {
        return Err(Fault::syntax("unknown STORE modifier"));
    }
    lexer.space()?;
    let bound = modseq_or_zero(lexer)?;
    lexer.expect(b')', "expected )")?;
    lexer.space()?;
    Ok(Some(bound))
}

/// The rest of `search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer`.
///
/// One modseq stands for all of a message's metadata here, so that the entry is read and not used (RFC 7162 §3.1.5).
pub(super) fn search_modseq(lexer: &mut Lexer<'_>) -> Result<u64, Fault> {
    lexer.space()?;
    if lexer.peek() == Some(b'"') {
        entry_name(&lexer.quoted()?)?;
        lexer.space()?;
        let kind = lexer.atom()?;
        if !["priv", "shared", "all"]
            .iter()
            .any(|known| kind.eq_ignore_ascii_case(known))
        {
            return Err(Fault::syntax("the entry type is priv, shared or all"));
        }
        lexer.space()?;
    }
    modseq_or_zero(lexer)
}

/// `entry-flag-name = DQUOTE "/flags/" attr-flag DQUOTE`, `attr-flag = "\\Answered" / ... / attr-flag-keyword`
fn entry_name(name: &[u8]) -> Result<(), Fault> {
    const MALFORMED: Fault = Fault::syntax("the entry's name is /flags/ and a flag");
    let flag = name.strip_prefix(b"/flags/").ok_or(MALFORMED)?;
    let keyword = flag.strip_prefix(b"\\").unwrap_or(flag);
    let mut rest = Lexer::new(keyword);
    if rest.atom().is_err() || rest.peek().is_some() {
        return Err(MALFORMED);
    }
    Ok(())
}

/// The rest of `"QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"`.
pub(super) fn resync(lexer: &mut Lexer<'_>) -> Result<Resync, Fault> {
    lexer.space()?;
    lexer.open()?;
    let uid_validity = lexer.nz_number()?;
    lexer.space()?;
    let mut resync = Resync {
        uid_validity,
        modseq: modseq(lexer)?,
        known: None,
        matches: None,
    };
    let mut more = lexer.another()?;
    if more && lexer.peek() != Some(b'(') {
        resync.known = Some(plain_set(lexer)?);
        more = lexer.another()?;
    }
    if more {
        lexer.open()?;
        let numbers = plain_set(lexer)?;
        lexer.space()?;
        let uids = plain_set(lexer)?;
        lexer.expect(b')', "expected )")?;
        if count(&numbers) != count(&uids) {
            return Err(Fault::syntax("as many message numbers as UIDs are needed"));
        }
        resync.matches = Some((numbers, uids));
        lexer.expect(b')', "expected )")?;
    }
    Ok(resync)
}

/// A `sequence-set` without `*` and `$`.
fn plain_set(lexer: &mut Lexer<'_>) -> Result<SequenceSet, Fault> {
    let set = SequenceSet::parse(lexer)?;
    let plain = |end| matches!(end, SequenceNumber::Number(_));
    if set.ranges.iter().all(|&(first, last)| plain(first) && plain(last)) {
        Ok(set)
    } else {
        Err(Fault::syntax("* and $ are not allowed here"))
    }
}

/// How many different numbers a plain set names.
fn count(set: &SequenceSet) -> u64 {
    let ranges = set.resolve(u32::MAX);
    ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn whole<T>(text: &str, parse: impl Fn(&mut Lexer<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let line = format!("{text}\r\n");
        let mut lexer = Lexer::new(line.as_bytes());
        let parsed = parse(&mut lexer)?;
        lexer.end()?;
        Ok(parsed)
    }

    #[test]
    fn modifiers_of_fetch() {
        let since = |changed_since, vanished| FetchModifiers {
            changed_since,
            vanished,
            partial: None,
        };
        assert_eq!(whole("", fetch_modifiers).unwrap(), since(None, false));
        assert_eq!(
            whole(" (CHANGEDSINCE 12345)", fetch_modifiers).unwrap(),
            since(Some(12345), false)
        );
        assert_eq!(
            whole(" (vanished changedsince 9223372036854775807)", fetch_modifiers).unwrap(),
            since(Some((1 << 63) - 1), true)
        );
        for bad in [
            " ",
            " ()",
            " (CHANGEDSINCE)",
            " (CHANGEDSINCE 0)",
            " (CHANGEDSINCE -1)",
            " (CHANGEDSINCE 9223372036854775808)",
            " (CHANGEDSINCE 1 CHANGEDSINCE 2)",
            " (VANISHED)",
            " (CHANGEDSINCE 1 VANISHED VANISHED)",
            " (CHANGEDSINCE 1",
            " (UNCHANGEDSINCE 1)",
            " CHANGEDSINCE 1",
        ] {
            assert!(whole(bad, fetch_modifiers).is_err(), "{bad}");
        }
    }

    #[test]
    fn modifiers_of_store() {
        assert_eq!(whole("", unchanged_since).unwrap(), None);
        assert_eq!(whole("(UNCHANGEDSINCE 0) ", unchanged_since).unwrap(), Some(0));
        for bad in [
            "()",
            "(UNCHANGEDSINCE) ",
            "(UNCHANGEDSINCE 1)",
            "(UNCHANGEDSINCE 9223372036854775808) ",
            "(X 1) ",
        ] {
            assert!(whole(bad, unchanged_since).is_err(), "{bad}");
        }
    }

    #[test]
    fn search_keys() {
        for (text, value) in [
            (" 620162338", 620_162_338),
            (" 0", 0),
            (" \"/flags/\\\\draft\" all 620162338", 620_162_338),
            (" \"/flags/$Junk\" PRIV 7", 7),
        ] {
            assert_eq!(whole(text, search_modseq).unwrap(), value, "{text}");
        }
        for bad in [
            "",
            " ",
            " x",
            " \"/flags/\\\\draft\" 7",
            " \"/flags/\\\\draft\" none 7",
            " \"/flags/\" all 7",
            " \"/other\" all 7",
            " \"/flags/a b\" all 7",
            " 9223372036854775808",
        ] {
            assert!(whole(bad, search_modseq).is_err(), "{bad}");
        }
    }

    #[test]
    fn resyncs() {
        let parsed = whole(" (67890007 90060115194045000 41:211,214:541 (1,3:4 5,9:10))", resync).unwrap();
        assert_eq!(
            (parsed.uid_validity, parsed.modseq),
            (67_890_007, 90_060_115_194_045_000)
        );
        assert_eq!(parsed.known.unwrap().to_string(), "41:211,214:541");
        assert_eq!(parsed.matches.unwrap().1.to_string(), "5,9:10");
        assert!(whole(" (1 1)", resync).unwrap().known.is_none());
        assert!(whole(" (1 1 (1 2))", resync).unwrap().known.is_none());
        for bad in [
            " ()",
            " (1)",
            " (0 1)",
            " (1 0)",
            " (1 1 )",
            " (1 1 1:*)",
            " (1 1 $)",
            " (1 1 1 2)",
            " (1 1 1 (1))",
            " (1 1 1 (1:2 4))",
            " (1 1 1 (1:* 4:*))",
            " (1 1 1 (1 4)",
            " 1 1",
        ] {
            assert!(whole(bad, resync).is_err(), "{bad}");
        }
    }
}
