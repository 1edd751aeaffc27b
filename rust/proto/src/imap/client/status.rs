//! Status responses with their codes (RFC 9051 §7.1).

use super::event::Condition;
use super::{CAPABILITIES_MAX, TEXT_OCTETS_MAX};

/// The status a word stands for.
pub(super) fn named(word: &[u8]) -> Option<&'static str> {
    ["OK", "NO", "BAD", "BYE", "PREAUTH"]
        .into_iter()
        .find(|status| word.eq_ignore_ascii_case(status.as_bytes()))
}

/// What stands behind the status.
pub(super) fn condition(status: &'static str, text: &[u8]) -> Condition {
    let text = text.trim_ascii();
    let (code, rest) = match text.strip_prefix(b"[").and_then(code_end) {
        Some((code, rest)) => (code, rest.trim_ascii_start()),
        None => (&b""[..], text),
    };
    let name = code.split(|&octet| octet == b' ').next().unwrap_or_default();
    let arguments = code.get(name.len()..).unwrap_or_default().trim_ascii();
    Condition {
        status,
        code: String::from_utf8_lossy(name).to_ascii_uppercase(),
        arguments: String::from_utf8_lossy(arguments).into_owned(),
        text: words(rest),
    }
}

/// Where the bracket closes, not counting those in quotes or parentheses (a flag may hold one).
fn code_end(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut quoted, mut depth) = (false, 0_usize);
    for (index, &octet) in text.iter().enumerate() {
        match octet {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b']' if !quoted && depth == 0 => return Some((text.get(..index)?, text.get(index + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Words for people: bounded, one line, no control characters.
pub(super) fn words(text: &[u8]) -> String {
    let text = text.get(..TEXT_OCTETS_MAX).unwrap_or(text);
    String::from_utf8_lossy(text)
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// Capabilities of a list, in upper case, each once.
pub(super) fn capabilities(list: &[u8]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let words = list.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for word in words.take(CAPABILITIES_MAX) {
        let name = String::from_utf8_lossy(word).to_ascii_uppercase();
        if !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts() {
        for (text, code, arguments, words) in [
            (
                &b"[UIDVALIDITY 3857529045] UIDs valid"[..],
                "UIDVALIDITY",
                "3857529045",
                "UIDs valid",
            ),
            (
                b" [permanentflags (\\Deleted \\* a]b)] Limited",
                "PERMANENTFLAGS",
                "(\\Deleted \\* a]b)",
                "Limited",
            ),
            (b"[READ-ONLY] ok", "READ-ONLY", "", "ok"),
            (b"[open ended", "", "", "[open ended"),
            (b"no code at all", "", "", "no code at all"),
            (b"", "", "", ""),
            (b"a\x07b", "", "", "a b"),
        ] {
            let found = condition("OK", text);
            assert_eq!(
                (found.code.as_str(), found.arguments.as_str(), found.text.as_str()),
                (code, arguments, words),
                "{text:?}"
            );
        }
        assert_eq!(condition("NO", &[b'x'; 5000]).text.len(), TEXT_OCTETS_MAX);
    }

    #[test]
    fn capabilities_once_each() {
        assert_eq!(
            capabilities(b" imap4rev1  AUTH=PLAIN IMAP4rev1 "),
            ["IMAP4REV1", "AUTH=PLAIN"]
        );
        let many: Vec<String> = (0..1000).map(|number| format!("X{number}")).collect();
        assert_eq!(capabilities(many.join(" ").as_bytes()).len(), CAPABILITIES_MAX);
    }
}
