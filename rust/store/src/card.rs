//! The card: the small cached facts of a body, immutable and shared by all its copies.
//!
//! The full card stands in the pack record; `cards` holds as much of it as fits below LMDB's overflow limit
//! (lmdb.md 4.7). What had to be left out says so, and is read from the pack.

use ironpost_mime::{Headers, Structure, address_list, date, encoded_word, headers, subject, threading};

use crate::db::codec::{Reader, put_short_bytes};

pub mod fields;

use self::fields::{Blocks, FIELDS};

/// Octets of a card in the index at most.
pub const INDEX_OCTETS_MAX: usize = 1900;
/// Octets of a sort key at most; longer ones are cut.
const SORT_OCTETS_MAX: usize = 160;
/// References kept at most: the first [`REFERENCES_FIRST`], which name the thread, and the last, the nearest ancestors.
pub const REFERENCES_MAX: usize = 24;
/// Of these the first.
pub const REFERENCES_FIRST: usize = 4;

/// Cards of releases before 0.2: without display keys, references and header texts. Stores hold them for ever.
const VERSION_1: u8 = 1;
const VERSION: u8 = 2;
/// The row of a prefix that is not plain ([`fields::is_plain_prefix`]): the whole row is this octet.
const PREFIX_MARK: u8 = 0x80;
const IS_REPLY: u8 = 1;
const HAS_DATE: u8 = 2;
const REFERENCES_CUT: u8 = 4;
/// Length that stands for "left out: see the pack".
const LEFT_OUT: u32 = u32::MAX;
/// Octets before the header texts of version 2.
const FIXED_OCTETS: usize = 28;

/// What the card of version 2 knows beyond that of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extras<'a> {
    /// The display name of the first From address, decoded, else its address (RFC 5957 §3), cut at 160 octets.
    pub display_from: &'a str,
    /// Of the first To address.
    pub display_to: &'a str,
    /// Hashes of the Message-IDs of References, in order, else of the first of In-Reply-To (RFC 5256 §3).
    pub references: References<'a>,
    /// The header texts that SEARCH looks at.
    pub fields: Blocks<&'a [u8]>,
}

/// Hashes of Message-IDs; in order, at most [`REFERENCES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct References<'a> {
    hashes: &'a [u8],
    /// There were more, between the first four and the others.
    pub cut: bool,
}

impl<'a> References<'a> {
    /// The hashes, the oldest ancestor first.
    pub fn iter(self) -> impl Iterator<Item = u64> + 'a {
        self.hashes
            .chunks_exact(8)
            .filter_map(|octets| octets.try_into().ok().map(u64::from_le_bytes))
    }
}

/// A decoded card, borrowed from its row or record. `None` in the last three fields: left out, see the pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card<'a> {
    /// The Date field in Unix seconds and its zone in minutes.
    pub date: Option<(i64, i16)>,
    /// The subject had a mark of a reply or forward.
    pub is_reply: bool,
    /// Hash of the Message-ID; 0 without one.
    pub message_id: u64,
    /// Hash of the thread's first Message-ID: of References, else of In-Reply-To, else this message's own.
    pub thread_root: u64,
    /// Base subject (RFC 5256 §2.1), cut at 160 octets.
    pub base_subject: &'a str,
    /// Local part of the first From address, cut (RFC 5256 §3).
    pub from: &'a [u8],
    /// Of the first To address.
    pub to: &'a [u8],
    /// Of the first Cc address.
    pub cc: &'a [u8],
    /// `None` in a card of version 1: they must be made from the header.
    pub extras: Option<Extras<'a>>,
    /// ENVELOPE.
    pub envelope: Option<&'a [u8]>,
    /// BODY.
    pub body: Option<&'a [u8]>,
    /// BODYSTRUCTURE.
    pub bodystructure: Option<&'a [u8]>,
}

impl<'a> Card<'a> {
    /// From a row or a record; `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        let version = r.u8()?;
        if version != VERSION && version != VERSION_1 {
            return None;
        }
        let flags = r.u8()?;
        let zone = r.i16()?;
        let date = r.i64()?;
        let (message_id, thread_root) = (r.u64()?, r.u64()?);
        let mut fields = [None; FIELDS];
        if version == VERSION {
            (fields, r.0) = fields::decode(r.0)?;
        }
        let mut card = Self {
            date: (flags & HAS_DATE != 0).then_some((date, zone)),
            is_reply: flags & IS_REPLY != 0,
            message_id,
            thread_root,
            base_subject: r.short_text()?,
            from: r.short_bytes()?,
            to: r.short_bytes()?,
            cc: r.short_bytes()?,
            extras: None,
            envelope: None,
            body: None,
            bodystructure: None,
        };
        if version == VERSION {
            let (display_from, display_to) = (r.short_text()?, r.short_text()?);
            let count = usize::from(r.u8()?);
            card.extras = Some(Extras {
                display_from,
                display_to,
                references: References {
                    hashes: r.take(count * 8)?,
                    cut: flags & REFERENCES_CUT != 0,
                },
                fields,
            });
        }
        card.envelope = long_bytes(&mut r)?;
        card.body = long_bytes(&mut r)?;
        card.bodystructure = long_bytes(&mut r)?;
        r.0.is_empty().then_some(card)
    }

    /// Appends the card, in version 1 when it has no extras.
    fn encode(&self, out: &mut Vec<u8>) {
        let cut = self.extras.is_some_and(|extras| extras.references.cut);
        let flags = u8::from(self.is_reply) * IS_REPLY
            + u8::from(self.date.is_some()) * HAS_DATE
            + u8::from(cut) * REFERENCES_CUT;
        let (date, zone) = self.date.unwrap_or_default();
        let version = if self.extras.is_some() { VERSION } else { VERSION_1 };
        out.extend_from_slice(&[version, flags]);
        out.extend_from_slice(&zone.to_le_bytes());
        out.extend_from_slice(&date.to_le_bytes());
        out.extend_from_slice(&self.message_id.to_le_bytes());
        out.extend_from_slice(&self.thread_root.to_le_bytes());
        if let Some(extras) = &self.extras {
            fields::encode(&extras.fields, out);
        }
        put_short_bytes(out, self.base_subject.as_bytes());
        for key in [self.from, self.to, self.cc] {
            put_short_bytes(out, key);
        }
        if let Some(extras) = &self.extras {
            for key in [extras.display_from, extras.display_to] {
                put_short_bytes(out, key.as_bytes());
            }
            out.push((extras.references.hashes.len() / 8) as u8);
            out.extend_from_slice(extras.references.hashes);
        }
        for long in [self.envelope, self.body, self.bodystructure] {
            match long {
                None => out.extend_from_slice(&LEFT_OUT.to_le_bytes()),
                Some(bytes) => {
                    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                    out.extend_from_slice(bytes);
                }
            }
        }
    }
}

/// One block of header texts, without decoding the rest. `None`: the header must be read.
#[must_use]
pub fn field_block(bytes: &[u8], field: usize) -> Option<&[u8]> {
    if bytes.first() != Some(&VERSION) {
        return None;
    }
    let (blocks, _) = fields::decode(bytes.get(FIXED_OCTETS..)?)?;
    blocks.get(field).copied().flatten()
}

/// The row that a prefix has in `cards`: none (empty) when the body's card answers for both, else a mark.
#[must_use]
pub fn for_prefix(prefix: &[u8]) -> Vec<u8> {
    if fields::is_plain_prefix(prefix) {
        Vec::new()
    } else {
        vec![PREFIX_MARK]
    }
}

fn long_bytes<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match reader.u32()? {
        LEFT_OUT => Some(None),
        length => reader.take(length as usize).map(Some),
    }
}

/// The full card of a message.
#[must_use]
pub fn build(message: &[u8], structure: &Structure) -> Vec<u8> {
    build_of(message, structure, true)
}

/// The full card of a message of which only the header sections are at hand. When they are not whole the card leaves
/// out what SEARCH finds in it, so that the header is read.
#[must_use]
pub fn of_headers(headers: &Headers) -> Vec<u8> {
    build_of(&headers.octets, &headers.structure, headers.is_whole)
}

fn build_of(message: &[u8], structure: &Structure, is_whole: bool) -> Vec<u8> {
    let header = &message[..structure.header_len().min(message.len())];
    let subject = headers::first(header, b"Subject").map(subject::base_subject);
    let (from, display_from) = address_keys(header, b"From");
    let (to, display_to) = address_keys(header, b"To");
    let (cc, _) = address_keys(header, b"Cc");
    let ids = |name: &[u8]| {
        headers::first(header, name)
            .map(threading::message_ids)
            .unwrap_or_default()
    };
    let own = ids(b"Message-ID").first().map_or(0, |id| hash(id));
    let mut ancestors = ids(b"References");
    if ancestors.is_empty() {
        ancestors = ids(b"In-Reply-To");
        ancestors.truncate(1);
    }
    let (references, cut) = kept_references(&ancestors);
    let root = references.first().copied().unwrap_or(own);
    let hashes: Vec<u8> = references.iter().flat_map(|hash| hash.to_le_bytes()).collect();
    let blocks = if is_whole {
        fields::build(header)
    } else {
        Default::default()
    };
    let (mut envelope, mut body, mut bodystructure) = (Vec::new(), Vec::new(), Vec::new());
    ironpost_mime::envelope(header, &mut envelope);
    ironpost_mime::bodystructure(message, structure, false, &mut body);
    ironpost_mime::bodystructure(message, structure, true, &mut bodystructure);
    let date = headers::first(header, b"Date").and_then(date::parse);
    let card = Card {
        date: date.and_then(|(seconds, zone)| Some((seconds, i16::try_from(zone).ok()?))),
        is_reply: subject.as_ref().is_some_and(|subject| subject.is_reply_or_forward),
        message_id: own,
        thread_root: root,
        base_subject: subject.as_ref().map_or("", |subject| cut_text(&subject.text)),
        from: cut_octets(&from),
        to: cut_octets(&to),
        cc: cut_octets(&cc),
        extras: Some(Extras {
            display_from: cut_text(&display_from),
            display_to: cut_text(&display_to),
            references: References { hashes: &hashes, cut },
            fields: std::array::from_fn(|index| blocks[index].as_deref()),
        }),
        envelope: Some(&envelope),
        body: Some(&body),
        bodystructure: Some(&bodystructure),
    };
    let mut out = Vec::with_capacity(512 + envelope.len() + body.len() + bodystructure.len());
    card.encode(&mut out);
    out
}

/// As much of a full card as the index holds: of what may be left out the longest goes first, until it fits.
#[must_use]
pub fn for_index(full: &[u8]) -> Vec<u8> {
    let Some(mut card) = Card::decode(full).filter(|_| full.len() > INDEX_OCTETS_MAX) else {
        return full.to_vec();
    };
    let mut out = Vec::new();
    loop {
        let longest = [&mut card.envelope, &mut card.body, &mut card.bodystructure]
            .into_iter()
            .chain(card.extras.iter_mut().flat_map(|extras| extras.fields.iter_mut()))
            .max_by_key(|item| item.map_or(0, <[u8]>::len));
        let Some(longest) = longest.filter(|item| item.is_some_and(|octets| !octets.is_empty())) else {
            break;
        };
        *longest = None;
        out.clear();
        card.encode(&mut out);
        if out.len() <= INDEX_OCTETS_MAX {
            break;
        }
    }
    out
}

/// The hashes that are kept of a list of ancestors, and whether some are not.
fn kept_references(ids: &[Vec<u8>]) -> (Vec<u64>, bool) {
    let hashes = |ids: &[Vec<u8>]| ids.iter().map(|id| hash(id)).collect::<Vec<u64>>();
    if ids.len() <= REFERENCES_MAX {
        return (hashes(ids), false);
    }
    let mut kept = hashes(&ids[..REFERENCES_FIRST]);
    kept.extend(hashes(&ids[ids.len() - (REFERENCES_MAX - REFERENCES_FIRST)..]));
    (kept, true)
}

/// Local part (RFC 5256 §3) and display name (RFC 5957 §3) of the first address of a field.
fn address_keys(header: &[u8], name: &[u8]) -> (Vec<u8>, String) {
    let Some(value) = headers::first(header, name) else {
        return (Vec::new(), String::new());
    };
    let mut addresses = address_list::parse(value);
    let display = addresses.first().map(display).unwrap_or_default();
    let local = addresses.iter_mut().find_map(|address| address.mailbox.take());
    (local.unwrap_or_default(), display)
}

/// What DISPLAYFROM and DISPLAYTO sort by (RFC 5957 §3).
fn display(address: &address_list::Address) -> String {
    let name = address.name.as_deref().map(encoded_word::decode).unwrap_or_default();
    if !name.is_empty() {
        return name;
    }
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match (&address.mailbox, &address.host) {
        (Some(mailbox), Some(host)) => format!("{}@{}", text(mailbox), text(host)),
        (Some(mailbox), None) => text(mailbox),
        _ => String::new(),
    }
}

fn hash(id: &[u8]) -> u64 {
    let digest = blake3::hash(id);
    digest
        .as_bytes()
        .first_chunk()
        .map_or(1, |octets| u64::from_le_bytes(*octets).max(1))
}

fn cut_octets(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SORT_OCTETS_MAX)]
}

fn cut_text(text: &str) -> &str {
    let mut end = text.len().min(SORT_OCTETS_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn index_card_is_bounded_and_says_what_is_missing() {
        let long = vec![b'x'; 1500];
        let longer = vec![b'y'; 5000];
        let card = Card {
            date: Some((1, -60)),
            is_reply: true,
            message_id: 7,
            thread_root: 8,
            base_subject: "hello",
            from: b"a",
            to: b"b",
            cc: b"",
            extras: None,
            envelope: Some(&long),
            body: Some(&longer),
            bodystructure: Some(&longer),
        };
        let mut full = Vec::new();
        card.encode(&mut full);
        assert_eq!(Card::decode(&full).unwrap(), card);
        let small = for_index(&full);
        assert!(small.len() <= INDEX_OCTETS_MAX);
        let small = Card::decode(&small).unwrap();
        assert_eq!(
            small,
            Card {
                body: None,
                bodystructure: None,
                ..card
            }
        );
    }
}
