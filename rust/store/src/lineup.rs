//! Keeps imports into one mailbox in the order in which they were submitted. Bodies are prepared by several threads, and
//! the quicker one overtakes; but UIDs ascend in the order of arrival, and those that come along must fit.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;

use crate::ids::AccountId;
use crate::ops::Op;
use crate::writer::Queued;

type Key = (AccountId, String);

/// The lines of operations, one for each mailbox that is being imported into.
#[derive(Default)]
pub(crate) struct Lineup {
    lines: Mutex<HashMap<Key, Line>>,
}

#[derive(Default)]
struct Line {
    /// Places given out.
    joined: u64,
    /// The place whose turn it is.
    turn: u64,
    /// Those that are ready before their turn; `None`: it has failed and holds nobody up.
    early: BTreeMap<u64, Option<Queued>>,
}

/// A place in a line. Whoever has one must come to [`Lineup::arrive`] with it, or those behind wait for ever.
#[derive(Debug)]
pub(crate) struct Place {
    key: Key,
    number: u64,
}

impl Lineup {
    /// A place for an operation that has an order; `None` for the others.
    pub(crate) fn join(&self, op: &Op) -> Option<Place> {
        let (account, mailbox) = match op {
            Op::Import { account, mailbox, .. } => (account, mailbox),
            Op::Restore(restore) => (&restore.account, &restore.mailbox),
            // It raises UIDNEXT, which those before it must not meet.
            Op::AdoptMailbox { account, name, .. } => (account, name),
            _ => return None,
        };
        let key = (*account, mailbox.clone());
        let mut lines = self.lines.lock();
        let line = lines.entry(key.clone()).or_default();
        let number = line.joined;
        line.joined += 1;
        Some(Place { key, number })
    }

    /// The operation of this place is ready, or has failed (`None`): hands on all whose turn has come, in order.
    pub(crate) fn arrive(&self, place: Place, queued: Option<Queued>, mut hand_on: impl FnMut(Queued)) {
        let mut lines = self.lines.lock();
        let Some(line) = lines.get_mut(&place.key) else {
            // Places belong to lines that exist; an operation is not dropped for a fault of that.
            queued.into_iter().for_each(hand_on);
            return;
        };
        line.early.insert(place.number, queued);
        while let Some(next) = line.early.remove(&line.turn) {
            line.turn += 1;
            // Under the lock: what is handed on later must come later.
            next.into_iter().for_each(&mut hand_on);
        }
        if line.turn == line.joined {
            lines.remove(&place.key);
        }
    }
}
