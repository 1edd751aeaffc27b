//! The IMAP client core.

use super::dialogue::{LazySink, Party, Transcript, check};
use super::runner::Random;
use ironpost_proto::imap::client::{ClientEvent, ImapClient, ListKind};
use ironpost_proto::{Core, Next};

/// Small, so that inputs reach it.
const RESPONSE_OCTETS_MAX: usize = 4_000;

/// A server from anywhere: nothing panics, cuts do not matter, nothing piles up.
pub fn client(data: &[u8]) {
    check::<ClientParty>(data);
}

struct ClientParty {
    core: ImapClient,
    random: Random,
    sink: LazySink,
    events: Vec<ClientEvent>,
    discard: bool,
    stopped: bool,
}

impl Party for ClientParty {
    type Event = ClientEvent;

    fn new(steering: u64) -> Self {
        let mut core = ImapClient::new(RESPONSE_OCTETS_MAX);
        core.login("joe", "p\u{e4}ss").unwrap();
        core.list(ListKind::SpecialUse);
        core.status(b"INBOX", "MESSAGES").unwrap();
        core.examine(b"INBOX").unwrap();
        core.fetch(false, "1:2", "UID FLAGS").unwrap();
        core.fetch(true, "1:9", "BODY.PEEK[]").unwrap();
        core.authenticate("XOAUTH2", b"x", b"").unwrap();
        Self {
            core,
            random: Random::new(steering),
            sink: LazySink::new(steering),
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
        if let Some(closed @ ClientEvent::Closed(_)) = self.events.last().cloned() {
            assert_eq!(self.core.next_event(), Next::Event(closed));
        }
    }

    fn transcript(mut self) -> Transcript<ClientEvent> {
        Transcript {
            events: self.events,
            body: self.sink.body,
            output: std::mem::take(self.core.output()),
        }
    }
}

impl ClientParty {
    fn pump(&mut self) {
        while !self.stopped {
            match self.core.next_event() {
                Next::NeedData => return,
                Next::Paused => panic!("paused without STARTTLS: {}", self.core.state()),
                Next::Event(ClientEvent::BodyReady) => {
                    if self.discard {
                        self.core.discard_body().unwrap();
                    } else {
                        while !self.core.feed(&mut self.sink).unwrap() {}
                    }
                }
                Next::Event(event) => {
                    if matches!(event, ClientEvent::FetchBegin { .. }) {
                        self.discard = self.random.one_in(3);
                    } else {
                        assert!(self.core.discard_body().is_err());
                    }
                    self.stopped = matches!(event, ClientEvent::Closed(_));
                    self.events.push(event);
                }
            }
        }
    }
}
