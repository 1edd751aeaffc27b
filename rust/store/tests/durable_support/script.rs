//! Random histories: steps that mostly make sense, since the dictionary is taken along while they are made.

use ironpost_store::db::records::flag;

use super::Random;
use super::model::{Accounts, apply};
use super::steps::{Mode, QUEUE, Step};
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
}
