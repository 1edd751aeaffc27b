//! The plain dictionary: what the store must hold after some steps.

use std::collections::{BTreeMap, BTreeSet};

use ironpost_store::db::records::flag;

use super::steps::{Mode, QUEUE, Step, keywords};

/// Mailboxes of a new account.
pub const USUAL: [&str; 6] = ["INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"];

/// Every message of a history has this many seconds and its number as its date.
pub const DATE: i64 = 1_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub number: u64,
    pub octets: usize,
    /// The account whose trace header stands before the body.
    pub prefix: Option<u32>,
    pub flags: u8,
    pub keywords: BTreeSet<String>,
    pub date: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mailbox {
    pub uid_next: u32,
    pub messages: BTreeMap<u32, Message>,
}

/// An account; no mailboxes at all: it is unknown. For [`QUEUE`] only `queue` is used: number of the body to its
/// octets and due time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub mailboxes: BTreeMap<String, Mailbox>,
    pub subscribed: BTreeSet<String>,
    pub queue: BTreeMap<u64, (usize, u64)>,
}

/// Why a step must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    Exists,
    Refused,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::Refused => "refused",
        })
    }
}

pub type Accounts = BTreeMap<u32, Account>;

fn superiors(name: &str) -> Vec<String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect()
}

impl Account {
    fn ensure(&mut self) {
        if self.mailboxes.is_empty() {
            for name in USUAL {
                self.create(name);
                self.subscribed.insert(name.to_owned());
            }
        }
    }

    fn create(&mut self, name: &str) {
        for missing in superiors(name).into_iter().chain([name.to_owned()]) {
            self.mailboxes.entry(missing).or_insert_with(|| Mailbox {
                uid_next: 1,
                ..Mailbox::default()
            });
        }
    }

    fn add(&mut self, target: &str, message: Message) {
        if let Some(mailbox) = self.mailboxes.get_mut(target) {
            mailbox.messages.insert(mailbox.uid_next, message);
            mailbox.uid_next += 1;
        }
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<(), Refusal> {
        let start = format!("{old}/");
        if !self.mailboxes.contains_key(old) {
            return Err(Refusal::NotFound);
        }
        if self.mailboxes.contains_key(new) {
            return Err(Refusal::Exists);
        }
        if old == "INBOX" {
            self.create(new);
            let messages = self
                .mailboxes
                .get_mut(old)
                .map(|mailbox| std::mem::take(&mut mailbox.messages));
            messages
                .unwrap_or_default()
                .into_values()
                .for_each(|message| self.add(new, message));
            return Ok(());
        }
        if new.starts_with(&start) {
            return Err(Refusal::Refused);
        }
        let all = self
            .mailboxes
            .keys()
            .filter(|name| *name == old || name.starts_with(&start));
        let names: Vec<(String, String)> = all
            .map(|name| (name.clone(), format!("{new}{}", &name[old.len()..])))
            .collect();
        if names.iter().any(|(_, wanted)| self.mailboxes.contains_key(wanted)) {
            return Err(Refusal::Exists);
        }
        for superior in superiors(new) {
            self.create(&superior);
        }
        for (name, wanted) in names {
            let Some(mailbox) = self.mailboxes.remove(&name) else {
                continue;
            };
            if self.subscribed.contains(&name) {
                self.subscribed.insert(wanted.clone());
            }
            self.mailboxes.insert(wanted, mailbox);
        }
        Ok(())
    }
}

/// Takes a step. A refused one changes nothing.
pub fn apply(accounts: &mut Accounts, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::Deliver {
            number,
            octets,
            prefix,
            targets,
            due,
        } => {
            for (account, name) in targets {
                let owner = accounts.entry(*account).or_default();
                owner.ensure();
                if !owner.mailboxes.contains_key(name) {
                    owner.create(name);
                    owner.subscribed.insert(name.clone());
                }
                let message = Message {
                    number: *number,
                    octets: *octets,
                    prefix: prefix.then_some(*account),
                    flags: 0,
                    keywords: BTreeSet::new(),
                    date: DATE + *number as i64,
                };
                owner.add(name, message);
            }
            if let Some(due) = due {
                accounts
                    .entry(QUEUE)
                    .or_default()
                    .queue
                    .insert(*number, (*octets, *due));
            }
            Ok(())
        }
        Step::Dequeue { number } => {
            let queue = &mut accounts.entry(QUEUE).or_default().queue;
            queue.remove(number).map(drop).ok_or(Refusal::NotFound)
        }
        Step::Requeue { number, due } => {
            let queue = &mut accounts.entry(QUEUE).or_default().queue;
            queue.get_mut(number).map(|item| item.1 = *due).ok_or(Refusal::NotFound)
        }
        other => {
            let account = other.takes_part().into_iter().next().unwrap_or(QUEUE);
            let mut after = accounts.get(&account).cloned().unwrap_or_default();
            of_account(&mut after, other)?;
            accounts.insert(account, after);
            Ok(())
        }
    }
}

fn of_account(owner: &mut Account, step: &Step) -> Result<(), Refusal> {
    match step {
        Step::Ensure { .. } => owner.ensure(),
        Step::Append {
            mailbox,
            number,
            octets,
            flags,
            keywords: bits,
            ..
        } => {
            if owner.mailboxes.is_empty() && mailbox == "INBOX" {
                owner.ensure();
            }
            if !owner.mailboxes.contains_key(mailbox) {
                return Err(Refusal::NotFound);
            }
            let message = Message {
                number: *number,
                octets: *octets,
                prefix: None,
                flags: *flags,
                keywords: keywords(*bits),
                date: DATE + *number as i64,
            };
            owner.add(mailbox, message);
        }
        Step::Import {
            mailbox,
            uid,
            number,
            octets,
            flags,
            keywords: bits,
            ..
        } => {
            let target = owner.mailboxes.get_mut(mailbox).ok_or(Refusal::NotFound)?;
            if *uid < target.uid_next {
                return Err(Refusal::Refused);
            }
            target.uid_next = *uid;
            let message = Message {
                number: *number,
                octets: *octets,
                prefix: None,
                flags: *flags,
                keywords: keywords(*bits),
                date: DATE + *number as i64,
            };
            owner.add(mailbox, message);
        }
        Step::Flags {
            mailbox,
            first,
            last,
            mode,
            flags,
            keywords: bits,
            ..
        } => {
            let mailbox = owner.mailboxes.get_mut(mailbox).ok_or(Refusal::NotFound)?;
            let named = keywords(*bits);
            for message in mailbox.messages.range_mut(*first..=*last).map(|(_, message)| message) {
                match mode {
                    Mode::Add => {
                        message.flags |= flags;
                        message.keywords.extend(named.iter().cloned());
                    }
                    Mode::Remove => {
                        message.flags &= !flags;
                        message.keywords.retain(|keyword| !named.contains(keyword));
                    }
                    Mode::Replace => {
                        message.flags = *flags;
                        message.keywords.clone_from(&named);
                    }
                }
            }
        }
        Step::Copy {
            mailbox,
            first,
            last,
            target,
            remove,
            ..
        } => {
            let source = owner.mailboxes.get(mailbox).ok_or(Refusal::NotFound)?;
            if !owner.mailboxes.contains_key(target) {
                return Err(Refusal::NotFound);
            }
            let chosen: Vec<(u32, Message)> = source
                .messages
                .range(*first..=*last)
                .map(|(uid, message)| (*uid, message.clone()))
                .collect();
            for (uid, message) in chosen {
                owner.add(target, message);
                if *remove && let Some(source) = owner.mailboxes.get_mut(mailbox) {
                    source.messages.remove(&uid);
                }
            }
        }
        Step::Expunge { mailbox, .. } => {
            let mailbox = owner.mailboxes.get_mut(mailbox).ok_or(Refusal::NotFound)?;
            mailbox.messages.retain(|_, message| message.flags & flag::DELETED == 0);
        }
        Step::ExpungeUids {
            mailbox, first, last, ..
        } => {
            let mailbox = owner.mailboxes.get_mut(mailbox).ok_or(Refusal::NotFound)?;
            mailbox.messages.retain(|uid, _| !(*first..=*last).contains(uid));
        }
        Step::Create { name, .. } => {
            if owner.mailboxes.contains_key(name) {
                return Err(Refusal::Exists);
            }
            owner.ensure();
            owner.create(name);
        }
        Step::Delete { name, .. } if name == "INBOX" => return Err(Refusal::Refused),
        Step::Delete { name, .. } => {
            owner.mailboxes.remove(name).ok_or(Refusal::NotFound)?;
        }
        Step::Rename { old, new, .. } => owner.rename(old, new)?,
        Step::Subscribe { name, subscribed, .. } => {
            owner.ensure();
            if *subscribed {
                owner.subscribed.insert(name.clone());
            } else {
                owner.subscribed.remove(name);
            }
        }
        Step::Deliver { .. } | Step::Dequeue { .. } | Step::Requeue { .. } => {}
    }
    Ok(())
}
