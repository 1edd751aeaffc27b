//! SMTP and LMTP, both sides.

use super::dialogue::{LazySink, Party, Transcript, check, check_same, cut, run, steered};
use super::runner::Random;
use ironpost_proto::smtp::event::Event;
use ironpost_proto::smtp::{ClientEvent, Limits, SmtpClient, SmtpServer};
use ironpost_proto::{Core, Next};

/// Small, so that inputs reach them.
const LIMITS: Limits = Limits {
    message_octets_max: 2_000,
    recipients_max: 5,
    line_octets_max: 512,
    auth_line_octets_max: 1_024,
};

/// A client of ours, octets from anywhere: nothing panics, cuts do not matter, nothing piles up.
pub fn server(data: &[u8]) {
    check::<ServerParty>(data);
}

struct ServerParty {
    core: SmtpServer,
    random: Random,
    sink: LazySink,
    events: Vec<Event>,
    discard: bool,
    stopped: bool,
}

impl Party for ServerParty {
    type Event = Event;

    fn new(steering: u64) -> Self {
        let mut random = Random::new(steering);
        let mut core = SmtpServer::new(random.one_in(4), LIMITS);
        assert_eq!(core.next_event(), Next::Paused);
        core.greet(if random.one_in(20) { 554 } else { 220 }, "hello").unwrap();
        let sink = LazySink::new(steering);
        Self {
            core,
            random,
            sink,
            events: Vec::new(),
            discard: false,
            stopped: false,
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.core.receive(piece);
        self.pump();
    }

    fn receive_eof(&mut self) {
        self.core.receive_eof();
        self.pump();
        assert!(self.stopped, "the end came and the core goes on: {}", self.core.state());
        if let Some(closed @ Event::Closed(_)) = self.events.last().cloned() {
            assert_eq!(self.core.next_event(), Next::Event(closed));
        }
    }

    fn transcript(mut self) -> Transcript<Event> {
        Transcript {
            events: self.events,
            body: self.sink.body,
            output: std::mem::take(self.core.output()),
        }
    }
}

impl ServerParty {
    fn pump(&mut self) {
        while !self.stopped {
            match self.core.next_event() {
                Next::NeedData => {
                    let waiting = self.core.waiting();
                    assert!(waiting <= LIMITS.auth_line_octets_max, "{waiting} octets wait for more");
                    return;
                }
                // LMTP owes one reply for each recipient.
                Next::Paused => self.core.reply(250, "2.0.0", &["one more"]).unwrap(),
                Next::Event(Event::BodyReady) if self.discard => self.core.discard_body().unwrap(),
                Next::Event(Event::BodyReady) => {
                    self.core.feed_sink(&mut self.sink).unwrap();
                }
                Next::Event(event) => {
                    let closed = matches!(event, Event::Closed(_));
                    self.misuse();
                    self.answer(&event);
                    self.events.push(event);
                    self.stopped |= closed;
                }
            }
        }
    }

    /// What does not fit is refused and changes nothing.
    fn misuse(&mut self) {
        let (state, said) = (self.core.state(), self.core.output().len());
        assert!(self.core.greet(220, "again").is_err());
        assert!(self.core.reply(250, "2.0.0", &["two\r\nlines"]).is_err());
        assert!(self.core.reply(354, "", &["go on"]).is_err());
        assert!(self.core.feed_sink(&mut Vec::new()).is_err());
        assert_eq!((self.core.state(), self.core.output().len()), (state, said));
    }

    fn answer(&mut self, event: &Event) {
        let core = &mut self.core;
        let refuse = self.random.one_in(5);
        let code = if self.random.one_in(30) { 421 } else { 450 };
        match event {
            Event::Closed(_) | Event::BodyReady => {}
            // What lies behind STARTTLS depends on the reads, and is told apart there.
            Event::StartTls if !refuse => {
                self.stopped = true;
                let _ = core.begin_tls("2.0.0", "go").unwrap();
                core.output().clear();
            }
            Event::AuthBegin { initial: None, .. } => core.auth_challenge(b"challenge").unwrap(),
            Event::AuthBegin { .. } | Event::AuthResponse { .. } => match self.random.below(3) {
                0 => core.auth_challenge(b"").unwrap(),
                1 => core.auth_done(true, 235, "2.7.0", "welcome").unwrap(),
                _ => core.auth_done(false, 535, "5.7.8", "no").unwrap(),
            },
            Event::Bad(bad) => core.reply(bad.code, bad.enhanced, &[bad.text]).unwrap(),
            _ if refuse => core.reply(code, "4.0.0", &["no", "really"]).unwrap(),
            Event::DataBegin | Event::BdatBegin { .. } => {
                if !matches!(event, Event::BdatBegin { first: false, .. }) {
                    self.discard = self.random.one_in(4);
                }
                core.accept_data().unwrap();
            }
            Event::Helo { .. } => core.reply_hello("hello", &["PIPELINING", "SIZE 2000"]).unwrap(),
            Event::Quit => core.reply(221, "2.0.0", &["bye"]).unwrap(),
            Event::StartTls => core.reply(454, "4.7.0", &["no"]).unwrap(),
            _ => core.reply(250, "2.0.0", &["done"]).unwrap(),
        }
    }
}

/// A server from anywhere. Reads of a line, of an octet and of any size give the same replies to the same commands, as
/// long as no read holds more than one reply: what comes unasked closes the connection.
pub fn client(data: &[u8]) {
    let (steering, peer) = steered(data);
    let pieces = cut(peer, &mut Random::new(steering ^ 0x0063_7574));
    let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    check_said(&run::<ClientParty>(steering, &[peer]));
    check_said(&run::<ClientParty>(steering, &pieces));
    let lines: Vec<&[u8]> = peer.split_inclusive(|&octet| octet == b'\n').collect();
    let by_line = run::<ClientParty>(steering, &lines);
    let octets: Vec<&[u8]> = peer.chunks(1).collect();
    check_same(&run::<ClientParty>(steering, &octets), &by_line);
}

fn check_said(transcript: &Transcript<ClientEvent>) {
    let mut previous = 0;
    for (at, &octet) in transcript.output.iter().enumerate() {
        assert_eq!(octet == b'\n', previous == b'\r', "bare line end at {at}");
        assert_ne!(octet, 0);
        previous = octet;
    }
    assert!(previous == 0 || previous == b'\n', "an unfinished line was sent");
    let replies = transcript
        .events
        .iter()
        .filter(|event| matches!(event, ClientEvent::Reply { .. }))
        .count();
    assert!(replies <= ClientParty::COMMANDS_MAX, "{replies} replies");
}

struct ClientParty {
    core: SmtpClient,
    random: Random,
    events: Vec<ClientEvent>,
    steps: std::ops::Range<usize>,
    stopped: bool,
}

impl ClientParty {
    /// Greeting, hello, AUTH, MAIL, six RCPT, DATA, six replies to the body, RSET, QUIT.
    const COMMANDS_MAX: usize = 19;

    fn pump(&mut self) {
        while !self.stopped {
            match self.core.next_event() {
                Next::NeedData => return,
                Next::Paused => match self.steps.next() {
                    Some(step) => self.step(step),
                    None => return,
                },
                Next::Event(mut event) => {
                    let closed = match &mut event {
                        // Half a 421 cannot be told from anything else that comes unasked.
                        ClientEvent::Closed(reason) => {
                            if *reason == "shutdown" {
                                *reason = "unsolicited";
                            }
                            true
                        }
                        ClientEvent::Reply {
                            command: "DATA", reply, ..
                        } if reply.code == 354 => {
                            self.core.body(b".a\r").unwrap();
                            self.core.body(b"\n..b\r\n").unwrap();
                            self.core.end_body().unwrap();
                            false
                        }
                        ClientEvent::Reply { .. } => false,
                    };
                    self.events.push(event);
                    self.stopped |= closed;
                }
            }
        }
    }

    fn step(&mut self, step: usize) {
        let core = &mut self.core;
        match step {
            0 if self.random.one_in(8) && core.helo("client.example").is_ok() => {}
            0 => core.hello("client.example").unwrap(),
            1 if self.random.one_in(3) => core.auth_login("user", "password").unwrap(),
            1 if self.random.one_in(3) => core.auth_plain(&"long".repeat(60), &"long".repeat(60)).unwrap(),
            1 => core.auth_plain("user", "password").unwrap(),
            2 if self.random.one_in(6) => {
                core.start_tls().unwrap();
            }
            2 => {
                core.mail("a@b.example", &["SIZE=10"]).unwrap();
                for number in 0..self.random.below(6) {
                    core.rcpt(&format!("r{number}@c.example"), &[]).unwrap();
                }
                core.data().unwrap();
            }
            3 if core.state() == "tls-ready" => {
                self.stopped = true;
                let _ = core.begin_tls().unwrap();
            }
            3 => core.reset().unwrap(),
            _ => core.quit().unwrap(),
        }
    }
}

impl Party for ClientParty {
    type Event = ClientEvent;

    fn new(steering: u64) -> Self {
        let mut random = Random::new(steering);
        let core = SmtpClient::new(random.one_in(4));
        Self {
            core,
            random,
            events: Vec::new(),
            steps: 0..5,
            stopped: false,
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.core.receive(piece);
        self.pump();
    }

    fn receive_eof(&mut self) {
        self.core.receive_eof();
        self.pump();
        assert!(self.stopped, "the end came and the core goes on: {}", self.core.state());
    }

    fn transcript(mut self) -> Transcript<ClientEvent> {
        Transcript {
            events: self.events,
            body: Vec::new(),
            output: std::mem::take(self.core.output()),
        }
    }
}
