//! What the tests of writing share: volumes that open again, tickets awaited, mailboxes read back.
#![expect(clippy::unwrap_used, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_store::compaction::{Compacted, Rules};
use ironpost_store::db::keys;
use ironpost_store::db::records::{MessageRecord, NameRecord};
use ironpost_store::ops::{Arrival, CheckReport, Delivery, FlagSet, StoredMessage, Submit};
use ironpost_store::rebuild::{Rebuilt, rebuild};
use ironpost_store::{Op, Options, Outcome, Result, StoreError, Ticket, Volume};

const WAIT: Duration = Duration::from_secs(60);

/// Options for tests of logic.
pub fn quick() -> Options {
    Options {
        map_size: 1 << 30,
        min_free: 0,
        sync: false,
        ..Options::default()
    }
}

/// A volume and the results that came while another was awaited.
pub struct Rig {
    pub volume: Volume,
    finished: HashMap<Ticket, Result<Outcome>>,
}

impl Rig {
    pub fn open(folder: &Path, options: &Options) -> Self {
        Self {
            volume: Volume::open(folder, options).unwrap(),
            finished: HashMap::new(),
        }
    }

    pub fn of(volume: Volume) -> Self {
        Self {
            volume,
            finished: HashMap::new(),
        }
    }

    pub fn wait(&mut self, ticket: Result<Ticket>) -> Result<Outcome> {
        let ticket = ticket?;
        let started = Instant::now();
        while started.elapsed() < WAIT {
            if let Some(outcome) = self.finished.remove(&ticket) {
                return outcome;
            }
            self.volume.wait(Duration::from_secs(1)).unwrap();
            self.finished.extend(self.volume.completions(256));
        }
        panic!("ticket {ticket} did not complete");
    }

    pub fn write(&mut self, op: Op) -> Result<Outcome> {
        let ticket = self.volume.write(op);
        self.wait(ticket)
    }

    /// Pushes a body as a session does, waiting when the sink is full.
    pub fn fill(&mut self, body: &[u8]) -> ironpost_store::sink::Sink {
        let mut sink = self.volume.sink(0);
        for piece in body.chunks(70_000) {
            let mut rest = piece;
            while !rest.is_empty() {
                let taken = sink.push(rest);
                rest = &rest[taken..];
                if !rest.is_empty() {
                    let ticket = self.volume.wait_sink(&sink);
                    self.wait(ticket).unwrap();
                }
            }
        }
        sink
    }

    pub fn submit(&mut self, submit: Submit, body: Option<&[u8]>) -> Result<(Vec<StoredMessage>, Vec<u64>)> {
        let sink = body.map(|body| self.fill(body));
        let ticket = self.volume.submit(Op::Submit(submit), sink, None);
        match self.wait(ticket)? {
            Outcome::Submitted(messages, queued) => Ok((messages.into_iter().flatten().collect(), queued)),
            other => panic!("{other:?}"),
        }
    }

    pub fn deliver(&mut self, account: u32, mailbox: &str, body: &[u8]) -> Result<StoredMessage> {
        let submit = Submit {
            deliveries: vec![delivery(account, mailbox, b"", &[])],
            ..Submit::default()
        };
        Ok(self.submit(submit, Some(body))?.0[0])
    }

    pub fn append(&mut self, account: u32, mailbox: &str, body: &[u8], flags: &[&str]) -> Result<StoredMessage> {
        let op = Op::Append {
            account,
            mailbox: mailbox.to_owned(),
            flags: FlagSet::parse(flags.iter().copied()).unwrap(),
            internal_date: Some(1_000_000_000),
            internal_zone: -90,
        };
        let sink = self.fill(body);
        let ticket = self.volume.submit(op, Some(sink), None);
        match self.wait(ticket)? {
            Outcome::Stored(message) => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    /// APPEND of several messages with their flags; where the first has come to.
    pub fn append_all(&mut self, account: u32, mailbox: &str, messages: &[(&[u8], &[&str])]) -> Result<StoredMessage> {
        let arrivals = messages.iter().map(|(_, flags)| Arrival {
            flags: FlagSet::parse(flags.iter().copied()).unwrap(),
            internal_date: Some(1_000_000_000),
            internal_zone: 0,
        });
        let op = Op::AppendAll {
            account,
            mailbox: mailbox.to_owned(),
            messages: arrivals.collect(),
        };
        let sinks = messages.iter().map(|(body, _)| self.fill(body)).collect();
        let ticket = self.volume.submit_all(op, sinks, None);
        match self.wait(ticket)? {
            Outcome::Stored(message) => Ok(message),
            other => panic!("{other:?}"),
        }
    }

    pub fn check(&mut self, full: bool) -> CheckReport {
        let ticket = self.volume.check(full);
        match self.wait(ticket).unwrap() {
            Outcome::Check(report) => report,
            other => panic!("{other:?}"),
        }
    }

    pub fn assert_clean(&mut self) -> CheckReport {
        let report = self.check(true);
        assert_eq!(report.problems, Vec::<String>::new());
        report
    }

    /// Checks and closes: what every test ends with.
    pub fn finish(mut self) -> CheckReport {
        let report = self.assert_clean();
        self.volume.close();
        report
    }

    /// Mailboxes and subscribed names of an account: name, mailbox, subscribed.
    pub fn names(&self, account: u32) -> Vec<(String, u32, bool)> {
        let context = self.volume.context();
        let txn = context.begin().unwrap();
        let rows = context.tables.names.prefix_iter(&txn, &keys::account(account)).unwrap();
        rows.map(|row| NameRecord::decode(row.unwrap().1).unwrap())
            .map(|row| (row.name, row.mailbox, row.subscribed))
            .collect()
    }

    pub fn mailbox(&self, account: u32, name: &str) -> u32 {
        let context = self.volume.context();
        let txn = context.begin().unwrap();
        context
            .tables
            .name(&txn, account, name)
            .unwrap()
            .map_or(0, |row| row.mailbox)
    }

    /// UIDs and rows of a mailbox.
    pub fn rows(&self, mailbox: u32) -> Vec<(u32, MessageRecord)> {
        let context = self.volume.context();
        let txn = context.begin().unwrap();
        let rows = context
            .tables
            .messages
            .prefix_iter(&txn, &mailbox.to_be_bytes())
            .unwrap();
        rows.map(|row| {
            let (key, value) = row.unwrap();
            (keys::u32_at(key, 4).unwrap(), MessageRecord::decode(value).unwrap())
        })
        .collect()
    }

    /// The octets of a stored message: prefix and body.
    pub fn read(&self, record: &MessageRecord) -> Result<Vec<u8>> {
        let context = self.volume.context();
        let mut octets = Vec::new();
        if record.prefix != 0 {
            octets = context.record(record.prefix)?.read_all()?;
        }
        octets.extend(context.record(record.blob)?.read_all()?);
        Ok(octets)
    }

    pub fn message(&self, stored: &StoredMessage) -> Result<Vec<u8>> {
        let context = self.volume.context();
        let record = {
            let txn = context.begin()?;
            context.tables.message(&txn, stored.mailbox, stored.uid)?
        };
        self.read(&record.ok_or_else(|| StoreError::NotFound("message".to_owned()))?)
    }
}

/// What an account shows of a mailbox: UIDVALIDITY, UIDNEXT, special use, subscribed, messages by UID.
pub type Shown = BTreeMap<String, (u32, u32, String, bool, Vec<ShownMessage>)>;
/// UID, flags, keywords, internal date and zone, time of arrival, BLAKE3 of the octets.
pub type ShownMessage = (u32, u8, Vec<String>, i64, i16, u32, String);

impl Rig {
    /// Everything that an account shows; for comparing before and after.
    pub fn shown(&self, account: u32) -> Shown {
        let mut shown = Shown::new();
        let keywords = {
            let context = self.volume.context();
            let txn = context.begin().unwrap();
            context.tables.account_keywords(&txn, account).unwrap()
        };
        for (name, mailbox, subscribed) in self.names(account) {
            if mailbox == 0 {
                shown.insert(name, (0, 0, String::new(), subscribed, Vec::new()));
                continue;
            }
            let record = {
                let context = self.volume.context();
                let txn = context.begin().unwrap();
                context.tables.mailbox(&txn, account, mailbox).unwrap().unwrap()
            };
            let messages = self.rows(mailbox).into_iter().map(|(uid, row)| {
                let mut names: Vec<String> = keywords
                    .iter()
                    .filter(|(number, _)| row.keywords >> number & 1 == 1)
                    .map(|(_, name)| String::from_utf8_lossy(name).into_owned())
                    .collect();
                names.sort();
                let octets = blake3::hash(&self.read(&row).unwrap()).to_string();
                let dates = (row.internal_date, row.internal_zone, row.saved);
                (uid, row.flags, names, dates.0, dates.1, dates.2, octets)
            });
            let messages = messages.collect();
            let facts = (record.uid_validity, record.uid_next, record.special_use);
            shown.insert(name, (facts.0, facts.1, facts.2, subscribed, messages));
        }
        shown
    }

    /// Closes the volume and makes its index anew from the packs.
    pub fn rebuild(self, folder: &Path, options: &Options) -> (Self, Rebuilt) {
        self.volume.close();
        let report = rebuild(folder, options.map_size, &mut |_, _| {}).unwrap();
        (Self::open(folder, options), report)
    }

    /// Compacts all that there is to do.
    pub fn compact(&mut self, rules: Rules) -> Compacted {
        let ticket = self.volume.compact(rules);
        match self.wait(ticket).unwrap() {
            Outcome::Boxed(done) => *done.downcast::<Compacted>().unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// Rules that leave nothing alone and do not wait.
pub fn all_packs() -> Rules {
    Rules {
        dead_percent: 1,
        small_octets: u64::MAX,
        small_count: 2,
        age: 0,
        rate: 0,
        budget: 0,
    }
}

pub fn delivery(account: u32, mailbox: &str, prefix: &[u8], flags: &[&str]) -> Delivery {
    Delivery {
        account,
        mailbox: mailbox.to_owned(),
        prefix: prefix.to_vec(),
        flags: FlagSet::parse(flags.iter().copied()).unwrap(),
    }
}

/// A message of `octets` octets that says its number and compresses badly.
pub fn body(number: u64, octets: usize) -> Vec<u8> {
    let mut out = format!("Message-ID: <{number}@example.test>\r\nSubject: message {number}\r\n\r\n").into_bytes();
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while out.len() < octets {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(format!("{state:016x}").as_bytes());
        if state.is_multiple_of(4) {
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

/// The number that a message of [`body`] says.
pub fn number_of(message: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(message);
    let start = text.find("Message-ID: <").unwrap() + 13;
    let end = text[start..].find('@').unwrap();
    text[start..start + end].parse().unwrap()
}
