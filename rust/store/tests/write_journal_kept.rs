//! What the journal in the packs must not lose: through kills, compaction and one rebuild after another.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::path::Path;
use std::time::{Duration, Instant};

use ironpost_store::compaction::Rules;
use ironpost_store::ops::{Enqueue, FlagMode, FlagSet, RetainedChoice, Submit};
use ironpost_store::rebuild::rebuild;
use ironpost_store::{Op, Options, Outcome, PackId};
use write_support::{Rig, body, delivery, quick};

fn retaining() -> Options {
    Options {
        retention: 3600,
        ..quick()
    }
}

fn expunge(account: u32, mailbox: u32, uids: (u32, u32)) -> Op {
    Op::ExpungeUids {
        account,
        mailbox,
        uids: vec![uids],
    }
}

fn recover(rig: &mut Rig, into: Option<&str>) -> u64 {
    let op = Op::Recover {
        account: 1,
        choice: RetainedChoice::default(),
        into: into.map(str::to_owned),
    };
    match rig.write(op).unwrap() {
        Outcome::Count(count) => count,
        other => panic!("{other:?}"),
    }
}

/// The volume as a kill would leave it now: everything but the locks of whoever has it open.
fn copy_of(folder: &Path) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else if entry.file_name() != "lock.mdb" {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let target = tempfile::tempdir().unwrap();
    copy(folder, target.path());
    target
}

/// Octets that are dead as soon as they are sealed: a queue item that was done with at once.
fn dead_octets(rig: &mut Rig) {
    let item = Enqueue {
        due: 1,
        prefix: Vec::new(),
        state: Vec::new(),
    };
    let submit = Submit {
        enqueue: vec![item],
        ..Submit::default()
    };
    let (_, queued) = rig.submit(submit, Some(&body(5000, 200_000))).unwrap();
    let submit = Submit {
        dequeue: queued,
        ..Submit::default()
    };
    rig.submit(submit, None).unwrap();
}

/// Only packs that are mostly dead.
fn dead_packs() -> Rules {
    Rules {
        dead_percent: 50,
        small_octets: 0,
        small_count: usize::MAX,
        age: 0,
        rate: 0,
        budget: 0,
    }
}

#[test]
fn the_pack_of_a_killed_writer_stays_for_its_journal_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..5 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
    }
    rig.write(Op::Seal).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(Op::StoreFlags {
        account: 1,
        mailbox: inbox,
        uids: vec![(2, 3)],
        mode: FlagMode::Add,
        flags: FlagSet::parse(["\\Seen", "$Work"]).unwrap(),
        unchanged_since: None,
    })
    .unwrap();
    // Nothing is retired, but what has been told goes to the pack, which holds nothing else.
    rig.write(Op::Retire {
        pack: PackId::new(99, 1),
    })
    .unwrap();
    let before = rig.shown(1);
    let killed = copy_of(folder.path());
    rig.finish();
    let mut rig = Rig::open(killed.path(), &quick());
    assert!(
        rig.volume.recovery().starts_with("dead writers 1"),
        "{}",
        rig.volume.recovery()
    );
    rig.assert_clean();
    let (rig, report) = rig.rebuild(killed.path(), &quick());
    assert_eq!((report.found, report.lost), (0, 0), "{report:?}");
    assert_eq!(rig.shown(1), before);
    rig.finish();
}

fn is_checkpoint_due(rig: &Rig) -> bool {
    let context = rig.volume.context();
    let txn = context.begin().unwrap();
    context.tables.meta.get(&txn, b"checkpoint").unwrap().is_some()
}

#[test]
fn a_rebuild_tells_what_it_has_made_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 900)).unwrap();
    let submit = Submit {
        deliveries: vec![delivery(2, "Lists/rust", b"Delivered-To: two\r\n", &[])],
        ..Submit::default()
    };
    rig.submit(submit, Some(&body(77, 5000))).unwrap();
    // The journal of the last batch is in no pack yet, and the index is lost.
    let killed = copy_of(folder.path());
    rig.finish();
    std::fs::remove_dir_all(killed.path().join("index")).unwrap();
    let report = rebuild(killed.path(), 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!(report.found, 1, "{report:?}");
    let mut rig = Rig::open(killed.path(), &quick());
    rig.deliver(2, "Lists/rust", &body(78, 700)).unwrap();
    let list = rig.mailbox(2, "Lists/rust");
    rig.write(Op::MarkSeen {
        account: 2,
        mailbox: list,
        uids: vec![(1, u32::MAX)],
    })
    .unwrap();
    let before = (rig.shown(1), rig.shown(2));
    assert_eq!(before.1["Lists/rust"].4.len(), 2);
    // Until the journal has been told everything the next rebuild would be in doubt, and skip UIDs.
    let started = Instant::now();
    while is_checkpoint_due(&rig) {
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "the checkpoint does not end"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let (rig, report) = rig.rebuild(killed.path(), &quick());
    assert_eq!((report.found, report.lost), (0, 0), "{report:?}");
    assert_eq!((rig.shown(1), rig.shown(2)), before);
    rig.finish();
}

#[test]
fn compaction_of_what_tells_of_an_expunge_keeps_what_is_retained() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    for number in 0..10 {
        rig.deliver(1, "INBOX", &body(number, 9000)).unwrap();
    }
    rig.write(Op::Seal).unwrap();
    // The next pack tells of the expunge, the first one of the messages.
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (4, 6))).unwrap();
    dead_octets(&mut rig);
    rig.write(Op::Seal).unwrap();
    let before = rig.shown(1);
    assert_eq!(rig.compact(dead_packs()).packs, 1);
    let (mut rig, report) = rig.rebuild(folder.path(), &retaining());
    assert_eq!((report.found, report.lost, report.retained), (0, 0, 3), "{report:?}");
    assert_eq!(rig.shown(1), before);
    assert_eq!(recover(&mut rig, None), 3);
    rig.finish();
}

#[test]
fn compaction_keeps_what_deleted_mailboxes_retain() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    for number in 0..6 {
        rig.deliver(1, "Lists", &body(number, 9000)).unwrap();
    }
    rig.write(Op::Seal).unwrap();
    let list = rig.mailbox(1, "Lists");
    rig.write(expunge(1, list, (1, 1))).unwrap();
    dead_octets(&mut rig);
    rig.write(Op::Seal).unwrap();
    let op = Op::DeleteMailbox {
        account: 1,
        name: "Lists".into(),
    };
    rig.write(op).unwrap();
    // A pack without blobs would be compacted as well.
    rig.deliver(1, "INBOX", &body(100, 9000)).unwrap();
    rig.write(Op::Seal).unwrap();
    assert_eq!(rig.compact(dead_packs()).packs, 1);
    let (mut rig, report) = rig.rebuild(folder.path(), &retaining());
    assert_eq!((report.lost, report.retained), (0, 6), "{report:?}");
    assert_eq!(recover(&mut rig, None), 6);
    assert_eq!(rig.rows(rig.mailbox(1, "Lists")).len(), 6);
    rig.finish();
}

#[test]
fn what_was_recovered_is_not_there_to_be_recovered_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    for number in 0..4 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
    }
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (1, 2))).unwrap();
    assert_eq!(recover(&mut rig, None), 2);
    let before = rig.shown(1);
    let (mut rig, report) = rig.rebuild(folder.path(), &retaining());
    assert_eq!((report.lost, report.retained), (0, 0), "{report:?}");
    assert_eq!(rig.shown(1), before);
    assert_eq!(recover(&mut rig, None), 0);
    rig.finish();
}
