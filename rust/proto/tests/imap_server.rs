//! Dialogues with the IMAP core: literals, APPEND, AUTHENTICATE, IDLE, STARTTLS, pipelining, misuse (RFC 9051).

#![expect(clippy::unwrap_used, reason = "tests")]

mod imap_support;

use imap_support::Session;
use ironpost_proto::imap::command::Arguments;
use ironpost_proto::imap::{AppendPart, AppendTarget, BadKind, BodyEnd, Command, Event, ImapServer, Settings};
use ironpost_proto::{Core, Next};

fn names(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .map(|event| match event {
            Event::Command(command) => format!("{} {}", command.tag, command.name),
            Event::AppendBegin(begin) => format!("{} append-begin {}", begin.tag, begin.target.mailbox),
            Event::Bad(bad) => format!("{} bad {}", bad.tag.as_deref().unwrap_or("-"), bad.kind.as_str()),
            Event::BodyEnd(end) => format!("body-end {}", end.size),
            other => format!("{other:?}"),
        })
        .collect()
}

fn small() -> Session {
    let settings = Settings {
        command_octets_max: 64,
        append_octets_max: 100,
        search_depth_max: 32,
    };
    let mut session = Session::authenticated();
    session.core = ImapServer::new(settings);
    session.core.greet("PREAUTH", "", "hello").unwrap();
    session.core.output().clear();
    session
}

/// RFC 9051 §4.3: the server asks for each synchronising literal.
#[test]
fn synchronising_literals() {
    let mut session = Session::new(Settings::default());
    session.send(b"A001 LOGIN {11}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"FRED FOOBAR {7}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"fat man\r\n");
    assert_eq!(session.said(), "A001 OK LOGIN\r\n");
    let told = session.told();
    let Some(Event::Command(command)) = told.first() else {
        panic!("{told:?}")
    };
    let expected = Arguments::Login {
        user: "FRED FOOBAR".to_owned(),
        password: "fat man".to_owned(),
    };
    assert_eq!(command.arguments, expected);
    assert_eq!(session.core.state(), "authenticated");
}

/// Nothing is asked for that would be refused anyway; the client then does not send it (RFC 9051 §4.3).
#[test]
fn literals_refused_before_they_come() {
    let mut session = Session::new(Settings::default());
    session.send(b"a SELECT {5}\r\nb FOO {5}\r\nc LOGIN {65530}\r\n(d {5}\r\ne LOGIN ~{5}\r\nf NOOP\r\n");
    assert_eq!(
        session.said(),
        "a BAD state\r\nb BAD unknown-command\r\nc BAD too-big\r\n* BAD syntax\r\ne BAD syntax\r\nf OK NOOP\r\n"
    );
}

/// RFC 7888: what comes without waiting is thrown away with the rest of its command, whatever is in it.
#[test]
fn non_synchronising_literals_are_thrown_away() {
    let mut session = small();
    session.send(b"a SELECT {100+}\r\n");
    session.send(&b"x LOGOUT\r\n".repeat(10));
    session.send(b" {3+}\r\n\r\n} rest\r\nb NOOP\r\n");
    assert_eq!(names(&session.told()), ["a bad too-big", "b NOOP"]);
    session.send(b"a FOO {2+}\r\n\r\n {5}\r\nb NOOP\r\n");
    assert_eq!(names(&session.told()), ["a bad unknown-command", "b NOOP"]);
    // A number that fits nothing is skipped for ever and costs no memory.
    session.send(b"c APPEND x {99999999999999999999999999+}\r\n");
    for _ in 0..1000 {
        session.send(b"d NOOP\r\n");
    }
    assert_eq!((session.told(), session.core.backlog()), (vec![], 0));
}

#[test]
fn long_lines_cost_no_memory() {
    let mut session = small();
    session.core.receive(b"a ");
    for _ in 0..1000 {
        session.send(&[b'x'; 100]);
        assert!(session.core.backlog() <= 200);
    }
    assert_eq!(session.told(), []);
    session.send(b"\r\nb NOOP\r\n");
    assert_eq!(names(&session.told()), ["a bad too-long", "b NOOP"]);
    // Its last words may be a literal, which belongs to it.
    session.send(format!("a {} {{10+}}\r\nb LOGOUT\r\n\r\nc NOOP\r\n", "x".repeat(1000)).as_bytes());
    assert_eq!(names(&session.told()), ["a bad too-long", "c NOOP"]);
    // At the limit and one above.
    session.send(format!("a {}\r\n", "x".repeat(60)).as_bytes());
    session.send(format!("a {}\r\n", "x".repeat(61)).as_bytes());
    assert_eq!(names(&session.told()), ["a bad unknown-command", "a bad too-long"]);
}

/// A literal fits when it does not pass the bound; what follows it may.
#[test]
fn literals_count_towards_the_command() {
    let mut session = small();
    session.send(format!("a DELETE {{47+}}\r\n{}\r\n", "x".repeat(47)).as_bytes());
    assert_eq!(names(&session.told()), ["a bad too-long"]);
    session.send(format!("a DELETE {{45+}}\r\n{}\r\n", "x".repeat(45)).as_bytes());
    assert_eq!(names(&session.told()), ["a DELETE"]);
    session.send(format!("a DELETE {{49+}}\r\n{}\r\n", "x".repeat(49)).as_bytes());
    assert_eq!(names(&session.told()), ["a bad too-big"]);
}

/// Only CRLF ends a line; a bare LF is answered, and hides no command from a reader who sees one line.
#[test]
fn bare_newlines() {
    let mut session = Session::authenticated();
    session.send(b"a NOOP\n");
    assert_eq!(names(&session.told()), ["a bad bare-newline"]);
    session.send(b"b NOOP\nc LOGOUT\r\nd NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        ["b bad bare-newline", "c bad bare-newline", "d NOOP"]
    );
    session.send(b"a NOOP\nb X {11+}\r\nc LOGOUT\r\nd\r\ne NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        ["a bad bare-newline", "b bad bare-newline", "e NOOP"]
    );
    session.send(b"a NO\rOP\r\nb NO\0OP\r\n\r\n+ x\r\n\xff\xfe\r\nc SELECT \"\xff\"\r\nc SELECT {1+}\r\n\0\r\n");
    let expected = [
        "a bad unknown-command",
        "b bad nul",
        "- bad syntax",
        "- bad syntax",
        "- bad syntax",
        "c bad not-utf8",
        "c bad nul",
    ];
    assert_eq!(names(&session.told()), expected);
}

/// RFC 9051 §6.3.12, the example.
#[test]
fn append() {
    let mut session = Session::authenticated();
    session.send(b"A003 APPEND saved-messages (\\Seen) {310}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    let message = [b'm'; 310];
    session.send(&message[..100]);
    session.send(&message[100..]);
    assert_eq!(
        names(&session.told()),
        ["A003 append-begin saved-messages", "body-end 310"]
    );
    session.send(b"\r\n");
    assert_eq!(names(&session.told()), ["A003 APPEND"]);
    assert_eq!(session.message, message);
    assert_eq!(session.said(), "A003 OK APPEND\r\n");

    session.send(b"A4 APPEND {5+}\r\ninbox () \"17-Jul-1996 02:44:25 -0700\" ~{4+}\r\na\n\0\r\r\n");
    let told = session.told();
    let Some(Event::AppendBegin(begin)) = told.first() else {
        panic!("{told:?}")
    };
    assert_eq!(begin.target.mailbox, "INBOX");
    assert_eq!(begin.parts, [begins(&[], Some((837_596_665, -420)), false)]);
    assert!(begin.binary && !begin.synchronising && begin.size == 4);
    assert_eq!(
        told.get(1),
        Some(&Event::BodyEnd(BodyEnd {
            size: 4,
            bare_cr: true,
            bare_lf: true,
            nul: true
        }))
    );
    assert_eq!(session.said(), "A4 OK APPEND\r\n");

    // RFC 6855 §4.
    session.send(b"A5 APPEND x UTF8 (~{2+}\r\nab)\r\n");
    assert_eq!(names(&session.told()), ["A5 append-begin x", "body-end 2", "A5 APPEND"]);
    session.send(b"A6 APPEND x {0+}\r\n\r\n");
    assert_eq!(names(&session.told()), ["A6 append-begin x", "body-end 0", "A6 APPEND"]);
}

/// RFC 3502 §6.3.11, with its example; RFC 7888 and RFC 6855 literals mixed in.
#[test]
fn several_messages_in_one_append() {
    let mut session = Session::authenticated();
    session.send(b"A003 APPEND saved-messages (\\Seen) {5}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"first (\\Seen) \" 7-Feb-1994 22:43:04 -0800\" {6}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"second\r\n");
    let told = session.told();
    assert_eq!(
        names(&told),
        [
            "A003 append-begin saved-messages",
            "body-end 5",
            "A003 append-begin saved-messages",
            "body-end 6",
            "A003 APPEND"
        ]
    );
    let Some(Event::AppendBegin(begin)) = told.get(2) else {
        panic!("{told:?}")
    };
    assert_eq!(begin.parts, [begins(&["\\Seen"], Some((760_689_784, -480)), false)]);
    assert_eq!(session.message, b"firstsecond");
    assert_eq!(session.said(), "A003 OK APPEND\r\n");
    session.send(b"b APPEND x UTF8 (~{2+}\r\nab) {1+}\r\nc ~{1+}\r\nd UTF8 (~{1+}\r\ne)\r\nc NOOP\r\n");
    assert_eq!(names(&session.told()).len(), 4 * 2 + 2);
    assert_eq!(session.said(), "b OK APPEND\r\nc OK NOOP\r\n");
}

fn begins(flags: &[&str], internal_date: Option<(i64, i32)>, pieces: bool) -> AppendPart {
    AppendPart::Message {
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        internal_date,
        pieces,
    }
}

fn url(text: &str) -> AppendPart {
    AppendPart::Url(text.to_owned())
}

/// What stood before each literal, and behind the last.
fn parts(told: &[Event]) -> Vec<&[AppendPart]> {
    told.iter()
        .filter_map(|event| match event {
            Event::AppendBegin(begin) => Some(&begin.parts[..]),
            Event::Command(Command {
                arguments: Arguments::Append { parts, .. },
                ..
            }) => Some(&parts[..]),
            _ => None,
        })
        .collect()
}

/// RFC 4469 §5, the examples; other orders of pieces; literals of every kind.
#[test]
fn pieces_of_messages() {
    let mut session = Session::authenticated();
    session.send(b"A003 APPEND Drafts (\\Seen \\Draft $MDNSent) CATENATE (TEXT {42}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(&[b'a'; 42]);
    session.send(b" URL \"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1\" TEXT {2}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"--)\r\n");
    let told = session.told();
    assert_eq!(
        names(&told),
        [
            "A003 append-begin Drafts",
            "body-end 42",
            "A003 append-begin Drafts",
            "body-end 2",
            "A003 APPEND"
        ]
    );
    let first = begins(&["\\Seen", "\\Draft", "$MDNSent"], None, true);
    let middle = url("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1");
    assert_eq!(parts(&told), [&[first][..], &[middle][..], &[][..]]);

    assert_eq!(session.said(), "A003 OK APPEND\r\n");
    // No literal of a message at all; a URL as a literal, before a message of its own, and another made of pieces.
    session.send(b"b APPEND Sent CATENATE (URL /a URL {2+}\r\n/b) () {1+}\r\nx catenate (url \"/c\" UTF8 (~{1+}\r\ny) url /d)\r\n");
    let told = session.told();
    assert_eq!(
        parts(&told),
        [
            &[begins(&[], None, true), url("/a"), url("/b"), begins(&[], None, false)][..],
            &[begins(&[], None, true), url("/c")][..],
            &[url("/d")][..]
        ]
    );
    session.send(b"c APPEND Sent CATENATE (URL /a)\r\n");
    let told = session.told();
    assert_eq!(names(&told), ["c APPEND"]);
    assert_eq!(parts(&told), [&[begins(&[], None, true), url("/a")][..]]);
    assert_eq!(session.said(), "b OK APPEND\r\nc OK APPEND\r\n");
}

#[test]
fn malformed_pieces() {
    let mut session = Session::authenticated();
    for line in [
        "CATENATE ()",
        "CATENATE (URL /a",
        "CATENATE (URL /a))",
        "CATENATE (URL)",
        "CATENATE URL /a",
        "CATENATE (TEXT \"a\")",
        "CATENATE (TEXT a)",
        "CATENATE (FOO /a)",
        "CATENATE (URL /a TEXT)",
        "CATENATE (URL \"\u{e9}\" (",
        "(\\Seen)",
        "CATENATE (URL /a) x",
    ] {
        session.send(format!("a APPEND x {line}\r\nb NOOP\r\n").as_bytes());
        assert_eq!(names(&session.told()), ["a bad syntax", "b NOOP"], "{line}");
        session.said();
    }
    // Behind a literal the rest of the command goes with it.
    session.send(b"a APPEND x CATENATE (TEXT {1+}\r\na FOO)\r\nb APPEND x CATENATE (TEXT {1+}\r\na\r\nc NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        [
            "a append-begin x",
            "body-end 1",
            "a bad syntax",
            "b append-begin x",
            "body-end 1",
            "b bad syntax",
            "c NOOP"
        ]
    );
    let urls = " URL /a".repeat(501);
    session.send(format!("a APPEND x CATENATE ({})\r\nb NOOP\r\n", &urls[1..]).as_bytes());
    assert_eq!(names(&session.told()), ["a bad limit", "b NOOP"]);
}

/// RFC 8508 §3, the examples.
#[test]
fn replace() {
    let mut session = Session::authenticated();
    session.core.selected(false).unwrap();
    session.send(b"A003 REPLACE 4 Drafts (\\Seen \\Draft) {3}\r\n");
    assert_eq!(session.said(), "+ Ready\r\n");
    session.send(b"abc\r\nB UID REPLACE * {6+}\r\nDrafts CATENATE (URL /a)\r\n");
    let told = session.told();
    assert_eq!(
        names(&told),
        [
            "A003 append-begin Drafts",
            "body-end 3",
            "A003 REPLACE",
            "B UID REPLACE"
        ]
    );
    let targets: Vec<&AppendTarget> = told
        .iter()
        .filter_map(|event| match event {
            Event::Command(Command {
                arguments: Arguments::Append { target, .. },
                ..
            }) => Some(target),
            _ => None,
        })
        .collect();
    assert_eq!(targets[0].replaces.as_ref().unwrap().resolve(9), [(4, 4)]);
    assert_eq!(targets[1].replaces.as_ref().unwrap().resolve(9), [(9, 9)]);
    session.said();
    for line in [
        "REPLACE 1:2 x {1+}",
        "REPLACE $ x {1+}",
        "REPLACE 1,2 x {1+}",
        "REPLACE 0 x {1+}",
        "REPLACE x {1+}",
    ] {
        session.send(format!("a {line}\r\nb\r\nc NOOP\r\n").as_bytes());
        assert_eq!(names(&session.told()), ["a bad syntax", "c NOOP"], "{line}");
    }
    // One message alone.
    session.send(b"a REPLACE 1 x {1+}\r\na {1+}\r\nb\r\nc NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        ["a append-begin x", "body-end 1", "a bad syntax", "c NOOP"]
    );
    let mut session = Session::authenticated();
    session.send(b"a REPLACE 1 x {1+}\r\nb\r\nc NOOP\r\n");
    assert_eq!(names(&session.told()), ["a bad state", "c NOOP"]);
}

#[test]
fn what_stands_between_messages_is_checked() {
    let mut session = small();
    // Without a space; with a mailbox; UTF8 not closed; two spaces; an odd flag.
    for between in ["{2+}", " x {2+}", ") {2+}", "  {2+}", " (\\Recent) {2+}", " UTF8 {2+}"] {
        session.send(format!("a APPEND x {{1+}}\r\na{between}\r\nbc\r\nd NOOP\r\n").as_bytes());
        assert_eq!(
            names(&session.told()),
            ["a append-begin x", "body-end 1", "a bad syntax", "d NOOP"],
            "{between}"
        );
    }
    session.send(b"a APPEND x {1+}\r\na {101+}\r\n");
    session.send(&[b'y'; 101]);
    session.send(b"\r\nb APPEND x {1+}\r\na {101}\r\nc NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        [
            "a append-begin x",
            "body-end 1",
            "a bad too-big",
            "b append-begin x",
            "body-end 1",
            "b bad too-big",
            "c NOOP"
        ]
    );
}

#[test]
fn append_refused_and_malformed() {
    let mut session = small();
    session.send(b"a APPEND refuse {5}\r\nb NOOP\r\n");
    session.send(b"c APPEND refuse {12+}\r\nx LOGOUT\r\n\r\n junk\r\nd NOOP\r\n");
    let expected = "a NO [TRYCREATE] no such mailbox\r\nb OK NOOP\r\nc NO [TRYCREATE] no such mailbox\r\nd OK NOOP\r\n";
    assert_eq!(session.said(), expected);
    session.told();

    session.send(b"a APPEND x {101}\r\nb APPEND x {101+}\r\n");
    session.send(&[b'y'; 101]);
    session.send(b"\r\nc NOOP\r\n");
    assert_eq!(names(&session.told()), ["a bad too-big", "b bad too-big", "c NOOP"]);

    session.send(b"a APPEND x {3+}\r\nabc junk\r\nb APPEND x {1+}\r\na{2+}\r\nbc\r\nc NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        [
            "a append-begin x",
            "body-end 3",
            "a bad syntax",
            "b append-begin x",
            "body-end 1",
            "b bad syntax",
            "c NOOP"
        ]
    );
    session.send(b"a APPEND x UTF8 (~{2+}\r\nab\r\nb APPEND x UTF8 ({2}\r\nc APPEND x (\\Recent) {2}\r\n");
    assert_eq!(
        names(&session.told()),
        [
            "a append-begin x",
            "body-end 2",
            "a bad syntax",
            "b bad syntax",
            "c bad syntax"
        ]
    );
    session.send(b"a APPEND x  {2}\r\nb APPEND x \"1-Jan-2000\" {2}\r\nc APPEND &x {2}\r\nd APPEND x{2}\r\n");
    assert_eq!(
        names(&session.told()),
        ["a bad syntax", "b bad syntax", "c bad mailbox-name", "d bad syntax"]
    );
    // Before login not one octet is let in.
    let mut session = Session::new(Settings::default());
    session.send(b"a APPEND INBOX {310}\r\n");
    assert_eq!(session.said(), "a BAD state\r\n");
}

/// A sink that is full makes the session wait; nothing is lost or doubled.
#[test]
fn back_pressure() {
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }
    impl ironpost_proto::body::BodySink for Narrow {
        fn push(&mut self, octets: &[u8]) -> usize {
            let count = octets.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&octets[..count]);
            count
        }
    }
    let mut core = ImapServer::new(Settings::default());
    core.greet("PREAUTH", "", "hello").unwrap();
    core.receive(b"a APPEND x {10+}\r\n0123456789\r\nb NOOP\r\n");
    assert!(matches!(core.next_event(), Next::Event(Event::AppendBegin(_))));
    assert_eq!(core.next_event(), Next::Paused);
    assert!(core.feed(&mut Vec::new()).is_err());
    core.accept_literal().unwrap();
    let mut sink = Narrow {
        taken: Vec::new(),
        room: 4,
    };
    assert_eq!(core.next_event(), Next::Event(Event::BodyReady));
    assert_eq!(core.feed(&mut sink), Ok(false));
    assert_eq!(core.next_event(), Next::Event(Event::BodyReady));
    sink.room = 100;
    assert_eq!(core.feed(&mut sink), Ok(true));
    assert_eq!(sink.taken, b"0123456789");
    assert!(matches!(core.next_event(), Next::Event(Event::BodyEnd(_))));
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
    core.respond("a", "OK", "", "done").unwrap();
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
}

/// RFC 9051 §6.2.2.
#[test]
fn authenticate() {
    let mut session = Session::new(Settings::default());
    session.send(b"a AUTHENTICATE PLAIN\r\n");
    assert_eq!(session.core.state(), "authenticating");
    session.send(b"*\r\n");
    session.send(b"b AUTHENTICATE PLAIN\r\n!!!\r\nc AUTHENTICATE PLAIN\r\nx {3+}\r\nabc\r\n");
    session.send(b"d AUTHENTICATE PLAIN\r\nAHRlc3QAdGVzdA==\r\ne AUTHENTICATE PLAIN\r\n");
    assert_eq!(
        session.said(),
        "+ \r\na BAD cancelled\r\n+ \r\nb BAD base64\r\n+ \r\nc BAD base64\r\n+ \r\nd OK logged in\r\ne BAD state\r\n"
    );
    assert!(
        session
            .told()
            .contains(&Event::AuthResponse(Some(b"\0test\0test".to_vec())))
    );
    let mut session = Session::new(Settings::default());
    session.send(b"a AUTHENTICATE PLAIN AHRlc3QAdGVzdA==\r\nb NOOP\r\n");
    assert_eq!(session.said(), "a OK logged in\r\nb OK NOOP\r\n");
    assert_eq!(session.core.auth_tag(), "");
}

/// RFC 2177 §3.
#[test]
fn idle() {
    let mut session = Session::authenticated();
    session.core.selected(false).unwrap();
    session.send(b"A002 IDLE\r\n");
    assert_eq!(session.core.state(), "idle");
    session.core.untagged("4 EXISTS").unwrap();
    session.send(b"done\r\nA003 NOOP\r\n");
    assert_eq!(
        session.said(),
        "+ idling\r\n* 4 EXISTS\r\nA002 OK IDLE\r\nA003 OK NOOP\r\n"
    );
    session.told();
    session.send(b"a IDLE\r\nb NOOP\r\nc IDLE\r\nx {3+}\r\nDONE\r\nd NOOP\r\n");
    assert_eq!(
        names(&session.told()),
        ["a IDLE", "a bad idle-misuse", "c IDLE", "c bad idle-misuse", "d NOOP"]
    );
}

/// The injection class of CVE-2011-0411.
#[test]
fn starttls() {
    let mut core = ImapServer::new(Settings::default());
    core.greet("OK", "", "hello").unwrap();
    core.output().clear();
    core.enable_utf8();
    core.receive(b"a STARTTLS\r\n");
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
    assert!(core.start_tls("b", "begin").is_err());
    let mut fresh = core.start_tls("a", "begin").unwrap().unwrap();
    assert_eq!(core.output(), b"a OK begin\r\n");
    assert_eq!(fresh.next_event(), Next::NeedData);
    assert_eq!((fresh.state(), fresh.output().len()), ("not-authenticated", 0));

    let closed = Next::Event(Event::Closed("starttls-injection"));
    let mut core = ImapServer::new(Settings::default());
    core.greet("OK", "", "hello").unwrap();
    core.receive(b"a STARTTLS\r\nb LOGIN a b\r\n");
    assert_eq!(core.next_event(), closed);
    assert_eq!(core.next_event(), closed);
    assert_eq!(core.backlog(), 0);

    let mut core = ImapServer::new(Settings::default());
    core.greet("OK", "", "hello").unwrap();
    core.receive(b"a STARTTLS\r\n");
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
    core.receive(b"b");
    core.output().clear();
    assert!(core.start_tls("a", "begin").unwrap().is_none());
    assert_eq!(core.next_event(), closed);
    assert!(core.output().is_empty());
}

/// A pipelined command waits for the answer to the one before it.
#[test]
fn pipelining_and_misuse() {
    let mut core = ImapServer::new(Settings::default());
    assert!(core.respond("*", "OK", "", "early").is_err());
    core.greet("OK", "CAPABILITY IMAP4rev2", "hello").unwrap();
    assert!(core.greet("OK", "", "again").is_err());
    core.receive(b"a NOOP\r\nb NOOP\r\n");
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
    assert_eq!(core.next_event(), Next::Paused);
    assert!(core.respond("b", "OK", "", "x").is_err());
    assert!(core.respond("a", "OK", "", "x\r\nb OK").is_err());
    assert_eq!(core.next_event(), Next::Paused);
    core.respond("*", "OK", "", "still there").unwrap();
    core.respond("*", "NO", "", "a warning").unwrap();
    assert_eq!(core.next_event(), Next::Paused);
    core.respond("a", "OK", "", "x").unwrap();
    assert!(core.respond("a", "OK", "", "x").is_err());
    assert!(matches!(core.next_event(), Next::Event(Event::Command(_))));
    assert!(core.begin_idle().is_err());
    assert!(core.accept_literal().is_err());
    assert!(core.refuse_literal("NO", "", "x").is_err());
    assert!(core.auth_challenge(b"x").is_err());
    assert!(core.start_tls("b", "x").is_err());
    assert!(core.selected(true).is_err());
    assert!(core.discard_body().is_err());
    let said = String::from_utf8(core.output().clone()).unwrap();
    assert_eq!(
        said,
        "* OK [CAPABILITY IMAP4rev2] hello\r\n* OK still there\r\n* NO a warning\r\na OK x\r\n"
    );
}

#[test]
fn ends() {
    let mut session = Session::authenticated();
    session.core.receive(b"a NOOP\r\nb NOO");
    session.core.receive_eof();
    session.pump();
    assert_eq!(session.told().last(), Some(&Event::Closed("eof")));
    let mut session = Session::authenticated();
    session.send(b"a LOGOUT\r\nb NOOP\r\n");
    assert_eq!(names(&session.told()), ["a LOGOUT", "Closed(\"logout\")"]);
    session.core.receive(b"c NOOP\r\n");
    assert_eq!(session.core.backlog(), 0);
    let mut session = Session::authenticated();
    session.send(b"a APPEND x {10+}\r\nabc");
    session.core.receive_eof();
    session.pump();
    assert_eq!(session.told().last(), Some(&Event::Closed("eof")));
    let mut core = ImapServer::new(Settings::default());
    core.greet("BYE", "UNAVAILABLE", "later").unwrap();
    assert_eq!(core.next_event(), Next::Event(Event::Closed("logout")));
}

#[test]
fn bad_kinds_have_names_of_their_own() {
    use BadKind::*;
    let all = [
        Syntax,
        UnknownCommand,
        State,
        BareNewline,
        Nul,
        NotUtf8,
        TooLong,
        TooBig,
        Limit,
        BadCharset,
        UseAttribute,
        MailboxName,
        Base64,
        IdleMisuse,
    ];
    let names: std::collections::HashSet<&str> = all.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names.len(), all.len());
}
