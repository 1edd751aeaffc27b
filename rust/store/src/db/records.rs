//! Records of the index: codecs by hand, a version octet first, little-endian fields (docs/storage-format.md).
//!
//! `decode` answers `None` for a damaged or unknown record; the caller names the row in its error.

use super::codec::{Reader, put_short_bytes};
use crate::ids::{AccountId, BlobId, MailboxId, ModSeq, PackId, QueueId, Uid, WriterId};

/// Version octet of every record of this release.
const VERSION: u8 = 1;

/// \Seen, \Answered, \Flagged, \Deleted, \Draft as bits 0 to 4, as `SystemFlag::bit` of ironpost-proto has them.
pub mod flag {
    /// \Seen.
    pub const SEEN: u8 = 1;
    /// \Answered.
    pub const ANSWERED: u8 = 2;
    /// \Flagged.
    pub const FLAGGED: u8 = 4;
    /// \Deleted.
    pub const DELETED: u8 = 8;
    /// \Draft.
    pub const DRAFT: u8 = 16;
    /// All of them.
    pub const ALL: u8 = 31;
}

/// A decoder's shell: version octet, fields, nothing behind them.
fn decode_with<'a, T>(bytes: &'a [u8], fields: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Option<T> {
    let mut reader = Reader(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let record = fields(&mut reader)?;
    reader.0.is_empty().then_some(record)
}

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
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            writer: 1,
            mailbox: 1,
            blob: 1,
            queue: 1,
        }
    }
}

impl Counters {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&self.mailbox.to_le_bytes());
        out.extend_from_slice(&self.blob.to_le_bytes());
        out.extend_from_slice(&self.queue.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                writer: r.u32()?,
                mailbox: r.u32()?,
                blob: r.u64()?,
                queue: r.u64()?,
            })
        })
    }
}

/// `accounts`: what an account counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

impl AccountRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.removing)];
        out.extend_from_slice(&self.highest_modseq.to_le_bytes());
        out.extend_from_slice(&self.changes_after.to_le_bytes());
        out.extend_from_slice(&self.uid_validity_last.to_le_bytes());
        out.extend_from_slice(&self.mailboxes.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                removing: r.u8()? != 0,
                highest_modseq: r.u64()?,
                changes_after: r.u64()?,
                uid_validity_last: r.u32()?,
                mailboxes: r.u32()?,
            })
        })
    }
}

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
        out.push(VERSION);
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
        decode_with(bytes, |r| {
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
        let mut out = vec![VERSION, u8::from(self.subscribed)];
        out.extend_from_slice(&self.mailbox.to_le_bytes());
        put_short_bytes(&mut out, self.name.as_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            let subscribed = r.u8()? != 0;
            Some(Self {
                mailbox: r.u32()?,
                subscribed,
                name: r.short_text()?.to_owned(),
            })
        })
    }
}

/// `messages`: the hot row of one message, [`MessageRecord::OCTETS`] long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageRecord {
    /// System flags, bits of [`flag`].
    pub flags: u8,
    /// Zone of the internal date in minutes east of UTC.
    pub internal_zone: i16,
    /// The body as received.
    pub blob: BlobId,
    /// Trace headers before it; 0 when there are none.
    pub prefix: BlobId,
    /// Keywords by their numbers in the account.
    pub keywords: u64,
    /// Modseq of the latest change of the flags, or of the arrival.
    pub modseq: ModSeq,
    /// Internal date in Unix seconds (RFC 9051 §2.3.3).
    pub internal_date: i64,
    /// Octets of prefix and body together (RFC822.SIZE).
    pub size: u32,
    /// Octets of the prefix.
    pub prefix_len: u32,
    /// Thread; 0 until threads are built.
    pub thread: u64,
}

impl MessageRecord {
    /// Length of the row.
    pub const OCTETS: usize = 60;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::OCTETS] {
        let mut out = [0; Self::OCTETS];
        out[0] = VERSION;
        out[1] = self.flags;
        out[2..4].copy_from_slice(&self.internal_zone.to_le_bytes());
        out[4..12].copy_from_slice(&self.blob.to_le_bytes());
        out[12..20].copy_from_slice(&self.prefix.to_le_bytes());
        out[20..28].copy_from_slice(&self.keywords.to_le_bytes());
        out[28..36].copy_from_slice(&self.modseq.to_le_bytes());
        out[36..44].copy_from_slice(&self.internal_date.to_le_bytes());
        out[44..48].copy_from_slice(&self.size.to_le_bytes());
        out[48..52].copy_from_slice(&self.prefix_len.to_le_bytes());
        out[52..60].copy_from_slice(&self.thread.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                flags: r.u8()?,
                internal_zone: r.i16()?,
                blob: r.u64()?,
                prefix: r.u64()?,
                keywords: r.u64()?,
                modseq: r.u64()?,
                internal_date: r.i64()?,
                size: r.u32()?,
                prefix_len: r.u32()?,
                thread: r.u64()?,
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
        out.push(VERSION);
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
        decode_with(bytes, |r| {
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

/// `blobs`: where the octets are, and how many rows (messages and queue items) point here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobRecord {
    /// The file.
    pub pack: PackId,
    /// Where its record begins in the file.
    pub offset: u64,
    /// Octets of the whole record.
    pub length: u32,
    /// Octets of the contents.
    pub raw_len: u32,
    /// References; the row goes with the last.
    pub references: u32,
}

impl BlobRecord {
    /// Length of the row.
    pub const OCTETS: usize = 29;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::OCTETS] {
        let mut out = [0; Self::OCTETS];
        out[0] = VERSION;
        out[1..9].copy_from_slice(&self.pack.0.to_le_bytes());
        out[9..17].copy_from_slice(&self.offset.to_le_bytes());
        out[17..21].copy_from_slice(&self.length.to_le_bytes());
        out[21..25].copy_from_slice(&self.raw_len.to_le_bytes());
        out[25..29].copy_from_slice(&self.references.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                pack: PackId(r.u64()?),
                offset: r.u64()?,
                length: r.u32()?,
                raw_len: r.u32()?,
                references: r.u32()?,
            })
        })
    }
}

/// Life of a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum PackState {
    /// Its writer appends.
    #[default]
    Active = 1,
    /// Never written again.
    Sealed = 2,
}

/// `packs`: one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackRecord {
    /// Life.
    pub state: PackState,
    /// Octets of records that a blob points to.
    pub live: u64,
    /// Octets of all records that the index has seen committed, living or not, and of the file's header.
    pub synced: u64,
    /// Blobs that point here.
    pub blobs: u32,
}

impl PackRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.state as u8];
        out.extend_from_slice(&self.live.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.blobs.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            let state = match r.u8()? {
                1 => PackState::Active,
                2 => PackState::Sealed,
                _ => return None,
            };
            Some(Self {
                state,
                live: r.u64()?,
                synced: r.u64()?,
                blobs: r.u32()?,
            })
        })
    }
}

/// `queue`, part 0: one item of the outgoing queue. A state longer than [`QueueRecord::STATE_OCTETS`] goes on in the
/// parts 1, 2, ... as plain octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueRecord {
    /// The body.
    pub blob: BlobId,
    /// Trace headers before it; 0 when there are none.
    pub prefix: BlobId,
    /// Octets of the prefix.
    pub prefix_len: u32,
    /// Octets of prefix and body.
    pub size: u32,
    /// When it is due, microseconds since 1970.
    pub due: u64,
    /// When it was queued, microseconds since 1970.
    pub created: u64,
    /// Parts that follow.
    pub parts: u16,
    /// The relay's own state, or its first piece.
    pub state: Vec<u8>,
}

impl QueueRecord {
    /// Octets of the state in one row at most: below LMDB's overflow limit.
    pub const STATE_OCTETS: usize = 1800;

    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.state.len());
        out.push(VERSION);
        out.extend_from_slice(&self.blob.to_le_bytes());
        out.extend_from_slice(&self.prefix.to_le_bytes());
        out.extend_from_slice(&self.prefix_len.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.due.to_le_bytes());
        out.extend_from_slice(&self.created.to_le_bytes());
        out.extend_from_slice(&self.parts.to_le_bytes());
        put_short_bytes(&mut out, &self.state);
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                blob: r.u64()?,
                prefix: r.u64()?,
                prefix_len: r.u32()?,
                size: r.u32()?,
                due: r.u64()?,
                created: r.u64()?,
                parts: r.u16()?,
                state: r.short_bytes()?.to_vec(),
            })
        })
    }
}

/// `leases`: who holds a name, until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// The writer that holds it.
    pub owner: WriterId,
    /// Microseconds since 1970.
    pub expires: u64,
}

impl LeaseRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.owner.to_le_bytes());
        out.extend_from_slice(&self.expires.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| {
            Some(Self {
                owner: r.u32()?,
                expires: r.u64()?,
            })
        })
    }
}

/// `doomed`: what is still to be purged in steps: a mailbox whose name is gone, an account, a pack file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoomedRecord {
    /// The account that a mailbox belonged to; 0 for a pack.
    pub account: AccountId,
}

impl DoomedRecord {
    /// The row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.account.to_le_bytes());
        out
    }

    /// `None` when damaged.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        decode_with(bytes, |r| Some(Self { account: r.u32()? }))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn message_row_golden() {
        let record = MessageRecord {
            flags: flag::SEEN | flag::DRAFT,
            internal_zone: -90,
            blob: 0x0102,
            prefix: 3,
            keywords: 1 << 63,
            modseq: 9,
            internal_date: -1,
            size: 10,
            prefix_len: 4,
            thread: 0,
        };
        let bytes = record.encode();
        let hex: String = bytes.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(
            hex,
            "0111a6ff02010000000000000300000000000000000000000000008009000000\
             00000000ffffffffffffffff0a000000040000000000000000000000"
        );
        assert_eq!(MessageRecord::decode(&bytes).unwrap(), record);
        const { assert!(MessageRecord::OCTETS <= 64) };
    }

    #[test]
    fn every_record_round_trips_and_refuses_cuts() {
        let mailbox = MailboxRecord {
            uid_validity: 1,
            uid_next: 2,
            recent_from: 3,
            messages: 4,
            unseen: 5,
            deleted: 6,
            size: 7,
            highest_modseq: 8,
            special_use: "\\Sent".into(),
            name: "Sent".into(),
        };
        assert_eq!(MailboxRecord::decode(&mailbox.encode()).unwrap(), mailbox);
        let name = NameRecord {
            mailbox: 4,
            subscribed: true,
            name: "a/b".into(),
        };
        assert_eq!(NameRecord::decode(&name.encode()).unwrap(), name);
        let blob = BlobRecord {
            pack: PackId::new(1, 2),
            offset: 3,
            length: 4,
            raw_len: 5,
            references: 6,
        };
        assert_eq!(BlobRecord::decode(&blob.encode()).unwrap(), blob);
        let queue = QueueRecord {
            blob: 1,
            due: 5,
            state: vec![1, 2, 3],
            ..QueueRecord::default()
        };
        assert_eq!(QueueRecord::decode(&queue.encode()).unwrap(), queue);
        let pack = PackRecord {
            state: PackState::Sealed,
            live: 1,
            synced: 2,
            blobs: 3,
        };
        assert_eq!(PackRecord::decode(&pack.encode()).unwrap(), pack);
        let account = AccountRecord {
            removing: true,
            highest_modseq: 3,
            ..AccountRecord::default()
        };
        assert_eq!(AccountRecord::decode(&account.encode()).unwrap(), account);
        assert_eq!(
            Counters::decode(&Counters::default().encode()).unwrap(),
            Counters::default()
        );
        fn refuses_cuts<T>(bytes: &[u8], decode: fn(&[u8]) -> Option<T>) {
            for cut in 0..bytes.len() {
                assert!(decode(&bytes[..cut]).is_none(), "{cut}");
            }
            assert!(decode(&[bytes, &[0]].concat()).is_none());
        }
        refuses_cuts(&mailbox.encode(), MailboxRecord::decode);
        refuses_cuts(&name.encode(), NameRecord::decode);
        refuses_cuts(&blob.encode(), BlobRecord::decode);
        refuses_cuts(&pack.encode(), PackRecord::decode);
        refuses_cuts(&account.encode(), AccountRecord::decode);
        refuses_cuts(&queue.encode(), QueueRecord::decode);
        let change = ChangeRecord {
            kind: ChangeKind::Flags,
            mailbox: 9,
            uids: vec![(1, 4), (9, 9)],
        };
        assert_eq!(ChangeRecord::decode(&change.encode()).unwrap(), change);
    }
}
