//! Copies from one account to another, and flags of which some only may be changed (RFC 4314 §4).
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use ironpost_store::db::records::flag;
use ironpost_store::ops::{Copied, FlagMode, FlagSet, FlagState, RetainedChoice};
use ironpost_store::reader;
use ironpost_store::sharing::{CopyAcross, FlagClasses};
use ironpost_store::{Op, Options, Outcome, StoreError};
use write_support::{Rig, body, quick};

const ALL: FlagClasses = FlagClasses::ALL;
const NONE: FlagClasses = FlagClasses::NONE;

fn set(names: &[&str]) -> FlagSet {
    FlagSet::parse(names.iter().copied()).unwrap()
}

fn flags(rig: &mut Rig, account: u32, mailbox: u32, mode: FlagMode, names: &[&str]) -> Vec<FlagState> {
    let op = Op::StoreFlags {
        account,
        mailbox,
        uids: vec![(1, u32::MAX)],
        mode,
        flags: set(names),
        unchanged_since: None,
    };
    match rig.write(op).unwrap() {
        Outcome::Flags(states) => states,
        other => panic!("{other:?}"),
    }
}

fn copied(outcome: Result<Outcome, StoreError>) -> Copied {
    match outcome.unwrap() {
        Outcome::Copied(copied) => copied,
        other => panic!("{other:?}"),
    }
}

fn messages(rig: &Rig, account: u32) -> u64 {
    reader::quota(rig.volume.context(), account)
        .unwrap()
        .unwrap()
        .0
        .messages
}

#[test]
fn flags_come_along_as_far_as_they_may_and_keywords_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.append(
        1,
        "INBOX",
        &body(1, 900),
        &["\\Seen", "\\Deleted", "\\Flagged", "$first", "$second"],
    )
    .unwrap();
    // In the other account these numbers are those of other names.
    rig.append(2, "INBOX", &body(2, 900), &["$other", "$SECOND"]).unwrap();
    let (from, to) = (rig.mailbox(1, "INBOX"), rig.mailbox(2, "INBOX"));
    let copy = |remove, kept| {
        Op::CopyAcross(CopyAcross {
            account: 1,
            mailbox: from,
            uids: vec![(1, 1)],
            to: 2,
            target: "INBOX".into(),
            remove,
            kept,
        })
    };
    for (uid, kept) in [(2, ALL), (3, NONE), (4, FlagClasses { seen: true, ..NONE })] {
        assert_eq!(copied(rig.write(copy(false, kept))).uids, [(1, uid)]);
    }
    let moved = copied(rig.write(copy(true, FlagClasses { deleted: true, ..NONE })));
    assert_eq!((moved.mailbox, moved.uids), (to, vec![(1, 5)]));
    let states = flags(&mut rig, 2, to, FlagMode::Add, &[]);
    let seen: Vec<(u32, u8, u64)> = states
        .iter()
        .map(|state| (state.uid, state.system, state.keywords))
        .collect();
    // $other and $SECOND are 0 and 1; $first became 2.
    assert_eq!(
        seen,
        [
            (1, 0, 0b11),
            (2, flag::SEEN | flag::DELETED | flag::FLAGGED, 0b110),
            (3, 0, 0),
            (4, flag::SEEN, 0),
            (5, flag::DELETED, 0),
        ]
    );
    assert_eq!((messages(&rig, 1), messages(&rig, 2)), (0, 5));
    rig.finish();
}

#[test]
fn what_was_moved_away_can_be_recovered_by_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(
        folder.path(),
        &Options {
            retention: 3600,
            ..quick()
        },
    );
    rig.append(1, "INBOX", &body(1, 900), &["$label"]).unwrap();
    rig.append(2, "INBOX", &body(2, 900), &[]).unwrap();
    let op = Op::CopyAcross(CopyAcross {
        account: 1,
        mailbox: rig.mailbox(1, "INBOX"),
        uids: vec![(1, 1)],
        to: 2,
        target: "INBOX".into(),
        remove: true,
        kept: ALL,
    });
    assert_eq!(copied(rig.write(op)).uids, [(1, 2)]);
    assert_eq!((messages(&rig, 1), messages(&rig, 2)), (0, 2));
    let op = Op::Recover {
        account: 1,
        choice: RetainedChoice::default(),
        into: None,
    };
    assert!(matches!(rig.write(op), Ok(Outcome::Count(1))));
    assert_eq!((messages(&rig, 1), messages(&rig, 2)), (1, 2));
    let report = rig.assert_clean();
    assert_eq!((report.messages, report.blobs), (3, 2));
    rig.finish();
}

#[test]
fn the_owner_of_the_target_needs_room_and_the_target_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.append(1, "INBOX", &body(1, 900), &[]).unwrap();
    rig.append(2, "INBOX", &body(2, 900), &[]).unwrap();
    let mailbox = rig.mailbox(1, "INBOX");
    let copy = |to, target: &str, remove| {
        Op::CopyAcross(CopyAcross {
            account: 1,
            mailbox,
            uids: vec![(1, 1)],
            to,
            target: target.into(),
            remove,
            kept: ALL,
        })
    };
    for (to, target) in [(2, "Nowhere"), (77, "INBOX")] {
        assert!(matches!(
            rig.write(copy(to, target, false)),
            Err(StoreError::NotFound(_))
        ));
    }
    let op = Op::SetQuota {
        account: 2,
        group: Some(String::new()),
        messages: Some(1),
        octets: Some(0),
    };
    rig.write(op).unwrap();
    for remove in [false, true] {
        assert!(matches!(
            rig.write(copy(2, "INBOX", remove)),
            Err(StoreError::OverQuota(_))
        ));
    }
    assert_eq!((messages(&rig, 1), messages(&rig, 2)), (1, 1));
    // Within an account a move takes no room.
    let op = Op::SetQuota {
        account: 1,
        group: Some(String::new()),
        messages: Some(1),
        octets: Some(0),
    };
    rig.write(op).unwrap();
    assert_eq!(copied(rig.write(copy(1, "Archive", true))).uids, [(1, 1)]);
    assert_eq!(messages(&rig, 1), 1);
    rig.finish();
}

#[test]
fn a_store_leaves_alone_what_it_may_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.append(1, "INBOX", &body(1, 900), &["\\Deleted", "\\Flagged", "$a"])
        .unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let mut replace = |some, names: &[&str]| {
        let states = flags(&mut rig, 1, inbox, FlagMode::ReplaceSome(some), names);
        (states[0].system, states[0].keywords)
    };
    let seen = FlagClasses { seen: true, ..NONE };
    let others = FlagClasses { others: true, ..NONE };
    assert_eq!(
        replace(seen, &["\\Seen"]),
        (flag::SEEN | flag::DELETED | flag::FLAGGED, 1)
    );
    assert_eq!(replace(seen, &[]), (flag::DELETED | flag::FLAGGED, 1));
    assert_eq!(
        replace(others, &["\\Answered", "$b"]),
        (flag::DELETED | flag::ANSWERED, 2)
    );
    assert_eq!(replace(FlagClasses { deleted: true, ..NONE }, &[]), (flag::ANSWERED, 2));
    rig.finish();
}
