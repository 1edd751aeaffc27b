//! Power loss during the migration of a volume of format 1: whatever state it leaves, the next open takes it up, and everything
//! that the volume held is there.
//!
//! `IRONPOST_POWER_ROUNDS` beyond 1 cuts everywhere.

use std::panic::AssertUnwindSafe;
use std::path::Path;

use ironpost_store::{Volume, rebuild};

use crate::child::{Place, finish, quick_folder};
use crate::disk::{Disk, STYLES};
use crate::durable_support::{Random, setting};
use crate::journal::{self, Entry};
use crate::upgrade_support::{options, unpack, verify};

/// Opens, migrates and closes the volume; how many states were judged.
fn cut(name: &str, is_killed: bool, one_in: u64) -> u64 {
    let place = Place::new();
    let root = place.root();
    std::fs::create_dir(root.join("volume")).unwrap();
    unpack(name, &root.join("volume"));
    let mut disk = Disk::of(&root);
    finish(place.spawn("one", &[], None, None), false);
    let entries = journal::read(&place.log());
    let mut random = Random::new(7);
    let mut states = 0;
    for (at, entry) in entries.iter().enumerate() {
        disk.take(entry);
        let is_sync =
            |entry: Option<&Entry>| matches!(entry, Some(Entry::SyncEnds { .. } | Entry::Write { durable: true, .. }));
        let near = is_sync(Some(entry)) || is_sync(entries.get(at + 1));
        if !random.one_in(if near { one_in.div_ceil(4) } else { one_in }) {
            continue;
        }
        let style = STYLES[states as usize % STYLES.len()];
        let folder = tempfile::tempdir_in(quick_folder()).unwrap();
        disk.fail_power(&mut Random::new(at as u64), style, folder.path());
        let volume = folder.path().join("volume");
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| {
            verify(&volume, is_killed);
            // Open until the journal has been told everything.
            checkpoint(&volume);
            std::fs::remove_dir_all(volume.join("index")).unwrap();
            let report = rebuild::rebuild(&volume, options().map_size, &mut |_, _| {}).unwrap();
            assert_eq!((report.lost, report.found), (0, 0), "{report:?}");
            verify(&volume, is_killed);
        }));
        assert!(judged.is_ok(), "{name}, entry {at}, {style:?}");
        states += 1;
    }
    states
}

/// Waits until the writer has told the journal everything.
fn checkpoint(folder: &Path) {
    let volume = Volume::open(folder, &options()).unwrap();
    for _ in 0..3000 {
        let is_due = {
            let context = volume.context();
            let txn = context.begin().unwrap();
            context.tables.meta.get(&txn, b"checkpoint").unwrap().is_some()
        };
        if !is_due {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the checkpoint does not end");
}

#[test]
fn a_migration_goes_on_after_a_power_loss() {
    let one_in = if setting("IRONPOST_POWER_ROUNDS", 1) > 1 { 1 } else { 8 };
    for (name, is_killed) in [("format1-clean", false), ("format1-killed", true)] {
        let states = cut(name, is_killed, one_in);
        assert!(states >= 8, "{states} states");
        println!("{states} states of {name}");
    }
}
