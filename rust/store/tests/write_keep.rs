//! Quotas, retention and recovery, expiry, import of foreign numbers, leases.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use ironpost_store::ops::{FlagSet, RetainedChoice, Submit};
use ironpost_store::reader;
use ironpost_store::{Op, Options, Outcome, StoreError};
use write_support::{Rig, body, delivery, quick};

fn count(outcome: Result<Outcome, StoreError>) -> u64 {
    match outcome.unwrap() {
        Outcome::Count(count) => count,
        other => panic!("{other:?}"),
    }
}

fn limit(account: u32, group: &str, messages: u64, octets: u64) -> Op {
    Op::SetQuota {
        account,
        group: Some(group.into()),
        messages: Some(messages),
        octets: Some(octets),
    }
}

#[test]
fn a_quota_is_exact_in_every_operation() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(limit(1, "", 3, 0)).unwrap();
    for number in 0..3 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
    }
    assert!(matches!(
        rig.deliver(1, "INBOX", &body(9, 900)),
        Err(StoreError::OverQuota(_))
    ));
    assert!(matches!(
        rig.append(1, "INBOX", b"x", &[]),
        Err(StoreError::OverQuota(_))
    ));
    let inbox = rig.mailbox(1, "INBOX");
    let copy = |remove| Op::Copy {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 1)],
        target: "Archive".into(),
        remove,
    };
    assert!(matches!(rig.write(copy(false)), Err(StoreError::OverQuota(_))));
    rig.write(copy(true)).unwrap();
    let usage = reader::quota(rig.volume.context(), 1).unwrap().unwrap().0;
    assert_eq!(usage.messages, 3);
    let op = Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 9)],
    };
    assert_eq!(count(rig.write(op)), 2);
    rig.deliver(1, "INBOX", &body(10, 900)).unwrap();
    // A mailbox that is deleted leaves the quota at once, whenever its messages are purged.
    let op = Op::DeleteMailbox {
        account: 1,
        name: "Archive".into(),
    };
    rig.write(op).unwrap();
    assert_eq!(reader::quota(rig.volume.context(), 1).unwrap().unwrap().0.messages, 1);
    rig.finish();
}

#[test]
fn a_group_shares_its_quota_and_accounts_change_groups() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for account in 1..=3 {
        rig.write(limit(account, "example.org", 0, 0)).unwrap();
    }
    let op = Op::SetGroupQuota {
        group: "example.org".into(),
        messages: None,
        octets: Some(2500),
    };
    rig.write(op).unwrap();
    rig.deliver(1, "INBOX", &body(1, 1000)).unwrap();
    let to_all = |partial| Submit {
        deliveries: (1..=3).map(|account| delivery(account, "INBOX", b"", &[])).collect(),
        partial,
        ..Submit::default()
    };
    let octets = body(2, 1000).len() as u64;
    assert!(matches!(
        rig.submit(to_all(false), Some(&body(2, 1000))),
        Err(StoreError::OverQuota(_))
    ));
    // In part: the first fits, the two behind it do not.
    let (stored, _) = rig.submit(to_all(true), Some(&body(2, 1000))).unwrap();
    assert_eq!(stored.iter().map(|message| message.account).collect::<Vec<u32>>(), [1]);
    let group = reader::group_quota(rig.volume.context(), "example.org").unwrap();
    assert_eq!((group.messages, group.octets), (2, body(1, 1000).len() as u64 + octets));
    // The account takes what it holds along.
    rig.write(limit(1, "other.example", 0, 0)).unwrap();
    let group = reader::group_quota(rig.volume.context(), "example.org").unwrap();
    assert_eq!((group.messages, group.octets), (0, 0));
    let (stored, _) = rig.submit(to_all(true), Some(&body(3, 1000))).unwrap();
    assert_eq!(stored.len(), 3);
    rig.write(Op::RemoveAccount { account: 1 }).unwrap();
    let group = reader::group_quota(rig.volume.context(), "other.example").unwrap();
    assert_eq!((group.messages, group.octets), (0, 0));
    rig.finish();
}

#[test]
fn a_message_for_nobody_with_room_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(limit(1, "", 0, 10)).unwrap();
    for octets in [1000, 400_000] {
        let submit = Submit {
            deliveries: vec![delivery(1, "INBOX", b"Received: x\r\n", &[])],
            partial: true,
            ..Submit::default()
        };
        let (stored, _) = rig.submit(submit, Some(&body(1, octets))).unwrap();
        assert!(stored.is_empty());
    }
    drop(rig);
    // The file of the large one is gone, so that a check of the ended writer finds no orphan.
    let mut rig = Rig::open(folder.path(), &quick());
    assert_eq!(rig.assert_clean().blobs, 0);
    rig.finish();
}

fn retaining() -> Options {
    Options {
        retention: 3600,
        ..quick()
    }
}

#[test]
fn what_is_expunged_can_be_recovered_and_is_let_go_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    for number in 0..5 {
        rig.append(1, "INBOX", &body(number, 900), &["\\Seen", "$Work"])
            .unwrap();
    }
    rig.write(Op::CreateMailbox {
        account: 1,
        name: "Old/Deep".into(),
        special_use: String::new(),
    })
    .unwrap();
    rig.append(1, "Old/Deep", &body(7, 900), &[]).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let op = Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(2, 4)],
    };
    assert_eq!(count(rig.write(op)), 3);
    rig.write(Op::DeleteMailbox {
        account: 1,
        name: "Old/Deep".into(),
    })
    .unwrap();
    assert_eq!(reader::quota(rig.volume.context(), 1).unwrap().unwrap().0.messages, 2);
    // The deleted mailbox's messages are retained by the purge, which runs by itself.
    let retained = loop {
        let ticket = rig.volume.read(reader::retained(1, None, 100));
        let Outcome::Boxed(found) = rig.wait(ticket).unwrap() else {
            panic!()
        };
        let found = found.downcast::<Vec<reader::RetainedMessage>>().unwrap();
        if found.len() == 4 {
            break found;
        }
    };
    assert!(
        retained
            .iter()
            .any(|message| message.record.name == "Old/Deep" && message.uid == 1)
    );
    rig.assert_clean();

    let recover = |choice, into: Option<&str>| Op::Recover {
        account: 1,
        choice,
        into: into.map(str::to_owned),
    };
    let choice = RetainedChoice {
        mailbox: Some("INBOX".into()),
        uids: vec![(3, 4)],
        ..RetainedChoice::default()
    };
    assert_eq!(count(rig.write(recover(choice, Some("Found")))), 2);
    let rows = rig.rows(rig.mailbox(1, "Found"));
    assert_eq!(rows.len(), 2);
    assert_eq!(rig.read(&rows[0].1).unwrap(), body(2, 900));
    assert_eq!((rows[0].1.flags, rows[0].1.keywords), (1, 1));
    assert_eq!(count(rig.write(recover(RetainedChoice::default(), None))), 2);
    assert_eq!(rig.rows(rig.mailbox(1, "INBOX")).len(), 3);
    assert_eq!(rig.rows(rig.mailbox(1, "Old/Deep")).len(), 1);
    assert_eq!(reader::quota(rig.volume.context(), 1).unwrap().unwrap().0.messages, 6);

    let op = Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, u32::MAX)],
    };
    assert_eq!(count(rig.write(op)), 3);
    let purge = |before| Op::PurgeRetained { account: 1, before };
    assert_eq!(count(rig.write(purge(1_000))), 0);
    let blobs = rig.assert_clean().blobs;
    assert_eq!(count(rig.write(purge(u64::MAX))), 3);
    assert_eq!(rig.assert_clean().blobs, blobs - 3);
    rig.finish();
}

#[test]
fn a_removed_account_retains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    for number in 0..30 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
    }
    let inbox = rig.mailbox(1, "INBOX");
    let op = Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 9)],
    };
    rig.write(op).unwrap();
    rig.write(Op::RemoveAccount { account: 1 }).unwrap();
    drop(rig);
    let mut rig = Rig::open(folder.path(), &retaining());
    for _ in 0..50 {
        rig.deliver(2, "INBOX", b"step").unwrap();
    }
    assert_eq!(rig.assert_clean().blobs, 50);
    rig.finish();
}

#[test]
fn expiry_counts_from_the_arrival_in_the_mailbox() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.append(1, "INBOX", &body(1, 100), &[]).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let op = Op::Copy {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 1)],
        target: "Trash".into(),
        remove: true,
    };
    rig.write(op).unwrap();
    let trash = rig.mailbox(1, "Trash");
    let import = |saved| Op::Import {
        account: 1,
        mailbox: "Trash".into(),
        uid: None,
        flags: FlagSet::default(),
        internal_date: None,
        internal_zone: 0,
        saved: Some(saved),
        quota: false,
    };
    let sink = rig.fill(&body(2, 100));
    let ticket = rig.volume.submit(import(1000), Some(sink), None);
    rig.wait(ticket).unwrap();
    // The first has an internal date of 2001, yet came here just now.
    let expire = |before| Op::Expire {
        account: 1,
        mailbox: trash,
        before,
    };
    let expirable = |rig: &mut Rig, before| {
        let ticket = rig.volume.read(reader::expirable(trash, before));
        count(rig.wait(ticket))
    };
    assert_eq!(expirable(&mut rig, 1000), 0);
    assert_eq!(count(rig.write(expire(1000))), 0);
    assert_eq!(expirable(&mut rig, 1001), 1);
    assert_eq!(count(rig.write(expire(1001))), 1);
    assert_eq!(rig.rows(trash).len(), 1);
    rig.finish();
}

#[test]
fn foreign_numbers_are_taken_over_where_nobody_has_seen_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let adopt = |name: &str, uid_validity, uid_next| Op::AdoptMailbox {
        account: 1,
        name: name.into(),
        special_use: String::new(),
        subscribed: Some(true),
        uid_validity,
        uid_next,
    };
    let info = |outcome: Result<Outcome, StoreError>| match outcome.unwrap() {
        Outcome::Mailbox(info) => info,
        other => panic!("{other:?}"),
    };
    let inbox = info(rig.write(adopt("INBOX", Some(77), Some(10))));
    assert_eq!((inbox.uid_validity, inbox.uid_next, inbox.subscribed), (77, 10, true));
    let other = info(rig.write(adopt("Lists/a", Some(77), None)));
    assert_ne!(other.uid_validity, 77, "another mailbox has it");
    let import = |uid| Op::Import {
        account: 1,
        mailbox: "INBOX".into(),
        uid: Some(uid),
        flags: FlagSet::parse(["\\Seen", "$Old"]).unwrap(),
        internal_date: Some(5),
        internal_zone: 60,
        saved: None,
        quota: false,
    };
    for (uid, fits) in [(12, true), (12, false), (11, false), (50, true), (u32::MAX, false)] {
        let sink = rig.fill(&body(u64::from(uid), 500));
        let ticket = rig.volume.submit(import(uid), Some(sink), None);
        assert_eq!(rig.wait(ticket).is_ok(), fits, "{uid}");
    }
    let rows = rig.rows(rig.mailbox(1, "INBOX"));
    assert_eq!(rows.iter().map(|(uid, _)| *uid).collect::<Vec<u32>>(), [12, 50]);
    assert_eq!((rows[0].1.internal_date, rows[0].1.internal_zone), (5, 60));
    // Now it has been used.
    let again = info(rig.write(adopt("INBOX", Some(78), Some(20))));
    assert_eq!((again.uid_validity, again.uid_next), (77, 51));
    rig.finish();
}

#[test]
fn a_pinned_pack_stays_until_its_lease_is_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 400_000)).unwrap();
    let packs = || {
        std::fs::read_dir(folder.path().join("packs/1"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some())
            .count()
    };
    let before = packs();
    rig.write(Op::Lease {
        name: "pin:test".into(),
        seconds: 600,
    })
    .unwrap();
    let op = Op::ExpungeUids {
        account: 1,
        mailbox: rig.mailbox(1, "INBOX"),
        uids: vec![(1, 9)],
    };
    rig.write(op).unwrap();
    rig.deliver(1, "INBOX", b"another batch").unwrap();
    assert!(packs() >= before);
    rig.write(Op::ReleaseLease {
        name: "pin:test".into(),
    })
    .unwrap();
    for number in 0.. {
        rig.deliver(1, "INBOX", b"and another").unwrap();
        // The active pack of the small ones is there now, the large one's is gone.
        if packs() == 1 {
            break;
        }
        assert!(number < 100, "the pack was never unlinked");
    }
    rig.finish();
}

#[test]
fn sealing_begins_a_new_pack() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..3 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
        rig.write(Op::Seal).unwrap();
    }
    assert_eq!(rig.assert_clean().packs, 3);
    rig.finish();
}

#[test]
fn a_deleted_mailbox_is_retained_whoever_purges_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &retaining());
    rig.deliver(1, "Lists", &body(1, 10)).unwrap();
    // More than one step of a purge, so that a process which retains nothing finds some left to do.
    let list = rig.mailbox(1, "Lists");
    for _ in 0..13 {
        let op = Op::Copy {
            account: 1,
            mailbox: list,
            uids: vec![(1, u32::MAX)],
            target: "Lists".into(),
            remove: false,
        };
        rig.write(op).unwrap();
    }
    let op = Op::DeleteMailbox {
        account: 1,
        name: "Lists".into(),
    };
    rig.write(op).unwrap();
    rig.volume.close();
    let mut rig = Rig::open(folder.path(), &quick());
    while rig.volume.metrics()["writes_waiting"] > 0 || !is_purged(&rig) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let op = Op::Recover {
        account: 1,
        choice: RetainedChoice::default(),
        into: None,
    };
    assert_eq!(count(rig.write(op)), 8192);
    rig.finish();
}

fn is_purged(rig: &Rig) -> bool {
    let context = rig.volume.context();
    let txn = context.begin().unwrap();
    context.tables.doomed.is_empty(&txn).unwrap()
}

#[test]
fn foreign_numbers_at_the_end_of_their_range_leave_room_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let op = Op::AdoptMailbox {
        account: 1,
        name: "Work".into(),
        special_use: String::new(),
        subscribed: None,
        uid_validity: Some(u32::MAX),
        uid_next: Some(u32::MAX),
    };
    rig.write(op).unwrap();
    rig.deliver(1, "Work", &body(1, 100)).unwrap();
    rig.deliver(1, "Another", &body(2, 100)).unwrap();
    let import = |uid| Op::Import {
        account: 1,
        mailbox: "Work".into(),
        uid: Some(uid),
        flags: FlagSet::default(),
        internal_date: None,
        internal_zone: 0,
        saved: None,
        quota: false,
    };
    let greatest = u32::MAX - (1 << 24);
    for (uid, fits) in [(greatest + 1, false), (u32::MAX, false), (greatest, true)] {
        let sink = rig.fill(&body(u64::from(uid), 100));
        let ticket = rig.volume.submit(import(uid), Some(sink), None);
        let outcome = rig.wait(ticket);
        assert_eq!(outcome.is_ok(), fits, "{uid}: {outcome:?}");
    }
    rig.deliver(1, "Work", &body(3, 100)).unwrap();
    rig.finish();
}

#[test]
fn a_delivery_that_is_left_out_makes_no_keywords() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(limit(1, "", 1, 0)).unwrap();
    rig.deliver(1, "INBOX", &body(1, 100)).unwrap();
    let names: Vec<String> = (0..70).map(|number| format!("$word{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let submit = Submit {
        deliveries: vec![delivery(1, "INBOX", b"", &names), delivery(2, "INBOX", b"", &[])],
        partial: true,
        ..Submit::default()
    };
    let (stored, _) = rig.submit(submit, Some(&body(2, 100))).unwrap();
    assert_eq!(stored.len(), 1);
    rig.finish();
}

/// The most memory that this process has ever had, in KiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn an_expunge_beyond_a_gap_of_uids_costs_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.append(1, "INBOX", &body(1, 100), &["\\Deleted"]).unwrap();
    let op = Op::Import {
        account: 1,
        mailbox: "INBOX".into(),
        uid: Some(4_000_000_000),
        flags: FlagSet::parse(["\\Deleted"]).unwrap(),
        internal_date: None,
        internal_zone: 0,
        saved: None,
        quota: false,
    };
    let sink = rig.fill(&body(2, 100));
    let ticket = rig.volume.submit(op, Some(sink), None);
    rig.wait(ticket).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let before = peak_memory();
    let op = Op::Expunge {
        account: 1,
        mailbox: inbox,
        uids: None,
    };
    assert_eq!(count(rig.write(op)), 2);
    let more = peak_memory() - before;
    assert!(more < 256 << 10, "{more} KiB");
    rig.finish();
}
