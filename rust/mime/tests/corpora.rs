//! Every message of the shared corpora through every reader, with what must hold for any message.
//!
//! The corpora are found by IRONPOST_CORPORA or beside the checkout; where they are absent the tests say so and pass.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ironpost_mime::{Limits, PartKind, Structure, text};
use ironpost_proto::imap::fetch_att::{Section, SectionText};

mod support;

/// What must hold for any message whatever.
fn check(message: &[u8], name: &str) {
    let structure = Structure::parse(message, &Limits::default());
    let parts = structure.parts();
    assert_eq!(structure.message_len(), message.len(), "{name}");
    assert_eq!(
        structure.header_len(),
        ironpost_mime::headers::section_len(message),
        "{name}"
    );
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(part.header.end, part.body.start, "{name}: part {index}");
        assert!(
            part.header.start <= part.header.end && part.body.start <= part.body.end,
            "{name}: part {index}"
        );
        let lines = message[part.body.clone()]
            .iter()
            .filter(|&&octet| octet == b'\n')
            .count();
        assert_eq!(part.lines, lines, "{name}: part {index}");
        let mut floor = part.body.start;
        let mut children = 0;
        for child in structure.children(index) {
            let inner = &parts[child];
            assert!(
                floor <= inner.header.start && inner.body.end <= part.body.end,
                "{name}: part {child} in {index}"
            );
            floor = inner.body.end;
            children += 1;
        }
        match part.kind {
            PartKind::Leaf | PartKind::Opaque => assert_eq!(children, 0, "{name}: part {index}"),
            PartKind::Message => {
                assert_eq!(children, 1, "{name}: part {index}");
                assert_eq!(
                    parts[index + 1].header.start..parts[index + 1].body.end,
                    part.body,
                    "{name}: part {index}"
                );
            }
            PartKind::Multipart => {}
        }
    }
    let fields: usize = ironpost_mime::headers::fields(message)
        .map(|field| field.raw.len())
        .sum();
    assert!(
        structure.header_len() - fields <= 2,
        "{name}: fields make up the header"
    );
    let mut table = Vec::new();
    structure.encode(&mut table);
    assert_eq!(Structure::decode(&table).as_ref(), Some(&structure), "{name}");
    check_sections(message, &structure, name);
    check_writers(message, &structure, name);
}

fn check_sections(message: &[u8], structure: &Structure, name: &str) {
    let octets = |path: &[u32], text: SectionText| {
        structure
            .section(&Section {
                path: path.to_vec(),
                text,
            })
            .octets()
    };
    assert_eq!(octets(&[], SectionText::Whole), Some(0..message.len()), "{name}");
    let (header, body) = (
        octets(&[], SectionText::Header).unwrap(),
        octets(&[], SectionText::Text).unwrap(),
    );
    assert_eq!(
        (header.start, header.end, body.end),
        (0, body.start, message.len()),
        "{name}"
    );
    // Each part is reached by the number that its place gives it.
    let mut paths: Vec<(usize, Vec<u32>)> = vec![(0, Vec::new())];
    while let Some((index, path)) = paths.pop() {
        let part = &structure.parts()[index];
        if part.kind == PartKind::Multipart {
            for (number, child) in (1..).zip(structure.children(index)) {
                let mut path = path.clone();
                path.push(number);
                let inner = &structure.parts()[child];
                assert_eq!(
                    octets(&path, SectionText::Whole),
                    Some(inner.body.clone()),
                    "{name}: {path:?}"
                );
                assert_eq!(
                    octets(&path, SectionText::Mime),
                    Some(inner.header.clone()),
                    "{name}: {path:?}"
                );
                assert_eq!(structure.leaf(&path).unwrap().body, inner.body, "{name}: {path:?}");
                let message_part = inner.kind == PartKind::Message;
                assert_eq!(
                    octets(&path, SectionText::Header).is_some(),
                    message_part,
                    "{name}: {path:?}"
                );
                if message_part {
                    paths.push((child + 1, path));
                } else if inner.kind == PartKind::Multipart {
                    paths.push((child, path));
                }
            }
        } else {
            let mut path = path.clone();
            path.push(1);
            assert_eq!(
                octets(&path, SectionText::Whole),
                Some(part.body.clone()),
                "{name}: {path:?}"
            );
        }
    }
}

fn check_writers(message: &[u8], structure: &Structure, name: &str) {
    for extended in [false, true] {
        let mut out = Vec::new();
        ironpost_mime::bodystructure(message, structure, extended, &mut out);
        support::check_imap(&out, name);
    }
    let mut out = Vec::new();
    ironpost_mime::envelope(&message[..structure.header_len()], &mut out);
    let items = support::check_imap(&out, name);
    assert_eq!(items, 10, "{name}: {}", String::from_utf8_lossy(&out));
    let mut octets = 0;
    text::searchable(message, structure, &mut |piece| octets += piece.len());
    assert!(octets <= message.len() * 4 + 64, "{name}");
    for field in ironpost_mime::headers::fields(message) {
        if field.is(b"Date") {
            let _ = ironpost_mime::date::parse(field.value);
        } else if field.is(b"Subject") {
            let _ = ironpost_mime::subject::base_subject(field.value);
        } else if field.is(b"References") {
            let _ = ironpost_mime::threading::message_ids(field.value);
        }
    }
}

fn check_folder(folder: &Path) -> usize {
    let mut count = 0;
    for file in support::files(folder) {
        let message = std::fs::read(&file).unwrap();
        let name = file.display().to_string();
        check(&message, &name);
        count += 1;
        if message.contains(&b'\r') {
            let bare: Vec<u8> = message.iter().copied().filter(|&octet| octet != b'\r').collect();
            check(&bare, &name);
        } else {
            check(&support::with_crlf(&message), &name);
        }
    }
    count
}

#[test]
fn small_corpora() {
    let Some(corpora) = support::corpora() else { return };
    let mut count = 0;
    for folder in ["mime4j-testmsgs", "mail-parser-eml", "mimekit-messages", "python-email"] {
        count += check_folder(&corpora.join(folder));
    }
    println!("{count} files");
    assert!(count > 200, "{count}");
}

#[test]
fn real_mail() {
    let Some(corpora) = support::corpora() else { return };
    let packed = corpora.join("spamassassin/spamassassin-6046.tar.xz");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("spamassassin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let unpacked = Command::new("tar")
        .arg("-xJf")
        .arg(&packed)
        .arg("-C")
        .arg(&folder)
        .status();
    if !unpacked.is_ok_and(|status| status.success()) {
        println!("skipped: {} cannot be unpacked here", packed.display());
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    let count = check_folder(&folder);
    let dates = support::files(&folder)
        .iter()
        .filter(|file| {
            let message = std::fs::read(file).unwrap();
            ironpost_mime::headers::first(&message, b"Date")
                .is_some_and(|date| ironpost_mime::date::parse(date).is_some())
        })
        .count();
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
    println!("{count} messages, {dates} with a date that could be read");
    assert!(
        count >= 6000 && dates * 100 > count * 95,
        "{count} messages, {dates} dates"
    );
}
