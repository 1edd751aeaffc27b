//! The neutral export: there and back without a difference; damage of stores and of streams costs what it touches.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ironpost_store::db::keys;
use ironpost_store::db::records::{MailboxRecord, MessageRecord, NameRecord, RetainedRecord};
use ironpost_store::ops::{Enqueue, Submit};
use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{AccountPlan, Front, Plan, Summary, export};
use ironpost_store::portable::format::{Item, StreamReader};
use ironpost_store::portable::import::{ImportOptions, Imported, import};
use ironpost_store::{Op, Options, StoreError, Volume};
use write_support::{Rig, body, delivery, quick};

const ACCOUNTS: [u32; 3] = [1, 2, 7];

fn options() -> Options {
    Options {
        retention: 1_000_000,
        ..quick()
    }
}

/// Three accounts with everything that a store can hold.
fn furnish(rig: &mut Rig) {
    for number in 0..30 {
        let flags: &[&str] =
            [&["\\Seen"][..], &["$Work", "\\Flagged"], &["\\Deleted", "zweiter"], &[]][number as usize % 4];
        rig.append(1, "INBOX", &body(number, 300 + 500 * number as usize), flags)
            .unwrap();
    }
    // Bodies shared by accounts and copies, with prefixes of their own.
    for number in 100..105 {
        let submit = Submit {
            deliveries: vec![
                delivery(1, "INBOX", b"Delivered-To: one\r\n", &["\\Seen"]),
                delivery(2, "INBOX", b"Delivered-To: two\r\n", &["geteilt"]),
                delivery(2, "Archive/2026", b"", &[]),
            ],
            internal_date: Some(-5 - number as i64),
            ..Submit::default()
        };
        rig.submit(submit, Some(&body(number, 4000))).unwrap();
    }
    rig.append(2, "Sent", &body(200, 300_000), &[]).unwrap();
    rig.append(2, "Sent", &body(201, 2_500_000), &["\\Answered"]).unwrap();
    rig.append(2, "Sent", b"", &[]).unwrap();
    let copy = |account, mailbox, target: &str| Op::Copy {
        account,
        mailbox,
        uids: vec![(1, 3)],
        target: target.to_owned(),
        remove: false,
    };
    let (inbox, sent) = (rig.mailbox(1, "INBOX"), rig.mailbox(2, "Sent"));
    rig.write(copy(1, inbox, "Archive")).unwrap();
    rig.write(copy(2, sent, "Sent")).unwrap();
    // UIDs with gaps, UIDNEXT beyond the last, retained messages.
    let gone = |account, mailbox, uids: &[(u32, u32)]| Op::ExpungeUids {
        account,
        mailbox,
        uids: uids.to_vec(),
    };
    rig.write(gone(1, inbox, &[(2, 4), (9, 9), (35, 35)])).unwrap();
    let create = |name: &str, special_use: &str| Op::CreateMailbox {
        account: 2,
        name: name.to_owned(),
        special_use: special_use.to_owned(),
    };
    rig.write(create("Projekte/Ü %41/x", "")).unwrap();
    rig.write(create("Alles", "\\All")).unwrap();
    let subscribe = |name: &str, subscribed| Op::Subscribe {
        account: 2,
        name: name.to_owned(),
        subscribed,
    };
    rig.write(subscribe("Gone", true)).unwrap();
    rig.write(subscribe("Drafts", false)).unwrap();
    rig.write(Op::DeleteMailbox {
        account: 2,
        name: "Junk".to_owned(),
    })
    .unwrap();
    rig.write(Op::EnsureAccount { account: 7 }).unwrap();
    rig.write(Op::SetQuota {
        account: 7,
        group: Some("example.test".to_owned()),
        messages: Some(10),
        octets: Some(1 << 30),
    })
    .unwrap();
    rig.write(Op::SetGroupQuota {
        group: "example.test".to_owned(),
        messages: None,
        octets: Some(1 << 40),
    })
    .unwrap();
    for due in [5_000_000, 9_000_000] {
        let item = |state: Vec<u8>| Enqueue {
            due,
            prefix: b"Received: queue\r\n".to_vec(),
            state,
        };
        let submit = Submit {
            enqueue: vec![item(vec![1; 10]), item(vec![2; 5000])],
            ..Submit::default()
        };
        rig.submit(submit, Some(&body(due, 2000))).unwrap();
    }
}

/// What there is to see of a message.
type Seen = (u32, u8, BTreeSet<String>, i64, i16, u32, Vec<u8>);

/// Special use, subscribed, UIDVALIDITY, UIDNEXT, messages.
type SeenMailbox = (String, bool, u32, u32, Vec<Seen>);

#[derive(Debug, PartialEq, Eq, Default)]
struct Picture {
    mailboxes: BTreeMap<(u32, String), SeenMailbox>,
    subscribed: BTreeSet<(u32, String)>,
    retained: BTreeSet<(u32, u64, String, Seen)>,
    quota: BTreeMap<u32, (String, u64, u64, u64, u64)>,
    queue: Vec<(u64, Vec<u8>, Vec<u8>)>,
    bodies: u64,
}

fn seen(rig: &Rig, account: u32, uid: u32, row: &MessageRecord) -> Seen {
    let names: BTreeSet<String> = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let keywords = context.tables.account_keywords(&txn, account).unwrap();
        keywords
            .into_iter()
            .filter(|(number, _)| row.keywords >> number & 1 == 1)
            .map(|(_, name)| String::from_utf8(name).unwrap())
            .collect()
    };
    let octets = rig.read(row).unwrap();
    assert_eq!(octets.len(), row.size as usize);
    (
        uid,
        row.flags,
        names,
        row.internal_date,
        row.internal_zone,
        row.saved,
        octets,
    )
}

fn picture(rig: &Rig) -> Picture {
    let mut picture = Picture::default();
    let context = rig.volume.context();
    let tables = &context.tables;
    let txn = context.begin().unwrap();
    for account in ACCOUNTS {
        for row in tables.names.prefix_iter(&txn, &keys::account(account)).unwrap() {
            let name = NameRecord::decode(row.unwrap().1).unwrap();
            if name.mailbox == 0 {
                picture.subscribed.insert((account, name.name));
                continue;
            }
            let record: MailboxRecord = tables.mailbox(&txn, account, name.mailbox).unwrap().unwrap();
            let messages = rig
                .rows(name.mailbox)
                .iter()
                .map(|(uid, row)| seen(rig, account, *uid, row))
                .collect();
            picture.mailboxes.insert(
                (account, name.name),
                (
                    record.special_use,
                    name.subscribed,
                    record.uid_validity,
                    record.uid_next,
                    messages,
                ),
            );
        }
        for row in tables.retained.prefix_iter(&txn, &keys::account(account)).unwrap() {
            let (key, value) = row.unwrap();
            let record = RetainedRecord::decode(value).unwrap();
            let uid = keys::u32_at(key, 16).unwrap();
            let seen = seen(rig, account, uid, &record.message);
            picture
                .retained
                .insert((account, keys::u64_at(key, 4).unwrap(), record.name, seen));
        }
        if let Some(row) = tables.account(&txn, account).unwrap() {
            let group = if row.group.is_empty() {
                Default::default()
            } else {
                tables.group(&txn, &row.group).unwrap()
            };
            let limits = (
                row.group,
                row.limit_messages,
                row.limit_octets,
                group.limit_messages,
                group.limit_octets,
            );
            picture.quota.insert(account, limits);
        }
    }
    for row in tables.queue.iter(&txn).unwrap() {
        let (key, _) = row.unwrap();
        if key[8..] == [0, 0] {
            let item = tables.queue_item(&txn, keys::u64_at(key, 0).unwrap()).unwrap().unwrap();
            let mut octets = context.record(item.prefix).unwrap().read_all().unwrap();
            octets.extend(context.record(item.blob).unwrap().read_all().unwrap());
            picture.queue.push((item.due, item.state, octets));
        }
    }
    picture.bodies = tables.cards.len(&txn).unwrap();
    picture
}

fn plan() -> Plan {
    Plan {
        begin: vec![("Software".to_owned(), "test".to_owned())],
        front: vec![Front {
            kind: "domain".to_owned(),
            fields: vec![("Name".to_owned(), "example.test".to_owned())],
        }],
        accounts: [1, 2]
            .map(|id| AccountPlan {
                id,
                fields: vec![("Address".to_owned(), format!("a{id}@example.test"))],
            })
            .to_vec(),
        unknown_accounts: true,
        mailbox: None,
        queue: true,
        retained: true,
    }
}

fn exported(volume: &Volume, plan: &Plan) -> (Vec<u8>, Summary, Vec<String>) {
    let progress = Progress::default();
    let (summary, octets) = export(volume.context(), Vec::new(), plan, &progress).unwrap();
    assert_eq!(summary.octets, octets.len() as u64);
    assert_eq!(summary.damaged, progress.problems());
    (octets, summary, progress.take_notes())
}

fn everything() -> ImportOptions {
    ImportOptions {
        prefix: String::new(),
        queue: true,
        retained: true,
    }
}

fn imported(volume: &Volume, octets: &[u8], options: &ImportOptions) -> (Imported, Vec<String>) {
    let progress = Progress::default();
    let mut same = |record: &ironpost_store::portable::format::Record| {
        Ok((record.kind == "account" || record.kind == "mailbox").then(|| record.number("Account")))
    };
    let imported = import(volume, octets, options, &progress, &mut same).unwrap();
    assert_eq!(imported.stored.damaged, progress.problems());
    (imported, progress.take_notes())
}

fn source(folder: &Path) -> (Vec<u8>, Picture, Summary) {
    let mut rig = Rig::open(folder, &options());
    furnish(&mut rig);
    let picture = picture(&rig);
    let (octets, summary, notes) = exported(&rig.volume, &plan());
    assert_eq!(notes, Vec::<String>::new());
    rig.finish();
    (octets, picture, summary)
}

#[test]
fn there_and_back_without_a_difference() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (octets, before, summary) = source(from.path());
    assert_eq!((summary.accounts, summary.queue, summary.retained), (3, 4, 5));
    let mut rig = Rig::open(to.path(), &options());
    let (imported, notes) = imported(&rig.volume, &octets, &everything());
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(imported.stored.messages, summary.messages);
    assert_eq!((imported.present, imported.passed), (0, 0));
    let mut after = picture(&rig);
    // Only the queue's: its items do not come to share them again.
    assert_eq!(after.bodies, before.bodies + 2);
    after.bodies = before.bodies;
    assert_eq!(after, before);
    rig.assert_clean();

    // Done again it changes nothing, but for the queue, which is a list of things to do.
    let again = ImportOptions {
        queue: false,
        ..everything()
    };
    let (second, notes) = self::imported(&rig.volume, &octets, &again);
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(
        (second.stored.messages, second.stored.retained, second.passed),
        (0, 0, 4)
    );
    assert_eq!(second.present, summary.messages + summary.retained);
    let mut after = picture(&rig);
    after.bodies = before.bodies;
    assert_eq!(after, before);
    rig.finish();
}

#[test]
fn one_mailbox_goes_below_a_prefix_and_only_what_is_missing_comes_back() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut rig = Rig::open(from.path(), &options());
    furnish(&mut rig);
    let only = Plan {
        unknown_accounts: false,
        accounts: plan().accounts[..1].to_vec(),
        mailbox: Some("INBOX".to_owned()),
        queue: false,
        retained: false,
        ..plan()
    };
    let (octets, summary, _) = exported(&rig.volume, &only);
    assert_eq!((summary.accounts, summary.mailboxes, summary.messages), (1, 1, 30));
    let inbox = rig.mailbox(1, "INBOX");
    let before: Vec<Vec<u8>> = rig.rows(inbox).iter().map(|(_, row)| rig.read(row).unwrap()).collect();
    rig.write(Op::ExpungeUids {
        account: 1,
        mailbox: inbox,
        uids: vec![(5, 8), (30, 31)],
    })
    .unwrap();
    let (back, notes) = imported(&rig.volume, &octets, &ImportOptions::default());
    assert_eq!((back.stored.messages, back.present, notes.len()), (6, 24, 0));
    let mut after: Vec<Vec<u8>> = rig.rows(inbox).iter().map(|(_, row)| rig.read(row).unwrap()).collect();
    let mut expected = before.clone();
    after.sort();
    expected.sort();
    assert_eq!(after, expected);
    rig.finish();

    let rig = Rig::open(to.path(), &options());
    let below = ImportOptions {
        prefix: "Restored/2026".to_owned(),
        ..ImportOptions::default()
    };
    imported(&rig.volume, &octets, &below);
    let restored = rig.mailbox(1, "Restored/2026/INBOX");
    let after: Vec<Vec<u8>> = rig
        .rows(restored)
        .iter()
        .map(|(_, row)| rig.read(row).unwrap())
        .collect();
    assert_eq!(after, before);
    rig.finish();
}

#[test]
fn refused_accounts_stay_away_and_their_bodies_serve_others() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (octets, before, _) = source(from.path());
    let rig = Rig::open(to.path(), &options());
    let progress = Progress::default();
    let mut second = |record: &ironpost_store::portable::format::Record| {
        let account: u32 = record.number("Account");
        Ok(Some(account).filter(|&account| account == 2))
    };
    import(&rig.volume, &octets[..], &everything(), &progress, &mut second).unwrap();
    assert_eq!(progress.take_notes(), Vec::<String>::new());
    let after = picture(&rig);
    for (key, mailbox) in &before.mailboxes {
        assert_eq!(
            after.mailboxes.get(key),
            Some(mailbox).filter(|_| key.0 == 2),
            "{key:?}"
        );
    }
    rig.finish();
}

#[test]
fn damaged_packs_cost_the_messages_that_they_hold_and_are_listed() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut rig = Rig::open(from.path(), &options());
    furnish(&mut rig);
    let before = picture(&rig);
    // One body in the middle of the shared pack, and a pack of its own altogether.
    let context = rig.volume.context().clone();
    let row_of = |account, name: &str, at: usize| rig.rows(rig.mailbox(account, name))[at];
    let (uid, row) = row_of(1, "INBOX", 10);
    let (large_uid, large) = row_of(2, "Sent", 1);
    let (blob, large_blob) = {
        let txn = context.begin().unwrap();
        (
            context.blob(&txn, row.blob).unwrap(),
            context.blob(&txn, large.blob).unwrap(),
        )
    };
    drop(context);
    let path = |pack: ironpost_store::PackId| {
        from.path()
            .join(format!("packs/{}/{}.pack", pack.writer(), pack.number()))
    };
    let mut octets = std::fs::read(path(blob.pack)).unwrap();
    octets[blob.offset as usize + blob.length as usize / 2] ^= 1;
    std::fs::write(path(blob.pack), octets).unwrap();
    std::fs::remove_file(path(large_blob.pack)).unwrap();
    drop(rig);
    let rig = Rig::open(from.path(), &options());
    let (octets, summary, notes) = exported(&rig.volume, &plan());
    assert_eq!(summary.damaged, 3, "{notes:?}");
    assert!(
        notes[0].starts_with(&format!("a1@example.test: INBOX: UID {uid}: damaged record: pack")),
        "{notes:?}"
    );
    assert!(
        notes[1].starts_with(&format!("a2@example.test: Sent: UID {large_uid}: ")),
        "{notes:?}"
    );
    drop(rig);
    let rig = Rig::open(to.path(), &options());
    let (_, listed) = imported(&rig.volume, &octets, &everything());
    assert_eq!(listed.len(), 3);
    assert!(listed[0].contains(&notes[0]), "{listed:?}");
    let after = picture(&rig);
    for (key, mailbox) in before.mailboxes {
        let lost: Vec<u32> = after.mailboxes[&key].4.iter().map(|message| message.0).collect();
        let lost = mailbox.4.iter().filter(|message| !lost.contains(&message.0)).count();
        let expected = match (key.0, key.1.as_str()) {
            (1, "INBOX") => 1,
            (2, "Sent") => 2,
            _ => 0,
        };
        assert_eq!(lost, expected, "{key:?}");
    }
    rig.finish();
}

/// Where records begin, and what kind they are.
fn records(octets: &[u8]) -> Vec<(u64, String)> {
    let mut reader = StreamReader::new(octets);
    let mut found = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Record(record) => found.push((record.offset, record.kind)),
            Item::Damage { offset, .. } => panic!("{offset}"),
        }
    }
    found
}

#[test]
fn a_stream_that_is_cut_gives_what_lies_before_the_cut() {
    let from = tempfile::tempdir().unwrap();
    let (octets, _, summary) = source(from.path());
    let starts = records(&octets);
    let mut messages = 0;
    for (number, (start, kind)) in starts.iter().enumerate() {
        // Each boundary is read; only some are imported, for time.
        let cut = *start as usize;
        if cut > 0 && (number % 9 == 0 || number + 1 == starts.len()) {
            let to = tempfile::tempdir().unwrap();
            let rig = Rig::open(to.path(), &options());
            let (imported, notes) = imported(&rig.volume, &octets[..cut], &everything());
            assert_eq!(imported.stored.messages, messages, "{number}");
            assert_eq!(notes, ["the export has no end: it was cut"]);
            let (_, notes) = self::imported(&rig.volume, &octets[..cut + 60.min(octets.len() - cut)], &everything());
            assert!(!notes.is_empty());
            rig.finish();
        }
        messages += u64::from(kind == "message");
    }
    assert_eq!(messages, summary.messages);
}

#[test]
fn a_flipped_bit_costs_what_it_touches_and_is_told() {
    let from = tempfile::tempdir().unwrap();
    let (octets, before, summary) = source(from.path());
    let all: usize = before.mailboxes.values().map(|mailbox| mailbox.4.len()).sum();
    assert_eq!(all as u64, summary.messages);
    let starts = records(&octets);
    for (number, (start, kind)) in starts.iter().enumerate() {
        if number % 7 != 0 && kind == "message" {
            continue;
        }
        // In the head, and in the body when there is one.
        let end = starts.get(number + 1).map_or(octets.len() as u64, |(next, _)| *next);
        for at in [start + 30, end - 2] {
            let mut broken = octets.clone();
            broken[at as usize] ^= 2;
            let to = tempfile::tempdir().unwrap();
            let rig = Rig::open(to.path(), &options());
            let (imported, notes) = imported(&rig.volume, &broken, &everything());
            assert!(!notes.is_empty(), "{number} {kind}");
            // A body that several share is lost to all of them, in the worst case five.
            let least = if matches!(kind.as_str(), "message" | "retained") {
                summary.messages - 5
            } else {
                summary.messages
            };
            // An account whose record is lost gets its mail by the records of its mailboxes.
            assert!(
                imported.stored.messages >= least,
                "{number} {kind} {}: {notes:?}",
                imported.stored.messages
            );
            rig.finish();
        }
    }
}

#[test]
fn what_is_no_export_is_refused() {
    let to = tempfile::tempdir().unwrap();
    let rig = Rig::open(to.path(), &options());
    let mut nobody = |_: &ironpost_store::portable::format::Record| Ok(None);
    let progress = Progress::default();
    for octets in [&b""[..], b"From MAILER-DAEMON Mon Jan  1 00:00:00 2026\n\nhello\n"] {
        let refused = import(&rig.volume, octets, &everything(), &progress, &mut nobody);
        let told = progress.take_notes();
        assert!(
            refused.is_err() || told.iter().any(|line| line.contains("no record can be read")),
            "{told:?}"
        );
    }
    let newer = {
        use ironpost_store::portable::format::{Fields, StreamWriter};
        let mut writer = StreamWriter::new(Vec::new(), "0123456789abcdef".to_owned());
        let mut fields = Fields::new();
        fields.number("Version", 2);
        writer.record("begin", &fields, b"", b"").unwrap();
        writer.finish().unwrap()
    };
    let refused = import(&rig.volume, &newer[..], &everything(), &progress, &mut nobody);
    assert!(matches!(refused, Err(StoreError::Refused(text)) if text.contains("version 2")));
    rig.finish();
}
