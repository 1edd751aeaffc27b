//! The words of the IMAP grammar over one complete command, literals inline (RFC 9051 §9).
//!
//! A [`Lexer`] never copies what it need not, never reads past the command and never recurses.

use std::borrow::Cow;

use super::fault::{BadKind, Fault};

const ATOM: u8 = 1;
const ASTRING: u8 = 2;
const LIST: u8 = 4;
const TAG: u8 = 8;

/// Classes of each octet.
///
/// `ATOM-CHAR = <any CHAR except atom-specials>`; `ASTRING-CHAR = ATOM-CHAR / resp-specials`;
/// `list-char = ATOM-CHAR / list-wildcards / resp-specials`; `tag = 1*<any ASTRING-CHAR except "+">`.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut octet = 0x21_usize;
    while octet < 0x7f {
        table[octet] = match octet as u8 {
            b'(' | b')' | b'{' | b'"' | b'\\' => 0,
            b'%' | b'*' => LIST,
            b']' => ASTRING | LIST | TAG,
            b'+' => ATOM | ASTRING | LIST,
            _ => ATOM | ASTRING | LIST | TAG,
        };
        octet += 1;
    }
    table
}

/// True for the octets of an atom.
#[must_use]
pub fn is_atom_char(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & ATOM != 0
}

/// True for the octets of a tag.
#[must_use]
pub fn is_tag_char(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & TAG != 0
}

/// Reads a command from left to right.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    data: &'a [u8],
    position: usize,
}

impl<'a> Lexer<'a> {
    /// Over a complete command, its final CRLF included.
    #[must_use]
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    /// The octet that comes next.
    #[must_use]
    pub fn peek(&self) -> Option<u8> {
        self.data.get(self.position).copied()
    }

    /// What has not been read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.data.get(self.position..).unwrap_or_default()
    }

    /// Reads `octet` if it comes next.
    pub fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        if found {
            self.position += 1;
        }
        found
    }

    /// Reads `octet` or fails with `text`.
    pub fn expect(&mut self, octet: u8, text: &'static str) -> Result<(), Fault> {
        if self.eat(octet) {
            Ok(())
        } else {
            Err(Fault::syntax(text))
        }
    }

    /// Exactly one space.
    pub fn space(&mut self) -> Result<(), Fault> {
        self.expect(b' ', "expected a space")
    }

    /// The end of the command: CRLF and nothing behind it.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.rest() == b"\r\n" {
            self.position = self.data.len();
            Ok(())
        } else {
            Err(Fault::syntax("unexpected characters after the command"))
        }
    }

    /// True when only the CRLF is left.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.rest() == b"\r\n"
    }

    fn run(&mut self, class: u8) -> &'a [u8] {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|&octet| CLASSES[usize::from(octet)] & class == 0)
            .unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Octets for which `member` holds; may be none.
    pub fn take_while(&mut self, member: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&octet| !member(octet)).unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    /// `tag`, as text.
    pub fn tag(&mut self) -> Result<&'a str, Fault> {
        let run = self.run(TAG);
        if run.is_empty() {
            Err(Fault::syntax("expected a tag"))
        } else {
            ascii(run)
        }
    }

    /// `atom`, as text.
    pub fn atom(&mut self) -> Result<&'a str, Fault> {
        let run = self.run(ATOM);
        if run.is_empty() {
            Err(Fault::syntax("expected an atom"))
        } else {
            ascii(run)
        }
    }

    /// `astring`: an atom with `]` allowed, or a string.
    pub fn astring(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        self.run_or_string(ASTRING)
    }

    /// `list-mailbox`: an atom with wildcards and `]` allowed, or a string.
    pub fn list_mailbox(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        self.run_or_string(LIST)
    }

    fn run_or_string(&mut self, class: u8) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let run = self.run(class);
                if run.is_empty() {
                    Err(Fault::syntax("expected a string or an atom"))
                } else {
                    Ok(Cow::Borrowed(run))
                }
            }
        }
    }

    /// `string`: quoted or literal.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Fault::syntax("expected a string")),
        }
    }

    /// `nstring`: a string or NIL.
    pub fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Some),
            _ if self.atom()?.eq_ignore_ascii_case("NIL") => Ok(None),
            _ => Err(Fault::syntax("expected a string or NIL")),
        }
    }

    /// `quoted`: octets above 127 must be UTF-8 (RFC 9051 §4.3); no CR, LF or NUL.
    pub fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        self.expect(b'"', "expected a quoted string")?;
        let rest = self.rest();
        let mut unescaped: Option<Vec<u8>> = None;
        let mut index = 0;
        loop {
            match rest.get(index).copied() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some(&octet @ (b'"' | b'\\')) = rest.get(index + 1) else {
                        return Err(Fault::syntax("a backslash quotes only itself and the double quote"));
                    };
                    unescaped
                        .get_or_insert_with(|| rest.get(..index).unwrap_or_default().to_vec())
                        .push(octet);
                    index += 2;
                }
                None | Some(b'\r' | b'\n' | 0) => return Err(Fault::syntax("unfinished quoted string")),
                Some(octet) => {
                    if let Some(text) = &mut unescaped {
                        text.push(octet);
                    }
                    index += 1;
                }
            }
        }
        self.position += index + 1;
        let text = unescaped.map_or_else(|| Cow::Borrowed(rest.get(..index).unwrap_or_default()), Cow::Owned);
        if std::str::from_utf8(&text).is_err() {
            return Err(Fault::new(BadKind::NotUtf8, "a quoted string must be UTF-8"));
        }
        Ok(text)
    }

    /// `literal`: `{n}` or `{n+}`, CRLF, n octets without NUL.
    pub fn literal(&mut self) -> Result<&'a [u8], Fault> {
        let text = self.octets()?;
        if memchr::memchr(0, text).is_some() {
            return Err(Fault::new(BadKind::Nul, "NUL in a literal"));
        }
        Ok(text)
    }

    /// `literal8`: the same behind `~`, with any octets (RFC 3516 §4.4).
    pub fn literal8(&mut self) -> Result<&'a [u8], Fault> {
        self.expect(b'~', "expected a literal8")?;
        self.octets()
    }

    fn octets(&mut self) -> Result<&'a [u8], Fault> {
        const MALFORMED: Fault = Fault::syntax("malformed literal");
        self.expect(b'{', "expected a literal")?;
        let length = self.number64()?;
        self.eat(b'+');
        if !self.rest().starts_with(b"}\r\n") {
            return Err(MALFORMED);
        }
        self.position += 3;
        let length = usize::try_from(length).map_err(|_| MALFORMED)?;
        let text = self.rest().get(..length).ok_or(MALFORMED)?;
        self.position += length;
        Ok(text)
    }

    /// `number64`: decimal digits, below 2^63.
    pub fn number64(&mut self) -> Result<u64, Fault> {
        let digits = self.take_while(|octet| octet.is_ascii_digit());
        if digits.is_empty() {
            return Err(Fault::syntax("expected a number"));
        }
        decimal(digits)
            .filter(|&number| number < 1 << 63)
            .ok_or(Fault::syntax("number out of range"))
    }

    /// `number`: 32 bits.
    pub fn number(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number64()?).map_err(|_| Fault::syntax("number out of range"))
    }

    /// `nz-number`: 32 bits, not zero.
    pub fn nz_number(&mut self) -> Result<u32, Fault> {
        match self.number()? {
            0 => Err(Fault::syntax("zero where a positive number is needed")),
            number => Ok(number),
        }
    }

    /// An opening parenthesis.
    pub fn open(&mut self) -> Result<(), Fault> {
        self.expect(b'(', "expected (")
    }

    /// In a parenthesised list after an item: true when another follows a space, false at `)`.
    pub fn another(&mut self) -> Result<bool, Fault> {
        if self.eat(b' ') {
            Ok(true)
        } else {
            self.expect(b')', "expected ) or a space")?;
            Ok(false)
        }
    }
}

/// Decimal digits as a number; `None` when they do not fit 64 bits.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, &digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Octets as UTF-8 text.
pub(super) fn utf8(octets: Cow<'_, [u8]>) -> Result<String, Fault> {
    String::from_utf8(octets.into_owned()).map_err(|_| Fault::new(BadKind::NotUtf8, "the text must be UTF-8"))
}

fn ascii(run: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(run).map_err(|_| Fault::syntax("expected ASCII"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn classes_of_all_octets() {
        for octet in 0..=255_u8 {
            let special = matches!(octet, b'(' | b')' | b'{' | b' ' | b'%' | b'*' | b'"' | b'\\' | b']');
            let atom = octet > 0x20 && octet < 0x7f && !special;
            assert_eq!(is_atom_char(octet), atom, "{octet:#x}");
            assert_eq!(
                CLASSES[usize::from(octet)] & ASTRING != 0,
                atom || octet == b']',
                "{octet:#x}"
            );
            assert_eq!(
                CLASSES[usize::from(octet)] & LIST != 0,
                atom || matches!(octet, b']' | b'%' | b'*'),
                "{octet:#x}"
            );
            assert_eq!(
                is_tag_char(octet),
                (atom && octet != b'+') || octet == b']',
                "{octet:#x}"
            );
        }
    }

    #[test]
    fn strings() {
        assert_eq!(Lexer::new(b"\"a\\\"b\\\\\" x").quoted().unwrap().as_ref(), b"a\"b\\");
        assert!(matches!(
            Lexer::new(b"\"plain\"").quoted().unwrap(),
            Cow::Borrowed(b"plain")
        ));
        assert_eq!(
            Lexer::new("\"é\"".as_bytes()).quoted().unwrap().as_ref(),
            "é".as_bytes()
        );
        assert_eq!(Lexer::new(b"{3+}\r\na\r\n").astring().unwrap().as_ref(), b"a\r\n");
        assert_eq!(Lexer::new(b"a]b ").astring().unwrap().as_ref(), b"a]b");
        assert_eq!(Lexer::new(b"a%* ").list_mailbox().unwrap().as_ref(), b"a%*");
        assert_eq!(Lexer::new(b"nil ").nstring().unwrap(), None);
        for bad in [
            &b"\"abc"[..],
            b"\"a\\b\"",
            b"\"a\r\n\"",
            b"\"a\x00\"",
            b"\"\xff\"",
            b"\"\\",
            b"{4}\r\nabc",
            b"{}\r\n",
            b"{1}\r\n\0",
            b"{1} a",
            b"{99999999999999999999}\r\n",
            b"",
            b" ",
        ] {
            assert!(Lexer::new(bad).astring().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(Lexer::new(b"4294967295").number().unwrap(), u32::MAX);
        assert!(Lexer::new(b"4294967296").number().is_err());
        assert_eq!(Lexer::new(b"9223372036854775807").number64().unwrap(), (1 << 63) - 1);
        assert!(Lexer::new(b"9223372036854775808").number64().is_err());
        assert!(Lexer::new(b"0").nz_number().is_err());
        assert!(Lexer::new(b"x").number().is_err());
    }
}
