//! The IMAP client core over recorded dialogues: golden events, every split point, one octet at a time, limits, and
//! mutations that must neither panic nor cost memory.

#![expect(clippy::unwrap_used, reason = "tests")]

use ironpost_proto::imap::client::{ClientEvent, FetchedBody, ImapClient, ListKind, RESPONSE_OCTETS_MAX};
use ironpost_proto::{Core, Next};

/// What a session saw: events without `BodyReady`, the octets of all messages, what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    events: Vec<ClientEvent>,
    body: Vec<u8>,
    sent: String,
}

/// A session that has asked all that the recorded dialogues answer, and takes what comes.
struct Session {
    core: ImapClient,
    seen: Seen,
    closed: bool,
}

impl Session {
    fn new(max: usize) -> Self {
        let mut core = ImapClient::new(max);
        core.login("joe", "pass\"word").unwrap(); // A1
        core.capability(); // A2
        core.list(ListKind::All); // A3
        core.list(ListKind::Subscribed); // A4
        core.namespace(); // A5
        core.status(b"INBOX", "MESSAGES UIDNEXT").unwrap(); // A6
        core.examine("caf\u{e9}".as_bytes()).unwrap(); // A7, a literal
        core.fetch(false, "1:2", "UID FLAGS").unwrap(); // A8
        core.fetch(true, "4,7:9", "BODY.PEEK[]").unwrap(); // A9
        core.search("ALL").unwrap(); // A10
        core.logout(); // A11
        Self {
            core,
            seen: Seen::default(),
            closed: false,
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.core.receive(piece);
        self.pump();
    }

    fn pump(&mut self) {
        while !self.closed {
            match self.core.next_event() {
                Next::NeedData | Next::Paused => return,
                Next::Event(ClientEvent::BodyReady) => {
                    let mut part = Vec::new();
                    assert!(self.core.feed(&mut part).unwrap());
                    self.seen.body.extend(part);
                }
                Next::Event(event) => {
                    self.closed = matches!(event, ClientEvent::Closed(_));
                    self.seen.events.push(event);
                }
            }
        }
    }

    fn end(mut self) -> Seen {
        self.core.receive_eof();
        self.pump();
        assert!(self.closed, "the end came and the core goes on: {}", self.core.state());
        assert!(matches!(self.core.next_event(), Next::Event(ClientEvent::Closed(_))));
        self.seen.sent = String::from_utf8_lossy(self.core.output()).into_owned();
        self.seen
    }
}

fn play(pieces: &[&[u8]]) -> Seen {
    let mut session = Session::new(RESPONSE_OCTETS_MAX);
    for piece in pieces {
        session.receive(piece);
    }
    session.end()
}

/// As Dovecot answers.
const DOVECOT: &[u8] =
    b"* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] Dovecot ready.\r\n\
A1 OK [CAPABILITY IMAP4rev1 SPECIAL-USE NAMESPACE CONDSTORE] Logged in\r\n\
* CAPABILITY IMAP4rev1 SPECIAL-USE NAMESPACE CONDSTORE\r\n\
A2 OK Capability completed (0.001 + 0.000 secs).\r\n\
* LIST (\\HasNoChildren \\Sent) \".\" Sent\r\n\
* LIST (\\Noselect \\HasChildren) \".\" \"M&APw-nchen &- mehr\"\r\n\
* LIST (\\HasNoChildren) \".\" {6}\r\na\"b\\c]\r\n\
A3 OK List completed.\r\n\
* LSUB () \".\" INBOX\r\n\
A4 OK Lsub completed.\r\n\
* NAMESPACE ((\"\" \".\")) ((\"shared.\" \".\")) NIL\r\n\
A5 OK Namespace completed.\r\n\
* STATUS INBOX (MESSAGES 3 UIDNEXT 10)\r\n\
A6 OK Status completed.\r\n\
+ OK\r\n\
* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Forwarded)\r\n\
* OK [PERMANENTFLAGS ()] Read-only mailbox.\r\n\
* 3 EXISTS\r\n\
* 0 RECENT\r\n\
* OK [UNSEEN 1] First unseen.\r\n\
* OK [UIDVALIDITY 1700000000] UIDs valid\r\n\
* OK [UIDNEXT 10] Predicted next UID\r\n\
* OK [HIGHESTMODSEQ 7] Highest\r\n\
A7 OK [READ-ONLY] Examine completed (0.001 secs).\r\n\
* 1 FETCH (UID 4 FLAGS (\\Seen))\r\n\
* 2 FETCH (UID 7 FLAGS ($Forwarded))\r\n\
A8 OK Fetch completed.\r\n\
* 1 FETCH (UID 4 BODY[] {23}\r\nSubject: x\r\n\r\n.\r\nA9 OK\n)\r\n\
* 2 FETCH (BODY[] {0}\r\n UID 7)\r\n\
* 3 FETCH (UID 9 BODY[] NIL)\r\n\
A9 OK Fetch completed.\r\n\
* SEARCH 4 7 8 9\r\n\
A10 OK Search completed.\r\n\
* BYE Logging out\r\n\
A11 OK Logout completed.\r\n";

/// As the odd ones answer: LF alone, spaces, unknown responses, EXPUNGE in between, NO for one command.
const ODD: &[u8] = b"* PREAUTH   IMAP4 server\n\
* OK [ALERT] mailbox is at 99%\n\
A1 BAD already\n\
* CAPABILITY  IMAP4REV1   X-GM-EXT-1 \n\
A2 OK\n\
* XLIST (\\HasNoChildren \\Inbox) \"/\" \"Posteingang\"\n\
* LIST () \"\" NIL\n\
* LIST broken\n\
A3 OK done {7}\n\
A4 NO  [NOPERM]  no such command \n\
* NAMESPACE NIL NIL NIL\n\
A5 OK x\n\
* STATUS \"INBOX\" ( MESSAGES 3  UIDNEXT 10 X (1 (2)) )\n\
A6 OK x\n\
+\n\
*  1 EXISTS\n\
* OK [UIDVALIDITY 99999999999] too large\n\
A7 OK x\n\
* 1 FETCH ( UID 4  FLAGS () INTERNALDATE \"1-Jan-2020 00:00:00 +0100\" X-NEW (a (b \"c\")))\n\
* 1 EXPUNGE\n\
* WHATEVER 5 {3}\n\
abc\n\
\n\
A8 NO message vanished\n\
* 1 FETCH (UID 4 RFC822 \"short\")\n\
* 1 FETCH (UID x)\n\
A10 OK out of order\n\
A9 OK x\n\
* BYE bye\n";

#[test]
fn the_golden_events_of_dovecot() {
    let seen = play(&[DOVECOT]);
    let done: Vec<(u32, &str, &str)> = seen
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Done {
                tag,
                command,
                condition,
            } => Some((*tag, *command, condition.status)),
            _ => None,
        })
        .collect();
    let names = [
        "LOGIN",
        "CAPABILITY",
        "LIST",
        "LSUB",
        "NAMESPACE",
        "STATUS",
        "EXAMINE",
        "FETCH",
        "UID FETCH",
    ];
    assert_eq!(done.len(), 11);
    for ((tag, name, status), (index, wanted)) in done.iter().zip(names.iter().enumerate()) {
        assert_eq!((*tag as usize, *name, *status), (index + 1, *wanted, "OK"));
    }
    let lists: Vec<&str> = seen
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::List(entry) => Some(entry.name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(lists, ["Sent", "M\u{fc}nchen & mehr", "a\"b\\c]", "INBOX"]);
    let fetches: Vec<(Option<u32>, FetchedBody)> = seen
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Fetch(fetch) => Some((fetch.uid, fetch.body.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(
        fetches,
        [
            (Some(4), FetchedBody::Absent),
            (Some(7), FetchedBody::Absent),
            (Some(4), FetchedBody::Streamed),
            (Some(7), FetchedBody::Streamed),
            (Some(9), FetchedBody::Nil),
        ]
    );
    assert_eq!(seen.body, b"Subject: x\r\n\r\n.\r\nA9 OK\n");
    let digests: Vec<[u8; 32]> = seen
        .events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::BodyEnd { digest, .. } => Some(*digest),
            _ => None,
        })
        .collect();
    assert_eq!(digests[0], *blake3::hash(&seen.body).as_bytes());
    assert_eq!(digests[1], *blake3::hash(b"").as_bytes());
    assert_eq!(seen.events.last(), Some(&ClientEvent::Closed("eof")));
    assert_eq!(
        seen.sent,
        "A1 LOGIN \"joe\" \"pass\\\"word\"\r\nA2 CAPABILITY\r\nA3 LIST \"\" \"*\"\r\nA4 LSUB \"\" \"*\"\r\nA5 NAMESPACE\r\n\
         A6 STATUS \"INBOX\" (MESSAGES UIDNEXT)\r\nA7 EXAMINE {5}\r\ncaf\u{e9}\r\nA8 FETCH 1:2 (UID FLAGS)\r\n\
         A9 UID FETCH 4,7:9 (BODY.PEEK[])\r\nA10 UID SEARCH ALL\r\nA11 LOGOUT\r\n"
    );
}

#[test]
fn what_the_mailbox_is_is_remembered() {
    let mut session = Session::new(RESPONSE_OCTETS_MAX);
    session.receive(DOVECOT);
    let selected = session.core.selected();
    assert_eq!(
        (selected.exists, selected.uid_validity, selected.uid_next),
        (3, Some(1_700_000_000), Some(10))
    );
    assert_eq!((selected.highest_modseq, selected.read_only), (Some(7), true));
    assert_eq!(selected.flags.len(), 6);
    assert!(selected.permanent_flags.is_empty());
    assert_eq!(
        session.core.capabilities(),
        ["IMAP4REV1", "SPECIAL-USE", "NAMESPACE", "CONDSTORE"]
    );
}

#[test]
fn the_odd_ones_are_understood() {
    let seen = play(&[ODD]);
    let odd = seen
        .events
        .iter()
        .filter(|event| matches!(event, ClientEvent::Odd(_)))
        .count();
    assert_eq!(odd, 3, "{:#?}", seen.events);
    assert!(seen.events.contains(&ClientEvent::Expunge(1)));
    assert!(seen.events.iter().any(|event| matches!(event, ClientEvent::Fetch(fetch)
        if fetch.body == FetchedBody::Inline(b"short".to_vec()))));
    assert!(seen.events.iter().any(|event| matches!(event, ClientEvent::Fetch(fetch)
        if fetch.internal_date == Some((1_577_833_200, 60)))));
    assert!(
        seen.events
            .iter()
            .any(|event| matches!(event, ClientEvent::Done { tag: 4, condition, .. }
        if condition.status == "NO" && condition.code == "NOPERM" && condition.text == "no such command"))
    );
    // LOGOUT was never answered, but for the BYE.
    assert_eq!(seen.events.last(), Some(&ClientEvent::Closed("truncated")));
}

#[test]
fn every_split_and_every_octet_alone() {
    for dialogue in [DOVECOT, ODD] {
        let whole = play(&[dialogue]);
        for at in 0..=dialogue.len() {
            let (left, right) = dialogue.split_at(at);
            assert_eq!(play(&[left, right]), whole, "split at {at}");
        }
        let octets: Vec<&[u8]> = dialogue.chunks(1).collect();
        assert_eq!(play(&octets), whole);
    }
}

#[test]
fn every_truncation_ends_it() {
    for at in 0..DOVECOT.len() {
        let seen = play(&[&DOVECOT[..at]]);
        assert!(
            matches!(seen.events.last(), Some(ClientEvent::Closed(_))),
            "cut at {at}"
        );
    }
}

fn closed(core: &mut ImapClient) -> &'static str {
    for _ in 0..100 {
        match core.next_event() {
            Next::Event(ClientEvent::Closed(reason)) => return reason,
            Next::Event(_) => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("never closed")
}

fn greeted() -> ImapClient {
    let mut core = ImapClient::new(1000);
    core.receive(b"* OK hi\r\n");
    assert!(matches!(core.next_event(), Next::Event(ClientEvent::Greeting(_))));
    core
}

#[test]
fn limits_close_the_connection() {
    for (input, reason) in [
        (vec![b'x'; 1001], "line-too-long"),
        (b"* LIST () \"/\" {1000}\r\n".to_vec(), "too-many"),
        (
            b"* LIST () \"/\" {18446744073709551615}\r\n* LIST {999999999999999999}\r\n".to_vec(),
            "too-many",
        ),
        (b"+ go on\r\n".to_vec(), "unsolicited"),
        (b"A7 OK never asked\r\n".to_vec(), "unsolicited"),
        (b"B1 OK\r\n".to_vec(), "unsolicited"),
    ] {
        let mut core = greeted();
        core.receive(&input);
        assert_eq!(closed(&mut core), reason);
        assert_eq!(closed(&mut core), reason);
    }
    for greeting in [
        &b"* NO\r\n"[..],
        b"+OK pop3\r\n",
        b"220 smtp\r\n",
        b"* 1 FETCH (BODY[] {3}\r\n",
        b"\r\n",
    ] {
        let mut core = ImapClient::new(1000);
        core.receive(greeting);
        assert_eq!(closed(&mut core), "syntax", "{greeting:?}");
    }
}

#[test]
fn nothing_overtakes_what_waits_to_be_asked() {
    let mut core = greeted();
    core.login("j\u{f6}", "\u{fc}").unwrap();
    core.noop();
    assert_eq!(std::mem::take(core.output()), b"A1 LOGIN {3}\r\n");
    core.receive(b"+ go\r\n");
    assert_eq!(core.next_event(), Next::NeedData);
    assert_eq!(std::mem::take(core.output()), "j\u{f6} {2}\r\n".as_bytes());
    core.receive(b"+ go\r\n");
    assert_eq!(core.next_event(), Next::NeedData);
    assert_eq!(std::mem::take(core.output()), "\u{fc}\r\n".as_bytes());
    core.receive(b"A1 NO [AUTHENTICATIONFAILED] no\r\n");
    assert!(matches!(
        core.next_event(),
        Next::Event(ClientEvent::Done { tag: 1, .. })
    ));
    assert_eq!(std::mem::take(core.output()), b"A2 NOOP\r\n");
}

#[test]
fn sasl_with_and_without_initial_response() {
    let mut core = greeted();
    core.authenticate("XOAUTH2", b"user=joe", b"").unwrap();
    assert_eq!(std::mem::take(core.output()), b"A1 AUTHENTICATE XOAUTH2\r\n");
    for sent in ["dXNlcj1qb2U=\r\n", "\r\n"] {
        core.receive(b"+ \r\n");
        assert_eq!(core.next_event(), Next::NeedData);
        assert_eq!(std::mem::take(core.output()), sent.as_bytes());
    }
    core.receive(b"+ \r\n");
    assert_eq!(closed(&mut core), "unsolicited");
    let mut core = ImapClient::new(1000);
    core.receive(b"* OK [CAPABILITY IMAP4rev1 SASL-IR] hi\r\n");
    assert!(matches!(core.next_event(), Next::Event(ClientEvent::Greeting(_))));
    core.authenticate("PLAIN", b"\0joe\0x", b"*").unwrap();
    assert_eq!(std::mem::take(core.output()), b"A1 AUTHENTICATE PLAIN AGpvZQB4\r\n");
}

#[test]
fn octets_behind_starttls_are_an_attack() {
    let mut core = greeted();
    core.start_tls();
    core.receive(b"A1 OK go\r\n* CAPABILITY EVIL\r\n");
    assert!(matches!(core.next_event(), Next::Event(ClientEvent::Done { .. })));
    assert_eq!(core.next_event(), Next::Paused);
    assert!(core.begin_tls().unwrap().is_err());
    assert_eq!(closed(&mut core), "starttls-injection");
    let mut core = greeted();
    core.receive(b"* CAPABILITY OLD\r\n");
    core.start_tls();
    core.receive(b"A1 OK go\r\n");
    assert!(matches!(core.next_event(), Next::Event(ClientEvent::Done { .. })));
    assert!(core.begin_tls().unwrap().is_ok());
    let mut fresh = core.after_tls();
    assert!(fresh.capabilities().is_empty());
    fresh.noop();
    assert_eq!(fresh.output(), b"A2 NOOP\r\n");
}

#[test]
fn misuse_is_refused_and_sends_nothing() {
    let mut core = greeted();
    assert!(core.login("a\0", "b").is_err());
    assert!(core.fetch(true, "1 BODY", "UID").is_err());
    assert!(core.fetch(true, "", "UID").is_err());
    assert!(core.fetch(true, "1", "UID\r\nA2 DELETE x").is_err());
    assert!(core.status(b"x\0", "MESSAGES").is_err());
    assert!(core.authenticate("PL AIN", b"", b"*").is_err());
    assert!(core.id("a\r\nb", "1").is_err());
    assert!(core.feed(&mut Vec::new()).is_err());
    assert!(core.discard_body().is_err());
    assert!(core.begin_tls().is_err());
    assert!(core.output().is_empty());
    core.examine(b"a\r\nA9 DELETE b").unwrap();
    assert_eq!(core.output(), b"A1 EXAMINE {14}\r\n");
}

/// Splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn mutations_neither_panic_nor_depend_on_the_reads() {
    const TELLING: &[u8] = b"\r\n\0 \"\\(){}[]<>*+A019~\xff";
    let mut state = 7;
    for round in 0..4000 {
        let mut input = if round % 2 == 0 { DOVECOT.to_vec() } else { ODD.to_vec() };
        for _ in 0..=next(&mut state) % 4 {
            let at = (next(&mut state) % input.len() as u64) as usize;
            let octet = TELLING[(next(&mut state) % TELLING.len() as u64) as usize];
            match next(&mut state) % 4 {
                0 => input[at] = octet,
                1 => input.insert(at, octet),
                2 => {
                    input.remove(at);
                }
                _ => {
                    let end = (at + (next(&mut state) % 80) as usize).min(input.len());
                    let part = input[at..end].to_vec();
                    input.splice(at..at, part);
                }
            }
        }
        let whole = play(&[&input]);
        assert!(whole.body.len() <= input.len());
        let at = (next(&mut state) % input.len() as u64) as usize;
        let (left, right) = input.split_at(at);
        assert_eq!(
            play(&[left, right]),
            whole,
            "{:?} at {at}",
            String::from_utf8_lossy(&input)
        );
    }
}
