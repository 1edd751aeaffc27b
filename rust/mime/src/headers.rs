//! Header splitter: name, value and raw range of each field; folding; broken lines.
//!
//! A header section ends at the first empty line (CRLF or bare LF alike) or at the end of the input. A line without a
//! colon is kept as a field without a name, so that the raw ranges of all fields together are the header without its
//! empty line (RFC 5322 §2.2, §3.6.8).
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use memchr::memchr;

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name without colon and white space before it; empty for a line without a colon.
    pub name: &'a [u8],
    /// What follows the colon, folds included, without the final line end.
    pub value: &'a [u8],
    /// The whole field with its final line end, relative to the header's start.
    pub raw: Range<usize>,
}

impl Field<'_> {
    /// True when the field has that name, whatever its case.
    #[must_use]
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The fields of a header section, in order.
#[derive(Clone, Debug)]
pub struct FieldIter<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let first_end = line_end(self.header, start);
        if start >= self.header.len() || is_empty_line(&self.header[start..first_end]) {
            self.at = self.header.len();
            return None;
        }
        let mut end = first_end;
        while self.header.get(end).is_some_and(|&octet| is_white(octet)) {
            end = line_end(self.header, end);
        }
        self.at = end;
        let text = without_line_end(&self.header[start..end]);
        // The colon must stand on the first line: a fold never continues a name.
        let first = without_line_end(&self.header[start..first_end]);
        let (name, value) = match memchr(b':', first) {
            None => (&text[..0], text),
            Some(colon) => (trim_end(&text[..colon]), &text[colon + 1..]),
        };
        Some(Field {
            name,
            value,
            raw: start..end,
        })
    }
}

/// The fields of a header section (of a whole message too: it ends at the empty line).
#[must_use]
pub fn fields(header: &[u8]) -> FieldIter<'_> {
    FieldIter { header, at: 0 }
}

/// The value of the first field of that name (case-insensitive), raw.
#[must_use]
pub fn first<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header).find(|field| field.is(name)).map(|field| field.value)
}

/// Octets of the header section at the start of a message, the empty line included.
#[must_use]
pub fn section_len(message: &[u8]) -> usize {
    let mut at = 0;
    while at < message.len() {
        let end = line_end(message, at);
        if is_empty_line(&message[at..end]) {
            return end;
        }
        at = end;
    }
    message.len()
}

/// Appends the fields that HEADER.FIELDS (or, with `not`, HEADER.FIELDS.NOT) selects and the final CRLF
/// (RFC 9051 §6.4.5.1). A field that lacks its line end at the end of the input gets one.
///
/// With `not` the empty line is there only when the header has one, as the RFC says of messages without a body; what was named is
/// always closed by one, since clients read up to it.
pub fn select(header: &[u8], names: &[Vec<u8>], not: bool, out: &mut Vec<u8>) {
    /// From here on a set is cheaper than comparing each name with each field.
    const NAMES_FEW: usize = 8;
    let many = names.len() > NAMES_FEW;
    let set: HashSet<Vec<u8>> = if many {
        names.iter().map(|name| name.to_ascii_lowercase()).collect()
    } else {
        HashSet::new()
    };
    for field in fields(header) {
        let named = !field.name.is_empty()
            && if many {
                set.contains(&field.name.to_ascii_lowercase())
            } else {
                names.iter().any(|name| field.is(name))
            };
        if named != not {
            let raw = &header[field.raw];
            out.extend_from_slice(raw);
            if !raw.ends_with(b"\n") {
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    if !not || ends_with_empty_line(header) {
        out.extend_from_slice(b"\r\n");
    }
}

fn ends_with_empty_line(header: &[u8]) -> bool {
    let before = header.strip_suffix(b"\r\n").or_else(|| header.strip_suffix(b"\n"));
    before.is_some_and(|before| before.is_empty() || before.ends_with(b"\n"))
}

/// A raw value without its folds and without white space at its start (RFC 5322 §2.2.3).
///
/// The white space that begins a continuation line becomes one space where it was a tab; further white space stays.
#[must_use]
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let start = value
        .iter()
        .position(|octet| !matches!(octet, b' ' | b'\t' | b'\r' | b'\n'))
        .unwrap_or(value.len());
    let value = &value[start..];
    if memchr(b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(end) = memchr(b'\n', rest) {
        out.extend_from_slice(without_line_end(&rest[..=end]));
        rest = &rest[end + 1..];
        if rest.first() == Some(&b'\t') {
            out.push(b' ');
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Where the line that holds `at` ends, its LF included.
pub(crate) fn line_end(data: &[u8], at: usize) -> usize {
    let found = data.get(at..).and_then(|rest| memchr(b'\n', rest));
    let end = found.map_or(data.len(), |offset| at + offset + 1);
    crate::work::note(end.saturating_sub(at));
    end
}

/// True for a line of nothing but its line end.
pub(crate) fn is_empty_line(line: &[u8]) -> bool {
    line == b"\r\n" || line == b"\n"
}

/// A line, or lines, without the last CRLF or LF.
pub(crate) fn without_line_end(line: &[u8]) -> &[u8] {
    match line {
        [text @ .., b'\r', b'\n'] | [text @ .., b'\n'] => text,
        _ => line,
    }
}

/// Space and tab.
pub(crate) fn is_white(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [head @ .., last] = text
        && is_white(*last)
    {
        text = head;
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const MIXED: &[u8] = b"A: 1\r\nB :two\n folded\r\nno colon here\r\nC:\r\n\r\nbody: x\r\n";

    #[test]
    fn fields_cover_the_header_to_the_octet() {
        let fields: Vec<_> = fields(MIXED).collect();
        assert_eq!(fields.len(), 4);
        assert_eq!((fields[0].name, fields[0].value), (&b"A"[..], &b" 1"[..]));
        assert_eq!((fields[1].name, fields[1].value), (&b"B"[..], &b"two\n folded"[..]));
        assert_eq!((fields[2].name, fields[2].value), (&b""[..], &b"no colon here"[..]));
        assert_eq!((fields[3].name, fields[3].value), (&b"C"[..], &b""[..]));
        let mut at = 0;
        for field in &fields {
            assert_eq!(field.raw.start, at);
            at = field.raw.end;
        }
        assert_eq!(at + 2, section_len(MIXED));
        assert_eq!(&MIXED[section_len(MIXED)..], b"body: x\r\n");
    }

    #[test]
    fn a_header_without_an_empty_line_runs_to_the_end() {
        assert_eq!(section_len(b"A: 1\r\nB: 2"), 10);
        assert_eq!(fields(b"A: 1\r\nB: 2").count(), 2);
        assert_eq!(section_len(b""), 0);
        assert_eq!(section_len(b"\r\nx"), 2);
        assert_eq!(section_len(b"\nx"), 1);
        // A bare CR is no line end.
        assert_eq!(section_len(b"A: 1\r\rB: 2\r\n\r\n"), 14);
    }

    #[test]
    fn select_takes_and_leaves() {
        let mut out = Vec::new();
        select(MIXED, &[b"b".to_vec(), b"c".to_vec()], false, &mut out);
        assert_eq!(out, b"B :two\n folded\r\nC:\r\n\r\n");
        out.clear();
        select(MIXED, &[b"B".to_vec()], true, &mut out);
        assert_eq!(out, b"A: 1\r\nno colon here\r\nC:\r\n");
        out.clear();
        let many: Vec<Vec<u8>> = (b'b'..=b'z').map(|letter| vec![letter]).collect();
        select(MIXED, &many, false, &mut out);
        assert_eq!(out, b"B :two\n folded\r\nC:\r\n\r\n");
        out.clear();
        select(b"A: 1", &[b"a".to_vec()], false, &mut out);
        assert_eq!(out, b"A: 1\r\n\r\n");
        // RFC 9051 §6.4.5.1: no empty line where there is no body and none stands there.
        for (header, expected) in [
            (&b"A: 1\r\nB: 2\r\n"[..], &b"A: 1\r\n"[..]),
            (b"A: 1\r\nB: 2\r\n\r\n", b"A: 1\r\n\r\n"),
            (b"A: 1\nB: 2\n\n", b"A: 1\n\r\n"),
            (b"\r\n", b"\r\n"),
            (b"B: 2", b""),
            (b"", b""),
        ] {
            out.clear();
            select(header, &[b"b".to_vec()], true, &mut out);
            assert_eq!(out, expected, "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn unfolding_drops_line_ends_only() {
        assert_eq!(&*unfold(b"  a\r\n\tb\r\n  c\n d "), b"a b  c d ");
        assert_eq!(&*unfold(b" plain"), b"plain");
        assert_eq!(&*unfold(b" \r\n\tlater"), b"later");
        assert_eq!(
            first(MIXED, b"b").map(|value| unfold(value).into_owned()).unwrap(),
            b"two folded"
        );
    }
}
