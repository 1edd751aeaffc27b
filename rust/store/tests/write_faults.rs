//! Faults: full disks, failing syncs, damaged and torn packs, newer formats, a full queue.
//!
//! The points that fail are armed for the whole process, so these tests hold one lock.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use ironpost_proto::body::BodySink;
use ironpost_store::ops::{Delivery, Submit};
use ironpost_store::{Op, Options, Outcome, PackId, StoreError, Volume, failpoints};
use parking_lot::{Mutex, MutexGuard};
use write_support::{Rig, body, quick};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Disarms at the end of a test, however it ends.
struct Armed(#[expect(dead_code, reason = "held for its drop")] MutexGuard<'static, ()>);

impl Armed {
    fn none() -> Self {
        Self(ONE_AT_A_TIME.lock())
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        failpoints::disarm();
    }
}

#[test]
fn a_full_disk_refuses_mail_and_lets_everything_else_go_on() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let kept = rig.deliver(1, "INBOX", &body(1, 5000)).unwrap();
    for point in ["pack-write=enospc", "stream-write=enospc", "single-sync=enospc"] {
        failpoints::arm(point);
        let octets = if point.starts_with("pack") { 3000 } else { 600_000 };
        assert!(
            matches!(rig.deliver(1, "INBOX", &body(2, octets)), Err(StoreError::Full(_))),
            "{point}"
        );
        rig.write(Op::MarkSeen {
            account: 1,
            mailbox: kept.mailbox,
            uids: vec![(1, 1)],
        })
        .unwrap();
        assert_eq!(rig.message(&kept).unwrap(), body(1, 5000));
        failpoints::disarm();
        assert_eq!(rig.volume.failed(), None);
    }
    // The sink tells too, and takes what still comes.
    failpoints::arm("stream-write=enospc");
    let mut sink = rig.fill(&body(3, 700_000));
    while !sink.failed() {
        std::thread::yield_now();
    }
    assert_eq!(sink.push(b"more"), 4);
    drop(sink);
    failpoints::disarm();
    rig.deliver(1, "INBOX", &body(4, 600_000)).unwrap();
    assert_eq!(rig.finish().messages, 2);
}

#[test]
fn a_full_index_fails_only_what_does_not_fit() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 2000)).unwrap();
    // The first transaction meets a full disk, the halves do not.
    failpoints::arm("before-commit=enospc-once");
    let tickets: Vec<_> = (0..20)
        .map(|number| {
            let mut sink = rig.volume.sink(0);
            sink.push(&body(number, 1000));
            let delivery = Delivery {
                account: 1,
                mailbox: "INBOX".into(),
                ..Delivery::default()
            };
            let op = Op::Submit(Submit {
                deliveries: vec![delivery],
                ..Submit::default()
            });
            rig.volume.submit(op, Some(sink), None)
        })
        .collect();
    let mut stored = 0;
    for ticket in tickets {
        match rig.wait(ticket) {
            Ok(_) => stored += 1,
            Err(StoreError::Full(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    // Only an operation that was alone in its first transaction may have met the fault.
    assert!(stored >= 19);
    // A delete that meets a full disk gives up the reserve and goes on.
    assert!(folder.path().join("reserve").exists());
    failpoints::arm("before-commit=enospc-once");
    let mailbox = rig.mailbox(1, "INBOX");
    let expunged = rig.write(Op::ExpungeUids {
        account: 1,
        mailbox,
        uids: vec![(1, 1)],
    });
    assert!(matches!(expunged, Ok(Outcome::Count(1))));
    assert!(!folder.path().join("reserve").exists());
    assert_eq!(rig.volume.failed(), None);
    rig.finish();
}

#[test]
fn a_small_map_fills_up_and_deletes_still_work() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(
        folder.path(),
        &Options {
            map_size: 2 << 20,
            ..quick()
        },
    );
    let mut stored = 0_u32;
    let full = loop {
        match rig.deliver(1, "INBOX", &body(u64::from(stored), 1200)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 20_000, "the map never filled");
    };
    assert!(matches!(full, StoreError::Full(_)), "{full}");
    let mailbox = rig.mailbox(1, "INBOX");
    let op = Op::ExpungeUids {
        account: 1,
        mailbox,
        uids: vec![(1, stored)],
    };
    assert!(matches!(rig.write(op), Ok(Outcome::Count(count)) if count == u64::from(stored)));
    rig.deliver(1, "INBOX", &body(1, 1200)).unwrap();
    assert_eq!(rig.finish().messages, 1);
}

#[test]
fn min_free_refuses_mail_alone() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(
        folder.path(),
        &Options {
            min_free: u64::MAX,
            ..quick()
        },
    );
    assert!(matches!(
        rig.deliver(1, "INBOX", &body(1, 100)),
        Err(StoreError::Full(_))
    ));
    rig.write(Op::EnsureAccount { account: 1 }).unwrap();
    rig.write(Op::DeleteMailbox {
        account: 1,
        name: "Junk".into(),
    })
    .unwrap();
    rig.finish();
}

#[test]
fn a_failed_sync_fails_the_volume_and_the_next_open_recovers() {
    let _armed = Armed::none();
    for point in ["pack-sync=eio", "before-commit=eio"] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { sync: true, ..quick() };
        let mut rig = Rig::open(folder.path(), &options);
        let kept = rig.deliver(1, "INBOX", &body(1, 5000)).unwrap();
        failpoints::arm(point);
        assert!(matches!(
            rig.deliver(1, "INBOX", &body(2, 500)),
            Err(StoreError::Failed(_))
        ));
        assert!(rig.volume.failed().is_some());
        failpoints::disarm();
        // Never again by this process, whatever the disk says now; reading goes on.
        assert!(matches!(
            rig.deliver(1, "INBOX", &body(3, 500)),
            Err(StoreError::Failed(_))
        ));
        assert_eq!(rig.message(&kept).unwrap(), body(1, 5000));
        rig.volume.close();
        let mut rig = Rig::open(folder.path(), &options);
        assert!(
            rig.volume.recovery().starts_with("dead writers 1"),
            "{}",
            rig.volume.recovery()
        );
        rig.deliver(1, "INBOX", &body(4, 500)).unwrap();
        assert_eq!(rig.finish().messages, 2);
    }
}

#[test]
fn a_torn_tail_is_cut_and_whole_but_unacknowledged_records_are_forgotten() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let kept = rig.deliver(1, "INBOX", &body(1, 5000)).unwrap();
    // A failed transaction leaves whole records behind.
    failpoints::arm("txn-begin=eio");
    assert!(rig.deliver(1, "INBOX", &body(2, 5000)).is_err());
    failpoints::disarm();
    rig.volume.close();
    let pack = folder.path().join("packs/1/1.pack");
    let file = OpenOptions::new().read(true).write(true).open(&pack).unwrap();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let end = bytes.iter().rposition(|&octet| octet != 0).unwrap() as u64 + 1;
    // Half a record header behind them.
    file.write_all_at(b"IPR1\x01\x01garbage", end).unwrap();
    let rig = Rig::open(folder.path(), &quick());
    let told = rig.volume.recovery();
    assert!(
        told.contains("packs sealed 1, unacknowledged records forgotten 1, torn records cut 1"),
        "{told}"
    );
    assert_eq!(rig.message(&kept).unwrap(), body(1, 5000));
    assert_eq!(rig.finish().messages, 1);
}

#[test]
fn a_damaged_record_errs_alone_and_check_names_it() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let stored: Vec<_> = (0..3)
        .map(|number| rig.deliver(1, "INBOX", &body(number, 900)).unwrap())
        .collect();
    let large = rig.deliver(1, "INBOX", &body(9, 300_000)).unwrap();
    let (place, offset) = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let row = context
            .tables
            .message(&txn, stored[1].mailbox, stored[1].uid)
            .unwrap()
            .unwrap();
        let blob = context.tables.blob(&txn, row.blob).unwrap().unwrap();
        (blob.pack, blob.offset)
    };
    let pack = folder
        .path()
        .join(format!("packs/{}/{}.pack", place.writer(), place.number()));
    let file = OpenOptions::new().read(true).write(true).open(&pack).unwrap();
    let mut octet = [0];
    for at in [offset + 60, offset + 1000] {
        file.read_exact_at(&mut octet, at).unwrap();
        file.write_all_at(&[octet[0] ^ 0x40], at).unwrap();
        let error = rig.message(&stored[1]).unwrap_err();
        assert!(
            matches!(&error, StoreError::Corrupt(text) if text.contains(&format!("pack {place}"))),
            "{error}"
        );
        for whole in [&stored[0], &stored[2], &large] {
            rig.message(whole).unwrap();
        }
        assert_eq!(rig.check(false).problems, Vec::<String>::new());
        let problems = rig.check(true).problems;
        assert!(problems.len() == 1 && problems[0].contains("pack"), "{problems:?}");
        file.write_all_at(&octet, at).unwrap();
    }
    rig.finish();
}

#[test]
fn a_missing_pack_is_named() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let small = rig.deliver(1, "INBOX", &body(1, 900)).unwrap();
    let large = rig.deliver(1, "INBOX", &body(9, 300_000)).unwrap();
    rig.finish();
    let mut packs: Vec<_> = std::fs::read_dir(folder.path().join("packs/1"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "pack"))
        .collect();
    packs.sort_by_key(|entry| entry.metadata().unwrap().len());
    std::fs::remove_file(packs[1].path()).unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    assert_eq!(rig.message(&small).unwrap(), body(1, 900));
    assert!(matches!(rig.message(&large), Err(StoreError::Corrupt(_))));
    assert!(!rig.check(false).problems.is_empty());
}

#[test]
fn newer_formats_and_second_opens_are_refused() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::open(folder.path(), &quick());
    assert!(matches!(
        Volume::open(folder.path(), &quick()),
        Err(StoreError::Open(_))
    ));
    {
        let context = rig.volume.context();
        let mut txn = context.env.write_txn().unwrap();
        context
            .tables
            .meta
            .put(&mut txn, b"format", &99_u32.to_le_bytes())
            .unwrap();
        txn.commit().unwrap();
    }
    rig.volume.close();
    let refused = Volume::open(folder.path(), &quick());
    assert!(
        matches!(&refused, Err(StoreError::Open(text)) if text.contains("format is 99")),
        "{refused:?}"
    );
}

#[test]
fn a_panic_in_a_read_job_is_told_by_its_ticket_and_cancelled_reads_say_nothing() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let ticket = rig.volume.read(Box::new(|_| Err(StoreError::Refused("no".into()))));
    assert!(matches!(rig.wait(ticket), Err(StoreError::Refused(_))));
    let cancelled = rig.volume.read(Box::new(|_| Ok(Outcome::None))).unwrap();
    rig.volume.cancel(cancelled);
    rig.volume.wait(Duration::from_millis(20)).unwrap();
    assert!(
        rig.volume
            .completions(10)
            .iter()
            .all(|(ticket, _)| *ticket != cancelled)
    );
    rig.finish();
}

#[test]
fn a_full_queue_answers_busy_and_recovers() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut tickets = Vec::new();
    let busy = loop {
        match rig.volume.write(Op::EnsureAccount {
            account: 1 + tickets.len() as u32 % 1000,
        }) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() < 5_000_000);
    };
    assert!(matches!(busy, StoreError::Busy));
    for ticket in tickets {
        rig.wait(Ok(ticket)).unwrap();
    }
    rig.write(Op::EnsureAccount { account: 1 }).unwrap();
    rig.finish();
}

#[test]
fn a_full_disk_lets_no_pack_go_whose_journal_is_in_no_other() {
    let _armed = Armed::none();
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.deliver(1, "INBOX", &body(1, 5000)).unwrap();
    rig.write(Op::Seal).unwrap();
    let inbox = rig.mailbox(1, "INBOX");
    let seen = Op::MarkSeen {
        account: 1,
        mailbox: inbox,
        uids: vec![(1, 1)],
    };
    rig.write(seen).unwrap();
    let pack = PackId::new(1, 1);
    failpoints::arm("pack-write=enospc");
    assert!(matches!(rig.write(Op::Retire { pack }), Err(StoreError::Full(_))));
    failpoints::disarm();
    rig.write(Op::Retire { pack }).unwrap();
    rig.finish();
}
