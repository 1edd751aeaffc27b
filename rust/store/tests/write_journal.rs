//! The journal's way to a pack: what stands in the index alone survives the death of its writer, and nothing lets a pack go
//! whose journal is in no other.
//!
//! The points that fail are armed for the whole process, so these tests hold one lock.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::path::Path;

use ironpost_store::compaction::Rules;
use ironpost_store::ops::{FlagMode, FlagSet, Restore, RetainedChoice};
use ironpost_store::rebuild::rebuild;
use ironpost_store::{Op, Options, Outcome, StoreError, failpoints};
use parking_lot::Mutex;
use write_support::{Rig, Shown, all_packs, body, quick};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Disarms at the end of a test, however it ends.
struct Disarm;

impl Drop for Disarm {
    fn drop(&mut self) {
        failpoints::disarm();
    }
}

fn options() -> Options {
    Options {
        retention: 3600,
        ..quick()
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// What an account shows but for UIDNEXT, which a rebuild may set ahead.
fn shown(rig: &Rig) -> Shown {
    let mut shown = rig.shown(1);
    shown.values_mut().for_each(|mailbox| mailbox.1 = 0);
    shown
}

/// The volume as a kill at this moment leaves it.
fn killed(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_tree(folder, copy.path());
    copy
}

fn expunge(account: u32, mailbox: u32, uids: (u32, u32)) -> Op {
    Op::ExpungeUids {
        account,
        mailbox,
        uids: vec![uids],
    }
}

/// Changes without bodies: the last of them have their journal in the index alone.
fn change(rig: &mut Rig) -> Shown {
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(Op::StoreFlags {
        account: 1,
        mailbox: inbox,
        uids: vec![(2, 3)],
        mode: FlagMode::Add,
        flags: FlagSet::parse(["\\Seen", "$Later"]).unwrap(),
        unchanged_since: None,
    })
    .unwrap();
    rig.write(expunge(1, inbox, (4, 5))).unwrap();
    rig.write(Op::CreateMailbox {
        account: 1,
        name: "New".into(),
        special_use: String::new(),
    })
    .unwrap();
    rig.write(Op::Copy {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 2)],
        target: "New".into(),
        remove: true,
    })
    .unwrap();
    shown(rig)
}

/// The index made anew after recovery shows the same, with nothing that had to be guessed.
fn assert_rebuilt(folder: &Path, before: &Shown) {
    let rig = Rig::open(folder, &options());
    assert_eq!(&shown(&rig), before, "after recovery");
    rig.volume.close();
    std::fs::remove_dir_all(folder.join("index")).unwrap();
    let report = rebuild(folder, 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!(
        (report.found, report.lost, report.damaged.len()),
        (0, 0, 0),
        "{report:?}"
    );
    let rig = Rig::open(folder, &options());
    assert_eq!(&shown(&rig), before, "after a rebuild");
    rig.finish();
}

#[test]
fn the_next_open_takes_over_what_no_pack_holds() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    for number in 0..6 {
        rig.append(1, "INBOX", &body(number, 1500), &[]).unwrap();
    }
    let before = change(&mut rig);
    let first = killed(folder.path());
    assert_rebuilt(first.path(), &before);
    // Killed once more, after the journal was taken over and before a pack has it; and again.
    let second = killed(folder.path());
    for _ in 0..2 {
        let rig = Rig::open(second.path(), &options());
        let next = killed(second.path());
        rig.volume.close();
        assert_rebuilt(next.path(), &before);
    }
    let third = killed(folder.path());
    rig.finish();
    let rig = Rig::open(third.path(), &options());
    let fourth = killed(third.path());
    drop(rig);
    let rig = Rig::open(fourth.path(), &options());
    let fifth = killed(fourth.path());
    drop(rig);
    assert_rebuilt(fifth.path(), &before);
}

/// A writer whose packs hold a journal and no body that anybody wants.
#[test]
fn a_dead_writers_journal_outlives_its_bodies() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..6 {
        rig.append(1, "INBOX", &body(number, 1500), &[]).unwrap();
    }
    rig.volume.close();
    let mut rig = Rig::open(folder.path(), &quick());
    change(&mut rig);
    let passing = rig.append(2, "INBOX", &body(50, 700), &[]).unwrap();
    rig.append(2, "INBOX", &body(51, 700), &[]).unwrap();
    rig.write(expunge(2, passing.mailbox, (1, 2))).unwrap();
    let before = shown(&rig);
    let copy = killed(folder.path());
    assert_rebuilt(copy.path(), &before);
    rig.finish();
}

/// A full disk in the very moment in which compaction lets a pack go.
#[test]
fn no_pack_goes_whose_journal_is_in_no_other() {
    let _lock = ONE_AT_A_TIME.lock();
    let _disarm = Disarm;
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    for number in 0..6 {
        rig.append(1, "INBOX", &body(number, 1500), &["\\Flagged"]).unwrap();
        rig.write(Op::Seal).unwrap();
    }
    let before = shown(&rig);
    // Copying works; the write of the journal that was told again does not.
    let mut tried = 0;
    for count in 1..6 {
        failpoints::arm(&format!("pack-write:{count}=enospc"));
        let ticket = rig.volume.compact(all_packs());
        let outcome = rig.wait(ticket);
        failpoints::disarm();
        let copy = killed(folder.path());
        std::fs::remove_dir_all(copy.path().join("index")).unwrap();
        let report = rebuild(copy.path(), 1 << 30, &mut |_, _| {}).unwrap();
        assert_eq!((report.found, report.lost), (0, 0), "{count}: {report:?}");
        let copied = Rig::open(copy.path(), &options());
        assert_eq!(shown(&copied), before, "{count}");
        copied.finish();
        match outcome {
            Err(StoreError::Full(_)) => tried += 1,
            Ok(_) => break,
            Err(error) => panic!("{error}"),
        }
        // The thread of the run ends a moment after its answer.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(tried >= 1);
    assert_eq!(rig.volume.failed(), None);
    rig.finish();
}

/// A clean end that finds no room keeps its writer's row, so that the next open recovers it.
#[test]
fn a_writer_that_cannot_end_in_order_is_recovered() {
    let _lock = ONE_AT_A_TIME.lock();
    let _disarm = Disarm;
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    rig.append(1, "INBOX", &body(1, 1500), &[]).unwrap();
    let before = change(&mut rig);
    failpoints::arm("before-commit=enospc");
    rig.volume.close();
    failpoints::disarm();
    let rig = Rig::open(folder.path(), &options());
    assert!(
        rig.volume.recovery().starts_with("dead writers 1"),
        "{}",
        rig.volume.recovery()
    );
    assert_eq!(shown(&rig), before);
    let states: Vec<_> = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let rows = context.tables.packs.iter(&txn).unwrap();
        rows.map(|row| {
            ironpost_store::db::records::PackRecord::decode(row.unwrap().1)
                .unwrap()
                .state
        })
        .collect()
    };
    assert!(
        states
            .iter()
            .all(|state| *state == ironpost_store::db::records::PackState::Sealed),
        "{states:?}"
    );
    rig.finish();
}

/// What is let go of for good does not come back as something to recover, nor what has been recovered.
#[test]
fn a_rebuild_offers_nothing_again_that_was_purged_or_recovered() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    for number in 0..6 {
        rig.append(1, "INBOX", &body(number, 1500), &[]).unwrap();
    }
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (1, 2))).unwrap();
    let all = || RetainedChoice::default();
    let recovered = rig.write(Op::Recover {
        account: 1,
        choice: all(),
        into: None,
    });
    assert!(matches!(recovered, Ok(Outcome::Count(2))), "{recovered:?}");
    rig.write(expunge(1, inbox, (3, 4))).unwrap();
    rig.write(Op::PurgeRetained {
        account: 1,
        before: u64::MAX,
    })
    .unwrap();
    rig.write(expunge(1, inbox, (5, 5))).unwrap();
    let before = shown(&rig);
    let (mut rig, report) = rig.rebuild(folder.path(), &options());
    assert_eq!((report.retained, report.found), (1, 0), "{report:?}");
    assert_eq!(shown(&rig), before);
    rig.write(Op::Seal).unwrap();
    rig.compact(all_packs());
    let (rig, report) = rig.rebuild(folder.path(), &options());
    assert_eq!((report.retained, report.found), (1, 0), "{report:?}");
    rig.finish();
}

/// A message that a backup has brought back as one that can be recovered stays one.
#[test]
fn a_restored_retained_message_is_not_shown_by_a_rebuild() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    rig.append(1, "INBOX", &body(1, 1500), &[]).unwrap();
    for (number, octets) in [(2, 2000), (3, 300_000)] {
        let restore = Restore {
            account: 1,
            mailbox: "INBOX".into(),
            uid: Some(40 + number as u32),
            internal_date: 1_000_000_000,
            saved: 5,
            expunged: Some(1_900_000_000),
            ..Restore::default()
        };
        let sink = rig.fill(&body(number, octets));
        let ticket = rig.volume.submit(Op::Restore(restore), Some(sink), None);
        rig.wait(ticket).unwrap();
    }
    let before = shown(&rig);
    let (rig, report) = rig.rebuild(folder.path(), &options());
    assert_eq!(report.found, 0, "{report:?}");
    assert_eq!(shown(&rig), before);
    rig.finish();
}

/// The last message of a writer that was killed: no journal record follows it in its pack.
#[test]
fn what_was_expunged_stays_gone_when_its_writer_had_died() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..9 {
        rig.append(1, "INBOX", &body(number, 3_000), &[]).unwrap();
    }
    rig.append(1, "INBOX", &body(10, 400), &[]).unwrap();
    rig.append(1, "INBOX", &body(11, 300_000), &[]).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let copy = killed(folder.path());
    rig.finish();
    // The next writer takes the journal over, the messages go, and compaction lets all go that told of them, but not
    // the pack in which the first one lies.
    let mut rig = Rig::open(copy.path(), &quick());
    rig.write(Op::Seal).unwrap();
    rig.append(1, "INBOX", &body(12, 500), &[]).unwrap();
    rig.write(expunge(1, inbox, (10, 12))).unwrap();
    rig.write(Op::Seal).unwrap();
    for _ in 0..3 {
        rig.compact(Rules {
            dead_percent: 40,
            small_count: 99,
            ..all_packs()
        });
        rig.write(Op::Seal).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let before = shown(&rig);
    let (mut rig, report) = rig.rebuild(copy.path(), &quick());
    assert_eq!((report.messages, report.found), (9, 0), "{report:?}");
    assert_eq!(shown(&rig), before);
    rig.append(1, "INBOX", &body(13, 500), &[]).unwrap();
    rig.finish();
}

/// What a rebuild has found by its hints is found, with the flags that it has got since, by the next one.
#[test]
fn a_second_rebuild_sees_what_the_first_has_found() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..4 {
        rig.append(1, "INBOX", &body(number, 3_000), &[]).unwrap();
    }
    let copy = killed(folder.path());
    rig.finish();
    std::fs::remove_dir_all(copy.path().join("index")).unwrap();
    let report = rebuild(copy.path(), 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!(report.found, 1, "{report:?}");
    for _ in 0..2 {
        let rig = Rig::open(copy.path(), &quick());
        let before = shown(&rig);
        let (rig, report) = rig.rebuild(copy.path(), &quick());
        // Found once more, when the journal had not told everything before the end.
        assert_eq!((report.messages, report.lost), (4, 0), "{report:?}");
        assert_eq!(shown(&rig)["INBOX"].4.len(), before["INBOX"].4.len());
        rig.finish();
    }
}

/// Numbers that messages had are not given anew, even when nothing tells of these messages any more.
#[test]
fn no_uid_is_given_anew_after_compaction_and_a_rebuild() {
    let _lock = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..6 {
        rig.append(1, "INBOX", &body(number, 1_500), &[]).unwrap();
    }
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (4, 6))).unwrap();
    for _ in 0..3 {
        rig.write(Op::Seal).unwrap();
        rig.compact(all_packs());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (rig, report) = rig.rebuild(folder.path(), &quick());
    assert_eq!(report.messages, 3, "{report:?}");
    assert_eq!(rig.shown(1)["INBOX"].1, 7, "UIDNEXT");
    rig.finish();
}
