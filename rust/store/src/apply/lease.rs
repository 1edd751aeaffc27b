//! Leases: names that one writer at a time holds, until a time. An expired one counts as absent.

use super::{Applied, Batch, reject};
use crate::db::records::LeaseRecord;
use crate::error::StoreError;
use crate::ops::Outcome;

/// Octets of a lease's name at most: it is a key.
const NAME_OCTETS_MAX: usize = 255;
const MICROS: u64 = 1_000_000;

/// A live lease whose name begins so keeps every process from unlinking packs.
pub(crate) const PIN: &str = "pin:";

impl Batch<'_, '_> {
    pub(super) fn lease(&mut self, name: &str, seconds: u32) -> Applied<Outcome> {
        if name.is_empty() || name.len() > NAME_OCTETS_MAX {
            return reject(StoreError::Refused("a lease's name has 1 to 255 octets".to_owned()));
        }
        if self.lease_of_another(name)? {
            return reject(StoreError::Refused(format!("somebody else holds {name}")));
        }
        let lease = LeaseRecord {
            owner: self.writer,
            expires: self.now.saturating_add(u64::from(seconds) * MICROS),
        };
        self.tables
            .leases
            .put(&mut self.txn, name.as_bytes(), &lease.encode())?;
        Ok(Outcome::None)
    }

    pub(super) fn release_lease(&mut self, name: &str) -> Applied<Outcome> {
        if !self.lease_of_another(name)? {
            self.tables.leases.delete(&mut self.txn, name.as_bytes())?;
            // What was pinned may go now.
            self.purge |= name.starts_with(PIN);
        }
        Ok(Outcome::None)
    }

    fn lease_of_another(&self, name: &str) -> Applied<bool> {
        let held = self.tables.leases.get(&self.txn, name.as_bytes())?;
        let lease = held.and_then(LeaseRecord::decode);
        Ok(lease.is_some_and(|lease| lease.owner != self.writer && lease.expires > self.now))
    }
}
