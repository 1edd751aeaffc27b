//! Records of the index: codecs by hand, a version octet first, little-endian fields (docs/storage-format.md).
//!
//! `decode` answers `None` for a damaged or unknown record; the caller names the row in its error. Records of older
//! formats are decoded by the migration alone (`db/migrate`).

mod account;
mod mailbox;
mod message;
mod pack;
mod queue;
#[cfg(test)]
mod tests;

pub use account::{AccountRecord, Counters, GroupRecord};
pub use mailbox::{ChangeKind, ChangeRecord, MailboxRecord, NameRecord};
pub use message::{MessageRecord, RetainedRecord, flag};
pub use pack::{BlobRecord, DoomedRecord, PackRecord, PackState};
pub use queue::{LeaseRecord, QueueRecord};

use super::codec::Reader;

/// Version octet of records that have not changed since format 1.
const FIRST: u8 = 1;
/// Version octet of records that format 2 has changed.
const SECOND: u8 = 2;

/// A decoder's shell: version octet, fields, nothing behind them.
pub(super) fn decode_with<'a, T>(
    version: u8,
    bytes: &'a [u8],
    fields: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Option<T> {
    let mut reader = Reader(bytes);
    if reader.u8()? != version {
        return None;
    }
    let record = fields(&mut reader)?;
    reader.0.is_empty().then_some(record)
}
