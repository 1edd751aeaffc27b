//! The index made anew from the packs alone, and compaction, which must change nothing that anybody sees.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::path::Path;

use ironpost_store::ops::{Enqueue, FlagMode, FlagSet, Submit};
use ironpost_store::reader;
use ironpost_store::{Op, Options, Outcome};
use write_support::{Rig, Shown, all_packs, body, delivery, quick};

fn options() -> Options {
    Options {
        retention: 3600,
        ..quick()
    }
}

fn store(account: u32, mailbox: u32, uids: (u32, u32), flags: &[&str]) -> Op {
    Op::StoreFlags {
        account,
        mailbox,
        uids: vec![uids],
        mode: FlagMode::Add,
        flags: FlagSet::parse(flags.iter().copied()).unwrap(),
        unchanged_since: None,
    }
}

fn expunge(account: u32, mailbox: u32, uids: (u32, u32)) -> Op {
    Op::ExpungeUids {
        account,
        mailbox,
        uids: vec![uids],
    }
}

/// Something of every kind.
fn fill(rig: &mut Rig) {
    for number in 0..60 {
        let octets = if number % 20 == 9 {
            300_000
        } else {
            number as usize * 200
        };
        let submit = Submit {
            deliveries: vec![
                delivery(1, "INBOX", b"Delivered-To: one\r\n", &[]),
                delivery(2, "INBOX", b"Delivered-To: two\r\n", &["$Forwarded"]),
            ],
            internal_date: Some(1_700_000_000 + number as i64),
            ..Submit::default()
        };
        rig.submit(submit, Some(&body(number, octets))).unwrap();
        if number % 13 == 0 {
            rig.write(Op::Seal).unwrap();
        }
    }
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(store(1, inbox, (5, 9), &["\\Seen", "$Work", "$Later"]))
        .unwrap();
    rig.write(expunge(1, inbox, (10, 19))).unwrap();
    rig.write(Op::CreateMailbox {
        account: 1,
        name: "Kunden/Größe".into(),
        special_use: String::new(),
    })
    .unwrap();
    for (uids, target, remove) in [((20, 25), "Kunden/Größe", false), ((26, 29), "Archive", true)] {
        rig.write(Op::Copy {
            account: 1,
            mailbox: inbox,
            uids: vec![uids],
            target: target.into(),
            remove,
        })
        .unwrap();
    }
    rig.write(Op::RenameMailbox {
        account: 1,
        old: "Kunden".into(),
        new: "Clients".into(),
    })
    .unwrap();
    for name in ["Gone", "Gone/Deeper"] {
        rig.write(Op::CreateMailbox {
            account: 2,
            name: name.into(),
            special_use: String::new(),
        })
        .unwrap();
        rig.append(2, name, &body(900, 500), &["\\Flagged"]).unwrap();
    }
    rig.write(Op::DeleteMailbox {
        account: 2,
        name: "Gone/Deeper".into(),
    })
    .unwrap();
    rig.write(Op::Subscribe {
        account: 2,
        name: "Elsewhere".into(),
        subscribed: true,
    })
    .unwrap();
    rig.write(Op::SetQuota {
        account: 2,
        group: Some("example.org".into()),
        messages: Some(5000),
        octets: None,
    })
    .unwrap();
    rig.deliver(3, "INBOX", &body(901, 800)).unwrap();
    rig.write(Op::RemoveAccount { account: 3 }).unwrap();
    for number in 1..=3 {
        let item = Enqueue {
            due: 1_900_000_000_000_000 + number,
            prefix: b"Received: q\r\n".to_vec(),
            state: vec![number as u8; 2500],
        };
        let submit = Submit {
            enqueue: vec![item],
            ..Submit::default()
        };
        rig.submit(submit, Some(&body(910 + number, 700))).unwrap();
    }
    let submit = Submit {
        dequeue: vec![2],
        ..Submit::default()
    };
    rig.submit(submit, None).unwrap();
}

/// As `assert_eq`, telling only what differs.
fn assert_same(after: &[Shown], before: &[Shown]) {
    for (account, (after, before)) in after.iter().zip(before).enumerate() {
        let names: Vec<&String> = after.keys().collect();
        assert_eq!(
            names,
            before.keys().collect::<Vec<&String>>(),
            "account {}",
            account + 1
        );
        for (name, mailbox) in after {
            let other = &before[name];
            let facts = (mailbox.0, mailbox.1, &mailbox.2, mailbox.3);
            assert_eq!(facts, (other.0, other.1, &other.2, other.3), "{name}");
            for (message, other) in mailbox.4.iter().zip(&other.4) {
                assert_eq!(message, other, "{name}");
            }
            assert_eq!(mailbox.4.len(), other.4.len(), "{name}");
        }
    }
}

fn shown(rig: &Rig) -> Vec<Shown> {
    (1..=4).map(|account| rig.shown(account)).collect()
}

fn queue(rig: &mut Rig) -> Vec<(u64, u64, Vec<u8>)> {
    let ticket = rig.volume.read(reader::queue_list(0, 100));
    let Outcome::Boxed(items) = rig.wait(ticket).unwrap() else {
        panic!()
    };
    let items = items.downcast::<Vec<reader::QueueItem>>().unwrap();
    items
        .into_iter()
        .map(|item| (item.id, item.record.due, item.record.state))
        .collect()
}

/// Removes the index: what is left of the volume are its packs.
fn forget_index(folder: &Path) {
    std::fs::remove_dir_all(folder.join("index")).unwrap();
}

#[test]
fn an_index_from_packs_alone_shows_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    fill(&mut rig);
    rig.assert_clean();
    let before = (shown(&rig), queue(&mut rig));
    rig.volume.close();
    forget_index(folder.path());
    let refused = ironpost_store::Volume::open(folder.path(), &options());
    assert!(refused.unwrap_err().to_string().contains("store rebuild"));
    let report = ironpost_store::rebuild::rebuild(folder.path(), 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!(
        (report.found, report.lost, report.damaged.len()),
        (0, 0, 0),
        "{report:?}"
    );
    assert_eq!((report.accounts, report.queue), (2, 2));
    let mut rig = Rig::open(folder.path(), &options());
    rig.assert_clean();
    assert_same(&shown(&rig), &before.0);
    assert_eq!(queue(&mut rig), before.1);
    let quota = reader::quota(rig.volume.context(), 2).unwrap().unwrap();
    assert_eq!((quota.0.limit_messages, quota.1.messages), (5000, quota.0.messages));
    // What was expunged can still be recovered.
    let count = rig.write(Op::Recover {
        account: 1,
        choice: ironpost_store::ops::RetainedChoice::default(),
        into: Some("Back".into()),
    });
    assert!(matches!(count, Ok(Outcome::Count(10))), "{count:?}");
    // And the new index goes on: a second rebuild sees what has happened since.
    rig.append(1, "INBOX", &body(950, 300), &["\\Draft"]).unwrap();
    let before = shown(&rig);
    let (rig, report) = rig.rebuild(folder.path(), &options());
    assert_eq!((report.found, report.lost), (0, 0));
    assert_same(&shown(&rig), &before);
    rig.finish();
}

#[test]
fn compaction_changes_nothing_that_anybody_sees() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &options());
    fill(&mut rig);
    rig.write(Op::Seal).unwrap();
    let before = (shown(&rig), queue(&mut rig));
    let packs = rig.assert_clean().packs;
    let done = rig.compact(all_packs());
    assert!(done.packs > 0 && done.blobs > 0 && done.damaged.is_empty(), "{done:?}");
    assert!(rig.assert_clean().packs < packs);
    assert_same(&shown(&rig), &before.0);
    assert_eq!(queue(&mut rig), before.1);
    // The journal has moved along: the packs still tell everything, after one more round, too.
    rig.write(Op::Seal).unwrap();
    rig.compact(all_packs());
    let (mut rig, report) = rig.rebuild(folder.path(), &options());
    assert_eq!(
        (report.found, report.lost, report.damaged.len()),
        (0, 0, 0),
        "{report:?}"
    );
    rig.assert_clean();
    assert_same(&shown(&rig), &before.0);
    assert_eq!(queue(&mut rig), before.1);
    let recovered = rig.write(Op::Recover {
        account: 2,
        choice: ironpost_store::ops::RetainedChoice::default(),
        into: None,
    });
    assert!(matches!(recovered, Ok(Outcome::Count(1))), "{recovered:?}");
    assert_eq!(rig.rows(rig.mailbox(2, "Gone/Deeper")).len(), 1);
    rig.finish();
}

fn octets_on_disk(folder: &Path) -> u64 {
    let mut sum = 0;
    for writer in std::fs::read_dir(folder.join("packs")).unwrap() {
        for file in std::fs::read_dir(writer.unwrap().path()).unwrap() {
            sum += file.unwrap().metadata().unwrap().len();
        }
    }
    sum
}

#[test]
fn expunge_gives_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..300 {
        rig.deliver(1, "INBOX", &body(number, 20_000)).unwrap();
    }
    rig.write(Op::Seal).unwrap();
    let full = octets_on_disk(folder.path());
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (1, 270))).unwrap();
    let done = rig.compact(all_packs());
    assert_eq!((done.packs, done.blobs), (1, 30));
    rig.write(Op::Seal).unwrap();
    while rig.assert_clean().packs > 1 {}
    let left = octets_on_disk(folder.path());
    assert!(left < full / 5, "{left} of {full}");
    // The journal of the expunged is void: a rebuild does not bring them back.
    rig.write(expunge(1, inbox, (271, 290))).unwrap();
    let before = rig.shown(1);
    let (rig, report) = rig.rebuild(folder.path(), &quick());
    assert_eq!((report.messages, report.found), (10, 0), "{report:?}");
    assert_eq!(rig.shown(1), before);
    rig.finish();
}

#[test]
fn messages_that_no_journal_knows_are_found_by_their_hints() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..5 {
        rig.deliver(1, "INBOX", &body(number, 900)).unwrap();
    }
    let submit = Submit {
        deliveries: vec![
            delivery(1, "INBOX", b"Delivered-To: one\r\n", &[]),
            delivery(2, "Lists/rust", b"Delivered-To: two\r\n", &[]),
        ],
        ..Submit::default()
    };
    rig.submit(submit, Some(&body(77, 5000))).unwrap();
    let before = rig.shown(1);
    // As after a power loss that has taken the index: the packs are copied before the journal of the last batch is
    // written, which closing the volume does.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(copy.path().join("packs/1")).unwrap();
    std::fs::copy(folder.path().join("packs/1/1.pack"), copy.path().join("packs/1/1.pack")).unwrap();
    rig.finish();
    let report = ironpost_store::rebuild::rebuild(copy.path(), 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!((report.messages, report.found, report.lost), (7, 2, 0), "{report:?}");
    let mut rig = Rig::open(copy.path(), &quick());
    let inbox = &rig.shown(1)["INBOX"];
    assert_eq!(inbox.4.len(), 6);
    assert_eq!(inbox.4[..5], before["INBOX"].4[..5], "the others keep their UIDs");
    assert!(
        inbox.4[5].0 > 60_000,
        "no UID that somebody may have seen is given anew"
    );
    let list = rig.rows(rig.mailbox(2, "Lists/rust"));
    assert_eq!(list.len(), 1);
    assert!(rig.read(&list[0].1).unwrap().ends_with(&body(77, 5000)));
    rig.deliver(2, "INBOX", &body(1, 10)).unwrap();
    rig.assert_clean();
    rig.finish();
}

#[test]
fn damage_costs_only_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut stored = Vec::new();
    for number in 0..40 {
        stored.push(rig.deliver(1, "INBOX", &body(number, 2000)).unwrap());
    }
    rig.write(Op::Seal).unwrap();
    let row = rig.rows(rig.mailbox(1, "INBOX"))[20].1;
    let place = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        context.tables.blob(&txn, row.blob).unwrap().unwrap()
    };
    rig.volume.close();
    let path = folder.path().join("packs/1/1.pack");
    let mut octets = std::fs::read(&path).unwrap();
    octets[place.offset as usize + 3] ^= 0x40;
    std::fs::write(&path, octets).unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    // Compaction moves the others and leaves the pack with the damaged record where it is.
    let inbox = rig.mailbox(1, "INBOX");
    rig.write(expunge(1, inbox, (1, 10))).unwrap();
    let done = rig.compact(all_packs());
    assert_eq!(done.blobs, 29, "{done:?}");
    assert!(folder.path().join("packs/1/1.pack").exists());
    assert!(done.damaged[0].starts_with(&format!("blob {}", row.blob)), "{done:?}");
    let problems = rig.check(true).problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    rig.volume.close();
    forget_index(folder.path());
    let report = ironpost_store::rebuild::rebuild(folder.path(), 1 << 30, &mut |_, _| {}).unwrap();
    assert_eq!((report.messages, report.lost), (29, 1), "{report:?}");
    assert!(report.damaged.iter().any(|text| text.contains("UID 21")), "{report:?}");
    let rig = Rig::open(folder.path(), &quick());
    let uids: Vec<u32> = rig.rows(rig.mailbox(1, "INBOX")).iter().map(|(uid, _)| *uid).collect();
    assert_eq!(uids, (11..=40).filter(|uid| *uid != 21).collect::<Vec<u32>>());
    rig.finish();
}

/// Changes an octet of the contents of the record that holds this message of account 1's INBOX, in the pack at `path`.
fn damage(rig: &Rig, message: usize, path: &Path) {
    let row = rig.rows(rig.mailbox(1, "INBOX"))[message].1;
    let context = rig.volume.context();
    let txn = context.begin().unwrap();
    let place = context.tables.blob(&txn, row.blob).unwrap().unwrap();
    let mut octets = std::fs::read(path).unwrap();
    // The contents end before the trailer of 8 octets.
    octets[(place.offset + u64::from(place.length)) as usize - 20] ^= 0x40;
    std::fs::write(path, octets).unwrap();
}

/// A power loss may tear the copy that a compaction was making, and a disk may damage either.
#[test]
fn of_two_records_with_the_same_contents_the_sound_one_counts() {
    for damaged in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(folder.path(), &quick());
        for _ in 0..2 {
            rig.deliver(1, "INBOX", &body(1, 2000)).unwrap();
        }
        rig.write(Op::Seal).unwrap();
        damage(&rig, damaged, &folder.path().join("packs/1/1.pack"));
        rig.volume.close();
        forget_index(folder.path());
        let report = ironpost_store::rebuild::rebuild(folder.path(), 1 << 30, &mut |_, _| {}).unwrap();
        assert_eq!((report.messages, report.lost), (2, 0), "{report:?}");
        let rig = Rig::open(folder.path(), &quick());
        for (uid, row) in rig.rows(rig.mailbox(1, "INBOX")) {
            assert!(rig.read(&row).unwrap().ends_with(&body(1, 2000)), "UID {uid}");
        }
        rig.finish();
    }
}

/// The last batch at a power loss was perhaps never answered, and then its octets may never have reached the disk.
#[test]
fn a_torn_body_that_no_journal_knows_is_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 2000)).unwrap();
    rig.deliver(1, "INBOX", &body(2, 2000)).unwrap();
    for torn in [false, true] {
        let lost = tempfile::tempdir().unwrap();
        let pack = lost.path().join("packs/1/1.pack");
        std::fs::create_dir_all(pack.parent().unwrap()).unwrap();
        std::fs::copy(folder.path().join("packs/1/1.pack"), &pack).unwrap();
        if torn {
            damage(&rig, 1, &pack);
        }
        let report = ironpost_store::rebuild::rebuild(lost.path(), 1 << 30, &mut |_, _| {}).unwrap();
        let expected = if torn { (1, 0) } else { (2, 1) };
        assert_eq!((report.messages, report.found), expected, "{report:?}");
        assert_eq!(report.damaged.len(), usize::from(torn), "{report:?}");
        Rig::open(lost.path(), &quick()).finish();
    }
    rig.finish();
}

#[test]
fn a_volume_in_use_is_not_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 100)).unwrap();
    let refused = ironpost_store::rebuild::rebuild(folder.path(), 1 << 30, &mut |_, _| {});
    assert!(refused.unwrap_err().to_string().contains("open in another process"));
    rig.finish();
}

/// It may be damaged rather than unborn; a pack that was born and never written is neither.
#[test]
fn a_pack_that_nobody_can_read_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 900)).unwrap();
    rig.volume.close();
    let packs = folder.path().join("packs/1");
    let garbage = vec![7; 3 << 20];
    let aside = folder.path().join("unreadable");
    for (round, earlier) in [0, 1].into_iter().enumerate() {
        std::fs::write(packs.join("80.pack"), &garbage[round..]).unwrap();
        std::fs::write(packs.join("81.pack"), vec![0; 9000]).unwrap();
        let (rig, report) = Rig::open(folder.path(), &quick()).rebuild(folder.path(), &quick());
        assert_eq!((report.messages, report.found, report.lost), (1, 0, 0), "{report:?}");
        assert_eq!(report.damaged.len(), 1, "{report:?}");
        assert!(report.damaged[0].ends_with("unreadable/1-80.pack"), "{report:?}");
        rig.finish();
        assert_eq!(std::fs::read(aside.join("1-80.pack")).unwrap(), garbage[round..]);
        assert_eq!(std::fs::read_dir(&aside).unwrap().count(), earlier + 1);
        assert!(!packs.join("80.pack").exists() && !packs.join("81.pack").exists());
    }
}
