//! METADATA responses (RFC 5464 §4.4.1).

use super::lexer::is_atom_char;
use super::mailbox_name::NameEncoding;
use super::quoting::{write_number, write_string};
use super::response::mailbox_name;
use crate::error::{LocalMisuse, one_line};

/// `metadata-resp = "METADATA" SP mailbox SP entry-values`, each entry with its value or NIL. There must be one at least.
pub(super) fn metadata(
    out: &mut Vec<u8>,
    mailbox: &str,
    values: &[(String, Option<Vec<u8>>)],
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(mailbox, "mailbox")?;
    if values.is_empty() {
        return Err(LocalMisuse::BadValue { what: "values" });
    }
    for (entry, _) in values {
        one_line(entry, "entry")?;
    }
    out.extend_from_slice(b"* METADATA ");
    mailbox_name(out, mailbox, encoding);
    for (index, (entry, value)) in values.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" (" } else { b" " });
        if !entry.is_empty() && entry.bytes().all(is_atom_char) {
            out.extend_from_slice(entry.as_bytes());
        } else {
            write_string(out, entry.as_bytes());
        }
        out.push(b' ');
        match value {
            None => out.extend_from_slice(b"NIL"),
            Some(value) if value.contains(&0) => {
                // literal8: the only form that may hold NUL.
                out.extend_from_slice(b"~{");
                write_number(out, value.len() as u64);
                out.extend_from_slice(b"}\r\n");
                out.extend_from_slice(value);
            }
            Some(value) => write_string(out, value),
        }
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lines() {
        let mut out = Vec::new();
        let entry = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
        let values = [
            entry("/shared/comment", Some(b"Shared comment")),
            entry("/private/a b", None),
            entry("/private/x", Some(b"a\r\nb")),
            entry("/private/y", Some(b"a\0b")),
            entry("/private/z", Some(b"")),
        ];
        metadata(&mut out, "\u{e9}", &values, NameEncoding::ModifiedUtf7).unwrap();
        metadata(&mut out, "", &values[..1], NameEncoding::Utf8).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "* METADATA \"&AOk-\" (/shared/comment \"Shared comment\" \"/private/a b\" NIL /private/x {4}\r\na\r\nb \
             /private/y ~{3}\r\na\0b /private/z \"\")\r\n\
             * METADATA \"\" (/shared/comment \"Shared comment\")\r\n"
        );
    }

    #[test]
    fn what_breaks_a_line_is_refused() {
        let mut out = Vec::new();
        let values = [("/a\n".to_owned(), None)];
        assert!(metadata(&mut out, "a", &values, NameEncoding::Utf8).is_err());
        assert!(metadata(&mut out, "a", &[], NameEncoding::Utf8).is_err());
        assert!(metadata(&mut out, "a\r", &[("/a".to_owned(), None)], NameEncoding::Utf8).is_err());
        assert!(out.is_empty());
    }
}
