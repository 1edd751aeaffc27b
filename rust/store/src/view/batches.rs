//! UID ranges that cut a mailbox into batches of equally many messages (RFC 10022 §3.1).

use super::uids::UidSet;
use crate::ids::Uid;

/// Batches number `first` to `last`, from 1 for that with the highest UIDs, as (highest UID, lowest UID).
///
/// Each has `size` messages, but that with the lowest UIDs may have fewer. A range goes down to where the next begins, and
/// the last one to 1, so together they leave no UID below the highest out. `size` and `first` are 1 at least.
#[must_use]
pub fn batches(uids: &UidSet, size: u32, first: u32, last: u32) -> Vec<(Uid, Uid)> {
    let all = u64::from(uids.len());
    // The highest UID of a batch by its number; `None` behind the last.
    let top = |batch: u64| {
        let above = (batch - 1).saturating_mul(u64::from(size));
        let number = all.checked_sub(above).and_then(|number| u32::try_from(number).ok())?;
        uids.select(number)
    };
    let mut ranges = Vec::new();
    let mut high = top(u64::from(first));
    for batch in u64::from(first)..=u64::from(last) {
        let Some(highest) = high else { break };
        high = top(batch + 1);
        ranges.push((highest, high.map_or(1, |next| next + 1)));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(uids: &[u32], size: u32) -> Vec<(u32, u32)> {
        batches(&UidSet::from_ascending(uids.iter().copied()), size, 1, u32::MAX)
    }

    #[test]
    fn every_uid_is_in_one_batch() {
        assert_eq!(cut(&[], 2), []);
        assert_eq!(cut(&[7], 2), [(7, 1)]);
        assert_eq!(cut(&[3, 7], 2), [(7, 1)]);
        assert_eq!(cut(&[3, 7, 20], 2), [(20, 4), (3, 1)]);
        assert_eq!(cut(&[3, 7, 20, 90], 2), [(90, 8), (7, 1)]);
        assert_eq!(cut(&[1, 2, 3], 1), [(3, 3), (2, 2), (1, 1)]);
        assert_eq!(cut(&[1, u32::MAX], 1), [(u32::MAX, 2), (1, 1)]);
        assert_eq!(cut(&[5, 6], u32::MAX), [(6, 1)]);
    }

    #[test]
    fn some_of_the_batches() {
        let uids = UidSet::from_ascending((1..=100).map(|uid| uid * 10));
        assert_eq!(batches(&uids, 30, 1, 1), [(1000, 701)]);
        assert_eq!(batches(&uids, 30, 2, 3), [(700, 401), (400, 101)]);
        assert_eq!(batches(&uids, 30, 4, 9), [(100, 1)]);
        assert_eq!(batches(&uids, 30, 5, 9), []);
        assert_eq!(batches(&uids, u32::MAX, u32::MAX, u32::MAX), []);
    }
}
