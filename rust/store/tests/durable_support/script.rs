//! Random histories: steps that mostly make sense, since the dictionary is taken along while they are made.

use ironpost_store::db::records::flag;

use super::Random;
use super::model::{Accounts, apply};
use super::steps::{Mode, QUEUE, Step, Upkeep};
use crate::write_support::body;

const NAMES: [&str; 9] = ["INBOX", "INBOX", "Trash", "Archive", "A", "A/B", "A/B/C", "B", "C/D"];

/// Makes steps for some accounts.
#[derive(Debug)]
pub struct Author {
    pub random: Random,
    /// What the store would hold if all steps had been taken.
    pub expected: Accounts,
    accounts: Vec<u32>,
    next_number: u64,
    /// One message in so many has more than 256 KiB.
    large_one_in: u64,
    uses_queue: bool,
    /// One step in three is of retention, quotas, restoring, or compaction and what belongs to it.
    does_upkeep: bool,
}

impl Author {
    /// `first_number` is the first message's; numbers of different authors of one volume must not meet.
    pub fn new(seed: u64, accounts: Vec<u32>, first_number: u64, large_one_in: u64, uses_queue: bool) -> Self {
        Self {
            random: Random::new(seed),
            expected: Accounts::new(),
            accounts,
            next_number: first_number,
            large_one_in,
            uses_queue,
            does_upkeep: false,
        }
    }

    /// Steps of retention, quotas, restoring and compaction come too. The volume must retain what is expunged.
    pub fn with_upkeep(self) -> Self {
        Self {
            does_upkeep: true,
            ..self
        }
    }

    pub fn steps(&mut self, count: usize) -> Vec<Step> {
        (0..count).map(|_| self.step()).collect()
    }

    /// A step that the expected state has taken already, or that is refused.
    pub fn step(&mut self) -> Step {
        let account = *self.random.pick(&self.accounts.clone());
        let step = self.step_of(account);
        // A refusal is part of the history: the store must refuse too.
        let _ = apply(&mut self.expected, &step);
        step
    }

    fn message(&mut self) -> (u64, usize) {
        let number = self.next_number;
        self.next_number += 1;
        let octets = if self.random.one_in(self.large_one_in) {
            262_145 + self.random.below(60_000) as usize
        } else {
            200 + self.random.below(4000) as usize
        };
        // The generator of bodies ends a little later; the true length makes the same body again.
        (number, body(number, octets).len())
    }

    fn name(&mut self) -> String {
        (*self.random.pick(&NAMES)).to_owned()
    }

    /// A range of UIDs near the end of a mailbox.
    fn range(&mut self, account: u32, mailbox: &str) -> (u32, u32) {
        let owner = self.expected.get(&account);
        let next = owner
            .and_then(|owner| owner.mailboxes.get(mailbox))
            .map_or(1, |mailbox| mailbox.uid_next);
        let first = next.saturating_sub(self.random.below(12) as u32).max(1);
        (first, first + self.random.below(4) as u32)
    }

    fn step_of(&mut self, account: u32) -> Step {
        let mailbox = self.name();
        let (first, last) = self.range(account, &mailbox);
        let flags = self.random.below(32) as u8 & flag::ALL;
        let keywords = self.random.below(8) as u8;
        if self.does_upkeep && self.random.one_in(3) {
            return self.upkeep(account, mailbox, flags, keywords);
        }
        match self.random.below(40) {
            0..=13 => {
                let (number, octets) = self.message();
                let mut targets = vec![(account, mailbox)];
                if self.random.one_in(4) {
                    let other = *self.random.pick(&self.accounts.clone());
                    targets.push((other, self.name()));
                }
                let due = (self.uses_queue && self.random.one_in(4)).then(|| 1 + self.random.below(1_000_000));
                Step::Deliver {
                    number,
                    octets,
                    prefix: self.random.one_in(2),
                    targets,
                    due,
                }
            }
            17 => {
                let (number, octets) = self.message();
                Step::Import {
                    account,
                    mailbox,
                    uid: last + self.random.below(9) as u32,
                    number,
                    octets,
                    flags,
                    keywords,
                }
            }
            14..=16 => {
                let (number, octets) = self.message();
                Step::Append {
                    account,
                    mailbox,
                    number,
                    octets,
                    flags,
                    keywords,
                }
            }
            18..=22 => {
                let mode = *self.random.pick(&[Mode::Add, Mode::Remove, Mode::Replace]);
                Step::Flags {
                    account,
                    mailbox,
                    first,
                    last,
                    mode,
                    flags,
                    keywords,
                }
            }
            23..=26 => {
                let (target, remove) = (self.name(), self.random.one_in(2));
                Step::Copy {
                    account,
                    mailbox,
                    first,
                    last,
                    target,
                    remove,
                }
            }
            27 | 28 => Step::Expunge { account, mailbox },
            29..=31 => Step::ExpungeUids {
                account,
                mailbox,
                first,
                last,
            },
            32 | 33 => Step::Create { account, name: mailbox },
            34 => Step::Delete { account, name: mailbox },
            35 => Step::Rename {
                account,
                old: mailbox,
                new: self.name(),
            },
            36 => Step::Subscribe {
                account,
                name: mailbox,
                subscribed: self.random.one_in(2),
            },
            _ if !self.uses_queue => Step::Ensure { account },
            kind => {
                let items: Vec<u64> = self
                    .expected
                    .get(&QUEUE)
                    .map(|owner| owner.queue.keys().copied().collect())
                    .unwrap_or_default();
                match items.is_empty() {
                    true => Step::Ensure { account },
                    false if kind == 39 => Step::Requeue {
                        number: *self.random.pick(&items),
                        due: 1 + self.random.below(1_000_000),
                    },
                    false => Step::Dequeue {
                        number: *self.random.pick(&items),
                    },
                }
            }
        }
    }

    fn upkeep(&mut self, account: u32, mailbox: String, flags: u8, keywords: u8) -> Step {
        let what = |what: Upkeep, author: &Self| Step::Upkeep {
            author: author.accounts[0],
            what,
        };
        match self.random.below(24) {
            0..=3 => what(Upkeep::Seal, self),
            4..=7 => what(Upkeep::Compact, self),
            8 => what(Upkeep::Pin, self),
            9 | 10 => what(Upkeep::Unpin, self),
            11..=13 => {
                let (number, octets) = self.message();
                let mut targets = vec![(account, mailbox)];
                if self.random.one_in(2) {
                    let other = *self.random.pick(&self.accounts.clone());
                    targets.push((other, self.name()));
                }
                Step::Partial {
                    number,
                    octets,
                    targets,
                }
            }
            14 | 15 => {
                let held: usize = self.expected.get(&account).map_or(0, |owner| {
                    owner.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum()
                });
                // Often none, now and then what is full already or soon.
                let soon = (held as u64 + self.random.below(4)).saturating_sub(1);
                Step::Quota {
                    account,
                    messages: if self.random.one_in(3) { soon } else { 0 },
                    group: self.random.below(3) as u8,
                }
            }
            16 => Step::Expire { account, mailbox },
            17 => Step::PurgeRetained { account },
            18 | 19 => self.recover(account),
            20 => Step::Adopt {
                account,
                name: mailbox,
                uid_next: 1 + self.random.below(40) as u32,
            },
            _ => {
                let (number, octets) = self.message();
                Step::Restore {
                    account,
                    uid: 1 + self.random.below(60) as u32,
                    mailbox,
                    number,
                    octets,
                    flags,
                    keywords,
                }
            }
        }
    }

    /// Something that is surely retained, under a name and UID that nothing else had.
    fn recover(&mut self, account: u32) -> Step {
        let all = self.expected.get(&account).map(|owner| owner.retained.clone());
        let all = all.unwrap_or_default();
        let sure = all.iter().filter(|one| {
            let twins = all
                .iter()
                .filter(|other| (&one.name, one.uid) == (&other.name, other.uid));
            !one.by_steps && !one.unsure && twins.count() == 1
        });
        let sure: Vec<(String, u32)> = sure.map(|one| (one.name.clone(), one.uid)).collect();
        if sure.is_empty() {
            return Step::Ensure { account };
        }
        let (mailbox, uid) = self.random.pick(&sure).clone();
        Step::Recover {
            account,
            mailbox,
            uid,
            target: self.name(),
        }
    }
}
