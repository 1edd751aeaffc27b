//! What an index made anew from the packs of a state must hold, against the index that the state had.
//!
//! The guarantee: what the journal in the packs has told is exact, message by message: mailbox, UID, flags, octets, what can
//! be recovered, queue items. A transaction's journal reaches a pack with the bodies of a later one; until then it stands
//! in the index alone, and a lost index takes it along. Of what it told
//!
//! - no message is lost: it is where it was before, or where its record's hint says, as a new message;
//! - flags are older, what was expunged is there again, names and quotas are the former ones;
//! - a queue item may be gone, and then the report names its body.
//!
//! Nothing else that was answered as expunged comes back. What was never answered, or refused, may turn up: its body was on
//! its way. What was purged or recovered from what is retained may be offered again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use ironpost_store::db::keys;
use ironpost_store::db::records::{MailboxRecord, MessageRecord, RetainedRecord};
use ironpost_store::db::tables::Tables;
use ironpost_store::journal::{Digest, Entry, entries, transactions};
use ironpost_store::rebuild::rebuild;
use ironpost_store::{StoreError, Volume};

use crate::child::options;
use crate::durable_support::compare::{History, message_of};
use crate::durable_support::model::Message;
use crate::durable_support::perform::queue_items;
use crate::write_support::{Rig, body, number_of};

type Place = (u32, u32);

/// What an index holds, by numbers.
#[derive(Debug, Default)]
pub struct Index {
    /// Account, name, UIDVALIDITY, UIDNEXT.
    mailboxes: BTreeMap<u32, (u32, String, u32, u32)>,
    messages: BTreeMap<Place, (u32, Message)>,
    retained: BTreeMap<Place, (u32, Message)>,
    /// Number of the message, due time.
    queue: BTreeMap<u64, (u64, u64)>,
    limits: BTreeMap<u32, u64>,
}

impl Index {
    pub fn of(rig: &Rig) -> Self {
        let mut found = Self::default();
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let keywords = |account: u32| context.tables.account_keywords(&txn, account).unwrap();
        for row in context.tables.mailboxes.iter(&txn).unwrap() {
            let (key, value) = row.unwrap();
            let (account, id) = (keys::u32_at(key, 0).unwrap(), keys::u32_at(key, 4).unwrap());
            let record = MailboxRecord::decode(value).unwrap();
            let facts = (account, record.name, record.uid_validity, record.uid_next);
            found.mailboxes.insert(id, facts);
            let keywords = keywords(account);
            for row in context.tables.messages.prefix_iter(&txn, &id.to_be_bytes()).unwrap() {
                let (key, value) = row.unwrap();
                let row = MessageRecord::decode(value).unwrap();
                let message = message_of(rig, account, &row, &keywords);
                found
                    .messages
                    .insert((id, keys::u32_at(key, 4).unwrap()), (account, message));
            }
        }
        for row in context.tables.retained.iter(&txn).unwrap() {
            let (key, value) = row.unwrap();
            let account = keys::u32_at(key, 0).unwrap();
            let place = (keys::u32_at(key, 12).unwrap(), keys::u32_at(key, 16).unwrap());
            let row = RetainedRecord::decode(value).unwrap().message;
            let message = message_of(rig, account, &row, &keywords(account));
            found.retained.insert(place, (account, message));
        }
        for row in context.tables.accounts.iter(&txn).unwrap() {
            let account = keys::u32_at(row.unwrap().0, 0).unwrap();
            let record = context.tables.account(&txn, account).unwrap().unwrap();
            found.limits.insert(account, record.limit_messages);
        }
        for (id, record) in queue_items(&rig.volume).unwrap() {
            let contents = context.record(record.blob).unwrap().read_all().unwrap();
            found.queue.insert(id, (number_of(&contents), record.due));
        }
        found
    }
}

/// What the journal that stands in the index alone tells.
#[derive(Debug, Default)]
pub struct Pending {
    accounts: HashSet<u32>,
    mailboxes: HashSet<u32>,
    messages: HashMap<Place, Digest>,
    flags: HashSet<Place>,
    gone: Vec<(u32, u32, u32)>,
    queue: HashSet<u64>,
}

impl Pending {
    /// Reads the table as it is on disk, before anybody has recovered the volume.
    pub fn read(volume: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let options = options(false);
        let environment = ironpost_store::db::env::open(&volume.join("index"), options.map_size + (64 << 20), false)
            .map_err(|error| told(&error))?;
        let mut pending = Self::default();
        {
            let txn = environment.read_txn().map_err(|error| told(&error))?;
            let tables = Tables::open(&environment, &txn).map_err(|error| told(&error))?;
            let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            for row in tables.journal.iter(&txn).unwrap() {
                let (key, value) = row.unwrap();
                let writer = keys::u32_at(key, 0).unwrap();
                parts.entry(writer).or_default().extend_from_slice(value);
            }
            for entry in parts.values().flat_map(|octets| transactions(octets)) {
                entries(entry.1).for_each(|entry| pending.take(entry));
            }
        }
        environment.prepare_for_closing().wait();
        Ok(pending)
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Account(account, _) | Entry::Keyword(account, ..) | Entry::Name(account, ..) => {
                self.accounts.insert(account);
            }
            Entry::Group(..) | Entry::Ended(_) => {}
            Entry::Mailbox(account, id, _) => {
                self.accounts.insert(account);
                self.mailboxes.insert(id);
            }
            Entry::MailboxGone(_, id, ..) => {
                self.mailboxes.insert(id);
                self.gone.push((id, 0, u32::MAX));
            }
            Entry::Message(id, uid, digest, ..) => {
                self.messages.insert((id, uid), digest);
            }
            Entry::Flags(id, uid, ..) => {
                self.flags.insert((id, uid));
            }
            Entry::Expunged(id, ranges, ..) => {
                self.gone.extend(ranges.iter().map(|(first, last)| (id, *first, *last)));
            }
            Entry::Uids(id, ..) => self.gone.push((id, 0, u32::MAX)),
            Entry::Queued(id, ..) | Entry::Dequeued(id, _) => {
                self.queue.insert(id);
            }
        }
    }

    fn is_gone(&self, (id, uid): Place) -> bool {
        self.gone
            .iter()
            .any(|(of, first, last)| *of == id && (*first..=*last).contains(&uid))
    }
}

/// Removes the index of the state in `root`, makes it anew and judges it. `before`: the one that it had.
pub fn judge(root: &Path, before: &Index, history: &History) -> Result<(), String> {
    let folder = root.join("volume");
    let pending = Pending::read(&folder)?;
    std::fs::remove_dir_all(folder.join("index")).unwrap();
    let report = match rebuild(&folder, options(false).map_size, &mut |_, _| {}) {
        Err(StoreError::Open(text)) if text.contains("no packs") => {
            let is_void = before.messages.is_empty() && before.queue.is_empty();
            return is_void.then_some(()).ok_or(text);
        }
        other => other.map_err(|error| format!("rebuild: {error}"))?,
    };
    let volume = Volume::open(&folder, &options(false)).map_err(|error| format!("after a rebuild: {error}"))?;
    let mut rig = Rig::of(volume);
    let after = Index::of(&rig);
    if report.lost > 0 {
        return Err(format!("rebuild has lost messages: {report:?}"));
    }
    compare(before, &after, &pending, history).map_err(|fault| format!("rebuilt: {fault}; {report:?}"))?;
    rig.deliver(998, "INBOX", &body(8, 800))
        .map_err(|error| format!("after a rebuild: {error}"))?;
    let problems = rig.check(true).problems;
    rig.volume.close();
    problems
        .is_empty()
        .then_some(())
        .ok_or_else(|| format!("check after a rebuild: {problems:?}; {report:?}"))
}

fn compare(before: &Index, after: &Index, pending: &Pending, history: &History) -> Result<(), String> {
    for (id, facts) in &before.mailboxes {
        if pending.mailboxes.contains(id) {
            continue;
        }
        let now = after
            .mailboxes
            .get(id)
            .ok_or_else(|| format!("mailbox {facts:?} is gone"))?;
        let same = (now.0, &now.1, now.2) == (facts.0, &facts.1, facts.2) && now.3 >= facts.3;
        if !same {
            return Err(format!("mailbox {facts:?} is {now:?}"));
        }
    }
    for (place, (account, message)) in &before.messages {
        let is_same = |other: &Message| (other.number, other.octets) == (message.number, message.octets);
        if pending.messages.contains_key(place) {
            let held = after.messages.values().chain(after.retained.values());
            let mut held = held.filter(|(of, _)| of == account);
            if !held.any(|(_, other)| is_same(other)) {
                return Err(format!(
                    "account {account}: {message:?} is gone, its journal was in no pack"
                ));
            }
            continue;
        }
        let now = after.messages.get(place).filter(|(of, _)| of == account);
        let Some((_, now)) = now else {
            return Err(format!("account {account}, {place:?}: {message:?} is gone"));
        };
        let as_before = Message {
            flags: message.flags,
            keywords: message.keywords.clone(),
            ..now.clone()
        };
        let is_told = !pending.flags.contains(place);
        if (is_told && now != message) || as_before != *message {
            return Err(format!("account {account}, {place:?}: {message:?} is {now:?}"));
        }
    }
    let mut found: BTreeMap<Digest, usize> = BTreeMap::new();
    for (place, (account, message)) in &after.messages {
        if let Some((_, other)) = before.messages.get(place) {
            if other.number != message.number {
                return Err(format!("{place:?} names {message:?}, and named {other:?}"));
            }
            continue;
        }
        if pending.is_gone(*place) {
            continue;
        }
        let digest = digest_of(message);
        if pending.messages.values().any(|other| *other == digest) {
            *found.entry(digest).or_default() += 1;
        } else if history.numbers.contains(&message.number) {
            return Err(format!("account {account}, {place:?}: {message:?} is back"));
        }
    }
    for (place, (account, message)) in &before.retained {
        if !pending.is_gone(*place) && !after.retained.contains_key(place) {
            return Err(format!("account {account}, {place:?}: {message:?} cannot be recovered"));
        }
    }
    for (id, item) in &before.queue {
        if !pending.queue.contains(id) && after.queue.get(id) != Some(item) {
            return Err(format!("queue item {id}: {item:?} is {:?}", after.queue.get(id)));
        }
    }
    let known: BTreeSet<&u64> = before.queue.keys().collect();
    if let Some(id) = after
        .queue
        .keys()
        .find(|id| !known.contains(id) && !pending.queue.contains(id))
    {
        return Err(format!("queue item {id} is back"));
    }
    for (account, limit) in &before.limits {
        let now = after.limits.get(account);
        if !pending.accounts.contains(account) && now != Some(limit) {
            return Err(format!("account {account}: the quota was {limit}, is {now:?}"));
        }
    }
    Ok(())
}

fn digest_of(message: &Message) -> Digest {
    let hash = blake3::hash(&body(message.number, message.octets));
    std::array::from_fn(|index| hash.as_bytes()[index])
}
