//! What accounts do with one another's mailboxes (RFC 4314 §4): flags of which a session may change some only, and copies
//! from one account to another.

use crate::db::records::flag;
use crate::ids::{AccountId, MailboxId, Uid};

/// Which flags may be changed, or come along with a copy: the rights `s`, `t` and `w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlagClasses {
    /// \Seen.
    pub seen: bool,
    /// \Deleted.
    pub deleted: bool,
    /// All others, keywords too.
    pub others: bool,
}

impl FlagClasses {
    /// All flags.
    pub const ALL: Self = Self {
        seen: true,
        deleted: true,
        others: true,
    };
    /// No flag.
    pub const NONE: Self = Self {
        seen: false,
        deleted: false,
        others: false,
    };

    /// Their system bits.
    #[must_use]
    pub fn system(self) -> u8 {
        let mut mask = 0;
        if self.seen {
            mask |= flag::SEEN;
        }
        if self.deleted {
            mask |= flag::DELETED;
        }
        if self.others {
            mask |= flag::ALL & !(flag::SEEN | flag::DELETED);
        }
        mask
    }

    /// Their keywords.
    #[must_use]
    pub fn keywords(self) -> u64 {
        if self.others { u64::MAX } else { 0 }
    }
}

/// COPY or MOVE into a mailbox of any account, with those flags only that may come along.
///
/// Of what is moved into another account the owner keeps the chance to recover it.
#[derive(Clone, Debug)]
pub struct CopyAcross {
    /// Whose messages.
    pub account: AccountId,
    /// Where from.
    pub mailbox: MailboxId,
    /// Which.
    pub uids: Vec<(Uid, Uid)>,
    /// Whose they become.
    pub to: AccountId,
    /// Where to.
    pub target: String,
    /// The originals go in the same transaction.
    pub remove: bool,
    /// The flags that the copies get.
    pub kept: FlagClasses,
}
