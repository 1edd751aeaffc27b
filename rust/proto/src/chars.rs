//! Character classes as one table of 256 bit sets; the ABNF stands beside each bit.
//!
//! Octets above 127 are in no class but [`NON_ASCII`]; grammars that allow UTF-8 add it and validate the UTF-8 apart.

/// A set of character classes.
pub type Class = u32;

/// `ALPHA = %x41-5A / %x61-7A` (RFC 5234 B.1)
pub const ALPHA: Class = 1;
/// `DIGIT = %x30-39` (RFC 5234 B.1)
pub const DIGIT: Class = 1 << 1;
/// `HEXDIG = DIGIT / "A" / "B" / "C" / "D" / "E" / "F"`, either case (RFC 5234 B.1, §2.3)
pub const HEXDIG: Class = 1 << 2;
/// `atext = ALPHA / DIGIT / "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "/" / "=" / "?" / "^" / "_" / "`" /
/// "{" / "|" / "}" / "~"` (RFC 5322 §3.2.3)
pub const ATEXT: Class = 1 << 3;
/// `VCHAR = %x21-7E` (RFC 5234 B.1)
pub const VCHAR: Class = 1 << 4;
/// `WSP = SP / HTAB` (RFC 5234 B.1)
pub const WSP: Class = 1 << 5;
/// `qtextSMTP = %d32-33 / %d35-91 / %d93-126` (RFC 5321 §4.1.2)
pub const QTEXT_SMTP: Class = 1 << 6;
/// `ALPHA / DIGIT / "-"`, the octets of `Ldh-str` (RFC 5321 §4.1.2)
pub const LDH: Class = 1 << 7;
/// `dcontent = %d33-90 / %d94-126`, printable ASCII but "[", "\" and "]" (RFC 5321 §4.1.3)
pub const DCONTENT: Class = 1 << 8;
/// An octet of `esmtp-value = 1*(%d33-60 / %d62-126)` (RFC 5321 §4.1.2)
pub const ESMTP_VALUE: Class = 1 << 9;
/// `xchar = any ASCII CHAR between "!" (33) and "~" (126) inclusive, except for "+" and "="` (RFC 3461 §4)
pub const XCHAR: Class = 1 << 10;
/// An octet of `sasl-mech = 1*20mech-char; mech-char = UPPER-ALPHA / DIGIT / HYPHEN / UNDERSCORE`, either case
/// (RFC 4422 §3.1)
pub const SASL_MECHANISM: Class = 1 << 11;
/// `CTL = %x00-1F / %x7F` (RFC 5234 B.1)
pub const CTL: Class = 1 << 12;
/// `ATOM-CHAR = <any CHAR except atom-specials>; atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards /
/// quoted-specials / resp-specials` with `list-wildcards = "%" / "*"`, `quoted-specials = DQUOTE / "\"`,
/// `resp-specials = "]"` (RFC 9051 §9)
pub const IMAP_ATOM: Class = 1 << 13;
/// `ASTRING-CHAR = ATOM-CHAR / resp-specials` (RFC 9051 §9)
pub const IMAP_ASTRING: Class = 1 << 14;
/// `tag = 1*<any ASTRING-CHAR except "+">` (RFC 9051 §9)
pub const IMAP_TAG: Class = 1 << 15;
/// `list-char = ATOM-CHAR / list-wildcards / resp-specials` (RFC 9051 §9)
pub const IMAP_LIST: Class = 1 << 16;
/// `TEXT-CHAR = <any CHAR except CR and LF>` with `CHAR = %x01-7F` (RFC 9051 §9, RFC 5234 B.1)
pub const IMAP_TEXT: Class = 1 << 17;
/// `base64-char = ALPHA / DIGIT / "+" / "/"` (RFC 9051 §9, RFC 4648 §4)
pub const BASE64: Class = 1 << 18;
/// `ftext = %d33-57 / %d59-126` (RFC 5322 §3.6.8)
pub const FIELD_NAME: Class = 1 << 19;
/// `%x80-FF`: part of a UTF-8 sequence or not text at all
pub const NON_ASCII: Class = 1 << 20;

const fn either(set: &[u8], octet: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == octet {
            return true;
        }
        at += 1;
    }
    false
}

const fn classify(octet: u8) -> Class {
    if octet >= 0x80 {
        return NON_ASCII;
    }
    let alpha = octet.is_ascii_alphabetic();
    let digit = octet.is_ascii_digit();
    let vchar = octet >= 0x21 && octet <= 0x7e;
    let control = octet < 0x20 || octet == 0x7f;
    let mut class = 0;
    if alpha {
        class |= ALPHA;
    }
    if digit {
        class |= DIGIT;
    }
    if octet.is_ascii_hexdigit() {
        class |= HEXDIG;
    }
    if alpha || digit || either(b"!#$%&'*+-/=?^_`{|}~", octet) {
        class |= ATEXT;
    }
    if vchar {
        class |= VCHAR;
    }
    if octet == b' ' || octet == b'\t' {
        class |= WSP;
    }
    if (vchar || octet == b' ') && octet != b'"' && octet != b'\\' {
        class |= QTEXT_SMTP;
    }
    if alpha || digit || octet == b'-' {
        class |= LDH;
    }
    if vchar && !either(b"[\\]", octet) {
        class |= DCONTENT;
    }
    if vchar && octet != b'=' {
        class |= ESMTP_VALUE;
    }
    if vchar && octet != b'+' && octet != b'=' {
        class |= XCHAR;
    }
    if alpha || digit || octet == b'-' || octet == b'_' {
        class |= SASL_MECHANISM;
    }
    if control {
        class |= CTL;
    }
    if vchar && !either(b"(){%*\"\\]", octet) {
        class |= IMAP_ATOM | IMAP_ASTRING | IMAP_LIST;
        if octet != b'+' {
            class |= IMAP_TAG;
        }
    }
    if octet == b']' {
        class |= IMAP_ASTRING | IMAP_TAG | IMAP_LIST;
    }
    if octet == b'%' || octet == b'*' {
        class |= IMAP_LIST;
    }
    if octet != 0 && octet != b'\r' && octet != b'\n' {
        class |= IMAP_TEXT;
    }
    if alpha || digit || octet == b'+' || octet == b'/' {
        class |= BASE64;
    }
    if vchar && octet != b':' {
        class |= FIELD_NAME;
    }
    class
}

const fn table() -> [Class; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = classify(at as u8);
        at += 1;
    }
    table
}

static TABLE: [Class; 256] = table();

/// Whether the octet is in any of the classes of `set`.
pub fn is(octet: u8, set: Class) -> bool {
    // A u8 cannot leave a table of 256.
    TABLE[octet as usize] & set != 0
}

/// Whether all octets are in `set` and there is at least one.
pub fn all(octets: &[u8], set: Class) -> bool {
    !octets.is_empty() && octets.iter().all(|&octet| is(octet, set))
}

/// How many octets at the front are in `set`.
pub fn span(octets: &[u8], set: Class) -> usize {
    octets.iter().position(|&octet| !is(octet, set)).unwrap_or(octets.len())
}

/// A decimal number made of digits only; `None` when empty, when another octet is there, or above `max`.
pub fn number(digits: &[u8], max: u64) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for &octet in digits {
        if !octet.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(octet - b'0'))?;
        if value > max {
            return None;
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each class written out again as the RFC's set of characters.
    fn members(class: Class) -> String {
        let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let lower = "abcdefghijklmnopqrstuvwxyz";
        let digits = "0123456789";
        let range = |from: u8, to: u8| (from..=to).map(char::from).collect::<String>();
        match class {
            ALPHA => format!("{upper}{lower}"),
            DIGIT => digits.to_string(),
            HEXDIG => format!("{digits}ABCDEFabcdef"),
            ATEXT => format!("{upper}{lower}{digits}!#$%&'*+-/=?^_`{{|}}~"),
            VCHAR => range(0x21, 0x7e),
            WSP => " \t".to_string(),
            QTEXT_SMTP => range(32, 33) + &range(35, 91) + &range(93, 126),
            LDH => format!("{upper}{lower}{digits}-"),
            DCONTENT => range(33, 90) + &range(94, 126),
            ESMTP_VALUE => range(33, 60) + &range(62, 126),
            XCHAR => range(33, 42) + &range(44, 60) + &range(62, 126),
            SASL_MECHANISM => format!("{upper}{lower}{digits}-_"),
            CTL => range(0, 0x1f) + "\x7f",
            IMAP_ATOM => format!("{upper}{lower}{digits}!#$&'+,-./:;<=>?@[^_`|}}~"),
            IMAP_ASTRING => format!("{upper}{lower}{digits}!#$&'+,-./:;<=>?@[]^_`|}}~"),
            IMAP_TAG => format!("{upper}{lower}{digits}!#$&',-./:;<=>?@[]^_`|}}~"),
            IMAP_LIST => format!("{upper}{lower}{digits}!#$&'+,-./:;<=>?@[]^_`|}}~%*"),
            IMAP_TEXT => range(1, 9) + &range(11, 12) + &range(14, 127),
            BASE64 => format!("{upper}{lower}{digits}+/"),
            FIELD_NAME => range(33, 57) + &range(59, 126),
            _ => String::new(),
        }
    }

    #[test]
    fn all_octets_through_every_class() {
        for bit in 0..20 {
            let class = 1 << bit;
            let members = members(class);
            assert!(!members.is_empty(), "class {bit}");
            for octet in 0..=255u8 {
                let expected = octet < 128 && members.contains(char::from(octet));
                assert_eq!(is(octet, class), expected, "class {bit}, octet {octet:#04x}");
            }
        }
        for octet in 0..=255u8 {
            assert_eq!(is(octet, NON_ASCII), octet >= 128);
            assert!(!is(octet, 1 << 21));
        }
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!(number(b"0", 9), Some(0));
        assert_eq!(number(b"0010", 10), Some(10));
        assert_eq!(number(b"11", 10), None);
        assert_eq!(number(b"", 10), None);
        assert_eq!(number(b"1a", 100), None);
        assert_eq!(number(b"-1", 100), None);
        assert_eq!(number(b"18446744073709551615", u64::MAX), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616", u64::MAX), None);
    }

    #[test]
    fn spans_and_sets() {
        assert_eq!(span(b"abc1 x", ALPHA | DIGIT), 4);
        assert_eq!(span(b"abc", ALPHA), 3);
        assert!(all(b"abc", ALPHA) && !all(b"", ALPHA) && !all(b"ab1", ALPHA));
    }
}
