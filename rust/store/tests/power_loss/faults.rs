//! Every call that writes, syncs or changes names fails once, or from some moment on, for lack of space or by a fault
//! of the disk: LMDB's own calls included. The process answers or ends in order, and what it answered is there: at
//! once, after another process has gone on, and after a power loss that keeps nothing of what a failed sync dropped.
//!
//! A sample by default; `IRONPOST_FAULTS=all` tries every call.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::child::{Place, finish};
use crate::disk::{Disk, Style};
use crate::durable_support::script::Author;
use crate::durable_support::steps::{Step, Upkeep};
use crate::follow::Follower;
use crate::journal::{self, Entry};
use crate::power::judge;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EMFILE: i32 = 24;

/// Accounts of the faulty process and of the one after it, so that steps of unknown outcome stay by themselves.
const FAULTY: [u32; 3] = [1, 2, 3];
const AFTER: [u32; 2] = [21, 22];

struct Trial {
    follower: Follower,
    entries: Vec<Entry>,
}

/// The scripts of a trial: before the fault, with it, after it.
fn scripts() -> [(&'static str, Vec<Step>); 3] {
    let mut author = Author::new(5, FAULTY.to_vec(), 1_000, 4, true);
    let before = author.steps(15);
    let mut faulty = author.steps(30);
    faulty.extend(removals());
    faulty.extend(compaction());
    faulty.extend(author.steps(30));
    faulty.extend(compaction());
    let after = Author::new(6, AFTER.to_vec(), 500_000, 6, false).steps(15);
    [("before", before), ("faulty", faulty), ("after", after)]
}

/// A volume that one process has made, recorded once for all trials.
fn template() -> &'static Place {
    static TEMPLATE: OnceLock<Place> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let place = Place::new();
        let [(name, steps), ..] = scripts();
        finish(place.spawn(name, &steps, None, None), false);
        place
    })
}

/// One process with the fault, on a volume that another has made; one after it without.
fn trial(fault: &str) -> Trial {
    let place = template().copy();
    let scripts = scripts();
    let scripts: Vec<(&str, &[Step])> = scripts.iter().map(|(name, steps)| (*name, &steps[..])).collect();
    finish(place.spawn("faulty", scripts[1].1, None, Some(fault)), false);
    let until = journal::read(&place.log()).len();
    finish(place.spawn("after", scripts[2].1, None, None), false);
    let entries = journal::read(&place.log());
    let (mut disk, mut follower) = (Disk::new(), Follower::new(&scripts));
    for (at, entry) in entries.iter().enumerate() {
        disk.take(entry);
        follower.take(entry);
        let styles: &[Style] = if at + 1 == entries.len() {
            &[Style::Everything, Style::Sectors]
        } else if at + 1 == until {
            &[Style::Nothing]
        } else {
            &[]
        };
        for (dice, style) in styles.iter().enumerate() {
            judge(
                &disk,
                &follower,
                *style,
                dice as u64,
                &format!("fault {fault}, entry {at}"),
            );
        }
    }
    assert!(follower.unopened <= 1, "{fault}");
    Trial { follower, entries }
}

/// A run of compaction beside which mail arrives; another that takes what it has left.
fn compaction() -> Vec<Step> {
    let upkeep = |what| Step::Upkeep { author: 9, what };
    vec![upkeep(Upkeep::Seal), upkeep(Upkeep::Compact)]
}

/// Steps that end in packs being unlinked: large bodies that are refused, and some whose mailbox goes.
fn removals() -> Vec<Step> {
    let account = 4;
    let octets = |number| crate::write_support::body(number, 270_000).len();
    let mailbox = || "Gone".to_owned();
    let deliver = |number| Step::Deliver {
        number,
        octets: octets(number),
        prefix: false,
        targets: vec![(account, mailbox())],
        due: None,
    };
    let refused = |number| Step::Append {
        account,
        mailbox: "Missing".to_owned(),
        number,
        octets: octets(number),
        flags: 0,
        keywords: 0,
    };
    let expunge = Step::ExpungeUids {
        account,
        mailbox: mailbox(),
        first: 1,
        last: 1,
    };
    let delete = Step::Delete {
        account,
        name: mailbox(),
    };
    vec![
        deliver(90_000),
        refused(90_001),
        deliver(90_002),
        expunge,
        refused(90_003),
        delete,
        Step::Ensure { account },
    ]
}

/// A pack that a sync failed on is never synced again by the process: the kernel would say that all is well. Nor is
/// the index, but for lack of space: then LMDB writes every page of the smaller transaction anew, and what the failed
/// sync may have dropped is pointed to by nothing.
fn assert_no_second_sync(fault: &str, entries: &[Entry]) {
    let mut paths: HashMap<u64, &str> = HashMap::new();
    let mut failed: Vec<(u64, &str)> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Open { handle, path, .. } => {
                paths.insert(*handle, path);
            }
            Entry::SyncEnds {
                handle, failed: true, ..
            } => failed.push((handle >> 32, paths[handle])),
            Entry::SyncBegins { handle, .. } => {
                let of = (handle >> 32, paths[handle]);
                // Of a folder new names are synced anew; those that failed have been removed.
                let file = of.1.ends_with(".pack") || (of.1.ends_with("data.mdb") && !fault.ends_with(":28"));
                assert!(!file || !failed.contains(&of), "{fault}: {} is synced again", of.1);
            }
            _ => {}
        }
    }
}

fn is_long() -> bool {
    std::env::var("IRONPOST_FAULTS").is_ok_and(|text| text == "all")
}

/// Counts from 1 on: all, or some that lie further and further apart.
fn counts() -> Box<dyn Iterator<Item = u64>> {
    if is_long() {
        Box::new(1..100_000)
    } else {
        Box::new((0..).map(|step: u64| 1 + step * (step + 2) * 5))
    }
}

/// Fails every call of a kind, in turn, in both ways; the answers summed up.
fn fail_all(kind: &str, errno: i32) -> [u64; 4] {
    let mut sum = [0; 4];
    for how in ["once", "on"] {
        let mut reached = 0;
        for count in counts() {
            let fault = format!("{kind}:{count}:{how}:{errno}");
            let trial = trial(&fault);
            if trial.follower.faults == 0 {
                break;
            }
            reached += 1;
            assert_no_second_sync(&fault, &trial.entries);
            for (total, answers) in sum.iter_mut().zip(trial.follower.answers) {
                *total += answers;
            }
            if std::env::var_os("IRONPOST_FAULTS_TELL").is_some() {
                println!(
                    "{fault}: {:?}, not opened {}",
                    trial.follower.answers, trial.follower.unopened
                );
            }
        }
        assert!(reached > 0, "no {kind} was reached");
    }
    sum
}

#[test]
fn no_space_for_a_write() {
    let [.., full, _] = fail_all("write", ENOSPC);
    assert!(full > 0);
}

#[test]
fn a_write_fails() {
    let [.., failed] = fail_all("write", EIO);
    assert!(failed > 0);
}

#[test]
fn a_sync_fails() {
    let [.., failed] = fail_all("sync", EIO);
    assert!(failed > 0);
}

#[test]
fn a_sync_finds_no_space() {
    fail_all("sync", ENOSPC);
}

#[test]
fn a_file_does_not_open() {
    fail_all("open", ENOSPC);
    if is_long() {
        fail_all("open", EMFILE);
    }
}

#[test]
fn names_do_not_change() {
    fail_all("rename", EIO);
    fail_all("unlink", EIO);
    fail_all("folder", ENOSPC);
}

#[test]
fn lengths_do_not_change() {
    fail_all("allocate", ENOSPC);
    fail_all("truncate", EIO);
}
