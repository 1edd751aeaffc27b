//! The response writer: the only maker of the core's own response octets (RFC 9051 §7).
//!
//! Message data is rendered by the store. Texts that could break a line are refused as our own fault.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::mailbox_name::{NameEncoding, encode_modified_utf7};
use super::quoting::{write_number, write_string};
use crate::error::{LocalMisuse, one_line};

/// What a STATUS item tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusValue {
    /// A number.
    Number(u64),
    /// An object identifier, which stands in parentheses (RFC 8474 §4.3).
    Id(String),
}

impl From<u64> for StatusValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// `resp-cond-state`: `tag SP status SP ["[" code "]" SP] text CRLF` (RFC 9051 §7.1).
///
/// `tag` is `*` when untagged. An empty text becomes the status itself, as the grammar wants one character at least;
/// characters above 127 become `?` until the client has enabled UTF-8.
pub(super) fn status(
    out: &mut Vec<u8>,
    tag: &str,
    status: &str,
    code: &str,
    text: &str,
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(tag, "tag")?;
    one_line(text, "text")?;
    let known = match status {
        "OK" | "NO" | "BAD" => true,
        "PREAUTH" | "BYE" => tag == "*",
        _ => false,
    };
    if !known {
        return Err(LocalMisuse::BadValue { what: "status" });
    }
    plain_line(code, "code")?;
    if code.contains(']') {
        return Err(LocalMisuse::BadValue { what: "code" });
    }
    out.extend_from_slice(tag.as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.as_bytes());
    out.push(b' ');
    if !code.is_empty() {
        out.push(b'[');
        out.extend_from_slice(code.as_bytes());
        out.extend_from_slice(b"] ");
    }
    write_text(out, if text.is_empty() { status } else { text }, encoding);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &str, encoding: NameEncoding) {
    if encoding == NameEncoding::Utf8 {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend(
            text.chars()
                .map(|character| if character.is_ascii() { character as u8 } else { b'?' }),
        );
    }
}

/// Printable ASCII in one line, may be empty.
fn plain_line(text: &str, what: &'static str) -> Result<(), LocalMisuse> {
    one_line(text, what)?;
    if text.is_ascii() {
        Ok(())
    } else {
        Err(LocalMisuse::BadValue { what })
    }
}

/// `* line`: atoms and numbers only.
pub(super) fn untagged(out: &mut Vec<u8>, line: &str) -> Result<(), LocalMisuse> {
    plain_line(line, "line")?;
    if line.is_empty() {
        return Err(LocalMisuse::BadValue { what: "line" });
    }
    out.extend_from_slice(b"* ");
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `continue-req = "+" SP text CRLF`
pub(super) fn continuation(out: &mut Vec<u8>, text: &str) -> Result<(), LocalMisuse> {
    plain_line(text, "text")?;
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// A SASL challenge: `+ base64`; nothing behind the space for an empty one (RFC 9051 §6.2.2).
pub(super) fn challenge(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(b"+ ");
    out.extend_from_slice(STANDARD.encode(data).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `mailbox-list` behind `LIST` or `LSUB` (RFC 9051 §7.3.1); `extended` is the whole
/// `mbox-list-extended` with its parentheses, or empty.
pub(super) fn list<Attribute: AsRef<str>>(
    out: &mut Vec<u8>,
    name: &str,
    attributes: &[Attribute],
    mailbox: &str,
    extended: &str,
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    plain_line(name, "name")?;
    plain_line(extended, "extended")?;
    one_line(mailbox, "mailbox")?;
    for attribute in attributes {
        plain_line(attribute.as_ref(), "attribute")?;
    }
    out.extend_from_slice(b"* ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b" (");
    for (index, attribute) in attributes.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(attribute.as_ref().as_bytes());
    }
    out.extend_from_slice(b") \"/\" ");
    mailbox_name(out, mailbox, encoding);
    if !extended.is_empty() {
        out.push(b' ');
        out.extend_from_slice(extended.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// `* LIST (attributes) "/" mailbox ("OLDNAME" ("old name"))` (RFC 9051 §6.3.9.7).
pub(super) fn renamed<Attribute: AsRef<str>>(
    out: &mut Vec<u8>,
    attributes: &[Attribute],
    mailbox: &str,
    old_name: &str,
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(old_name, "old name")?;
    list(out, "LIST", attributes, mailbox, "", encoding)?;
    out.truncate(out.len() - 2); // the line end
    out.extend_from_slice(b" (\"OLDNAME\" (");
    mailbox_name(out, old_name, encoding);
    out.extend_from_slice(b"))\r\n");
    Ok(())
}

/// `* STATUS mailbox (item number ...)` (RFC 9051 §7.3.4).
pub(super) fn mailbox_status<Item: AsRef<str>, Value: Clone + Into<StatusValue>>(
    out: &mut Vec<u8>,
    mailbox: &str,
    items: &[(Item, Value)],
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(mailbox, "mailbox")?;
    for (item, value) in items {
        plain_line(item.as_ref(), "item")?;
        if let StatusValue::Id(id) = value.clone().into() {
            plain_line(&id, "item")?;
        }
    }
    out.extend_from_slice(b"* STATUS ");
    mailbox_name(out, mailbox, encoding);
    out.extend_from_slice(b" (");
    for (index, (item, value)) in items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(item.as_ref().as_bytes());
        out.push(b' ');
        match value.clone().into() {
            StatusValue::Number(number) => write_number(out, number),
            StatusValue::Id(id) => {
                out.push(b'(');
                out.extend_from_slice(id.as_bytes());
                out.push(b')');
            }
        }
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

/// `* ID (name value ...)`, or NIL when there is nothing to tell (RFC 2971 §3.2).
pub(super) fn id<Text: AsRef<str>>(out: &mut Vec<u8>, fields: &[(Text, Text)]) {
    if fields.is_empty() {
        out.extend_from_slice(b"* ID NIL\r\n");
        return;
    }
    out.extend_from_slice(b"* ID (");
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        write_string(out, name.as_ref().as_bytes());
        out.push(b' ');
        write_string(out, value.as_ref().as_bytes());
    }
    out.extend_from_slice(b")\r\n");
}

/// A mailbox name as the client has asked for it: modified UTF-7, or a quoted string of UTF-8 (RFC 9051 §5.1).
pub(super) fn mailbox_name(out: &mut Vec<u8>, mailbox: &str, encoding: NameEncoding) {
    if encoding == NameEncoding::Utf8 && !mailbox.is_ascii() {
        out.push(b'"');
        for octet in mailbox.bytes() {
            if octet == b'"' || octet == b'\\' {
                out.push(b'\\');
            }
            out.push(octet);
        }
        out.push(b'"');
    } else if encoding == NameEncoding::Utf8 {
        write_string(out, mailbox.as_bytes());
    } else {
        let mut encoded = Vec::with_capacity(mailbox.len());
        encode_modified_utf7(&mut encoded, mailbox);
        write_string(out, &encoded);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), LocalMisuse>) -> Result<String, LocalMisuse> {
        let mut out = Vec::new();
        let result = write(&mut out);
        if result.is_err() {
            assert!(out.is_empty(), "a refused response leaves nothing behind");
        }
        result.map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn status_lines() {
        let line = |tag: &str, kind: &str, code: &str, text: &str| {
            written(|out| status(out, tag, kind, code, text, NameEncoding::ModifiedUtf7))
        };
        assert_eq!(line("a1", "OK", "", "done").unwrap(), "a1 OK done\r\n");
        assert_eq!(
            line("*", "BYE", "UNAVAILABLE", "later").unwrap(),
            "* BYE [UNAVAILABLE] later\r\n"
        );
        assert_eq!(line("a1", "NO", "", "").unwrap(), "a1 NO NO\r\n");
        assert_eq!(line("a1", "NO", "", "gr\u{fc}n").unwrap(), "a1 NO gr?n\r\n");
        assert!(line("a1", "BYE", "", "x").is_err());
        assert!(line("a1", "FINE", "", "x").is_err());
        assert!(line("a1", "OK", "A]B", "x").is_err());
        for text in ["a\rb", "a\nb", "a\0b"] {
            assert!(line("a1", "OK", "", text).is_err());
            assert!(line("a1", "OK", text, "x").is_err());
            assert!(line(text, "OK", "", "x").is_err());
            assert!(written(|out| untagged(out, text)).is_err());
            assert!(written(|out| continuation(out, text)).is_err());
            assert!(written(|out| list(out, "LIST", &["\\Noselect"], text, "", NameEncoding::Utf8)).is_err());
            assert!(written(|out| mailbox_status(out, text, &[("SIZE", 1)], NameEncoding::Utf8)).is_err());
        }
    }

    #[test]
    fn names() {
        let line = |mailbox: &str, encoding| {
            written(|out| list(out, "LIST", &["\\HasChildren", "\\Sent"], mailbox, "", encoding)).unwrap()
        };
        assert_eq!(
            line("\u{e9} & \"b\"", NameEncoding::ModifiedUtf7),
            "* LIST (\\HasChildren \\Sent) \"/\" \"&AOk- &- \\\"b\\\"\"\r\n"
        );
        assert_eq!(
            line("\u{e9} & \"b\"", NameEncoding::Utf8),
            "* LIST (\\HasChildren \\Sent) \"/\" \"\u{e9} & \\\"b\\\"\"\r\n"
        );
        let extended = written(|out| {
            list(
                out,
                "LIST",
                &[] as &[&str],
                "a",
                "(\"CHILDINFO\" (\"SUBSCRIBED\"))",
                NameEncoding::Utf8,
            )
        });
        assert_eq!(
            extended.unwrap(),
            "* LIST () \"/\" \"a\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
        );
        let status =
            written(|out| mailbox_status(out, "INBOX", &[("MESSAGES", 3), ("SIZE", u64::MAX)], NameEncoding::Utf8));
        assert_eq!(
            status.unwrap(),
            "* STATUS \"INBOX\" (MESSAGES 3 SIZE 18446744073709551615)\r\n"
        );
    }

    #[test]
    fn identity_and_challenge() {
        let mut out = Vec::new();
        id(&mut out, &[("name", "iron\"post"), ("os", "\u{e9}")]);
        assert_eq!(
            out,
            "* ID (\"name\" \"iron\\\"post\" \"os\" {2}\r\n\u{e9})\r\n".as_bytes()
        );
        out.clear();
        id::<&str>(&mut out, &[]);
        challenge(&mut out, b"");
        challenge(&mut out, b"abc");
        assert_eq!(out, b"* ID NIL\r\n+ \r\n+ YWJj\r\n");
    }
}
