//! A session that says yes: answers every event of a server core and writes down what happened.

use ironpost_proto::smtp::{Event, Limits, SmtpServer};
use ironpost_proto::{Core, Next};

/// What happened: events but `BodyReady` (which depends on chunking), bodies, and all output.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) events: Vec<Event>,
    pub(crate) bodies: Vec<Vec<u8>>,
    pub(crate) output: String,
}

/// A server that has greeted, its yes-sayer, and the record.
pub(crate) struct Driver {
    pub(crate) server: SmtpServer,
    pub(crate) record: Record,
    body: Vec<u8>,
}

impl Driver {
    pub(crate) fn new(lmtp: bool, limits: Limits) -> Self {
        let mut server = SmtpServer::new(lmtp, limits);
        server.greet(220, "ready").unwrap();
        server.output().clear();
        Self {
            server,
            record: Record::default(),
            body: Vec::new(),
        }
    }

    pub(crate) fn smtp() -> Self {
        Self::new(false, Limits::default())
    }

    pub(crate) fn lmtp() -> Self {
        Self::new(true, Limits::default())
    }

    /// Gives octets and answers everything that comes of them.
    pub(crate) fn send(&mut self, octets: &[u8]) -> &mut Self {
        self.server.receive(octets);
        self.run()
    }

    pub(crate) fn run(&mut self) -> &mut Self {
        for _ in 0..1_000_000 {
            match self.server.next_event() {
                Next::NeedData => break,
                Next::Paused => panic!("an answer is owed in {}", self.server.state()),
                Next::Event(Event::BodyReady) => assert!(self.server.feed_sink(&mut self.body).unwrap()),
                Next::Event(Event::Closed(reason)) => {
                    if !matches!(self.record.events.last(), Some(Event::Closed(_))) {
                        self.record.events.push(Event::Closed(reason));
                    }
                    break;
                }
                Next::Event(event) => {
                    self.answer(&event);
                    self.record.events.push(event);
                }
            }
        }
        let output = std::mem::take(self.server.output());
        self.record.output.push_str(std::str::from_utf8(&output).unwrap());
        self
    }

    fn answer(&mut self, event: &Event) {
        let server = &mut self.server;
        match event {
            Event::Helo { .. } => server.reply_hello("hello", &["PIPELINING", "SIZE"]),
            Event::DataBegin | Event::BdatBegin { .. } => server.accept_data(),
            Event::BodyEnd { .. } => {
                self.record.bodies.push(std::mem::take(&mut self.body));
                for _ in 0..10_000 {
                    if !server.state().starts_with("owed-body") {
                        break;
                    }
                    server.reply(250, "2.0.0", &["stored"]).unwrap();
                }
                Ok(())
            }
            Event::AuthBegin { initial: None, .. } => server.auth_challenge(b"more"),
            Event::AuthBegin { .. } | Event::AuthResponse { data: Some(_) } => {
                server.auth_done(true, 235, "2.7.0", "in")
            }
            Event::AuthResponse { data: None } => server.auth_done(false, 501, "5.7.0", "cancelled"),
            Event::StartTls => server.reply(454, "4.7.0", &["not now"]),
            Event::Quit => server.reply(221, "2.0.0", &["bye"]),
            Event::Bad(bad) => server.reply(bad.code, bad.enhanced, &[bad.text]),
            _ => server.reply(250, "2.0.0", &["ok"]),
        }
        .unwrap();
    }

    /// First digits of each reply so far.
    pub(crate) fn codes(&self) -> Vec<u16> {
        self.record
            .output
            .lines()
            .filter(|line| line.as_bytes().get(3) == Some(&b' '))
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }

    /// The code of the only reply to this line.
    pub(crate) fn code(&mut self, line: &str) -> u16 {
        let before = self.codes().len();
        self.send(line.as_bytes()).send(b"\r\n");
        let codes = self.codes();
        assert_eq!(codes.len(), before + 1, "{line}: {codes:?}");
        codes[before]
    }

    /// The last reply as it was written.
    pub(crate) fn last_reply(&self) -> &str {
        self.record.output.trim_end().rsplit("\r\n").next().unwrap()
    }
}
