//! Mailboxes, their names, and the change log.

use super::{FIRST, decode_with};
use crate::db::codec::put_short_bytes;
use crate::ids::{MailboxId, ModSeq, Uid};

/// `mailboxes`: one mailbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailboxRecord {
    /// UIDVALIDITY (RFC 9051 §2.3.1.1).
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: Uid,
    /// UIDs from here on have not been told to any session as new: they are \Recent to the next (RFC 3501 §2.3.2).
    pub recent_from: Uid,
    /// Messages.
    pub messages: u32,
    /// Messages without \Seen.
    pub unseen: u32,
    /// Messages with \Deleted.
    pub deleted: u32,
    /// Octets of all messages.
    pub size: u64,
    /// Modseq of the latest change in it.
    pub highest_modseq: ModSeq,
    /// Special use, for example `\Sent`, or empty (RFC 6154).
    pub special_use: String,
    /// Full name, at most 1,000 octets.
    pub name: String,
}

impl MailboxRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.name.len());
        out.push(FIRST);
        for number in [
            self.uid_validity,
            self.uid_next,
            self.recent_from,
            self.messages,
            self.unseen,
            self.deleted,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.highest_modseq.to_le_bytes());
        put_short_bytes(&mut out, self.special_use.as_bytes());
        put_short_bytes(&mut out, self.name.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(FIRST, bytes, |r| {
            Some(Self {
                uid_validity: r.u32()?,
                uid_next: r.u32()?,
                recent_from: r.u32()?,
                messages: r.u32()?,
                unseen: r.u32()?,
                deleted: r.u32()?,
                size: r.u64()?,
                highest_modseq: r.u64()?,
                special_use: r.short_text()?.to_owned(),
                name: r.short_text()?.to_owned(),
            })
        })
    }
}

/// `names`: a name that has a mailbox, or is subscribed, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameRecord {
    /// The mailbox; 0 when the name is only subscribed.
    pub mailbox: MailboxId,
    /// The name is on the subscription list (RFC 9051 §6.3.7).
    pub subscribed: bool,
    /// Full name.
    pub name: String,
}

impl NameRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FIRST, u8::from(self.subscribed)];
        out.extend_from_slice(&self.mailbox.to_le_bytes());
        put_short_bytes(&mut out, self.name.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(FIRST, bytes, |r| {
            let subscribed = r.u8()? != 0;
            Some(Self {
                mailbox: r.u32()?,
                subscribed,
                name: r.short_text()?.to_owned(),
            })
        })
    }
}

/// What a change was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChangeKind {
    /// Messages arrived.
    Added = 1,
    /// Flags or keywords changed.
    Flags = 2,
    /// Messages went.
    Expunged = 3,
    /// The mailbox was created.
    MailboxCreated = 4,
    /// The mailbox was deleted.
    MailboxDeleted = 5,
    /// The mailbox has another name.
    MailboxRenamed = 6,
    /// A name was subscribed or unsubscribed.
    Subscribed = 7,
}

impl ChangeKind {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Added,
            2 => Self::Flags,
            3 => Self::Expunged,
            4 => Self::MailboxCreated,
            5 => Self::MailboxDeleted,
            6 => Self::MailboxRenamed,
            7 => Self::Subscribed,
            _ => return None,
        })
    }
}

/// `changes`: one change. Messages named by a row of kind `Flags` or `Added` carry the row's modseq unless they have
/// changed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// What.
    pub kind: ChangeKind,
    /// Where.
    pub mailbox: MailboxId,
    /// Which UIDs, ascending ranges (first, last); empty for changes of a mailbox itself.
    pub uids: Vec<(Uid, Uid)>,
}

impl ChangeRecord {
    /// Ranges in one row at most, so that the row stays below LMDB's overflow limit; a change with more takes
    /// several rows, each with a modseq of its own.
    pub const RANGES_MAX: usize = 200;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(6 + self.uids.len() * 8);
        out.push(FIRST);
        out.push(self.kind as u8);
        out.extend_from_slice(&self.mailbox.to_le_bytes());
        for (first, last) in &self.uids {
            out.extend_from_slice(&first.to_le_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(FIRST, bytes, |r| {
            let kind = ChangeKind::from_octet(r.u8()?)?;
            let mailbox = r.u32()?;
            let mut uids = Vec::with_capacity(r.0.len() / 8);
            while !r.0.is_empty() {
                uids.push((r.u32()?, r.u32()?));
            }
            Some(Self { kind, mailbox, uids })
        })
    }
}
