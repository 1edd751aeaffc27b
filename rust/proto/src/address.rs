//! Mailboxes, paths, domains and address literals as SMTP writes them (RFC 5321 §4.1.2, §4.1.3; RFC 6531 §3.3).
//!
//! What comes out is canonical: the local part without its quoting, the domain in lower case, a source route dropped. No
//! name is looked up and no Unicode normalisation is done.

use crate::chars;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Octets of a local part as written (RFC 5321 §4.5.3.1.1).
pub const LOCAL_OCTETS_MAX: usize = 64;
/// Octets of a domain (RFC 5321 §4.5.3.1.2).
pub const DOMAIN_OCTETS_MAX: usize = 255;
/// Octets of one label of a domain (RFC 1035 §2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;
/// Octets of a path with its punctuation (RFC 5321 §4.5.3.1.3).
pub const PATH_OCTETS_MAX: usize = 256;

/// Whether UTF-8 is allowed in an address (SMTPUTF8 was asked for).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// RFC 5321 alone.
    Ascii,
    /// With RFC 6531 §3.3.
    Utf8,
}

/// Why an address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFault {
    /// Not of the grammar.
    Syntax,
    /// Local part above [`LOCAL_OCTETS_MAX`].
    LocalTooLong,
    /// A label or the whole domain is too long, or a label is not letters, digits and inner hyphens.
    Domain,
    /// Not an IPv4 or IPv6 literal.
    Literal,
    /// Path above [`PATH_OCTETS_MAX`].
    PathTooLong,
    /// Non-ASCII octets without SMTPUTF8.
    NotAscii,
    /// Non-ASCII octets that are not UTF-8.
    NotUtf8,
}

impl AddressFault {
    /// A text for the peer.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "Bad address syntax",
            Self::LocalTooLong => "Local part too long",
            Self::Domain => "Bad domain name",
            Self::Literal => "Bad address literal",
            Self::PathTooLong => "Address too long",
            Self::NotAscii => "Non-ASCII address needs SMTPUTF8",
            Self::NotUtf8 => "Address is not valid UTF-8",
        }
    }
}

/// `Mailbox = Local-part "@" ( Domain / address-literal )` in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    /// Unquoted.
    pub local: String,
    /// Lower case; a literal keeps its brackets: `[192.0.2.1]`, `[IPv6:2001:db8::1]`.
    pub domain: String,
}

impl fmt::Display for Mailbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_local(formatter, &self.local)?;
        write!(formatter, "@{}", self.domain)
    }
}

fn write_local(formatter: &mut fmt::Formatter<'_>, local: &str) -> fmt::Result {
    if is_dot_string(local.as_bytes()) {
        return formatter.write_str(local);
    }
    formatter.write_str("\"")?;
    for character in local.chars() {
        if matches!(character, '"' | '\\') {
            formatter.write_str("\\")?;
        }
        write!(formatter, "{character}")?;
    }
    formatter.write_str("\"")
}

/// What stands between `<` and `>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `<>`
    Null,
    /// `<postmaster>` without a domain, any case, as it was written (RFC 5321 §4.1.1.3).
    Postmaster(String),
    /// A mailbox; its source route, if any, has been dropped (RFC 5321 §4.1.1.3, appendix C).
    Mailbox(Mailbox),
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Postmaster(local) => formatter.write_str(local),
            Self::Mailbox(mailbox) => mailbox.fmt(formatter),
        }
    }
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`, `"<>"` or `"<postmaster>"` at the front; with how many octets it takes.
pub fn path(octets: &[u8], charset: Charset) -> Result<(Path, usize), AddressFault> {
    let mut scanner = Scanner { octets, at: 0, charset };
    scanner.expect(b'<')?;
    if scanner.take(b'>') {
        return Ok((Path::Null, scanner.at));
    }
    if scanner.peek() == Some(b'@') {
        scanner.source_route()?;
    }
    let local = scanner.local_part()?;
    let path = if scanner.peek() == Some(b'>') && local.eq_ignore_ascii_case("postmaster") {
        Path::Postmaster(local)
    } else {
        scanner.expect(b'@')?;
        let domain = scanner.domain_or_literal()?;
        Path::Mailbox(Mailbox { local, domain })
    };
    scanner.expect(b'>')?;
    if scanner.at > PATH_OCTETS_MAX {
        return Err(AddressFault::PathTooLong);
    }
    Ok((path, scanner.at))
}

/// A whole text that must be one `Mailbox`.
pub fn mailbox(octets: &[u8], charset: Charset) -> Result<Mailbox, AddressFault> {
    let mut scanner = Scanner { octets, at: 0, charset };
    let local = scanner.local_part()?;
    scanner.expect(b'@')?;
    let domain = scanner.domain_or_literal()?;
    if scanner.at != octets.len() {
        return Err(AddressFault::Syntax);
    }
    Ok(Mailbox { local, domain })
}

/// A whole text that must be one `Domain`; lower case.
///
/// `Domain = sub-domain *("." sub-domain)`, `sub-domain = Let-dig [Ldh-str]` / `U-label` with UTF-8. A U-label is bounded
/// by its UTF-8 octets and may hold no control and no space; IDNA's own tables are not applied.
pub fn domain(octets: &[u8], charset: Charset) -> Result<String, AddressFault> {
    if octets.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressFault::Domain);
    }
    if octets.is_ascii() {
        if !octets.split(|&octet| octet == b'.').all(is_label) {
            return Err(AddressFault::Domain);
        }
    } else if charset == Charset::Ascii {
        return Err(AddressFault::NotAscii);
    }
    let text = std::str::from_utf8(octets).map_err(|_| AddressFault::NotUtf8)?;
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    let fits = |character: char| {
        if character.is_ascii() {
            chars::is(character as u8, chars::LDH)
        } else {
            !character.is_control() && !character.is_whitespace()
        }
    };
    let label_fits = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_OCTETS_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(fits)
    };
    if !text.split('.').all(label_fits) {
        return Err(AddressFault::Domain);
    }
    Ok(text.to_lowercase())
}

/// `address-literal` with its brackets, in canonical form. Only IPv4 and IPv6 exist (RFC 5321 §4.1.3).
pub fn literal(octets: &[u8]) -> Result<String, AddressFault> {
    let inner = octets
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .and_then(|inner| std::str::from_utf8(inner).ok())
        .ok_or(AddressFault::Literal)?;
    const TAG: &str = "IPv6:";
    if let Some((tag, rest)) = inner.split_at_checked(TAG.len())
        && tag.eq_ignore_ascii_case(TAG)
    {
        let address: Ipv6Addr = rest.parse().map_err(|_| AddressFault::Literal)?;
        return Ok(format!("[IPv6:{address}]"));
    }
    let address: Ipv4Addr = inner.parse().map_err(|_| AddressFault::Literal)?;
    Ok(format!("[{address}]"))
}

fn is_label(label: &[u8]) -> bool {
    label.len() <= LABEL_OCTETS_MAX
        && chars::all(label, chars::LDH)
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
}

/// `Dot-string = Atom *("." Atom)`, UTF-8 included.
fn is_dot_string(octets: &[u8]) -> bool {
    octets
        .split(|&octet| octet == b'.')
        .all(|atom| chars::all(atom, chars::ATEXT | chars::NON_ASCII))
}

struct Scanner<'a> {
    octets: &'a [u8],
    at: usize,
    charset: Charset,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        self.at += usize::from(there);
        there
    }

    fn expect(&mut self, octet: u8) -> Result<(), AddressFault> {
        if self.take(octet) {
            Ok(())
        } else {
            Err(AddressFault::Syntax)
        }
    }

    fn span(&mut self, set: chars::Class) -> &'a [u8] {
        let (taken, _) = self.rest().split_at(chars::span(self.rest(), set));
        self.at += taken.len();
        taken
    }

    /// `A-d-l = At-domain *( "," At-domain )` and its colon: checked, then forgotten.
    fn source_route(&mut self) -> Result<(), AddressFault> {
        loop {
            self.expect(b'@')?;
            self.domain_or_literal()?;
            if self.take(b':') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    /// `Local-part = Dot-string / Quoted-string`
    fn local_part(&mut self) -> Result<String, AddressFault> {
        let start = self.at;
        let local = if self.take(b'"') {
            self.quoted_string()?
        } else {
            let dotted = self.dotted(chars::ATEXT | chars::NON_ASCII);
            if !is_dot_string(dotted) {
                return Err(AddressFault::Syntax);
            }
            dotted.to_vec()
        };
        if self.at - start > LOCAL_OCTETS_MAX {
            return Err(AddressFault::LocalTooLong);
        }
        self.text(local)
    }

    /// The longest run of `set` and dots.
    fn dotted(&mut self, set: chars::Class) -> &'a [u8] {
        let start = self.at;
        loop {
            self.span(set);
            if !self.take(b'.') {
                return self.octets.get(start..self.at).unwrap_or_default();
            }
        }
    }

    /// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`, `quoted-pairSMTP = %d92 %d32-126`
    fn quoted_string(&mut self) -> Result<Vec<u8>, AddressFault> {
        let mut local = Vec::new();
        loop {
            local.extend_from_slice(self.span(chars::QTEXT_SMTP | chars::NON_ASCII));
            if self.take(b'"') {
                return Ok(local);
            }
            self.expect(b'\\')?;
            match self.peek() {
                Some(octet @ 32..=126) => local.push(octet),
                _ => return Err(AddressFault::Syntax),
            }
            self.at += 1;
        }
    }

    fn domain_or_literal(&mut self) -> Result<String, AddressFault> {
        if self.peek() == Some(b'[') {
            let length = memchr::memchr(b']', self.rest()).ok_or(AddressFault::Literal)? + 1;
            let (octets, _) = self.rest().split_at(length);
            self.at += length;
            return literal(octets);
        }
        let octets = self.dotted(chars::LDH | chars::NON_ASCII);
        domain(octets, self.charset)
    }

    fn text(&self, octets: Vec<u8>) -> Result<String, AddressFault> {
        if self.charset == Charset::Ascii && !octets.is_ascii() {
            return Err(AddressFault::NotAscii);
        }
        let text = String::from_utf8(octets).map_err(|_| AddressFault::NotUtf8)?;
        // C1 controls are inside UTF8-non-ascii but are no text that anybody could have meant.
        if text.chars().any(char::is_control) {
            return Err(AddressFault::Syntax);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn parsed(text: &str) -> Result<String, AddressFault> {
        let (path, length) = path(text.as_bytes(), Charset::Ascii)?;
        assert_eq!(length, text.len());
        Ok(path.to_string())
    }

    #[test]
    fn paths_of_the_grammar() {
        for (text, expected) in [
            ("<>", ""),
            ("<a@b>", "a@b"),
            ("<Joe.Doe+x@Example.COM>", "Joe.Doe+x@example.com"),
            ("<@one,@two.example:joe@three>", "joe@three"),
            ("<@[192.0.2.1]:joe@three>", "joe@three"),
            ("<\"joe\"@b>", "joe@b"),
            ("<\"j\\oe\"@b>", "joe@b"),
            ("<\"a b\"@c>", "\"a b\"@c"),
            ("<\"a\\\"b>\\\\\"@c>", "\"a\\\"b>\\\\\"@c"),
            ("<\"\"@c>", "\"\"@c"),
            ("<\"a..b\"@c>", "\"a..b\"@c"),
            ("<joe@[192.0.2.1]>", "joe@[192.0.2.1]"),
            ("<joe@[ipv6:2001:DB8:0::1]>", "joe@[IPv6:2001:db8::1]"),
            ("<joe@[IPv6:::ffff:192.0.2.1]>", "joe@[IPv6:::ffff:192.0.2.1]"),
            ("<Postmaster>", "Postmaster"),
            ("<!#$%&'*+-/=?^_`{|}~@1.2>", "!#$%&'*+-/=?^_`{|}~@1.2"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn paths_that_are_refused() {
        use AddressFault::{Domain, Literal, NotAscii, Syntax};
        for (text, fault) in [
            ("", Syntax),
            ("a@b", Syntax),
            ("<a@b", Syntax),
            ("<a>", Syntax),
            ("<a@>", Domain),
            ("<@b>", Syntax),
            ("<a b@c>", Syntax),
            ("<.a@c>", Syntax),
            ("<a.@c>", Syntax),
            ("<a..b@c>", Syntax),
            ("<a@b..c>", Domain),
            ("<a@b.>", Domain),
            ("<a@-b>", Domain),
            ("<a@b->", Domain),
            ("<a@b_c>", Syntax),
            ("<a@@b>", Domain),
            ("<\"a@c>", Syntax),
            ("<\"a\tb\"@c>", Syntax),
            ("<\"a\"b@c>", Syntax),
            ("<a@[1.2.3]>", Literal),
            ("<a@[1.2.3.256]>", Literal),
            ("<a@[::1]>", Literal),
            ("<a@[IPv6:::1%eth0]>", Literal),
            ("<a@[IPv6:1.2.3.4]>", Literal),
            ("<a@[x:1.2.3.4]>", Literal),
            ("<a@[1.2.3.4>", Literal),
            ("<@one,joe@three>", Syntax),
            ("<@one:>", Syntax),
            ("<@one:postmaster@>", Domain),
            ("<jö@b>", NotAscii),
            ("<j@ö.example>", NotAscii),
        ] {
            assert_eq!(parsed(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn lengths_at_and_beyond_their_limits() {
        let local = "l".repeat(64);
        let label = "d".repeat(63);
        assert!(parsed(&format!("<{local}@{label}>")).is_ok());
        assert_eq!(parsed(&format!("<{local}l@{label}>")), Err(AddressFault::LocalTooLong));
        assert_eq!(parsed(&format!("<{local}@{label}d>")), Err(AddressFault::Domain));
        let long = format!("{label}.{label}.{label}.{label}");
        assert_eq!(long.len(), 255);
        assert!(domain(long.as_bytes(), Charset::Ascii).is_ok());
        assert_eq!(
            domain(format!("{long}.d").as_bytes(), Charset::Ascii),
            Err(AddressFault::Domain)
        );
        let fill = "e".repeat(61);
        let whole = format!("<{local}@{label}.{label}.{fill}>");
        assert_eq!(whole.len(), 256);
        assert!(parsed(&whole).is_ok());
        assert_eq!(
            parsed(&format!("<{local}@{label}.{label}.{fill}e>")),
            Err(AddressFault::PathTooLong)
        );
    }

    #[test]
    fn utf8_only_when_it_was_asked_for() {
        let (path, _) = path("<Jörg@MÜNCHEN.example>".as_bytes(), Charset::Utf8).unwrap();
        assert_eq!(path.to_string(), "Jörg@münchen.example");
        assert_eq!(mailbox(b"j\xff@b", Charset::Utf8), Err(AddressFault::NotUtf8));
        assert_eq!(mailbox(b"j@b\xc3", Charset::Utf8), Err(AddressFault::NotUtf8));
        assert_eq!(
            mailbox("j\u{85}@b".as_bytes(), Charset::Utf8),
            Err(AddressFault::Syntax)
        );
        assert_eq!(
            mailbox("j@b\u{2003}c".as_bytes(), Charset::Utf8),
            Err(AddressFault::Domain)
        );
        assert_eq!(mailbox("j@-ö".as_bytes(), Charset::Utf8), Err(AddressFault::Domain));
        assert_eq!(mailbox(b"j@b c", Charset::Utf8), Err(AddressFault::Syntax));
    }

    #[test]
    fn what_is_printed_parses_to_the_same() {
        for local in ["a", "a b", "", ".", "a\"b\\c", "a@b", "<>", "a."] {
            let mailbox = Mailbox {
                local: local.to_string(),
                domain: "d.example".to_string(),
            };
            assert_eq!(
                super::mailbox(mailbox.to_string().as_bytes(), Charset::Ascii).unwrap(),
                mailbox
            );
        }
    }
}
