//! The store read back whole and judged: each account must be as the answered steps left it, or as the one step that
//! was under way would have left it, and such a step has happened for all its accounts or for none.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Account, Accounts, Mailbox, Message, Retained, apply};
use super::perform::{Answer, OLD_UNTIL, queue_items, state_of};
use super::steps::{QUEUE, Step, prefix_of};
use crate::write_support::{Rig, body, number_of};
use ironpost_store::db::keys;
use ironpost_store::db::records::{DoomedRecord, MessageRecord, RetainedRecord};

/// What was answered of a history, and what was under way.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub answered: Accounts,
    /// Begun, not answered, or answered by a fault.
    pub open: BTreeMap<String, Step>,
    /// Numbers of the messages that somebody has seen stored.
    pub numbers: BTreeSet<u64>,
    /// The volume retains what is expunged.
    pub retains: bool,
}

impl History {
    /// A step begins; `key` names it among those that are open.
    pub fn begin(&mut self, key: &str, step: &Step) {
        let parts = step.takes_part();
        for (other, of) in &self.open {
            assert!(
                of.takes_part().is_disjoint(&parts),
                "{key} meets {other}, which is open"
            );
        }
        self.open.insert(key.to_owned(), step.clone());
    }

    /// A step is answered; an answer that the dictionary would not have given is a fault of the store.
    pub fn answer(&mut self, key: &str, answer: &Answer) {
        if matches!(answer, Answer::Failed(_)) {
            return;
        }
        let step = self.open.remove(key).unwrap_or_else(|| panic!("{key} was never begun"));
        if *answer == Answer::Full {
            return;
        }
        let expected = match apply(&mut self.answered, &step) {
            Ok(()) => {
                self.note_numbers(&step);
                Answer::Done
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        assert_eq!(*answer, expected, "the answer to {step}");
    }

    /// Remembers the message of a step, unless nobody had room for it.
    fn note_numbers(&mut self, step: &Step) {
        let number = match step {
            Step::Deliver { number, .. }
            | Step::Partial { number, .. }
            | Step::Append { number, .. }
            | Step::Import { number, .. }
            | Step::Restore { number, .. } => *number,
            _ => return,
        };
        let owners = step.takes_part();
        let mut owners = owners.iter().filter_map(|account| self.answered.get(account));
        let holds = |owner: &Account| {
            let mut mailboxes = owner.mailboxes.values();
            mailboxes.any(|mailbox| mailbox.messages.values().any(|message| message.number == number))
        };
        if owners.any(holds) {
            self.numbers.insert(number);
        }
    }

    /// The fault, when the store is not as it must be. Open steps that turn out to have happened are taken into
    /// `answered`, the others are forgotten.
    pub fn settle(&mut self, found: &Accounts) -> Result<(), String> {
        let mut expected = self.answered.clone();
        for step in std::mem::take(&mut self.open).into_values() {
            let mut after = self.answered.clone();
            // What would have been refused changes nothing.
            let _ = apply(&mut after, &step);
            let mut verdicts = BTreeSet::new();
            for account in step.takes_part() {
                let [before, later, now] = [&self.answered, &after, found].map(|all| self.of(all, account));
                if before != later && !fits(&before, &now) && !fits(&later, &now) {
                    let (one, two) = (difference(&before, &now), difference(&later, &now));
                    return Err(format!("{step} has neither happened nor not: {one}; {two}"));
                }
                if before != later && (fits(&before, &now) || fits(&later, &now)) {
                    verdicts.insert(fits(&later, &now));
                }
                if fits(&later, &now) {
                    expected.insert(account, later);
                }
            }
            if verdicts.len() > 1 {
                return Err(format!("half of a step has happened: {step}"));
            }
        }
        let all: BTreeSet<u32> = expected.keys().chain(found.keys()).copied().collect();
        for account in all {
            let (wanted, now) = (self.of(&expected, account), self.of(found, account));
            if !fits(&wanted, &now) {
                return Err(format!("account {account}: {}", difference(&wanted, &now)));
            }
        }
        self.answered = expected;
        Ok(())
    }
}

impl History {
    fn of(&self, accounts: &Accounts, account: u32) -> Account {
        let mut found = accounts.get(&account).cloned().unwrap_or_default();
        if !self.retains {
            found.retained.clear();
        }
        found
    }
}

/// True when what was found is what is wanted; what is retained has no order, and some of it may be there or not.
fn fits(wanted: &Account, found: &Account) -> bool {
    let plain = |account: &Account| Account {
        retained: Vec::new(),
        ..account.clone()
    };
    plain(wanted) == plain(found) && retained_fit(wanted, found)
}

fn retained_fit(wanted: &Account, found: &Account) -> bool {
    let key = |retained: &Retained| (retained.name.clone(), retained.uid, retained.message.clone());
    let mut left: Vec<_> = found.retained.iter().map(key).collect();
    let mut take = |retained: &Retained| {
        let at = left.iter().position(|other| *other == key(retained));
        at.map(|at| left.swap_remove(at)).is_some()
    };
    let sure = wanted
        .retained
        .iter()
        .filter(|retained| !retained.unsure)
        .all(&mut take);
    let unsure = wanted.retained.iter().filter(|retained| retained.unsure);
    unsure.for_each(|retained| {
        take(retained);
    });
    sure && left.is_empty()
}

/// The first difference in words.
fn difference(wanted: &Account, found: &Account) -> String {
    let (names, there) = (
        wanted.mailboxes.keys().collect::<BTreeSet<_>>(),
        found.mailboxes.keys().collect::<BTreeSet<_>>(),
    );
    if names != there {
        return format!("mailboxes must be {names:?}, are {there:?}");
    }
    for (name, mailbox) in &wanted.mailboxes {
        let Some(other) = found.mailboxes.get(name).filter(|other| *other != mailbox) else {
            continue;
        };
        if mailbox.uid_next != other.uid_next {
            return format!("{name}: UIDNEXT must be {}, is {}", mailbox.uid_next, other.uid_next);
        }
        let uids: BTreeSet<u32> = mailbox.messages.keys().chain(other.messages.keys()).copied().collect();
        for uid in uids {
            let (one, two) = (mailbox.messages.get(&uid), other.messages.get(&uid));
            if one != two {
                return format!("{name}, UID {uid}: must be {one:?}, is {two:?}");
            }
        }
    }
    if wanted.subscribed != found.subscribed {
        return format!(
            "subscriptions must be {:?}, are {:?}",
            wanted.subscribed, found.subscribed
        );
    }
    if wanted.limit != found.limit {
        return format!("the quota must be {}, is {}", wanted.limit, found.limit);
    }
    if !retained_fit(wanted, found) {
        return format!("retained must be {:?}, is {:?}", wanted.retained, found.retained);
    }
    format!("the queue must be {:?}, is {:?}", wanted.queue, found.queue)
}

/// Everything that the volume holds; the octets of every message are compared on the way.
pub fn read_back(rig: &Rig) -> Accounts {
    read_all(rig, false)
}

/// Likewise, with what can be recovered.
pub fn read_back_retained(rig: &Rig) -> Accounts {
    read_all(rig, true)
}

fn read_all(rig: &Rig, retains: bool) -> Accounts {
    let numbers: Vec<u32> = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let rows = context.tables.accounts.iter(&txn).unwrap();
        rows.map(|row| u32::from_be_bytes(row.unwrap().0.try_into().unwrap()))
            .collect()
    };
    let mut found: Accounts = numbers
        .into_iter()
        .map(|account| (account, account_of(rig, account, retains)))
        .collect();
    let mut queue = BTreeMap::new();
    for (id, record) in queue_items(&rig.volume).unwrap() {
        let context = rig.volume.context();
        let contents = context.record(record.blob).unwrap().read_all().unwrap();
        let number = number_of(&contents);
        assert_eq!(contents, body(number, contents.len()), "queue item {id}");
        assert_eq!(record.state, state_of(number, record.due), "queue item {id}");
        if record.prefix != 0 {
            let prefix = context.record(record.prefix).unwrap().read_all().unwrap();
            assert_eq!(prefix, prefix_of(QUEUE), "queue item {id}");
        }
        let before = queue.insert(number, (contents.len(), record.due));
        assert_eq!(before, None, "message {number} is queued twice");
    }
    if !queue.is_empty() {
        found.entry(QUEUE).or_default().queue = queue;
    }
    found
}

fn account_of(rig: &Rig, account: u32, retains: bool) -> Account {
    let (context, mut found) = (rig.volume.context(), Account::default());
    let keywords = {
        let txn = context.begin().unwrap();
        context.tables.account_keywords(&txn, account).unwrap()
    };
    for (name, id, subscribed) in rig.names(account) {
        if subscribed {
            found.subscribed.insert(name.clone());
        }
        if id == 0 {
            continue;
        }
        let record = {
            let txn = context.begin().unwrap();
            context.tables.mailbox(&txn, account, id).unwrap().unwrap()
        };
        assert_eq!(record.name, name);
        let mut mailbox = Mailbox {
            uid_next: record.uid_next,
            ..Mailbox::default()
        };
        for (uid, row) in rig.rows(id) {
            let message = message_of(rig, account, &row, &keywords);
            mailbox.messages.insert(uid, message);
        }
        found.mailboxes.insert(name, mailbox);
    }
    let retained = if retains {
        retained_rows(rig, account)
    } else {
        Vec::new()
    };
    for (name, uid, row) in retained {
        found.retained.push(Retained {
            name,
            uid,
            message: message_of(rig, account, &row, &keywords),
            by_steps: false,
            unsure: false,
        });
    }
    let txn = context.begin().unwrap();
    found.limit = context
        .tables
        .account(&txn, account)
        .unwrap()
        .map_or(0, |row| row.limit_messages);
    found
}

/// What a row says, and the octets that it leads to.
pub fn message_of(rig: &Rig, account: u32, row: &MessageRecord, keywords: &[(u8, Vec<u8>)]) -> Message {
    let context = rig.volume.context();
    let contents = context.record(row.blob).unwrap().read_all().unwrap();
    let number = number_of(&contents);
    assert_eq!(contents, body(number, contents.len()), "account {account}");
    let prefix = (row.prefix != 0).then(|| {
        let prefix = context.record(row.prefix).unwrap().read_all().unwrap();
        assert_eq!(prefix, prefix_of(account), "message {number}");
        account
    });
    let names = keywords.iter().filter(|(bit, _)| row.keywords >> bit & 1 == 1);
    Message {
        number,
        octets: contents.len(),
        prefix,
        flags: row.flags,
        keywords: names
            .map(|(_, keyword)| String::from_utf8(keyword.clone()).unwrap())
            .collect(),
        date: row.internal_date,
        old: row.saved < OLD_UNTIL,
    }
}

/// What an account retains, with that of mailboxes which are deleted and not purged yet: name, UID, row.
fn retained_rows(rig: &Rig, account: u32) -> Vec<(String, u32, MessageRecord)> {
    let context = rig.volume.context();
    let txn = context.begin().unwrap();
    let mut rows = Vec::new();
    for row in context
        .tables
        .retained
        .prefix_iter(&txn, &account.to_be_bytes())
        .unwrap()
    {
        let (key, value) = row.unwrap();
        let record = RetainedRecord::decode(value).unwrap();
        rows.push((record.name, keys::u32_at(key, 16).unwrap(), record.message));
    }
    for row in context.tables.doomed.prefix_iter(&txn, b"m").unwrap() {
        let (key, value) = row.unwrap();
        let doomed = DoomedRecord::decode(value).unwrap();
        if doomed.account != account || doomed.name.is_empty() {
            continue;
        }
        for row in context.tables.messages.prefix_iter(&txn, &key[1..]).unwrap() {
            let (key, value) = row.unwrap();
            let record = MessageRecord::decode(value).unwrap();
            rows.push((doomed.name.clone(), keys::u32_at(key, 4).unwrap(), record));
        }
    }
    rows
}
