//! Properties over arbitrary octets: nothing panics, tables survive, pieces do not matter, work grows with the input.
#![expect(clippy::unwrap_used, reason = "tests")]

use ironpost_mime::transfer::{Decoder, TransferEncoding};
use ironpost_mime::{Limits, Structure, headers, text, transfer};
use proptest::prelude::*;

mod support;

/// Pieces that mail is made of, so that arbitrary mixtures reach deep into the readers.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"--a".to_vec()),
        Just(b"\r\n--a\r\n".to_vec()),
        Just(b"\r\n--ab\r\n".to_vec()),
        Just(b"\n--a--\n".to_vec()),
        Just(b"--ab--\r\n".to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=a\r\n".to_vec()),
        Just(b"Content-Type: multipart/digest;\r\n boundary=\"ab\"\r\n\r\n".to_vec()),
        Just(b"Content-Type: message/rfc822\r\n\r\n".to_vec()),
        Just(b"Content-Type: text/html; charset=utf-7; a*0*=x''%41; a*1=b\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: quoted-printable\r\n".to_vec()),
        Just(b"Content-Transfer-Encoding: base64\r\n".to_vec()),
        Just(b"Content-Disposition: x; y=\"z\r\n\tz\"\r\nContent-Language: a,(b)c\r\n".to_vec()),
        Just(b"From: \"a\" <@b:c@d>, e:f@g,;\r\nSubject: =?utf-8?q?x?= =?\r\nDate: 1 Jan 70 0:0 z\r\n".to_vec()),
        Just(b"References: <a@b> <\"c\"@d>\r\nTo: (((\r\nCc: a@[b\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

fn mail() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(fragment(), 0..60).prop_map(|pieces| pieces.concat())
}

fn read_all(message: &[u8]) {
    let structure = Structure::parse(message, &Limits::default());
    let mut table = Vec::new();
    structure.encode(&mut table);
    assert_eq!(Structure::decode(&table).unwrap(), structure);
    for extended in [false, true] {
        let mut out = Vec::new();
        ironpost_mime::bodystructure(message, &structure, extended, &mut out);
        support::check_imap(&out, "arbitrary");
    }
    let mut out = Vec::new();
    ironpost_mime::envelope(message, &mut out);
    assert_eq!(support::check_imap(&out, "arbitrary"), 10);
    text::searchable(message, &structure, &mut |_| {});
    text::searchable_body(message, &structure, &mut |_| {});
    let mut end = 0;
    for field in headers::fields(message) {
        assert_eq!(field.raw.start, end);
        end = field.raw.end;
        let _ = ironpost_mime::date::parse(field.value);
        let _ = ironpost_mime::subject::base_subject(field.value);
        let _ = ironpost_mime::threading::message_ids(field.value);
        let _ = ironpost_mime::encoded_word::decode(field.value);
        let _ = ironpost_mime::params::languages(field.value);
    }
    assert!(structure.header_len() - end <= 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_octets_never_panic(message in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_all(&message);
    }

    #[test]
    fn arbitrary_mail_never_panics(message in mail()) {
        read_all(&message);
    }

    #[test]
    fn damaged_tables_never_panic(message in mail(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut table = Vec::new();
        Structure::parse(&message, &Limits::default()).encode(&mut table);
        let at = at.index(table.len());
        table[at] = octet;
        if let Some(structure) = Structure::decode(&table) {
            let mut again = Vec::new();
            structure.encode(&mut again);
            prop_assert_eq!(again, table);
            ironpost_mime::bodystructure(&message, &structure, true, &mut Vec::new());
            text::searchable(&message, &structure, &mut |_| {});
        }
    }

    #[test]
    fn arbitrary_tables_never_panic(table in proptest::collection::vec(any::<u8>(), 0..60)) {
        let mut versioned = vec![1];
        versioned.extend_from_slice(&table);
        for table in [&table, &versioned] {
            if let Some(structure) = Structure::decode(table) {
                let mut again = Vec::new();
                structure.encode(&mut again);
                prop_assert_eq!(&again, table);
            }
        }
    }

    #[test]
    fn pieces_decode_as_the_whole(body in "[ \\t\\r\\n=A-Fa-f0-9x+/]{0,60}", cuts in proptest::collection::vec(0..60_usize, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.push(body.len());
        cuts.sort_unstable();
        for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
            let mut whole = Vec::new();
            transfer::decode(encoding, body.as_bytes(), &mut whole);
            let (mut decoder, mut out, mut at) = (Decoder::new(encoding), Vec::new(), 0);
            for &cut in &cuts {
                decoder.push(&body.as_bytes()[at..cut], &mut out);
                at = cut;
            }
            decoder.finish(&mut out);
            prop_assert_eq!(out, whole);
        }
    }

    #[test]
    fn written_text_reads_back(octets in proptest::collection::vec(any::<u8>(), 0..200), words in "\\PC{0,80}") {
        let mut encoded = Vec::new();
        transfer::encode_base64_lines(&octets, &mut encoded);
        let mut decoded = Vec::new();
        transfer::decode(TransferEncoding::Base64, &encoded, &mut decoded);
        prop_assert_eq!(decoded, octets);
        let single: Vec<&str> = words.split(' ').filter(|word| !word.is_empty()).collect();
        let mut field = Vec::new();
        ironpost_mime::builder::text_field("X", &words, &mut field);
        prop_assert!(field.is_ascii());
        let value = field.strip_prefix(b"X:").unwrap();
        prop_assert_eq!(ironpost_mime::encoded_word::decode(value), single.join(" "));
    }
}

/// Inputs made to provoke work that grows faster than they do. A quadratic reading of any of them takes minutes, the
/// linear one a moment; the test suite's own time limit is the judge.
#[test]
fn hostile_inputs_cost_linear_work() {
    let size = 2_000_000;
    let repeat = |unit: &str| unit.repeat(size / unit.len()).into_bytes();
    let field =
        |name: &str, unit: &str| [format!("{name}: ").into_bytes(), repeat(unit), b"\r\n\r\n".to_vec()].concat();
    let mixed = |unit: &str| {
        [
            b"Content-Type: multipart/mixed; boundary=a\r\n\r\n".to_vec(),
            repeat(unit),
        ]
        .concat()
    };
    let inputs = [
        repeat("\r\n"),
        repeat("a:\r\n"),
        repeat(" \r\n"),
        repeat("\n--"),
        field("From", "a,"),
        field("From", "("),
        field("From", "a("),
        field("From", "\"a"),
        field("From", "<@a:"),
        field("From", "a:;,"),
        field("From", "a@[b,"),
        field("From", "\\\""),
        field("Subject", "=?a?q?"),
        field("Subject", "=?a?q?b?="),
        field("Subject", "=?utf-8?b?YQ==?= "),
        field("Subject", "[a] "),
        field("Subject", "re: "),
        field("Subject", "re[a] "),
        field("Subject", "(fwd) "),
        field("Subject", "[fwd: "),
        field("Date", "("),
        field("Date", "1 "),
        field("References", "<"),
        field("References", "<a@b>"),
        field("References", "\""),
        field("Content-Type", "a/b; c*0=d; "),
        field("Content-Type", "a/b; c=\"d"),
        field("Content-Type", "a/b; ("),
        field("Content-Language", "a,"),
        mixed("--"),
        mixed("--b\n"),
        mixed("--a\n"),
        mixed("--a--\n"),
        mixed("\n--a\n\n"),
        mixed("--a\nContent-Type: multipart/mixed; boundary=a\n\n"),
        mixed("--a\nContent-Type: message/rfc822\n\n"),
        [b"Content-Type: text/html\r\n\r\n".to_vec(), repeat("<a \"")].concat(),
        [b"Content-Type: text/html\r\n\r\n".to_vec(), repeat("<!--")].concat(),
        [b"Content-Type: text/html\r\n\r\n".to_vec(), repeat("<script>")].concat(),
        [
            b"Content-Type: text/html\r\n\r\n".to_vec(),
            repeat("<script></script>&amp"),
        ]
        .concat(),
        [b"Content-Type: text/html\r\n\r\n".to_vec(), repeat("&#x")].concat(),
        [b"Content-Type: text/plain; charset=utf-7\r\n\r\n".to_vec(), repeat("+")].concat(),
        [
            b"Content-Type: a/b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".to_vec(),
            repeat("= \t"),
        ]
        .concat(),
    ];
    for input in &inputs {
        read_all(input);
    }
}
