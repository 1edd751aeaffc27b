//! Backups: incremental, consistent while others write, resumed after an interruption, verified to the octet.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ironpost_store::backup::{self, PackList, Snapshot, TakeOptions, Taken, restore, verify};
use ironpost_store::portable::Progress;
use ironpost_store::{Options, Result, Volume, failpoints};
use parking_lot::RwLock;
use write_support::{Rig, body, number_of, quick};

/// Held for writing by the test that arms failpoints, for reading by all others.
static CALM: RwLock<()> = RwLock::new(());

const FOLDER: &str = "IRONPOST_BACKUP_FOLDER";

/// A backup's folders, as Python lays them out.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir_all(place.packs()).unwrap();
        place
    }

    fn packs(&self) -> PathBuf {
        self.0.path().join("packs")
    }

    fn snapshot(&self, name: &str) -> PathBuf {
        self.0.path().join("snapshots").join(name)
    }

    fn list(&self, name: &str) -> PackList {
        PackList::load(&self.snapshot(name).join("packs.list")).unwrap()
    }

    /// What whole snapshots know.
    fn known(&self, names: &[&str]) -> PackList {
        let mut known = PackList::default();
        for name in names {
            known.merge(&self.list(name));
        }
        known
    }

    fn take(&self, volume: &Volume, name: &str, before: &[&str], copy: bool) -> Result<Taken> {
        let options = TakeOptions { copy, rate: None };
        let known = self.known(before);
        let progress = Progress::default();
        let context = volume.context();
        let taken = backup::take(
            context,
            &self.packs(),
            &self.snapshot(name),
            &known,
            options,
            &progress,
            &mut || Ok(()),
        );
        assert_eq!(progress.problems(), 0);
        taken
    }

    fn problems(&self, name: &str) -> Vec<String> {
        let progress = Progress::default();
        let list = self.list(name);
        verify::packs(&list, &self.packs(), &progress).unwrap();
        let mut problems = progress.take_notes();
        let scratch = tempfile::tempdir().unwrap();
        let index = self.snapshot(name).join("index");
        let report = verify::check(&index, &list, &self.packs(), scratch.path(), true).unwrap();
        problems.extend(report.problems);
        problems
    }

    /// Restores a snapshot as a volume, which opens and is clean; the numbers of the messages in an account's INBOX.
    fn restored(&self, name: &str, account: u32) -> Vec<u64> {
        let folder = tempfile::tempdir().unwrap();
        let progress = Progress::default();
        restore::packs(&self.list(name), &self.packs(), &folder.path().join("packs"), &progress).unwrap();
        assert_eq!(progress.take_notes(), Vec::<String>::new());
        std::fs::create_dir(folder.path().join("index")).unwrap();
        std::fs::copy(
            self.snapshot(name).join("index/data.mdb"),
            folder.path().join("index/data.mdb"),
        )
        .unwrap();
        let mut rig = Rig::open(folder.path(), &quick());
        rig.deliver(account, "INBOX", &body(1_000_000, 100)).unwrap();
        let inbox = rig.mailbox(account, "INBOX");
        let mut numbers: Vec<u64> = rig
            .rows(inbox)
            .iter()
            .map(|(_, row)| number_of(&rig.read(row).unwrap()))
            .collect();
        assert_eq!(numbers.pop(), Some(1_000_000));
        rig.finish();
        numbers
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, u64, Vec<u8>)> {
    let mut found = Vec::new();
    for writer in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(writer.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let octets = std::fs::read(&path).unwrap();
            found.push((path, octets.len() as u64, octets));
        }
    }
    found.sort();
    found
}

#[test]
fn later_snapshots_copy_only_what_is_new() {
    let _calm = CALM.read();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..40 {
        rig.deliver(1, "INBOX", &body(number, 3000)).unwrap();
    }
    // Two with packs of their own.
    rig.deliver(1, "INBOX", &body(40, 400_000)).unwrap();
    rig.deliver(1, "INBOX", &body(41, 500_000)).unwrap();
    let first = place.take(&rig.volume, "1", &[], true).unwrap();
    assert_eq!((first.packs, first.packs_kept, first.counts.messages), (3, 0, 42));
    assert_eq!(first.octets_copied, first.pack_octets);
    let before = files(&place.packs());

    for number in 42..50 {
        rig.deliver(1, "INBOX", &body(number, 3000)).unwrap();
    }
    rig.deliver(1, "INBOX", &body(50, 600_000)).unwrap();
    let second = place.take(&rig.volume, "2", &["1"], true).unwrap();
    assert_eq!(
        (second.packs, second.packs_kept),
        (4, 2),
        "the active one has grown, one is new"
    );
    assert_eq!(second.octets_copied, second.pack_octets - first.pack_octets);
    let after = files(&place.packs());
    for (path, length, octets) in &before {
        let now = after.iter().find(|(of, _, _)| of == path).unwrap();
        assert_eq!(
            &now.2[..*length as usize],
            octets,
            "nothing of an earlier snapshot is written again"
        );
    }

    let third = place.take(&rig.volume, "3", &["1", "2"], true).unwrap();
    assert_eq!((third.packs_kept, third.octets_copied), (4, 0));
    rig.finish();
    for (name, count) in [("1", 42), ("2", 51), ("3", 51)] {
        assert_eq!(place.problems(name), Vec::<String>::new());
        assert_eq!(place.restored(name, 1), (0..count).collect::<Vec<u64>>());
    }
}

#[test]
fn sealed_packs_are_linked_on_the_same_file_system() {
    let _calm = CALM.read();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 3000)).unwrap();
    rig.finish();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(2, 3000)).unwrap();
    let taken = place.take(&rig.volume, "1", &[], false).unwrap();
    assert_eq!((taken.packs, taken.packs_linked), (2, 1));
    let links: Vec<u64> = files(&place.packs())
        .iter()
        .map(|(path, _, _)| std::fs::metadata(path).unwrap().nlink())
        .collect();
    assert_eq!(links, [2, 1]);
    // The store lets the sealed pack go; the snapshot keeps it.
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(ironpost_store::Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 1)],
    })
    .unwrap();
    rig.deliver(1, "INBOX", &body(3, 3000)).unwrap();
    let again = place.take(&rig.volume, "2", &["1"], false).unwrap();
    assert_eq!(again.packs_linked, 0);
    rig.finish();
    assert_eq!(place.problems("1"), Vec::<String>::new());
    assert_eq!(place.restored("1", 1), [1, 2]);
    assert_eq!(place.restored("2", 1), [2, 3]);
}

/// Not a test by itself: the other process of the next one. It writes until its standard input closes.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let stop = std::thread::spawn(|| std::io::read_to_string(std::io::stdin()).unwrap());
    let mut rig = Rig::open(Path::new(&folder), &quick());
    let mut number = 0;
    while !stop.is_finished() {
        let octets = if number % 50 == 7 { 300_000 } else { 2000 };
        rig.deliver(7, "INBOX", &body(number, octets)).unwrap();
        if number % 40 == 39 {
            // Packs become empty and go while they are copied.
            let mailbox = rig.mailbox(7, "INBOX");
            let uids = vec![(1, number as u32 - 20)];
            rig.write(ironpost_store::Op::ExpungeUids {
                account: 7,
                mailbox,
                uids,
            })
            .unwrap();
        }
        number += 1;
    }
    rig.finish();
}

#[test]
fn snapshots_are_consistent_while_two_processes_write() {
    let _calm = CALM.read();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut names: Vec<String> = Vec::new();
    let mut delivered = 0;
    for round in 0..4 {
        std::thread::scope(|scope| {
            let volume = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let done = std::sync::Arc::clone(&volume);
            let context = rig.volume.context().clone();
            let (place, before) = (&place, names.clone());
            let name = round.to_string();
            scope.spawn(move || {
                let before: Vec<&str> = before.iter().map(String::as_str).collect();
                let known = place.known(&before);
                let (packs, snapshot) = (place.packs(), place.snapshot(&name));
                let options = TakeOptions::default();
                backup::take(
                    &context,
                    &packs,
                    &snapshot,
                    &known,
                    options,
                    &Progress::default(),
                    &mut || Ok(()),
                )
                .unwrap();
                done.store(true, std::sync::atomic::Ordering::SeqCst);
            });
            while !volume.load(std::sync::atomic::Ordering::SeqCst) || delivered < (round + 1) * 50 {
                rig.deliver(1, "INBOX", &body(delivered, 3000)).unwrap();
                delivered += 1;
            }
        });
        names.push(round.to_string());
    }
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    rig.finish();
    for name in &names {
        assert_eq!(place.problems(name), Vec::<String>::new(), "{name}");
        let numbers = place.restored(name, 1);
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<u64>>());
    }
}

#[test]
fn an_interrupted_backup_is_resumed_and_harms_no_earlier_snapshot() {
    let _alone = CALM.write();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut next = 0;
    let mut more = |rig: &mut Rig| {
        for octets in [3000, 300_000, 400_000, 3000] {
            rig.deliver(1, "INBOX", &body(next, octets)).unwrap();
            next += 1;
        }
    };
    more(&mut rig);
    place.take(&rig.volume, "0", &[], true).unwrap();
    let points = [
        "backup-index",
        "backup-pack",
        "backup-write",
        "backup-sync",
        "backup-rename",
        "backup-list",
    ];
    let mut names = vec!["0".to_owned()];
    for point in points {
        for count in [1, 2, 3] {
            more(&mut rig);
            let name = format!("{point}-{count}");
            let before: Vec<&str> = names.iter().map(String::as_str).collect();
            failpoints::arm(&format!("{point}:{count}=eio-once"));
            let interrupted = place.take(&rig.volume, &name, &before, true);
            failpoints::disarm();
            if interrupted.is_err() {
                assert!(!place.snapshot(&name).join("packs.list").exists());
                for earlier in &before {
                    let progress = Progress::default();
                    verify::packs(&place.list(earlier), &place.packs(), &progress).unwrap();
                    assert_eq!(progress.take_notes(), Vec::<String>::new(), "{name}");
                }
                more(&mut rig);
                place.take(&rig.volume, &name, &before, true).unwrap();
            }
            names.push(name);
        }
    }
    rig.finish();
    for name in ["0", "backup-sync-1", "backup-list-1"] {
        assert_eq!(place.problems(name), Vec::<String>::new(), "{name}");
    }
    let last = names.last().unwrap();
    assert_eq!(place.problems(last), Vec::<String>::new());
    assert_eq!(place.restored(last, 1).len() as u64, next);
}

#[test]
fn a_flipped_octet_is_found_and_its_pack_named() {
    let _calm = CALM.read();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 300_000)).unwrap();
    rig.deliver(1, "INBOX", &body(2, 3000)).unwrap();
    place.take(&rig.volume, "1", &[], true).unwrap();
    rig.finish();
    assert_eq!(place.problems("1"), Vec::<String>::new());
    for (path, length, octets) in files(&place.packs()) {
        let writer = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        let name = format!("pack {writer}/{}", path.file_stem().unwrap().to_str().unwrap());
        let mut broken = octets.clone();
        broken[length as usize / 2] ^= 1;
        std::fs::write(&path, &broken).unwrap();
        let problems = place.problems("1");
        assert!(problems[0].starts_with(&name), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("blob")), "{problems:?}");
        std::fs::write(&path, &octets[..length as usize - 1]).unwrap();
        assert!(place.problems("1")[0].starts_with(&name));
        std::fs::remove_file(&path).unwrap();
        assert!(place.problems("1")[0].starts_with(&name));
        std::fs::write(&path, &octets).unwrap();
    }
    assert_eq!(place.problems("1"), Vec::<String>::new());
}

#[test]
fn an_open_snapshot_leaves_its_folder_as_it_is() {
    let _calm = CALM.read();
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new();
    let mut rig = Rig::open(folder.path(), &Options { readers: 1, ..quick() });
    rig.deliver(1, "INBOX", &body(1, 3000)).unwrap();
    place.take(&rig.volume, "1", &[], false).unwrap();
    let index = place.snapshot("1").join("index");
    let snapshot = Snapshot::open(&index, &place.packs()).unwrap();
    assert_eq!(snapshot.counts().unwrap().messages, 1);
    let names: Vec<_> = std::fs::read_dir(&index)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["data.mdb"]);
    snapshot.close();
    rig.finish();
}
