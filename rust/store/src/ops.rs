//! Every write as plain data, so that an operation may cross a process one day; and what each answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ids::{AccountId, BlobId, MailboxId, ModSeq, PackId, QueueId, Uid};
use crate::sharing::{CopyAcross, FlagClasses};

/// What is retained at one moment.
#[derive(Clone, Debug, Default)]
pub struct RetainedSet {
    /// When each message was expunged (Unix seconds), by the mailbox and UID that it had.
    pub messages: HashMap<(MailboxId, Uid), u64>,
    /// The mailboxes that they were in, and whose each is.
    pub mailboxes: HashMap<MailboxId, AccountId>,
}

impl RetainedSet {
    /// Those of a mailbox's UIDs that are retained, ascending, by the time of their expunge.
    #[must_use]
    pub fn among(&self, mailbox: MailboxId, uids: &[(Uid, Uid)]) -> BTreeMap<u64, Vec<Uid>> {
        let mut found: BTreeMap<u64, Vec<Uid>> = BTreeMap::new();
        if !self.mailboxes.contains_key(&mailbox) {
            return found;
        }
        for uid in uids.iter().flat_map(|(first, last)| *first..=*last) {
            if let Some(&at) = self.messages.get(&(mailbox, uid)) {
                found.entry(at).or_default().push(uid);
            }
        }
        found
    }
}

/// Flags of a message as names: system bits (`records::flag`) and keywords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagSet {
    /// Bits of `records::flag`.
    pub system: u8,
    /// Keywords, without the backslash; compared without regard to ASCII case.
    pub keywords: Vec<String>,
}

impl FlagSet {
    /// From names such as `\Seen` or `$Forwarded`; `\Recent` is left out, an unknown `\Name` is an error holding it.
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        use crate::db::records::flag;
        let mut set = Self::default();
        for name in names {
            if let Some(system) = name.strip_prefix('\\') {
                set.system |= match system.to_ascii_lowercase().as_str() {
                    "seen" => flag::SEEN,
                    "answered" => flag::ANSWERED,
                    "flagged" => flag::FLAGGED,
                    "deleted" => flag::DELETED,
                    "draft" => flag::DRAFT,
                    "recent" => 0,
                    _ => return Err(name.to_owned()),
                };
            } else if !set.keywords.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                set.keywords.push(name.to_owned());
            }
        }
        Ok(set)
    }
}

/// How STORE combines (RFC 9051 §6.4.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagMode {
    /// `+FLAGS`.
    Add,
    /// `-FLAGS`.
    Remove,
    /// `FLAGS`.
    Replace,
    /// `FLAGS`, by a session that may change these only.
    ReplaceSome(FlagClasses),
}

/// One recipient of a submission.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// The account; an unknown one is made.
    pub account: AccountId,
    /// The mailbox; an unknown one is made.
    pub mailbox: String,
    /// Trace headers ending in CRLF, or nothing; at most 16 KiB.
    pub prefix: Vec<u8>,
    /// Flags to begin with.
    pub flags: FlagSet,
}

/// One item for the outgoing queue.
#[derive(Clone, Debug, Default)]
pub struct Enqueue {
    /// When it is due, microseconds since 1970.
    pub due: u64,
    /// Trace headers ending in CRLF, or nothing; at most 16 KiB.
    pub prefix: Vec<u8>,
    /// The relay's own state.
    pub state: Vec<u8>,
}

/// A new state for a queue item.
#[derive(Clone, Debug, Default)]
pub struct Requeue {
    /// Which.
    pub id: QueueId,
    /// When it is due, microseconds since 1970.
    pub due: u64,
    /// The relay's own state.
    pub state: Vec<u8>,
}

/// Deliveries and queue changes as one transaction. Deliveries and enqueues share the body given beside the op.
#[derive(Clone, Debug, Default)]
pub struct Submit {
    /// Recipients.
    pub deliveries: Vec<Delivery>,
    /// Internal date in Unix seconds; the present when `None`.
    pub internal_date: Option<i64>,
    /// New queue items.
    pub enqueue: Vec<Enqueue>,
    /// Queue items that are done.
    pub dequeue: Vec<QueueId>,
    /// Queue items that go on later.
    pub requeue: Vec<Requeue>,
    /// A delivery beyond a quota is left out and the others go on (LMTP tells each recipient); else it refuses all.
    pub partial: bool,
}

/// Which retained messages are meant.
#[derive(Clone, Debug, Default)]
pub struct RetainedChoice {
    /// Name of the mailbox that they were in; any when `None`.
    pub mailbox: Option<String>,
    /// Expunged at this Unix second or later.
    pub since: u64,
    /// UIDs that they had, ascending ranges; any when empty.
    pub uids: Vec<(Uid, Uid)>,
}

/// A message out of a backup or an export, as it was. Its body is given beside the op, or is a blob that is there.
#[derive(Clone, Debug, Default)]
pub struct Restore {
    /// Whose; the account is there.
    pub account: AccountId,
    /// Where to; the mailbox is there, unless the message goes to those that are retained.
    pub mailbox: String,
    /// The UID that it had; when it is below UIDNEXT, or `None`, the next one.
    pub uid: Option<Uid>,
    /// Flags.
    pub flags: FlagSet,
    /// Unix seconds.
    pub internal_date: i64,
    /// Minutes east of UTC.
    pub internal_zone: i16,
    /// When it came into its mailbox, Unix seconds; 0: now.
    pub saved: u32,
    /// Trace headers ending in CRLF, or nothing; at most 16 KiB.
    pub prefix: Vec<u8>,
    /// A blob that holds the same body; looked at when none is given beside the op.
    pub body: Option<BlobId>,
    /// It had been expunged at this Unix second and is retained.
    pub expunged: Option<u64>,
}

/// One message of [`Op::AppendAll`].
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// Flags to begin with.
    pub flags: FlagSet,
    /// Unix seconds; the present when `None`.
    pub internal_date: Option<i64>,
    /// Minutes east of UTC.
    pub internal_zone: i16,
}

/// A write. Ranges of UIDs are ascending and disjoint; UIDs without a message are passed over.
#[derive(Clone, Debug)]
pub enum Op {
    /// Answers [`Outcome::Submitted`].
    Submit(Submit),
    /// APPEND; answers [`Outcome::Stored`], `NotFound` without the mailbox.
    Append {
        /// Whose.
        account: AccountId,
        /// Where to.
        mailbox: String,
        /// Flags to begin with.
        flags: FlagSet,
        /// Unix seconds; the present when `None`.
        internal_date: Option<i64>,
        /// Minutes east of UTC.
        internal_zone: i16,
    },
    /// APPEND of several messages, each with a body of its own (RFC 3502): all of them or none. Answers
    /// [`Outcome::Stored`] for the first, the others have the UIDs behind it; `NotFound` without the mailbox.
    AppendAll {
        /// Whose.
        account: AccountId,
        /// Where to.
        mailbox: String,
        /// In the order of their bodies; one at least.
        messages: Vec<Arrival>,
    },
    /// APPEND of one message that takes the place of another, which is removed whatever its flags (RFC 8508). Answers
    /// [`Outcome::Stored`], `NotFound` without the mailbox, `Refused` when the other is gone.
    Replace {
        /// Whose mailbox the new one goes to.
        account: AccountId,
        /// Which mailbox.
        mailbox: String,
        /// The new one.
        message: Arrival,
        /// The other: whose, where, which.
        replaced: (AccountId, MailboxId, Uid),
    },
    /// Puts a message that comes from elsewhere into a mailbox; answers [`Outcome::Stored`], `NotFound` without the mailbox.
    Import {
        /// Whose.
        account: AccountId,
        /// Where to.
        mailbox: String,
        /// The UID that it had; `Refused` below UIDNEXT. The next one when `None`.
        uid: Option<Uid>,
        /// Flags.
        flags: FlagSet,
        /// Unix seconds; the present when `None`.
        internal_date: Option<i64>,
        /// Minutes east of UTC.
        internal_zone: i16,
        /// When it came into its former mailbox, Unix seconds; the present when `None`.
        saved: Option<u32>,
        /// Refused with `OverQuota` beyond a limit; else limits do not count.
        quota: bool,
    },
    /// Makes an account with INBOX alone, for mailboxes that come from elsewhere, if it is unknown; answers
    /// [`Outcome::None`].
    AdoptAccount {
        /// Whose.
        account: AccountId,
    },
    /// Puts a message of a backup back; answers [`Outcome::Restored`].
    ///
    /// `NotFound` without the mailbox or the blob, `AlreadyExists` when it is retained already.
    Restore(Restore),
    /// Makes a mailbox that comes from elsewhere, or takes the one of that name; answers [`Outcome::Mailbox`].
    AdoptMailbox {
        /// Whose; an unknown account is made.
        account: AccountId,
        /// Full name.
        name: String,
        /// For example `\Sent`, or empty: as it is.
        special_use: String,
        /// Wanted subscription; as it is when `None`.
        subscribed: Option<bool>,
        /// UIDVALIDITY that it had: taken over when the mailbox has never held a message and no other has it.
        uid_validity: Option<u32>,
        /// UIDNEXT becomes this at least.
        uid_next: Option<Uid>,
    },
    /// Limits of an account, and the group that it belongs to; `None`: as it is, 0: no limit. Answers [`Outcome::None`].
    SetQuota {
        /// Whose; an unknown account is made.
        account: AccountId,
        /// Name of the group, or empty for none.
        group: Option<String>,
        /// Messages.
        messages: Option<u64>,
        /// Octets.
        octets: Option<u64>,
    },
    /// Limits of a group, likewise. Answers [`Outcome::None`].
    SetGroupQuota {
        /// Which.
        group: String,
        /// Messages.
        messages: Option<u64>,
        /// Octets.
        octets: Option<u64>,
    },
    /// Expunges messages that came into the mailbox before a time; answers [`Outcome::Count`].
    Expire {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Unix seconds.
        before: u32,
    },
    /// Lets go of messages that were expunged before a time; answers [`Outcome::Count`].
    PurgeRetained {
        /// Whose.
        account: AccountId,
        /// Unix seconds.
        before: u64,
    },
    /// Puts retained messages back, as new ones without \Deleted; answers [`Outcome::Count`].
    Recover {
        /// Whose.
        account: AccountId,
        /// Which.
        choice: RetainedChoice,
        /// Where to, made when missing; the mailbox of their former name when `None`.
        into: Option<String>,
    },
    /// Takes or renews a lease; `Refused` while somebody else holds it. Answers [`Outcome::None`].
    Lease {
        /// Its name; one that begins with `pin:` keeps packs from being unlinked.
        name: String,
        /// How long, in seconds.
        seconds: u32,
    },
    /// Gives a lease back; answers [`Outcome::None`].
    ReleaseLease {
        /// Its name.
        name: String,
    },
    /// Seals this writer's active pack; answers [`Outcome::None`].
    Seal,
    /// Makes the account with its usual mailboxes if it is unknown; answers [`Outcome::None`].
    EnsureAccount {
        /// Whose.
        account: AccountId,
    },
    /// CREATE, superior names too; answers [`Outcome::Mailbox`].
    CreateMailbox {
        /// Whose.
        account: AccountId,
        /// Full name.
        name: String,
        /// For example `\Sent`, or empty.
        special_use: String,
    },
    /// DELETE; answers [`Outcome::None`].
    DeleteMailbox {
        /// Whose.
        account: AccountId,
        /// Full name.
        name: String,
    },
    /// RENAME; answers [`Outcome::None`].
    RenameMailbox {
        /// Whose.
        account: AccountId,
        /// Present name.
        old: String,
        /// Wanted name.
        new: String,
    },
    /// SUBSCRIBE and UNSUBSCRIBE; answers [`Outcome::None`].
    Subscribe {
        /// Whose.
        account: AccountId,
        /// Full name, with or without a mailbox.
        name: String,
        /// Wanted state.
        subscribed: bool,
    },
    /// STORE; answers [`Outcome::Flags`].
    StoreFlags {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: Vec<(Uid, Uid)>,
        /// How.
        mode: FlagMode,
        /// What.
        flags: FlagSet,
        /// Only messages whose modseq is at most this (RFC 7162 §3.1.3).
        unchanged_since: Option<ModSeq>,
    },
    /// Sets \Seen; answers [`Outcome::None`].
    MarkSeen {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: Vec<(Uid, Uid)>,
    },
    /// COPY and MOVE; answers [`Outcome::Copied`], `NotFound` without the target.
    Copy {
        /// Whose.
        account: AccountId,
        /// Where from.
        mailbox: MailboxId,
        /// Which.
        uids: Vec<(Uid, Uid)>,
        /// Where to.
        target: String,
        /// MOVE: the originals go in the same transaction.
        remove: bool,
    },
    /// COPY and MOVE with less freedom, or to another account; answers as [`Op::Copy`] does.
    CopyAcross(CopyAcross),
    /// EXPUNGE and UID EXPUNGE: removes messages with \Deleted; answers [`Outcome::Count`].
    Expunge {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Only these; all when `None`.
        uids: Option<Vec<(Uid, Uid)>>,
    },
    /// Removes messages whatever their flags; answers [`Outcome::Count`].
    ExpungeUids {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
        /// Which.
        uids: Vec<(Uid, Uid)>,
    },
    /// Takes the \Recent messages for one session; answers [`Outcome::Recent`].
    ClaimRecent {
        /// Whose.
        account: AccountId,
        /// Where.
        mailbox: MailboxId,
    },
    /// Removes an account: marked at once, purged in bounded steps; answers [`Outcome::None`].
    RemoveAccount {
        /// Whose.
        account: AccountId,
    },
    /// Repoints blobs to their copies, which are given beside the op in the same order; compaction's own. Answers
    /// [`Outcome::Count`].
    Relocate {
        /// Which, and where each was copied from.
        blobs: Vec<(BlobId, PackId, u64)>,
    },
    /// Tells the journal again what encoded entries of an old pack told; compaction's own. Answers [`Outcome::Count`].
    Rejournal {
        /// As they stand in the pack.
        entries: Vec<u8>,
        /// What was retained when they were read.
        retained: Arc<RetainedSet>,
    },
    /// The pack's journal is in other packs now; compaction's own. Answers [`Outcome::None`].
    Retire {
        /// Which.
        pack: PackId,
    },
    /// One bounded step of purging; the writer's own. Answers [`Outcome::Count`]: rows still doomed, 0 when done.
    Purge,
}

impl Op {
    /// Trace headers that the operation brings along.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &Vec<u8>> {
        let (submit, restore) = match self {
            Self::Submit(submit) => (Some(submit), None),
            Self::Restore(restore) => (None, Some(&restore.prefix)),
            _ => (None, None),
        };
        submit
            .into_iter()
            .flat_map(|submit| {
                let of_deliveries = submit.deliveries.iter().map(|delivery| &delivery.prefix);
                of_deliveries.chain(submit.enqueue.iter().map(|item| &item.prefix))
            })
            .chain(restore)
    }

    /// True for what compaction writes before it gives space back: it looks after `min_free` itself, and mail goes first.
    #[must_use]
    pub(crate) fn is_compaction(&self) -> bool {
        matches!(self, Self::Relocate { .. } | Self::Rejournal { .. })
    }

    /// True when the operation frees space: such ones go first when space is short, and pass `min_free`.
    #[must_use]
    pub fn frees_space(&self) -> bool {
        match self {
            Self::Submit(submit) => submit.deliveries.is_empty() && submit.enqueue.is_empty(),
            Self::Append { .. }
            | Self::AppendAll { .. }
            | Self::Replace { .. }
            | Self::Import { .. }
            | Self::Restore(_)
            | Self::AdoptMailbox { .. }
            | Self::Copy { remove: false, .. }
            | Self::CopyAcross(_)
            | Self::CreateMailbox { .. }
            | Self::Relocate { .. }
            | Self::Rejournal { .. } => false,
            _ => true,
        }
    }
}

/// Where a message has been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    /// Whose.
    pub account: AccountId,
    /// Where.
    pub mailbox: MailboxId,
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: u32,
    /// Its UID.
    pub uid: Uid,
}

/// A mailbox for LIST and STATUS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxInfo {
    /// 0: a subscribed name without a mailbox.
    pub id: MailboxId,
    /// Full name.
    pub name: String,
    /// For example `\Sent`, or empty.
    pub special_use: String,
    /// On the subscription list.
    pub subscribed: bool,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// Messages.
    pub messages: u32,
    /// Without \Seen.
    pub unseen: u32,
    /// With \Deleted.
    pub deleted: u32,
    /// \Recent to the next session.
    pub recent: u32,
    /// Octets.
    pub size: u64,
    /// Modseq of the latest change.
    pub highest_modseq: ModSeq,
}

/// Flags of one message after a STORE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagState {
    /// Which.
    pub uid: Uid,
    /// System bits.
    pub system: u8,
    /// Keywords by their numbers in the account.
    pub keywords: u64,
    /// The message's modseq now.
    pub modseq: ModSeq,
    /// False when the message had these flags before.
    pub changed: bool,
    /// The message had a later modseq than `unchanged_since`: nothing was done.
    pub refused: bool,
}

/// Messages copied or moved (RFC 4315 COPYUID).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// UIDVALIDITY of the target.
    pub uid_validity: u32,
    /// The target.
    pub mailbox: MailboxId,
    /// Pairs (source UID, target UID), ascending.
    pub uids: Vec<(Uid, Uid)>,
}

/// What consistency checking found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Broken invariants; empty: clean. At most 1,000 are told.
    pub problems: Vec<String>,
    /// Accounts.
    pub accounts: u64,
    /// Mailboxes.
    pub mailboxes: u64,
    /// Messages.
    pub messages: u64,
    /// Blobs, prefixes included.
    pub blobs: u64,
    /// Pack files.
    pub packs: u64,
    /// Queue items.
    pub queue: u64,
}

/// What an operation, or a read job, answers.
pub enum Outcome {
    /// Done.
    None,
    /// Where each delivery went, and the new queue items, in the order given.
    Submitted(Vec<Option<StoredMessage>>, Vec<QueueId>),
    /// Where the message went.
    Stored(StoredMessage),
    /// The blob that holds the body of a restored message.
    Restored(BlobId),
    /// The mailbox.
    Mailbox(MailboxInfo),
    /// Flags of the messages named, ascending by UID.
    Flags(Vec<FlagState>),
    /// What was copied.
    Copied(Copied),
    /// How many.
    Count(u64),
    /// UIDs from the first up to but without the second are \Recent to the asking session alone.
    Recent(Uid, Uid),
    /// What checking found.
    Check(CheckReport),
    /// Octets.
    Bytes(Vec<u8>),
    /// Whatever a read job makes; the binding knows what it asked for.
    Boxed(Box<dyn std::any::Any + Send>),
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => formatter.write_str("None"),
            Self::Submitted(messages, queue) => write!(formatter, "Submitted({messages:?}, {queue:?})"),
            Self::Stored(message) => write!(formatter, "Stored({message:?})"),
            Self::Restored(blob) => write!(formatter, "Restored({blob})"),
            Self::Mailbox(mailbox) => write!(formatter, "Mailbox({mailbox:?})"),
            Self::Flags(flags) => write!(formatter, "Flags({flags:?})"),
            Self::Copied(copied) => write!(formatter, "Copied({copied:?})"),
            Self::Count(count) => write!(formatter, "Count({count})"),
            Self::Recent(from, until) => write!(formatter, "Recent({from}, {until})"),
            Self::Check(report) => write!(formatter, "Check({report:?})"),
            Self::Bytes(bytes) => write!(formatter, "Bytes({} octets)", bytes.len()),
            Self::Boxed(_) => formatter.write_str("Boxed"),
        }
    }
}
