//! Carries steps out on a volume, several at a time, in order for each account: a step waits until those it shares an
//! account with have been answered.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Enqueue, FlagMode, FlagSet, Requeue, Restore, RetainedChoice, Submit};
use ironpost_store::sink::Sink;
use ironpost_store::{Op, Outcome, Result, StoreError, Ticket, Volume};

use super::model::{DATE, Refusal};
use super::steps::{Mode, Step, Upkeep, keywords, prefix_of};
use crate::write_support::{all_packs, body, number_of};

const WAIT: Duration = Duration::from_secs(120);
/// Unix seconds: what was saved before is old.
pub const OLD_UNTIL: u32 = 2_000;

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done and durable.
    Done,
    Refused(Refusal),
    /// No space: it has not happened.
    Full,
    /// A fault: it may have happened or not.
    Failed(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => out.write_str("done"),
            Self::Refused(refusal) => write!(out, "{refusal}"),
            Self::Full => out.write_str("full"),
            Self::Failed(text) => write!(out, "failed {}", text.replace('\n', " ")),
        }
    }
}

impl From<&str> for Answer {
    fn from(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "not-found" => Self::Refused(Refusal::NotFound),
            "exists" => Self::Refused(Refusal::Exists),
            "refused" => Self::Refused(Refusal::Refused),
            "over-quota" => Self::Refused(Refusal::OverQuota),
            "full" => Self::Full,
            other => Self::Failed(other.strip_prefix("failed ").unwrap_or(other).to_owned()),
        }
    }
}

fn answer_of(result: &Result<Outcome>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(StoreError::NotFound(_)) => Answer::Refused(Refusal::NotFound),
        Err(StoreError::AlreadyExists(_)) => Answer::Refused(Refusal::Exists),
        Err(StoreError::Refused(_)) => Answer::Refused(Refusal::Refused),
        Err(StoreError::OverQuota(_)) => Answer::Refused(Refusal::OverQuota),
        Err(error) if error.is_full() => Answer::Full,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// A step under way.
#[derive(Debug)]
struct UnderWay {
    key: String,
    /// The number of the message that it queues.
    queued: Option<u64>,
    /// Whoever else compacts or pins may be in its way.
    may_be_refused: bool,
}

/// A volume with steps under way.
#[derive(Debug)]
pub struct Performer<'v> {
    volume: &'v Volume,
    finished: HashMap<Ticket, Result<Outcome>>,
    under_way: HashMap<Ticket, UnderWay>,
    /// Queue items by the number of their body.
    items: HashMap<u64, u64>,
}

impl<'v> Performer<'v> {
    pub fn new(volume: &'v Volume) -> Self {
        Self {
            volume,
            finished: HashMap::new(),
            under_way: HashMap::new(),
            items: HashMap::new(),
        }
    }

    /// Carries all out; `tell` hears of each step (by its place) when it begins (`None`) and when it is answered. After
    /// a fault the accounts concerned take no more steps, since nobody knows their state.
    pub fn run(&mut self, steps: &[Step], mut tell: impl FnMut(usize, Option<&Answer>)) {
        let (mut busy, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let mut next = 0;
        while next < steps.len() || !self.is_idle() {
            if let Some(step) = steps.get(next) {
                let parts = step.takes_part();
                if !parts.is_disjoint(&unknown) {
                    next += 1;
                    continue;
                }
                if parts.is_disjoint(&busy) {
                    tell(next, None);
                    match self.start(&next.to_string(), step) {
                        None => busy.extend(parts),
                        Some(answer) => {
                            if matches!(answer, Answer::Failed(_)) {
                                unknown.extend(parts);
                            }
                            tell(next, Some(&answer));
                        }
                    }
                    next += 1;
                    continue;
                }
            }
            for (key, answer) in self.answers(WAIT) {
                let at: usize = key.parse().unwrap();
                let parts = steps[at].takes_part();
                if matches!(answer, Answer::Failed(_)) {
                    unknown.extend(parts.iter().copied());
                }
                busy.retain(|account| !parts.contains(account));
                tell(at, Some(&answer));
            }
        }
    }

    /// Nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Begins a step; answers at once when it gets no ticket.
    pub fn start(&mut self, key: &str, step: &Step) -> Option<Answer> {
        match self.begin(step) {
            Ok(ticket) => {
                let queued = match step {
                    Step::Deliver {
                        number, due: Some(_), ..
                    } => Some(*number),
                    _ => None,
                };
                let under_way = UnderWay {
                    key: key.to_owned(),
                    queued,
                    may_be_refused: matches!(step, Step::Upkeep { .. }),
                };
                self.under_way.insert(ticket, under_way);
                None
            }
            // The thread of a run ends a moment after its answer.
            Err(StoreError::Busy) if matches!(step, Step::Upkeep { .. }) => Some(Answer::Done),
            Err(error) => Some(answer_of(&Err(error))),
        }
    }

    /// Waits until something is answered or the time is up.
    pub fn answers(&mut self, limit: Duration) -> Vec<(String, Answer)> {
        let started = Instant::now();
        loop {
            let tickets: Vec<Ticket> = self
                .under_way
                .keys()
                .filter(|ticket| self.finished.contains_key(ticket))
                .copied()
                .collect();
            if !tickets.is_empty() || started.elapsed() >= limit {
                assert!(
                    !tickets.is_empty() || limit < WAIT,
                    "no ticket of {} completed",
                    self.under_way.len()
                );
                return tickets.into_iter().filter_map(|ticket| self.settle(ticket)).collect();
            }
            self.collect(limit.min(Duration::from_secs(1)));
        }
    }

    fn settle(&mut self, ticket: Ticket) -> Option<(String, Answer)> {
        let step = self.under_way.remove(&ticket)?;
        let result = self.finished.remove(&ticket)?;
        if let (Some(number), Ok(Outcome::Submitted(_, items))) = (step.queued, &result) {
            self.items.insert(number, items[0]);
        }
        match result {
            Err(StoreError::Refused(_)) if step.may_be_refused => Some((step.key, Answer::Done)),
            result => Some((step.key, answer_of(&result))),
        }
    }

    fn collect(&mut self, limit: Duration) {
        self.volume.wait(limit).unwrap();
        self.finished.extend(self.volume.completions(256));
    }

    fn fill(&mut self, body: &[u8]) -> Sink {
        let mut sink = self.volume.sink(0);
        let mut rest = body;
        while !rest.is_empty() {
            let taken = sink.push(&rest[..rest.len().min(70_000)]);
            rest = &rest[taken..];
            if taken == 0 {
                let ticket = self.volume.wait_sink(&sink).unwrap();
                let started = Instant::now();
                while self.finished.remove(&ticket).is_none() {
                    assert!(started.elapsed() < WAIT, "the sink never had room again");
                    self.collect(Duration::from_secs(1));
                }
            }
        }
        sink
    }

    fn mailbox(&self, account: u32, name: &str) -> Result<u32> {
        let context = self.volume.context();
        let txn = context.begin()?;
        let row = context.tables.name(&txn, account, name)?;
        row.map(|row| row.mailbox)
            .filter(|&mailbox| mailbox != 0)
            .ok_or_else(|| StoreError::NotFound(name.to_owned()))
    }

    /// The queue item whose body has this number: known, or looked for in all that are there.
    fn item(&self, number: u64) -> Result<u64> {
        if let Some(id) = self.items.get(&number) {
            return Ok(*id);
        }
        for (id, record) in queue_items(self.volume)? {
            if number_of(&self.volume.context().record(record.blob)?.read_all()?) == number {
                return Ok(id);
            }
        }
        Err(StoreError::NotFound(format!("queue item of message {number}")))
    }

    fn begin(&mut self, step: &Step) -> Result<Ticket> {
        let op = match step {
            Step::Deliver {
                number,
                octets,
                prefix,
                targets,
                due,
            } => {
                let trace = |account: u32| if *prefix { prefix_of(account) } else { Vec::new() };
                let deliveries = targets.iter().map(|(account, mailbox)| Delivery {
                    account: *account,
                    mailbox: mailbox.clone(),
                    prefix: trace(*account),
                    flags: FlagSet::default(),
                });
                let enqueue = due.iter().map(|due| Enqueue {
                    due: *due,
                    prefix: trace(0),
                    state: state_of(*number, *due),
                });
                let submit = Submit {
                    deliveries: deliveries.collect(),
                    internal_date: Some(DATE + *number as i64),
                    enqueue: enqueue.collect(),
                    ..Submit::default()
                };
                let sink = self.fill(&body(*number, *octets));
                return self.volume.submit(Op::Submit(submit), Some(sink), None);
            }
            Step::Append {
                account,
                mailbox,
                number,
                octets,
                flags,
                keywords,
            } => {
                let op = Op::Append {
                    account: *account,
                    mailbox: mailbox.clone(),
                    flags: flag_set(*flags, *keywords),
                    internal_date: Some(DATE + *number as i64),
                    internal_zone: 60,
                };
                let sink = self.fill(&body(*number, *octets));
                return self.volume.submit(op, Some(sink), None);
            }
            Step::Import {
                account,
                mailbox,
                uid,
                number,
                octets,
                flags,
                keywords,
            } => {
                let op = Op::Import {
                    account: *account,
                    mailbox: mailbox.clone(),
                    uid: Some(*uid),
                    flags: flag_set(*flags, *keywords),
                    internal_date: Some(DATE + *number as i64),
                    internal_zone: 0,
                    saved: Some(1_000),
                    quota: false,
                };
                let sink = self.fill(&body(*number, *octets));
                return self.volume.submit(op, Some(sink), None);
            }
            Step::Restore {
                account,
                mailbox,
                uid,
                number,
                octets,
                flags,
                keywords,
            } => {
                let restore = Restore {
                    account: *account,
                    mailbox: mailbox.clone(),
                    uid: Some(*uid),
                    flags: flag_set(*flags, *keywords),
                    internal_date: DATE + *number as i64,
                    saved: 1_000,
                    prefix: prefix_of(*account),
                    ..Restore::default()
                };
                let sink = self.fill(&body(*number, *octets));
                return self.volume.submit(Op::Restore(restore), Some(sink), None);
            }
            Step::Partial {
                number,
                octets,
                targets,
            } => {
                let deliveries = targets.iter().map(|(account, mailbox)| Delivery {
                    account: *account,
                    mailbox: mailbox.clone(),
                    ..Delivery::default()
                });
                let submit = Submit {
                    deliveries: deliveries.collect(),
                    internal_date: Some(DATE + *number as i64),
                    partial: true,
                    ..Submit::default()
                };
                let sink = self.fill(&body(*number, *octets));
                return self.volume.submit(Op::Submit(submit), Some(sink), None);
            }
            Step::Upkeep { author, what } => match what {
                Upkeep::Seal => Op::Seal,
                Upkeep::Compact => return self.volume.compact(all_packs()),
                Upkeep::Pin => Op::Lease {
                    name: format!("pin:{author}"),
                    seconds: 3,
                },
                Upkeep::Unpin => Op::ReleaseLease {
                    name: format!("pin:{author}"),
                },
            },
            Step::Quota {
                account,
                messages,
                group,
            } => Op::SetQuota {
                account: *account,
                // Members of a group may be written at once by two processes; its sums must fit all the same.
                group: Some(["", "one.example", "two.example"][usize::from(*group % 3)].to_owned()),
                messages: Some(*messages),
                octets: None,
            },
            Step::Expire { account, mailbox } => Op::Expire {
                account: *account,
                mailbox: self.mailbox(*account, mailbox)?,
                before: OLD_UNTIL,
            },
            Step::PurgeRetained { account } => Op::PurgeRetained {
                account: *account,
                before: u64::MAX,
            },
            Step::Recover {
                account,
                mailbox,
                uid,
                target,
            } => Op::Recover {
                account: *account,
                choice: RetainedChoice {
                    mailbox: Some(mailbox.clone()),
                    since: 0,
                    uids: vec![(*uid, *uid)],
                },
                into: Some(target.clone()),
            },
            Step::Adopt {
                account,
                name,
                uid_next,
            } => Op::AdoptMailbox {
                account: *account,
                name: name.clone(),
                special_use: String::new(),
                subscribed: None,
                uid_validity: None,
                uid_next: Some(*uid_next),
            },
            Step::Ensure { account } => Op::EnsureAccount { account: *account },
            Step::Flags {
                account,
                mailbox,
                first,
                last,
                mode,
                flags,
                keywords,
            } => Op::StoreFlags {
                account: *account,
                mailbox: self.mailbox(*account, mailbox)?,
                uids: vec![(*first, *last)],
                mode: match mode {
                    Mode::Add => FlagMode::Add,
                    Mode::Remove => FlagMode::Remove,
                    Mode::Replace => FlagMode::Replace,
                },
                flags: flag_set(*flags, *keywords),
                unchanged_since: None,
            },
            Step::Copy {
                account,
                mailbox,
                first,
                last,
                target,
                remove,
            } => Op::Copy {
                account: *account,
                mailbox: self.mailbox(*account, mailbox)?,
                uids: vec![(*first, *last)],
                target: target.clone(),
                remove: *remove,
            },
            Step::Expunge { account, mailbox } => Op::Expunge {
                account: *account,
                mailbox: self.mailbox(*account, mailbox)?,
                uids: None,
            },
            Step::ExpungeUids {
                account,
                mailbox,
                first,
                last,
            } => Op::ExpungeUids {
                account: *account,
                mailbox: self.mailbox(*account, mailbox)?,
                uids: vec![(*first, *last)],
            },
            Step::Create { account, name } => Op::CreateMailbox {
                account: *account,
                name: name.clone(),
                special_use: String::new(),
            },
            Step::Delete { account, name } => Op::DeleteMailbox {
                account: *account,
                name: name.clone(),
            },
            Step::Rename { account, old, new } => Op::RenameMailbox {
                account: *account,
                old: old.clone(),
                new: new.clone(),
            },
            Step::Subscribe {
                account,
                name,
                subscribed,
            } => Op::Subscribe {
                account: *account,
                name: name.clone(),
                subscribed: *subscribed,
            },
            Step::Dequeue { number } => Op::Submit(Submit {
                dequeue: vec![self.item(*number)?],
                ..Submit::default()
            }),
            Step::Requeue { number, due } => Op::Submit(Submit {
                requeue: vec![Requeue {
                    id: self.item(*number)?,
                    due: *due,
                    state: state_of(*number, *due),
                }],
                ..Submit::default()
            }),
        };
        self.volume.write(op)
    }
}

fn flag_set(system: u8, bits: u8) -> FlagSet {
    FlagSet {
        system,
        keywords: keywords(bits).into_iter().collect(),
    }
}

/// The relay's state of an item: it follows from number and due time; now and then it takes several rows.
pub fn state_of(number: u64, due: u64) -> Vec<u8> {
    let seed = number.wrapping_mul(31).wrapping_add(due);
    (0..40 + seed % 3 * 1500)
        .map(|at| (seed.wrapping_add(at * 7) % 251) as u8)
        .collect()
}

/// All items with their whole states.
pub fn queue_items(volume: &Volume) -> Result<Vec<(u64, ironpost_store::db::records::QueueRecord)>> {
    let context = volume.context();
    let txn = context.begin()?;
    let mut found = Vec::new();
    for row in context.tables.due.iter(&txn)? {
        let id = row?.0[8..].try_into().map(u64::from_be_bytes);
        let id = id.map_err(|_| StoreError::Corrupt("a key of due".to_owned()))?;
        found.extend(context.tables.queue_item(&txn, id)?.map(|record| (id, record)));
    }
    Ok(found)
}
