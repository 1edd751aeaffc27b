//! Mailbox names: the INBOX rule, modified UTF-7, UTF-8, and LIST patterns (RFC 9051 §5.1, §6.3.9; RFC 3501 §5.1.3).
//!
//! Inside the server a name is Unicode text with levels separated by `/`. What a name may hold beyond that (length,
//! empty levels) is the store's policy.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::fault::{BadKind, Fault};

/// The hierarchy separator.
pub const SEPARATOR: char = '/';

/// Modified BASE64: `,` instead of `/`, no padding, trailing bits zero.
const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::IMAP_MUTF7, NO_PAD);

const BAD_NAME: Fault = Fault::new(BadKind::MailboxName, "the mailbox name is not valid");

/// How names cross the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameEncoding {
    /// Modified UTF-7 both ways; a name with octets above 127 that is UTF-8 is understood as well.
    #[default]
    ModifiedUtf7,
    /// UTF-8 both ways, after ENABLE IMAP4rev2 or UTF8=ACCEPT (RFC 9051 §5.1, RFC 6855 §3).
    Utf8,
}

/// A name from the wire as Unicode text, INBOX in upper case.
///
/// Refuses what is neither UTF-8 nor canonical modified UTF-7, and control characters (RFC 9051 §5.1, RFC 5198 §2).
pub fn decode_name(octets: &[u8], encoding: NameEncoding) -> Result<String, Fault> {
    let name = decode_text(octets, encoding)?;
    Ok(fold_inbox(name))
}

/// A LIST pattern or reference from the wire: like a name, `%` and `*` stay wildcards.
pub fn decode_pattern(octets: &[u8], encoding: NameEncoding) -> Result<String, Fault> {
    decode_text(octets, encoding)
}

fn decode_text(octets: &[u8], encoding: NameEncoding) -> Result<String, Fault> {
    let text = if encoding == NameEncoding::Utf8 || !octets.is_ascii() {
        std::str::from_utf8(octets).map(str::to_owned).map_err(|_| BAD_NAME)?
    } else {
        decode_modified_utf7(octets).ok_or(BAD_NAME)?
    };
    if text.chars().any(is_forbidden) {
        Err(BAD_NAME)
    } else {
        Ok(text)
    }
}

/// Control characters and line separators: never part of a name.
fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// INBOX, alone or as the first level, is the same name in any case (RFC 9051 §5.1).
fn fold_inbox(mut name: String) -> String {
    if starts_with_inbox(&name) {
        name.replace_range(..INBOX.len(), INBOX);
    }
    name
}

const INBOX: &str = "INBOX";

fn starts_with_inbox(name: &str) -> bool {
    let Some((head, rest)) = name.as_bytes().split_at_checked(INBOX.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(INBOX.as_bytes()) && (rest.is_empty() || rest.starts_with(b"/"))
}

/// Canonical modified UTF-7 as text; `None` for anything else (RFC 3501 §5.1.3).
#[must_use]
pub fn decode_modified_utf7(octets: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet != b'&' {
            if !(0x20..0x7f).contains(&octet) {
                return None;
            }
            text.push(char::from(octet));
            continue;
        }
        let end = memchr::memchr(b'-', rest)?;
        let (shifted, tail) = rest.split_at_checked(end)?;
        rest = tail.get(1..)?;
        if shifted.is_empty() {
            text.push('&');
            continue;
        }
        let units = MODIFIED_BASE64.decode(shifted).ok()?;
        if units.len() % 2 != 0 {
            return None;
        }
        let units = units.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
        for character in char::decode_utf16(units) {
            text.push(character.ok()?);
        }
    }
    // One spelling per name: superfluous shifts and shifted ASCII are forbidden, and encoding again finds them all.
    let mut canonical = Vec::with_capacity(octets.len());
    encode_modified_utf7(&mut canonical, &text);
    (canonical == octets).then_some(text)
}

/// Appends text in modified UTF-7 (RFC 3501 §5.1.3).
pub fn encode_modified_utf7(out: &mut Vec<u8>, text: &str) {
    let mut shifted: Vec<u8> = Vec::new();
    for character in text.chars() {
        if (' '..='~').contains(&character) {
            end_shift(out, &mut shifted);
            out.push(character as u8);
            if character == '&' {
                out.push(b'-');
            }
        } else {
            let mut units = [0_u16; 2];
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    end_shift(out, &mut shifted);
}

fn end_shift(out: &mut Vec<u8>, shifted: &mut Vec<u8>) {
    if !shifted.is_empty() {
        out.push(b'&');
        out.extend_from_slice(MODIFIED_BASE64.encode(&shifted).as_bytes());
        out.push(b'-');
        shifted.clear();
    }
}

/// A LIST pattern made ready: reference and pattern joined, runs of wildcards merged.
#[derive(Clone, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
    /// Characters that a name must have at least.
    characters: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Character(char),
    /// `*`: anything.
    Star,
    /// `%`: anything but the separator.
    Percent,
}

impl Pattern {
    /// Joins reference and pattern; the reference is taken as it is (RFC 9051 §6.3.9), wildcards in it included.
    #[must_use]
    pub fn new(reference: &str, pattern: &str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        let mut characters = 0;
        for character in reference.chars().chain(pattern.chars()) {
            let token = match character {
                '*' => Token::Star,
                '%' => Token::Percent,
                other => Token::Character(other),
            };
            match (tokens.last().copied(), token) {
                (Some(Token::Star), Token::Star | Token::Percent) | (Some(Token::Percent), Token::Percent) => {}
                (Some(Token::Percent), Token::Star) => {
                    tokens.pop();
                    tokens.push(Token::Star);
                }
                _ => {
                    characters += usize::from(matches!(token, Token::Character(_)));
                    tokens.push(token);
                }
            }
        }
        Self { tokens, characters }
    }

    /// Does the name match? INBOX as the first level matches in any case.
    ///
    /// Each character of the name moves a set of pattern positions forward, so the time is bounded by the product of
    /// both lengths whatever the wildcards, and a pattern longer than the name is refused at once.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.characters > name.len() {
            return false;
        }
        let folded = if starts_with_inbox(name) { INBOX.len() } else { 0 };
        // Positions in ascending order, each at most once.
        let mut current: Vec<usize> = Vec::new();
        let mut next: Vec<usize> = Vec::new();
        self.enter(&mut current, 0);
        for (index, character) in name.chars().enumerate() {
            for &position in &current {
                match self.tokens.get(position) {
                    Some(Token::Star) => self.enter(&mut next, position),
                    Some(Token::Percent) if character != SEPARATOR => self.enter(&mut next, position),
                    Some(&Token::Character(wanted))
                        if wanted == character || (index < folded && wanted.eq_ignore_ascii_case(&character)) =>
                    {
                        self.enter(&mut next, position + 1);
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut current, &mut next);
            next.clear();
            if current.is_empty() {
                return false;
            }
        }
        current.last() == Some(&self.tokens.len())
    }

    /// Adds a position, and the one behind it where a wildcard may match nothing.
    fn enter(&self, positions: &mut Vec<usize>, position: usize) {
        if positions.last().is_none_or(|&last| last < position) {
            positions.push(position);
        }
        // Wildcards never stand side by side, so one step is enough.
        if matches!(self.tokens.get(position), Some(Token::Star | Token::Percent))
            && positions.last().is_none_or(|&last| last < position + 1)
        {
            positions.push(position + 1);
        }
    }
}

/// LIST matching of one name (RFC 9051 §6.3.9); for many names make a [`Pattern`] once.
#[must_use]
pub fn mailbox_matches(name: &str, reference: &str, pattern: &str) -> bool {
    Pattern::new(reference, pattern).matches(name)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn encode(text: &str) -> String {
        let mut out = Vec::new();
        encode_modified_utf7(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn modified_utf7_of_the_rfc() {
        assert_eq!(
            decode_modified_utf7(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(),
            "~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}"
        );
        assert_eq!(encode("Entw\u{fc}rfe & mehr"), "Entw&APw-rfe &- mehr");
        assert_eq!(encode("\u{1f600}"), "&2D3eAA-");
        // RFC 3501 §5.1.3: "&Jjo!" has no end, "&U,BTFw-&ZeVnLIqe-" a superfluous shift, "&AGE-" is "a".
        for bad in [
            "&Jjo!",
            "&U,BTFw-&ZeVnLIqe-",
            "&AGE-",
            "a&b",
            "&",
            "&AOk",
            "&AO-",
            "&2D0-",
            "&//-",
            "a\x7f",
        ] {
            assert_eq!(decode_modified_utf7(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn inbox_and_encodings() {
        let name = |octets: &[u8], encoding| decode_name(octets, encoding).ok();
        assert_eq!(name(b"inBox", NameEncoding::ModifiedUtf7).unwrap(), "INBOX");
        assert_eq!(name(b"inbox/Work", NameEncoding::Utf8).unwrap(), "INBOX/Work");
        assert_eq!(name(b"inboxes", NameEncoding::Utf8).unwrap(), "inboxes");
        assert_eq!(name(b"&AOk-", NameEncoding::ModifiedUtf7).unwrap(), "\u{e9}");
        assert_eq!(name(b"&AOk-", NameEncoding::Utf8).unwrap(), "&AOk-");
        assert_eq!(name("\u{e9}".as_bytes(), NameEncoding::ModifiedUtf7).unwrap(), "\u{e9}");
        assert_eq!(name(b"\xff", NameEncoding::Utf8), None);
        assert_eq!(name(b"a\nb", NameEncoding::Utf8), None);
        assert_eq!(name(b"&AAo-", NameEncoding::ModifiedUtf7), None);
        assert_eq!(name(b"&ICg-", NameEncoding::ModifiedUtf7), None);
        assert_eq!(name(b"", NameEncoding::Utf8).unwrap(), "");
    }

    #[test]
    fn patterns() {
        for (name, pattern, expected) in [
            ("a/b", "*", true),
            ("a/b", "%", false),
            ("a/b", "%/%", true),
            ("a/b/c", "a*c", true),
            ("a/b/c", "a%c", false),
            ("a/b/c", "%*", true),
            ("a/b/c", "*%*%*", true),
            ("a", "a%%%", true),
            ("", "", true),
            ("", "%", true),
            ("a", "", false),
            ("INBOX", "inbox", true),
            ("INBOX", "inb%", true),
            ("INBOX/a", "inbox/A", false),
            ("Inboxes", "INBOX%", false),
            ("\u{e9}t\u{e9}/x", "\u{e9}%/x", true),
            ("xaya/b", "%a%/b", true),
        ] {
            assert_eq!(mailbox_matches(name, "", pattern), expected, "{name} {pattern}");
        }
        assert!(mailbox_matches("a/b", "a/", "%"));
        assert!(!mailbox_matches("b/b", "a/", "%"));
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let name = "a".repeat(1000);
        assert!(!mailbox_matches(&name, "", &format!("{}b", "*a".repeat(400))));
        assert!(!mailbox_matches(&name, "", &"%a".repeat(30_000)));
    }
}
