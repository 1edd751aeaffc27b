//! ACL, LISTRIGHTS and MYRIGHTS responses (RFC 4314 §3.6-3.8), METADATA without values (RFC 5464 §4.4.2).

use super::lexer::is_atom_char;
use super::mailbox_name::NameEncoding;
use super::quoting::write_string;
use super::response::mailbox_name;
use crate::error::{LocalMisuse, one_line};

/// The responses that name a mailbox and go on with strings.
const RESPONSES: &[&str] = &["ACL", "LISTRIGHTS", "METADATA", "MYRIGHTS"];

/// `acl-data = "ACL" SP mailbox *(SP identifier SP rights)`, `listrights-data = "LISTRIGHTS" SP mailbox SP identifier SP
/// rights *(SP rights)`, `myrights-data = "MYRIGHTS" SP mailbox SP rights`, `"METADATA" SP mailbox SP entry-list`. Words go out as atoms where they can.
pub(super) fn rights<Word: AsRef<str>>(
    out: &mut Vec<u8>,
    response: &str,
    mailbox: &str,
    words: &[Word],
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    if !RESPONSES.contains(&response) {
        return Err(LocalMisuse::BadValue { what: "response" });
    }
    one_line(mailbox, "mailbox")?;
    for word in words {
        one_line(word.as_ref(), "word")?;
    }
    out.extend_from_slice(b"* ");
    out.extend_from_slice(response.as_bytes());
    out.push(b' ');
    mailbox_name(out, mailbox, encoding);
    for word in words {
        let word = word.as_ref().as_bytes();
        out.push(b' ');
        if !word.is_empty() && !word.eq_ignore_ascii_case(b"NIL") && word.iter().all(|&octet| is_atom_char(octet)) {
            out.extend_from_slice(word);
        } else {
            write_string(out, word);
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn lines() {
        let mut out = Vec::new();
        let utf7 = NameEncoding::ModifiedUtf7;
        rights(
            &mut out,
            "ACL",
            "INBOX/\u{e9}",
            &["Fred", "rwipslda", "-Fred", "wetd"],
            utf7,
        )
        .unwrap();
        rights(&mut out, "ACL", "a", &["a b", "", "nil", "l"], utf7).unwrap();
        rights(&mut out, "LISTRIGHTS", "a", &["anyone", "", "l", "r"], utf7).unwrap();
        rights(&mut out, "MYRIGHTS", "a\u{e9}", &["lr"], NameEncoding::Utf8).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "* ACL \"INBOX/&AOk-\" Fred rwipslda -Fred wetd\r\n\
             * ACL \"a\" \"a b\" \"\" \"nil\" l\r\n\
             * LISTRIGHTS \"a\" anyone \"\" l r\r\n\
             * MYRIGHTS \"a\u{e9}\" lr\r\n"
        );
    }

    #[test]
    fn what_breaks_a_line_is_refused() {
        let mut out = Vec::new();
        let utf8 = NameEncoding::Utf8;
        assert!(rights(&mut out, "ACL", "a\r\nb", &["l"], utf8).is_err());
        assert!(rights(&mut out, "ACL", "a", &["l\n"], utf8).is_err());
        assert!(rights(&mut out, "QUOTA", "a", &["l"], utf8).is_err());
        assert!(out.is_empty());
    }
}
