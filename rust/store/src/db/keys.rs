//! Key layouts: big-endian, so that LMDB's byte order is the order of the numbers. One constructor per table.

use std::ops::Bound;

use crate::ids::{AccountId, BlobId, MailboxId, ModSeq, PackId, QueueId, Uid, WriterId};

/// Octets of a mailbox name that stand in a key as they are; what is longer is cut there and a hash follows
/// (an LMDB key holds 511 octets at most).
pub const NAME_OCTETS_IN_KEY: usize = 400;

/// Message numbers covered by one row of `uidmap`.
pub const UIDS_PER_CHUNK: u32 = 4096;

/// Key of `accounts`.
#[must_use]
pub fn account(account: AccountId) -> [u8; 4] {
    account.to_be_bytes()
}

/// Key of `mailboxes`.
#[must_use]
pub fn mailbox(account: AccountId, mailbox: MailboxId) -> [u8; 8] {
    pair(account, mailbox)
}

/// Key of `messages`; its first four octets are the prefix of one mailbox.
#[must_use]
pub fn message(mailbox: MailboxId, uid: Uid) -> [u8; 8] {
    pair(mailbox, uid)
}

/// Key of `uidmap`.
#[must_use]
pub fn uid_chunk(mailbox: MailboxId, chunk: u32) -> [u8; 8] {
    pair(mailbox, chunk)
}

/// Key of `changes`.
#[must_use]
pub fn change(account: AccountId, modseq: ModSeq) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&account.to_be_bytes());
    key[4..].copy_from_slice(&modseq.to_be_bytes());
    key
}

/// Key of `keywords`.
#[must_use]
pub fn keyword(account: AccountId, number: u8) -> [u8; 5] {
    let mut key = [0; 5];
    key[..4].copy_from_slice(&account.to_be_bytes());
    key[4] = number;
    key
}

/// Key of `blobs` and of `cards`.
#[must_use]
pub fn blob(blob: BlobId) -> [u8; 8] {
    blob.to_be_bytes()
}

/// Key of `packs`.
#[must_use]
pub fn pack(pack: PackId) -> [u8; 8] {
    pack.0.to_be_bytes()
}

/// Key of `queue`: part 0 holds the item, the following parts the rest of a long state.
#[must_use]
pub fn queue(id: QueueId, part: u16) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&id.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// Key of `due`: microseconds since 1970, then the item.
#[must_use]
pub fn due(micros: u64, id: QueueId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&micros.to_be_bytes());
    key[8..].copy_from_slice(&id.to_be_bytes());
    key
}

/// Key of `names`: the account, then the name, cut and hashed when long.
#[must_use]
pub fn name(account: AccountId, name: &str) -> Vec<u8> {
    let mut key = name_prefix(account, name);
    if name.len() > NAME_OCTETS_IN_KEY {
        key.extend_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    }
    key
}

/// The octets with which the keys of all names that begin with `start` begin; names found by it must still be compared.
#[must_use]
pub fn name_prefix(account: AccountId, start: &str) -> Vec<u8> {
    let cut = start.len().min(NAME_OCTETS_IN_KEY);
    let mut key = Vec::with_capacity(4 + cut + 16);
    key.extend_from_slice(&account.to_be_bytes());
    key.extend_from_slice(&start.as_bytes()[..cut]);
    key
}

/// Key of `retained`: account, Unix second of the EXPUNGE, mailbox, UID; its first four octets are those of one account.
#[must_use]
pub fn retained(account: AccountId, expunged: u64, mailbox: MailboxId, uid: Uid) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&account.to_be_bytes());
    key[4..12].copy_from_slice(&expunged.to_be_bytes());
    key[12..16].copy_from_slice(&mailbox.to_be_bytes());
    key[16..].copy_from_slice(&uid.to_be_bytes());
    key
}

/// Key of a writer's row in `meta`.
#[must_use]
pub fn writer(writer: WriterId) -> [u8; 11] {
    let mut key = *b"writer:\0\0\0\0";
    key[7..].copy_from_slice(&writer.to_be_bytes());
    key
}

/// Key of `journal`: the writer, then the part; its first four octets are those of one writer.
#[must_use]
pub fn journal(writer: WriterId, part: u32) -> [u8; 8] {
    pair(writer, part)
}

/// Key of `doomed` for a mailbox whose messages are to be purged.
#[must_use]
pub fn doomed_mailbox(mailbox: MailboxId) -> [u8; 5] {
    tagged(b'm', mailbox)
}

/// Key of `doomed` for an account whose rows are to be purged, after its mailboxes.
#[must_use]
pub fn doomed_account(account: AccountId) -> [u8; 5] {
    tagged(b'a', account)
}

/// Key of `doomed` for a pack file that is to be unlinked.
#[must_use]
pub fn doomed_pack(pack: PackId) -> [u8; 9] {
    let mut key = [b'p'; 9];
    key[1..].copy_from_slice(&pack.0.to_be_bytes());
    key
}

/// The bound behind a key; from the beginning when it is empty, for LMDB takes no empty keys.
#[must_use]
pub fn behind(key: &[u8]) -> Bound<&[u8]> {
    if key.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Excluded(key)
    }
}

fn tagged(tag: u8, number: u32) -> [u8; 5] {
    let mut key = [tag; 5];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut key = [0; 8];
    key[..4].copy_from_slice(&first.to_be_bytes());
    key[4..].copy_from_slice(&second.to_be_bytes());
    key
}

/// The big-endian number at `at` of a key; `None` when the key is too short.
#[must_use]
pub fn u32_at(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(key.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// As [`u32_at`], eight octets.
#[must_use]
pub fn u64_at(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
