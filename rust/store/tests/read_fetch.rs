//! FETCH: every item, exact octets, partials, streaming (RFC 9051 §6.4.5, §7.5.2).
#![expect(clippy::unwrap_used, reason = "tests")]

mod read_support;

use ironpost_proto::imap::fetch_att::{FetchAttribute, Partial, Section, SectionText, Spelling};
use ironpost_store::{StoreError, reader};
use read_support::{Rig, text};

const PREFIX: &[u8] = b"Return-Path: <a@example.org>\r\nReceived: from x by y; Thu, 1 Jan 1970 00:00:00 +0000\r\n";
const MULTIPART: &[u8] =
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nDate: Wed, 17 Jul 1996 02:44:25 -0700\r\n\
    Subject: parts\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=b\"\r\n\r\npreamble\r\n\
    --=b\r\nContent-Type: text/plain\r\n\r\nhello there\r\n\
    --=b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAw==\r\n\
    --=b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-odd\r\n\r\n???\r\n--=b--\r\n";

fn section(path: &[u32], section_text: SectionText, partial: Option<(u64, u64)>) -> FetchAttribute {
    FetchAttribute::Section {
        peek: true,
        section: Section {
            path: path.to_vec(),
            text: section_text,
        },
        partial: partial.map(|(offset, length)| Partial { offset, length }),
        spelling: Spelling::Body,
    }
}

fn literal(octets: &[u8]) -> String {
    format!("{{{}}}\r\n{}", octets.len(), String::from_utf8_lossy(octets))
}

#[test]
fn facts_of_the_hot_row() {
    let rig = Rig::new();
    rig.deliver_to("INBOX", PREFIX, MULTIPART, &["\\Seen", "$Label"], 837_596_665);
    let view = rig.open("INBOX", true);
    let size = PREFIX.len() + MULTIPART.len();
    let items = [
        FetchAttribute::Flags,
        FetchAttribute::InternalDate,
        FetchAttribute::Rfc822Size,
        FetchAttribute::Uid,
    ];
    assert_eq!(
        rig.fetch_text(&view, "1", &items),
        format!(
            "* 1 FETCH (FLAGS (\\Seen \\Recent $Label) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" \
             RFC822.SIZE {size} UID 1)\r\n"
        )
    );
    let (out, ..) = rig.fetch(&view, "1:*", true, &[FetchAttribute::Flags], 100);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent $Label))\r\n"
    );
    let (out, _, end) = rig.fetch(&view, "4:9", false, &[FetchAttribute::Flags], 100);
    assert!(out.is_empty() && end.is_ok());
    rig.finish();
}

#[test]
fn sections_span_prefix_and_blob() {
    let rig = Rig::new();
    rig.deliver_to("INBOX", PREFIX, MULTIPART, &[], 0);
    let view = rig.open("INBOX", true);
    let whole = [PREFIX, MULTIPART].concat();
    let header_end = PREFIX.len() + MULTIPART.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let answer = |item: FetchAttribute| rig.fetch_text(&view, "1", &[item]);
    let line = |name: &str, value: &str| format!("* 1 FETCH ({name} {value})\r\n");

    assert_eq!(
        answer(section(&[], SectionText::Whole, None)),
        line("BODY[]", &literal(&whole))
    );
    assert_eq!(
        answer(section(&[], SectionText::Header, None)),
        line("BODY[HEADER]", &literal(&whole[..header_end]))
    );
    assert_eq!(
        answer(section(&[], SectionText::Text, None)),
        line("BODY[TEXT]", &literal(&whole[header_end..]))
    );
    assert_eq!(
        answer(section(&[1], SectionText::Whole, None)),
        line("BODY[1]", &literal(b"hello there"))
    );
    let mime = b"Content-Type: text/plain\r\n\r\n";
    assert_eq!(
        answer(section(&[1], SectionText::Mime, None)),
        line("BODY[1.MIME]", &literal(mime))
    );
    assert_eq!(answer(section(&[9], SectionText::Whole, None)), line("BODY[9]", "NIL"));
    let fields = |not| SectionText::HeaderFields {
        names: vec![b"SUBJECT".to_vec(), b"received".to_vec()],
        not,
    };
    let chosen = b"Received: from x by y; Thu, 1 Jan 1970 00:00:00 +0000\r\nSubject: parts\r\n\r\n";
    assert_eq!(
        answer(section(&[], fields(false), None)),
        line("BODY[HEADER.FIELDS (SUBJECT received)]", &literal(chosen))
    );
    assert_eq!(
        answer(section(&[], fields(false), Some((3, 5)))),
        line("BODY[HEADER.FIELDS (SUBJECT received)]<3>", &literal(b"eived"))
    );
    assert!(!answer(section(&[], fields(true), None)).contains("Subject"));
    // Windows: over the seam, at the end, beyond it.
    let seam = PREFIX.len() as u64 - 2;
    assert_eq!(
        answer(section(&[], SectionText::Whole, Some((seam, 6)))),
        line(
            &format!("BODY[]<{seam}>"),
            &literal(&whole[seam as usize..seam as usize + 6])
        )
    );
    assert_eq!(
        answer(section(&[1], SectionText::Whole, Some((6, 100)))),
        line("BODY[1]<6>", &literal(b"there"))
    );
    assert_eq!(
        answer(section(&[1], SectionText::Whole, Some((11, 1)))),
        line("BODY[1]<11>", "\"\"")
    );
    rig.finish();
}

#[test]
fn cards_answer_envelope_and_structure() {
    let rig = Rig::new();
    rig.deliver_to("INBOX", PREFIX, MULTIPART, &[], 0);
    // So many recipients that the card does not fit in the index.
    let mut long = b"From: ann@example.org\r\nTo: ".to_vec();
    for number in 0..200 {
        long.extend_from_slice(format!("recipient-{number}@example.org,\r\n ").as_bytes());
    }
    long.extend_from_slice(b"last@example.org\r\nSubject: long\r\n\r\nbody\r\n");
    rig.deliver(&long);
    let view = rig.open("INBOX", true);
    for (number, blob) in [("1", MULTIPART), ("2", &long[..])] {
        let (mut envelope, mut body, mut extended) = (Vec::new(), Vec::new(), Vec::new());
        let structure = ironpost_mime::Structure::parse(blob, &ironpost_mime::Limits::default());
        ironpost_mime::envelope(&blob[..structure.header_len()], &mut envelope);
        ironpost_mime::bodystructure(blob, &structure, false, &mut body);
        ironpost_mime::bodystructure(blob, &structure, true, &mut extended);
        let as_text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let items = [
            FetchAttribute::Envelope,
            FetchAttribute::Body,
            FetchAttribute::BodyStructure,
        ];
        assert_eq!(
            rig.fetch_text(&view, number, &items),
            format!(
                "* {number} FETCH (ENVELOPE {} BODY {} BODYSTRUCTURE {})\r\n",
                as_text(&envelope),
                as_text(&body),
                as_text(&extended)
            )
        );
        assert!(as_text(&envelope).contains("ann"), "the envelope is a real one");
    }
    rig.finish();
}

#[test]
fn binary_decodes_and_refuses_what_it_does_not_know() {
    let rig = Rig::new();
    rig.deliver(MULTIPART);
    rig.deliver(MULTIPART);
    let view = rig.open("INBOX", true);
    let binary = |path: &[u32], partial: Option<(u64, u64)>| FetchAttribute::Binary {
        peek: true,
        path: path.to_vec(),
        partial: partial.map(|(offset, length)| Partial { offset, length }),
    };
    let size = FetchAttribute::BinarySize { path: vec![2] };
    assert_eq!(
        rig.fetch_text(&view, "1", &[binary(&[2], None), binary(&[2], Some((1, 2))), size]),
        "* 1 FETCH (BINARY[2] ~{4}\r\n\0\x01\x02\x03 BINARY[2]<1> {2}\r\n\x01\x02 BINARY.SIZE[2] 4)\r\n"
    );
    let (out, _, end) = rig.fetch(&view, "1:2", false, &[FetchAttribute::Uid, binary(&[3], None)], 1000);
    assert!(out.is_empty());
    assert!(matches!(end, Err(StoreError::Refused(text)) if text.contains("UNKNOWN-CTE")));
    rig.finish();
}

#[test]
fn a_large_body_comes_in_pieces_and_whole() {
    let rig = Rig::new();
    let mut body = b"Subject: large\r\n\r\n".to_vec();
    let mut random = 1_u32;
    while body.len() < 30 << 20 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.extend_from_slice(format!("{random:010} line of a large body {}\r\n", random >> 9).as_bytes());
    }
    rig.deliver_to("INBOX", PREFIX, &body, &[], 0);
    rig.deliver(MULTIPART);
    let view = rig.open("INBOX", true);
    let limit = 64 * 1024;
    let items = [section(&[], SectionText::Whole, None), FetchAttribute::Uid];
    let (out, stretches, end) = rig.fetch(&view, "1:2", false, &items, limit);
    end.unwrap();
    assert!(stretches >= body.len() / (limit * 2), "{stretches} stretches");
    let whole = [PREFIX, &body].concat();
    let start = format!("* 1 FETCH (BODY[] {{{}}}\r\n", whole.len());
    assert!(out.starts_with(start.as_bytes()));
    let rest = &out[start.len()..];
    assert!(rest[..whole.len()] == whole[..], "the body differs");
    let second = format!(" UID 1)\r\n* 2 FETCH (BODY[] {} UID 2)\r\n", literal(MULTIPART));
    assert_eq!(String::from_utf8_lossy(&rest[whole.len()..]), second);
    // The same by pieces of read_message, and TOP.
    let mut read = Vec::new();
    while read.len() < whole.len() {
        let job = reader::read_message(view.clone(), 1, read.len() as u64, 1 << 20);
        match rig.wait(rig.volume.read(job)).unwrap() {
            ironpost_store::Outcome::Bytes(piece) => read.extend_from_slice(&piece),
            other => panic!("{other:?}"),
        }
    }
    assert!(read == whole);
    let octets = match rig
        .wait(rig.volume.read(reader::top_octets(view.clone(), 1, 2)))
        .unwrap()
    {
        ironpost_store::Outcome::Count(octets) => octets,
        other => panic!("{other:?}"),
    };
    let top = text(
        rig.wait(rig.volume.read(reader::read_message(view.clone(), 1, 0, octets)))
            .unwrap(),
    );
    let lines: Vec<&str> = top.split_inclusive("\r\n").collect();
    assert_eq!(lines.len(), 2 + 1 + 1 + 2);
    assert!(top.as_bytes() == &whole[..top.len()]);
    rig.finish();
}

#[test]
fn a_damaged_message_is_left_out_and_told_last() {
    let rig = Rig::new();
    let marked = [
        b"Subject: x\r\n\r\n".as_slice(),
        &b"UNIQUE-MARK-OF-THE-SECOND ".repeat(20),
    ]
    .concat();
    rig.deliver(b"Subject: a\r\n\r\nfirst\r\n");
    rig.deliver(&marked);
    rig.deliver(b"Subject: c\r\n\r\nthird\r\n");
    let view = rig.open("INBOX", true);
    // One octet of the second record's data is changed on disk, behind the store's back.
    let job = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let row = context.tables.message(&txn, view.mailbox, 2).unwrap().unwrap();
        context.tables.blob(&txn, row.blob).unwrap().unwrap()
    };
    let path = ironpost_store::pack::read::pack_path(&rig.folder.path().join("packs"), job.pack);
    let mut octets = std::fs::read(&path).unwrap();
    octets[job.offset as usize + job.length as usize - 12] ^= 0xff;
    {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&octets, 0).unwrap();
    }
    let (out, _, end) = rig.fetch(&view, "1:*", false, &[section(&[], SectionText::Text, None)], 131_072);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "* 1 FETCH (BODY[TEXT] {7}\r\nfirst\r\n)\r\n* 3 FETCH (BODY[TEXT] {7}\r\nthird\r\n)\r\n"
    );
    assert!(matches!(end, Err(StoreError::Corrupt(_))));
}

#[test]
fn rows_of_a_large_mailbox_come_fast_and_in_order() {
    let rig = Rig::new();
    for _ in 0..300 {
        rig.deliver(b"Subject: many\r\n\r\n.\r\n");
    }
    let view = rig.open("INBOX", true);
    let (out, stretches, end) = rig.fetch(&view, "1:*", false, &[FetchAttribute::Flags, FetchAttribute::Uid], 1024);
    end.unwrap();
    assert!(stretches > 5);
    let expected: String = (1..=300)
        .map(|n| format!("* {n} FETCH (FLAGS (\\Recent) UID {n})\r\n"))
        .collect();
    assert_eq!(String::from_utf8_lossy(&out), expected);
    let (out, ..) = rig.fetch(&view, "3,200,299:300", false, &[FetchAttribute::Uid], 1 << 20);
    let expected: String = [3, 200, 299, 300]
        .iter()
        .map(|n| format!("* {n} FETCH (UID {n})\r\n"))
        .collect();
    assert_eq!(String::from_utf8_lossy(&out), expected);
    rig.finish();
}
