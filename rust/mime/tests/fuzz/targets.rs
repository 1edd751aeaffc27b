//! What holds for any octets that somebody calls a message.

use super::runner::Random;
use super::support::check_imap;
use ironpost_mime::transfer::{Decoder, TransferEncoding};
use ironpost_mime::{
    Limits, PartKind, Structure, address_list, charset, date, encoded_word, headers, html, params, subject, text,
    threading, transfer,
};
use ironpost_proto::imap::fetch_att::{Section, SectionText};

/// Small, so that inputs reach them.
const TIGHT: Limits = Limits {
    parts_max: 20,
    depth_max: 4,
    header_octets_max: 300,
};
/// A decoded text is at most this many times its source: one octet of a single-byte charset is up to three of UTF-8, and a
/// named entity or an encoded word is longer than what it stands for.
const TEXT_GROWTH: usize = 4;

/// The table of parts: ranges lie within the message and within their parents, the table survives its encoding, every
/// section can be cut, BODYSTRUCTURE is well formed, and a damaged table is refused or harmless.
pub fn structure(message: &[u8]) {
    for limits in [Limits::default(), TIGHT] {
        let structure = Structure::parse(message, &limits);
        assert_eq!(structure.message_len(), message.len());
        assert!(structure.header_len() <= message.len());
        assert!(structure.parts().len() <= limits.parts_max as usize + 1);
        check_tree(&structure, message.len());
        check_sections(&structure, message.len());
        let mut table = Vec::new();
        structure.encode(&mut table);
        assert_eq!(Structure::decode(&table).as_ref(), Some(&structure));
        for extended in [false, true] {
            let mut out = Vec::new();
            ironpost_mime::bodystructure(message, &structure, extended, &mut out);
            check_imap(&out, "BODYSTRUCTURE");
        }
        check_damaged(&table, message);
    }
}

fn check_tree(structure: &Structure, length: usize) {
    for (index, part) in structure.parts().iter().enumerate() {
        assert!(
            part.header.start <= part.header.end && part.header.end <= length,
            "{part:?}"
        );
        assert!(part.body.start <= part.body.end && part.body.end <= length, "{part:?}");
        let mut previous = part.body.start;
        for child in structure.children(index) {
            let child = &structure.parts()[child];
            assert!(child.header.start >= previous, "{child:?} begins before {previous}");
            assert!(child.body.end <= part.body.end, "{child:?} ends behind {part:?}");
            previous = child.body.end;
        }
        if part.kind == PartKind::Leaf {
            assert_eq!(structure.children(index).count(), 0);
        }
    }
}

fn check_sections(structure: &Structure, length: usize) {
    for first in 0..4 {
        for second in 0..3 {
            let path: Vec<u32> = [first, second].into_iter().filter(|number| *number > 0).collect();
            let texts = [
                SectionText::Whole,
                SectionText::Header,
                SectionText::Text,
                SectionText::Mime,
            ];
            for text in texts {
                let section = Section {
                    path: path.clone(),
                    text,
                };
                if let Some(octets) = structure.section(&section).octets() {
                    assert!(octets.start <= octets.end && octets.end <= length);
                }
            }
            if let Some(leaf) = structure.leaf(&path) {
                assert!(leaf.body.end <= length);
            }
        }
    }
}

fn check_damaged(table: &[u8], message: &[u8]) {
    let mut random = Random::new(table.len() as u64 ^ message.len() as u64);
    let mut damaged = table.to_vec();
    let at = random.below(damaged.len());
    damaged[at] ^= 1 << random.below(8);
    for bytes in [&damaged[..], &table[..at], message] {
        let Some(structure) = Structure::decode(bytes) else {
            continue;
        };
        let mut again = Vec::new();
        structure.encode(&mut again);
        assert_eq!(again, bytes, "two encodings of one table");
        let mut out = Vec::new();
        ironpost_mime::bodystructure(message, &structure, true, &mut out);
        text::searchable(message, &structure, &mut |_| {});
    }
}

/// ENVELOPE has ten items whatever the header holds; fields cover the header without gaps; HEADER.FIELDS and its opposite
/// share the fields out between them.
pub fn envelope(header: &[u8]) {
    let mut out = Vec::new();
    ironpost_mime::envelope(header, &mut out);
    assert_eq!(check_imap(&out, "ENVELOPE"), 10);
    let mut end = 0;
    let mut names = Vec::new();
    for field in headers::fields(header) {
        assert_eq!(field.raw.start, end);
        end = field.raw.end;
        if names.len() < 3 && !field.name.is_empty() {
            names.push(field.name.to_vec());
        }
        for address in address_list::parse(field.value) {
            let _ = address.is_mailbox();
        }
        let _ = date::parse(field.value);
        let _ = subject::base_subject(field.value);
        let _ = threading::message_ids(field.value);
        let _ = params::content_type(field.value);
        let _ = params::disposition(field.value);
        let _ = params::languages(field.value);
        let decoded = encoded_word::decode(field.value);
        assert!(decoded.len() <= field.value.len() * TEXT_GROWTH + 4, "{decoded:?}");
    }
    assert!(end <= headers::section_len(header));
    let (mut chosen, mut others) = (Vec::new(), Vec::new());
    headers::select(header, &names, false, &mut chosen);
    headers::select(header, &names, true, &mut others);
    assert!(chosen.ends_with(b"\r\n"));
    assert!(others.is_empty() || others.ends_with(b"\n"));
    for selected in [&chosen, &others] {
        assert!(selected.len() <= headers::section_len(header) + 4);
    }
}

/// Texts for SEARCH: bounded, whatever the encoding and the charset claim; decoding does not depend on the pieces, and what
/// we encode decodes to itself.
pub fn text(data: &[u8]) {
    let structure = Structure::parse(data, &Limits::default());
    let mut total = 0;
    text::searchable(data, &structure, &mut |piece| total += piece.len());
    let bound = (data.len() + 64) * TEXT_GROWTH * 2;
    assert!(total <= bound, "{total} octets of text out of {}", data.len());
    text::searchable_body(data, &structure, &mut |_| {});
    let (label, octets) = data.split_at(data.len().min(12));
    for label in [label, b"utf-7", b"iso-2022-jp", b"windows-1252", b"utf-16"] {
        let decoded = charset::to_utf8(label, octets);
        assert!(decoded.len() <= octets.len() * TEXT_GROWTH + 4);
        let plain = html::to_text(&decoded);
        assert!(plain.len() <= decoded.len() * TEXT_GROWTH + 4);
    }
    let mut random = Random::new(data.len() as u64);
    for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
        let mut whole = Vec::new();
        transfer::decode(encoding, data, &mut whole);
        assert!(whole.len() <= data.len() + 2);
        let (mut decoder, mut pieces, mut rest) = (Decoder::new(encoding), Vec::new(), data);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len()));
            decoder.push(piece, &mut pieces);
            rest = behind;
        }
        decoder.finish(&mut pieces);
        assert_eq!(pieces, whole);
    }
    let (mut encoded, mut decoded) = (Vec::new(), Vec::new());
    transfer::encode_base64_lines(data, &mut encoded);
    transfer::decode(TransferEncoding::Base64, &encoded, &mut decoded);
    assert_eq!(decoded, data);
}
