//! The message store: packs for octets, LMDB for the index, one writer thread, group commit.
//!
//! What is durable when (docs/storage-format.md): bodies are written to a pack and synced, then the index transaction
//! commits, then the ticket completes. Nothing is acknowledged before. A process may die at any instruction: opening
//! the volume is the recovery.
//!
//! Several processes may have a volume open at once, each with one writer thread; within a process a volume is opened
//! once. Everything here that may wait runs on threads of the store and answers by ticket ([`volume::Volume`]).

mod apply;
pub mod backup;
pub mod card;
pub mod check;
pub mod compaction;
pub mod completion;
pub mod db;
pub mod error;
pub mod failpoints;
pub mod fetch;
pub mod ids;
pub mod jobs;
pub mod journal;
mod lineup;
pub mod listing;
mod opening;
pub mod ops;
pub mod pack;
pub mod portable;
mod prepare;
mod preparer;
pub mod reader;
pub mod rebuild;
pub mod scrub;
pub mod search;
pub mod sharing;
pub mod sink;
pub mod view;
pub mod volume;
mod writer;

pub use error::{Result, StoreError};
pub use ids::{AccountId, BlobId, MailboxId, ModSeq, PackId, QueueId, Ticket, Uid};
pub use jobs::{ReadContext, ReadJob};
pub use ops::{Op, Outcome};
pub use volume::{Options, Volume};
