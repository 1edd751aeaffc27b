//! Power loss: a recorded history is cut at many moments, and every disk state that the cut may leave must open with
//! all that was answered before it.
//!
//! `IRONPOST_POWER_ROUNDS` says how many histories (1 by default, with some hundred states; more have
//! several states per cut),
//! `IRONPOST_POWER_SEED` where they begin.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use crate::child::{Place, copy_tree, finish, quick_folder};
use crate::disk::{Disk, STYLES, Style};
use crate::durable_support::script::Author;
use crate::durable_support::steps::Step;
use crate::durable_support::{Random, setting};
use crate::follow::Follower;
use crate::journal::{self, Entry};

/// A history of several processes: one alone on a new volume; two at once, of which one dies in the middle; one that
/// recovers the dead and goes on.
struct Recording {
    place: Place,
    scripts: Vec<(&'static str, Vec<Step>)>,
    entries: Vec<Entry>,
}

fn record(seed: u64, scale: usize) -> Recording {
    let place = Place::new();
    let mut first = Author::new(seed, vec![1, 2, 3], 1_000, 7, true).with_upkeep();
    let mut second = Author::new(seed + 1, vec![11, 12], 200_000, 7, false).with_upkeep();
    let one = first.steps(60 * scale);
    finish(place.spawn("one", &one, None, None), false);
    let two = first.steps(30 * scale);
    let dying = second.steps(40 * scale);
    let (living, dead) = (
        place.spawn("two", &two, None, None),
        place.spawn("dying", &dying, Some(30 * scale), None),
    );
    finish(dead, true);
    finish(living, false);
    let last = first.steps(30 * scale);
    finish(place.spawn("last", &last, None, None), false);
    let entries = journal::read(&place.log());
    for entry in &entries {
        // Without faults nothing fails.
        assert!(
            !matches!(entry, Entry::Note { text } if text.contains(" failed ")),
            "{entry:?}"
        );
    }
    Recording {
        place,
        scripts: vec![("one", one), ("two", two), ("dying", dying), ("last", last)],
        entries,
    }
}

impl Recording {
    fn follower(&self) -> Follower {
        let scripts: Vec<(&str, &[Step])> = self.scripts.iter().map(|(name, steps)| (*name, &steps[..])).collect();
        Follower::new(&scripts)
    }
}

/// The names of all files below a folder, with their octets. The lock file of LMDB is memory that processes share, not
/// something that is written; it is made anew after a power loss.
fn tree(folder: &Path, below: &str, out: &mut Vec<(String, Vec<u8>)>) {
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    for name in names {
        let name = name.into_string().unwrap();
        let (path, told) = (folder.join(&name), format!("{below}/{name}"));
        if path.is_dir() {
            out.push((told.clone(), Vec::new()));
            tree(&path, &told, out);
        } else if name != "lock.mdb" {
            out.push((told, std::fs::read(&path).unwrap()));
        }
    }
}

/// The log holds all: played onto an empty folder it makes the same files, octet by octet.
#[test]
fn the_log_is_complete() {
    let recording = record(setting("IRONPOST_POWER_SEED", 1), 1);
    let mut disk = Disk::new();
    recording.entries.iter().for_each(|entry| disk.take(entry));
    let copy = tempfile::tempdir_in(quick_folder()).unwrap();
    disk.put(copy.path());
    let (mut real, mut played) = (Vec::new(), Vec::new());
    tree(&recording.place.root(), "", &mut real);
    tree(copy.path(), "", &mut played);
    let names = |files: &[(String, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, octets)| (name.clone(), octets.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&real), names(&played));
    for ((name, one), (_, two)) in real.iter().zip(&played) {
        assert!(one == two, "{name} differs");
    }
    // All that is to be simulated has happened.
    let count = |wanted: fn(&Entry) -> bool| recording.entries.iter().filter(|entry| wanted(entry)).count();
    assert!(
        count(|entry| matches!(entry, Entry::Write { durable: true, .. })) > 20,
        "LMDB's meta pages"
    );
    assert!(count(|entry| matches!(entry, Entry::Write { durable: false, .. })) > 100);
    assert!(count(|entry| matches!(entry, Entry::SyncEnds { failed: false, .. })) > 50);
    assert!(
        count(|entry| matches!(entry, Entry::Rename { .. })) > 3,
        "packs of large bodies"
    );
    assert!(
        count(|entry| matches!(entry, Entry::Unlink { path } if path.ends_with(".pack"))) > 0,
        "dead packs"
    );
    assert!(count(|entry| matches!(entry, Entry::Allocate { .. })) > 0);
    let mut follower = recording.follower();
    recording.entries.iter().for_each(|entry| follower.take(entry));
    assert_eq!((follower.closed, follower.unopened, follower.faults), (3, 0, 0));
    assert!(
        follower.answers[0] > 80 && follower.answers[1] > 0,
        "{:?}",
        follower.answers
    );
}

#[test]
fn nothing_answered_is_lost_when_the_power_fails() {
    let first = setting("IRONPOST_POWER_SEED", 1);
    let rounds = setting("IRONPOST_POWER_ROUNDS", 1);
    let mut states = 0;
    for seed in first..first + rounds {
        states += cut(seed, if rounds > 1 { 2 } else { 1 }, if rounds > 1 { 6 } else { 1 });
    }
    assert!(states >= 200 * rounds, "{states} states");
    println!("{states} states of {rounds} histories");
}

/// Cuts one history; how many states were judged.
fn cut(seed: u64, scale: usize, per_cut: u64) -> u64 {
    let recording = record(seed, scale);
    let (mut disk, mut follower) = (Disk::new(), recording.follower());
    let mut random = Random::new(seed ^ 0xdead);
    let mut states = 0;
    let mut next_style = 0;
    for (at, entry) in recording.entries.iter().enumerate() {
        disk.take(entry);
        follower.take(entry);
        // Every answer that comes first in a row of them; every sync and durable write, right before and right after,
        // now and then; others seldom.
        let next = recording.entries.get(at + 1);
        let answer = |entry: &Entry| matches!(entry, Entry::Note { text } if text.starts_with("answer"));
        let sync = |entry: &Entry| matches!(entry, Entry::SyncEnds { .. } | Entry::Write { durable: true, .. });
        let cut_here = if answer(entry) {
            !next.is_some_and(answer) && random.one_in(2)
        } else if sync(entry) || next.is_some_and(sync) {
            random.one_in(4)
        } else {
            random.one_in(12)
        };
        if !cut_here {
            continue;
        }
        for _ in 0..per_cut {
            let style = STYLES[next_style % STYLES.len()];
            next_style += 1;
            judge(
                &disk,
                &follower,
                style,
                random.next(),
                &format!("seed {seed}, entry {at}"),
            );
            states += 1;
        }
    }
    states
}

/// One state: drawn, opened, judged.
pub fn judge(disk: &Disk, follower: &Follower, style: Style, dice: u64, what: &str) {
    if let Err(fault) = verdict(disk, follower, style, dice) {
        panic!("{what}, {style:?}, dice {dice}: {fault}");
    }
}

/// What is wrong with a state. `IRONPOST_POWER_KEEP` keeps it for a look.
fn verdict(disk: &Disk, follower: &Follower, style: Style, dice: u64) -> Result<(), String> {
    let folder = tempfile::tempdir_in(quick_folder()).unwrap();
    disk.fail_power(&mut Random::new(dice), style, folder.path());
    spoil_lock_file(folder.path(), dice);
    // Every third state that has an index is one that loses it, too.
    let has_index = folder.path().join("volume/index/data.mdb").exists();
    let copy = (dice % 3 == 1 && has_index).then(|| {
        let copy = tempfile::tempdir_in(quick_folder()).unwrap();
        copy_tree(folder.path(), copy.path());
        copy
    });
    let judged = std::panic::catch_unwind(AssertUnwindSafe(|| {
        follower.judge(folder.path(), copy.as_ref().map(tempfile::TempDir::path))
    }));
    let judged = judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic".to_owned()))
    });
    if judged.is_err() && std::env::var_os("IRONPOST_POWER_KEEP").is_some() {
        println!("the state is kept in {}", folder.keep().display());
    }
    judged
}

/// LMDB's lock file is shared memory: after a power loss it may hold anything.
fn spoil_lock_file(root: &Path, dice: u64) {
    let path = root.join("volume/index/lock.mdb");
    if dice.is_multiple_of(3) && path.exists() {
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        let mut random = Random::new(dice);
        let garbage: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        std::fs::write(path, garbage).unwrap();
    }
}

/// The proof can fail: with a disk that leaves out some syncs the same states are found wanting.
#[test]
fn a_disk_that_lies_is_found_out() {
    type Lie = (&'static str, fn(&str, &Entry) -> bool);
    let lies: [Lie; 4] = [
        ("packs are not synced", |path, entry| {
            path.ends_with(".pack") && matches!(entry, Entry::SyncEnds { .. })
        }),
        ("the index is not synced", |path, entry| {
            path.ends_with("data.mdb") && matches!(entry, Entry::SyncEnds { .. })
        }),
        ("folders of packs are not synced", |path, entry| {
            path.contains("packs/") && !path.contains('.') && matches!(entry, Entry::SyncEnds { .. })
        }),
        ("LMDB's meta pages are not written through", |_, entry| {
            matches!(entry, Entry::Write { durable: true, .. })
        }),
    ];
    let recording = record(setting("IRONPOST_POWER_SEED", 1), 1);
    for (what, lies) in lies {
        let (mut disk, mut follower) = (Disk::new(), recording.follower());
        let mut paths: HashMap<u64, String> = HashMap::new();
        let mut found_out = false;
        for (at, entry) in recording.entries.iter().enumerate() {
            if let Entry::Open { handle, path, .. } = entry {
                paths.insert(*handle, path.clone());
            }
            let path = match entry {
                Entry::SyncEnds { handle, .. } | Entry::Write { handle, .. } => &paths[handle],
                _ => "",
            };
            match entry {
                Entry::Write {
                    handle, offset, data, ..
                } if lies(path, entry) => {
                    let (handle, offset, data) = (*handle, *offset, data.clone());
                    disk.take(&Entry::Write {
                        handle,
                        offset,
                        durable: false,
                        data,
                    });
                }
                entry if lies(path, entry) => {}
                entry => disk.take(entry),
            }
            follower.take(entry);
            if at % 97 == 96 {
                let judged = verdict(&disk, &follower, Style::Nothing, at as u64);
                found_out = judged.is_err();
            }
            if found_out {
                break;
            }
        }
        assert!(found_out, "{what}, and nobody has noticed");
    }
}
