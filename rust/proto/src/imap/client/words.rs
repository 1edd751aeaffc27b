//! Words of a server's response, read as servers write them rather than as the grammar has them (RFC 9051 §9).
//!
//! Extra spaces are passed over, a backslash quotes whatever follows it, octets above 127 stand where they like. `None`
//! means that the response cannot be understood; nothing here fails otherwise, recurses or reads past the end.

use super::{ELEMENTS_MAX, NESTING_MAX};
use std::borrow::Cow;

/// What stands where the grammar has `nstring` or `astring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// NIL, not in quotes.
    Nil,
    /// A word, quoted string or literal.
    Octets(Cow<'a, [u8]>),
    /// The literal whose octets have gone to the sink.
    Streamed,
}

impl<'a> Text<'a> {
    /// Its octets; NIL has the three of its name where a word is meant, as in a folder that is called so.
    pub(super) fn octets(self) -> Cow<'a, [u8]> {
        match self {
            Self::Nil => Cow::Borrowed(b"NIL"),
            Self::Octets(octets) => octets,
            Self::Streamed => Cow::Borrowed(b""),
        }
    }
}

/// Reads a response from left to right.
pub(super) struct Words<'a> {
    data: &'a [u8],
    at: usize,
    /// Where the octets of the streamed literal would stand.
    streamed: Option<usize>,
}

/// Octets of an atom as servers write it: all but what ends or begins something else.
fn is_atom(octet: u8) -> bool {
    octet > b' ' && !matches!(octet, b'(' | b')' | b'"' | 0x7f)
}

impl<'a> Words<'a> {
    /// Over a whole response without its final line end.
    pub(super) fn new(data: &'a [u8], streamed: Option<usize>) -> Self {
        Self { data, at: 0, streamed }
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// The octet that comes next, behind any spaces.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while matches!(self.data.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.data.get(self.at).copied()
    }

    /// Reads `octet` if it comes next, behind any spaces.
    pub(super) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    fn run(&mut self, member: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|&octet| !member(octet)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// A word without quotes; not empty.
    pub(super) fn atom(&mut self) -> Option<&'a [u8]> {
        self.peek()?;
        let run = self.run(is_atom);
        (!run.is_empty()).then_some(run)
    }

    /// A word in upper case.
    pub(super) fn keyword(&mut self) -> Option<String> {
        self.atom()
            .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    /// A number of at most 64 bits.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.peek()?;
        let digits = self.run(|octet| octet.is_ascii_digit());
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The name of a FETCH item with its section, upper case: `BODY[HEADER.FIELDS (DATE)]<0>`.
    pub(super) fn item(&mut self) -> Option<String> {
        self.peek()?;
        let start = self.at;
        self.run(|octet| is_atom(octet) && octet != b'[');
        if self.rest().first() == Some(&b'[') {
            let length = memchr::memchr(b']', self.rest())?;
            self.at += length + 1;
            self.run(is_atom);
        }
        let name = self.data.get(start..self.at).unwrap_or_default();
        (!name.is_empty()).then(|| String::from_utf8_lossy(name).to_ascii_uppercase())
    }

    /// A word, quoted string, literal or NIL.
    pub(super) fn text(&mut self) -> Option<Text<'a>> {
        match self.peek()? {
            b'"' => self.quoted().map(Text::Octets),
            b'{' => self.literal(),
            b'~' if self.rest().get(1) == Some(&b'{') => {
                self.at += 1;
                self.literal()
            }
            _ => self.atom().map(|word| {
                if word.eq_ignore_ascii_case(b"NIL") {
                    Text::Nil
                } else {
                    Text::Octets(Cow::Borrowed(word))
                }
            }),
        }
    }

    fn quoted(&mut self) -> Option<Cow<'a, [u8]>> {
        self.at += 1;
        let rest = self.rest();
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        if rest.get(end) == Some(&b'"') {
            self.at += end + 1;
            return rest.get(..end).map(Cow::Borrowed);
        }
        let mut text = Vec::new();
        let mut octets = rest.iter().copied().enumerate();
        while let Some((index, octet)) = octets.next() {
            match octet {
                b'"' => {
                    self.at += index + 1;
                    return Some(Cow::Owned(text));
                }
                b'\\' => text.push(octets.next()?.1),
                _ => text.push(octet),
            }
        }
        None
    }

    fn literal(&mut self) -> Option<Text<'a>> {
        self.at += 1;
        let length = usize::try_from(self.number()?).ok()?;
        if self.rest().first() == Some(&b'+') {
            self.at += 1;
        }
        if !self.rest().starts_with(b"}\r\n") {
            return None;
        }
        self.at += 3;
        if self.streamed == Some(self.at) {
            return Some(Text::Streamed);
        }
        let octets = self.rest().get(..length)?;
        self.at += length;
        Some(Text::Octets(Cow::Borrowed(octets)))
    }

    /// The words of a parenthesised list, at most [`ELEMENTS_MAX`]; NIL is none.
    pub(super) fn list(&mut self) -> Option<Vec<Cow<'a, [u8]>>> {
        if !self.eat(b'(') {
            return matches!(self.text()?, Text::Nil).then(Vec::new);
        }
        let mut found = Vec::new();
        while !self.eat(b')') {
            if found.len() >= ELEMENTS_MAX {
                return None;
            }
            found.push(self.text()?.octets());
        }
        Some(found)
    }

    /// As [`Self::list`], as text for people and programs.
    pub(super) fn names(&mut self) -> Option<Vec<String>> {
        let words = self.list()?;
        Some(
            words
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect(),
        )
    }

    /// Passes over one value, however nested, to a depth of [`NESTING_MAX`].
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'(' => {
                    self.at += 1;
                    depth += 1;
                    if depth > NESTING_MAX {
                        return None;
                    }
                }
                b')' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ => {
                    self.text()?;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn text(data: &[u8]) -> Option<Text<'_>> {
        Words::new(data, None).text()
    }

    fn octets(data: &[u8]) -> Vec<u8> {
        text(data).unwrap().octets().into_owned()
    }

    #[test]
    fn strings_as_servers_write_them() {
        assert_eq!(octets(b"  atom]x y"), b"atom]x");
        assert_eq!(octets(b"\"a b\""), b"a b");
        assert_eq!(octets(b"\"a\\\"b\\\\\\x\""), b"a\"b\\x");
        assert_eq!(octets(b"\"\xe4\xff\""), b"\xe4\xff");
        assert_eq!(octets(b"{3}\r\na b"), b"a b");
        assert_eq!(octets(b"~{3+}\r\na\0b"), b"a\0b");
        assert_eq!(text(b"nil"), Some(Text::Nil));
        assert_eq!(octets(b"\"NIL\""), b"NIL");
        for bad in [
            &b"\"open"[..],
            b"\"a\\",
            b"{4}\r\nabc",
            b"{}\r\n",
            b"{x}\r\n",
            b"",
            b")",
            b"{99999999999999999999}\r\n",
        ] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_streamed_literal_holds_nothing_here() {
        let data = b"{500}\r\n FLAGS";
        let mut words = Words::new(data, Some(7));
        assert_eq!(words.text(), Some(Text::Streamed));
        assert_eq!(words.keyword().unwrap(), "FLAGS");
    }

    #[test]
    fn values_are_passed_over_however_nested() {
        let mut words = Words::new(b"((\"a)\" {1}\r\n( NIL (x)) y) next", None);
        words.skip().unwrap();
        assert_eq!(words.keyword().unwrap(), "NEXT");
        let deep = "(".repeat(NESTING_MAX + 1);
        assert_eq!(Words::new(deep.as_bytes(), None).skip(), None);
        assert_eq!(Words::new(b"(a", None).skip(), None);
        assert_eq!(Words::new(b")", None).skip(), None);
    }

    #[test]
    fn lists_are_bounded() {
        assert_eq!(Words::new(b"( \\Seen  a )", None).names().unwrap(), ["\\Seen", "a"]);
        assert!(Words::new(b"NIL", None).names().unwrap().is_empty());
        let long = format!("({})", "a ".repeat(ELEMENTS_MAX + 1));
        assert_eq!(Words::new(long.as_bytes(), None).list(), None);
    }

    #[test]
    fn items_with_their_sections() {
        let mut words = Words::new(b"body[header.fields (DATE \"x\")]<0> NIL", None);
        assert_eq!(words.item().unwrap(), "BODY[HEADER.FIELDS (DATE \"X\")]<0>");
        assert_eq!(words.text(), Some(Text::Nil));
        assert_eq!(Words::new(b"BODY[", None).item(), None);
    }
}
