//! What the tests of reading share: a volume in a folder of its own, and tickets awaited.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_proto::imap::fetch_att::FetchAttribute;
use ironpost_proto::imap::modseq::FetchModifiers;
use ironpost_proto::imap::search_key::{SearchKey, SearchProgram, SearchReturn};
use ironpost_proto::imap::sequence::{SequenceNumber, SequenceSet};
use ironpost_store::fetch::FetchCursor;
use ironpost_store::ops::{Delivery, FlagMode, FlagSet, StoredMessage, Submit};
use ironpost_store::reader::{self, Opened, Updated};
use ironpost_store::view::told::Permitted;
use ironpost_store::view::{MailboxView, StoreLines};
use ironpost_store::{Op, Options, Outcome, Result, Ticket, Volume};
use parking_lot::Mutex;

pub const ACCOUNT: u32 = 7;
const WAIT: Duration = Duration::from_secs(60);

pub struct Rig {
    pub volume: Volume,
    pub folder: tempfile::TempDir,
    finished: Mutex<HashMap<Ticket, Result<Outcome>>>,
}

/// The volume in a folder.
pub fn open(folder: &std::path::Path) -> Volume {
    open_with(folder, false)
}

fn open_with(folder: &std::path::Path, sync: bool) -> Volume {
    let options = Options {
        map_size: 1 << 30,
        min_free: 0,
        sync,
        ..Options::default()
    };
    Volume::open(folder, &options).unwrap()
}

impl Rig {
    pub fn new() -> Self {
        Self::with(false)
    }

    /// One whose commits reach the disk, and take their time for it.
    pub fn syncing() -> Self {
        Self::with(true)
    }

    fn with(sync: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let volume = open_with(folder.path(), sync);
        Self {
            volume,
            folder,
            finished: Mutex::default(),
        }
    }

    pub fn wait(&self, ticket: Result<Ticket>) -> Result<Outcome> {
        let ticket = ticket.unwrap();
        let started = Instant::now();
        while started.elapsed() < WAIT {
            if let Some(outcome) = self.finished.lock().remove(&ticket) {
                return outcome;
            }
            let finished = self.volume.completions(256);
            if finished.is_empty() {
                std::thread::yield_now();
            }
            self.finished.lock().extend(finished);
        }
        panic!("ticket {ticket} did not complete");
    }

    pub fn deliver_to(&self, mailbox: &str, prefix: &[u8], body: &[u8], flags: &[&str], date: i64) -> StoredMessage {
        let mut sink = self.volume.sink(body.len() as u64);
        let mut rest = body;
        while !rest.is_empty() {
            let taken = sink.push(rest);
            rest = &rest[taken..];
            if !rest.is_empty() {
                self.wait(self.volume.wait_sink(&sink)).unwrap();
            }
        }
        let delivery = Delivery {
            account: ACCOUNT,
            mailbox: mailbox.to_owned(),
            prefix: prefix.to_vec(),
            flags: FlagSet::parse(flags.iter().copied()).unwrap(),
        };
        let op = Op::Submit(Submit {
            deliveries: vec![delivery],
            internal_date: Some(date),
            ..Submit::default()
        });
        match self.wait(self.volume.submit(op, Some(sink), None)).unwrap() {
            Outcome::Submitted(messages, _) => messages[0].unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub fn deliver(&self, body: &[u8]) -> u32 {
        self.deliver_to("INBOX", b"", body, &[], 1_700_000_000).uid
    }

    pub fn open(&self, name: &str, read_only: bool) -> Arc<MailboxView> {
        let outcome = self
            .wait(self.volume.read(reader::open_view(ACCOUNT, name.to_owned(), read_only)))
            .unwrap();
        let opened: Box<Opened> = boxed(outcome);
        if opened.claim_recent {
            self.claim(&opened.view);
        }
        opened.view
    }

    fn claim(&self, view: &Arc<MailboxView>) {
        let op = Op::ClaimRecent {
            account: view.account,
            mailbox: view.mailbox,
        };
        self.wait(self.volume.write_then(op, reader::answer_claim(Arc::clone(view))))
            .unwrap();
    }

    pub fn try_refresh(&self, view: &Arc<MailboxView>, expunges: bool, uids: bool) -> Result<String> {
        let flags = true;
        self.refresh_some(view, Permitted { expunges, flags, uids })
    }

    pub fn refresh_some(&self, view: &Arc<MailboxView>, permitted: Permitted) -> Result<String> {
        let outcome = self.wait(self.volume.read(reader::refresh(Arc::clone(view), permitted)))?;
        let updated: Box<Updated> = boxed(outcome);
        if updated.claim_recent {
            self.claim(&updated.view);
        }
        Ok(String::from_utf8(updated.lines).unwrap())
    }

    pub fn refresh(&self, view: &Arc<MailboxView>) -> String {
        self.try_refresh(view, true, false).unwrap()
    }

    pub fn stale(&self, view: &MailboxView) -> bool {
        reader::stale(self.volume.context(), view).unwrap()
    }

    pub fn store(&self, view: &Arc<MailboxView>, set: &str, mode: FlagMode, flags: &[&str], silent: bool) -> String {
        let op = Op::StoreFlags {
            account: view.account,
            mailbox: view.mailbox,
            uids: view.resolve(&sequence(set), false).ranges(),
            mode,
            flags: FlagSet::parse(flags.iter().copied()).unwrap(),
            unchanged_since: None,
        };
        let follow = reader::answer_store(Arc::clone(view), StoreLines { silent, uids: false });
        let Outcome::Boxed(made) = self.wait(self.volume.write_then(op, follow)).unwrap() else {
            panic!("no answer to a STORE")
        };
        String::from_utf8(made.downcast::<reader::StoreAnswer>().unwrap().lines).unwrap()
    }

    pub fn expunge(&self, view: &MailboxView) {
        let op = Op::Expunge {
            account: view.account,
            mailbox: view.mailbox,
            uids: None,
        };
        self.wait(self.volume.write(op)).unwrap();
    }

    /// A whole FETCH, and how many stretches it took.
    pub fn fetch(
        &self,
        view: &Arc<MailboxView>,
        set: &str,
        uid: bool,
        items: &[FetchAttribute],
        limit: usize,
    ) -> (Vec<u8>, usize, Result<()>) {
        let cursor = Arc::new(FetchCursor::new(
            Arc::clone(view),
            &sequence(set),
            uid,
            items,
            FetchModifiers::default(),
        ));
        let (mut out, mut stretches) = (Vec::new(), 0);
        while !cursor.is_done() {
            stretches += 1;
            assert!(stretches < 1_000_000, "a FETCH without end");
            match self.wait(self.volume.read(reader::fetch(Arc::clone(&cursor), limit))) {
                Ok(Outcome::Bytes(bytes)) => {
                    assert!(bytes.len() <= limit + 70_000, "a stretch of {} octets", bytes.len());
                    out.extend_from_slice(&bytes);
                }
                Ok(other) => panic!("{other:?}"),
                Err(fault) => return (out, stretches, Err(fault)),
            }
        }
        (out, stretches, Ok(()))
    }

    pub fn fetch_text(&self, view: &Arc<MailboxView>, set: &str, items: &[FetchAttribute]) -> String {
        let (out, _, end) = self.fetch(view, set, false, items, 131_072);
        end.unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn search(&self, view: &Arc<MailboxView>, key: SearchKey) -> String {
        let program = SearchProgram {
            order: Default::default(),
            returns: SearchReturn::default(),
            key,
        };
        let job = reader::search(
            Arc::clone(view),
            program,
            false,
            "a".to_owned(),
            Arc::new(AtomicBool::new(false)),
        );
        let line = text(self.wait(self.volume.read(job)).unwrap());
        line.strip_prefix("* SEARCH").unwrap().trim().to_owned()
    }

    /// Ends the test: the store is consistent.
    pub fn finish(self) {
        match self.wait(self.volume.check(true)).unwrap() {
            Outcome::Check(report) => assert_eq!(report.problems, Vec::<String>::new()),
            other => panic!("{other:?}"),
        }
        self.volume.close();
    }
}

pub fn boxed<T: 'static>(outcome: Outcome) -> Box<T> {
    match outcome {
        Outcome::Boxed(made) => made.downcast().unwrap_or_else(|_| panic!("another type was made")),
        other => panic!("{other:?}"),
    }
}

pub fn text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Bytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

pub fn sequence(text: &str) -> SequenceSet {
    let number = |text: &str| match text {
        "*" => SequenceNumber::Largest,
        digits => SequenceNumber::Number(digits.parse().unwrap()),
    };
    let ranges = text.split(',').map(|range| match range.split_once(':') {
        None => (number(range), number(range)),
        Some((first, last)) => (number(first), number(last)),
    });
    SequenceSet {
        ranges: ranges.collect(),
    }
}
