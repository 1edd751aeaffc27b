//! Delivery, mailboxes and the queue: what is written is read back, octet for octet, and refusals change nothing.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use ironpost_proto::body::BodySink;
use ironpost_store::db::records::flag;
use ironpost_store::ops::{Arrival, Enqueue, FlagMode, FlagSet, Requeue, Submit};
use ironpost_store::{Op, Options, Outcome, StoreError};
use write_support::{Rig, body, delivery, quick};

#[test]
fn messages_of_all_sizes_come_back_octet_for_octet() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let sizes = [
        0, 1, 1023, 1024, 10_000, 131_071, 131_072, 131_073, 262_144, 262_145, 400_000, 3_000_001,
    ];
    let mut stored = Vec::new();
    for (number, size) in sizes.into_iter().enumerate() {
        let mut message = body(number as u64, size);
        message.truncate(size);
        stored.push((rig.deliver(1, "INBOX", &message).unwrap(), message));
    }
    let plain = vec![b'a'; 300_000];
    stored.push((rig.deliver(1, "INBOX", &plain).unwrap(), plain));
    for (place, message) in &stored {
        assert_eq!(&rig.message(place).unwrap(), message);
    }
    // Any range, across frames, of a message in a pack of its own and of a shared one.
    let context = rig.volume.context();
    for (place, message) in &stored {
        let txn = context.begin().unwrap();
        let blob = context
            .tables
            .message(&txn, place.mailbox, place.uid)
            .unwrap()
            .unwrap()
            .blob;
        drop(txn);
        let record = context.record(blob).unwrap();
        for (from, until) in [
            (0, 10),
            (131_060, 131_090),
            (262_000, 263_000),
            (message.len(), message.len() + 5),
        ] {
            let mut out = Vec::new();
            record.read(from as u64..until as u64, &mut out).unwrap();
            let (from, until) = (from.min(message.len()), until.min(message.len()));
            assert_eq!(out, &message[from..until]);
        }
    }
    let report = rig.finish();
    assert_eq!(report.messages, stored.len() as u64);
    let rig = Rig::open(folder.path(), &quick());
    assert!(
        rig.volume.recovery().starts_with("dead writers 0"),
        "{}",
        rig.volume.recovery()
    );
    for (place, message) in &stored {
        assert_eq!(&rig.message(place).unwrap(), message);
    }
    rig.finish();
}

#[test]
fn recipients_share_one_body_and_have_their_own_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let message = body(1, 5000);
    let submit = Submit {
        deliveries: vec![
            delivery(1, "INBOX", b"Delivered-To: one\r\n", &["\\Flagged", "$Label1"]),
            delivery(2, "Lists/deep/er", b"Delivered-To: two\r\n", &["$label1", "Other"]),
            delivery(2, "INBOX", b"Delivered-To: two\r\n", &[]),
            delivery(3, "inbox", b"", &["\\Seen"]),
        ],
        enqueue: vec![Enqueue {
            due: 5,
            prefix: b"Received: here\r\n".to_vec(),
            state: vec![7; 10_000],
        }],
        internal_date: Some(77),
        ..Submit::default()
    };
    let (stored, queued) = rig.submit(submit, Some(&message)).unwrap();
    assert_eq!((stored.len(), queued.len()), (4, 1));
    let prefixes: [&[u8]; 4] = [
        b"Delivered-To: one\r\n",
        b"Delivered-To: two\r\n",
        b"Delivered-To: two\r\n",
        b"",
    ];
    for (place, prefix) in stored.iter().zip(prefixes) {
        assert_eq!(rig.message(place).unwrap(), [prefix, &message].concat());
    }
    let report = rig.assert_clean();
    assert_eq!((report.messages, report.queue), (4, 1));
    // One body, three different prefixes.
    assert_eq!(report.blobs, 4);
    {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let item = context.tables.queue_item(&txn, queued[0]).unwrap().unwrap();
        assert_eq!(
            (item.due, item.state, item.size as usize),
            (5, vec![7; 10_000], message.len() + 16)
        );
    }
    // A later attempt; then done. The bodies go with their last reference.
    let requeue = Requeue {
        id: queued[0],
        due: 9,
        state: vec![1],
    };
    rig.submit(
        Submit {
            requeue: vec![requeue],
            ..Submit::default()
        },
        None,
    )
    .unwrap();
    rig.assert_clean();
    rig.submit(
        Submit {
            dequeue: vec![queued[0]],
            ..Submit::default()
        },
        None,
    )
    .unwrap();
    let report = rig.assert_clean();
    assert_eq!((report.queue, report.blobs), (0, 3));
    let gone = rig.submit(
        Submit {
            dequeue: vec![queued[0]],
            ..Submit::default()
        },
        None,
    );
    assert!(matches!(gone, Err(StoreError::NotFound(_))));
    rig.finish();
}

#[test]
fn a_refused_operation_changes_nothing_and_harms_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let message = body(1, 2000);
    rig.deliver(1, "INBOX", &message).unwrap();
    // All or nothing: the bounce is not delivered when the queue item is unknown.
    let submit = Submit {
        deliveries: vec![delivery(1, "INBOX", b"", &[])],
        dequeue: vec![99],
        ..Submit::default()
    };
    assert!(matches!(
        rig.submit(submit, Some(&message)),
        Err(StoreError::NotFound(_))
    ));
    let bad_name = Submit {
        deliveries: vec![delivery(1, "a//b", b"", &[])],
        ..Submit::default()
    };
    assert!(matches!(
        rig.submit(bad_name, Some(&message)),
        Err(StoreError::Refused(_))
    ));
    let many: Vec<String> = (0..65).map(|number| format!("keyword{number}")).collect();
    let names: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(
        rig.append(1, "INBOX", &message, &names),
        Err(StoreError::Refused(_))
    ));
    assert!(matches!(
        rig.append(1, "No/such", &message, &[]),
        Err(StoreError::NotFound(_))
    ));
    rig.append(1, "INBOX", &message, &names[..64]).unwrap();
    assert!(matches!(
        rig.append(1, "INBOX", &message, &["one-more"]),
        Err(StoreError::Refused(_))
    ));
    assert_eq!(rig.finish().messages, 2);
}

#[test]
fn mailboxes_are_made_renamed_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let create = |name: &str| Op::CreateMailbox {
        account: 1,
        name: name.to_owned(),
        special_use: String::new(),
    };
    let delete = |name: &str| Op::DeleteMailbox {
        account: 1,
        name: name.to_owned(),
    };
    let rename = |old: &str, new: &str| Op::RenameMailbox {
        account: 1,
        old: old.to_owned(),
        new: new.to_owned(),
    };
    let Outcome::Mailbox(first) = rig.write(create("Work/2026/Nov/")).unwrap() else {
        panic!()
    };
    assert_eq!(first.name, "Work/2026/Nov");
    assert!(rig.mailbox(1, "Work") != 0 && rig.mailbox(1, "Work/2026") != 0 && rig.mailbox(1, "Sent") != 0);
    assert!(matches!(rig.write(create("Work")), Err(StoreError::AlreadyExists(_))));
    assert!(matches!(rig.write(create("inbox")), Err(StoreError::AlreadyExists(_))));
    assert!(matches!(rig.write(delete("INBOX")), Err(StoreError::Refused(_))));
    let long = "é".repeat(500);
    rig.write(create(&long)).unwrap();
    rig.write(create(&format!("{}x", &long[..998]))).unwrap();
    assert!(matches!(
        rig.write(create(&format!("{long}x"))),
        Err(StoreError::Refused(_))
    ));
    for index in 0..3 {
        rig.deliver(1, "Work/2026/Nov", &body(index, 900)).unwrap();
    }
    assert!(matches!(
        rig.write(rename("Work", "Work/Old")),
        Err(StoreError::Refused(_))
    ));
    assert!(matches!(
        rig.write(rename("Work", "Sent")),
        Err(StoreError::AlreadyExists(_))
    ));
    rig.write(rename("Work", "Old/Work")).unwrap();
    assert_eq!(rig.mailbox(1, "Old/Work/2026/Nov"), first.id);
    assert_eq!(rig.mailbox(1, "Work/2026"), 0);
    // INBOX hands its messages over and stays.
    let inbox = rig.mailbox(1, "INBOX");
    rig.deliver(1, "INBOX", &body(9, 900)).unwrap();
    rig.write(rename("INBOX", "Was inbox")).unwrap();
    assert_eq!(rig.mailbox(1, "INBOX"), inbox);
    assert_eq!(
        (rig.rows(inbox).len(), rig.rows(rig.mailbox(1, "Was inbox")).len()),
        (0, 1)
    );
    // A name that comes again has a greater UIDVALIDITY; its inferiors stay when it goes.
    rig.write(Op::Subscribe {
        account: 1,
        name: "Old/Work/2026/Nov".into(),
        subscribed: true,
    })
    .unwrap();
    rig.write(delete("Old/Work/2026/Nov")).unwrap();
    assert!(rig.names(1).contains(&("Old/Work/2026/Nov".to_owned(), 0, true)));
    let Outcome::Mailbox(again) = rig.write(create("Old/Work/2026/Nov")).unwrap() else {
        panic!()
    };
    assert!(again.uid_validity > first.uid_validity && again.messages == 0 && again.subscribed);
    rig.write(delete("Old/Work")).unwrap();
    assert!(rig.mailbox(1, "Old/Work/2026") != 0);
    // The purge runs by itself.
    rig.write(create("Afterwards")).unwrap();
    rig.write(create("Afterwards too")).unwrap();
    let report = rig.finish();
    assert_eq!((report.messages, report.blobs), (1, 1));
}

#[test]
fn flags_copies_and_moves() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for index in 0..5 {
        rig.append(1, "INBOX", &body(index, 1500), &[]).unwrap();
    }
    let inbox = rig.mailbox(1, "INBOX");
    let store = |mode, names: &[&str], uids: &[(u32, u32)]| Op::StoreFlags {
        account: 1,
        mailbox: inbox,
        uids: uids.to_vec(),
        mode,
        flags: FlagSet::parse(names.iter().copied()).unwrap(),
        unchanged_since: None,
    };
    let Outcome::Flags(states) = rig
        .write(store(FlagMode::Add, &["\\Seen", "$A"], &[(2, 3), (9, 12)]))
        .unwrap()
    else {
        panic!()
    };
    let seen: Vec<(u32, u8, u64, bool)> = states
        .iter()
        .map(|state| (state.uid, state.system, state.keywords, state.changed))
        .collect();
    assert_eq!(seen, [(2, flag::SEEN, 1, true), (3, flag::SEEN, 1, true)]);
    let Outcome::Flags(states) = rig
        .write(store(FlagMode::Remove, &["$a", "$never"], &[(1, 2)]))
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(
        states.iter().map(|state| state.changed).collect::<Vec<_>>(),
        [false, true]
    );
    let copy = |uids: &[(u32, u32)], target: &str, remove| Op::Copy {
        account: 1,
        mailbox: inbox,
        uids: uids.to_vec(),
        target: target.to_owned(),
        remove,
    };
    assert!(matches!(
        rig.write(copy(&[(1, 1)], "Nowhere", false)),
        Err(StoreError::NotFound(_))
    ));
    let Outcome::Copied(copied) = rig.write(copy(&[(2, 4)], "Archive", false)).unwrap() else {
        panic!()
    };
    assert_eq!(copied.uids, [(2, 1), (3, 2), (4, 3)]);
    let Outcome::Copied(moved) = rig.write(copy(&[(1, 1), (3, 3)], "Archive", true)).unwrap() else {
        panic!()
    };
    assert_eq!(moved.uids, [(1, 4), (3, 5)]);
    let Outcome::Copied(onto_itself) = rig.write(copy(&[(5, 5)], "INBOX", true)).unwrap() else {
        panic!()
    };
    assert_eq!(onto_itself.uids, [(5, 6)]);
    let report = rig.assert_clean();
    assert_eq!((report.messages, report.blobs), (8, 5));
    rig.write(store(FlagMode::Replace, &["\\Deleted"], &[(1, 100)]))
        .unwrap();
    let expunge = |uids| Op::Expunge {
        account: 1,
        mailbox: inbox,
        uids,
    };
    assert!(matches!(rig.write(expunge(Some(vec![(4, 5)]))), Ok(Outcome::Count(1))));
    assert!(matches!(rig.write(expunge(None)), Ok(Outcome::Count(2))));
    let Outcome::Recent(from, until) = rig
        .write(Op::ClaimRecent {
            account: 1,
            mailbox: inbox,
        })
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((from, until), (1, 7));
    assert!(matches!(
        rig.write(Op::ClaimRecent {
            account: 1,
            mailbox: inbox
        }),
        Ok(Outcome::Recent(7, 7))
    ));
    assert_eq!(rig.finish().messages, 5);
}

#[test]
fn an_account_goes_with_all_that_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for index in 0..40 {
        rig.deliver(1, "INBOX", &body(index, 300_000 * (index as usize % 5 / 4) + 700))
            .unwrap();
        rig.deliver(2, "INBOX", &body(index, 700)).unwrap();
    }
    rig.write(Op::RemoveAccount { account: 1 }).unwrap();
    assert!(matches!(
        rig.deliver(1, "INBOX", &body(1, 10)),
        Err(StoreError::NotFound(_))
    ));
    drop(rig);
    // What was left to purge goes on at the next open.
    let mut rig = Rig::open(folder.path(), &quick());
    for _ in 0..50 {
        rig.write(Op::EnsureAccount { account: 2 }).unwrap();
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        if context.tables.doomed.is_empty(&txn).unwrap() {
            break;
        }
    }
    // Gone for good: a late delivery does not bring it back.
    assert!(matches!(
        rig.deliver(1, "INBOX", &body(1, 10)),
        Err(StoreError::NotFound(_))
    ));
    let report = rig.finish();
    assert_eq!((report.accounts, report.messages, report.blobs), (1, 40, 40));
}

#[test]
fn a_large_purge_and_expunge_go_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let first = rig.append(1, "INBOX", &body(1, 500), &["\\Deleted"]).unwrap();
    let mut count = 1_u32;
    while count < 30_000 {
        let (account, target) = (1, "INBOX".to_owned());
        let op = Op::Copy {
            account,
            mailbox: first.mailbox,
            uids: vec![(1, count)],
            target,
            remove: false,
        };
        rig.write(op).unwrap();
        count *= 2;
    }
    let context = rig.volume.context().clone();
    let mailbox = |rig: &Rig| {
        let txn = rig.volume.context().begin().unwrap();
        context.tables.mailbox(&txn, 1, first.mailbox).unwrap().unwrap()
    };
    assert_eq!(mailbox(&rig).messages, count);
    let op = Op::Expunge {
        account: 1,
        mailbox: first.mailbox,
        uids: Some(vec![(1, 25_000)]),
    };
    assert!(matches!(rig.write(op), Ok(Outcome::Count(25_000))));
    assert_eq!(mailbox(&rig).messages, count - 25_000);
    rig.assert_clean();
    drop(context);
    rig.write(Op::RemoveAccount { account: 1 }).unwrap();
    for _ in 0..200 {
        rig.write(Op::EnsureAccount { account: 2 }).unwrap();
    }
    assert_eq!(rig.finish().blobs, 0);
}

#[test]
fn a_sink_tells_header_and_hops_and_leaves_nothing_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let header = b"Received: a\r\n by b\r\nReceived: c\r\nSubject: x\r\n";
    for split in 0..header.len() + 4 {
        let mut sink = rig.volume.sink(0);
        let whole = [&header[..], b"\r\nReceived: not\r\n"].concat();
        sink.push(&whole[..split]);
        sink.push(&whole[split..]);
        assert_eq!((sink.header(), sink.hops()), (&header[..], 2));
    }
    let huge = [&header[..], b"\r\n", &vec![b'x'; 2_000_000]].concat();
    let sink = rig.fill(&huge);
    assert_eq!(
        (sink.header(), sink.hops(), sink.size()),
        (&header[..], 2, huge.len() as u64)
    );
    drop(sink);
    rig.deliver(1, "INBOX", &body(1, 400_000)).unwrap();
    rig.finish();
    let names: Vec<String> = std::fs::read_dir(folder.path().join("packs/1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("tmp"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
}

#[test]
fn dirty_pairs_name_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(4, "INBOX", &body(1, 100)).unwrap();
    let inbox = rig.mailbox(4, "INBOX");
    let mut dirty = rig.volume.take_dirty();
    dirty.sort_unstable();
    assert_eq!(dirty, [(4, 0), (4, inbox)]);
    assert_eq!(rig.volume.take_dirty(), []);
    rig.write(Op::MarkSeen {
        account: 4,
        mailbox: inbox,
        uids: vec![(1, 1)],
    })
    .unwrap();
    assert_eq!(rig.volume.take_dirty(), [(4, inbox)]);
    rig.write(Op::MarkSeen {
        account: 4,
        mailbox: inbox,
        uids: vec![(1, 1)],
    })
    .unwrap();
    assert_eq!(rig.volume.take_dirty(), []);
    rig.finish();
}

#[test]
fn a_body_shares_a_pack_up_to_the_bound_of_the_volume() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        shared_body: 2_000,
        ..quick()
    };
    let mut rig = Rig::open(folder.path(), &options);
    for _ in 0..3 {
        rig.deliver(1, "INBOX", &vec![b'x'; 2_000]).unwrap();
    }
    assert_eq!(rig.assert_clean().packs, 1);
    for _ in 0..3 {
        rig.deliver(1, "INBOX", &vec![b'x'; 2_001]).unwrap();
    }
    assert_eq!(rig.assert_clean().packs, 4);
    rig.finish();
}

/// RFC 3502: several messages come in together or not at all.
#[test]
fn an_append_of_several_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let first = rig.append_all(1, "INBOX", &[(b"one\r\n", &["$A"]), (b"two\r\n", &["$a", "\\Seen"])]);
    assert_eq!(first.unwrap().uid, 1);
    assert_eq!(rig.append(1, "INBOX", b"three\r\n", &[]).unwrap().uid, 3);
    // No room for the second: not even the first is kept, and its keyword is not made.
    let quota = Op::SetQuota {
        account: 1,
        group: None,
        messages: Some(4),
        octets: None,
    };
    rig.write(quota).unwrap();
    let refused = rig.append_all(1, "INBOX", &[(b"four\r\n", &["$B"]), (b"five\r\n", &[])]);
    assert!(matches!(refused, Err(StoreError::OverQuota(_))), "{refused:?}");
    // A large one has a file of its own, which goes too.
    let large = vec![b'x'; 3 << 20];
    let refused = rig.append_all(1, "INBOX", &[(&large[..], &[]), (b"five\r\n", &[])]);
    assert!(matches!(refused, Err(StoreError::OverQuota(_))), "{refused:?}");
    assert_eq!(rig.append(1, "INBOX", b"four\r\n", &[]).unwrap().uid, 4);
    assert!(matches!(
        rig.append_all(1, "nowhere", &[(b"x", &[]), (b"y", &[])]),
        Err(StoreError::NotFound(_))
    ));
    rig.assert_clean();
}

/// RFC 8508 §3: the new one comes in and the old one goes, or nothing happens.
#[test]
fn a_replacement_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let first = rig.append(1, "INBOX", b"one\r\n", &["\\Draft"]).unwrap();
    let source = rig.mailbox(1, "INBOX");
    let held = |rig: &Rig, mailbox: u32| -> Vec<(u32, u32)> {
        rig.rows(mailbox).iter().map(|(uid, row)| (*uid, row.size)).collect()
    };
    let replace = |rig: &mut Rig, mailbox: &str, uid, body: &[u8]| {
        let op = Op::Replace {
            account: 1,
            mailbox: mailbox.to_owned(),
            message: Arrival::default(),
            replaced: (1, source, uid),
        };
        let sink = rig.fill(body);
        let ticket = rig.volume.submit(op, Some(sink), None);
        match rig.wait(ticket)? {
            Outcome::Stored(message) => Ok(message.uid),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(replace(&mut rig, "INBOX", first.uid, b"two\r\n").unwrap(), 2);
    assert_eq!(held(&rig, source), [(2, 5)]);
    // Gone already, no such mailbox, no room: nothing comes in and nothing goes.
    assert!(matches!(
        replace(&mut rig, "INBOX", 1, b"x"),
        Err(StoreError::Refused(_))
    ));
    assert!(matches!(
        replace(&mut rig, "nowhere", 2, b"x"),
        Err(StoreError::NotFound(_))
    ));
    rig.write(Op::SetQuota {
        account: 1,
        group: None,
        messages: None,
        octets: Some(8),
    })
    .unwrap();
    assert!(matches!(
        replace(&mut rig, "INBOX", 2, b"too long"),
        Err(StoreError::OverQuota(_))
    ));
    assert_eq!(held(&rig, source), [(2, 5)]);
    assert_eq!(replace(&mut rig, "Drafts", 2, b"ab").unwrap(), 1);
    assert!(held(&rig, source).is_empty());
    let drafts = rig.mailbox(1, "Drafts");
    assert_eq!(held(&rig, drafts), [(1, 2)]);
    rig.assert_clean();
}
