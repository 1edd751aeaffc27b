//! Messages that are no mail, or more than mail: read back octet for octet, every FETCH item of them answers.

use ironpost_proto::imap::fetch_att::{FetchAttribute, Partial, Section, SectionText, Spelling};
use ironpost_proto::imap::search_key::SearchKey;

use crate::read_support::Rig;

fn whole() -> FetchAttribute {
    section(&[], SectionText::Whole)
}

fn section(path: &[u32], text: SectionText) -> FetchAttribute {
    FetchAttribute::Section {
        section: Section {
            path: path.to_vec(),
            text,
        },
        partial: None,
        peek: true,
        spelling: Spelling::Body,
    }
}

/// What peers have sent, and worse: a name and the octets.
fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let mut found: Vec<(&'static str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("one octet", b"x".to_vec()),
        ("one line end", b"\r\n".to_vec()),
        ("one NUL", b"\0".to_vec()),
        ("headers only", b"Subject: x\r\nFrom: a@b\r\n".to_vec()),
        ("header without line end", b"Subject: x".to_vec()),
        ("body only", b"\r\nbody".to_vec()),
        (
            "mbox",
            b"From a@b Mon Jan  1 00:00:00 2026\nSubject: x\n\nFrom here\n".to_vec(),
        ),
        ("bare CRs", b"Subject: x\r\rbody\r\r\n\r\r\nx\r".to_vec()),
        (
            "lone surrogates",
            b"Subject: \xed\xa0\x80 x \xed\xb0\x80\r\n\r\n\xed\xa0\xbd\xed\xb8\x80\r\n".to_vec(),
        ),
        (
            "not UTF-8",
            b"Subject: \xff\xfe\xc0\xaf\r\nFrom: \x80@\x81\r\nTo: \xc3(\r\n\r\n\xf8\x88\x80\x80\x80".to_vec(),
        ),
        ("ELF", [b"\x7fELF\x02\x01\x01".as_slice(), &noise(60_000)].concat()),
        (
            "JPEG",
            [b"\xff\xd8\xff\xe0\0\x10JFIF\0".as_slice(), &noise(300_000)].concat(),
        ),
        ("NULs", vec![0; 400_000]),
        ("CRs", vec![b'\r'; 400_000]),
        ("LFs", vec![b'\n'; 400_000]),
        ("dashes", vec![b'-'; 400_000]),
        ("no line end", vec![b'a'; 5_000_000]),
        (
            "a header line of 8 MB",
            [
                b"X-Long: ".as_slice(),
                &vec![b'a'; 8 << 20],
                b"\r\nSubject: s\r\n\r\nb\r\n",
            ]
            .concat(),
        ),
        (
            "a header of 10 MB",
            [
                b"X-A: some text in a field\r\n".repeat(400_000).as_slice(),
                b"Subject: last\r\n\r\nb\r\n",
            ]
            .concat(),
        ),
        (
            "a Message-ID of 1 MB",
            [b"Message-ID: <".as_slice(), &vec![b'a'; 1 << 20], b"@b>\r\n\r\nb\r\n"].concat(),
        ),
        (
            "unterminated",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx".to_vec(),
        ),
        ("boundary within itself", {
            let part = b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n";
            [
                b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".as_slice(),
                &part.repeat(2_000),
            ]
            .concat()
        }),
        ("boundary of a boundary", {
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/mixed; boundary=b-\r\n\r\n\
              --b--\r\n--b---\r\n--b\r\n\r\nx\r\n--b--\r\n"
                .to_vec()
        }),
        ("ten thousand levels", {
            let mut text = Vec::new();
            for level in 0..10_000 {
                text.extend_from_slice(
                    format!("Content-Type: multipart/mixed; boundary=\"{level}\"\r\n\r\n--{level}\r\n").as_bytes(),
                );
            }
            text
        }),
        (
            "ten thousand embedded messages",
            b"Content-Type: message/rfc822\r\n\r\n".repeat(10_000),
        ),
    ];
    let mut parts = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for number in 0..12_000 {
        parts.extend_from_slice(
            format!("--b\r\nContent-Type: text/plain; name=n{number}\r\n\r\npart {number}\r\n").as_bytes(),
        );
    }
    found.push(("ten thousand parts", parts));
    let mut many = b"To: ".to_vec();
    for number in 0..100_000 {
        many.extend_from_slice(format!("u{number}@example.test,\r\n ").as_bytes());
    }
    many.extend_from_slice(b"\r\nSubject: many\r\n\r\nx\r\n");
    found.push(("a hundred thousand recipients", many));
    let mut references = b"References:".to_vec();
    for number in 0..10_000 {
        references.extend_from_slice(format!("\r\n <{number}@example.test>").as_bytes());
    }
    references.extend_from_slice(b"\r\n\r\nx\r\n");
    found.push(("ten thousand references", references));
    found
}

fn noise(octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..octets)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

/// The octets of the literal that follows a name, or those of an empty string.
fn literal<'a>(answer: &'a [u8], name: &str) -> &'a [u8] {
    let start = answer
        .windows(name.len())
        .position(|window| window == name.as_bytes())
        .unwrap()
        + name.len();
    let rest = &answer[start..];
    if rest.starts_with(b" \"\"") {
        return b"";
    }
    let end = rest.iter().position(|&octet| octet == b'}').unwrap();
    let length: usize = std::str::from_utf8(&rest[2..end]).unwrap().parse().unwrap();
    &rest[end + 3..end + 3 + length]
}

#[test]
fn whatever_it_is_it_is_read_back_octet_for_octet() {
    let rig = Rig::new();
    let messages = bad();
    for (name, octets) in &messages {
        // A prefix before some of them, as port 25 has it.
        let prefix: &[u8] = if octets.len() % 2 == 0 { b"Received: x\r\n" } else { b"" };
        rig.deliver_to("INBOX", prefix, octets, &[], 1_700_000_000);
        let view = rig.open("INBOX", true);
        let number = messages.iter().position(|(other, _)| other == name).unwrap() + 1;
        let stored = [prefix, octets].concat();
        let (out, _, end) = rig.fetch(&view, &number.to_string(), false, &[whole()], 131_072);
        end.unwrap();
        assert!(
            literal(&out, "BODY[]") == stored,
            "{name}: {} octets differ",
            octets.len()
        );
        let texts = [section(&[], SectionText::Header), section(&[], SectionText::Text)];
        let (out, _, end) = rig.fetch(&view, &number.to_string(), false, &texts, 131_072);
        end.unwrap();
        let parts = [literal(&out, "BODY[HEADER]"), literal(&out, "BODY[TEXT]")].concat();
        assert!(parts == stored, "{name}: header and text are not the whole");
    }
    let view = rig.open("INBOX", true);
    let items = [
        FetchAttribute::Envelope,
        FetchAttribute::BodyStructure,
        FetchAttribute::Body,
        section(
            &[],
            SectionText::HeaderFields {
                names: vec![b"Subject".to_vec(), b"X-Long".to_vec()],
                not: false,
            },
        ),
        section(&[1], SectionText::Whole),
        section(&[1], SectionText::Mime),
    ];
    for item in items {
        for (index, (name, _)) in messages.iter().enumerate() {
            let number = (index + 1).to_string();
            let (out, _, end) = rig.fetch(&view, &number, false, std::slice::from_ref(&item), 64 << 20);
            assert!(end.is_ok(), "{name}: {item:?}: {end:?}");
            assert!(out.ends_with(b")\r\n") && out.len() < 32 << 20, "{name}: {item:?}");
        }
    }
    let number = |name: &str| messages.iter().position(|(other, _)| *other == name).unwrap() + 1;
    let found = rig.search(
        &view,
        SearchKey::Header {
            name: b"subject".to_vec(),
            text: "last".into(),
        },
    );
    assert_eq!(found, number("a header of 10 MB").to_string());
    let found = rig.search(&view, SearchKey::Text("aaaaaaaa".into()));
    for name in ["no line end", "a header line of 8 MB", "a Message-ID of 1 MB"] {
        assert!(
            found.split(' ').any(|one| one == number(name).to_string()),
            "{name}: {found}"
        );
    }
    assert_eq!(
        rig.search(&view, SearchKey::Text("part 9876".into())),
        number("ten thousand parts").to_string()
    );
    assert_eq!(
        rig.search(&view, SearchKey::Larger(1)).split(' ').count(),
        messages.len() - 2
    );
    rig.finish();
}

#[test]
fn binary_of_a_large_part_is_decoded_as_it_is_sent() {
    let rig = Rig::new();
    let octets = noise(3_000_000);
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\
Content-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    ironpost_mime::transfer::encode_base64_lines(&octets, &mut message);
    message.extend_from_slice(b"\r\n--b--\r\n");
    rig.deliver(&message);
    let view = rig.open("INBOX", true);
    let binary = |partial| FetchAttribute::Binary {
        path: vec![1],
        partial,
        peek: true,
    };
    let (out, stretches, end) = rig.fetch(&view, "1", false, &[binary(None)], 200_000);
    end.unwrap();
    assert!(stretches >= 10, "{stretches}");
    let start = format!("* 1 FETCH (BINARY[1] ~{{{}}}\r\n", octets.len());
    assert!(
        out.starts_with(start.as_bytes()),
        "{}",
        String::from_utf8_lossy(&out[..60])
    );
    assert!(out[start.len()..] == [&octets, &b")\r\n"[..]].concat());
    let (offset, length) = (1_234_567, 500_000);
    let (out, _, end) = rig.fetch(&view, "1", false, &[binary(Some(Partial { offset, length }))], 200_000);
    end.unwrap();
    let start = format!("* 1 FETCH (BINARY[1]<{offset}> ~{{{length}}}\r\n");
    assert!(out.starts_with(start.as_bytes()));
    let wanted = &octets[offset as usize..(offset + length) as usize];
    assert!(out[start.len()..] == [wanted, &b")\r\n"[..]].concat());
    let (out, _, end) = rig.fetch(
        &view,
        "1",
        false,
        &[FetchAttribute::BinarySize { path: vec![1] }],
        200_000,
    );
    end.unwrap();
    assert_eq!(String::from_utf8_lossy(&out), "* 1 FETCH (BINARY.SIZE[1] 3000000)\r\n");
    rig.finish();
}
