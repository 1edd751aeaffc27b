//! LIST, LSUB, XLIST, STATUS and NAMESPACE responses (RFC 9051 §7.3, RFC 2342).

use super::ELEMENTS_MAX;
use super::event::{ListEntry, Namespace};
use super::words::{Text, Words};
use crate::imap::mailbox_name::decode_modified_utf7;

/// Behind the word LIST, LSUB or XLIST.
pub(super) fn list(kind: &'static str, words: &mut Words<'_>) -> Option<ListEntry> {
    let attributes = words.names()?;
    let separator = separator(words.text()?)?;
    let wire = words.text()?.octets().into_owned();
    let name = decoded(&wire);
    Some(ListEntry {
        kind,
        attributes,
        separator,
        wire,
        name,
    })
}

fn separator(text: Text<'_>) -> Option<Option<char>> {
    match text {
        Text::Nil => Some(None),
        Text::Octets(octets) => match octets[..] {
            [] => Some(None),
            [octet] if octet.is_ascii() => Some(Some(char::from(octet))),
            _ => None,
        },
        Text::Streamed => None,
    }
}

/// A name for people. What is no modified UTF-7 is UTF-8, and what is not even that keeps its readable part.
pub(super) fn decoded(wire: &[u8]) -> String {
    if wire.is_ascii()
        && let Some(name) = decode_modified_utf7(wire)
    {
        return name;
    }
    String::from_utf8_lossy(wire).into_owned()
}

/// A mailbox by its name on the wire, and its items.
pub(super) type Status = (Vec<u8>, Vec<(String, u64)>);

/// Behind the word STATUS; items that are no numbers are passed over.
pub(super) fn status(words: &mut Words<'_>) -> Option<Status> {
    let wire = words.text()?.octets().into_owned();
    let mut items = Vec::new();
    if !words.eat(b'(') {
        return None;
    }
    while !words.eat(b')') {
        let name = words.keyword()?;
        if words.peek()?.is_ascii_digit() {
            if items.len() >= ELEMENTS_MAX {
                return None;
            }
            items.push((name, words.number()?));
        } else {
            words.skip()?;
        }
    }
    Some((wire, items))
}

/// Behind the word NAMESPACE: personal ones, and those of others and of all together.
pub(super) fn namespaces(words: &mut Words<'_>) -> Option<(Vec<Namespace>, Vec<Namespace>)> {
    let personal = namespace(words)?;
    let mut others = namespace(words)?;
    others.extend(namespace(words)?);
    Some((personal, others))
}

fn namespace(words: &mut Words<'_>) -> Option<Vec<Namespace>> {
    let mut found = Vec::new();
    if !words.eat(b'(') {
        return matches!(words.text()?, Text::Nil).then_some(found);
    }
    while !words.eat(b')') {
        if found.len() >= ELEMENTS_MAX || !words.eat(b'(') {
            return None;
        }
        let prefix = decoded(&words.text()?.octets());
        let separator = separator(words.text()?)?;
        found.push(Namespace { prefix, separator });
        while !words.eat(b')') {
            words.skip()?;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn words(text: &[u8]) -> Words<'_> {
        Words::new(text, None)
    }

    #[test]
    fn lists_of_many_servers() {
        for (text, separator, name) in [
            (
                &b"(\\HasNoChildren) \".\" \"INBOX.M&APw-ller\""[..],
                Some('.'),
                "INBOX.M\u{fc}ller",
            ),
            (b"() \"/\" INBOX", Some('/'), "INBOX"),
            (b"() NIL \"INBOX\"", None, "INBOX"),
            (b"() \"\" INBOX", None, "INBOX"),
            (b"() \"\\\\\" \"Public Folders\\\\a\"", Some('\\'), "Public Folders\\a"),
            (b"(\\Sent) \"/\" \"Gel\xc3\xb6scht\"", Some('/'), "Gel\u{f6}scht"),
            (b"() \"/\" \"a&b\"", Some('/'), "a&b"),
            (b"() \"/\" \"caf\xe9\"", Some('/'), "caf\u{fffd}"),
            (b"()   \"/\"   {3}\r\na b", Some('/'), "a b"),
            (b"() \"/\" NIL", Some('/'), "NIL"),
            (b"NIL \"/\" x", Some('/'), "x"),
        ] {
            let entry = list("LIST", &mut words(text)).unwrap();
            assert_eq!((entry.separator, entry.name.as_str()), (separator, name), "{text:?}");
        }
        for bad in [&b"() \"ab\" x"[..], b"\\X \"/\" x", b"() \"/\"", b""] {
            assert_eq!(list("LIST", &mut words(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn status_items() {
        let (wire, items) = status(&mut words(
            b"\"a b\" (MESSAGES 231 UIDNEXT 44292 X (y) SIZE 18446744073709551615 )",
        ))
        .unwrap();
        assert_eq!(wire, b"a b");
        assert_eq!(
            items,
            [
                ("MESSAGES".to_owned(), 231),
                ("UIDNEXT".to_owned(), 44292),
                ("SIZE".to_owned(), u64::MAX)
            ]
        );
        assert_eq!(status(&mut words(b"x (MESSAGES 99999999999999999999)")), None);
    }

    #[test]
    fn namespaces_of_rfc_2342() {
        let (personal, others) = namespaces(&mut words(
            b"((\"INBOX.\" \".\" \"X-PARAM\" (\"a\"))) ((\"~\" \"/\")) NIL",
        ))
        .unwrap();
        assert_eq!(
            (personal[0].prefix.as_str(), personal[0].separator),
            ("INBOX.", Some('.'))
        );
        assert_eq!(others[0].prefix, "~");
        assert_eq!(namespaces(&mut words(b"NIL NIL NIL")).unwrap(), (vec![], vec![]));
        assert_eq!(namespaces(&mut words(b"((")), None);
    }
}
