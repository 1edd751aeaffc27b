//! The IMAP server core and the grammar of SEARCH.

use super::dialogue::{LazySink, Party, Transcript, check};
use super::runner::Random;
use ironpost_proto::imap::lexer::Lexer;
use ironpost_proto::imap::search_key::{Date, SearchKey, SearchProgram, SystemFlag};
use ironpost_proto::imap::{Arguments, Event, ImapServer, Settings};
use ironpost_proto::{Core, Next};

/// Small, so that inputs reach them.
const SETTINGS: Settings = Settings {
    command_octets_max: 2_048,
    append_octets_max: 3_000,
    search_depth_max: 8,
};

/// A client from anywhere: nothing panics, cuts do not matter, nothing piles up.
pub fn server(data: &[u8]) {
    check::<ServerParty>(data);
}

struct ServerParty {
    core: ImapServer,
    random: Random,
    sink: LazySink,
    events: Vec<Event>,
    discard: bool,
    idle_tag: String,
    stopped: bool,
}

impl Party for ServerParty {
    type Event = Event;

    fn new(steering: u64) -> Self {
        let mut random = Random::new(steering);
        let mut core = ImapServer::new(SETTINGS);
        assert_eq!(core.next_event(), Next::Paused);
        let preauth = !random.one_in(4);
        core.greet(if preauth { "PREAUTH" } else { "OK" }, "", "hello").unwrap();
        if preauth && !random.one_in(4) {
            core.selected(false).unwrap();
        }
        let sink = LazySink::new(steering);
        Self {
            core,
            random,
            sink,
            events: Vec::new(),
            discard: false,
            idle_tag: String::new(),
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
                    let backlog = self.core.backlog();
                    assert!(backlog <= SETTINGS.command_octets_max, "{backlog} octets wait for more");
                    return;
                }
                Next::Paused => panic!("paused, and all was answered: {}", self.core.state()),
                Next::Event(Event::BodyReady) if self.discard => self.core.discard_body().unwrap(),
                Next::Event(Event::BodyReady) => {
                    self.core.feed(&mut self.sink).unwrap();
                }
                // What lies behind STARTTLS depends on the reads, and is told apart there.
                Next::Event(Event::Closed("starttls-injection")) => self.stop(),
                Next::Event(Event::Command(command)) if command.name == "STARTTLS" => {
                    assert!(self.core.start_tls(&command.tag, "go").unwrap().is_some());
                    self.stop();
                }
                Next::Event(event) => {
                    let closed = matches!(event, Event::Closed(_));
                    self.answer(&event);
                    self.events.push(event);
                    self.stopped |= closed;
                }
            }
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.core.output().clear();
    }

    fn answer(&mut self, event: &Event) {
        let core = &mut self.core;
        match event {
            Event::Command(command) => {
                assert_eq!(core.next_event(), Next::Paused);
                assert!(core.respond("no-such-tag", "OK", "", "").is_err());
                if self.random.one_in(5) {
                    core.respond(&command.tag, "NO", "UNAVAILABLE", "not now").unwrap();
                    return;
                }
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
                core.respond(&command.tag, "OK", "", command.name).unwrap();
                if command.name == "LOGOUT" {
                    core.logout();
                }
            }
            Event::AuthBegin { initial: None, .. } => core.auth_challenge(b"").unwrap(),
            Event::AuthBegin { .. } | Event::AuthResponse(Some(_)) => {
                let tag = core.auth_tag().to_owned();
                match self.random.below(3) {
                    0 => core.auth_challenge(b"more").unwrap(),
                    1 => core.respond(&tag, "NO", "AUTHENTICATIONFAILED", "no").unwrap(),
                    _ => {
                        core.authenticated().unwrap();
                        core.respond(&tag, "OK", "", "welcome").unwrap();
                    }
                }
            }
            Event::AuthResponse(None) => {
                let tag = core.auth_tag().to_owned();
                core.respond(&tag, "BAD", "", "cancelled").unwrap();
            }
            Event::AppendBegin(_) if self.random.one_in(4) => {
                core.refuse_literal("NO", "TRYCREATE", "no such mailbox").unwrap();
            }
            Event::AppendBegin(begin) => {
                assert!(begin.size <= SETTINGS.append_octets_max);
                self.discard = self.random.one_in(4);
                core.accept_literal().unwrap();
            }
            Event::IdleDone => core.respond(&self.idle_tag, "OK", "", "done").unwrap(),
            Event::Bad(bad) => {
                let tag = bad.tag.as_deref().unwrap_or("*");
                core.respond(tag, "BAD", "", bad.text).unwrap();
            }
            Event::BodyReady | Event::BodyEnd(_) | Event::Closed(_) => {}
        }
    }
}

/// Any octets as a search program: nothing panics, and what was understood is understood again as printed by us.
pub fn search_key(data: &[u8]) {
    let mut line = vec![b' '];
    line.extend_from_slice(data);
    let Ok(program) = SearchProgram::parse(&mut Lexer::new(&line), SETTINGS.search_depth_max) else {
        return;
    };
    let mut printed = Vec::new();
    print_program(&program, &mut printed);
    let again = SearchProgram::parse(&mut Lexer::new(&printed), 128);
    assert_eq!(again, Ok(program), "printed as {:?}", String::from_utf8_lossy(&printed));
}

fn print_program(program: &SearchProgram, out: &mut Vec<u8>) {
    let returns = program.returns;
    if returns.extended {
        let options = [
            (returns.min, "MIN"),
            (returns.max, "MAX"),
            (returns.all, "ALL"),
            (returns.count, "COUNT"),
            (returns.save, "SAVE"),
            (returns.update, "UPDATE"),
            (returns.context, "CONTEXT"),
        ];
        let mut options: Vec<String> = options
            .iter()
            .filter(|(given, _)| *given)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        if let Some(partial) = returns.partial {
            let sign = if partial.from_end { "-" } else { "" };
            options.push(format!("PARTIAL {sign}{}:{sign}{}", partial.first, partial.last));
        }
        out.extend_from_slice(format!(" RETURN ({})", options.join(" ")).as_bytes());
    }
    // A list around the whole would count as one key more, and as one level.
    match &program.key {
        SearchKey::And(keys) => {
            for key in keys {
                out.push(b' ');
                print(key, out);
            }
        }
        key => {
            out.push(b' ');
            print(key, out);
        }
    }
}

fn print(key: &SearchKey, out: &mut Vec<u8>) {
    let flag = |flag: SystemFlag| match flag {
        SystemFlag::Seen => "SEEN",
        SystemFlag::Answered => "ANSWERED",
        SystemFlag::Flagged => "FLAGGED",
        SystemFlag::Deleted => "DELETED",
        SystemFlag::Draft => "DRAFT",
    };
    let prefix = |set: bool| if set { "" } else { "UN" };
    let mut text = |word: &str, value: &[u8]| {
        out.extend_from_slice(format!("{word} {{{}}}\r\n", value.len()).as_bytes());
        out.extend_from_slice(value);
    };
    match key {
        SearchKey::All => out.extend_from_slice(b"ALL"),
        SearchKey::Flag { flag: which, set } => {
            out.extend_from_slice(format!("{}{}", prefix(*set), flag(*which)).as_bytes());
        }
        SearchKey::Keyword { keyword, set } => {
            out.extend_from_slice(format!("{}KEYWORD ", prefix(*set)).as_bytes());
            out.extend_from_slice(keyword);
        }
        SearchKey::ModSeq(modseq) => out.extend_from_slice(format!("MODSEQ {modseq}").as_bytes()),
        SearchKey::EmailId(id) => out.extend_from_slice(format!("EMAILID {id}").as_bytes()),
        SearchKey::ThreadId(id) => out.extend_from_slice(format!("THREADID {id}").as_bytes()),
        SearchKey::Recent => out.extend_from_slice(b"RECENT"),
        SearchKey::New => out.extend_from_slice(b"NEW"),
        SearchKey::Old => out.extend_from_slice(b"OLD"),
        SearchKey::Header { name, text: value } => {
            text("HEADER", name);
            text("", value.as_bytes());
        }
        SearchKey::Body(value) => text("BODY", value.as_bytes()),
        SearchKey::Text(value) => text("TEXT", value.as_bytes()),
        SearchKey::Before(date) => print_date("BEFORE", *date, out),
        SearchKey::On(date) => print_date("ON", *date, out),
        SearchKey::Since(date) => print_date("SINCE", *date, out),
        SearchKey::SentBefore(date) => print_date("SENTBEFORE", *date, out),
        SearchKey::SentOn(date) => print_date("SENTON", *date, out),
        SearchKey::SentSince(date) => print_date("SENTSINCE", *date, out),
        SearchKey::Older(seconds) => out.extend_from_slice(format!("OLDER {seconds}").as_bytes()),
        SearchKey::Younger(seconds) => out.extend_from_slice(format!("YOUNGER {seconds}").as_bytes()),
        SearchKey::SavedBefore(date) => print_date("SAVEDBEFORE", *date, out),
        SearchKey::SavedOn(date) => print_date("SAVEDON", *date, out),
        SearchKey::SavedSince(date) => print_date("SAVEDSINCE", *date, out),
        SearchKey::Larger(size) => out.extend_from_slice(format!("LARGER {size}").as_bytes()),
        SearchKey::Smaller(size) => out.extend_from_slice(format!("SMALLER {size}").as_bytes()),
        SearchKey::Uid(set) => out.extend_from_slice(format!("UID {set}").as_bytes()),
        SearchKey::Sequence(set) => out.extend_from_slice(set.to_string().as_bytes()),
        SearchKey::Not(inner) => {
            out.extend_from_slice(b"NOT ");
            print(inner, out);
        }
        SearchKey::Or(first, second) => {
            out.extend_from_slice(b"OR ");
            print(first, out);
            out.push(b' ');
            print(second, out);
        }
        SearchKey::And(keys) => {
            for (index, key) in keys.iter().enumerate() {
                out.push(if index == 0 { b'(' } else { b' ' });
                print(key, out);
            }
            out.push(b')');
        }
    }
}

fn print_date(word: &str, date: Date, out: &mut Vec<u8>) {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = MONTHS[usize::from(date.month) - 1];
    out.extend_from_slice(format!("{word} {}-{month}-{:04}", date.day, date.year).as_bytes());
}
