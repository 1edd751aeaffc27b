//! Random mailbox operations against a dictionary: outcomes, UIDs, flags and contents must agree after every step, and
//! again after the volume has been closed and opened.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::collections::{BTreeMap, BTreeSet};

use ironpost_store::db::records::flag;
use ironpost_store::ops::{FlagMode, FlagSet};
use ironpost_store::sharing::FlagClasses;
use ironpost_store::{Op, Outcome, StoreError};
use proptest::prelude::*;
use write_support::{Rig, all_packs, body, number_of, quick};

const NAMES: [&str; 8] = ["INBOX", "A", "A/B", "A/B/C", "B", "C/D", "Sent", "E"];
const KEYWORDS: [&str; 3] = ["$One", "two", "Three"];
const MODES: [FlagMode; 6] = [
    FlagMode::Add,
    FlagMode::Remove,
    FlagMode::Replace,
    FlagMode::ReplaceSome(FlagClasses {
        seen: true,
        ..FlagClasses::NONE
    }),
    FlagMode::ReplaceSome(FlagClasses {
        others: true,
        ..FlagClasses::NONE
    }),
    FlagMode::ReplaceSome(FlagClasses {
        deleted: true,
        ..FlagClasses::NONE
    }),
];

#[derive(Clone, Debug)]
enum Step {
    Append(usize, u8, u8),
    Create(usize),
    Delete(usize),
    Rename(usize, usize),
    Subscribe(usize, bool),
    Flags(usize, u32, u32, u8, u8, u8),
    Copy(usize, u32, u32, usize, bool),
    Expunge(usize, Option<(u32, u32)>),
    ExpungeUids(usize, u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..NAMES.len();
    let uid = || 1..24_u32;
    prop_oneof![
        6 => (name(), 0..32_u8, 0..8_u8).prop_map(|(a, b, c)| Step::Append(a, b, c)),
        2 => name().prop_map(Step::Create),
        1 => name().prop_map(Step::Delete),
        1 => (name(), name()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (name(), any::<bool>()).prop_map(|(a, b)| Step::Subscribe(a, b)),
        4 => (name(), uid(), uid(), 0..MODES.len() as u8, 0..32_u8, 0..8_u8).prop_map(|(a, b, c, d, e, f)| Step::Flags(a, b, c, d, e, f)),
        4 => (name(), uid(), uid(), name(), any::<bool>()).prop_map(|(a, b, c, d, e)| Step::Copy(a, b, c, d, e)),
        1 => (name(), proptest::option::of((uid(), uid()))).prop_map(|(a, b)| Step::Expunge(a, b)),
        1 => (name(), uid(), uid()).prop_map(|(a, b, c)| Step::ExpungeUids(a, b, c)),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    flags: u8,
    keywords: BTreeSet<String>,
    number: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mailbox {
    id: u32,
    uid_next: u32,
    messages: BTreeMap<u32, Message>,
}

/// The dictionary.
#[derive(Debug, Default)]
struct Model {
    mailboxes: BTreeMap<String, Mailbox>,
    subscribed: BTreeSet<String>,
    next_number: u64,
}

fn keywords(bits: u8) -> Vec<&'static str> {
    KEYWORDS
        .iter()
        .enumerate()
        .filter(|(index, _)| bits >> index & 1 == 1)
        .map(|(_, name)| *name)
        .collect()
}

fn flag_set(system: u8, bits: u8) -> FlagSet {
    FlagSet {
        system,
        keywords: keywords(bits).into_iter().map(str::to_owned).collect(),
    }
}

fn superiors(name: &str) -> Vec<String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect()
}

impl Model {
    fn create(&mut self, name: &str) {
        for missing in superiors(name).into_iter().chain([name.to_owned()]) {
            self.mailboxes.entry(missing).or_insert_with(|| Mailbox {
                uid_next: 1,
                ..Mailbox::default()
            });
        }
    }

    fn add(&mut self, target: &str, message: Message) -> u32 {
        let mailbox = self.mailboxes.get_mut(target).unwrap();
        let uid = mailbox.uid_next;
        mailbox.uid_next += 1;
        mailbox.messages.insert(uid, message);
        uid
    }

    fn rename(&mut self, old: &str, new: &str) {
        if old == "INBOX" {
            self.create(new);
            for message in std::mem::take(&mut self.mailboxes.get_mut(old).unwrap().messages).into_values() {
                self.add(new, message);
            }
            return;
        }
        let start = format!("{old}/");
        let names: Vec<String> = self
            .mailboxes
            .keys()
            .filter(|name| *name == old || name.starts_with(&start))
            .cloned()
            .collect();
        for superior in superiors(new) {
            self.create(&superior);
        }
        for name in names {
            let mailbox = self.mailboxes.remove(&name).unwrap();
            let wanted = format!("{new}{}", &name[old.len()..]);
            if self.subscribed.contains(&name) {
                self.subscribed.insert(wanted.clone());
            }
            self.mailboxes.insert(wanted, mailbox);
        }
    }

    /// What renaming must answer: taken, or its own inferior.
    fn may_rename(&self, old: &str, new: &str) -> Result<(), &'static str> {
        let start = format!("{old}/");
        if !self.mailboxes.contains_key(old) {
            return Err("not found");
        }
        if self.mailboxes.contains_key(new) {
            return Err("exists");
        }
        if old != "INBOX" && new.starts_with(&start) {
            return Err("refused");
        }
        let clash = self.mailboxes.keys().any(|name| {
            old != "INBOX"
                && name.starts_with(&start)
                && self.mailboxes.contains_key(&format!("{new}{}", &name[old.len()..]))
        });
        if clash { Err("exists") } else { Ok(()) }
    }
}

fn said(error: &StoreError) -> &'static str {
    match error {
        StoreError::NotFound(_) => "not found",
        StoreError::AlreadyExists(_) => "exists",
        StoreError::Refused(_) => "refused",
        other => panic!("{other}"),
    }
}

/// Takes one step in both; their answers must agree.
fn take(rig: &mut Rig, model: &mut Model, step: &Step) {
    let account = 1;
    match step {
        Step::Append(name, flags, bits) => {
            let name = NAMES[*name];
            model.next_number += 1;
            let number = model.next_number;
            let mut names = keywords(*bits);
            names.extend(
                ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]
                    .iter()
                    .enumerate()
                    .filter(|(bit, _)| flags >> bit & 1 == 1)
                    .map(|(_, name)| *name),
            );
            let stored = rig.append(account, name, &body(number, 400 + number as usize % 3 * 500), &names);
            if !model.mailboxes.contains_key(name) {
                assert_eq!(said(&stored.unwrap_err()), "not found");
                return;
            }
            let keywords = keywords(*bits).into_iter().map(str::to_owned).collect();
            assert_eq!(
                stored.unwrap().uid,
                model.add(
                    name,
                    Message {
                        flags: *flags,
                        keywords,
                        number
                    }
                )
            );
        }
        Step::Create(name) => {
            let name = NAMES[*name];
            let made = rig.write(Op::CreateMailbox {
                account,
                name: name.to_owned(),
                special_use: String::new(),
            });
            assert_eq!(made.is_ok(), !model.mailboxes.contains_key(name), "{made:?}");
            if made.is_ok() {
                model.create(name);
            }
        }
        Step::Delete(name) => {
            let name = NAMES[*name];
            let gone = rig.write(Op::DeleteMailbox {
                account,
                name: name.to_owned(),
            });
            assert_eq!(gone.is_ok(), name != "INBOX" && model.mailboxes.remove(name).is_some());
        }
        Step::Rename(old, new) => {
            let (old, new) = (NAMES[*old], NAMES[*new]);
            let answer = rig.write(Op::RenameMailbox {
                account,
                old: old.to_owned(),
                new: new.to_owned(),
            });
            let expected = model.may_rename(old, new);
            assert_eq!(answer.map(drop).map_err(|error| said(&error)), expected, "{old} {new}");
            if expected.is_ok() {
                model.rename(old, new);
            }
        }
        Step::Subscribe(name, subscribed) => {
            let name = NAMES[*name].to_owned();
            rig.write(Op::Subscribe {
                account,
                name: name.clone(),
                subscribed: *subscribed,
            })
            .unwrap();
            if *subscribed {
                model.subscribed.insert(name)
            } else {
                model.subscribed.remove(&name)
            };
        }
        Step::Flags(name, first, last, mode, system, bits) => {
            let Some(mailbox) = model.mailboxes.get_mut(NAMES[*name]) else {
                return;
            };
            let mode = MODES[usize::from(*mode)];
            let flags = flag_set(*system, *bits);
            let op = Op::StoreFlags {
                account,
                mailbox: mailbox.id,
                uids: vec![(*first.min(last), *first.max(last))],
                mode,
                flags: flags.clone(),
                unchanged_since: None,
            };
            let Outcome::Flags(states) = rig.write(op).unwrap() else {
                panic!()
            };
            let named: BTreeSet<String> = flags.keywords.into_iter().collect();
            let range = *first.min(last)..=*first.max(last);
            let mut expected = Vec::new();
            for (uid, message) in mailbox.messages.range_mut(range) {
                let before = message.clone();
                match mode {
                    FlagMode::Add => {
                        message.flags |= system;
                        message.keywords.extend(named.iter().cloned());
                    }
                    FlagMode::Remove => {
                        message.flags &= !system;
                        message.keywords.retain(|keyword| !named.contains(keyword));
                    }
                    FlagMode::Replace => {
                        message.flags = *system;
                        message.keywords = named.clone();
                    }
                    FlagMode::ReplaceSome(some) => {
                        message.flags = message.flags & !some.system() | system & some.system();
                        if some.others {
                            message.keywords = named.clone();
                        }
                    }
                }
                expected.push((*uid, message.flags, *message != before));
            }
            assert_eq!(
                states.iter().map(|s| (s.uid, s.system, s.changed)).collect::<Vec<_>>(),
                expected
            );
        }
        Step::Copy(name, first, last, target, remove) => {
            let target = NAMES[*target];
            let Some(mailbox) = model.mailboxes.get(NAMES[*name]) else {
                return;
            };
            let range = (*first.min(last), *first.max(last));
            let op = Op::Copy {
                account,
                mailbox: mailbox.id,
                uids: vec![range],
                target: target.to_owned(),
                remove: *remove,
            };
            let answer = rig.write(op);
            if !model.mailboxes.contains_key(target) {
                assert_eq!(said(&answer.unwrap_err()), "not found");
                return;
            }
            let Outcome::Copied(copied) = answer.unwrap() else {
                panic!()
            };
            let chosen: Vec<(u32, Message)> = mailbox
                .messages
                .range(range.0..=range.1)
                .map(|(uid, message)| (*uid, message.clone()))
                .collect();
            let mut pairs = Vec::new();
            for (uid, message) in chosen {
                pairs.push((uid, model.add(target, message)));
                if *remove {
                    model.mailboxes.get_mut(NAMES[*name]).unwrap().messages.remove(&uid);
                }
            }
            assert_eq!(copied.uids, pairs);
        }
        Step::Expunge(name, range) => {
            let Some(mailbox) = model.mailboxes.get_mut(NAMES[*name]) else {
                return;
            };
            let range = range.map(|(first, last)| (first.min(last), first.max(last)));
            let op = Op::Expunge {
                account,
                mailbox: mailbox.id,
                uids: range.map(|range| vec![range]),
            };
            let Outcome::Count(count) = rig.write(op).unwrap() else {
                panic!()
            };
            let before = mailbox.messages.len();
            mailbox.messages.retain(|uid, message| {
                message.flags & flag::DELETED == 0 || !range.is_none_or(|(first, last)| (first..=last).contains(uid))
            });
            assert_eq!(count as usize, before - mailbox.messages.len());
        }
        Step::ExpungeUids(name, first, last) => {
            let Some(mailbox) = model.mailboxes.get_mut(NAMES[*name]) else {
                return;
            };
            let range = (*first.min(last), *first.max(last));
            let op = Op::ExpungeUids {
                account,
                mailbox: mailbox.id,
                uids: vec![range],
            };
            let Outcome::Count(count) = rig.write(op).unwrap() else {
                panic!()
            };
            let before = mailbox.messages.len();
            mailbox.messages.retain(|uid, _| !(range.0..=range.1).contains(uid));
            assert_eq!(count as usize, before - mailbox.messages.len());
        }
    }
}

/// Every mailbox as the store has it.
fn stored(rig: &Rig) -> BTreeMap<String, Mailbox> {
    let names = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        context.tables.account_keywords(&txn, 1).unwrap()
    };
    let mut found = BTreeMap::new();
    for (name, id, _) in rig.names(1).into_iter().filter(|(_, id, _)| *id != 0) {
        let messages = rig.rows(id).into_iter().map(|(uid, row)| {
            let keywords = names
                .iter()
                .filter(|(number, _)| row.keywords >> number & 1 == 1)
                .map(|(_, keyword)| String::from_utf8(keyword.clone()).unwrap())
                .collect();
            let octets = rig.read(&row).unwrap();
            let number = number_of(&octets);
            assert_eq!(octets, body(number, 400 + number as usize % 3 * 500));
            (
                uid,
                Message {
                    flags: row.flags,
                    keywords,
                    number,
                },
            )
        });
        let messages = messages.collect();
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let record = context.tables.mailbox(&txn, 1, id).unwrap().unwrap();
        assert_eq!(record.name, name);
        found.insert(
            name,
            Mailbox {
                id,
                uid_next: record.uid_next,
                messages,
            },
        );
    }
    found
}

/// Takes over the numbers that the store has given to new mailboxes, which the dictionary does not foresee.
fn learn_ids(rig: &Rig, model: &mut Model) {
    for (name, mailbox) in &mut model.mailboxes {
        let id = rig.mailbox(1, name);
        assert!(mailbox.id == 0 || mailbox.id == id, "{name} has changed its number");
        mailbox.id = id;
    }
}

/// Quick by default; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").map_or(24, |text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_dictionary(steps in proptest::collection::vec(step(), 1..80)) {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(folder.path(), &quick());
        rig.write(Op::EnsureAccount { account: 1 }).unwrap();
        let mut model = Model::default();
        for (name, _, subscribed) in rig.names(1) {
            model.create(&name);
            assert!(subscribed && model.subscribed.insert(name));
        }
        learn_ids(&rig, &mut model);
        for step in &steps {
            take(&mut rig, &mut model, step);
            learn_ids(&rig, &mut model);
        }
        let subscribed = |rig: &Rig| -> BTreeSet<String> {
            rig.names(1).into_iter().filter(|(_, _, subscribed)| *subscribed).map(|(name, _, _)| name).collect()
        };
        prop_assert_eq!(&stored(&rig), &model.mailboxes);
        prop_assert_eq!(&subscribed(&rig), &model.subscribed);
        rig.finish();
        let rig = Rig::open(folder.path(), &quick());
        prop_assert_eq!(&stored(&rig), &model.mailboxes);
        prop_assert_eq!(&subscribed(&rig), &model.subscribed);
        // Neither compaction nor an index made from the packs alone shows anything else.
        let mut rig = rig;
        let before = rig.shown(1);
        rig.compact(all_packs());
        rig.assert_clean();
        prop_assert_eq!(&rig.shown(1), &before);
        let (rig, report) = rig.rebuild(folder.path(), &quick());
        prop_assert_eq!((report.found, report.lost, report.damaged.len()), (0, 0, 0));
        prop_assert_eq!(&rig.shown(1), &before);
        rig.finish();
    }
}
