//! The index: the only part of the store that knows LMDB.

pub(crate) mod birth;
pub mod codec;
pub mod env;
pub mod keys;
pub(crate) mod migrate;
pub mod records;
pub mod tables;
pub mod uids;

/// Sixteen octets that no other volume has.
pub(crate) fn identity() -> [u8; 16] {
    let seed = (
        std::time::SystemTime::now(),
        std::process::id(),
        std::time::Instant::now(),
    );
    let digest = blake3::hash(format!("{seed:?}").as_bytes());
    std::array::from_fn(|index| digest.as_bytes()[index])
}
