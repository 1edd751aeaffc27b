//! QUOTA and QUOTAROOT responses (RFC 9208 §4.2).

use super::mailbox_name::NameEncoding;
use super::quoting::{write_number, write_string};
use super::response::mailbox_name;
use crate::error::{LocalMisuse, one_line};

/// `quota-response = "QUOTA" SP quota-root-name SP "(" quota-resource *(SP quota-resource) ")"`, each resource with its
/// usage and its limit. There must be one at least.
pub(super) fn quota<Name: AsRef<str>>(
    out: &mut Vec<u8>,
    root: &str,
    resources: &[(Name, u64, u64)],
) -> Result<(), LocalMisuse> {
    one_line(root, "root")?;
    if resources.is_empty() {
        return Err(LocalMisuse::BadValue { what: "resources" });
    }
    for (name, _, _) in resources {
        let name = name.as_ref().as_bytes();
        if name.is_empty() || !name.iter().all(|&octet| super::lexer::is_atom_char(octet)) {
            return Err(LocalMisuse::BadValue { what: "resource" });
        }
    }
    out.extend_from_slice(b"* QUOTA ");
    write_string(out, root.as_bytes());
    out.push(b' ');
    for (index, (name, usage, limit)) in resources.iter().enumerate() {
        out.push(if index == 0 { b'(' } else { b' ' });
        out.extend_from_slice(name.as_ref().as_bytes());
        out.push(b' ');
        write_number(out, *usage);
        out.push(b' ');
        write_number(out, *limit);
    }
    out.extend_from_slice(b")\r\n");
    Ok(())
}

/// `quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name)`
pub(super) fn quota_root<Root: AsRef<str>>(
    out: &mut Vec<u8>,
    mailbox: &str,
    roots: &[Root],
    encoding: NameEncoding,
) -> Result<(), LocalMisuse> {
    one_line(mailbox, "mailbox")?;
    for root in roots {
        one_line(root.as_ref(), "root")?;
    }
    out.extend_from_slice(b"* QUOTAROOT ");
    mailbox_name(out, mailbox, encoding);
    for root in roots {
        out.push(b' ');
        write_string(out, root.as_ref().as_bytes());
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
        quota(&mut out, "", &[("STORAGE", 10, 512), ("MESSAGE", 1, u64::MAX)]).unwrap();
        quota_root(&mut out, "\u{e9}", &["", "a b"], NameEncoding::ModifiedUtf7).unwrap();
        quota_root::<&str>(&mut out, "INBOX", &[], NameEncoding::Utf8).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "* QUOTA \"\" (STORAGE 10 512 MESSAGE 1 18446744073709551615)\r\n\
             * QUOTAROOT \"&AOk-\" \"\" \"a b\"\r\n\
             * QUOTAROOT \"INBOX\"\r\n"
        );
    }

    #[test]
    fn what_breaks_a_line_is_refused() {
        let mut out = Vec::new();
        assert!(quota(&mut out, "a\r\nb", &[("STORAGE", 1, 2)]).is_err());
        assert!(quota(&mut out, "a", &[("STOR AGE", 1, 2)]).is_err());
        assert!(quota(&mut out, "a", &[("", 1, 2)]).is_err());
        assert!(quota::<&str>(&mut out, "a", &[]).is_err());
        assert!(quota_root(&mut out, "a\n", &["b"], NameEncoding::Utf8).is_err());
        assert!(quota_root(&mut out, "a", &["b\r"], NameEncoding::Utf8).is_err());
        assert!(out.is_empty());
    }
}
