//! Restoring accounts or a mailbox into a volume that may be in use: an export of the snapshot, imported as it comes.

use std::io::BufWriter;
use std::path::Path;

use super::snapshot::Snapshot;
use crate::error::{Result, StoreError};
use crate::portable::Progress;
use crate::portable::export::{Plan, export};
use crate::portable::import::{Ask, ImportOptions, Imported, import};
use crate::volume::Volume;

/// Octets gathered before they go through the pipe.
const WRITE_OCTETS: usize = 256 * 1024;

/// Puts what `plan` names of a snapshot back. Messages that are there already are passed over, so this may be done
/// again. `ask` answers for each account where its mail goes.
pub fn restore_accounts(
    volume: &Volume,
    index: &Path,
    packs: &Path,
    plan: &Plan,
    options: &ImportOptions,
    progress: &Progress,
    ask: &mut Ask<'_>,
) -> Result<Imported> {
    let snapshot = Snapshot::open(index, packs)?;
    let (reader, writer) = std::io::pipe()?;
    // Lines about damage come from the import: the stream names it. So do the counters.
    let silent = Progress::default();
    let outcome = std::thread::scope(|scope| {
        let exporting = scope.spawn(|| {
            let out = BufWriter::with_capacity(WRITE_OCTETS, writer);
            export(snapshot.context(), out, plan, &silent).map(drop)
        });
        let imported = import(volume, reader, options, progress, ask);
        silent.cancel();
        let exported = exporting
            .join()
            .unwrap_or_else(|_| Err(StoreError::Failed("reading the snapshot panicked".to_owned())));
        // When the import fails the export meets a closed pipe, which is no news.
        imported.and_then(|imported| exported.map(|()| imported))
    });
    snapshot.close();
    outcome
}
