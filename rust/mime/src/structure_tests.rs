#![expect(clippy::unwrap_used, reason = "tests")]
use ironpost_proto::imap::fetch_att::{Section, SectionText};

use super::*;
use crate::octets::tests::Narrow;

fn parse(message: &[u8]) -> Structure {
    let structure = Structure::parse(message, &Limits::default());
    for width in [16, 17, 64] {
        let mut narrow = Narrow {
            message,
            width,
            broken_at: usize::MAX,
        };
        assert_eq!(Structure::read(&mut narrow, &Limits::default()), structure);
        headers_suffice(message, &structure, &mut narrow);
    }
    let mut table = Vec::new();
    structure.encode(&mut table);
    assert_eq!(Structure::decode(&table).unwrap(), structure);
    structure
}

/// BODYSTRUCTURE, made of the header sections alone, is that of the message.
fn headers_suffice(message: &[u8], structure: &Structure, source: &mut Narrow<'_>) {
    let headers = structure.headers(source, usize::MAX, usize::MAX);
    assert!(headers.is_whole);
    let (mut whole, mut alone) = (Vec::new(), Vec::new());
    crate::bodystructure(message, structure, true, &mut whole);
    crate::bodystructure(&headers.octets, &headers.structure, true, &mut alone);
    assert_eq!(alone, whole);
}

/// The octets of a section written as `1.2.MIME`.
fn section<'a>(message: &'a [u8], spec: &str) -> Option<&'a [u8]> {
    let structure = parse(message);
    let mut path = Vec::new();
    let mut text = SectionText::Whole;
    for word in spec.split('.').filter(|word| !word.is_empty()) {
        match word {
            "HEADER" => text = SectionText::Header,
            "TEXT" => text = SectionText::Text,
            "MIME" => text = SectionText::Mime,
            number => path.push(number.parse().unwrap()),
        }
    }
    structure
        .section(&Section { path, text })
        .octets()
        .map(|range| &message[range])
}

fn bodies(message: &[u8]) -> Vec<String> {
    let leaves = parse(message)
        .parts
        .into_iter()
        .filter(|part| part.kind == PartKind::Leaf);
    leaves
        .map(|part| String::from_utf8_lossy(&message[part.body]).into_owned())
        .collect()
}

#[test]
fn a_plain_message() {
    let message = b"Subject: x\r\n\r\nline\r\nlast";
    assert_eq!(section(message, ""), Some(&message[..]));
    assert_eq!(section(message, "HEADER"), Some(&b"Subject: x\r\n\r\n"[..]));
    assert_eq!(section(message, "TEXT"), Some(&b"line\r\nlast"[..]));
    assert_eq!(section(message, "1"), Some(&b"line\r\nlast"[..]));
    assert_eq!(section(message, "1.MIME"), Some(&b"Subject: x\r\n\r\n"[..]));
    for missing in ["2", "1.1", "1.HEADER", "1.TEXT", "0", "MIME"] {
        assert_eq!(section(message, missing), None, "{missing}");
    }
    assert_eq!(parse(message).parts[0].lines, 1);
}

#[test]
fn odd_line_ends_and_missing_ends() {
    for (message, header, lines) in [
        (&b""[..], 0, 0),
        (b"\r\n", 2, 0),
        (b"\nbody\n", 1, 1),
        (b"A: 1", 4, 0),
        (b"A: 1\n\nx\ry\r\nz", 6, 1),
        (b"A: 1\r\n\n\n", 7, 1),
        (b"A\0: 1\r\n\r\n\0\0", 9, 0),
    ] {
        let structure = parse(message);
        assert_eq!(
            (structure.header_len(), structure.parts[0].lines),
            (header, lines),
            "{message:?}"
        );
        assert_eq!(structure.message_len(), message.len());
    }
}

const NESTED: &[u8] = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=\"out\"\r\n\r\npreamble\r\n--out\r\n\r\none\r\n\
\r\n--out \t\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\nplain\r\n\
--in\r\nContent-Type: text/html\r\n\r\n<p>\r\n--in--\r\nepilogue in\r\n--out\r\nContent-Type: message/rfc822\r\n\r\n\
Subject: inner\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n--deep\r\n\r\nd1\r\n--deep\r\n\r\nd2\r\n--deep--\r\n\
--out\r\nContent-Type: message/rfc822\r\n\r\nSubject: flat\r\n\r\nflat body\r\n--out--\r\nepilogue\r\n";

#[test]
fn part_numbers() {
    for (spec, expected) in [
        ("1", Some("one\r\n")),
        ("1.MIME", Some("\r\n")),
        (
            "2.MIME",
            Some("Content-Type: multipart/alternative; boundary=in\r\n\r\n"),
        ),
        ("2.1", Some("plain")),
        ("2.2", Some("<p>")),
        ("2.2.MIME", Some("Content-Type: text/html\r\n\r\n")),
        ("2.3", None),
        ("2.HEADER", None),
        ("2.TEXT", None),
        (
            "3.HEADER",
            Some("Subject: inner\r\nContent-Type: multipart/mixed; boundary=deep\r\n\r\n"),
        ),
        ("3.TEXT", Some("--deep\r\n\r\nd1\r\n--deep\r\n\r\nd2\r\n--deep--")),
        ("3.1", Some("d1")),
        ("3.2", Some("d2")),
        ("3.2.1", None),
        ("4", Some("Subject: flat\r\n\r\nflat body")),
        ("4.1", Some("flat body")),
        ("4.1.MIME", Some("Subject: flat\r\n\r\n")),
        ("4.1.1", None),
        ("4.TEXT", Some("flat body")),
        ("5", None),
    ] {
        assert_eq!(
            section(NESTED, spec).map(|octets| std::str::from_utf8(octets).unwrap()),
            expected,
            "{spec}"
        );
    }
    // The same message with bare LF line ends has the same parts.
    let bare: Vec<u8> = NESTED.iter().copied().filter(|&octet| octet != b'\r').collect();
    assert_eq!(section(&bare, "2.1"), Some(&b"plain"[..]));
    assert_eq!(section(&bare, "3.2"), Some(&b"d2"[..]));
    assert_eq!(section(&bare, "1"), Some(&b"one\n"[..]));
}

#[test]
fn a_message_that_is_a_message() {
    let message = b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody";
    assert_eq!(section(message, "1"), Some(&b"Subject: in\r\n\r\nbody"[..]));
    assert_eq!(section(message, "1.HEADER"), Some(&b"Subject: in\r\n\r\n"[..]));
    assert_eq!(section(message, "1.1"), Some(&b"body"[..]));
    assert_eq!(section(message, "1.1.1"), None);
}

fn mixed(boundary: &str, body: &str) -> Vec<u8> {
    format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n{body}").into_bytes()
}

#[test]
fn boundaries_at_the_edges() {
    // No closing boundary; the last line end belongs to the body then.
    assert_eq!(
        bodies(&mixed("b", "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n")),
        ["one", "two\r\n"]
    );
    assert_eq!(bodies(&mixed("b", "--b\r\n\r\none\r\n--b")), ["one"]);
    assert_eq!(bodies(&mixed("b", "--b\r\n\r\none\r\n--b\r\n")), ["one", ""]);
    // Empty bodies, empty parts, boundary directly after a boundary.
    assert_eq!(
        bodies(&mixed("b", "--b\r\n\r\n--b\r\n--b\r\n\r\n\r\n--b--")),
        ["", "", ""]
    );
    // A header cut short by a boundary.
    assert_eq!(bodies(&mixed("b", "--b\r\nX: 1\r\n--b--\r\n")), [""]);
    assert_eq!(
        section(&mixed("b", "--b\r\nX: 1\r\n--b--\r\n"), "1.MIME"),
        Some(&b"X: 1"[..])
    );
    // The line end before a boundary is the boundary's, be it the empty line of a header.
    for (body, header) in [
        ("--b\r\nX: 1\r\n\r\n--b--", "X: 1\r\n"),
        ("--b\r\n\r\n--b--", ""),
        ("--b\r\n--b--", ""),
    ] {
        assert_eq!(section(&mixed("b", body), "1.MIME"), Some(header.as_bytes()), "{body}");
        assert_eq!(section(&mixed("b", body), "1"), Some(&b""[..]), "{body}");
    }
    assert_eq!(parse(&mixed("b", "--b\r\n\r\n--b--\r\n")).parts[0].lines, 3);
    // No part at all, with and without a closing boundary or a boundary parameter.
    for message in [
        mixed("b", "text\r\n"),
        mixed("b", "--b--\r\n"),
        mixed("", "--\r\n\r\nx\r\n----\r\n"),
    ] {
        let structure = parse(&message);
        assert_eq!(
            (structure.parts.len(), structure.parts[0].kind),
            (1, PartKind::Multipart)
        );
        assert_eq!(section(&message, "1"), Some(&b""[..]));
        assert_eq!(section(&message, "1.HEADER"), None);
        assert_eq!(section(&message, "1.1"), None);
    }
    // After the closing boundary nothing counts.
    assert_eq!(
        bodies(&mixed("b", "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n")),
        ["one"]
    );
    // Dashes that are no boundary.
    assert_eq!(
        bodies(&mixed("b", "--b\r\n\r\n-- \r\n--\r\n--c\r\n --b\r\nx--b\r\n--b--\r\n")),
        ["-- \r\n--\r\n--c\r\n --b\r\nx--b"]
    );
    // A boundary longer than the 70 octets of RFC 2046.
    let long = "x".repeat(200);
    assert_eq!(
        bodies(&mixed(&long, &format!("--{long}\r\n\r\none\r\n--{long}--\r\n"))),
        ["one"]
    );
    // White space at the end of a boundary belongs to it.
    assert_eq!(
        bodies(&mixed("b  ", "--b  \r\n\r\none\r\n--b \r\n--b  --\r\n")),
        ["one\r\n--b "]
    );
    // A boundary that ends in dashes.
    assert_eq!(bodies(&mixed("b--", "--b--\r\n\r\none\r\n--b----\r\n")), ["one"]);
    let inner = "Content-Type: multipart/mixed; boundary=\"a----\"\r\n\r\n--a----\r\n\r\none\r\n--a------\r\n";
    let message = mixed("a--", &format!("--a--\r\n{inner}\r\n--a----"));
    assert_eq!(bodies(&message), ["one"]);
    assert_eq!(parse(&message).parts.len(), 3);
}

#[test]
fn boundaries_that_begin_alike() {
    let inner = "Content-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\n\r\none\r\n--abc--\r\n";
    let message = mixed("ab", &format!("--ab\r\n{inner}--ab\r\n\r\ntwo\r\n--ab--\r\n"));
    assert_eq!(bodies(&message), ["one", "two"]);
    // The outer boundary is the longer one.
    let inner = "Content-Type: multipart/mixed; boundary=ab\r\n\r\n--ab\r\n\r\none\r\n--ab--\r\n";
    let message = mixed("abc", &format!("--abc\r\n{inner}--abc\r\n\r\ntwo\r\n--abc--\r\n"));
    assert_eq!(bodies(&message), ["one", "two"]);
}

#[test]
fn an_outer_boundary_ends_what_is_open() {
    let inner = "Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\none\r\n";
    assert_eq!(
        bodies(&mixed("out", &format!("--out\r\n{inner}--out\r\n\r\ntwo\r\n--out--"))),
        ["one", "two"]
    );
    // The same boundary inside: RFC 2046 §5.1.2 takes the innermost.
    let inner = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n";
    assert_eq!(
        bodies(&mixed("b", &format!("--b\r\n{inner}--b\r\n\r\ntwo\r\n--b--"))),
        ["one", "two"]
    );
    // A message part whose multipart never closes.
    let inner =
        "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\none\r\n";
    assert_eq!(
        bodies(&mixed("out", &format!("--out\r\n{inner}--out\r\n\r\ntwo\r\n--out--"))),
        ["one", "two"]
    );
}

#[test]
fn digests_hold_messages() {
    let message = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: 1\r\n\r\none\r\n--b\r\n\
Content-Type: text/plain\r\n\r\ntwo\r\n--b--\r\n";
    assert_eq!(section(message, "1.HEADER"), Some(&b"Subject: 1\r\n\r\n"[..]));
    assert_eq!(section(message, "1.1"), Some(&b"one"[..]));
    assert_eq!(section(message, "2"), Some(&b"two"[..]));
    assert_eq!(parse(message).parts[1].kind, PartKind::Message);
}

#[test]
fn content_fields_count_only_in_mime() {
    let bare = parse(b"Content-Transfer-Encoding: base64\r\n\r\nx");
    assert_eq!(
        (bare.parts[0].is_mime, bare.parts[0].encoding),
        (false, TransferEncoding::Identity)
    );
    let mime = parse(b"Mime-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\neA==");
    assert_eq!(
        (mime.parts[0].is_mime, mime.parts[0].encoding),
        (true, TransferEncoding::Base64)
    );
    assert_eq!(mime.leaf(&[1]).unwrap().encoding, TransferEncoding::Base64);
    assert_eq!(mime.leaf(&[]).unwrap().encoding, TransferEncoding::Identity);
    assert_eq!(mime.leaf(&[2]), None);
}

fn nested(depth: usize) -> Vec<u8> {
    let mut message = String::new();
    for level in 0..depth {
        message += &format!("Content-Type: multipart/mixed; boundary=x{level}y\r\n\r\n--x{level}y\r\n");
    }
    message += "\r\nbody\r\n";
    message.into_bytes()
}

#[test]
fn limits_make_leaves() {
    let deep = parse(&nested(1000));
    assert_eq!(deep.parts.len(), 100);
    assert_eq!(deep.parts[99].kind, PartKind::Opaque);
    let messages = parse(&b"Content-Type: message/rfc822\r\n\r\n".repeat(1000));
    assert_eq!((messages.parts.len(), messages.parts[99].kind), (100, PartKind::Opaque));
    let many = mixed("b", &"--b\r\n\r\nx\r\n".repeat(20_000));
    let structure = parse(&many);
    assert_eq!(structure.parts.len(), 10_000);
    assert_eq!(structure.parts[9_999].body.end, many.len());
    let limits = Limits {
        parts_max: 1,
        depth_max: 1,
        header_octets_max: 0,
    };
    assert_eq!(Structure::parse(NESTED, &limits).parts.len(), 1);
    assert_eq!(
        Structure::parse(NESTED, &Limits { parts_max: 0, ..limits }).parts.len(),
        1
    );
}

#[test]
fn a_deep_tree_can_be_stored_and_shown() {
    let message = nested(20_000);
    let limits = Limits {
        depth_max: u32::MAX,
        parts_max: u32::MAX,
        ..Limits::default()
    };
    let structure = Structure::parse(&message, &limits);
    assert_eq!(structure.parts.len(), 20_001);
    let mut out = Vec::new();
    crate::bodystructure(&message, &structure, true, &mut out);
    let mut table = Vec::new();
    structure.encode(&mut table);
    assert_eq!(Structure::decode(&table).unwrap(), structure);
}

#[test]
fn a_source_that_breaks_off_ends_the_reading() {
    let message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n";
    for broken_at in 0..message.len() {
        let mut narrow = Narrow {
            message,
            width: 16,
            broken_at,
        };
        // It ends, and every range is within the message.
        let structure = Structure::read(&mut narrow, &Limits::default());
        assert_eq!(structure.message_len(), message.len());
    }
}

#[test]
fn headers_are_cut_at_their_limits() {
    let message =
        b"Subject: long\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nA: b\r\n\r\nx\r\n--b--\r\n";
    let structure = parse(message);
    let cut = structure.headers(&mut &message[..], 13, 100);
    assert!(!cut.is_whole);
    assert_eq!(cut.octets, b"Subject: longA: b\r\n\r\n");
    assert_eq!(cut.structure.parts()[1].header, 13..21);
    let cut = structure.headers(&mut &message[..], 13, 15);
    assert_eq!(cut.octets, b"Subject: longA:");
}
