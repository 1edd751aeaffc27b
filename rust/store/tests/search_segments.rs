//! Segments and cards against damage: no truncation and no flipped bit panics, or makes a wrong answer.
#![expect(clippy::unwrap_used, reason = "tests")]

use ironpost_mime::{Limits, Structure};
use ironpost_store::card::{self, Card};
use ironpost_store::search::filter::segment::{Document, Fault, Segment, segment_path};
use ironpost_store::search::filter::write::SegmentWriter;

fn sample(folder: &std::path::Path) -> Vec<(u32, Vec<u32>)> {
    let documents: Vec<(Document, bool)> = (0..50)
        .map(|number| {
            let prefix = if number % 3 == 0 { 0 } else { number * 2 + 101 };
            (
                Document {
                    blob: number * 2 + 100,
                    prefix,
                },
                number == 7,
            )
        })
        .collect();
    let mut writer = SegmentWriter::create(folder, 7, 42, &documents, 12_345).unwrap();
    let mut terms = Vec::new();
    for term in (1..900_000_u32).step_by(1501) {
        let list: Vec<u32> = (0..50)
            .filter(|ordinal| (term / 1501).is_multiple_of(ordinal + 1))
            .collect();
        writer.term(term, &list).unwrap();
        terms.push((term, list));
    }
    writer.finish().unwrap();
    terms
}

/// Every list as the segment tells it, or the fault.
fn read(folder: &std::path::Path, terms: &[(u32, Vec<u32>)]) -> Result<Vec<Vec<u32>>, Fault> {
    let segment = Segment::open(folder, 7, 42)?;
    let mut lists = Vec::new();
    for (term, _) in terms {
        let mut list = Vec::new();
        segment.list(*term..*term + 1, &mut list)?;
        lists.push(list);
    }
    let mut cursor = segment.cursor();
    for (expected, list) in terms.iter().map(|(term, _)| term).zip(&lists) {
        assert_eq!(cursor.term()?, Some(*expected));
        let mut again = Vec::new();
        cursor.take(&mut again)?;
        assert_eq!(&again, list);
    }
    assert_eq!(cursor.term()?, None);
    Ok(lists)
}

#[test]
fn a_segment_tells_what_was_written_or_that_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Segment::open(folder.path(), 7, 42), Err(Fault::Missing)));
    let terms = sample(folder.path());
    let expected: Vec<Vec<u32>> = terms.iter().map(|(_, list)| list.clone()).collect();
    assert_eq!(read(folder.path(), &terms).unwrap(), expected);
    let segment = Segment::open(folder.path(), 7, 42).unwrap();
    assert_eq!((segment.wild(), segment.text_octets()), (&[7][..], 12_345));
    let mut hint = 0;
    for (ordinal, document) in (0..).zip(segment.documents()) {
        assert_eq!(segment.ordinal(*document, &mut hint), Some(ordinal));
    }
    hint = 40;
    assert_eq!(segment.ordinal(Document { blob: 100, prefix: 0 }, &mut hint), Some(0));
    assert_eq!(segment.ordinal(Document { blob: 100, prefix: 1 }, &mut hint), None);
    let mut none = Vec::new();
    for absent in [0, 2, 0x00ff_ffff] {
        segment.list(absent..absent + 1, &mut none).unwrap();
    }
    assert!(none.is_empty());
    let mut all = Vec::new();
    segment.list(0..1 << 20, &mut all).unwrap();
    assert_eq!(all, (0..50).collect::<Vec<u32>>(), "a range joins its lists");
    all.clear();
    segment.list(1501 * 4..1501 * 6, &mut all).unwrap();
    let mut expected = [&terms[4].1[..], &terms[5].1].concat();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(all, expected);
    for (account, number) in [(8, 42), (7, 43)] {
        std::fs::copy(segment_path(folder.path(), 42), segment_path(folder.path(), 43)).unwrap();
        assert!(matches!(
            Segment::open(folder.path(), account, number),
            Err(Fault::Damaged)
        ));
    }
}

#[test]
fn any_damage_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let terms = sample(folder.path());
    let expected: Vec<Vec<u32>> = terms.iter().map(|(_, list)| list.clone()).collect();
    let path = segment_path(folder.path(), 42);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 3000, "{}", bytes.len());
    for cut in (0..bytes.len()).step_by(13) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        assert!(
            matches!(read(folder.path(), &terms), Err(Fault::Damaged)),
            "cut to {cut}"
        );
    }
    // Tables, index and header octet by octet; of the blocks between a part.
    let dense = |at: usize| at < 400 || at + 400 > bytes.len();
    for at in (0..bytes.len()).filter(|at| dense(*at) || at % 5 == 0) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        std::fs::write(&path, &damaged).unwrap();
        assert!(
            matches!(read(folder.path(), &terms), Err(Fault::Damaged)),
            "bit of {at}"
        );
    }
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(read(folder.path(), &terms).unwrap(), expected);
}

#[test]
fn unlinked_segments_stay_readable() {
    let folder = tempfile::tempdir().unwrap();
    let terms = sample(folder.path());
    let segment = Segment::open(folder.path(), 7, 42).unwrap();
    std::fs::remove_file(segment_path(folder.path(), 42)).unwrap();
    let mut list = Vec::new();
    segment.list(terms[0].0..terms[0].0 + 1, &mut list).unwrap();
    assert_eq!(list, terms[0].1);
}

const GOLDEN: &[u8] =
    b"Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\n\
To: Friends: bob@example.org;\r\nSubject: Re: [list] =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.org>\r\n\
References: <r@x> <s@x>\r\n\r\nHello\r\n";

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn cards_of_both_versions_are_read_for_ever() {
    let one = hex(include_str!("golden/card-1.hex").trim());
    let two = hex(include_str!("golden/card-2.hex").trim());
    let structure = Structure::parse(GOLDEN, &Limits::default());
    assert_eq!(
        card::build(GOLDEN, &structure),
        two,
        "the layout of new cards has changed: give it a version of its own"
    );
    let (one, two) = (Card::decode(&one).unwrap(), Card::decode(&two).unwrap());
    assert_eq!(Card { extras: None, ..two }, one);
    assert_eq!(
        (one.date, one.is_reply, one.base_subject),
        (Some((760_686_745, -480)), true, "Grüße")
    );
    assert_eq!(one.from, b"juergen");
    let extras = two.extras.unwrap();
    assert_eq!((extras.display_from, extras.display_to), ("Jürgen", "Friends"));
    assert_eq!(extras.references.iter().count(), 2);
    assert_eq!(extras.references.iter().next(), Some(two.thread_root));
    assert!(!extras.references.cut);
    assert_eq!(
        card::field_block(&hex(include_str!("golden/card-1.hex").trim()), 0),
        None
    );
}

#[test]
fn long_lists_of_references_keep_both_ends() {
    let build = |count: u32| {
        let references: String = (0..count).map(|number| format!("<{number}@x> ")).collect();
        let message = format!("References: {references}\r\n\r\n");
        card::build(
            message.as_bytes(),
            &Structure::parse(message.as_bytes(), &Limits::default()),
        )
    };
    let hashes = |card: &[u8]| {
        let references = Card::decode(card).unwrap().extras.unwrap().references;
        (references.iter().collect::<Vec<u64>>(), references.cut)
    };
    let (few, cut) = hashes(&build(24));
    assert_eq!((few.len(), cut), (24, false));
    let (many, cut) = hashes(&build(500));
    assert_eq!((many.len(), cut), (card::REFERENCES_MAX, true));
    assert_eq!(many[..4], few[..4]);
    let all: Vec<u64> = (480..500)
        .map(|number| {
            let message = format!("References: <{number}@x>\r\n\r\n");
            hashes(&card::build(
                message.as_bytes(),
                &Structure::parse(message.as_bytes(), &Limits::default()),
            ))
            .0[0]
        })
        .collect();
    assert_eq!(many[4..], all);
}

#[test]
fn damaged_cards_do_no_harm() {
    let full = card::build(GOLDEN, &Structure::parse(GOLDEN, &Limits::default()));
    for cut in 0..full.len() {
        assert!(Card::decode(&full[..cut]).is_none(), "cut to {cut}");
        let _ = card::field_block(&full[..cut], 8);
    }
    for at in 0..full.len() {
        for bit in 0..8 {
            let mut damaged = full.clone();
            damaged[at] ^= 1 << bit;
            // Any answer will do; cards have no checksum of their own, the pages below them do not lie.
            let _ = (
                Card::decode(&damaged),
                card::field_block(&damaged, 4),
                card::for_index(&damaged),
            );
        }
    }
}

#[test]
fn index_cards_are_bounded_whatever_the_message() {
    for recipients in [1, 5, 20, 40, 100, 1000] {
        let to: String = (0..recipients)
            .map(|number| format!("Person {number} <p{number}@example.org>, "))
            .collect();
        let message = format!(
            "From: a@b\r\nTo: {to}x@y\r\nCc: {to}x@y\r\nSubject: {}\r\n\r\n",
            "s".repeat(recipients)
        );
        let full = card::build(
            message.as_bytes(),
            &Structure::parse(message.as_bytes(), &Limits::default()),
        );
        let short = card::for_index(&full);
        assert!(short.len() <= card::INDEX_OCTETS_MAX, "{} of {recipients}", short.len());
        let card = Card::decode(&short).unwrap();
        assert_eq!(card.extras.unwrap().display_from, "a@b");
        assert!(card::field_block(&short, 0).is_some(), "the short ones stay");
        assert!(card.bodystructure.is_some());
    }
}

#[test]
fn the_text_that_is_indexed_has_a_version() {
    const MESSAGE: &[u8] = include_bytes!("golden/text-version.eml");
    let structure = Structure::parse(MESSAGE, &Limits::default());
    let mut digest = blake3::Hasher::new();
    let mut folded = String::new();
    ironpost_mime::text::searchable(MESSAGE, &structure, &mut |piece| {
        folded.clear();
        ironpost_store::search::needle::fold_onto(piece, &mut folded);
        digest.update(folded.as_bytes());
        digest.update(&[0xff]);
    });
    assert_eq!(
        digest.finalize().to_hex()[..32],
        *include_str!("golden/text-version.hash").trim(),
        "search looks at other text than before: raise TEXT_VERSION in search/filter/mod.rs, then put this hash"
    );
}
