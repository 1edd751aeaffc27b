//! Mail in and out of the store in a neutral stream that knows neither LMDB nor packs (docs/export-format.md).
//!
//! Both ways run on a thread of their own, in bounded memory, and go on behind what is damaged; each damaged thing is
//! told by name.

pub mod export;
pub mod format;
pub mod import;
pub mod progress;
mod spare;

pub use progress::Progress;
