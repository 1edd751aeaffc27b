//! Backups of a volume: hot, consistent, incremental (docs/backup.md).
//!
//! A snapshot is a compacted copy of the index and the list of packs that it points to. Packs are only ever appended to,
//! so a snapshot says how much of each belongs to it, and snapshots share the files: a pack that has grown since is
//! made longer, nothing that an earlier snapshot names is written again.
//!
//! Here are packs and index. The rest of a backup (directory, configuration, the manifest that makes a snapshot exist)
//! is Python's, `ironpost.backup`.

mod accounts;
pub mod list;
pub mod pin;
pub mod restore;
pub mod snapshot;
pub mod take;
pub mod verify;

pub use accounts::restore_accounts;
pub use list::{PackEntry, PackList};
pub use snapshot::Snapshot;
pub use take::{TakeOptions, Taken, take, take_of, volume_of};
