//! The golden stores of earlier releases, and what they hold.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;

use ironpost_store::Options;
use ironpost_store::ops::Outcome;
use ironpost_store::reader;

use crate::write_support::{Rig, body};

pub fn options() -> Options {
    Options {
        map_size: 16 << 20,
        min_free: 0,
        ..Options::default()
    }
}

pub fn unpack(name: &str, folder: &Path) {
    let archive = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/upgrade/{name}.tar.gz"));
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .status()
        .unwrap();
    assert!(status.success());
}

/// (number, octets) of the messages that a mailbox must hold, by UID.
type Expected = Vec<(u32, u64, usize)>;

pub fn inbox(account: u32) -> Expected {
    let octets = |number: u64| if number == 7 { 300_000 } else { number as usize * 300 };
    let gone: &[u32] = if account == 1 { &[3, 4, 20, 21, 22] } else { &[] };
    (0..30_u64)
        .map(|number| (number as u32 + 1, number, octets(number)))
        .filter(|(uid, _, _)| !gone.contains(uid))
        .collect()
}

pub fn compare(rig: &Rig, account: u32, mailbox: &str, expected: &Expected) {
    let rows = rig.rows(rig.mailbox(account, mailbox));
    let uids: Vec<u32> = rows.iter().map(|(uid, _)| *uid).collect();
    assert_eq!(
        uids,
        expected.iter().map(|(uid, _, _)| *uid).collect::<Vec<u32>>(),
        "{mailbox}"
    );
    for ((_, row), (_, number, octets)) in rows.iter().zip(expected) {
        let message = rig.read(row).unwrap();
        assert!(message.ends_with(&body(*number, *octets)), "{mailbox} {number}");
        assert_ne!(row.saved, 0);
    }
}

/// Everything that `gold.rs` of the old release put there.
pub fn verify(folder: &Path, killed: bool) {
    let mut rig = Rig::open(folder, &options());
    compare(&rig, 1, "INBOX", &inbox(1));
    let mut second = inbox(2);
    if killed {
        second.push((31, 400, 700));
    }
    compare(&rig, 2, "INBOX", &second);
    let archive = [9, 10, 11, 19, 20, 21].iter().zip(1..);
    let archive = archive
        .map(|(&number, uid)| (uid, number, number as usize * 300))
        .collect();
    compare(&rig, 1, "Archive", &archive);
    compare(
        &rig,
        1,
        "Work/Projects",
        &(100..110).map(|number| (number as u32 - 99, number, 500)).collect(),
    );
    let rows = rig.rows(rig.mailbox(1, "Work/Projects"));
    assert_eq!((rows[1].1.flags, rows[1].1.keywords), (1, 1));
    assert_eq!(
        (rows[0].1.flags, rows[0].1.keywords, rows[0].1.internal_zone),
        (4, 0, -90)
    );
    assert_eq!(rows[0].1.internal_date, 1_000_000_000);
    assert_eq!(
        rig.rows(rig.mailbox(1, "INBOX"))[2].1.flags,
        10,
        "\\Deleted and \\Answered"
    );
    assert_eq!(rig.mailbox(1, "Gelöscht"), 0);
    assert!(rig.names(1).contains(&("Nowhere".into(), 0, true)));
    let ticket = rig.volume.read(reader::queue_list(0, 10));
    let Outcome::Boxed(items) = rig.wait(ticket).unwrap() else {
        panic!()
    };
    let items = items.downcast::<Vec<reader::QueueItem>>().unwrap();
    assert_eq!((items.len(), items[0].record.state.len()), (1, 3000));
    let usage = reader::quota(rig.volume.context(), 1).unwrap().unwrap().0;
    assert_eq!(usage.messages, 25 + 6 + 10);
    // A blob's digest was found in its pack, so copies of the same contents could be.
    let context = rig.volume.context();
    let txn = context.begin().unwrap();
    let blob = context.tables.blob(&txn, rows[0].1.blob).unwrap().unwrap();
    assert_eq!(blob.digest, blake3::hash(&body(100, 500)).as_bytes()[..16]);
    drop(txn);
    rig.deliver(4, "INBOX", &body(1, 100)).unwrap();
    rig.finish();
}
