//! Imports keep the order in which they were given, although several threads prepare them: their UIDs must rise, and one
//! that came behind its follower would be refused.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::shared::Queued;

/// Numbers imports when they are given and lets them go on by number.
#[derive(Default)]
pub(crate) struct Lane(Mutex<State>);

#[derive(Default)]
struct State {
    issued: u64,
    due: u64,
    /// Prepared before their turn; `None` for one that has failed.
    early: BTreeMap<u64, Option<Queued>>,
}

impl Lane {
    /// The place of the next import.
    pub(crate) fn issue(&self) -> u64 {
        let mut state = self.0.lock();
        let number = state.issued;
        state.issued += 1;
        number
    }

    /// One is prepared, or has failed: hands all whose turn it is to `push`, in order.
    pub(crate) fn arrive(&self, number: u64, queued: Option<Queued>, mut push: impl FnMut(Queued)) {
        let mut state = self.0.lock();
        state.early.insert(number, queued);
        // Under the lock: two preparers that came here at once would else change the order again.
        while let Some(next) = {
            let due = state.due;
            state.early.remove(&due)
        } {
            state.due += 1;
            if let Some(queued) = next {
                push(queued);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Op;
    use crate::writer::shared::Loads;
    use std::sync::Arc;

    #[test]
    #[expect(clippy::unwrap_used, reason = "tests")]
    fn whatever_arrives_first_goes_in_order() {
        let (lane, loads) = (Lane::default(), Arc::new(Loads::default()));
        let numbers: Vec<u64> = (0..4).map(|_| lane.issue()).collect();
        let mut went = Vec::new();
        for number in [2, 0, 3, 1] {
            // The second has failed on its way.
            let queued = (number != 1).then(|| Queued::new(Some(number), Op::Purge, None, loads.take(0).unwrap()));
            lane.arrive(numbers[number as usize], queued, |queued| {
                went.push(queued.ticket.unwrap())
            });
        }
        assert_eq!(went, [0, 2, 3]);
    }
}
