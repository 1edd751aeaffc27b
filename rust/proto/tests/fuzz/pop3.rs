//! The POP3 server core.

use super::dialogue::{Party, Transcript, check};
use super::runner::Random;
use ironpost_proto::pop3::{Command, Event, Server};
use ironpost_proto::{Core, Next};

/// A client from anywhere: nothing panics, cuts do not matter.
pub fn server(data: &[u8]) {
    check::<ServerParty>(data);
}

struct ServerParty {
    core: Server,
    random: Random,
    events: Vec<Event>,
    stopped: bool,
}

impl Party for ServerParty {
    type Event = Event;

    fn new(steering: u64) -> Self {
        let mut core = Server::new();
        assert_eq!(core.next_event(), Next::Paused);
        core.greet("hello").unwrap();
        Self {
            core,
            random: Random::new(steering),
            events: Vec::new(),
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
            body: Vec::new(),
            output: std::mem::take(self.core.output()),
        }
    }
}

impl ServerParty {
    fn pump(&mut self) {
        while !self.stopped {
            match self.core.next_event() {
                Next::NeedData => return,
                Next::Paused => panic!("paused, and all was answered: {}", self.core.state()),
                Next::Event(event) => {
                    let closed = matches!(event, Event::Closed(_));
                    if !closed {
                        assert_eq!(self.core.next_event(), Next::Paused);
                    }
                    self.answer(&event);
                    self.events.push(event);
                    self.stopped |= closed;
                }
            }
        }
    }

    fn answer(&mut self, event: &Event) {
        let core = &mut self.core;
        assert!(core.greet("again").is_err());
        assert!(core.end_message().is_err());
        match event {
            Event::Closed(_) => {}
            // What lies behind STLS depends on the reads, and is told apart there.
            Event::Command(Command::Stls) => {
                self.stopped = true;
                let _ = core.start_tls("go").unwrap();
                core.output().clear();
            }
            Event::Bad { text, .. } => core.err(text, "").unwrap(),
            Event::AuthResponse(None) => core.err("cancelled", "AUTH").unwrap(),
            Event::AuthBegin { initial: None, .. } => core.auth_challenge(b"").unwrap(),
            _ if self.random.one_in(5) => core.err("not now", "SYS/TEMP").unwrap(),
            Event::AuthBegin { .. } | Event::AuthResponse(Some(_)) | Event::Command(Command::Pass(_)) => {
                core.authenticated().unwrap();
                core.ok("welcome").unwrap();
            }
            Event::Command(Command::Capa | Command::Lang(None) | Command::List(None) | Command::Uidl(None)) => {
                core.ok_list("list", ["1 100", ".2 200"]).unwrap();
            }
            Event::Command(Command::Retr(_) | Command::Top(..)) => {
                core.begin_message("message").unwrap();
                core.message(b"Subject: x\r\n\r").unwrap();
                core.message(b"\n.\r\n..y").unwrap();
                core.end_message().unwrap();
            }
            Event::Command(_) => core.ok("done").unwrap(),
        }
    }
}
