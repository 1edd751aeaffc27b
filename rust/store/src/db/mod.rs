//! The index: the only part of the store that knows LMDB.

pub mod codec;
pub mod env;
pub mod keys;
pub(crate) mod migrate;
pub mod records;
pub mod tables;
pub mod uids;
