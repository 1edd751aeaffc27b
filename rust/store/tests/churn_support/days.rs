//! Days of mail, simulated: deliveries, flags, moves to Trash, expunges, expiry, retention, and what a night does about it.
//!
//! Shared by the test `churn` (counts) and `benches/store` (costs). The store takes the wall clock in seconds, so a simulated
//! day lasts at least one of them, and what is older than so many days is older than the second in which that day began.
#![allow(dead_code, unreachable_pub, reason = "test and benchmark each use a part of it")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ironpost_proto::body::BodySink;
use ironpost_store::compaction::{Compacted, Rules};
use ironpost_store::db::keys;
use ironpost_store::db::records::{PackRecord, flag};
use ironpost_store::ops::{Delivery, FlagMode, FlagSet, Submit};
use ironpost_store::search::filter::build::{self, Limits};
use ironpost_store::{Op, Options, Outcome, StoreError, Ticket, Uid, Volume};

/// What may go wrong ends the simulation.
pub type Trouble = Box<dyn std::error::Error>;

/// Operations outstanding.
const OUTSTANDING: usize = 50;
/// No result for so long: the store has failed.
const WAIT: Duration = Duration::from_secs(60);
/// Folders that messages leave INBOX for.
const TRASH: &str = "Trash";
const ARCHIVE: &str = "Archive";
/// Days that messages stay in them.
const TRASH_DAYS: usize = 2;
const ARCHIVE_DAYS: usize = 4;
/// Days that expunged messages are retained.
const RETENTION_DAYS: usize = 3;
/// From this day on as many messages go as come: the longest way is a day in INBOX, the Archive, retention.
pub const STEADY: usize = 2 + ARCHIVE_DAYS + RETENTION_DAYS;

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub accounts: u32,
    /// Deliveries a day.
    pub deliveries: usize,
    pub seed: u64,
}

/// What the volume holds at the end of a day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Census {
    pub messages: u64,
    pub retained: u64,
    pub blobs: u64,
    pub changes: u64,
    /// Pages of the index, with those that are free.
    pub pages: u64,
    pub free_pages: u64,
    pub packs: u64,
    /// Octets of the pack files as the index knows them, and of what is alive in them.
    pub pack_octets: u64,
    pub live_octets: u64,
    /// Octets that the files take on the disk.
    pub disk_octets: u64,
    /// Files of the search index.
    pub search_octets: u64,
    /// Packs whose files are still to be unlinked, mailboxes still to be purged.
    pub doomed: u64,
}

/// What a day's operations were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub deliveries: u64,
    pub operations: u64,
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize * bound) >> 32
    }
}

/// A volume and its users' days.
pub struct Days {
    pub volume: Volume,
    plan: Plan,
    random: Random,
    packs: PathBuf,
    /// The second in which each day began.
    begins: Vec<u64>,
    /// INBOX, Trash, Archive of each account.
    mailboxes: HashMap<u32, [u32; 3]>,
    /// What came into each INBOX yesterday and today.
    yesterday: HashMap<u32, Vec<Uid>>,
    today: HashMap<u32, Vec<Uid>>,
    number: u64,
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn unexpected(outcome: &Outcome) -> Trouble {
    format!("unexpected {outcome:?}").into()
}

impl Days {
    /// A new volume with accounts and their mailboxes.
    pub fn begin(folder: &Path, options: &Options, plan: Plan) -> Result<Self, Trouble> {
        let options = Options {
            // Whatever is expunged is retained until the night lets it go.
            retention: 86_400,
            ..*options
        };
        let mut days = Self {
            volume: Volume::open(folder, &options)?,
            plan,
            random: Random(plan.seed | 1),
            packs: folder.join("packs"),
            begins: Vec::new(),
            mailboxes: HashMap::new(),
            yesterday: HashMap::new(),
            today: HashMap::new(),
            number: 0,
        };
        for account in 1..=plan.accounts {
            days.one(Op::EnsureAccount { account })?;
            let mut numbers = [0; 3];
            for (number, name) in numbers.iter_mut().zip(["INBOX", TRASH, ARCHIVE]) {
                let create = Op::CreateMailbox {
                    account,
                    name: name.to_owned(),
                    special_use: String::new(),
                };
                match days.one(create) {
                    Ok(_) => {}
                    Err(fault) if matches!(fault.downcast_ref(), Some(StoreError::AlreadyExists(_))) => {}
                    Err(fault) if name == "INBOX" => drop(fault),
                    Err(fault) => return Err(fault),
                }
                let context = days.volume.context();
                let txn = context.begin()?;
                *number = context.tables.name(&txn, account, name)?.ok_or(name)?.mailbox;
            }
            days.mailboxes.insert(account, numbers);
        }
        Ok(days)
    }

    /// How many days have begun.
    pub fn day(&self) -> usize {
        self.begins.len()
    }

    /// Mail comes, is read, moved and thrown away.
    pub fn daytime(&mut self) -> Result<Done, Trouble> {
        // A day begins in a second of its own.
        while self.begins.last().is_some_and(|&last| now() <= last) {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.begins.push(now());
        self.yesterday = std::mem::take(&mut self.today);
        let mut done = Done::default();
        self.deliver(&mut done)?;
        let mut ops = Vec::new();
        for account in 1..=self.plan.accounts {
            self.read_mail(account, &mut ops)?;
        }
        done.operations = ops.len() as u64;
        self.many(ops)?;
        Ok(done)
    }

    fn deliver(&mut self, done: &mut Done) -> Result<(), Trouble> {
        let mut open = 0;
        let mut asked = 0;
        while asked < self.plan.deliveries || open > 0 {
            while asked < self.plan.deliveries && open < OUTSTANDING {
                let account = 1 + self.random.below(self.plan.accounts as usize) as u32;
                let body = self.message();
                let mut sink = self.volume.sink(body.len() as u64);
                let mut rest = &body[..];
                while !rest.is_empty() {
                    rest = &rest[sink.push(rest)..];
                }
                let submit = Submit {
                    deliveries: vec![Delivery {
                        account,
                        mailbox: "INBOX".to_owned(),
                        prefix: b"Return-Path: <alice@example.test>\r\n".to_vec(),
                        ..Delivery::default()
                    }],
                    ..Submit::default()
                };
                self.volume.submit(Op::Submit(submit), Some(sink), None)?;
                asked += 1;
                open += 1;
            }
            for outcome in self.finished()? {
                open -= 1;
                done.deliveries += 1;
                match outcome? {
                    Outcome::Submitted(stored, _) => {
                        for stored in stored.into_iter().flatten() {
                            self.today.entry(stored.account).or_default().push(stored.uid);
                        }
                    }
                    other => return Err(unexpected(&other)),
                }
            }
        }
        Ok(())
    }

    /// A message of 1 to 8 KB, now and then one of 300 KB, which gets a pack of its own.
    fn message(&mut self) -> Vec<u8> {
        self.number += 1;
        let mut out = format!(
            "From: Alice <alice@example.test>\r\nTo: Bob <bob@example.test>\r\nSubject: Day {}\r\n\
             Message-ID: <{}@example.test>\r\n\r\n",
            self.begins.len(),
            self.number
        )
        .into_bytes();
        let octets = if self.random.below(200) == 0 {
            300_000
        } else {
            1000 + self.random.below(7000)
        };
        while out.len() < octets {
            let word = self.random.next() & 0xffff;
            out.extend_from_slice(
                format!("w{word:x}{}", if word.is_multiple_of(12) { "\r\n" } else { " " }).as_bytes(),
            );
        }
        out
    }

    /// What one user does: most of today's is read; of yesterday's most goes to Trash, some at once, a little is kept.
    fn read_mail(&mut self, account: u32, ops: &mut Vec<Op>) -> Result<(), Trouble> {
        let mailboxes = self.mailboxes.get(&account).ok_or("an account without mailboxes")?;
        let inbox = mailboxes[0];
        let mut today = self.today.get(&account).cloned().unwrap_or_default();
        today.sort_unstable();
        for (place, uid) in today.iter().enumerate() {
            let uids = vec![(*uid, *uid)];
            if place % 5 != 0 {
                ops.push(Op::MarkSeen {
                    account,
                    mailbox: inbox,
                    uids: uids.clone(),
                });
            }
            if place % 10 == 1 {
                ops.push(Op::StoreFlags {
                    account,
                    mailbox: inbox,
                    uids,
                    mode: FlagMode::Add,
                    flags: FlagSet {
                        system: flag::FLAGGED,
                        keywords: vec!["$Forwarded".to_owned()],
                    },
                    unchanged_since: None,
                });
            }
        }
        let mut yesterday = self.yesterday.remove(&account).unwrap_or_default();
        yesterday.sort_unstable();
        let mut deleted = Vec::new();
        for uid in yesterday {
            let target = match self.random.below(10) {
                0..=5 => TRASH,
                6 => ARCHIVE,
                _ => {
                    deleted.push((uid, uid));
                    continue;
                }
            };
            ops.push(Op::Copy {
                account,
                mailbox: inbox,
                uids: vec![(uid, uid)],
                target: target.to_owned(),
                remove: true,
            });
        }
        if !deleted.is_empty() {
            ops.push(Op::StoreFlags {
                account,
                mailbox: inbox,
                uids: deleted,
                mode: FlagMode::Add,
                flags: FlagSet {
                    system: flag::DELETED,
                    keywords: Vec::new(),
                },
                unchanged_since: None,
            });
            ops.push(Op::Expunge {
                account,
                mailbox: inbox,
                uids: None,
            });
        }
        Ok(())
    }

    /// Expiry, retention, purge, compaction, the search index: until nothing of it is left to do.
    pub fn night(&mut self) -> Result<Compacted, Trouble> {
        let began = |days: usize| {
            self.begins
                .len()
                .checked_sub(days)
                .and_then(|day| self.begins.get(day))
                .copied()
        };
        let (trash, archive) = (began(TRASH_DAYS), began(ARCHIVE_DAYS));
        let retention = began(RETENTION_DAYS);
        let mut ops = Vec::new();
        for (&account, &[_, of_trash, of_archive]) in &self.mailboxes {
            for (mailbox, before) in [(of_trash, trash), (of_archive, archive)] {
                if let Some(before) = before {
                    ops.push(Op::Expire {
                        account,
                        mailbox,
                        before: before as u32,
                    });
                }
            }
            if let Some(before) = retention {
                ops.push(Op::PurgeRetained { account, before });
            }
        }
        self.many(ops)?;
        self.one(Op::Seal)?;
        let rules = Rules {
            age: 0,
            rate: 0,
            ..Rules::default()
        };
        let ticket = self.volume.compact(rules)?;
        let compacted = match self.await_ticket(ticket)? {
            Outcome::Boxed(done) => *done
                .downcast::<Compacted>()
                .map_err(|_| "compacting answers something else")?,
            other => return Err(unexpected(&other)),
        };
        let context = self.volume.context().clone();
        let began = Instant::now();
        while build::step(&context, &Limits::default())?.more {
            if began.elapsed() > WAIT {
                return Err("building the search index does not end".into());
            }
        }
        while self.census()?.doomed > 0 {
            if began.elapsed() > WAIT {
                return Err("purging does not end".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.volume.clear_dead_readers()?;
        Ok(compacted)
    }

    /// What the volume holds now.
    pub fn census(&self) -> Result<Census, Trouble> {
        let context = self.volume.context();
        let tables = &context.tables;
        let txn = context.begin()?;
        let page = u64::from(context.env.stat().page_size);
        let pages = context.env.info().last_page_number as u64 + 1;
        let mut census = Census {
            messages: tables.messages.len(&txn)?,
            retained: tables.retained.len(&txn)?,
            blobs: tables.blobs.len(&txn)?,
            changes: tables.changes.len(&txn)?,
            doomed: tables.doomed.len(&txn)?,
            pages,
            ..Census::default()
        };
        for row in tables.packs.iter(&txn)? {
            let (key, value) = row?;
            let row = PackRecord::decode(value).ok_or_else(|| format!("pack {:?}", keys::u64_at(key, 0)))?;
            census.packs += 1;
            census.pack_octets += row.synced;
            census.live_octets += row.live + row.journal;
        }
        drop(txn);
        census.free_pages = pages.saturating_sub(context.env.non_free_pages_size()? / page);
        census.disk_octets = allocated(&self.packs)?;
        census.search_octets = allocated(context.search.folder())?;
        Ok(census)
    }

    /// What a full check finds wrong.
    pub fn check(&mut self) -> Result<Vec<String>, Trouble> {
        let ticket = self.volume.check(true)?;
        match self.await_ticket(ticket)? {
            Outcome::Check(report) => Ok(report.problems),
            other => Err(unexpected(&other)),
        }
    }

    /// All of them, in order of each mailbox, so many at a time.
    fn many(&mut self, ops: Vec<Op>) -> Result<(), Trouble> {
        let mut open = 0;
        for op in ops {
            self.volume.write(op)?;
            open += 1;
            while open >= OUTSTANDING {
                open -= self.settled()?;
            }
        }
        while open > 0 {
            open -= self.settled()?;
        }
        Ok(())
    }

    fn settled(&mut self) -> Result<usize, Trouble> {
        let finished = self.finished()?;
        let count = finished.len();
        for outcome in finished {
            outcome?;
        }
        Ok(count)
    }

    fn finished(&self) -> Result<Vec<Result<Outcome, StoreError>>, Trouble> {
        self.volume.wait(WAIT)?;
        let finished = self.volume.completions(256);
        self.volume.take_dirty();
        if finished.is_empty() {
            return Err("the store does not answer".into());
        }
        Ok(finished.into_iter().map(|(_, outcome)| outcome).collect())
    }

    fn one(&mut self, op: Op) -> Result<Outcome, Trouble> {
        let ticket = self.volume.write(op)?;
        self.await_ticket(ticket)
    }

    fn await_ticket(&self, ticket: Ticket) -> Result<Outcome, Trouble> {
        let began = Instant::now();
        while began.elapsed() < WAIT {
            self.volume.wait(Duration::from_secs(1))?;
            for (of, outcome) in self.volume.completions(256) {
                if of == ticket {
                    return Ok(outcome?);
                }
            }
        }
        Err("the store does not answer".into())
    }
}

/// Octets that the files below a folder take on the disk; 0 when there is none.
fn allocated(folder: &Path) -> Result<u64, Trouble> {
    use std::os::unix::fs::MetadataExt;
    let mut octets = 0;
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            octets += allocated(&entry.path())?;
        } else {
            octets += entry.metadata().map_or(0, |file| file.blocks() * 512);
        }
    }
    Ok(octets)
}
