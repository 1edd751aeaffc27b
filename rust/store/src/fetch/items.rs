//! The items of one FETCH, made ready: what they need of a message and how each is written (RFC 9051 §7.5.2).

use std::ops::Range;
use std::sync::Arc;

use ironpost_mime::{TransferEncoding, headers, preview, transfer};
use ironpost_proto::imap::fetch_att::{FetchAttribute, Partial, Section, SectionText};
use ironpost_proto::imap::quoting::{write_literal, write_number, write_string};

use super::decoding::{AT_ONCE_OCTETS_MAX, Decoding, decoded_octets};
use super::internal_date::write_internal_date;
use super::message::{Access, Content, Facts, HEADER_OCTETS_MAX};
use super::object_id::{email_id, write_email_id};
use super::section::{Place, place, window, write_binary_name, write_binary_size_name, write_name};
use crate::error::{Result, StoreError};
use crate::view::lines::write_flags;

/// The text of the `Refused` that BINARY of a part answers whose transfer encoding nobody knows: the session says
/// NO [UNKNOWN-CTE] (RFC 9051 §7.1).
pub const UNKNOWN_ENCODING: &str = "UNKNOWN-CTE";

/// The items of a FETCH in the order of their answers.
#[derive(Clone, Debug)]
pub struct FetchPlan {
    items: Vec<FetchAttribute>,
    rows_suffice: bool,
}

/// What follows an item that has been written.
#[derive(Debug)]
pub enum Written {
    /// It is complete.
    Whole,
    /// Its literal has been announced; these octets of the stored message must follow.
    Octets(Range<u64>),
    /// Its literal has been announced; these octets, decoded, must follow.
    Decoded(Vec<u8>),
    /// Its literal has been announced; what this gives must follow.
    Decoding(Decoding),
}

impl FetchPlan {
    /// Takes the parsed attributes. UID FETCH answers with the UID whether it was asked for or not, CHANGEDSINCE with the
    /// modseq (`modseq`; RFC 7162 §3.1.4.1).
    #[must_use]
    pub fn new(attributes: &[FetchAttribute], uid: bool, modseq: bool) -> Self {
        let mut items = Vec::with_capacity(attributes.len() + 1);
        if uid && !attributes.contains(&FetchAttribute::Uid) {
            items.push(FetchAttribute::Uid);
        }
        items.extend_from_slice(attributes);
        if modseq && !attributes.contains(&FetchAttribute::ModSeq) {
            items.push(FetchAttribute::ModSeq);
        }
        let rows_suffice = items.iter().all(|item| {
            matches!(
                item,
                FetchAttribute::Uid
                    | FetchAttribute::Flags
                    | FetchAttribute::InternalDate
                    | FetchAttribute::Rfc822Size
                    | FetchAttribute::ModSeq
                    | FetchAttribute::ThreadId
            )
        });
        Self { items, rows_suffice }
    }

    /// True when the hot rows answer everything.
    #[must_use]
    pub fn rows_suffice(&self) -> bool {
        self.rows_suffice
    }

    /// The item at a position.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<&FetchAttribute> {
        self.items.get(index)
    }

    /// Writes every item from the hot row; only when [`Self::rows_suffice`].
    pub fn write_row(&self, facts: &Facts, keywords: &[Arc<str>], out: &mut Vec<u8>) {
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                out.push(b' ');
            }
            write_fact(item, facts, keywords, out);
        }
    }
}

/// Writes an item that the hot row answers; false when it is another.
pub fn write_fact(item: &FetchAttribute, facts: &Facts, keywords: &[Arc<str>], out: &mut Vec<u8>) -> bool {
    match item {
        FetchAttribute::Uid => {
            out.extend_from_slice(b"UID ");
            write_number(out, u64::from(facts.uid));
        }
        FetchAttribute::Flags => {
            out.extend_from_slice(b"FLAGS ");
            write_flags(out, facts.row.flags, facts.row.keywords, facts.recent, keywords);
        }
        FetchAttribute::InternalDate => {
            out.extend_from_slice(b"INTERNALDATE ");
            write_internal_date(out, facts.row.internal_date, i32::from(facts.row.internal_zone));
        }
        FetchAttribute::Rfc822Size => {
            out.extend_from_slice(b"RFC822.SIZE ");
            write_number(out, u64::from(facts.row.size));
        }
        FetchAttribute::SaveDate => {
            out.extend_from_slice(b"SAVEDATE ");
            match facts.row.saved {
                0 => out.extend_from_slice(b"NIL"),
                saved => write_internal_date(out, i64::from(saved), 0),
            }
        }
        FetchAttribute::ModSeq => {
            out.extend_from_slice(b"MODSEQ (");
            write_number(out, facts.row.modseq);
            out.push(b')');
        }
        // The store keeps no threads (RFC 8474 §5.2).
        FetchAttribute::ThreadId => out.extend_from_slice(b"THREADID NIL"),
        _ => return false,
    }
    true
}

/// Writes an item that needs the message's card or octets.
///
/// # Errors
/// Corrupt when the message cannot be read; Refused with [`UNKNOWN_ENCODING`].
pub fn write_content(
    item: &FetchAttribute,
    access: &Access<'_>,
    content: &mut Content,
    out: &mut Vec<u8>,
) -> Result<Written> {
    match item {
        FetchAttribute::Envelope => {
            out.extend_from_slice(b"ENVELOPE ");
            let octets = content.from_card(access, |card| card.envelope.map(<[u8]>::to_vec))?;
            out.extend_from_slice(&octets);
            Ok(Written::Whole)
        }
        FetchAttribute::Body => {
            out.extend_from_slice(b"BODY ");
            let octets = content.from_card(access, |card| card.body.map(<[u8]>::to_vec))?;
            out.extend_from_slice(&octets);
            Ok(Written::Whole)
        }
        FetchAttribute::BodyStructure => {
            out.extend_from_slice(b"BODYSTRUCTURE ");
            let octets = content.from_card(access, |card| card.bodystructure.map(<[u8]>::to_vec))?;
            out.extend_from_slice(&octets);
            Ok(Written::Whole)
        }
        FetchAttribute::Section {
            section,
            partial,
            spelling,
            ..
        } => {
            write_name(out, section, *partial, *spelling);
            out.push(b' ');
            let (prefix, blob) = (content.prefix_octets(), content.blob_octets());
            match place(section, content.structure(access)?, prefix, blob) {
                Place::Missing => {
                    out.extend_from_slice(b"NIL");
                    Ok(Written::Whole)
                }
                Place::Octets(range) => Ok(announce(window(range, *partial), out)),
                Place::Fields(range) => {
                    let chosen = chosen_fields(access, content, range, section)?;
                    write_octets(out, cut(&chosen, *partial));
                    Ok(Written::Whole)
                }
            }
        }
        FetchAttribute::Binary { path, partial, .. } => {
            write_binary_name(out, path, *partial);
            out.push(b' ');
            binary(access, content, path, *partial, out)
        }
        FetchAttribute::Preview => {
            out.extend_from_slice(b"PREVIEW ");
            let structure = content.structure(access)?.clone();
            let mut blob = content.blob_window(access);
            let text = preview::preview(&mut blob, &structure);
            blob.finish()?;
            write_string(out, text.as_bytes());
            Ok(Written::Whole)
        }
        FetchAttribute::BinarySize { path } => {
            write_binary_size_name(out, path);
            out.push(b' ');
            let octets = match decoded(access, content, path)? {
                Decoded::Missing => 0,
                Decoded::Plain(range) => range.end - range.start,
                Decoded::Octets(octets) => octets.len() as u64,
                Decoded::Large(_, _, octets) => octets,
            };
            write_number(out, octets);
            Ok(Written::Whole)
        }
        FetchAttribute::EmailId => {
            out.extend_from_slice(b"EMAILID (");
            write_email_id(out, email_id(access, content)?);
            out.push(b')');
            Ok(Written::Whole)
        }
        // The hot row answers the rest.
        _ => Ok(Written::Whole),
    }
}

/// The fields that a section chooses from the header in `range`.
pub(crate) fn chosen_fields(
    access: &Access<'_>,
    content: &mut Content,
    range: Range<u64>,
    section: &Section,
) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    let end = range.end.min(range.start + HEADER_OCTETS_MAX);
    content.read(access, range.start..end, &mut header)?;
    let mut chosen = Vec::new();
    if let SectionText::HeaderFields { names, not } = &section.text {
        headers::select(&header, names, *not, &mut chosen);
    }
    Ok(chosen)
}

/// Announces octets of the message: the empty string when there are none, so that no client waits for a literal.
fn announce(range: Range<u64>, out: &mut Vec<u8>) -> Written {
    if range.is_empty() {
        out.extend_from_slice(b"\"\"");
        return Written::Whole;
    }
    out.push(b'{');
    write_number(out, range.end - range.start);
    out.extend_from_slice(b"}\r\n");
    Written::Octets(range)
}

fn write_octets(out: &mut Vec<u8>, octets: &[u8]) {
    if octets.is_empty() {
        out.extend_from_slice(b"\"\"");
    } else {
        write_literal(out, octets);
    }
}

pub(crate) fn cut(octets: &[u8], partial: Option<Partial>) -> &[u8] {
    let range = window(0..octets.len() as u64, partial);
    octets.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// A part's body without its transfer encoding.
enum Decoded {
    Missing,
    /// It has none: these octets of the stored message.
    Plain(Range<u64>),
    Octets(Vec<u8>),
    /// It is too large for memory: where it lies, how it is encoded, how many octets it decodes to.
    Large(Range<u64>, TransferEncoding, u64),
}

fn decoded(access: &Access<'_>, content: &mut Content, path: &[u32]) -> Result<Decoded> {
    let (prefix, blob) = (content.prefix_octets(), content.blob_octets());
    if path.is_empty() {
        return Ok(Decoded::Plain(0..prefix + blob));
    }
    let Some(leaf) = content.structure(access)?.leaf(path) else {
        return Ok(Decoded::Missing);
    };
    let range = prefix + leaf.body.start as u64..prefix + leaf.body.end as u64;
    match leaf.encoding {
        TransferEncoding::Identity => Ok(Decoded::Plain(range)),
        TransferEncoding::Unknown => Err(StoreError::Refused(UNKNOWN_ENCODING.to_owned())),
        encoding if range.end - range.start > AT_ONCE_OCTETS_MAX => {
            let octets = decoded_octets(access, content, range.clone(), encoding)?;
            Ok(Decoded::Large(range, encoding, octets))
        }
        encoding => {
            let mut encoded = Vec::new();
            content.read(access, range, &mut encoded)?;
            let mut octets = Vec::new();
            transfer::decode(encoding, &encoded, &mut octets);
            Ok(Decoded::Octets(octets))
        }
    }
}

/// BINARY: a literal8 when NUL may be in it, which only the decoded octets can tell (RFC 9051 §4.3.2).
fn binary(
    access: &Access<'_>,
    content: &mut Content,
    path: &[u32],
    partial: Option<Partial>,
    out: &mut Vec<u8>,
) -> Result<Written> {
    match decoded(access, content, path)? {
        Decoded::Missing => {
            out.extend_from_slice(b"NIL");
            Ok(Written::Whole)
        }
        Decoded::Plain(range) => {
            let range = window(range, partial);
            if !range.is_empty() {
                // Not read yet, so NUL cannot be ruled out.
                out.push(b'~');
            }
            Ok(announce(range, out))
        }
        Decoded::Large(encoded, encoding, octets) => {
            let range = window(0..octets, partial);
            if range.is_empty() {
                out.extend_from_slice(b"\"\"");
                return Ok(Written::Whole);
            }
            // Not kept, so NUL cannot be ruled out.
            out.extend_from_slice(b"~{");
            write_number(out, range.end - range.start);
            out.extend_from_slice(b"}\r\n");
            Ok(Written::Decoding(Decoding::new(encoded, encoding, range)))
        }
        Decoded::Octets(mut octets) => {
            let range = window(0..octets.len() as u64, partial);
            octets.truncate(range.end as usize);
            octets.drain(..range.start as usize);
            if octets.is_empty() {
                out.extend_from_slice(b"\"\"");
                return Ok(Written::Whole);
            }
            if memchr::memchr(0, &octets).is_some() {
                out.push(b'~');
            }
            out.push(b'{');
            write_number(out, octets.len() as u64);
            out.extend_from_slice(b"}\r\n");
            Ok(Written::Decoded(octets))
        }
    }
}
