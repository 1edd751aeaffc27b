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
    /// It says that it was saved long ago.
    pub old: bool,
}

/// A message that was expunged and can be recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    pub name: String,
    pub uid: u32,
    pub message: Message,
    /// It went with its whole mailbox, in the background.
    pub by_steps: bool,
    /// It was purged while that may have been under way: it may be there or not.
    pub unsure: bool,
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
    pub retained: Vec<Retained>,
    /// Messages at most; 0: any number.
    pub limit: u64,
}

/// Why a step must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    Exists,
    Refused,
    OverQuota,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::NotFound => "not-found",
            Self::Exists => "exists",
            Self::Refused => "refused",
            Self::OverQuota => "over-quota",
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

    /// So many more fit.
    fn has_room(&self, more: usize) -> bool {
        let held: usize = self.mailboxes.values().map(|mailbox| mailbox.messages.len()).sum();
        self.limit == 0 || more == 0 || (held + more) as u64 <= self.limit
    }

    /// Messages of a mailbox go and are retained.
    fn retain(&mut self, name: &str, goes: impl Fn(u32, &Message) -> bool) {
        let Some(mailbox) = self.mailboxes.get_mut(name) else {
            return;
        };
        let gone = mailbox.messages.iter().filter(|(uid, message)| goes(**uid, message));
        let gone: Vec<Retained> = gone
            .map(|(uid, message)| Retained {
                name: name.to_owned(),
                uid: *uid,
                message: message.clone(),
                by_steps: false,
                unsure: false,
            })
            .collect();
        gone.iter()
            .for_each(|retained| drop(mailbox.messages.remove(&retained.uid)));
        self.retained.extend(gone);
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
                .for_each(|message| self.add(new, Message { old: false, ..message }));
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
            let fits = fitting(accounts, targets);
            if fits.contains(&false) {
                return Err(Refusal::OverQuota);
            }
            deliver(accounts, (*number, *octets), *prefix, targets, &fits);
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
        Step::Partial {
            number,
            octets,
            targets,
        } => {
            let fits = fitting(accounts, targets);
            deliver(accounts, (*number, *octets), false, targets, &fits);
            Ok(())
        }
        Step::Upkeep { .. } => Ok(()),
        other => {
            let account = other.takes_part().into_iter().next().unwrap_or(QUEUE);
            let mut after = accounts.get(&account).cloned().unwrap_or_default();
            of_account(&mut after, other)?;
            accounts.insert(account, after);
            Ok(())
        }
    }
}

/// Which deliveries fit in their accounts' quotas; those of one account count together. A new account has none.
fn fitting(accounts: &Accounts, targets: &[(u32, String)]) -> Vec<bool> {
    let mut more: BTreeMap<u32, usize> = BTreeMap::new();
    let fits = targets.iter().map(|(account, _)| {
        let pending = more.entry(*account).or_default();
        let fits = accounts
            .get(account)
            .is_none_or(|owner| owner.mailboxes.is_empty() || owner.has_room(*pending + 1));
        *pending += usize::from(fits);
        fits
    });
    fits.collect()
}

fn deliver(
    accounts: &mut Accounts,
    (number, octets): (u64, usize),
    prefix: bool,
    targets: &[(u32, String)],
    fits: &[bool],
) {
    for ((account, name), _) in targets.iter().zip(fits).filter(|(_, fits)| **fits) {
        let owner = accounts.entry(*account).or_default();
        owner.ensure();
        if !owner.mailboxes.contains_key(name) {
            owner.create(name);
            owner.subscribed.insert(name.clone());
        }
        let message = Message {
            prefix: prefix.then_some(*account),
            ..plain(number, octets, 0, 0)
        };
        owner.add(name, message);
    }
}

fn plain(number: u64, octets: usize, flags: u8, bits: u8) -> Message {
    Message {
        number,
        octets,
        prefix: None,
        flags,
        keywords: keywords(bits),
        date: DATE + number as i64,
        old: false,
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
            if !owner.has_room(1) {
                return Err(Refusal::OverQuota);
            }
            owner.add(mailbox, plain(*number, *octets, *flags, *bits));
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
                old: true,
                ..plain(*number, *octets, *flags, *bits)
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
            if !remove && !owner.has_room(chosen.len()) {
                return Err(Refusal::OverQuota);
            }
            for (uid, message) in chosen {
                owner.add(target, Message { old: false, ..message });
                if *remove && let Some(source) = owner.mailboxes.get_mut(mailbox) {
                    source.messages.remove(&uid);
                }
            }
        }
        Step::Expunge { mailbox, .. } => {
            owner.mailboxes.get(mailbox).ok_or(Refusal::NotFound)?;
            owner.retain(mailbox, |_, message| message.flags & flag::DELETED != 0);
        }
        Step::ExpungeUids {
            mailbox, first, last, ..
        } => {
            owner.mailboxes.get(mailbox).ok_or(Refusal::NotFound)?;
            owner.retain(mailbox, |uid, _| (*first..=*last).contains(&uid));
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
            let before = owner.retained.len();
            owner.retain(name, |_, _| true);
            let gone = owner.retained.iter_mut().skip(before);
            gone.for_each(|retained| retained.by_steps = true);
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
        Step::Quota { messages, .. } => {
            owner.ensure();
            owner.limit = *messages;
        }
        Step::Expire { mailbox, .. } => {
            owner.mailboxes.get(mailbox).ok_or(Refusal::NotFound)?;
            owner.retain(mailbox, |_, message| message.old);
        }
        Step::PurgeRetained { .. } => {
            owner.retained.retain(|retained| retained.by_steps);
            owner.retained.iter_mut().for_each(|retained| retained.unsure = true);
        }
        Step::Recover {
            mailbox, uid, target, ..
        } => recover(owner, mailbox, *uid, target)?,
        Step::Adopt { name, uid_next, .. } => {
            owner.ensure();
            // What is there is adopted as it is: a superior that was deleted meanwhile is not made again.
            if !owner.mailboxes.contains_key(name) {
                owner.create(name);
            }
            if let Some(mailbox) = owner.mailboxes.get_mut(name) {
                mailbox.uid_next = mailbox.uid_next.max(*uid_next);
            }
        }
        Step::Restore {
            account,
            mailbox,
            uid,
            number,
            octets,
            flags,
            keywords: bits,
        } => {
            let target = owner.mailboxes.get_mut(mailbox).ok_or(Refusal::NotFound)?;
            target.uid_next = target.uid_next.max(*uid);
            let message = Message {
                prefix: Some(*account),
                old: true,
                ..plain(*number, *octets, *flags, *bits)
            };
            owner.add(mailbox, message);
        }
        Step::Deliver { .. }
        | Step::Dequeue { .. }
        | Step::Requeue { .. }
        | Step::Partial { .. }
        | Step::Upkeep { .. } => {}
    }
    Ok(())
}

fn recover(owner: &mut Account, mailbox: &str, uid: u32, target: &str) -> Result<(), Refusal> {
    if owner.mailboxes.is_empty() {
        return Err(Refusal::NotFound);
    }
    let is_meant = |retained: &Retained| retained.name == mailbox && retained.uid == uid;
    let Some(at) = owner.retained.iter().position(is_meant) else {
        return Ok(());
    };
    if !owner.has_room(1) {
        return Err(Refusal::OverQuota);
    }
    let message = owner.retained.remove(at).message;
    if !owner.mailboxes.contains_key(target) {
        owner.create(target);
        owner.subscribed.insert(target.to_owned());
    }
    let message = Message {
        flags: message.flags & !flag::DELETED,
        old: false,
        ..message
    };
    owner.add(target, message);
    Ok(())
}
