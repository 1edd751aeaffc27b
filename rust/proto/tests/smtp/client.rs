//! The client core against servers that we write by hand.

use ironpost_proto::smtp::server::Injection;
use ironpost_proto::smtp::{ClientEvent, SmtpClient};
use ironpost_proto::{Core, Next};

fn told(client: &mut SmtpClient) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..2000 {
        match client.next_event() {
            Next::Event(ClientEvent::Reply { command, index, reply }) => {
                told.push(format!(
                    "{command}/{index} {} {} {}",
                    reply.code,
                    reply.enhanced,
                    reply.lines.join("|")
                ));
            }
            Next::Event(ClientEvent::Closed(reason)) => {
                told.push(format!("closed {reason}"));
                break;
            }
            Next::NeedData | Next::Paused => break,
        }
    }
    told
}

fn sent(client: &mut SmtpClient) -> String {
    String::from_utf8(std::mem::take(client.output())).unwrap()
}

fn greeted(lmtp: bool, extensions: &str) -> SmtpClient {
    let mut client = SmtpClient::new(lmtp);
    client.hello("me.example").unwrap();
    assert_eq!(sent(&mut client), "", "nothing before the greeting");
    client.receive(b"220 there\r\n");
    assert_eq!(told(&mut client), ["greeting/0 220  there"]);
    let hello = if lmtp { "LHLO" } else { "EHLO" };
    assert_eq!(sent(&mut client), format!("{hello} me.example\r\n"));
    client.receive(format!("250-hi\r\n{extensions}250 HELP\r\n").as_bytes());
    assert_eq!(told(&mut client).len(), 1);
    client
}

fn envelope(client: &mut SmtpClient) {
    client.mail("a@b", &["SIZE=3"]).unwrap();
    client.rcpt("c@d", &[]).unwrap();
    client.rcpt("e@f", &["NOTIFY=NEVER"]).unwrap();
    client.data().unwrap();
}

#[test]
fn a_pipelined_group() {
    // RFC 2920 §3.1
    let mut client = greeted(false, "250-PIPELINING\r\n250-size 1000\r\n250-AUTH PLAIN LOGIN\r\n");
    let extensions: Vec<(&str, &str)> = client
        .extensions()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        extensions,
        [
            ("PIPELINING", ""),
            ("SIZE", "1000"),
            ("AUTH", "PLAIN LOGIN"),
            ("HELP", "")
        ]
    );
    envelope(&mut client);
    assert_eq!(
        sent(&mut client),
        "MAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f> NOTIFY=NEVER\r\nDATA\r\n"
    );
    client.receive(b"250 2.1.0 ok\r\n250-2.1.5 one\r\n250 2.1.5 two\r\n550 5.1.1 no\r\n354 go\r\n");
    assert_eq!(
        told(&mut client),
        [
            "MAIL/0 250 2.1.0 ok",
            "RCPT/0 250 2.1.5 one|two",
            "RCPT/1 550 5.1.1 no",
            "DATA/0 354  go"
        ]
    );
    assert_eq!(client.state(), "body");
    assert!(client.quit().is_err());
    client.body(b"x\r").unwrap();
    client.body(b"\n").unwrap();
    client.body(b".y").unwrap();
    assert!(client.body(b"a\nb").is_err());
    client.end_body().unwrap();
    client.quit().unwrap();
    assert_eq!(sent(&mut client), "x\r\n..y\r\n.\r\n");
    client.receive(b"250 2.0.0 queued\r\n");
    assert_eq!(told(&mut client), ["BODY/0 250 2.0.0 queued"]);
    assert_eq!(sent(&mut client), "QUIT\r\n");
    client.receive(b"221 bye\r\n");
    client.receive_eof();
    assert_eq!(told(&mut client), ["QUIT/0 221  bye", "closed eof"]);
}

#[test]
fn one_by_one_without_pipelining() {
    let mut client = greeted(false, "");
    envelope(&mut client);
    for (line, reply) in [
        ("MAIL FROM:<a@b> SIZE=3\r\n", "250 ok\r\n"),
        ("RCPT TO:<c@d>\r\n", "250 ok\r\n"),
        ("RCPT TO:<e@f> NOTIFY=NEVER\r\n", "250 ok\r\n"),
        ("DATA\r\n", "354 go\r\n"),
    ] {
        assert_eq!(sent(&mut client), line);
        client.receive(reply.as_bytes());
        assert_eq!(told(&mut client).len(), 1);
    }
}

#[test]
fn replies_split_anywhere() {
    let replies = b"250-2.1.0 a\r\n250 2.1.0 b\r\n550 x\r\n250 y\r\n354 go\r\n";
    for at in 0..=replies.len() {
        let mut client = greeted(false, "250-PIPELINING\r\n");
        envelope(&mut client);
        let (left, right) = replies.split_at(at);
        client.receive(left);
        let mut all = told(&mut client);
        client.receive(right);
        all.extend(told(&mut client));
        assert_eq!(
            all,
            [
                "MAIL/0 250 2.1.0 a|b",
                "RCPT/0 550  x",
                "RCPT/1 250  y",
                "DATA/0 354  go"
            ],
            "split at {at}"
        );
    }
}

#[test]
fn lmtp_gives_a_reply_for_each_accepted_recipient() {
    // RFC 2033 §4.2
    let mut client = greeted(true, "250-PIPELINING\r\n");
    client.mail("", &[]).unwrap();
    for address in ["a@b", "postmaster", "c@d"] {
        client.rcpt(address, &[]).unwrap();
    }
    client.data().unwrap();
    client.receive(b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n");
    assert_eq!(told(&mut client).len(), 5);
    client.end_body().unwrap();
    assert!(sent(&mut client).ends_with("DATA\r\n.\r\n"));
    client.receive(b"250 2.0.0 one\r\n452 4.2.2 two\r\n");
    assert_eq!(told(&mut client), ["BODY/0 250 2.0.0 one", "BODY/1 452 4.2.2 two"]);
    assert_eq!(client.next_event(), Next::Paused);
    assert!(client.helo("x").is_err());
}

#[test]
fn a_server_that_speaks_unasked() {
    let mut client = greeted(false, "");
    client.receive(b"250 ok\r\n");
    assert_eq!(told(&mut client), ["closed unsolicited"]);
    client.mail("a@b", &[]).unwrap();
    assert_eq!(sent(&mut client), "");
    let mut client = greeted(false, "");
    client.receive(b"421 4.3.2 going down\r\n");
    assert_eq!(told(&mut client), ["closed shutdown"]);
    // A reply that lies ready is not taken for the answer to the next command.
    let mut client = greeted(false, "");
    client.receive(b"250 forged\r\n");
    client.mail("a@b", &[]).unwrap();
    assert_eq!(
        (sent(&mut client), told(&mut client)),
        (String::new(), vec!["closed unsolicited".to_string()])
    );
    let mut client = greeted(false, "");
    envelope(&mut client);
    client.receive(b"250 ok\r\n250 forged\r\n");
    assert_eq!(told(&mut client), ["MAIL/0 250  ok", "closed unsolicited"]);
}

#[test]
fn replies_that_break_the_grammar_close() {
    for (reply, reason) in [
        ("hello\r\n", "syntax"),
        ("250-a\r\n220 b\r\n", "syntax"),
        ("354 go\r\n", "syntax"),
        ("250 a\nb\r\n", "bare-newline"),
        ("999 x\r\n", "syntax"),
    ] {
        let mut client = greeted(false, "");
        client.mail("a@b", &[]).unwrap();
        client.receive(reply.as_bytes());
        assert_eq!(told(&mut client), [format!("closed {reason}")], "{reply:?}");
        assert_eq!(told(&mut client), [format!("closed {reason}")], "it stays closed");
    }
    let mut client = greeted(false, "");
    client.data().unwrap();
    client.receive(b"250 ok\r\n");
    assert_eq!(told(&mut client), ["closed syntax"], "DATA is not answered by 250");
    let mut client = greeted(false, "");
    client.data().unwrap();
    client.receive(&b"250-x\r\n".repeat(2000));
    assert_eq!(told(&mut client), ["closed too-many"]);
    let mut client = greeted(false, "");
    client.quit().unwrap();
    client.receive(b"221-b");
    client.receive_eof();
    assert_eq!(told(&mut client), ["closed truncated"]);
}

#[test]
fn starttls_and_its_injection() {
    let mut client = greeted(false, "250-STARTTLS\r\n");
    client.start_tls().unwrap();
    client.receive(b"220 go\r\n");
    assert_eq!(told(&mut client), ["STARTTLS/0 220  go"]);
    assert!(client.mail("a@b", &[]).is_err());
    assert_eq!(client.begin_tls(), Ok(Ok(())));
    let mut fresh = client.after_tls();
    assert!(fresh.extensions().is_empty());
    assert_eq!(fresh.next_event(), Next::Paused, "no second greeting");
    let mut client = greeted(false, "250-STARTTLS\r\n");
    client.start_tls().unwrap();
    client.receive(b"220 go\r\n250 forged\r\n");
    assert_eq!(told(&mut client), ["STARTTLS/0 220  go"]);
    assert_eq!(client.begin_tls(), Ok(Err(Injection)));
    assert_eq!(told(&mut client), ["closed starttls-injection"]);
    assert!(greeted(false, "").begin_tls().is_err());
}

#[test]
fn auth_in_one_reply() {
    let mut client = greeted(false, "");
    client.auth_plain("joe", "pw").unwrap();
    assert_eq!(sent(&mut client), "AUTH PLAIN AGpvZQBwdw==\r\n");
    client.receive(b"235 2.7.0 in\r\n");
    assert_eq!(told(&mut client), ["AUTH/0 235 2.7.0 in"]);
    let mut client = greeted(false, "");
    client.auth_login("joe", "pw").unwrap();
    for (line, challenge) in [
        ("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"),
        ("am9l\r\n", "334 UGFzc3dvcmQ6\r\n"),
        ("cHc=\r\n", "535 no\r\n"),
    ] {
        assert_eq!(sent(&mut client), line);
        client.receive(challenge.as_bytes());
        let all = told(&mut client);
        assert_eq!(all.is_empty(), challenge.starts_with("334"), "{all:?}");
    }
    let mut client = greeted(false, "");
    client.auth_plain(&"u".repeat(200), &"p".repeat(200)).unwrap();
    assert_eq!(
        sent(&mut client),
        "AUTH PLAIN\r\n",
        "a long initial response is sent apart"
    );
    client.receive(b"334 \r\n");
    assert!(told(&mut client).is_empty() && sent(&mut client).len() > 500);
    client.receive(b"334 \r\n");
    assert!(told(&mut client).is_empty());
    assert_eq!(sent(&mut client), "*\r\n", "nothing left to say");
    client.receive(b"334 \r\n");
    assert_eq!(told(&mut client), ["closed sequence"]);
    assert!(greeted(false, "").auth_plain("a\0b", "p").is_err());
    assert!(greeted(false, "").auth_plain("", "p").is_err());
}

#[test]
fn nothing_can_be_smuggled_into_a_command() {
    let mut client = greeted(false, "");
    assert!(client.mail("a@b>\r\nRCPT TO:<x@y", &[]).is_err());
    assert!(client.mail("a@b", &["SIZE=1 X=2"]).is_err());
    assert!(client.mail("a@b", &["X=\r\n"]).is_err());
    assert!(client.mail("a@b", &[""]).is_err());
    assert!(client.rcpt("", &[]).is_err());
    assert!(client.rcpt("a b@c", &[]).is_err());
    assert!(client.hello("x y").is_err() && client.hello("").is_err() && client.helo("x\r\n").is_err());
    assert!(client.body(b"x").is_err() && client.end_body().is_err());
    assert_eq!(sent(&mut client), "");
    client.mail("\"a b\"@[IPv6:::1]", &[]).unwrap();
    assert_eq!(sent(&mut client), "MAIL FROM:<\"a b\"@[IPv6:::1]>\r\n");
}

#[test]
fn commands_in_flight_are_bounded() {
    let mut client = greeted(false, "250-PIPELINING\r\n");
    client.mail("a@b", &[]).unwrap();
    for number in 0..500 {
        client.rcpt(&format!("r{number}@d"), &[]).unwrap();
    }
    client.data().unwrap();
    let mut lines = sent(&mut client).lines().count();
    assert_eq!(lines, 100);
    for _ in 0..501 {
        client.receive(b"250 ok\r\n");
        assert_eq!(told(&mut client).len(), 1);
        lines += sent(&mut client).lines().count();
    }
    assert_eq!(lines, 502);
    client.receive(b"354 go\r\n");
    assert_eq!(told(&mut client), ["DATA/0 354  go"]);
}
