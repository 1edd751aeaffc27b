//! Forward migrations, in steps that can be taken up again after a crash at any instant.
//!
//! A migration runs at open, before recovery, while no other process has the volume open. Each step is one bounded
//! transaction that also puts down how far it has come (`meta["migrate"]`); rows that are of the new format already are
//! passed over, so repeating a step changes nothing. The format's number is raised by the last one. There is no way
//! back: `ironpost store export` of the older release is.

mod m0002;

use std::path::Path;

use heed::{Env, RwTxn, WithoutTls};

use super::keys;
use super::tables::Tables;
use crate::error::{Result, StoreError};
use crate::failpoints;
use crate::pack::recover::lock_writer;

/// Key of `meta` under which a migration keeps how far it has come.
const PROGRESS: &[u8] = b"migrate";

/// Bit of `meta["features"]` from the first step of a migration to its last. The format is still the old one then, but a
/// release of that time must not open the volume: it would take new rows for damaged ones and write old ones beside them.
pub(crate) const MIGRATING: u64 = 1;

/// How far a migration has come: which of its stages, and the last key that it has seen there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    stage: u8,
    after: Vec<u8>,
}

/// Brings a volume of an older format to that of this release.
///
/// # Errors
/// `Open` when another process has it open, `Corrupt` when a row is damaged.
pub(crate) fn run(env: &Env<WithoutTls>, tables: &Tables, packs: &Path, from: u32) -> Result<()> {
    refuse_company(env, tables, packs)?;
    if from < 2 {
        m0002::run(env, tables, packs)?;
    }
    Ok(())
}

/// A process of an older release would not understand the rows that the migration writes.
fn refuse_company(env: &Env<WithoutTls>, tables: &Tables, packs: &Path) -> Result<()> {
    let txn = env.read_txn()?;
    for row in tables.meta.prefix_iter(&txn, b"writer:")? {
        let Some(writer) = keys::u32_at(row?.0, 7) else {
            continue;
        };
        let folder = packs.join(writer.to_string());
        std::fs::create_dir_all(&folder)?;
        if lock_writer(&folder)?.is_none() {
            return Err(StoreError::Open(format!(
                "its format is older and another process (writer {writer}) still has it open: stop that first"
            )));
        }
    }
    Ok(())
}

fn progress(env: &Env<WithoutTls>, tables: &Tables) -> Result<Progress> {
    let txn = env.read_txn()?;
    Ok(match tables.meta.get(&txn, PROGRESS)? {
        Some([stage, after @ ..]) => Progress {
            stage: *stage,
            after: after.to_vec(),
        },
        _ => Progress::default(),
    })
}

fn put_progress(tables: &Tables, txn: &mut RwTxn<'_>, progress: &Progress) -> Result<()> {
    let mut row = vec![progress.stage];
    row.extend_from_slice(&progress.after);
    tables.meta.put(txn, PROGRESS, &row)?;
    Ok(())
}

/// Puts down that a migration has begun, unless an earlier try has.
fn begin(env: &Env<WithoutTls>, tables: &Tables) -> Result<()> {
    let mut txn = env.write_txn()?;
    let bit = MIGRATING.to_le_bytes();
    if tables.meta.get(&txn, b"features")? == Some(&bit[..]) {
        return Ok(());
    }
    tables.meta.put(&mut txn, b"features", &bit)?;
    commit(txn)
}

/// Commits one step.
fn commit(txn: RwTxn<'_>) -> Result<()> {
    failpoints::pass("migrate-step")?;
    txn.commit()?;
    Ok(())
}
