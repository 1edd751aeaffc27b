//! What the tests of the search index share: messages in many scripts and encodings, random keys, and a model that searches
//! by reading everything.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use ironpost_mime::{Limits, Structure, encoded_word, headers, text};
use ironpost_proto::imap::search_key::SearchKey;
use ironpost_store::card::Card;
use ironpost_store::search::needle::Needle;

/// A small generator of numbers; the same seed gives the same tests.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

pub const WORDS: &[&str] = &[
    "quarterly",
    "report",
    "Meeting",
    "minutes",
    "the",
    "of",
    "and",
    "invoice",
    "4711",
    "grüße",
    "KÖLN",
    "Straße",
    "STRASSE",
    "übergröße",
    "naïve",
    "ΣΊΣΥΦΟΣ",
    "καλημέρα",
    "λόγος",
    "ПРИВЕТ",
    "мир",
    "совещание",
    "日本語",
    "会議",
    "議事録",
    "メール",
    "مرحبا",
    "اجتماع",
    "שלום",
    "İstanbul",
    "ılık",
    "हिन्दी",
    "ไทย",
    "🎉",
    "👩‍💻",
    "e\u{301}te\u{301}",
    "été",
    "ab",
    "x",
    "don't",
    "a&b",
    "<tag>",
    "=?",
    "foo@example.org",
    "ǅ",
    "ﬁne",
    "zzz",
];

pub fn words(random: &mut Random, count: usize) -> String {
    let mut out = String::new();
    for index in 0..count {
        if index > 0 {
            out.push_str(if random.one_in(9) { "\r\n" } else { " " });
        }
        out.push_str(random.of(WORDS));
    }
    out
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in octets.chunks(3) {
        let word = three.iter().fold(0_u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - three.len()));
        for place in 0..4 {
            out.push(if place <= three.len() {
                LETTERS[(word >> (18 - 6 * place) & 63) as usize] as char
            } else {
                '='
            });
        }
    }
    out
}

fn lines(text: &str) -> String {
    let octets: Vec<char> = text.chars().collect();
    octets
        .chunks(70)
        .map(|line| line.iter().collect::<String>() + "\r\n")
        .collect()
}

fn quoted_printable(octets: &[u8]) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for octet in octets {
        if *octet == b'\n' || *octet == b'\r' {
            out.push(*octet as char);
            column = 0;
            continue;
        }
        if octet.is_ascii_graphic() && *octet != b'=' || *octet == b' ' {
            out.push(*octet as char);
            column += 1;
        } else {
            out.push_str(&format!("={octet:02X}"));
            column += 3;
        }
        if column > 65 {
            out.push_str("=\r\n");
            column = 0;
        }
    }
    out
}

fn header_text(random: &mut Random, text: &str) -> String {
    let plain = text.replace("\r\n", " ");
    match random.below(3) {
        0 => format!("=?utf-8?B?{}?=", base64(plain.as_bytes())),
        1 => plain.replace(' ', "\r\n "),
        _ => plain,
    }
}

/// A text part: its header fields and its body.
fn part(random: &mut Random) -> (String, Vec<u8>) {
    let count = random.below(60);
    let mut text = words(random, count);
    let mut kind = "text/plain";
    if random.one_in(3) {
        kind = "text/html";
        text = format!(
            "<html><body class=\"c{}\"><p>{}</p></body></html>",
            random.below(9),
            text.replace(' ', "<b> </b>")
        );
    }
    if random.one_in(6) {
        // Latin-1 that says so.
        let latin: Vec<u8> = text
            .chars()
            .map(|letter| u8::try_from(u32::from(letter)).unwrap_or(b'?'))
            .collect();
        return (format!("Content-Type: {kind}; charset=iso-8859-1\r\n"), latin);
    }
    let head = format!("Content-Type: {kind}; charset=utf-8\r\n");
    match random.below(3) {
        0 => (
            format!("{head}Content-Transfer-Encoding: base64\r\n"),
            lines(&base64(text.as_bytes())).into_bytes(),
        ),
        1 => (
            format!("{head}Content-Transfer-Encoding: quoted-printable\r\n"),
            quoted_printable(text.as_bytes()).into_bytes(),
        ),
        _ => (head, text.into_bytes()),
    }
}

/// A message of any kind that mailboxes hold, and some that they should not.
pub fn message(random: &mut Random, number: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, chances) in [
        ("From", 8),
        ("To", 4),
        ("Cc", 2),
        ("Bcc", 2),
        ("Subject", 6),
        ("List-Id", 2),
        ("X-Other", 2),
    ] {
        let times = if random.one_in(9) {
            2
        } else {
            usize::from(!random.one_in(chances))
        };
        for _ in 0..times {
            let many = if random.one_in(40) { 300 } else { 4 };
            let count = random.below(many);
            let text = words(random, count);
            let text = header_text(random, &text);
            out.extend_from_slice(format!("{name}: {text} <{}@example.org>\r\n", random.below(50)).as_bytes());
        }
    }
    out.extend_from_slice(format!("Message-ID: <{number}.abc@example.org>\r\n").as_bytes());
    if random.one_in(2) {
        out.extend_from_slice(format!("In-Reply-To: <{}.abc@example.org>\r\n", random.below(number + 1)).as_bytes());
        out.extend_from_slice(b"References: <1.abc@example.org>\r\n <2.abc@example.org>\r\n");
    }
    out.extend_from_slice(b"MIME-Version: 1.0\r\n");
    match random.below(4) {
        0 => {
            out.extend_from_slice(b"Content-Type: multipart/mixed; boundary=qq\r\n\r\npreamble\r\n");
            for _ in 0..random.below(4) {
                let (head, body) = part(random);
                out.extend_from_slice(b"--qq\r\n");
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(&body);
                out.extend_from_slice(b"\r\n");
            }
            let inner = words(random, 5);
            out.extend_from_slice(
                b"--qq\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            );
            out.extend_from_slice(base64(inner.as_bytes()).as_bytes());
            out.extend_from_slice(b"\r\n--qq\r\nContent-Type: message/rfc822\r\n\r\nSubject: ");
            out.extend_from_slice(header_text(random, &inner).as_bytes());
            out.extend_from_slice(b"\r\n\r\n");
            out.extend_from_slice(words(random, 9).as_bytes());
            out.extend_from_slice(b"\r\n--qq--\r\n");
        }
        1 => out.extend_from_slice(words(random, 30).as_bytes()),
        _ => {
            let (head, body) = part(random);
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&body);
        }
    }
    out
}

/// Trace headers; now and then such that the card alone cannot answer.
pub fn prefix(random: &mut Random, number: usize) -> Vec<u8> {
    match random.below(8) {
        0 => Vec::new(),
        1 => format!("Subject: trace {}\r\nReceived: x\r\n", random.of(WORDS)).into_bytes(),
        2 => b"Received: without an end of line".to_vec(),
        3 => b"Received: then nothing\r\n\r\n".to_vec(),
        _ => format!(
            "Return-Path: <{number}@example.net>\r\nReceived: from {}\r\n\tby here id {number:08x}\r\n",
            random.of(WORDS)
        )
        .into_bytes(),
    }
}

/// A text to look for: words, parts of words, words across a space, other case, what nobody wrote.
pub fn needle(random: &mut Random) -> String {
    let word = random.of(WORDS);
    let letters: Vec<char> = word.chars().collect();
    match random.below(8) {
        0 => word.to_uppercase(),
        1 => format!("{word} {}", random.of(WORDS)),
        2 | 3 => {
            let start = random.below(letters.len());
            let end = start + 1 + random.below(letters.len() - start);
            letters[start..end].iter().collect()
        }
        4 => format!("{}.abc@example", random.below(40)),
        5 => random
            .of(&[
                "nowhere-to-be-found",
                "subject: ",
                "id 0000000",
                "</p>",
                "charset",
                "",
                "=?utf-8",
            ])
            .to_owned(),
        _ => (*word).to_owned(),
    }
}

/// A random key of headers and texts.
pub fn key(random: &mut Random, depth: usize) -> SearchKey {
    match random.below(if depth == 0 { 8 } else { 13 }) {
        0..=2 => SearchKey::Text(needle(random)),
        3 | 4 => SearchKey::Body(needle(random)),
        5..=7 => {
            let names: [&[u8]; 11] = [
                b"from",
                b"to",
                b"cc",
                b"bcc",
                b"subject",
                b"message-id",
                b"list-id",
                b"in-reply-to",
                b"references",
                b"x-other",
                b"received",
            ];
            SearchKey::Header {
                name: random.of(&names).to_vec(),
                text: needle(random),
            }
        }
        8 | 9 => SearchKey::Not(Box::new(key(random, depth - 1))),
        10 => SearchKey::Or(Box::new(key(random, depth - 1)), Box::new(key(random, depth - 1))),
        11 => SearchKey::And((0..1 + random.below(3)).map(|_| key(random, depth - 1)).collect()),
        _ => SearchKey::Larger(random.below(2000) as u64),
    }
}

/// What a search means: everything is read, nothing is known beforehand.
pub fn holds(key: &SearchKey, prefix: &[u8], body: &[u8]) -> bool {
    let structure = Structure::parse(body, &Limits::default());
    match key {
        SearchKey::Header { name, text } => {
            let needle = Needle::new(text);
            let header = [prefix, &body[..structure.header_len()]].concat();
            headers::fields(&header)
                .filter(|field| field.name.eq_ignore_ascii_case(name))
                .any(|field| needle.is_in(&encoded_word::decode(field.value)))
        }
        SearchKey::Body(text) => text_holds(text, None, body, &structure),
        SearchKey::Text(text) => text_holds(text, Some(prefix), body, &structure),
        SearchKey::Larger(octets) => (prefix.len() + body.len()) as u64 > *octets,
        SearchKey::Not(key) => !holds(key, prefix, body),
        SearchKey::Or(left, right) => holds(left, prefix, body) || holds(right, prefix, body),
        SearchKey::And(keys) => keys.iter().all(|key| holds(key, prefix, body)),
        other => panic!("{other:?}"),
    }
}

fn text_holds(needle: &str, prefix: Option<&[u8]>, body: &[u8], structure: &Structure) -> bool {
    let needle = Needle::new(needle);
    if needle.is_empty() || prefix.is_some_and(|prefix| needle.is_in(&String::from_utf8_lossy(prefix))) {
        return true;
    }
    let mut found = false;
    let mut look = |piece: &str| found |= needle.is_in(piece);
    if prefix.is_some() {
        text::searchable(body, structure, &mut look);
    } else {
        text::searchable_body(body, structure, &mut look);
    }
    found
}

/// A card as the release before wrote it (docs/storage-format.md, format 1).
pub fn card_of_version_1(card: &Card<'_>) -> Vec<u8> {
    let (date, zone) = card.date.unwrap_or_default();
    let mut out = vec![1, u8::from(card.is_reply) + 2 * u8::from(card.date.is_some())];
    out.extend_from_slice(&zone.to_le_bytes());
    out.extend_from_slice(&date.to_le_bytes());
    out.extend_from_slice(&card.message_id.to_le_bytes());
    out.extend_from_slice(&card.thread_root.to_le_bytes());
    for key in [card.base_subject.as_bytes(), card.from, card.to, card.cc] {
        out.extend_from_slice(&(key.len() as u16).to_le_bytes());
        out.extend_from_slice(key);
    }
    for long in [card.envelope, card.body, card.bodystructure] {
        let length = long.map_or(u32::MAX, |octets| octets.len() as u32);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(long.unwrap_or_default());
    }
    out
}
