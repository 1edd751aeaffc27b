//! The lease that keeps every process from unlinking packs while they are copied.

use std::time::{Duration, Instant};

use crate::error::{Result, StoreError};
use crate::ops::{Op, Outcome};
use crate::volume::Volume;

/// A lease lasts this long; whoever dies with one holds nobody up for longer, and the next open drops it at once.
const LEASE: Duration = Duration::from_secs(120);
/// It is renewed when this much of it has gone.
const RENEW: Duration = Duration::from_secs(30);
/// An operation that takes longer has failed: others may hold LMDB's writer lock for a while, but not so long.
const WAIT: Duration = Duration::from_secs(60);

/// A held lease. The volume must be one whose tickets nobody else awaits.
#[derive(Debug)]
pub struct Pin<'v> {
    volume: &'v Volume,
    name: String,
    renewed: Instant,
}

impl<'v> Pin<'v> {
    /// Takes the lease of that name, which begins with `pin:`.
    pub fn take(volume: &'v Volume, name: &str) -> Result<Self> {
        let pin = Self {
            volume,
            name: name.to_owned(),
            renewed: Instant::now(),
        };
        pin.lease()?;
        Ok(pin)
    }

    /// Renews the lease when it is time to.
    pub fn renew(&mut self) -> Result<()> {
        if self.renewed.elapsed() >= RENEW {
            self.renewed = Instant::now();
            self.lease()?;
        }
        Ok(())
    }

    /// Gives it back. Should that fail it ends by itself.
    pub fn release(self) {
        let name = self.name.clone();
        let _ = perform(self.volume, Op::ReleaseLease { name });
    }

    fn lease(&self) -> Result<()> {
        let op = Op::Lease {
            name: self.name.clone(),
            seconds: LEASE.as_secs() as u32,
        };
        perform(self.volume, op).map(drop)
    }
}

/// Carries out an operation and waits for it. The volume must be one whose tickets nobody else awaits.
pub(crate) fn perform(volume: &Volume, op: Op) -> Result<Outcome> {
    let ticket = volume.write(op)?;
    let began = Instant::now();
    while began.elapsed() < WAIT {
        volume.wait(Duration::from_secs(1))?;
        for (finished, result) in volume.completions(256) {
            if finished == ticket {
                return result;
            }
        }
    }
    Err(StoreError::Failed("the store does not answer".to_owned()))
}
