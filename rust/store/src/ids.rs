//! Numbers that name things. All are counters, never reused (lmdb.md 4.23).

/// An account; given out by the directory.
pub type AccountId = u32;
/// A mailbox of the volume, unique over all accounts.
pub type MailboxId = u32;
/// A message's number in its mailbox (RFC 9051 §2.3.1.1).
pub type Uid = u32;
/// A shared body, or a prefix; 0 means none.
pub type BlobId = u64;
/// An item of the outgoing queue.
pub type QueueId = u64;
/// A change's number in its account.
pub type ModSeq = u64;
/// Names one waiting operation.
pub type Ticket = u64;
/// A process that has opened the volume for writing.
pub type WriterId = u32;

/// A pack file: the writer in the upper half, the file's number in the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(pub u64);

impl PackId {
    /// From its two halves.
    #[must_use]
    pub fn new(writer: WriterId, number: u32) -> Self {
        Self(u64::from(writer) << 32 | u64::from(number))
    }

    /// Who wrote, or writes, the pack.
    #[must_use]
    pub fn writer(self) -> WriterId {
        (self.0 >> 32) as WriterId
    }

    /// The file's number.
    #[must_use]
    pub fn number(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
}

impl std::fmt::Display for PackId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.writer(), self.number())
    }
}
