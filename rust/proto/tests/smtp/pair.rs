//! Client core against server core: what one sends the other understands, at any chunking.

use super::driver::Driver;
use ironpost_proto::smtp::{ClientEvent, SmtpClient};
use ironpost_proto::{Core, Next};

/// Carries octets both ways until neither has more; the client's replies.
fn exchange(client: &mut SmtpClient, driver: &mut Driver, size: usize) -> Vec<(String, usize, u16)> {
    let mut replies = Vec::new();
    for _ in 0..1000 {
        let out = std::mem::take(client.output());
        let told = driver.record.output.len();
        for chunk in out.chunks(size) {
            driver.send(chunk);
        }
        let answer = driver.record.output.as_bytes()[told..].to_vec();
        for chunk in answer.chunks(size) {
            client.receive(chunk);
            while let Next::Event(event) = client.next_event() {
                match event {
                    ClientEvent::Reply { command, index, reply } => {
                        replies.push((command.to_string(), index, reply.code));
                    }
                    ClientEvent::Closed(reason) => panic!("{reason}"),
                }
            }
        }
        if out.is_empty() && answer.is_empty() && client.output().is_empty() {
            break;
        }
    }
    replies
}

fn run(lmtp: bool, size: usize, message: &[u8]) -> Vec<u8> {
    let mut driver = if lmtp { Driver::lmtp() } else { Driver::smtp() };
    let mut client = SmtpClient::new(lmtp);
    client.receive(b"220 hi\r\n");
    client.hello("me.example").unwrap();
    client.mail("a@b.example", &["SIZE=10"]).unwrap();
    client.rcpt("c@d.example", &[]).unwrap();
    client.rcpt("e@f.example", &[]).unwrap();
    client.data().unwrap();
    exchange(&mut client, &mut driver, size);
    while let Next::Event(_) = client.next_event() {}
    exchange(&mut client, &mut driver, size);
    assert_eq!(client.state(), "body");
    for chunk in message.chunks(size) {
        client.body(chunk).unwrap();
    }
    client.end_body().unwrap();
    client.quit().unwrap();
    let replies = exchange(&mut client, &mut driver, size);
    let bodies = replies
        .iter()
        .filter(|(command, _, code)| command == "BODY" && *code == 250)
        .count();
    assert_eq!(bodies, if lmtp { 2 } else { 1 });
    assert_eq!(replies.last().unwrap(), &("QUIT".to_string(), 0, 221));
    assert_eq!(driver.record.bodies.len(), 1);
    driver.record.bodies.remove(0)
}

#[test]
fn messages_arrive_as_they_were() {
    for message in [
        &b"Subject: x\r\n\r\nhello\r\n"[..],
        b".\r\n..\r\n.x\r\n",
        b"\r\n",
        b"",
        b"a\r\n.\r\n\r\n.\r\n",
        b"\0\xff.\r\n",
    ] {
        for size in [1, 2, 3, 5, 1000] {
            for lmtp in [false, true] {
                assert_eq!(run(lmtp, size, message), message, "chunks of {size}");
            }
        }
    }
}

#[test]
fn a_last_line_without_its_end_gets_one() {
    assert_eq!(run(false, 4, b"no end"), b"no end\r\n");
}
