//! Kills: a child process writes and tells what was acknowledged, dies at a named point or at any instant, and the
//! volume opens again with every acknowledged message exactly once (architecture: order of durability).
//!
//! `IRONPOST_CRASH_ROUNDS` sets how many random kills are tried (3 by default).
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Enqueue, Submit};
use ironpost_store::rebuild::rebuild;
use ironpost_store::{Op, Options, Outcome, StoreError, Ticket, Volume};
use write_support::{Rig, all_packs, body, number_of};

const FOLDER: &str = "IRONPOST_CRASH_FOLDER";
const FIRST: &str = "IRONPOST_CRASH_FIRST";
const LIMIT: &str = "IRONPOST_CRASH_LIMIT";
/// Tickets outstanding in a child.
const OUTSTANDING: usize = 24;

fn options() -> Options {
    Options {
        map_size: 1 << 30,
        min_free: 0,
        ..Options::default()
    }
}

/// What a child keeps of an operation on its way.
enum Asked {
    Deliver(u64),
    Enqueue(u64),
    Other,
}

/// Not a test by itself: the other half of those below, in a process of its own.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (first, limit) = (number(FIRST), number(LIMIT));
    let volume = Volume::open(Path::new(&folder), &options()).unwrap();
    let mut waiting: HashMap<Ticket, Asked> = HashMap::new();
    let mut next = first;
    let mut out = std::io::stdout().lock();
    // Compaction runs all the time: a new run begins as soon as one has ended.
    let mut compaction = None;
    // The last run is waited for: closing would stop it before its first pack went.
    while next < first + limit || !waiting.is_empty() || compaction.is_some() {
        while next < first + limit && waiting.len() < OUTSTANDING {
            let (ticket, asked) = ask(&volume, next);
            waiting.insert(ticket, asked);
            next += 1;
        }
        if compaction.is_none() && (first + 41..first + limit).contains(&next) {
            let seal = volume.write(Op::Seal).unwrap();
            waiting.insert(seal, Asked::Other);
            compaction = volume.compact(all_packs()).ok();
        }
        volume.wait(Duration::from_secs(10)).unwrap();
        for (ticket, result) in volume.completions(256) {
            if compaction == Some(ticket) {
                // Another process may be at it.
                assert!(matches!(result, Ok(_) | Err(StoreError::Refused(_))), "{result:?}");
                compaction = None;
                continue;
            }
            let line = match (waiting.remove(&ticket).unwrap(), result) {
                (Asked::Deliver(number), Ok(_)) => format!("message {number}"),
                (Asked::Enqueue(number), Ok(Outcome::Submitted(_, queued))) => format!("queue {number} {}", queued[0]),
                (_, Ok(_) | Err(StoreError::NotFound(_))) => continue,
                (_, Err(error)) => panic!("{error}"),
            };
            writeln!(out, "{line}").unwrap();
        }
    }
    volume.close();
    writeln!(out, "closed").unwrap();
}

fn ask(volume: &Volume, number: u64) -> (Ticket, Asked) {
    let deliver = |account: u32, octets: usize| {
        let mut sink = volume.sink(0);
        let message = body(number, octets);
        let mut rest = &message[..];
        while !rest.is_empty() {
            let taken = sink.push(rest);
            rest = &rest[taken..];
        }
        let prefix = format!("Delivered-To: {account}\r\n").into_bytes();
        let delivery = Delivery {
            account,
            mailbox: "INBOX".into(),
            prefix,
            ..Delivery::default()
        };
        volume
            .submit(
                Op::Submit(Submit {
                    deliveries: vec![delivery],
                    ..Submit::default()
                }),
                Some(sink),
                None,
            )
            .unwrap()
    };
    match number % 16 {
        5 => (deliver(1 + (number % 3) as u32, 300_000), Asked::Deliver(number)),
        // Account 9 has messages that come and go, some in packs of their own.
        6 | 7 => (deliver(9, if number % 32 == 6 { 300_000 } else { 3000 }), Asked::Other),
        8 => {
            let op = Op::ExpungeUids {
                account: 9,
                mailbox: mailbox_of(volume, 9),
                uids: vec![(1, u32::MAX)],
            };
            (volume.write(op).unwrap(), Asked::Other)
        }
        9 => {
            let mut sink = volume.sink(0);
            sink.push(&body(number, 2000));
            let item = Enqueue {
                due: number,
                prefix: b"Received: x\r\n".to_vec(),
                state: vec![3; 2500],
            };
            let submit = Submit {
                enqueue: vec![item],
                ..Submit::default()
            };
            (
                volume.submit(Op::Submit(submit), Some(sink), None).unwrap(),
                Asked::Enqueue(number),
            )
        }
        10 => {
            let op = Op::Copy {
                account: 9,
                mailbox: mailbox_of(volume, 9),
                uids: vec![(1, u32::MAX)],
                target: "Archive".into(),
                remove: number % 32 == 10,
            };
            (volume.write(op).unwrap(), Asked::Other)
        }
        _ => (
            deliver(1 + (number % 3) as u32, 500 + (number % 7) as usize * 1000),
            Asked::Deliver(number),
        ),
    }
}

fn mailbox_of(volume: &Volume, account: u32) -> u32 {
    let context = volume.context();
    let txn = context.begin().unwrap();
    context
        .tables
        .name(&txn, account, "INBOX")
        .unwrap()
        .map_or(0, |row| row.mailbox)
}

struct Acknowledged {
    messages: HashSet<u64>,
    queue: HashSet<u64>,
    closed: bool,
}

fn spawn(folder: &Path, first: u64, limit: u64, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .env(LIMIT, limit.to_string());
    if let Some(failpoint) = failpoint {
        command.env("IRONPOST_FAILPOINT", failpoint);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Reads what a child tells until its end; kills it after that many acknowledgements.
fn listen(mut child: Child, kill_after: Option<usize>) -> Acknowledged {
    let mut told = Acknowledged {
        messages: HashSet::new(),
        queue: HashSet::new(),
        closed: false,
    };
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let Ok(line) = line else { break };
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["message", number] => assert!(told.messages.insert(number.parse().unwrap())),
            ["queue", _, id] => assert!(told.queue.insert(id.parse().unwrap())),
            ["closed"] => told.closed = true,
            _ => continue,
        }
        count += 1;
        if kill_after == Some(count) {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    told
}

/// Everything acknowledged is there exactly once, nothing is there twice, and all invariants hold.
fn verify(folder: &Path, told: &Acknowledged) {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(folder, copy.path());
    verify_index(folder, told);
    verify_rebuilt(copy.path(), told);
}

/// The same of a copy whose index is lost: a queue item may be gone when its journal was in no pack yet.
fn verify_rebuilt(folder: &Path, told: &Acknowledged) {
    std::fs::remove_dir_all(folder.join("index")).unwrap();
    let report = rebuild(folder, 1 << 30, &mut |_, _| {}).unwrap();
    // Account 9's messages go: an expunge whose journal was in the lost index alone leaves a message without octets when
    // they had a pack of their own. Nobody else's may be missing.
    let gone = report.damaged.iter().filter(|text| text.starts_with("account 9, "));
    assert_eq!(report.lost, gone.count() as u64, "{report:?}");
    let told = Acknowledged {
        messages: told.messages.clone(),
        queue: HashSet::new(),
        closed: told.closed,
    };
    verify_index(folder, &told);
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn verify_index(folder: &Path, told: &Acknowledged) {
    let mut rig = Rig::open(folder, &options());
    let mut found: HashMap<u64, u32> = HashMap::new();
    for account in 1..=3 {
        let prefix = format!("Delivered-To: {account}\r\n");
        for (_, row) in rig.rows(rig.mailbox(account, "INBOX")) {
            let message = rig.read(&row).unwrap();
            let number = number_of(&message);
            // A rebuild that has only a hint to go by may not know the trace header.
            let prefix = if row.prefix == 0 { "" } else { prefix.as_str() };
            assert!(message.starts_with(prefix.as_bytes()));
            let octets = if number % 16 == 5 {
                300_000
            } else {
                500 + (number % 7) as usize * 1000
            };
            assert_eq!(&message[prefix.len()..], body(number, octets));
            *found.entry(number).or_default() += 1;
        }
    }
    assert!(found.values().all(|&count| count == 1));
    let missing: Vec<&u64> = told
        .messages
        .iter()
        .filter(|number| !found.contains_key(number))
        .collect();
    assert!(missing.is_empty(), "acknowledged and gone: {missing:?}");
    {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        for id in &told.queue {
            assert!(
                context.tables.queue_item(&txn, *id).unwrap().is_some(),
                "queue item {id} is gone"
            );
        }
    }
    rig.assert_clean();
    // The volume takes mail again.
    rig.deliver(4, "INBOX", &body(1, 100)).unwrap();
    rig.finish();
}

fn crash_at(points: &[&str]) {
    for point in points {
        for count in [1, 9] {
            let folder = tempfile::tempdir().unwrap();
            // Something is there already, so that the crash is not always that of a new volume.
            let before = listen(spawn(folder.path(), 100_000, 40, None), None);
            assert!(before.closed);
            let child = spawn(folder.path(), 1, 400, Some(&format!("{point}:{count}")));
            let mut told = listen(child, None);
            assert!(!told.closed || count > 1, "the crash point {point} was never passed");
            told.messages.extend(before.messages);
            told.queue.extend(before.queue);
            verify(folder.path(), &told);
        }
    }
}

#[test]
fn crashes_round_the_pack() {
    crash_at(&["pack-create", "pack-write", "pack-sync"]);
}

#[test]
fn crashes_round_compaction() {
    crash_at(&["relocate", "rejournal", "journal-flush", "retire"]);
}

const REBUILDS: &str = "IRONPOST_CRASH_REBUILDS";

/// Not a test by itself: makes the index anew in a process of its own.
#[test]
fn rebuilding_child() {
    let Ok(folder) = std::env::var(REBUILDS) else { return };
    rebuild(Path::new(&folder), 1 << 30, &mut |_, _| {}).unwrap();
}

/// A rebuild that is killed leaves the old index, or none beside its packs, or the new one; the next rebuild ends it.
#[test]
fn crashes_of_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let told = listen(spawn(folder.path(), 1, 200, None), None);
    assert!(told.closed);
    let points = [
        ("rebuild-fill", true),
        ("rebuild-sync", true),
        ("rebuild-rename", true),
        ("rebuild-between-renames", false),
        ("rebuild-renamed", true),
    ];
    for (point, opens) in points {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(folder.path(), copy.path());
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rebuilding_child"])
            .env(REBUILDS, copy.path())
            .env("IRONPOST_FAILPOINT", point)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(!status.success(), "the crash point {point} was never passed");
        if opens {
            let again = tempfile::tempdir().unwrap();
            copy_tree(copy.path(), again.path());
            verify_index(again.path(), &told);
        } else {
            let refused = Volume::open(copy.path(), &options()).unwrap_err();
            assert!(refused.to_string().contains("store rebuild"), "{refused}");
        }
        let report = rebuild(copy.path(), 1 << 30, &mut |_, _| {}).unwrap();
        assert_eq!((report.lost, report.found), (0, 0), "{point}: {report:?}");
        verify_index(copy.path(), &told);
    }
}

#[test]
fn crashes_round_the_transaction() {
    crash_at(&["txn-begin", "apply", "before-commit", "after-commit", "before-complete"]);
}

#[test]
fn crashes_round_large_bodies_and_unlinking() {
    crash_at(&["stream-write", "single-sync", "single-folder-sync", "pack-unlink"]);
}

#[test]
fn kills_at_any_instant() {
    let rounds: u64 = std::env::var("IRONPOST_CRASH_ROUNDS").map_or(3, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut told = Acknowledged {
        messages: HashSet::new(),
        queue: HashSet::new(),
        closed: false,
    };
    let seed = Instant::now().elapsed().subsec_nanos() as u64 + u64::from(std::process::id());
    for round in 0..rounds {
        let kill_after = 20 + (seed.wrapping_mul(round + 7) % 180) as usize;
        let more = listen(spawn(folder.path(), 1 + round * 10_000, 2000, None), Some(kill_after));
        told.messages.extend(more.messages);
        told.queue.extend(more.queue);
        verify(folder.path(), &told);
    }
}

#[test]
fn two_processes_write_at_once_and_one_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (
        spawn(folder.path(), 1, 300, None),
        spawn(folder.path(), 50_000, 100_000, None),
    );
    let victim = std::thread::spawn(move || listen(second, Some(200)));
    let mut told = listen(first, None);
    assert!(told.closed);
    let killed = victim.join().unwrap();
    told.messages.extend(killed.messages);
    told.queue.extend(killed.queue);
    verify(folder.path(), &told);
}
