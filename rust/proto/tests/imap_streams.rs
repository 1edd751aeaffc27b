//! The IMAP core over any cut of its input, over any octets at all, and round trips of what it prints and parses.

#![expect(clippy::unwrap_used, reason = "tests")]

mod imap_support;

use imap_support::Session;
use ironpost_proto::imap::lexer::Lexer;
use ironpost_proto::imap::mailbox_name::{
    NameEncoding, decode_modified_utf7, decode_name, encode_modified_utf7, mailbox_matches,
};
use ironpost_proto::imap::sequence::{SequenceNumber, SequenceSet};
use ironpost_proto::imap::{Event, ImapServer, Settings};
use ironpost_proto::{Core, Next};
use proptest::prelude::*;

/// All that the core does, in one stream.
const CONVERSATION: &[u8] = b"a0 CAPABILITY\r\n\
a1 SELECT early\r\n\
a2 AUTHENTICATE PLAIN\r\n*\r\n\
a3 AUTHENTICATE PLAIN\r\nnonsense!\r\n\
a4 LOGIN {4+}\r\nu\r\nx {3}\r\np{1\r\n\
b1 ENABLE CONDSTORE\r\n\
b2 SELECT inbox\r\n\
b3 UID FETCH 1:*,7 (FLAGS BODY.PEEK[HEADER.FIELDS ({4+}\r\nDATE \"From\")]<0.9>)\r\n\
b4 SEARCH RETURN (MIN) CHARSET UTF-8 OR SEEN (TEXT {2+}\r\n\xc3\xa9 NOT 1:3)\r\n\
b5 STORE 1 +FLAGS.SILENT (\\Seen kw)\r\n\
c1 APPEND Sent (\\Seen) \"17-Jul-1996 02:44:25 -0700\" {12}\r\nFrom\r\n\0x{5}\r\r\n\
c2 APPEND refuse {7+}\r\nabc\r\nde junk {3+}\r\nxyz\r\n\
c5 APPEND Sent CATENATE (URL {4+}\r\n/a;b TEXT {2}\r\n\r\n URL \"/c\" UTF8 (~{1+}\r\n\0))\r\n\
c6 APPEND Sent CATENATE (TEXT {1+}\r\nx URL) \r\n\
c7 UID REPLACE 7 {4+}\r\nSent (\\Draft) {3+}\r\nabc\r\n\
c3 APPEND Sent ~{3+}\r\nabc wrong\r\n\
d1 IDLE\r\nDONE\r\n\
d2 IDLE\r\nnot done\r\n\
d3 FOO {5+}\r\n12345 {2+}\r\n\r\n\r\n\
d4 NOOP\nd5 NOOP\r\n\
d6 LIST (SUBSCRIBED) \"\" (\"*\" %) RETURN (STATUS (MESSAGES))\r\n\
d7 \"unfinished\r\n\
\r\n\
d8 LOGIN {99999999}\r\n\
d9 UID MOVE 1 &AOk-\r\n\
f1 SETACL {3+}\r\nbox {3}\r\nbob \"+lr\"\r\n\
f2 LISTRIGHTS INBOX {4+}\r\nanyo ne\r\n\
f3 SETMETADATA INBOX (/private/comment ~{3+}\r\na\0b {2+}\r\n/a NIL)\r\n\
f4 GETMETADATA (DEPTH 1) {0+}\r\n (/shared)\r\n\
e1 LOGOUT\r\nlate\r\n";

fn told(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Event>, Vec<u8>, Vec<u8>) {
    let settings = Settings {
        command_octets_max: 200,
        append_octets_max: 100,
        search_depth_max: 8,
    };
    let mut session = Session::new(settings);
    for piece in pieces {
        session.send(piece);
        if matches!(session.events.last(), Some(Event::Closed(_))) {
            break;
        }
    }
    let said = std::mem::take(session.core.output());
    (session.events, session.message, said)
}

#[test]
fn every_split_point_tells_the_same() {
    let whole = told(&mut std::iter::once(CONVERSATION));
    assert_eq!(whole.0.last(), Some(&Event::Closed("logout")));
    assert!(whole.0.len() > 30, "{}", whole.0.len());
    for split in 1..CONVERSATION.len() {
        let (first, second) = CONVERSATION.split_at(split);
        assert_eq!(told(&mut [first, second].into_iter()), whole, "split at {split}");
    }
    for size in 1..20 {
        assert_eq!(told(&mut CONVERSATION.chunks(size)), whole, "chunks of {size}");
    }
}

/// Time grows with the input and not with its square, also octet by octet.
#[test]
fn long_input_is_read_once() {
    let mut session = Session::selected();
    let mut line = b"a UID FETCH ".to_vec();
    line.extend_from_slice(&b"1,".repeat(30_000));
    line.extend_from_slice(b"1 FLAGS\r\n");
    for octet in line.chunks(1) {
        session.send(octet);
    }
    assert_eq!(session.told().len(), 1);
    // Ten thousand literals in each of a hundred commands: looked at once each.
    let mut line = b"a FETCH 1 BODY[HEADER.FIELDS (x".to_vec();
    line.extend_from_slice(&b" {0+}\r\n".repeat(9_000));
    line.extend_from_slice(b")]\r\n");
    session.send(&line.repeat(100));
    assert_eq!(
        session
            .told()
            .iter()
            .filter(|event| matches!(event, Event::Command(_)))
            .count(),
        100
    );
    // Many small commands at once: each taken from the front without moving the rest.
    session.send(&b"a NOOP\r\n".repeat(200_000));
    assert_eq!(session.told().len(), 200_000);
    assert_eq!(session.core.backlog(), 0);
}

/// Words and marks from which broken commands are made.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"a ",
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"{3}\r\n",
        b"{3+}\r\n",
        b"~{3+}\r\n",
        b"*",
        b"+",
        b"\0",
        b"UID ",
        b"FETCH ",
        b"SEARCH ",
        b"NOT ",
        b"OR ",
        b"APPEND ",
        b"x ",
        b"1:* ",
        b"BODY[",
        b"]",
        b"<0.1>",
        b"LOGIN ",
        b"IDLE\r\n",
        b"DONE\r\n",
        b"AUTHENTICATE PLAIN\r\n",
        b"LIST ",
        b"RETURN ",
        b"STORE ",
        b"FLAGS ",
        b"NOOP\r\n",
        b"abc",
        b"\xff",
        b"&",
        b"&AOk-",
        b"HEADER.FIELDS ",
        b"STATUS ",
        b"CREATE ",
        b"(USE (\\Sent))",
        b"\"17-Jul-1996 02:44:25 -0700\" ",
        b"1-Jan-2000",
        b"ID ",
        b"NIL",
        b"ENABLE IMAP4rev2\r\n",
        b"SELECT inbox\r\n",
    ];
    prop_oneof![
        8 => prop::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets_in_any_cut_tell_the_same(
        fragments in prop::collection::vec(fragment(), 0..60),
        logged_in in any::<bool>(),
        size in 1..9_usize,
    ) {
        let octets = fragments.concat();
        let run = |size: usize| {
            let mut session = if logged_in { Session::selected() } else { Session::new(Settings::default()) };
            for piece in octets.chunks(size.max(1)) {
                session.send(piece);
            }
            session.core.receive_eof();
            session.pump();
            let said = std::mem::take(session.core.output());
            (session.events, session.message, said)
        };
        let whole = run(octets.len());
        prop_assert_eq!(whole.0.last(), Some(&Event::Closed("eof")));
        prop_assert_eq!(run(size), whole);
    }

    #[test]
    fn any_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut core = ImapServer::new(Settings { command_octets_max: 50, ..Settings::default() });
        core.greet("PREAUTH", "", "hello").unwrap();
        core.selected(false).unwrap();
        core.receive(&octets);
        core.receive_eof();
        for _ in 0..octets.len() + 2 {
            match core.next_event() {
                Next::Event(Event::Bad(bad)) => {
                    core.respond(bad.tag.as_deref().unwrap_or("*"), "BAD", "", bad.text).unwrap();
                }
                Next::Event(Event::Command(command)) => core.respond(&command.tag, "OK", "", "x").unwrap(),
                Next::Event(Event::Closed(_)) => return Ok(()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert!(false, "no end");
    }

    #[test]
    fn sequence_sets_print_and_parse(ends in prop::collection::vec((0..9_u32, 0..9_u32), 1..20)) {
        let number = |number| match number { 0 => SequenceNumber::Largest, number => SequenceNumber::Number(number) };
        let set = SequenceSet { ranges: ends.into_iter().map(|(first, last)| (number(first), number(last))).collect() };
        let text = set.to_string();
        let again = SequenceSet::parse(&mut Lexer::new(text.as_bytes())).unwrap();
        prop_assert_eq!(&again, &set);
        // Against the definition: n is in the set when some range holds it.
        let resolved = set.resolve(5);
        for candidate in 1..12_u32 {
            let end = |end| match end { SequenceNumber::Number(number) => number, SequenceNumber::Largest => 5, SequenceNumber::Saved => unreachable!("none is made here") };
            let expected = set.ranges.iter().any(|&(first, last)| {
                let (first, last) = (end(first), end(last));
                (first.min(last)..=first.max(last)).contains(&candidate)
            });
            let found = resolved.iter().any(|&(first, last)| (first..=last).contains(&candidate));
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn names_survive_modified_utf7(name in any::<String>()) {
        let mut encoded = Vec::new();
        encode_modified_utf7(&mut encoded, &name);
        prop_assert!(encoded.iter().all(|octet| (0x20..0x7f).contains(octet)));
        prop_assert_eq!(decode_modified_utf7(&encoded), Some(name));
    }

    #[test]
    fn names_as_told_are_names_as_understood(name in "[ -~\u{a1}-\u{2000}\u{1f600}]{0,40}", utf8 in any::<bool>()) {
        let mut core = ImapServer::new(Settings::default());
        let encoding = if utf8 { core.enable_utf8(); NameEncoding::Utf8 } else { NameEncoding::ModifiedUtf7 };
        core.untagged_list("LIST", &[] as &[&str], &name, "").unwrap();
        let line = std::mem::take(core.output());
        let quoted = line.strip_prefix(b"* LIST () \"/\" ").unwrap();
        let mut lexer = Lexer::new(quoted);
        let read = lexer.string().unwrap();
        lexer.end().unwrap();
        let folded = if name.eq_ignore_ascii_case("inbox") { "INBOX".to_owned() } else { name };
        prop_assert_eq!(decode_name(&read, encoding).unwrap(), folded);
    }

    #[test]
    fn decoding_any_octets_never_panics(
        octets in prop::collection::vec(prop_oneof![Just(b'&'), Just(b'-'), any::<u8>()], 0..40),
    ) {
        if let Some(name) = decode_modified_utf7(&octets) {
            let mut encoded = Vec::new();
            encode_modified_utf7(&mut encoded, &name);
            prop_assert_eq!(encoded, octets);
        }
    }

    #[test]
    fn patterns_match_as_the_definition_says(
        name in "[ab/]{0,8}",
        reference in "[a/%]{0,2}",
        pattern in "[ab/%*]{0,7}",
    ) {
        let joined: Vec<char> = format!("{reference}{pattern}").chars().collect();
        let letters: Vec<char> = name.chars().collect();
        prop_assert_eq!(mailbox_matches(&name, &reference, &pattern), matches_slowly(&letters, &joined));
    }
}

/// RFC 9051 §6.3.9, word for word and exponential.
fn matches_slowly(name: &[char], pattern: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|skip| matches_slowly(&name[skip..], rest)),
        Some(('%', rest)) => (0..=name.len())
            .take_while(|&skip| !name[..skip].contains(&'/'))
            .any(|skip| matches_slowly(&name[skip..], rest)),
        Some((letter, rest)) => name
            .split_first()
            .is_some_and(|(first, tail)| first == letter && matches_slowly(tail, rest)),
    }
}
