//! Damage: octets of a pack overwritten, packs cut and gone, an index or lock file spoilt. The answer is an error for
//! exactly the messages concerned, the right octets for all others, and a check that names exactly what is damaged.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "durable_support/mod.rs"]
mod durable_support;
mod write_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use durable_support::Random;
use ironpost_store::ops::{Enqueue, StoredMessage, Submit};
use ironpost_store::{Op, PackId, StoreError, Volume};
use write_support::{Rig, body, delivery, quick};

/// A volume of some messages and what is known of them.
struct Mail {
    folder: tempfile::TempDir,
    /// Where each message is, what it says, and the blobs it consists of.
    messages: Vec<(StoredMessage, Vec<u8>, Vec<u64>)>,
    /// Where each blob lies.
    blobs: BTreeMap<u64, (PackId, u64, u32)>,
}

fn mail() -> Mail {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut kept = Vec::new();
    for (number, octets) in [(1, 300), (2, 5_000), (3, 200_000), (4, 300_000), (5, 2_000)] {
        let prefix = format!("Delivered-To: {number}\r\n").into_bytes();
        let prefix = if number % 2 == 0 { prefix } else { Vec::new() };
        let submit = Submit {
            deliveries: vec![delivery(1, "INBOX", &prefix, &[])],
            ..Submit::default()
        };
        let body = body(number, octets);
        let stored = rig.submit(submit, Some(&body)).unwrap().0[0];
        kept.push((stored, [prefix, body].concat()));
    }
    // A copy shares its blob, a queue item has one of its own.
    let mailbox = kept[1].0.mailbox;
    let uids = vec![(kept[1].0.uid, kept[1].0.uid)];
    let target = "Archive".to_owned();
    rig.write(Op::Copy {
        account: 1,
        mailbox,
        uids,
        target,
        remove: false,
    })
    .unwrap();
    let archive = rig.mailbox(1, "Archive");
    kept.push((
        StoredMessage {
            mailbox: archive,
            uid: 1,
            ..kept[1].0
        },
        kept[1].1.clone(),
    ));
    let item = Enqueue {
        due: 1,
        ..Enqueue::default()
    };
    let submit = Submit {
        enqueue: vec![item],
        ..Submit::default()
    };
    rig.submit(submit, Some(&body(6, 900))).unwrap();
    let (mut messages, mut blobs) = (Vec::new(), BTreeMap::new());
    {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        for row in context.tables.blobs.iter(&txn).unwrap() {
            let blob = u64::from_be_bytes(row.unwrap().0.try_into().unwrap());
            let record = context.tables.blob(&txn, blob).unwrap().unwrap();
            blobs.insert(blob, (record.pack, record.offset, record.length));
        }
        for (stored, octets) in kept {
            let row = context
                .tables
                .message(&txn, stored.mailbox, stored.uid)
                .unwrap()
                .unwrap();
            let of = [row.blob, row.prefix].into_iter().filter(|&blob| blob != 0).collect();
            messages.push((stored, octets, of));
        }
    }
    rig.finish();
    Mail {
        folder,
        messages,
        blobs,
    }
}

impl Mail {
    fn pack(&self, pack: PackId) -> PathBuf {
        self.folder
            .path()
            .join(format!("packs/{}/{}.pack", pack.writer(), pack.number()))
    }

    /// Reads all: a message with a damaged blob errs, or reads right when what is damaged is not needed to read it;
    /// every other reads right. The check names each damaged blob and no other.
    fn judge(&self, damaged: &BTreeSet<u64>, all_named: bool, what: &str) {
        let mut rig = Rig::open(self.folder.path(), &quick());
        for (stored, octets, blobs) in &self.messages {
            match rig.message(stored) {
                Ok(read) => assert!(read == *octets, "{what}: UID {} reads wrong", stored.uid),
                Err(StoreError::Corrupt(_)) if blobs.iter().any(|blob| damaged.contains(blob)) => {}
                Err(error) => panic!("{what}: UID {} is whole and answers {error}", stored.uid),
            }
        }
        let problems = rig.check(true).problems;
        let mut named = BTreeSet::new();
        for problem in &problems {
            let words: Vec<&str> = problem.split([' ', ':']).collect();
            if words[0] == "blob" {
                named.insert(words[1].parse::<u64>().unwrap());
            } else {
                assert_eq!(words[0], "pack", "{what}: {problem}");
            }
        }
        assert!(
            named.is_subset(damaged),
            "{what}: {problems:?}, damaged are {damaged:?}"
        );
        if all_named {
            assert_eq!(named, *damaged, "{what}: {problems:?}");
        }
        // Damage in one place stops nobody from getting mail.
        let stored = rig.deliver(2, "INBOX", &body(9, 700)).unwrap();
        assert_eq!(rig.message(&stored).unwrap(), body(9, 700));
        let rows = rig.rows(stored.mailbox);
        let uids = rows.iter().map(|(uid, _)| (*uid, *uid)).collect();
        rig.write(Op::ExpungeUids {
            account: 2,
            mailbox: stored.mailbox,
            uids,
        })
        .unwrap();
        rig.volume.close();
    }
}

/// Overwrites for the length of a look.
fn with_octets(path: &Path, at: u64, octets: &[u8], look: impl FnOnce()) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut before = vec![0; octets.len()];
    file.read_exact_at(&mut before, at).unwrap();
    file.write_all_at(octets, at).unwrap();
    look();
    file.write_all_at(&before, at).unwrap();
}

#[test]
fn every_part_of_a_record_is_guarded() {
    let mail = mail();
    let mut random = Random::new(7);
    for (&blob, &(pack, offset, length)) in &mail.blobs {
        let path = mail.pack(pack);
        let file = std::fs::read(&path).unwrap();
        let record = &file[offset as usize..offset as usize + length as usize];
        let number = |at: usize| u64::from(u32::from_le_bytes(record[at..at + 4].try_into().unwrap()));
        let (data, sections, frames) = (number(20), number(24), number(28) * 8);
        let (table, card, stored) = (number(32), number(36), number(16));
        let parts = [
            ("magic", 0, 4),
            ("header", 4, 124),
            ("header checksum", 124, 128),
            ("frame table", sections, sections + frames),
            ("MIME table", sections + frames, sections + frames + table),
            ("card", sections + frames + table, sections + frames + table + card),
            ("first data", data, data + stored.min(4_000)),
            ("last data", data + stored - stored.min(100), data + stored),
            ("trailer", u64::from(length) - 8, u64::from(length)),
        ];
        for (part, from, until) in parts {
            if from == until {
                continue;
            }
            let at = from + random.below(until - from);
            let flipped = record[at as usize] ^ (1 << random.below(8));
            let what = format!("blob {blob}, {part}, octet {at}");
            let damaged = BTreeSet::from([blob]);
            with_octets(&path, offset + at, &[flipped], || mail.judge(&damaged, true, &what));
        }
    }
    // A sector of zeros, and one of garbage, over whatever lies there.
    for (garbage, step) in [(false, 3_000), (true, 40_000)] {
        let (pack, path) = {
            let (pack, ..) = mail.blobs.values().find(|(pack, ..)| pack.number() == 1).unwrap();
            (*pack, mail.pack(*pack))
        };
        let length = std::fs::metadata(&path).unwrap().len();
        let mut at = 512;
        while at + 512 < length {
            let octets: Vec<u8> = (0..512)
                .map(|_| if garbage { random.next() as u8 } else { 0 })
                .collect();
            let hit = mail.blobs.iter().filter(|(_, (of, offset, length))| {
                *of == pack && *offset < at + 512 && at < offset + u64::from(*length)
            });
            let damaged: BTreeSet<u64> = hit.map(|(blob, _)| *blob).collect();
            with_octets(&path, at, &octets, || {
                mail.judge(&damaged, true, &format!("sector at {at}"))
            });
            at += step;
        }
    }
    mail.judge(&BTreeSet::new(), true, "restored");
}

#[test]
fn a_spoilt_file_header_is_named() {
    let mail = mail();
    for (pack, ..) in mail.blobs.values().copied().collect::<BTreeSet<_>>() {
        let inside = mail
            .blobs
            .iter()
            .filter(|(_, (of, ..))| *of == pack)
            .map(|(blob, _)| *blob)
            .collect();
        with_octets(&mail.pack(pack), 3, b"X", || {
            mail.judge(&inside, false, "file header");
            let mut rig = Rig::open(mail.folder.path(), &quick());
            let problems = rig.check(false).problems;
            assert!(
                problems.iter().any(|problem| problem.contains(&format!("pack {pack}"))),
                "{problems:?}"
            );
        });
    }
}

#[test]
fn a_cut_or_missing_pack_loses_what_lay_there_and_nothing_else() {
    let mail = mail();
    let packs: BTreeSet<PackId> = mail.blobs.values().map(|(pack, ..)| *pack).collect();
    assert!(packs.len() >= 2);
    for pack in packs {
        let path = mail.pack(pack);
        let whole = std::fs::read(&path).unwrap();
        for tenth in [0, 1, 4, 7, 9] {
            let length = whole.len() as u64 * tenth / 10;
            OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(length)
                .unwrap();
            let hit = mail
                .blobs
                .iter()
                .filter(|(_, (of, offset, octets))| *of == pack && offset + u64::from(*octets) > length);
            let damaged = hit.map(|(blob, _)| *blob).collect();
            mail.judge(&damaged, true, &format!("pack {pack} cut at {length}"));
            std::fs::write(&path, &whole).unwrap();
        }
        std::fs::remove_file(&path).unwrap();
        let damaged = mail
            .blobs
            .iter()
            .filter(|(_, (of, ..))| *of == pack)
            .map(|(blob, _)| *blob)
            .collect();
        mail.judge(&damaged, true, &format!("pack {pack} gone"));
        std::fs::write(&path, &whole).unwrap();
    }
    mail.judge(&BTreeSet::new(), true, "restored");
}

/// The one line that an open answers.
fn refusal(folder: &Path) -> String {
    match Volume::open(folder, &quick()) {
        Err(error @ StoreError::Open(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_index_that_is_gone_or_spoilt_is_refused_and_the_packs_stay() {
    let mail = mail();
    let data = mail.folder.path().join("index/data.mdb");
    let whole = std::fs::read(&data).unwrap();
    let packs = || -> BTreeSet<PathBuf> { mail.blobs.values().map(|(pack, ..)| mail.pack(*pack)).collect() };
    let mut random = Random::new(3);
    let garbage: Vec<u8> = (0..whole.len()).map(|_| random.next() as u8).collect();
    let spoilt: [(&str, Option<Vec<u8>>); 7] = [
        ("gone", None),
        ("empty", Some(Vec::new())),
        ("one octet", Some(vec![1])),
        ("half a page", Some(whole[..2_000].to_vec())),
        ("zeros", Some(vec![0; whole.len()])),
        ("garbage", Some(garbage.clone())),
        (
            "garbage in both meta pages",
            Some([&garbage[..8_192], &whole[8_192..]].concat()),
        ),
    ];
    for (what, contents) in spoilt {
        match &contents {
            Some(contents) => std::fs::write(&data, contents).unwrap(),
            None => std::fs::remove_file(&data).unwrap(),
        }
        // Twice: the refusal itself must not have made anything of it.
        for _ in 0..2 {
            let line = refusal(mail.folder.path());
            assert!(line.contains("data.mdb") && !line.contains('\n'), "{what}: {line}");
        }
        assert!(packs().iter().all(|pack| pack.exists()), "{what}: a pack has gone");
        std::fs::write(&data, &whole).unwrap();
    }
    // The whole folder too.
    let (index, aside) = (mail.folder.path().join("index"), mail.folder.path().join("aside"));
    std::fs::rename(&index, &aside).unwrap();
    assert!(refusal(mail.folder.path()).contains("data.mdb"));
    let _ = std::fs::remove_dir_all(&index);
    std::fs::rename(&aside, &index).unwrap();
    mail.judge(&BTreeSet::new(), true, "restored");
}

#[test]
fn a_lock_file_that_is_gone_or_spoilt_is_made_anew() {
    let mail = mail();
    let lock = mail.folder.path().join("index/lock.mdb");
    let mut random = Random::new(4);
    for length in [None, Some(0), Some(64), Some(8_192), Some(400_000)] {
        std::fs::remove_file(&lock).unwrap();
        if let Some(length) = length {
            let garbage: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            std::fs::write(&lock, garbage).unwrap();
        }
        mail.judge(&BTreeSet::new(), true, &format!("lock file of {length:?} octets"));
    }
}

const CUT: &str = "IRONPOST_DAMAGE_CUT";

/// Not a test by itself: opens a volume whose index has been cut and says how it went.
#[test]
fn opens_a_cut_index() {
    let Ok(folder) = std::env::var(CUT) else { return };
    match Volume::open(Path::new(&folder), &quick()) {
        Ok(volume) => {
            let mut rig = Rig::of(volume);
            let ticket = rig.volume.check(true);
            println!("\nopened: {:?}", rig.wait(ticket).map(drop));
        }
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// A page that is not there must not end the process by a signal (SIGBUS), whatever it is.
#[test]
fn an_index_cut_short_answers_with_an_error() {
    let mail = mail();
    let data = mail.folder.path().join("index/data.mdb");
    let whole = std::fs::read(&data).unwrap();
    for part in [1, 3, 5, 8] {
        let length = (whole.len() * part / 10).next_multiple_of(4_096).max(8_192);
        std::fs::write(&data, &whole[..length]).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "opens_a_cut_index", "--nocapture"])
            .env(CUT, mail.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{length} of {}: {:?}",
            whole.len(),
            output.status
        );
        assert!(
            said.contains("refused: ") || said.contains("opened: Err"),
            "{length}: {said}"
        );
        std::fs::write(&data, &whole).unwrap();
    }
}
