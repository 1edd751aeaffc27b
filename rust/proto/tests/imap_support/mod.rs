//! A session that says yes: drives the IMAP core over given pieces and keeps all that it told.

#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::unwrap_used, reason = "tests")]

use ironpost_proto::imap::command::Arguments;
use ironpost_proto::imap::{BadKind, Event, ImapServer, Settings};
use ironpost_proto::{Core, Next};

/// Core and what was seen of it.
pub(crate) struct Session {
    pub(crate) core: ImapServer,
    pub(crate) events: Vec<Event>,
    pub(crate) message: Vec<u8>,
    idle_tag: String,
}

impl Session {
    /// Greeted, not logged in.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut core = ImapServer::new(settings);
        assert_eq!(core.next_event(), Next::Paused);
        core.greet("OK", "", "hello").unwrap();
        core.output().clear();
        Self {
            core,
            events: Vec::new(),
            message: Vec::new(),
            idle_tag: String::new(),
        }
    }

    /// Logged in.
    pub(crate) fn authenticated() -> Self {
        let mut session = Self::new(Settings::default());
        session.core = ImapServer::new(Settings::default());
        session.core.greet("PREAUTH", "", "hello").unwrap();
        session.core.output().clear();
        session
    }

    /// Logged in, with a mailbox.
    pub(crate) fn selected() -> Self {
        let mut session = Self::authenticated();
        session.core.selected(false).unwrap();
        session
    }

    /// Feeds one piece and answers all that comes of it.
    pub(crate) fn send(&mut self, piece: &[u8]) {
        self.core.receive(piece);
        self.pump();
    }

    /// Answers events until more data is needed or the core has closed.
    pub(crate) fn pump(&mut self) {
        loop {
            match self.core.next_event() {
                Next::NeedData => return,
                Next::Paused => panic!("paused, and all was answered: {}", self.core.state()),
                Next::Event(event) => {
                    let closed = matches!(event, Event::Closed(_));
                    self.answer(&event);
                    if event != Event::BodyReady {
                        self.events.push(event);
                    }
                    if closed {
                        return;
                    }
                }
            }
        }
    }

    fn answer(&mut self, event: &Event) {
        let core = &mut self.core;
        match event {
            Event::Command(command) => {
                match (command.name, &command.arguments) {
                    ("LOGIN", _) => core.authenticated().unwrap(),
                    ("SELECT" | "EXAMINE", _) => core.selected(false).unwrap(),
                    ("CLOSE" | "UNSELECT", _) => core.unselected().unwrap(),
                    ("ENABLE", Arguments::Enable(names)) if names.iter().any(|name| name == "IMAP4REV2") => {
                        core.enable_rev2();
                    }
                    ("IDLE", _) => {
                        core.continue_("idling").unwrap();
                        core.begin_idle().unwrap();
                        self.idle_tag.clone_from(&command.tag);
                        return;
                    }
                    _ => {}
                }
                assert_eq!(core.next_event(), Next::Paused);
                core.respond(&command.tag, "OK", "", command.name).unwrap();
                if command.name == "LOGOUT" {
                    core.logout();
                }
            }
            Event::AuthBegin { initial: None, .. } => core.auth_challenge(b"").unwrap(),
            Event::AuthBegin { .. } | Event::AuthResponse(Some(_)) => {
                let tag = core.auth_tag().to_owned();
                core.authenticated().unwrap();
                core.respond(&tag, "OK", "", "logged in").unwrap();
            }
            Event::AuthResponse(None) => {
                let tag = core.auth_tag().to_owned();
                core.respond(&tag, "BAD", "", "cancelled").unwrap();
            }
            Event::AppendBegin(begin) if begin.target.mailbox == "refuse" => {
                core.refuse_literal("NO", "TRYCREATE", "no such mailbox").unwrap();
            }
            Event::AppendBegin(_) => core.accept_literal().unwrap(),
            Event::BodyReady => assert!(core.feed(&mut self.message).unwrap()),
            Event::BodyEnd(_) | Event::Closed(_) => {}
            Event::IdleDone => {
                let tag = self.idle_tag.clone();
                core.respond(&tag, "OK", "", "IDLE").unwrap();
            }
            Event::Bad(bad) => {
                assert_eq!(core.next_event(), Next::Paused);
                core.respond(bad.tag.as_deref().unwrap_or("*"), "BAD", "", bad.kind.as_str())
                    .unwrap();
            }
        }
    }

    /// What was sent to the client since the last call.
    pub(crate) fn said(&mut self) -> String {
        String::from_utf8(std::mem::take(self.core.output())).unwrap()
    }

    /// The events since the last call.
    pub(crate) fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

/// One complete command line in a session with a selected mailbox.
pub(crate) fn parse(line: &str) -> Result<(&'static str, Arguments), BadKind> {
    parse_in(Session::selected(), line)
}

/// One complete command line in the given session.
pub(crate) fn parse_in(mut session: Session, line: &str) -> Result<(&'static str, Arguments), BadKind> {
    session.core.receive(format!("a1 {line}\r\n").as_bytes());
    match session.core.next_event() {
        Next::Event(Event::Command(command)) => {
            assert_eq!(command.tag, "a1");
            Ok((command.name, command.arguments))
        }
        Next::Event(Event::AuthBegin { mechanism, initial }) => {
            Ok(("AUTHENTICATE", Arguments::Authenticate { mechanism, initial }))
        }
        Next::Event(Event::Bad(bad)) => {
            assert_eq!(bad.tag.as_deref(), Some("a1"));
            Err(bad.kind)
        }
        other => panic!("{line}: {other:?}"),
    }
}
