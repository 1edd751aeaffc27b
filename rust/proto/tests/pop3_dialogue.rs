//! POP3 core: the dialogues of RFC 1939, RFC 2449, RFC 2595 and RFC 5034 at every split point, and the peer's faults.
#![expect(clippy::unwrap_used, reason = "tests")]

use ironpost_proto::pop3::{Command, Event, Server};
use ironpost_proto::{Core, Next};
use proptest::prelude::*;

/// Answers like a small maildrop, so that whole dialogues can be compared.
fn answer(core: &mut Server, event: &Event) {
    match event {
        Event::Command(command) => match command {
            Command::User(_) => core.ok("name is a valid mailbox").unwrap(),
            Command::Pass(password) if password == "secret phrase" => {
                core.authenticated().unwrap();
                core.ok("mrose's maildrop has 2 messages (320 octets)").unwrap();
            }
            Command::Pass(_) => core.err("wrong password", "AUTH").unwrap(),
            Command::Stat => core.ok("2 320").unwrap(),
            Command::List(None) => core.ok_list("2 messages (320 octets)", ["1 120", "2 200"]).unwrap(),
            Command::Uidl(None) => core.ok_list("", ["1 whqtswO00WBw418f9t5JxYwZ", "2 .odd"]).unwrap(),
            Command::List(Some(number)) if *number > 2 => {
                core.err("no such message, only 2 messages in maildrop", "").unwrap()
            }
            Command::List(Some(number)) => core.ok(&format!("{number} 200")).unwrap(),
            Command::Uidl(Some(number)) => core.ok(&format!("{number} QhdPYR:00WBw1Ph7x7")).unwrap(),
            Command::Retr(_) => {
                core.begin_message("120 octets").unwrap();
                core.message(b"Subject: x\r\n\r\n.dot\r").unwrap();
                core.message(b"\n..two\r\nlast").unwrap();
                core.end_message().unwrap();
            }
            Command::Top(number, lines) => {
                core.begin_message("").unwrap();
                core.message(format!("{number} {lines}\r\n").as_bytes()).unwrap();
                core.end_message().unwrap();
            }
            Command::Dele(number) => core.ok(&format!("message {number} deleted")).unwrap(),
            Command::Lang(None) => core.ok_list("Languages follow", ["en English"]).unwrap(),
            Command::Lang(Some(tag)) if tag == "MUL" => core.err("that language is not spoken here", "").unwrap(),
            Command::Noop | Command::Rset | Command::Utf8 | Command::Lang(Some(_)) => core.ok("").unwrap(),
            Command::Capa => core
                .ok_list("Capability list follows", ["TOP", "UIDL", "PIPELINING"])
                .unwrap(),
            Command::Stls => core.err("no TLS here", "").unwrap(),
            Command::Quit => core.ok("dewey POP3 server signing off").unwrap(),
        },
        Event::AuthBegin {
            initial: Some(initial), ..
        } if initial == b"\0u\0p" => {
            core.authenticated().unwrap();
            core.ok("Maildrop locked and ready").unwrap();
        }
        Event::AuthBegin { initial: None, .. } => core.auth_challenge(b"").unwrap(),
        Event::AuthBegin { .. } => core.err("no", "AUTH").unwrap(),
        Event::AuthResponse(Some(data)) if data == b"more" => core.auth_challenge(b"again").unwrap(),
        Event::AuthResponse(Some(data)) if data == b"\0u\0p" => {
            core.authenticated().unwrap();
            core.ok("Maildrop locked and ready").unwrap();
        }
        Event::AuthResponse(_) => core.err("exchange ended", "").unwrap(),
        Event::Bad { text, .. } => core.err(text, "").unwrap(),
        Event::Closed(_) => {}
    }
}

/// Runs `chunks` through a fresh core; gives the events and all output.
fn run(chunks: &[&[u8]]) -> (Vec<Event>, String) {
    let mut core = Server::new();
    core.greet("POP3 server ready").unwrap();
    let mut events = Vec::new();
    for chunk in chunks {
        core.receive(chunk);
        loop {
            match core.next_event() {
                Next::Event(Event::Closed(reason)) => {
                    events.push(Event::Closed(reason));
                    break;
                }
                Next::Event(event) => {
                    // The next command stays in the core until this one is answered (RFC 2449 §6.6).
                    assert_eq!(core.next_event(), Next::Paused);
                    answer(&mut core, &event);
                    events.push(event);
                }
                Next::NeedData => break,
                Next::Paused => panic!("nothing is owed"),
            }
        }
    }
    let output = String::from_utf8(std::mem::take(core.output())).unwrap();
    (events, output)
}

/// The dialogue at every split point and octet by octet.
fn dialogue(input: &[u8], expected: &str) {
    let (events, output) = run(&[input]);
    assert_eq!(output, expected);
    for at in 0..=input.len() {
        let (left, right) = input.split_at(at);
        let (split_events, split_output) = run(&[left, right]);
        assert_eq!(split_output, expected, "split at {at}");
        // Closed repeats with each chunk that comes behind it.
        assert_eq!(dedup(split_events), dedup(events.clone()), "split at {at}");
    }
    let single: Vec<&[u8]> = input.chunks(1).collect();
    let (split_events, split_output) = run(&single);
    assert_eq!((dedup(split_events), split_output.as_str()), (dedup(events), expected));
}

fn dedup(mut events: Vec<Event>) -> Vec<Event> {
    events.dedup_by(|later, earlier| matches!(later, Event::Closed(_)) && later == earlier);
    events
}

#[test]
fn rfc_1939_section_10() {
    dialogue(
        b"USER mrose\r\nPASS secret phrase\r\nSTAT\r\nLIST\r\nRETR 1\r\nDELE 1\r\nlist 3\r\nquit\r\nNOOP\r\n",
        "+OK POP3 server ready\r\n+OK name is a valid mailbox\r\n\
         +OK mrose's maildrop has 2 messages (320 octets)\r\n+OK 2 320\r\n\
         +OK 2 messages (320 octets)\r\n1 120\r\n2 200\r\n.\r\n\
         +OK 120 octets\r\nSubject: x\r\n\r\n..dot\r\n...two\r\nlast\r\n.\r\n\
         +OK message 1 deleted\r\n-ERR no such message, only 2 messages in maildrop\r\n\
         +OK dewey POP3 server signing off\r\n",
    );
}

#[test]
fn rfc_1939_section_7_optional_commands() {
    dialogue(
        b"USER a\r\nPASS secret phrase\r\nTOP 1 10\r\nTOP 4294967295 0\r\nUIDL\r\nUIDL 2\r\nUIDL \r\nRSET\r\nNOOP \r\n",
        "+OK POP3 server ready\r\n+OK name is a valid mailbox\r\n\
         +OK mrose's maildrop has 2 messages (320 octets)\r\n+OK\r\n1 10\r\n.\r\n+OK\r\n4294967295 0\r\n.\r\n\
         +OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2 .odd\r\n.\r\n+OK 2 QhdPYR:00WBw1Ph7x7\r\n\
         +OK\r\n1 whqtswO00WBw418f9t5JxYwZ\r\n2 .odd\r\n.\r\n+OK\r\n+OK\r\n",
    );
}

#[test]
fn rfc_6856_utf8_and_lang() {
    dialogue(
        "utf8\r\nUTF8 now\r\nLANG\r\nLANG en\r\nLANG MUL\r\nLANG *\r\nLANG e n\r\nLANG é\r\nUSER bürger\r\n\
         PASS secret phrase\r\nLANG en\r\nUTF8\r\n"
            .as_bytes(),
        "+OK POP3 server ready\r\n+OK\r\n-ERR this command takes no argument\r\n\
         +OK Languages follow\r\nen English\r\n.\r\n+OK\r\n-ERR that language is not spoken here\r\n+OK\r\n\
         -ERR not a language tag\r\n-ERR not a language tag\r\n+OK name is a valid mailbox\r\n\
         +OK mrose's maildrop has 2 messages (320 octets)\r\n+OK\r\n-ERR not allowed in this state\r\n",
    );
}

#[test]
fn rfc_2449_section_5_capa_in_both_states() {
    dialogue(
        b"CAPA\r\nUSER a\r\nPASS secret phrase\r\nCAPA\r\nQUIT\r\n",
        "+OK POP3 server ready\r\n+OK Capability list follows\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n\
         +OK name is a valid mailbox\r\n+OK mrose's maildrop has 2 messages (320 octets)\r\n\
         +OK Capability list follows\r\nTOP\r\nUIDL\r\nPIPELINING\r\n.\r\n+OK dewey POP3 server signing off\r\n",
    );
}

#[test]
fn rfc_5034_section_4_exchanges() {
    dialogue(
        b"AUTH plain AHUAcA==\r\nSTAT\r\n",
        "+OK POP3 server ready\r\n+OK Maildrop locked and ready\r\n+OK 2 320\r\n",
    );
    dialogue(
        b"AUTH LOGIN\r\nbW9yZQ==\r\nAHUAcA==\r\nSTAT\r\n",
        "+OK POP3 server ready\r\n+ \r\n+ YWdhaW4=\r\n+OK Maildrop locked and ready\r\n+OK 2 320\r\n",
    );
    dialogue(
        b"AUTH PLAIN\r\n*\r\nAUTH PLAIN =\r\nAUTH PLAIN\r\n!!\r\nAUTH PLAIN x\r\nCAPA x\r\n",
        "+OK POP3 server ready\r\n+ \r\n-ERR exchange ended\r\n-ERR [AUTH] no\r\n+ \r\n-ERR not base64\r\n\
         -ERR not base64\r\n-ERR this command takes no argument\r\n",
    );
    let token = "A".repeat(12_000);
    let line = format!("AUTH XOAUTH2 {token}\r\n");
    let (events, _) = run(&[line.as_bytes()]);
    assert!(
        matches!(&events[..], [Event::AuthBegin { mechanism, initial: Some(initial) }]
        if mechanism == "XOAUTH2" && initial.len() == 9000)
    );
    let line = format!("AUTH XOAUTH2 {token}{token}\r\nNOOP\r\n");
    let kinds = kinds(line.as_bytes());
    assert_eq!(kinds, ["line-too-long", "sequence"]);
}

fn kinds(input: &[u8]) -> Vec<&'static str> {
    let (events, _) = run(&[input]);
    events
        .iter()
        .filter_map(|event| {
            if let Event::Bad { kind, .. } = event {
                Some(kind.name())
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn the_peers_faults() {
    for (line, kind) in [
        ("", "unknown-verb"),
        ("APOP a b", "unknown-verb"),
        ("XYZZY", "unknown-verb"),
        ("USER", "syntax"),
        ("USER ", "syntax"),
        ("PASS", "syntax"),
        ("STAT", "sequence"),
        ("RETR 1", "sequence"),
        ("NOOP", "sequence"),
        ("QUIT now", "syntax"),
        ("AUTH", "syntax"),
        ("AUTH pl@in", "syntax"),
        ("AUTH AAAAAAAAAAAAAAAAAAAAA", "syntax"),
        ("AUTH PLAIN a b", "base64"),
        ("USER a\rb", "bare-newline"),
        ("USER a\nb", "bare-newline"),
        ("USER a\0b", "nul"),
    ] {
        assert_eq!(kinds(format!("{line}\r\n").as_bytes()), [kind], "{line:?}");
    }
    assert_eq!(kinds(b"USER \xff\r\n"), ["not-ascii"]);
    for argument in [
        "",
        "0",
        "-1",
        "+1",
        "1 ",
        "4294967296",
        "99999999999999999999999",
        "1x",
        " 1",
        "1 2",
    ] {
        let expected: &[&str] = if argument == "1 " { &[] } else { &["syntax"] };
        let input = format!("USER a\r\nPASS secret phrase\r\nRETR {argument}\r\n");
        assert_eq!(kinds(input.as_bytes()), expected, "{argument:?}");
    }
    for argument in ["", "1", "0 1", "1 -1", "1  2", "1 2 3", "1 x"] {
        let input = format!("USER a\r\nPASS secret phrase\r\nTOP {argument}\r\n");
        assert_eq!(kinds(input.as_bytes()), ["syntax"], "{argument:?}");
    }
    let mut long = vec![b'x'; 511];
    long.extend_from_slice(b"\r\nUSER a\r\n");
    assert_eq!(kinds(&long), ["line-too-long"]);
    let mut edge = b"USER ".to_vec();
    edge.resize(510, b'x');
    edge.extend_from_slice(b"\r\n");
    assert!(kinds(&edge).is_empty());
}

#[test]
fn login_commands_are_over_after_login() {
    for line in ["USER a", "PASS b", "AUTH PLAIN", "STLS"] {
        let input = format!("USER a\r\nPASS secret phrase\r\n{line}\r\n");
        assert_eq!(kinds(input.as_bytes()), ["sequence"], "{line}");
    }
}

#[test]
fn our_callers_faults() {
    let mut core = Server::new();
    assert_eq!(core.next_event(), Next::Paused);
    assert!(core.ok("").is_err());
    assert!(core.greet("two\r\nlines").is_err());
    core.greet("ready").unwrap();
    assert!(core.greet("again").is_err());
    assert!(core.ok("").is_err() && core.err("", "").is_err() && core.end_message().is_err());
    core.receive(b"CAPA\r\nPASS x\r\nAUTH PLAIN\r\n");
    assert_eq!(core.next_event(), Next::Event(Event::Command(Command::Capa)));
    assert!(core.ok("").is_err(), "CAPA is answered with a list");
    assert!(core.ok_list("", ["a\nb"]).is_err());
    assert!(core.err("x", "not a code").is_err());
    core.ok_list("", []).unwrap();
    assert_eq!(
        core.next_event(),
        Next::Event(Event::Command(Command::Pass("x".into())))
    );
    assert!(core.ok("").is_err(), "not authenticated");
    core.authenticated().unwrap();
    assert!(core.authenticated().is_err());
    assert_eq!(core.state(), "transaction");
    core.err("the maildrop is locked", "IN-USE").unwrap();
    assert_eq!(core.state(), "authorization");
    assert!(matches!(core.next_event(), Next::Event(Event::AuthBegin { .. })));
    assert!(core.ok("").is_err() && core.message(b"x").is_err());
    let expected = "+OK ready\r\n+OK\r\n.\r\n-ERR [IN-USE] the maildrop is locked\r\n";
    assert_eq!(std::str::from_utf8(core.output()).unwrap(), expected);
    core.err(&"ü".repeat(400), "").unwrap();
    assert!(core.output().len() < expected.len() + 512);
}

#[test]
fn stls_makes_a_new_core_and_refuses_injection() {
    let mut core = Server::new();
    core.greet("ready").unwrap();
    core.receive(b"STLS\r\n");
    assert_eq!(core.next_event(), Next::Event(Event::Command(Command::Stls)));
    let mut fresh = core.start_tls("begin TLS").unwrap().unwrap();
    assert!(core.output().ends_with(b"+OK begin TLS\r\n"));
    assert_eq!((fresh.state(), fresh.next_event()), ("authorization", Next::NeedData));
    assert!(fresh.output().is_empty());

    for split in [false, true] {
        let mut core = Server::new();
        core.greet("ready").unwrap();
        core.receive(if split { b"STLS\r\n" } else { b"STLS\r\nUSER a\r\n" });
        assert_eq!(core.next_event(), Next::Event(Event::Command(Command::Stls)));
        if split {
            core.receive(b"U");
        }
        assert!(core.start_tls("begin TLS").unwrap().is_none());
        assert_eq!(core.next_event(), Next::Event(Event::Closed("starttls-injection")));
        assert_eq!(core.next_event(), Next::Event(Event::Closed("starttls-injection")));
        assert_eq!(core.output(), b"+OK ready\r\n");
    }
}

#[test]
fn the_end_of_input() {
    for (input, reason) in [(&b""[..], "eof"), (b"NO", "truncated"), (b"USER a\r\n", "eof")] {
        let mut core = Server::new();
        core.greet("ready").unwrap();
        core.receive(input);
        core.receive_eof();
        core.receive(b"ignored\r\n");
        let mut events = Vec::new();
        for _ in 0..3 {
            if let Next::Event(event) = core.next_event() {
                answer(&mut core, &event);
                events.push(event);
            }
        }
        assert_eq!(events.last(), Some(&Event::Closed(reason)), "{input:?}");
        assert_eq!(core.state(), "closed");
    }
    let mut core = Server::new();
    core.err("too many connections", "SYS/TEMP").unwrap();
    assert_eq!(core.next_event(), Next::Event(Event::Closed("refused")));
    assert_eq!(core.output(), b"-ERR [SYS/TEMP] too many connections\r\n");
}

proptest! {
    #[test]
    fn no_input_panics_and_no_split_matters(
        lines in prop::collection::vec("(USER|PASS|AUTH|LIST|TOP|RETR|UIDL|QUIT|CAPA|STLS|[ -~]{0,6}) ?[ -~\r\n\0]{0,12}\r\n", 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..40),
        size in 1usize..17,
    ) {
        let mut input = lines.concat().into_bytes();
        input.extend_from_slice(&tail);
        let (events, output) = run(&[&input]);
        let chunks: Vec<&[u8]> = input.chunks(size).collect();
        let (split_events, split_output) = run(&chunks);
        prop_assert_eq!(dedup(events), dedup(split_events));
        prop_assert_eq!(output, split_output);
    }
}
