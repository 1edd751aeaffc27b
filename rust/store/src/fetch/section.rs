//! Which octets a section means, and under which name they are answered (RFC 9051 §6.4.5, §7.5.2).
//!
//! A stored message is a prefix (trace headers of this delivery) followed by a blob; offsets here are those of both
//! together, while the part table knows the blob alone.

use std::ops::Range;

use ironpost_mime::Structure;
use ironpost_proto::imap::fetch_att::{Partial, Section, SectionText, Spelling};
use ironpost_proto::imap::quoting::{write_number, write_string};

/// What a section is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These octets of the stored message as they lie.
    Octets(Range<u64>),
    /// Fields chosen from this header section.
    Fields(Range<u64>),
    /// There is no such part: NIL.
    Missing,
}

/// Where a section lies in prefix and blob.
#[must_use]
pub fn place(section: &Section, structure: &Structure, prefix_octets: u64, blob_octets: u64) -> Place {
    let total = prefix_octets.saturating_add(blob_octets);
    let header_end = prefix_octets.saturating_add(structure.header_len() as u64).min(total);
    if section.path.is_empty() {
        return match section.text {
            SectionText::Whole => Place::Octets(0..total),
            SectionText::Header => Place::Octets(0..header_end),
            SectionText::HeaderFields { .. } => Place::Fields(0..header_end),
            SectionText::Text => Place::Octets(header_end..total),
            SectionText::Mime => Place::Missing,
        };
    }
    // Part 1 of a message that is not a multipart and the like are the table's affair.
    let Some(range) = structure.section(section).octets() else {
        return Place::Missing;
    };
    let end = prefix_octets.saturating_add(range.end as u64).min(total);
    let start = prefix_octets.saturating_add(range.start as u64).min(end);
    match section.text {
        SectionText::HeaderFields { .. } => Place::Fields(start..end),
        _ => Place::Octets(start..end),
    }
}

/// The part of a range that a partial asks for; empty when it lies beyond the end.
#[must_use]
pub fn window(range: Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else {
        return range;
    };
    let start = range.start.saturating_add(partial.offset).min(range.end);
    let end = start.saturating_add(partial.length).min(range.end);
    start..end
}

/// Appends the name of an answer: `BODY[1.HEADER.FIELDS (Date From)]<0>`, `RFC822.TEXT`.
pub fn write_name(out: &mut Vec<u8>, section: &Section, partial: Option<Partial>, spelling: Spelling) {
    match spelling {
        Spelling::Rfc822 => out.extend_from_slice(b"RFC822"),
        Spelling::Rfc822Header => out.extend_from_slice(b"RFC822.HEADER"),
        Spelling::Rfc822Text => out.extend_from_slice(b"RFC822.TEXT"),
        Spelling::Body => {
            out.extend_from_slice(b"BODY[");
            write_path(out, &section.path);
            let text: &[u8] = match &section.text {
                SectionText::Whole => b"",
                SectionText::Header => b"HEADER",
                SectionText::HeaderFields { not: false, .. } => b"HEADER.FIELDS (",
                SectionText::HeaderFields { not: true, .. } => b"HEADER.FIELDS.NOT (",
                SectionText::Text => b"TEXT",
                SectionText::Mime => b"MIME",
            };
            if !section.path.is_empty() && !text.is_empty() {
                out.push(b'.');
            }
            out.extend_from_slice(text);
            if let SectionText::HeaderFields { names, .. } = &section.text {
                for (index, name) in names.iter().enumerate() {
                    if index > 0 {
                        out.push(b' ');
                    }
                    write_field_name(out, name);
                }
                out.push(b')');
            }
            out.push(b']');
            write_origin(out, partial);
        }
    }
}

/// Appends `BINARY[1.2]<0>`.
pub fn write_binary_name(out: &mut Vec<u8>, path: &[u32], partial: Option<Partial>) {
    out.extend_from_slice(b"BINARY[");
    write_path(out, path);
    out.push(b']');
    write_origin(out, partial);
}

/// Appends `BINARY.SIZE[1.2]`.
pub fn write_binary_size_name(out: &mut Vec<u8>, path: &[u32]) {
    out.extend_from_slice(b"BINARY.SIZE[");
    write_path(out, path);
    out.push(b']');
}

fn write_path(out: &mut Vec<u8>, path: &[u32]) {
    for (index, part) in path.iter().enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        write_number(out, u64::from(*part));
    }
}

fn write_origin(out: &mut Vec<u8>, partial: Option<Partial>) {
    if let Some(partial) = partial {
        out.push(b'<');
        write_number(out, partial.offset);
        out.push(b'>');
    }
}

/// A field name goes as an atom where its octets allow (RFC 9051 §9, `header-fld-name` is an `astring`).
fn write_field_name(out: &mut Vec<u8>, name: &[u8]) {
    let atom = !name.is_empty()
        && name
            .iter()
            .all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\'));
    if atom {
        out.extend_from_slice(name);
    } else {
        write_string(out, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &[u32], text: SectionText, partial: Option<Partial>) -> String {
        let mut out = Vec::new();
        write_name(
            &mut out,
            &Section {
                path: path.to_vec(),
                text,
            },
            partial,
            Spelling::Body,
        );
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn names_of_answers() {
        let fields = |not| SectionText::HeaderFields {
            names: vec![b"Date".to_vec(), b"From".to_vec()],
            not,
        };
        let partial = Some(Partial { offset: 7, length: 9 });
        assert_eq!(name(&[], SectionText::Whole, None), "BODY[]");
        assert_eq!(name(&[1, 2], SectionText::Whole, partial), "BODY[1.2]<7>");
        assert_eq!(name(&[], SectionText::Header, None), "BODY[HEADER]");
        assert_eq!(name(&[3], SectionText::Text, None), "BODY[3.TEXT]");
        assert_eq!(name(&[4, 1], SectionText::Mime, None), "BODY[4.1.MIME]");
        assert_eq!(name(&[], fields(false), partial), "BODY[HEADER.FIELDS (Date From)]<7>");
        assert_eq!(name(&[2], fields(true), None), "BODY[2.HEADER.FIELDS.NOT (Date From)]");
        let odd = SectionText::HeaderFields {
            names: vec![b"a b".to_vec()],
            not: false,
        };
        assert_eq!(name(&[], odd, None), "BODY[HEADER.FIELDS (\"a b\")]");
    }

    #[test]
    fn windows_stop_at_the_end() {
        let partial = |offset, length| Some(Partial { offset, length });
        assert_eq!(window(10..20, None), 10..20);
        assert_eq!(window(10..20, partial(0, 4)), 10..14);
        assert_eq!(window(10..20, partial(8, 4)), 18..20);
        assert_eq!(window(10..20, partial(10, 4)), 20..20);
        assert_eq!(window(10..20, partial(u64::MAX, u64::MAX)), 20..20);
    }
}
