//! Stores that earlier releases wrote open with all that they hold, whatever crash interrupts the migration.
//!
//! `tests/upgrade/format1-*.tar.gz` were written by the release with format 1: one closed in order, one killed.
#![expect(clippy::unwrap_used, reason = "tests")]

mod upgrade_support;
mod write_support;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ironpost_store::Volume;
use ironpost_store::db::tables::Tables;
use upgrade_support::{options, unpack, verify};
use write_support::Rig;

const FOLDER: &str = "IRONPOST_UPGRADE_FOLDER";

#[test]
fn a_store_of_format_1_opens() {
    for (name, killed) in [("format1-clean", false), ("format1-killed", true)] {
        let folder = tempfile::tempdir().unwrap();
        unpack(name, folder.path());
        verify(folder.path(), killed);
        verify_again(folder.path());
    }
}

/// The second open finds nothing left to do, the checkpoint of the journal included.
fn verify_again(folder: &Path) {
    let rig = Rig::open(folder, &options());
    let present = |key: &[u8]| {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        context.tables.meta.get(&txn, key).unwrap().map(<[u8]>::to_vec)
    };
    assert_eq!(present(b"format"), Some(2_u32.to_le_bytes().to_vec()));
    assert_eq!(present(b"features"), Some(vec![0; 8]));
    assert_eq!(present(b"migrate"), None);
    // The writer tells the journal everything, step by step, by itself.
    let started = Instant::now();
    while present(b"checkpoint").is_some() {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the checkpoint does not end"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    rig.finish();
}

/// Not a test by itself: opens a volume in a process of its own, to be killed there.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    Volume::open(Path::new(&folder), &options()).unwrap().close();
}

fn features(folder: &Path) -> u64 {
    let env = ironpost_store::db::env::open_copy(&folder.join("index")).unwrap();
    let txn = env.read_txn().unwrap();
    let tables = Tables::open(&env, &txn).unwrap();
    let row = tables.meta.get(&txn, b"features").unwrap().unwrap();
    let features = u64::from_le_bytes(row.try_into().unwrap());
    drop(txn);
    env.prepare_for_closing().wait();
    features
}

#[test]
fn a_migration_goes_on_after_a_crash_at_each_step() {
    let folder = tempfile::tempdir().unwrap();
    unpack("format1-killed", folder.path());
    let mut crashes = 0;
    for step in (1..).take_while(|step| *step < 20) {
        // Always the first step that is left, so that each is met once.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child"])
            .env(FOLDER, folder.path())
            .env("IRONPOST_FAILPOINT", format!("migrate-step:{}", 1 + step % 2))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        if status.success() {
            break;
        }
        crashes += 1;
        assert_eq!(features(folder.path()), 1, "an older release must not open it now");
        assert!(crashes < 19, "the migration does not get on");
    }
    assert!(crashes >= 3, "{crashes}");
    verify(folder.path(), true);
}
