//! The journal: what transactions did to the index, told again in pack records of their own kind, so that a lost index can
//! be made from the packs alone (docs/storage-format.md, "Journal").
//!
//! A record's contents are transactions, each with the number that orders it among all writers, and its entries. Bodies are
//! named by the first octets of their digest, so that moving them to another pack changes nothing here.

use crate::db::codec::{Reader, put_short_bytes};
use crate::db::records::{AccountRecord, MailboxRecord, MessageRecord, QueueRecord};
use crate::ids::{AccountId, MailboxId, ModSeq, QueueId, Uid, WriterId};

/// The first octets of a BLAKE3; zeros: nothing.
pub type Digest = [u8; 16];

/// One thing that happened, or the present state of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An account is as its row says; sums and counts are not told.
    Account(AccountId, AccountRecord),
    /// Limits of a quota group: messages, octets.
    Group(String, u64, u64),
    /// A mailbox is there; its counters are not told.
    Mailbox(AccountId, MailboxId, MailboxRecord),
    /// A mailbox is gone; true: its messages are retained as expunged at that Unix second.
    MailboxGone(AccountId, MailboxId, bool, u64),
    /// A name is subscribed, or not.
    Name(AccountId, String, bool),
    /// A keyword has a number.
    Keyword(AccountId, u8, String),
    /// A message is there: digests of body and prefix, and its row, whose blobs are not told.
    Message(MailboxId, Uid, Digest, Digest, MessageRecord),
    /// A message has these flags and keywords, by this modseq.
    Flags(MailboxId, Uid, u8, u64, ModSeq),
    /// Messages are gone; true: retained as expunged at that Unix second.
    Expunged(MailboxId, Vec<(Uid, Uid)>, bool, u64),
    /// Just these messages are there, which makes older entries of others void; and a UID below which all may have been
    /// given out.
    Uids(MailboxId, Uid, Vec<(Uid, Uid)>),
    /// A queue item is there: digests of body and prefix, and its row with the whole state.
    Queued(QueueId, Digest, Digest, QueueRecord),
    /// A queue item was done with at that Unix second.
    Dequeued(QueueId, u64),
    /// A writer has ended, in order or not, and all that it ever did has been told up to here.
    Ended(WriterId),
}

impl Entry {
    /// Appends the entry.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Account(account, record) => {
                out.push(1);
                out.extend_from_slice(&account.to_le_bytes());
                out.push(u8::from(record.removing));
                out.extend_from_slice(&record.uid_validity_last.to_le_bytes());
                for number in [record.highest_modseq, record.limit_messages, record.limit_octets] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                put_short_bytes(out, record.group.as_bytes());
            }
            Self::Group(name, messages, octets) => {
                out.push(2);
                put_short_bytes(out, name.as_bytes());
                out.extend_from_slice(&messages.to_le_bytes());
                out.extend_from_slice(&octets.to_le_bytes());
            }
            Self::Mailbox(account, mailbox, record) => {
                out.push(3);
                for number in [*account, *mailbox, record.uid_validity, record.uid_next] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(&record.highest_modseq.to_le_bytes());
                put_short_bytes(out, record.special_use.as_bytes());
                put_short_bytes(out, record.name.as_bytes());
            }
            Self::MailboxGone(account, mailbox, retained, at) => {
                out.push(4);
                out.extend_from_slice(&account.to_le_bytes());
                out.extend_from_slice(&mailbox.to_le_bytes());
                out.push(u8::from(*retained));
                out.extend_from_slice(&at.to_le_bytes());
            }
            Self::Name(account, name, subscribed) => {
                out.push(5);
                out.extend_from_slice(&account.to_le_bytes());
                out.push(u8::from(*subscribed));
                put_short_bytes(out, name.as_bytes());
            }
            Self::Keyword(account, number, keyword) => {
                out.push(6);
                out.extend_from_slice(&account.to_le_bytes());
                out.push(*number);
                put_short_bytes(out, keyword.as_bytes());
            }
            Self::Message(mailbox, uid, body, prefix, record) => {
                out.push(7);
                out.extend_from_slice(&mailbox.to_le_bytes());
                out.extend_from_slice(&uid.to_le_bytes());
                out.extend_from_slice(body);
                out.extend_from_slice(prefix);
                // The row's own numbers of blobs mean nothing without the index.
                let plain = MessageRecord {
                    blob: 0,
                    prefix: 0,
                    ..*record
                };
                out.extend_from_slice(&plain.encode());
            }
            Self::Flags(mailbox, uid, flags, keywords, modseq) => {
                out.push(8);
                out.extend_from_slice(&mailbox.to_le_bytes());
                out.extend_from_slice(&uid.to_le_bytes());
                out.push(*flags);
                out.extend_from_slice(&keywords.to_le_bytes());
                out.extend_from_slice(&modseq.to_le_bytes());
            }
            Self::Expunged(mailbox, uids, retained, at) => {
                out.push(9);
                out.extend_from_slice(&mailbox.to_le_bytes());
                out.push(u8::from(*retained));
                out.extend_from_slice(&at.to_le_bytes());
                put_ranges(out, uids);
            }
            Self::Uids(mailbox, uid_next, uids) => {
                out.push(10);
                out.extend_from_slice(&mailbox.to_le_bytes());
                out.extend_from_slice(&uid_next.to_le_bytes());
                put_ranges(out, uids);
            }
            Self::Queued(id, body, prefix, record) => {
                out.push(11);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(body);
                out.extend_from_slice(prefix);
                for number in [record.due, record.created] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                for number in [record.prefix_len, record.size, record.state.len() as u32] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out.extend_from_slice(&record.state);
            }
            Self::Dequeued(id, at) => {
                out.push(12);
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&at.to_le_bytes());
            }
            Self::Ended(writer) => {
                out.push(13);
                out.extend_from_slice(&writer.to_le_bytes());
            }
        }
    }

    /// Takes one entry off the front; `None` when it is damaged or of a later release.
    fn decode(r: &mut Reader<'_>) -> Option<Self> {
        Some(match r.u8()? {
            1 => {
                let account = r.u32()?;
                let removing = r.u8()? != 0;
                let uid_validity_last = r.u32()?;
                let (highest_modseq, limit_messages, limit_octets) = (r.u64()?, r.u64()?, r.u64()?);
                let record = AccountRecord {
                    removing,
                    uid_validity_last,
                    highest_modseq,
                    limit_messages,
                    limit_octets,
                    group: r.short_text()?.to_owned(),
                    ..AccountRecord::default()
                };
                Self::Account(account, record)
            }
            2 => Self::Group(r.short_text()?.to_owned(), r.u64()?, r.u64()?),
            3 => {
                let (account, mailbox) = (r.u32()?, r.u32()?);
                let record = MailboxRecord {
                    uid_validity: r.u32()?,
                    uid_next: r.u32()?,
                    highest_modseq: r.u64()?,
                    special_use: r.short_text()?.to_owned(),
                    name: r.short_text()?.to_owned(),
                    ..MailboxRecord::default()
                };
                Self::Mailbox(account, mailbox, record)
            }
            4 => Self::MailboxGone(r.u32()?, r.u32()?, r.u8()? != 0, r.u64()?),
            5 => {
                let (account, subscribed) = (r.u32()?, r.u8()? != 0);
                Self::Name(account, r.short_text()?.to_owned(), subscribed)
            }
            6 => Self::Keyword(r.u32()?, r.u8()?, r.short_text()?.to_owned()),
            7 => {
                let (mailbox, uid, body, prefix) = (r.u32()?, r.u32()?, r.array()?, r.array()?);
                let record = MessageRecord::decode(r.take(MessageRecord::OCTETS)?)?;
                Self::Message(mailbox, uid, body, prefix, record)
            }
            8 => Self::Flags(r.u32()?, r.u32()?, r.u8()?, r.u64()?, r.u64()?),
            9 => {
                let (mailbox, retained, at) = (r.u32()?, r.u8()? != 0, r.u64()?);
                Self::Expunged(mailbox, ranges(r)?, retained, at)
            }
            10 => Self::Uids(r.u32()?, r.u32()?, ranges(r)?),
            11 => {
                let (id, body, prefix) = (r.u64()?, r.array()?, r.array()?);
                let (due, created) = (r.u64()?, r.u64()?);
                let (prefix_len, size, length) = (r.u32()?, r.u32()?, r.u32()?);
                let record = QueueRecord {
                    due,
                    created,
                    prefix_len,
                    size,
                    state: r.take(length as usize)?.to_vec(),
                    ..QueueRecord::default()
                };
                Self::Queued(id, body, prefix, record)
            }
            12 => Self::Dequeued(r.u64()?, r.u64()?),
            13 => Self::Ended(r.u32()?),
            _ => return None,
        })
    }
}

fn put_ranges(out: &mut Vec<u8>, ranges: &[(Uid, Uid)]) {
    out.extend_from_slice(&(ranges.len() as u32).to_le_bytes());
    for (first, last) in ranges {
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&last.to_le_bytes());
    }
}

fn ranges(r: &mut Reader<'_>) -> Option<Vec<(Uid, Uid)>> {
    let count = r.u32()? as usize;
    // The octets must be there before room is made for them.
    if r.0.len() / 8 < count {
        return None;
    }
    (0..count).map(|_| Some((r.u32()?, r.u32()?))).collect()
}

/// Octets before a transaction's entries: its number and their length.
const TRANSACTION_HEAD: usize = 12;

/// Appends one transaction with its encoded entries.
pub fn put_transaction(out: &mut Vec<u8>, number: u64, entries: &[u8]) {
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(entries);
}

/// The transactions of a journal record: (number, encoded entries).
pub fn transactions(contents: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut reader = Reader(contents);
    std::iter::from_fn(move || {
        let (number, length) = (reader.u64()?, reader.u32()?);
        Some((number, reader.take(length as usize)?))
    })
}

/// True when every transaction, and every entry in it, is there and known to this release.
#[must_use]
pub fn is_whole(contents: &[u8]) -> bool {
    let mut told = 0;
    let known = transactions(contents).all(|(_, encoded)| {
        told += TRANSACTION_HEAD + encoded.len();
        let mut reader = Reader(encoded);
        while !reader.0.is_empty() {
            if Entry::decode(&mut reader).is_none() {
                return false;
            }
        }
        true
    });
    known && told == contents.len()
}

/// Encoded entries in pieces of about `octets`, each of whole entries; ends early where they are damaged.
pub fn pieces(encoded: &[u8], octets: usize) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader(encoded);
    std::iter::from_fn(move || {
        let start = reader.0;
        let mut length = 0;
        while length < octets && Entry::decode(&mut reader).is_some() {
            length = start.len() - reader.0.len();
        }
        // A damaged entry may have taken a part of the rest.
        reader = Reader(&start[length..]);
        (length > 0).then(|| &start[..length])
    })
}

/// The entries of a transaction; ends early where they are damaged.
pub fn entries(encoded: &[u8]) -> impl Iterator<Item = Entry> {
    let mut reader = Reader(encoded);
    std::iter::from_fn(move || Entry::decode(&mut reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Entry> {
        let account = AccountRecord {
            removing: true,
            uid_validity_last: 3,
            highest_modseq: 4,
            limit_messages: 5,
            limit_octets: 6,
            group: "example.org".into(),
            ..AccountRecord::default()
        };
        let mailbox = MailboxRecord {
            uid_validity: 1,
            uid_next: 2,
            highest_modseq: 3,
            special_use: "\\Sent".into(),
            name: "Sént".into(),
            ..MailboxRecord::default()
        };
        let message = MessageRecord {
            flags: 3,
            keywords: 1 << 40,
            internal_date: -9,
            size: 77,
            prefix_len: 7,
            saved: 8,
            modseq: 9,
            ..MessageRecord::default()
        };
        let queue = QueueRecord {
            due: 1,
            created: 2,
            prefix_len: 3,
            size: 4,
            state: vec![9; 5000],
            ..QueueRecord::default()
        };
        vec![
            Entry::Account(1, account),
            Entry::Group("g".into(), 1, 2),
            Entry::Mailbox(1, 2, mailbox),
            Entry::MailboxGone(1, 2, true, 3),
            Entry::Name(1, "a/b".into(), true),
            Entry::Keyword(1, 63, "$Work".into()),
            Entry::Message(2, 3, [4; 16], [5; 16], message),
            Entry::Flags(2, 3, 31, 1, 9),
            Entry::Expunged(2, vec![(1, 3), (9, 9)], false, 5),
            Entry::Uids(2, 10, vec![(4, 8)]),
            Entry::Queued(7, [1; 16], [0; 16], queue),
            Entry::Dequeued(7, 8),
            Entry::Ended(9),
        ]
    }

    #[test]
    fn every_entry_comes_back_and_a_cut_ends_the_list() {
        let all = samples();
        let mut encoded = Vec::new();
        let mut ends = Vec::new();
        for entry in &all {
            entry.encode(&mut encoded);
            ends.push(encoded.len());
        }
        assert_eq!(entries(&encoded).collect::<Vec<Entry>>(), all);
        for cut in 0..encoded.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(entries(&encoded[..cut]).count(), whole, "{cut}");
        }
        let mut contents = Vec::new();
        put_transaction(&mut contents, 5, &encoded);
        put_transaction(&mut contents, 6, &[]);
        let found: Vec<(u64, usize)> = transactions(&contents)
            .map(|(number, entries)| (number, entries.len()))
            .collect();
        assert_eq!(found, [(5, encoded.len()), (6, 0)]);
        assert!(is_whole(&contents) && is_whole(&[]));
        assert!(!is_whole(&contents[..contents.len() - 1]));
        let mut of_a_later_release = Vec::new();
        put_transaction(&mut of_a_later_release, 7, &[&encoded[..], &[200]].concat());
        assert!(!is_whole(&of_a_later_release));
    }

    #[test]
    fn golden_message() {
        let mut out = Vec::new();
        samples()[6].encode(&mut out);
        let hex: String = out.iter().map(|octet| format!("{octet:02x}")).collect();
        let (digests, row) = ("04".repeat(16) + &"05".repeat(16), &hex[82..]);
        assert_eq!(hex[..82], format!("07{}{}{digests}", "02000000", "03000000"));
        assert_eq!(row.len(), MessageRecord::OCTETS * 2);
        assert!(row.starts_with("0203"));
    }
}
