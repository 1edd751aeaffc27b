//! One step of a history: an operation of the store with names instead of numbers, so that it can be told as a line
//! of text to another process and taken by the dictionary too.

use std::collections::BTreeSet;
use std::str::FromStr;

/// The outgoing queue takes part in steps as an account of this number.
pub const QUEUE: u32 = 0;

/// Steps of upkeep follow each other for each author, as if on an account of this number and more.
pub const UPKEEP: u32 = 1_000_000;

/// Keywords by bit.
pub const KEYWORDS: [&str; 3] = ["$One", "two", "Three"];

/// How [`Step::Flags`] combines: `+`, `-`, `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Add,
    Remove,
    Replace,
}

/// An operation. Messages are told by their number and length (`write_support::body`). Names have no spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Ensure {
        account: u32,
    },
    /// One body for some accounts' mailboxes and, with a due time, for the queue. With `prefix` each recipient has its
    /// own trace header.
    Deliver {
        number: u64,
        octets: usize,
        prefix: bool,
        targets: Vec<(u32, String)>,
        due: Option<u64>,
    },
    Append {
        account: u32,
        mailbox: String,
        number: u64,
        octets: usize,
        flags: u8,
        keywords: u8,
    },
    /// A message that comes with a UID of its own.
    Import {
        account: u32,
        mailbox: String,
        uid: u32,
        number: u64,
        octets: usize,
        flags: u8,
        keywords: u8,
    },
    Flags {
        account: u32,
        mailbox: String,
        first: u32,
        last: u32,
        mode: Mode,
        flags: u8,
        keywords: u8,
    },
    Copy {
        account: u32,
        mailbox: String,
        first: u32,
        last: u32,
        target: String,
        remove: bool,
    },
    Expunge {
        account: u32,
        mailbox: String,
    },
    ExpungeUids {
        account: u32,
        mailbox: String,
        first: u32,
        last: u32,
    },
    Create {
        account: u32,
        name: String,
    },
    Delete {
        account: u32,
        name: String,
    },
    Rename {
        account: u32,
        old: String,
        new: String,
    },
    Subscribe {
        account: u32,
        name: String,
        subscribed: bool,
    },
    /// The queue item whose body has this number is done.
    Dequeue {
        number: u64,
    },
    Requeue {
        number: u64,
        due: u64,
    },
    /// A delivery to some accounts of which those go without that are over their quota; nobody may be left.
    Partial {
        number: u64,
        octets: usize,
        targets: Vec<(u32, String)>,
    },
    /// At most so many messages (0: any number), and membership in a group.
    Quota {
        account: u32,
        messages: u64,
        group: u8,
    },
    /// Messages that say that they were saved long ago go ([`Step::Import`], [`Step::Restore`]).
    Expire {
        account: u32,
        mailbox: String,
    },
    /// What is retained goes.
    PurgeRetained {
        account: u32,
    },
    /// The message that had this UID in the mailbox of this name comes back.
    Recover {
        account: u32,
        mailbox: String,
        uid: u32,
        target: String,
    },
    Adopt {
        account: u32,
        name: String,
        uid_next: u32,
    },
    /// A message of a backup, with a prefix, at its UID or the next one.
    Restore {
        account: u32,
        mailbox: String,
        uid: u32,
        number: u64,
        octets: usize,
        flags: u8,
        keywords: u8,
    },
    Upkeep {
        author: u32,
        what: Upkeep,
    },
}

/// What changes nothing that anybody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    Seal,
    Compact,
    Pin,
    Unpin,
}

const UPKEEPS: [(Upkeep, &str); 4] = [
    (Upkeep::Seal, "seal"),
    (Upkeep::Compact, "compact"),
    (Upkeep::Pin, "pin"),
    (Upkeep::Unpin, "unpin"),
];

impl Step {
    /// The accounts whose state it may change; [`QUEUE`] for the queue.
    pub fn takes_part(&self) -> BTreeSet<u32> {
        match self {
            Self::Deliver { targets, due, .. } => {
                let accounts = targets.iter().map(|(account, _)| *account);
                accounts.chain(due.map(|_| QUEUE)).collect()
            }
            Self::Partial { targets, .. } => targets.iter().map(|(account, _)| *account).collect(),
            Self::Upkeep { author, .. } => BTreeSet::from([UPKEEP + author]),
            Self::Dequeue { .. } | Self::Requeue { .. } => BTreeSet::from([QUEUE]),
            Self::Ensure { account }
            | Self::Append { account, .. }
            | Self::Import { account, .. }
            | Self::Flags { account, .. }
            | Self::Copy { account, .. }
            | Self::Expunge { account, .. }
            | Self::ExpungeUids { account, .. }
            | Self::Create { account, .. }
            | Self::Delete { account, .. }
            | Self::Rename { account, .. }
            | Self::Subscribe { account, .. }
            | Self::Quota { account, .. }
            | Self::Expire { account, .. }
            | Self::PurgeRetained { account }
            | Self::Recover { account, .. }
            | Self::Adopt { account, .. }
            | Self::Restore { account, .. } => BTreeSet::from([*account]),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ensure { account } => write!(out, "ensure {account}"),
            Self::Deliver {
                number,
                octets,
                prefix,
                targets,
                due,
            } => {
                write!(
                    out,
                    "deliver {number} {octets} {} {}",
                    u8::from(*prefix),
                    due.unwrap_or(0)
                )?;
                targets
                    .iter()
                    .try_for_each(|(account, mailbox)| write!(out, " {account} {mailbox}"))
            }
            Self::Append {
                account,
                mailbox,
                number,
                octets,
                flags,
                keywords,
            } => {
                write!(out, "append {account} {mailbox} {number} {octets} {flags} {keywords}")
            }
            Self::Import {
                account,
                mailbox,
                uid,
                number,
                octets,
                flags,
                keywords,
            } => {
                write!(
                    out,
                    "import {account} {mailbox} {uid} {number} {octets} {flags} {keywords}"
                )
            }
            Self::Flags {
                account,
                mailbox,
                first,
                last,
                mode,
                flags,
                keywords,
            } => {
                let mode = match mode {
                    Mode::Add => '+',
                    Mode::Remove => '-',
                    Mode::Replace => '=',
                };
                write!(
                    out,
                    "flags {account} {mailbox} {first} {last} {mode} {flags} {keywords}"
                )
            }
            Self::Copy {
                account,
                mailbox,
                first,
                last,
                target,
                remove,
            } => {
                let word = if *remove { "move" } else { "copy" };
                write!(out, "{word} {account} {mailbox} {first} {last} {target}")
            }
            Self::Expunge { account, mailbox } => write!(out, "expunge {account} {mailbox}"),
            Self::ExpungeUids {
                account,
                mailbox,
                first,
                last,
            } => {
                write!(out, "expunge-uids {account} {mailbox} {first} {last}")
            }
            Self::Create { account, name } => write!(out, "create {account} {name}"),
            Self::Delete { account, name } => write!(out, "delete {account} {name}"),
            Self::Rename { account, old, new } => write!(out, "rename {account} {old} {new}"),
            Self::Subscribe {
                account,
                name,
                subscribed,
            } => {
                write!(out, "subscribe {account} {name} {}", u8::from(*subscribed))
            }
            Self::Dequeue { number } => write!(out, "dequeue {number}"),
            Self::Requeue { number, due } => write!(out, "requeue {number} {due}"),
            Self::Partial {
                number,
                octets,
                targets,
            } => {
                write!(out, "partial {number} {octets}")?;
                targets
                    .iter()
                    .try_for_each(|(account, mailbox)| write!(out, " {account} {mailbox}"))
            }
            Self::Quota {
                account,
                messages,
                group,
            } => write!(out, "quota {account} {messages} {group}"),
            Self::Expire { account, mailbox } => write!(out, "expire {account} {mailbox}"),
            Self::PurgeRetained { account } => write!(out, "purge-retained {account}"),
            Self::Recover {
                account,
                mailbox,
                uid,
                target,
            } => write!(out, "recover {account} {mailbox} {uid} {target}"),
            Self::Adopt {
                account,
                name,
                uid_next,
            } => write!(out, "adopt {account} {name} {uid_next}"),
            Self::Restore {
                account,
                mailbox,
                uid,
                number,
                octets,
                flags,
                keywords,
            } => {
                write!(
                    out,
                    "restore {account} {mailbox} {uid} {number} {octets} {flags} {keywords}"
                )
            }
            Self::Upkeep { author, what } => {
                let word = UPKEEPS
                    .iter()
                    .find(|(other, _)| other == what)
                    .map_or("", |(_, word)| word);
                write!(out, "upkeep {author} {word}")
            }
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split(' ').collect();
        parse(&words).ok_or_else(|| format!("no step: {line}"))
    }
}

fn number<T: FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

/// Accounts with mailboxes.
fn pairs(words: &[&str]) -> Option<Vec<(u32, String)>> {
    words
        .chunks(2)
        .map(|pair| Some((number(pair[0])?, (*pair.get(1)?).to_owned())))
        .collect()
}

fn parse(words: &[&str]) -> Option<Step> {
    Some(match *words {
        ["ensure", account] => Step::Ensure {
            account: number(account)?,
        },
        ["deliver", message, octets, prefix, due, ref targets @ ..] => Step::Deliver {
            number: number(message)?,
            octets: number(octets)?,
            prefix: prefix == "1",
            due: number(due).filter(|&due| due != 0),
            targets: pairs(targets)?,
        },
        ["partial", message, octets, ref targets @ ..] => Step::Partial {
            number: number(message)?,
            octets: number(octets)?,
            targets: pairs(targets)?,
        },
        ["quota", account, messages, group] => Step::Quota {
            account: number(account)?,
            messages: number(messages)?,
            group: number(group)?,
        },
        ["expire", account, mailbox] => Step::Expire {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
        },
        ["purge-retained", account] => Step::PurgeRetained {
            account: number(account)?,
        },
        ["recover", account, mailbox, uid, target] => Step::Recover {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            uid: number(uid)?,
            target: target.to_owned(),
        },
        ["adopt", account, name, uid_next] => Step::Adopt {
            account: number(account)?,
            name: name.to_owned(),
            uid_next: number(uid_next)?,
        },
        ["restore", account, mailbox, uid, message, octets, flags, keywords] => Step::Restore {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            uid: number(uid)?,
            number: number(message)?,
            octets: number(octets)?,
            flags: number(flags)?,
            keywords: number(keywords)?,
        },
        ["upkeep", author, word] => Step::Upkeep {
            author: number(author)?,
            what: UPKEEPS.iter().find(|(_, other)| *other == word)?.0,
        },
        ["append", account, mailbox, message, octets, flags, keywords] => Step::Append {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            number: number(message)?,
            octets: number(octets)?,
            flags: number(flags)?,
            keywords: number(keywords)?,
        },
        ["import", account, mailbox, uid, message, octets, flags, keywords] => Step::Import {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            uid: number(uid)?,
            number: number(message)?,
            octets: number(octets)?,
            flags: number(flags)?,
            keywords: number(keywords)?,
        },
        ["flags", account, mailbox, first, last, mode, flags, keywords] => Step::Flags {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            first: number(first)?,
            last: number(last)?,
            mode: match mode {
                "+" => Mode::Add,
                "-" => Mode::Remove,
                _ => Mode::Replace,
            },
            flags: number(flags)?,
            keywords: number(keywords)?,
        },
        [word @ ("copy" | "move"), account, mailbox, first, last, target] => Step::Copy {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            first: number(first)?,
            last: number(last)?,
            target: target.to_owned(),
            remove: word == "move",
        },
        ["expunge", account, mailbox] => Step::Expunge {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
        },
        ["expunge-uids", account, mailbox, first, last] => Step::ExpungeUids {
            account: number(account)?,
            mailbox: mailbox.to_owned(),
            first: number(first)?,
            last: number(last)?,
        },
        ["create", account, name] => Step::Create {
            account: number(account)?,
            name: name.to_owned(),
        },
        ["delete", account, name] => Step::Delete {
            account: number(account)?,
            name: name.to_owned(),
        },
        ["rename", account, old, new] => Step::Rename {
            account: number(account)?,
            old: old.to_owned(),
            new: new.to_owned(),
        },
        ["subscribe", account, name, subscribed] => Step::Subscribe {
            account: number(account)?,
            name: name.to_owned(),
            subscribed: subscribed == "1",
        },
        ["dequeue", message] => Step::Dequeue {
            number: number(message)?,
        },
        ["requeue", message, due] => Step::Requeue {
            number: number(message)?,
            due: number(due)?,
        },
        _ => return None,
    })
}

/// The keywords whose bits are set.
pub fn keywords(bits: u8) -> BTreeSet<String> {
    KEYWORDS
        .iter()
        .enumerate()
        .filter(|(index, _)| bits >> index & 1 == 1)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// The trace header that a delivery with a prefix has for an account (0: the queue).
pub fn prefix_of(account: u32) -> Vec<u8> {
    format!("Delivered-To: {account}\r\n").into_bytes()
}
