//! One rule of an RFC at a time.

use super::driver::Driver;
use ironpost_proto::body::BodySink;
use ironpost_proto::error::{LocalMisuse, PeerMisbehaved};
use ironpost_proto::smtp::server::Injection;
use ironpost_proto::smtp::{Event, Limits, SmtpServer};
use ironpost_proto::{Core, Next};

fn ready() -> Driver {
    let mut driver = Driver::smtp();
    assert_eq!(driver.code("EHLO c"), 250);
    driver
}

fn with_recipient() -> Driver {
    let mut driver = ready();
    assert_eq!(
        (driver.code("MAIL FROM:<a@b>"), driver.code("RCPT TO:<c@d>")),
        (250, 250)
    );
    driver
}

fn next(server: &mut SmtpServer) -> Event {
    match server.next_event() {
        Next::Event(event) => event,
        other => panic!("{other:?}"),
    }
}

#[test]
fn order_of_commands() {
    // RFC 5321 §4.1.4
    let mut driver = Driver::smtp();
    for line in ["NOOP", "RSET", "HELP", "VRFY x", "EXPN x"] {
        assert_eq!(driver.code(line), 250, "{line} at any time");
    }
    for line in ["MAIL FROM:<a@b>", "RCPT TO:<a@b>", "DATA", "AUTH PLAIN ="] {
        assert_eq!(driver.code(line), 503, "{line} before hello");
        assert!(driver.last_reply().starts_with("503 5.5.1 "));
    }
    assert_eq!(driver.code("EHLO c"), 250);
    assert_eq!(driver.code("RCPT TO:<a@b>"), 503);
    assert_eq!(driver.code("DATA"), 503);
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 250);
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 503, "nested");
    assert_eq!(driver.code("DATA"), 503, "no recipient");
    assert_eq!(driver.code("AUTH PLAIN ="), 503, "within a transaction (RFC 4954 §4)");
    assert_eq!(driver.code("RCPT TO:<c@d>"), 250);
    assert_eq!(driver.code("EHLO again"), 250);
    assert_eq!(driver.code("RCPT TO:<c@d>"), 503, "a hello resets");
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 250);
    assert_eq!(driver.code("RSET"), 250);
    assert_eq!(driver.code("RCPT TO:<c@d>"), 503, "RSET resets");
}

#[test]
fn helo_allows_no_parameters_and_no_auth() {
    let mut driver = Driver::smtp();
    assert_eq!(driver.code("HELO c"), 250);
    assert_eq!(driver.code("MAIL FROM:<a@b> SIZE=1"), 555);
    assert_eq!(driver.code("AUTH PLAIN ="), 503);
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 250);
}

#[test]
fn lmtp_has_its_own_hello() {
    // RFC 2033 §4.1
    let mut driver = Driver::lmtp();
    assert_eq!(
        (driver.code("HELO c"), driver.code("EHLO c"), driver.code("LHLO c")),
        (500, 500, 250)
    );
    assert_eq!(Driver::smtp().code("LHLO c"), 500);
}

#[test]
fn lmtp_without_recipients() {
    // RFC 2033 §4.2
    let mut driver = Driver::lmtp();
    driver.send(b"LHLO c\r\nMAIL FROM:<a@b>\r\n");
    assert_eq!(driver.code("DATA"), 503);
}

#[test]
fn a_refused_recipient_is_no_recipient() {
    let mut driver = ready();
    driver.code("MAIL FROM:<a@b>");
    driver.server.receive(b"RCPT TO:<c@d>\r\n");
    assert!(matches!(next(&mut driver.server), Event::Rcpt(_)));
    driver.server.reply(550, "5.1.1", &["unknown"]).unwrap();
    driver.run();
    assert_eq!(driver.code("DATA"), 503);
}

#[test]
fn recipients_are_limited() {
    let mut driver = Driver::new(
        false,
        Limits {
            recipients_max: 2,
            ..Limits::default()
        },
    );
    driver.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\n");
    assert_eq!(driver.code("RCPT TO:<c@d>"), 452);
    assert!(driver.last_reply().starts_with("452 4.5.3 "));
    assert_eq!(
        driver.send(b"DATA\r\n.\r\n").codes(),
        [250, 250, 250, 250, 452, 354, 250]
    );
}

#[test]
fn utf8_in_a_recipient_needs_the_senders_smtputf8() {
    // RFC 6531 §3.4
    let mut driver = ready();
    driver.code("MAIL FROM:<a@b>");
    assert_eq!(driver.code("RCPT TO:<ö@b>"), 553);
    driver.code("RSET");
    driver.code("MAIL FROM:<ö@b> SMTPUTF8");
    assert_eq!(driver.code("RCPT TO:<ö@b>"), 250);
}

#[test]
fn lines_that_are_no_lines() {
    let mut driver = ready();
    for (line, text) in [
        ("NO\nOP", "500 5.5.2 "),
        ("NO\rOP", "500 5.5.2 "),
        ("NO\0OP", "500 5.5.2 "),
        ("\nNOOP", "500 5.5.2 "),
    ] {
        assert_eq!(driver.code(line), 500);
        assert!(driver.last_reply().starts_with(text), "{line:?}");
    }
    let kinds: Vec<PeerMisbehaved> = driver
        .record
        .events
        .iter()
        .filter_map(|event| {
            if let Event::Bad(bad) = event {
                Some(bad.kind)
            } else {
                None
            }
        })
        .collect();
    use PeerMisbehaved::{BareNewline, Nul};
    assert_eq!(kinds, [BareNewline, BareNewline, Nul, BareNewline]);
}

#[test]
fn long_lines() {
    let mut driver = ready();
    assert_eq!(driver.code(&format!("NOOP {}", "x".repeat(4096 - 7))), 250);
    assert_eq!(driver.code(&format!("NOOP {}", "x".repeat(4096 - 6))), 500);
    assert_eq!(driver.code("NOOP"), 250);
    assert!(driver.server.waiting() == 0);
    // RFC 4954 §4: AUTH lines may take 12,288 octets.
    let response = "YWFh".repeat(2900);
    assert_eq!(driver.code(&format!("AUTH PLAIN {response}")), 235);
    let mut driver = ready();
    driver.send(b"AUTH PLAIN\r\n");
    assert_eq!(driver.code(&"YWFh".repeat(3072)), 500);
    assert!(driver.last_reply().starts_with("500 5.5.6 "));
    assert_eq!(driver.code("NOOP"), 250, "the exchange is over");
}

#[test]
fn memory_of_an_endless_line_is_bounded() {
    let mut driver = ready();
    for _ in 0..1000 {
        driver.send(&[b'x'; 5000]);
        assert!(driver.server.waiting() <= 1);
    }
    assert_eq!(driver.code(""), 500);
}

#[test]
fn auth_exchanges() {
    // RFC 4954 §4
    let mut driver = ready();
    driver.send(b"AUTH PLAIN\r\n");
    assert_eq!(driver.last_reply(), "334 bW9yZQ==");
    assert_eq!(driver.code("*"), 501);
    driver.send(b"AUTH PLAIN\r\n");
    assert_eq!(driver.code("not base64"), 501);
    assert_eq!(driver.code("NOOP"), 250);
    driver.send(b"AUTH LOGIN\r\n");
    assert_eq!(driver.code(""), 235);
    assert_eq!(driver.code("AUTH PLAIN ="), 503);
    let wanted = Event::AuthBegin {
        mechanism: "LOGIN".to_string(),
        initial: None,
    };
    assert!(driver.record.events.contains(&wanted));
    assert!(
        driver
            .record
            .events
            .contains(&Event::AuthResponse { data: Some(Vec::new()) })
    );
}

#[test]
fn a_failed_authentication_may_be_tried_again() {
    let mut driver = ready();
    driver.server.receive(b"AUTH PLAIN =\r\n");
    assert!(
        matches!(next(&mut driver.server), Event::AuthBegin { initial: Some(ref initial), .. } if initial.is_empty())
    );
    driver.server.auth_done(false, 535, "5.7.8", "no").unwrap();
    driver.run();
    assert_eq!(driver.code("AUTH PLAIN ="), 235);
}

#[test]
fn chunks_without_recipients_are_thrown_away() {
    // RFC 3030 §2
    let mut driver = ready();
    driver.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n");
    assert_eq!(driver.codes(), [250, 503, 250]);
    driver.send(b"MAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nDATA\r\nNOOP\r\n");
    assert_eq!(driver.codes()[3..], [250, 503, 250]);
}

#[test]
fn data_and_chunks_do_not_mix() {
    let mut driver = with_recipient();
    driver.send(b"BDAT 2\r\nhi");
    assert_eq!(driver.code("DATA"), 503);
    assert_eq!(driver.code("RCPT TO:<e@f>"), 503);
    driver.send(b"BDAT 0 LAST\r\n");
    assert_eq!(driver.record.bodies, [b"hi"]);
    assert_eq!(driver.code("BDAT 0 LAST"), 503);
}

#[test]
fn a_refused_chunk_is_thrown_away_and_ends_the_transaction() {
    let mut driver = with_recipient();
    driver
        .server
        .receive(b"BDAT 6\r\nRSET\r\nBDAT 6 LAST\r\nNOOP\r\nNOOP\r\n");
    assert_eq!(
        next(&mut driver.server),
        Event::BdatBegin {
            size: 6,
            last: false,
            first: true
        }
    );
    driver.server.reply(452, "4.3.1", &["full"]).unwrap();
    driver.run();
    assert_eq!(driver.codes()[3..], [452, 503, 250]);
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 250);
}

#[test]
fn a_chunk_whose_size_is_unknown_ends_the_session() {
    let mut driver = with_recipient();
    driver.send(b"BDAT 1x\r\nRSET\r\nNOOP\r\n");
    assert_eq!(driver.codes()[3..], [421]);
    assert_eq!(driver.record.events.last(), Some(&Event::Closed("refused")));
}

#[test]
fn too_big_messages_are_consumed_and_told() {
    for (begin, end) in [("DATA\r\n", "\r\n.\r\n"), ("BDAT 1002 LAST\r\n", "\r\n")] {
        let mut driver = Driver::new(
            false,
            Limits {
                message_octets_max: 100,
                ..Limits::default()
            },
        );
        driver
            .send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
            .send(begin.as_bytes());
        for _ in 0..100 {
            assert!(!driver.server.message_too_big() || driver.server.waiting() < 10);
            driver.send(&[b'x'; 10]);
        }
        driver.send(end.as_bytes());
        assert!(driver.server.message_too_big());
        assert_eq!(driver.record.bodies, [vec![b'x'; 100]]);
        assert_eq!(driver.code("NOOP"), 250);
    }
}

#[test]
fn a_message_of_exactly_the_limit_is_not_too_big() {
    let mut driver = Driver::new(
        false,
        Limits {
            message_octets_max: 4,
            ..Limits::default()
        },
    );
    driver.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..x\r\n.\r\n");
    assert!(!driver.server.message_too_big());
    assert_eq!(driver.record.bodies, [b".x\r\n"]);
}

/// Takes so many octets, then is full.
struct Narrow {
    taken: Vec<u8>,
    room: usize,
}

impl BodySink for Narrow {
    fn push(&mut self, octets: &[u8]) -> usize {
        let count = octets.len().min(self.room);
        self.taken.extend_from_slice(&octets[..count]);
        self.room -= count;
        count
    }
}

#[test]
fn a_full_sink_loses_nothing() {
    let body = b"a\r\n..b\r\n\r\n.c\rd\ne\r\n";
    let clean = b"a\r\n.b\r\n\r\nc\rd\ne\r\n";
    for room in 1..clean.len() + 2 {
        let mut driver = with_recipient();
        driver.server.receive(b"DATA\r\n");
        assert_eq!(next(&mut driver.server), Event::DataBegin);
        driver.server.accept_data().unwrap();
        driver.server.receive(body);
        driver.server.receive(b".\r\nNOOP\r\n");
        let mut sink = Narrow {
            taken: Vec::new(),
            room,
        };
        let mut rounds = 0;
        while next_is_body(&mut driver.server) {
            while !driver.server.feed_sink(&mut sink).unwrap() {
                sink.room += room;
            }
            rounds += 1;
            assert!(rounds < 100);
        }
        assert_eq!(sink.taken, clean);
        assert_eq!(driver.server.state(), "owed-body-end");
    }
}

fn next_is_body(server: &mut SmtpServer) -> bool {
    match next(server) {
        Event::BodyReady => true,
        Event::BodyEnd {
            size,
            bare_cr,
            bare_lf,
            nul,
        } => {
            assert_eq!((size, bare_cr, bare_lf, nul), (16, true, true, false));
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_discarded_body() {
    let mut driver = with_recipient();
    driver.server.receive(b"DATA\r\n");
    assert_eq!(next(&mut driver.server), Event::DataBegin);
    driver.server.accept_data().unwrap();
    driver.server.receive(b"hello\r\n.\r\n");
    assert_eq!(next(&mut driver.server), Event::BodyReady);
    driver.server.discard_body().unwrap();
    assert_eq!(
        next(&mut driver.server),
        Event::BodyEnd {
            size: 0,
            bare_cr: false,
            bare_lf: false,
            nul: false
        }
    );
}

#[test]
fn a_refused_data_leaves_the_transaction() {
    let mut driver = with_recipient();
    driver.server.receive(b"DATA\r\n");
    assert_eq!(next(&mut driver.server), Event::DataBegin);
    assert!(driver.server.reply(250, "", &["no"]).is_err());
    driver.server.reply(451, "4.3.0", &["later"]).unwrap();
    driver.run();
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 503);
    assert_eq!(driver.send(b"DATA\r\n.\r\n").codes()[5..], [354, 250]);
}

#[test]
fn injected_octets_behind_starttls_close() {
    // RFC 3207 §4, the class of CVE-2011-0411
    let mut driver = ready();
    driver.server.receive(b"STARTTLS\r\nRSET\r\n");
    assert_eq!(next(&mut driver.server), Event::StartTls);
    assert_eq!(driver.server.begin_tls("2.0.0", "go"), Ok(Err(Injection)));
    assert!(driver.server.output().is_empty());
    assert_eq!(next(&mut driver.server), Event::Closed("starttls-injection"));
    driver.server.receive(b"NOOP\r\n");
    assert_eq!(next(&mut driver.server), Event::Closed("starttls-injection"));
}

#[test]
fn tls_forgets_everything() {
    // RFC 3207 §4.2
    let mut driver = with_recipient();
    driver.server.receive(b"STARTTLS\r\n");
    assert_eq!(next(&mut driver.server), Event::StartTls);
    assert!(driver.server.reply(220, "", &["no"]).is_err());
    assert_eq!(driver.server.begin_tls("2.0.0", "go"), Ok(Ok(())));
    assert_eq!(driver.server.output().as_slice(), b"220 2.0.0 go\r\n");
    driver.server = driver.server.after_tls();
    assert_eq!(driver.server.state(), "connected");
    assert_eq!(driver.code("MAIL FROM:<a@b>"), 503);
    assert_eq!(driver.code("EHLO c"), 250);
}

#[test]
fn a_421_ends_everything() {
    let mut driver = ready();
    driver.server.receive(b"MAIL FROM:<a@b>\r\nQUIT\r\n");
    assert!(matches!(next(&mut driver.server), Event::Mail(_)));
    driver.server.reply(421, "4.3.2", &["closing"]).unwrap();
    assert_eq!(next(&mut driver.server), Event::Closed("refused"));
    driver.server.receive(&[b'x'; 100_000]);
    assert_eq!(
        (driver.server.waiting(), next(&mut driver.server)),
        (0, Event::Closed("refused"))
    );
}

#[test]
fn a_refusing_greeting_leaves_quit() {
    // RFC 5321 §3.1
    let mut server = SmtpServer::new(false, Limits::default());
    server.greet(554, "no service").unwrap();
    server.receive(b"EHLO c\r\nQUIT\r\n");
    assert!(matches!(next(&mut server), Event::Bad(bad) if bad.code == 503));
    server.reply(503, "5.5.1", &["no"]).unwrap();
    assert_eq!(next(&mut server), Event::Quit);
}

#[test]
fn early_talkers_are_seen() {
    let mut server = SmtpServer::new(false, Limits::default());
    server.receive(b"EHLO c\r\n");
    assert_eq!(server.next_event(), Next::Paused);
    server.greet(220, "hi").unwrap();
    assert!(server.early_talker());
    assert!(matches!(next(&mut server), Event::Helo { .. }));
    let mut server = SmtpServer::new(false, Limits::default());
    server.greet(220, "hi").unwrap();
    assert!(!server.early_talker());
}

#[test]
fn ends_of_the_stream() {
    for (input, reason) in [
        (&b""[..], "eof"),
        (b"NOO", "truncated"),
        (b"AUTH PLAIN\r\n", "truncated"),
        (b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhalf\r\n", "truncated"),
        (b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 5\r\nhalf", "truncated"),
        (b"BDAT 5\r\nhalf", "truncated"),
        (b"NOOP\r\n", "eof"),
    ] {
        let mut driver = ready();
        driver.server.receive(input);
        driver.server.receive_eof();
        driver.run();
        assert_eq!(driver.record.events.last(), Some(&Event::Closed(reason)), "{input:?}");
        assert!(driver.record.bodies.is_empty());
    }
}

#[test]
fn misuse_changes_nothing() {
    let mut driver = ready();
    let server = &mut driver.server;
    assert!(matches!(
        server.reply(250, "", &["x"]),
        Err(LocalMisuse::WrongState { call: "reply", .. })
    ));
    assert!(matches!(server.greet(220, "x"), Err(LocalMisuse::WrongState { .. })));
    assert!(server.accept_data().is_err() && server.discard_body().is_err() && server.auth_challenge(b"").is_err());
    assert!(server.feed_sink(&mut Vec::new()).is_err() && server.reply_hello("x", &[]).is_err());
    assert!(server.auth_done(true, 235, "", "x").is_err() && server.begin_tls("", "x").is_err());
    server.receive(b"NOOP\r\n");
    assert_eq!(next(server), Event::Noop);
    assert_eq!(server.next_event(), Next::Paused);
    assert!(server.reply(354, "", &["x"]).is_err() && server.reply(250, "", &["a\r\nb"]).is_err());
    assert!(server.output().is_empty());
    server.reply(250, "", &["x"]).unwrap();
}

#[test]
fn idle_cores_own_no_input_memory() {
    let mut driver = ready();
    driver.send(b"NOOP\r\n");
    assert_eq!(driver.server.waiting(), 0);
}
