//! Two wires against each other through memory: handshake, data, STARTTLS, closing, faults.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;
use common::*;
use ironpost_tls::{ClientConfig, Verification, Wire};

#[test]
fn data_passes_both_ways_in_pieces_of_every_size() {
    for size in [1, 2, 3, 7, 100, 1000, 65_536] {
        let (mut server, mut client) = pair();
        server.core_mut().output.extend_from_slice(b"220 ready\r\n");
        client.core_mut().output.extend_from_slice(b"early question");
        assert!(!server.secure() && server.tls().is_none());
        assert_eq!(server.output_pending(), 0, "nothing can leave before the handshake");
        run(&mut client, &mut server, size).unwrap();
        assert_eq!(client.core().received, b"220 ready\r\n");
        assert_eq!(server.core().received, b"early question");
        let info = server.tls().unwrap();
        assert_eq!(
            (info.version, info.server_name.as_deref()),
            ("TLSv1.3", Some("mail.example.org"))
        );
        assert!(
            info.cipher.starts_with("TLS13_") && client.tls().unwrap() == info,
            "{info:?}"
        );
    }
}

#[test]
fn the_handshake_bears_every_split_of_its_flights() {
    // The flights differ in length by a few octets from run to run, so the split is of what there is.
    for at in 1..1400 {
        let (mut server, mut client) = pair();
        for _ in 0..4 {
            let there = drain(&mut client, 65_536);
            let (left, right) = there.split_at(at.min(there.len()));
            server.receive(left).unwrap();
            server.receive(right).unwrap();
            let back = drain(&mut server, 65_536);
            let (left, right) = back.split_at(at.min(back.len()));
            client.receive(left).unwrap();
            client.receive(right).unwrap();
        }
        assert!(server.secure() && client.secure(), "split at {at}");
    }
}

#[test]
fn large_transfers_keep_their_order_whatever_the_limit() {
    let data: Vec<u8> = (0..3_000_000u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for limit in [100, 1500, 16_384, 65_536, 1 << 20] {
        let (mut server, mut client) = pair();
        run(&mut client, &mut server, 65_536).unwrap();
        let part = &data[..if limit < 1000 { 100_000 } else { data.len() }];
        server.core_mut().output.extend_from_slice(part);
        let sealed = drain(&mut server, limit);
        for piece in sealed.chunks(262_144) {
            client.receive(piece).unwrap();
        }
        assert!(client.core().received == *part, "limit {limit}");
        if limit >= 16_384 {
            assert!(
                sealed.len() < part.len() + part.len() / 100,
                "records are filled: {}",
                sealed.len()
            );
        }
    }
    let (mut server, mut client) = pair();
    run(&mut client, &mut server, 65_536).unwrap();
    server.core_mut().output.extend_from_slice(b"tiny takes");
    let sealed = drain(&mut server, 1);
    client.receive(&sealed).unwrap();
    assert_eq!(client.core().received, b"tiny takes");
}

#[test]
fn plaintext_wires_hand_everything_through_in_order() {
    let mut wire = Wire::plain(Keep::default());
    wire.receive(b"hello").unwrap();
    assert_eq!(wire.core().received, b"hello");
    let data: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
    for limit in [1000, 65_536, 1 << 20] {
        wire.core_mut().output.extend_from_slice(&data);
        let mut out = Vec::new();
        wire.take_output(limit, &mut out);
        wire.core_mut().output.extend_from_slice(b"more");
        out.extend(drain(&mut wire, limit));
        assert!(out.starts_with(&data) && out.ends_with(b"more") && out.len() == data.len() + 4);
    }
    wire.close_tls();
    assert_eq!((wire.output_pending(), wire.tls(), wire.secure()), (0, None, false));
}

#[test]
fn starttls_sends_what_was_queued_in_plaintext_first() {
    for (already, limit) in [(0, 65_536), (5, 65_536), (0, 3), (4, 1)] {
        let mut server = Wire::plain(Keep::default());
        server.receive(b"STARTTLS\r\n").unwrap();
        server
            .core_mut()
            .output
            .extend_from_slice(b"220 greeting\r\n220 go ahead\r\n");
        let mut plain = Vec::new();
        server.take_output(already, &mut plain);
        server.start_server(&server_config(), Keep::default()).unwrap();
        assert!(server.start_server(&server_config(), Keep::default()).is_err());
        server.core_mut().output.extend_from_slice(b"secret");
        plain.extend(drain(&mut server, limit));
        assert_eq!(plain, b"220 greeting\r\n220 go ahead\r\n");
        assert!(server.core().received.is_empty(), "the core is a new one");

        let mut client = Wire::plain(Keep::default());
        client.core_mut().output.extend_from_slice(b"STARTTLS\r\n");
        client
            .start_client(&client_config(), "mail.example.org", Keep::default())
            .unwrap();
        let mut flight = drain(&mut client, limit);
        assert_eq!(flight.drain(..10).collect::<Vec<u8>>(), b"STARTTLS\r\n");
        server.receive(&flight).unwrap();
        run(&mut client, &mut server, 65_536).unwrap();
        assert_eq!(client.core().received, b"secret");
    }
}

#[test]
fn garbage_is_a_fault_that_stays_and_the_alert_can_be_sent() {
    // For a handshake message of impossible length rustls makes no alert.
    for (garbage, alerts) in [
        (&b"EHLO client.example.org\r\n"[..], true),
        (b"\x16\x03\x01\xff\xff", true),
        (&[0; 64], true),
        (b"\x16\x03\x01\x00\x05abcde", false),
        (b"\x17\x03\x03\x00\x05abcde", true),
    ] {
        for size in [1, 64] {
            let mut server = Wire::server(Keep::default(), &server_config()).unwrap();
            server.core_mut().output.extend_from_slice(b"220 never seen\r\n");
            let mut first = None;
            for piece in garbage.chunks(size) {
                let result = server.receive(piece);
                match &first {
                    None => first = result.err(),
                    Some(fault) => assert_eq!(result.as_ref().err(), Some(fault)),
                }
            }
            let fault = first.unwrap();
            let alert = drain(&mut server, 65_536);
            assert_eq!(
                alert.first() == Some(&21),
                alerts,
                "an alert record: {alert:?} for {garbage:?}: {fault}"
            );
            assert_eq!(alert.len(), if alerts { 7 } else { 0 }, "and nothing else: {alert:?}");
            assert_eq!(server.receive(b"x").unwrap_err(), fault);
            assert!(server.core().received.is_empty() && !server.secure());
        }
    }
}

#[test]
fn tampered_records_are_a_fault_and_reach_no_core() {
    let (mut server, mut client) = pair();
    run(&mut client, &mut server, 65_536).unwrap();
    client.core_mut().output.extend_from_slice(b"MAIL FROM:<>\r\n");
    let mut sealed = drain(&mut client, 65_536);
    *sealed.last_mut().unwrap() ^= 1;
    let fault = server.receive(&sealed).unwrap_err();
    server.core_mut().output.extend_from_slice(b"never");
    let alert = drain(&mut server, 65_536);
    assert!(!alert.is_empty() && server.core().received.is_empty());
    assert_eq!(server.receive(&[]).unwrap_err(), fault);
    assert!(client.receive(&alert).is_err(), "the client understands the alert");
}

#[test]
fn random_octets_never_panic() {
    let mut state = 1u64;
    for round in 0..300u64 {
        let (mut server, mut client) = pair();
        if round % 2 == 0 {
            run(&mut client, &mut server, 65_536).unwrap();
        }
        for _ in 0..20 {
            let mut flight = drain(&mut client, 65_536);
            client.core_mut().output.extend_from_slice(b"some data");
            for octet in &mut flight {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                if state >> 56 == 7 {
                    *octet = (state >> 32) as u8;
                }
            }
            let _ = server.receive(&flight);
            let _ = client.receive(&drain(&mut server, 65_536));
        }
    }
}

#[test]
fn closing_stands_behind_all_output_and_reaches_the_core() {
    let (mut server, mut client) = pair();
    run(&mut client, &mut server, 65_536).unwrap();
    server.core_mut().output.extend_from_slice(b"221 bye\r\n");
    server.close_tls();
    server.core_mut().output.extend_from_slice(b"and this");
    assert!(server.output_pending() > 0);
    run(&mut server, &mut client, 65_536).unwrap();
    assert_eq!(client.core().received, b"221 bye\r\nand this");
    assert!(client.core().eof && !server.core().eof);
    server.core_mut().output.extend_from_slice(b"too late");
    server.close_tls();
    assert_eq!(server.output_pending(), 0);
    assert!(drain(&mut server, 100).is_empty());
    // The other side may still speak, and closes in its turn.
    client.core_mut().output.extend_from_slice(b"last words");
    client.close_tls();
    run(&mut client, &mut server, 65_536).unwrap();
    assert_eq!(
        (server.core().received.as_slice(), server.core().eof),
        (&b"last words"[..], true)
    );
    client.receive_eof();

    let (mut server, mut client) = pair();
    run(&mut client, &mut server, 65_536).unwrap();
    server.receive_eof();
    assert!(server.core().eof, "an end without close_notify is told as an end");
}

#[test]
fn what_follows_close_notify_is_dropped_and_costs_no_memory() {
    for together in [false, true] {
        let (mut server, mut client) = pair();
        run(&mut client, &mut server, 65_536).unwrap();
        client.close_tls();
        let mut last = drain(&mut client, 65_536);
        if together {
            last.extend_from_slice(&[7; 1000]);
        }
        server.receive(&last).unwrap();
        for _ in 0..10 {
            server.receive(&[7; 100_000]).unwrap();
        }
        assert!(server.core().eof && server.core().received.is_empty());
        assert_eq!(server.buffer_octets(), 0);
        server.core_mut().output.extend_from_slice(b"221 bye\r\n");
        server.close_tls();
        client.receive(&drain(&mut server, 65_536)).unwrap();
        assert_eq!(client.core().received, b"221 bye\r\n");
    }
}

#[test]
fn octet_by_octet_is_linear_in_the_size_of_a_record() {
    let (mut server, mut client) = pair();
    run(&mut client, &mut server, 65_536).unwrap();
    client.core_mut().output.extend_from_slice(&vec![b'x'; 400_000]);
    let sealed = drain(&mut client, 65_536);
    for octet in &sealed {
        server.receive(std::slice::from_ref(octet)).unwrap();
        assert!(server.buffer_octets() <= 65_536);
    }
    assert_eq!(server.core().received.len(), 400_000);
}

#[test]
fn tickets_resume_and_leave_with_the_reply() {
    let (server_config, client_config) = (server_config(), client_config());
    for round in 0..3 {
        let mut server = Wire::server(Keep::default(), &server_config).unwrap();
        let mut client = Wire::client(Keep::default(), &client_config, "mail.example.org").unwrap();
        server.core_mut().output.extend_from_slice(b"* OK ready\r\n");
        let hello = drain(&mut client, 65_536);
        server.receive(&hello).unwrap();
        client.receive(&drain(&mut server, 65_536)).unwrap();
        server.receive(&drain(&mut client, 65_536)).unwrap();
        let mut last = Vec::new();
        server.take_output(65_536, &mut last);
        assert_eq!(server.output_pending(), 0, "tickets and greeting leave in one piece");
        client.receive(&last).unwrap();
        assert_eq!(client.core().received, b"* OK ready\r\n");
        assert_eq!(server.tls().unwrap().resumed, round > 0, "round {round}");
        assert_eq!(client.tls().unwrap().resumed, round > 0);
        assert_eq!(server.tls().unwrap().server_name.as_deref(), Some("mail.example.org"));
    }
    // A reload of the certificates does not cost the sessions.
    let reloaded = common::server_config();
    let mut server = Wire::server(Keep::default(), &reloaded).unwrap();
    let mut client = Wire::client(Keep::default(), &client_config, "mail.example.org").unwrap();
    run(&mut client, &mut server, 65_536).unwrap();
    assert!(server.tls().unwrap().resumed);
}

#[test]
fn verification_is_what_was_asked_for() {
    let strict = client_config();
    let web = ClientConfig::new(Verification::Required, None).unwrap();
    let any = ClientConfig::new(Verification::Opportunistic, None).unwrap();
    for (config, name, works) in [
        (&strict, "mail.example.org", true),
        (&strict, "mail.example.org.", true),
        (&strict, "other.example.org", false),
        (&web, "mail.example.org", false),
        (&any, "other.example.org", true),
        (&any, "", true),
        (&any, "not a name", true),
        (&any, "192.0.2.1", true),
    ] {
        let mut server = Wire::server(Keep::default(), &server_config()).unwrap();
        let mut client = Wire::client(Keep::default(), config, name).unwrap();
        let result = run(&mut client, &mut server, 65_536);
        assert_eq!(result.is_ok(), works, "{name:?} {result:?}");
        if !works {
            // The server hears of it by an alert.
            assert!(server.receive(&drain(&mut client, 65_536)).is_err());
        }
    }
    assert!(Wire::client(Keep::default(), &strict, "").is_err());
    assert!(Wire::client(Keep::default(), &strict, "not a name").is_err());
}

#[test]
fn idle_wires_own_no_buffers() {
    let (mut server, mut client) = pair();
    client.core_mut().output.extend_from_slice(&vec![b'x'; 500_000]);
    run(&mut client, &mut server, 65_536).unwrap();
    assert_eq!(server.core().received.len(), 500_000);
    assert_eq!((server.buffer_octets(), client.buffer_octets()), (0, 0));
}
