//! Packs: append-only files that hold bodies and prefixes (docs/storage-format.md).

pub(crate) mod append;
pub(crate) mod compact;
pub mod format;
pub mod read;
pub(crate) mod recover;
pub(crate) mod scan;
pub(crate) mod window;
