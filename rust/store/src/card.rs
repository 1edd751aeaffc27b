//! The card: the small cached facts of a body, immutable and shared by all its copies.
//!
//! The full card stands in the pack record; `cards` holds as much of it as fits below LMDB's overflow limit
//! (lmdb.md 4.7). What had to be left out says so, and is read from the pack.

use ironpost_mime::{Structure, address_list, date, headers, subject, threading};

use crate::db::codec::{Reader, put_short_bytes};

/// Octets of a card in the index at most.
pub const INDEX_OCTETS_MAX: usize = 1900;
/// Octets of a sort key at most; longer ones are cut.
const SORT_OCTETS_MAX: usize = 160;

const VERSION: u8 = 1;
const IS_REPLY: u8 = 1;
const HAS_DATE: u8 = 2;
/// Length that stands for "left out: see the pack".
const LEFT_OUT: u32 = u32::MAX;

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
        if r.u8()? != VERSION {
            return None;
        }
        let flags = r.u8()?;
        let zone = r.i16()?;
        let date = r.i64()?;
        let card = Self {
            date: (flags & HAS_DATE != 0).then_some((date, zone)),
            is_reply: flags & IS_REPLY != 0,
            message_id: r.u64()?,
            thread_root: r.u64()?,
            base_subject: r.short_text()?,
            from: r.short_bytes()?,
            to: r.short_bytes()?,
            cc: r.short_bytes()?,
            envelope: long_bytes(&mut r)?,
            body: long_bytes(&mut r)?,
            bodystructure: long_bytes(&mut r)?,
        };
        r.0.is_empty().then_some(card)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let flags = u8::from(self.is_reply) * IS_REPLY + u8::from(self.date.is_some()) * HAS_DATE;
        let (date, zone) = self.date.unwrap_or_default();
        out.extend_from_slice(&[VERSION, flags]);
        out.extend_from_slice(&zone.to_le_bytes());
        out.extend_from_slice(&date.to_le_bytes());
        out.extend_from_slice(&self.message_id.to_le_bytes());
        out.extend_from_slice(&self.thread_root.to_le_bytes());
        put_short_bytes(out, self.base_subject.as_bytes());
        for key in [self.from, self.to, self.cc] {
            put_short_bytes(out, key);
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

fn long_bytes<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    match reader.u32()? {
        LEFT_OUT => Some(None),
        length => reader.take(length as usize).map(Some),
    }
}

/// The full card of a message.
#[must_use]
pub fn build(message: &[u8], structure: &Structure) -> Vec<u8> {
    let header = &message[..structure.header_len().min(message.len())];
    let subject = headers::first(header, b"Subject").map(subject::base_subject);
    let from = first_local_part(header, b"From");
    let to = first_local_part(header, b"To");
    let cc = first_local_part(header, b"Cc");
    let ids = |name: &[u8]| {
        headers::first(header, name)
            .map(threading::message_ids)
            .unwrap_or_default()
    };
    let own = ids(b"Message-ID").first().map_or(0, |id| hash(id));
    let root = ids(b"References").first().map(|id| hash(id));
    let root = root
        .or_else(|| ids(b"In-Reply-To").first().map(|id| hash(id)))
        .unwrap_or(own);
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
        from: cut(&from),
        to: cut(&to),
        cc: cut(&cc),
        envelope: Some(&envelope),
        body: Some(&body),
        bodystructure: Some(&bodystructure),
    };
    let mut out = Vec::with_capacity(256 + envelope.len() + body.len() + bodystructure.len());
    card.encode(&mut out);
    out
}

/// As much of a full card as the index holds: BODYSTRUCTURE goes first, then BODY, then ENVELOPE.
#[must_use]
pub fn for_index(full: &[u8]) -> Vec<u8> {
    let Some(mut card) = Card::decode(full).filter(|_| full.len() > INDEX_OCTETS_MAX) else {
        return full.to_vec();
    };
    let mut out = Vec::new();
    for step in 0..3 {
        match step {
            0 => card.bodystructure = None,
            1 => card.body = None,
            _ => card.envelope = None,
        }
        out.clear();
        card.encode(&mut out);
        if out.len() <= INDEX_OCTETS_MAX {
            break;
        }
    }
    out
}

fn first_local_part(header: &[u8], name: &[u8]) -> Vec<u8> {
    let Some(value) = headers::first(header, name) else {
        return Vec::new();
    };
    address_list::parse(value)
        .into_iter()
        .find_map(|address| address.mailbox)
        .unwrap_or_default()
}

fn hash(id: &[u8]) -> u64 {
    let digest = blake3::hash(id);
    digest
        .as_bytes()
        .first_chunk()
        .map_or(1, |octets| u64::from_le_bytes(*octets).max(1))
}

fn cut(bytes: &[u8]) -> &[u8] {
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
