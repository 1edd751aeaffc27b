//! Whatever a peer sends: no panic, bounded memory, the same at any chunking, linear cost.

use super::driver::Driver;
use ironpost_proto::address::{self, Charset};
use ironpost_proto::smtp::{ClientEvent, Limits, SmtpClient};
use ironpost_proto::{Core, Next};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Octets, and words that lead somewhere.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "EHLO x\r\n",
            "HELO x\r\n",
            "LHLO x\r\n",
            "MAIL FROM:<a@b>\r\n",
            "MAIL FROM:<ö@b> SMTPUTF8\r\n",
            "RCPT TO:<c@d>\r\n",
            "DATA\r\n",
            "BDAT 5\r\n",
            "BDAT 0 LAST\r\n",
            "BDAT 18446744073709551615\r\n",
            "RSET\r\n",
            "AUTH PLAIN\r\n",
            "YWJj\r\n",
            "STARTTLS\r\n",
            "VRFY x\r\n",
            "\r\n.\r\n",
            "\r\n",
            "\n",
            "\r",
            ".",
            "<",
            "\"",
            "=",
            "+",
            " SIZE=",
            " ORCPT=utf-8;\\x{41}",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
    ];
    vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_server_takes_anything(input in input(), size in 1usize..20, lmtp in any::<bool>()) {
        let limits = Limits { message_octets_max: 20, recipients_max: 2, line_octets_max: 64, auth_line_octets_max: 64 };
        let mut whole = Driver::new(lmtp, limits);
        whole.send(&input);
        let mut pieces = Driver::new(lmtp, limits);
        for chunk in input.chunks(size) {
            pieces.send(chunk);
            prop_assert!(pieces.server.waiting() <= 64);
        }
        prop_assert_eq!(&whole.record, &pieces.record);
        prop_assert!(whole.record.output.len() <= 200 * (input.len() + 1));
        prop_assert!(whole.record.bodies.iter().all(|body| body.len() <= 20));
    }

    #[test]
    fn a_client_takes_anything(input in vec(prop_oneof![any::<u8>(), prop::sample::select(b"2503\r\n- ".to_vec())], 0..200)) {
        let mut client = SmtpClient::new(false);
        client.hello("x").unwrap();
        client.mail("a@b", &[]).unwrap();
        client.auth_login("u", "p").unwrap();
        client.data().unwrap();
        for chunk in input.chunks(3) {
            client.receive(chunk);
            for _ in 0..10 {
                match client.next_event() {
                    Next::Event(ClientEvent::Closed(_)) | Next::NeedData | Next::Paused => break,
                    Next::Event(ClientEvent::Reply { .. }) => {}
                }
            }
        }
        prop_assert!(client.output().len() < 1000);
    }

    #[test]
    fn an_address_is_a_fixed_point(octets in vec(prop::sample::select(b"ab.@\"\\ <>[]:-1,IPv6\xc3\xa4".to_vec()), 0..30)) {
        if let Ok(mailbox) = address::mailbox(&octets, Charset::Utf8) {
            let text = mailbox.to_string();
            // Quoting what the sender did not quote could pass the limit of 64; then it is refused, never misread.
            if let Ok(again) = address::mailbox(text.as_bytes(), Charset::Utf8) {
                prop_assert_eq!(again, mailbox);
            }
        }
        let _ = address::path(&octets, Charset::Ascii);
    }
}

/// Processor time of this thread: what others do on the machine does not count.
fn cost(run: impl Fn()) -> Duration {
    let used = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let begun = used();
    run();
    used() - begun
}

/// Four times the input may cost at most ten times as much: a quadratic scan costs sixteen times and more. The best of
/// many runs counts, since others share the machine.
fn linear(run: impl Fn(usize)) {
    let (mut small, mut large) = (Duration::MAX, Duration::MAX);
    for _ in 0..40 {
        small = small.min(cost(|| run(1)));
        large = large.min(cost(|| run(4)));
        if large < small * 10 {
            return;
        }
    }
    panic!("{small:?} became {large:?}");
}

#[test]
fn a_body_of_dots_costs_its_length() {
    for pattern in [
        &b".\r\n"[1..],
        b"..\r\n",
        b"\n.\r",
        b"\r\r\n.",
        b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n",
    ] {
        linear(|times| {
            let mut driver = Driver::smtp();
            driver.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
            driver.send(&pattern.repeat(300_000 * times / pattern.len()));
        });
    }
}

#[test]
fn a_body_by_octets_costs_its_length() {
    linear(|times| {
        let mut driver = Driver::smtp();
        driver.send(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        for chunk in b"..x\r\n".repeat(5000 * times).chunks(1) {
            driver.send(chunk);
        }
    });
}

#[test]
fn pipelined_commands_cost_their_length() {
    linear(|times| {
        Driver::smtp().send(&b"NOOP\r\n".repeat(20_000 * times));
    });
}

#[test]
fn a_line_by_octets_costs_its_length() {
    linear(|times| {
        let mut driver = Driver::new(
            false,
            Limits {
                line_octets_max: 1 << 30,
                ..Limits::default()
            },
        );
        for chunk in vec![b'x'; 50_000 * times].chunks(1) {
            driver.send(chunk);
        }
        driver.send(b"\r\n");
    });
}
