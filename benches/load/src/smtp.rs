//! SMTP and LMTP load: connections that each send messages, one in flight per connection.

use std::io;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::connection::{Connection, Patience, Poll};
use crate::report::{self, Latencies};

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Greeting,
    Hello,
    /// Replies to MAIL, RCPT, DATA still owed.
    Envelope(u8),
    Body,
    Quit,
}

struct Session {
    step: Step,
    sent: usize,
    since: Instant,
}

struct Load {
    lmtp: bool,
    /// One command a round trip, as a client without PIPELINING.
    sequential: bool,
    users: usize,
    per_connection: usize,
    total: usize,
    started: usize,
    accepted: usize,
    errors: usize,
    tail: Vec<u8>,
    latencies: Latencies,
}

/// Runs the load and prints its figures.
pub(crate) fn run(arguments: &Arguments, lmtp: bool) -> io::Result<()> {
    let port = arguments.number("port", 25);
    let mut load = Load {
        lmtp,
        sequential: arguments.switch("sequential"),
        users: arguments.number("users", 100).max(1),
        per_connection: arguments.number("per-connection", 100).max(1),
        total: arguments.number("messages", 1000),
        started: 0,
        accepted: 0,
        errors: 0,
        tail: message_tail(arguments.number("size", 10_240)),
        latencies: Latencies::default(),
    };
    let width = arguments.number("connections", 10).min(load.total).max(1);
    let mut poll = Poll::new()?;
    let mut connections: Vec<Option<Connection>> = (0..width).map(|_| None).collect();
    let mut sessions: Vec<Option<Session>> = (0..width).map(|_| None).collect();
    let begun = Instant::now();
    let mut patience = Patience::new();
    for index in 0..width {
        open(port, index, &poll, &mut connections, &mut sessions)?;
    }
    while load.accepted + load.errors < load.total {
        let mut ended = Vec::new();
        let before = load.accepted;
        poll.turn(&mut connections, Duration::from_millis(500), |index, connections| {
            if let (Some(connection), Some(session)) = (connections[index].as_mut(), sessions[index].as_mut())
                && !load.step(connection, session)?
            {
                ended.push(index);
            }
            Ok(())
        })?;
        patience.check(load.accepted > before)?;
        for index in ended {
            connections[index] = None;
            sessions[index] = None;
            if load.started < load.total {
                open(port, index, &poll, &mut connections, &mut sessions)?;
            }
        }
    }
    report::print(load.accepted, load.errors, 0, begun.elapsed(), &mut load.latencies);
    Ok(())
}

fn open(
    port: usize,
    index: usize,
    poll: &Poll,
    connections: &mut [Option<Connection>],
    sessions: &mut [Option<Session>],
) -> io::Result<()> {
    let connection = Connection::open(port)?;
    poll.add(&connection, index)?;
    connections[index] = Some(connection);
    sessions[index] = Some(Session {
        step: Step::Greeting,
        sent: 0,
        since: Instant::now(),
    });
    Ok(())
}

impl Load {
    /// Takes complete replies off the input. False: the connection has done its work.
    fn step(&mut self, connection: &mut Connection, session: &mut Session) -> io::Result<bool> {
        while let Some((code, length)) = reply(&connection.input) {
            connection.input.drain(..length);
            match session.step {
                Step::Greeting => {
                    connection.send(if self.lmtp {
                        b"LHLO load.test\r\n"
                    } else {
                        b"EHLO load.test\r\n"
                    })?;
                    session.step = Step::Hello;
                }
                Step::Hello => self.next_message(connection, session)?,
                Step::Envelope(owed) => {
                    if code >= 400 {
                        self.errors += 1;
                        return Ok(false);
                    }
                    if owed > 1 {
                        session.step = Step::Envelope(owed - 1);
                        if self.sequential {
                            self.envelope_line(connection, session, owed - 1)?;
                        }
                    } else {
                        self.send_body(connection, session)?;
                    }
                }
                Step::Body => {
                    self.latencies.add(session.since.elapsed());
                    if code == 250 {
                        self.accepted += 1;
                    } else {
                        self.errors += 1;
                    }
                    self.next_message(connection, session)?;
                }
                Step::Quit => return Ok(false),
            }
        }
        if connection.closed {
            if session.step != Step::Quit {
                self.errors += 1;
            }
            return Ok(false);
        }
        Ok(true)
    }

    fn next_message(&mut self, connection: &mut Connection, session: &mut Session) -> io::Result<()> {
        if session.sent == self.per_connection || self.started == self.total {
            session.step = Step::Quit;
            return connection.send(b"QUIT\r\n");
        }
        session.sent += 1;
        self.started += 1;
        session.step = Step::Envelope(3);
        if self.sequential {
            return self.envelope_line(connection, session, 3);
        }
        let user = self.started % self.users;
        connection
            .send(format!("MAIL FROM:<load@sender.test>\r\nRCPT TO:<user{user}@example.test>\r\nDATA\r\n").as_bytes())
    }

    fn envelope_line(&mut self, connection: &mut Connection, _session: &Session, owed: u8) -> io::Result<()> {
        let user = self.started % self.users;
        match owed {
            3 => connection.send(b"MAIL FROM:<load@sender.test>\r\n"),
            2 => connection.send(format!("RCPT TO:<user{user}@example.test>\r\n").as_bytes()),
            _ => connection.send(b"DATA\r\n"),
        }
    }

    fn send_body(&mut self, connection: &mut Connection, session: &mut Session) -> io::Result<()> {
        session.step = Step::Body;
        session.since = Instant::now();
        let number = self.started;
        let mut octets = Vec::with_capacity(self.tail.len() + 400);
        octets.extend_from_slice(
            format!(
                "Message-ID: <{number}.{}@load.test>\r\nSubject: load message {number}\r\n",
                std::process::id()
            )
            .as_bytes(),
        );
        octets.extend_from_slice(&self.tail);
        connection.send(&octets)
    }
}

/// Code and length of the first complete reply, continuation lines included.
fn reply(input: &[u8]) -> Option<(u16, usize)> {
    let mut start = 0;
    while let Some(end) = input[start..].windows(2).position(|pair| pair == b"\r\n") {
        let line = &input[start..start + end];
        start += end + 2;
        if line.get(3) != Some(&b'-') {
            let code = std::str::from_utf8(line.get(..3)?).ok()?.parse().ok()?;
            return Some((code, start));
        }
    }
    None
}

/// The rest of a message of about `size` octets in today's shape, ending in CRLF.CRLF.
fn message_tail(size: usize) -> Vec<u8> {
    let mut text = String::from(
        "From: Load Generator <load@sender.test>\r\nTo: Recipient <user@example.test>\r\n\
         Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"=_load_boundary\"\r\n\
         List-Unsubscribe: <https://sender.test/unsubscribe?id=0123456789>\r\n\r\n\
         --=_load_boundary\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\n\r\n",
    );
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut word = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut paragraph = |text: &mut String, until: usize| {
        while text.len() < until {
            let mut line = String::new();
            while line.len() < 66 {
                let value = word();
                for shift in 0..(2 + value % 8) {
                    line.push(char::from(b'a' + ((value >> (shift * 5)) % 26) as u8));
                }
                line.push(' ');
            }
            text.push_str(line.trim_end());
            text.push_str("\r\n");
        }
    };
    paragraph(&mut text, size / 3);
    text.push_str("--=_load_boundary\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body>\r\n");
    paragraph(&mut text, size.saturating_sub(150));
    text.push_str("</body></html>\r\n--=_load_boundary--\r\n.\r\n");
    text.into_bytes()
}
