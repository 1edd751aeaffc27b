//! Accounts, quota groups, and the volume's counters.

use super::{SECOND, decode_with};
use crate::db::codec::put_short_bytes;
use crate::ids::{BlobId, MailboxId, ModSeq, QueueId, WriterId};

/// `meta["counters"]`: the volume's counters; each is the next number to give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Next writer.
    pub writer: WriterId,
    /// Next mailbox.
    pub mailbox: MailboxId,
    /// Next blob.
    pub blob: BlobId,
    /// Next queue item.
    pub queue: QueueId,
    /// Number of the next transaction in the journal.
    pub journal: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            writer: 1,
            mailbox: 1,
            blob: 1,
            queue: 1,
            journal: 1,
        }
    }
}

impl Counters {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SECOND];
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&self.mailbox.to_le_bytes());
        out.extend_from_slice(&self.blob.to_le_bytes());
        out.extend_from_slice(&self.queue.to_le_bytes());
        out.extend_from_slice(&self.journal.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                writer: r.u32()?,
                mailbox: r.u32()?,
                blob: r.u64()?,
                queue: r.u64()?,
                journal: r.u64()?,
            })
        })
    }
}

/// `accounts`: what an account counts, and what it may hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountRecord {
    /// The account was removed: it takes no new mail and has no mailboxes; the row stays as a tombstone.
    pub removing: bool,
    /// Modseq of the latest change.
    pub highest_modseq: ModSeq,
    /// `changes` holds everything above this; a client that knows less resyncs in full.
    pub changes_after: ModSeq,
    /// Latest UIDVALIDITY given out; the next is greater.
    pub uid_validity_last: u32,
    /// Mailboxes in the account.
    pub mailboxes: u32,
    /// Messages in all its mailboxes; what is retained after an EXPUNGE does not count.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Messages that the account may hold; 0: no limit.
    pub limit_messages: u64,
    /// Octets that the account may hold; 0: no limit.
    pub limit_octets: u64,
    /// The group whose quota it shares; empty: none.
    pub group: String,
}

impl AccountRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SECOND, u8::from(self.removing)];
        out.extend_from_slice(&self.highest_modseq.to_le_bytes());
        out.extend_from_slice(&self.changes_after.to_le_bytes());
        out.extend_from_slice(&self.uid_validity_last.to_le_bytes());
        out.extend_from_slice(&self.mailboxes.to_le_bytes());
        for number in [self.messages, self.octets, self.limit_messages, self.limit_octets] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        put_short_bytes(&mut out, self.group.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                removing: r.u8()? != 0,
                highest_modseq: r.u64()?,
                changes_after: r.u64()?,
                uid_validity_last: r.u32()?,
                mailboxes: r.u32()?,
                messages: r.u64()?,
                octets: r.u64()?,
                limit_messages: r.u64()?,
                limit_octets: r.u64()?,
                group: r.short_text()?.to_owned(),
            })
        })
    }
}

/// `groups`: accounts that share a quota, for example those of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupRecord {
    /// Messages in all its accounts.
    pub messages: u64,
    /// Octets of these messages.
    pub octets: u64,
    /// Messages that all may hold together; 0: no limit.
    pub limit_messages: u64,
    /// Octets that all may hold together; 0: no limit.
    pub limit_octets: u64,
}

impl GroupRecord {
    /// Octets of a group's name at most: it is a key.
    pub const NAME_OCTETS_MAX: usize = 255;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![SECOND];
        for number in [self.messages, self.octets, self.limit_messages, self.limit_octets] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(SECOND, bytes, |r| {
            Some(Self {
                messages: r.u64()?,
                octets: r.u64()?,
                limit_messages: r.u64()?,
                limit_octets: r.u64()?,
            })
        })
    }
}
