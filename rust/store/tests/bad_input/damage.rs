//! One damaged thing in a mailbox: an error for it alone, from every reader, and a check that names it. `tests/damage.rs`
//! has the regions of a record one by one; here is what sessions make of them, and of damaged rows of the index.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heed::types::Bytes;
use heed::{Database, EnvOpenOptions};
use ironpost_proto::imap::fetch_att::{FetchAttribute, Section, SectionText, Spelling};
use ironpost_proto::imap::search_key::SearchKey;
use ironpost_store::db::keys;
use ironpost_store::listing::{self, FINGERPRINT_OCTETS, ListedMessage, WholeMessage};
use ironpost_store::ops::MailboxInfo;
use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{AccountPlan, Plan, export};
use ironpost_store::view::MailboxView;
use ironpost_store::{Op, Options, Outcome, StoreError, Volume, reader};

use crate::read_support::{ACCOUNT, Rig, boxed};

const MESSAGES: u32 = 5;
/// The one that is damaged.
const VICTIM: u32 = 3;

fn body(number: u32) -> Vec<u8> {
    let mut text = format!("Subject: s{number}\r\nFrom: a{number}@b\r\n\r\n").into_bytes();
    for line in 0..200 {
        text.extend_from_slice(format!("needle{number} and line {line} of text\r\n").as_bytes());
    }
    text
}

fn filled() -> (Rig, Arc<MailboxView>) {
    let rig = Rig::new();
    for number in 1..=MESSAGES {
        let prefix = format!("Received: for {number}\r\n");
        rig.deliver_to("INBOX", prefix.as_bytes(), &body(number), &[], 1_700_000_000);
    }
    rig.wait(rig.volume.write(Op::CreateMailbox {
        account: ACCOUNT,
        name: "Other".to_owned(),
        special_use: String::new(),
    }))
    .unwrap();
    let view = rig.open("INBOX", true);
    (rig, view)
}

fn text() -> FetchAttribute {
    FetchAttribute::Section {
        section: Section {
            path: Vec::new(),
            text: SectionText::Whole,
        },
        partial: None,
        peek: true,
        spelling: Spelling::Body,
    }
}

/// FETCH of everything: all but the victim, whole; then Corrupt.
fn others_are_answered(rig: &Rig, view: &Arc<MailboxView>, what: &str) {
    let (out, _, end) = rig.fetch(view, "1:*", false, &[FetchAttribute::Uid, text()], 131_072);
    let mut expected = Vec::new();
    for number in (1..=MESSAGES).filter(|&number| number != VICTIM) {
        let stored = [format!("Received: for {number}\r\n").as_bytes(), &body(number)].concat();
        expected
            .extend_from_slice(format!("* {number} FETCH (UID {number} BODY[] {{{}}}\r\n", stored.len()).as_bytes());
        expected.extend_from_slice(&stored);
        expected.extend_from_slice(b")\r\n");
    }
    assert!(out == expected, "{what}: {}", String::from_utf8_lossy(&out));
    assert!(matches!(end, Err(StoreError::Corrupt(_))), "{what}: {end:?}");
    // The one that all others have: their text is found, the victim's is not.
    let found = rig.search(view, SearchKey::Body("of text".to_owned()));
    assert_eq!(found, "1 2 4 5", "{what}");
    // POP3 lists it, reading it fails, the next one is read.
    let listed: Box<Vec<(u32, u32)>> = boxed(rig.wait(rig.volume.read(reader::messages(Arc::clone(view)))).unwrap());
    assert_eq!(listed.len(), MESSAGES as usize, "{what}");
    let one = |uid| rig.wait(rig.volume.read(reader::read_message(Arc::clone(view), uid, 0, 1 << 20)));
    assert!(matches!(one(VICTIM), Err(StoreError::Corrupt(_))), "{what}");
    assert!(matches!(one(VICTIM + 1), Ok(Outcome::Bytes(_))), "{what}");
    assert!(rig.volume.failed().is_none(), "{what}");
}

/// What a move to another format reads: the victim by its UID alone, then why it can't be read; the others whole.
fn others_can_leave(rig: &Rig, view: &Arc<MailboxView>) {
    let rows: Box<Vec<ListedMessage>> = boxed(
        rig.wait(rig.volume.read(listing::rows(Arc::clone(view), 0, 100)))
            .unwrap(),
    );
    let sizes: Vec<(u32, bool)> = rows.iter().map(|row| (row.uid, row.size > 0)).collect();
    assert_eq!(sizes, [(1, true), (2, true), (VICTIM, false), (4, true), (5, true)]);
    let uids: Vec<u32> = (1..=MESSAGES).collect();
    let ticket = rig.volume.read(listing::whole(Arc::clone(view), uids.clone(), 1 << 20));
    let read: Box<Vec<WholeMessage>> = boxed(rig.wait(ticket).unwrap());
    for (uid, message) in *read {
        assert_eq!(matches!(message, Some(Err(_))), uid == VICTIM, "{uid}: {message:?}");
        assert!(message.is_some(), "{uid}");
    }
    let digests: Box<Vec<Option<[u8; FINGERPRINT_OCTETS]>>> = boxed(
        rig.wait(rig.volume.read(listing::fingerprints(Arc::clone(view), uids)))
            .unwrap(),
    );
    let known: Vec<bool> = digests.iter().map(Option::is_some).collect();
    assert_eq!(known, [true, true, false, true, true]);
}

/// Mail still comes and goes.
fn mail_still_moves(rig: &Rig, view: &Arc<MailboxView>, what: &str) {
    let uid = rig.deliver(b"Subject: later\r\n\r\nx\r\n");
    let copy = |uids, remove| Op::Copy {
        account: ACCOUNT,
        mailbox: view.mailbox,
        uids,
        target: "Archive".to_owned(),
        remove,
    };
    rig.wait(rig.volume.write(copy(vec![(1, 1)], false))).unwrap();
    rig.wait(rig.volume.write(copy(vec![(uid, uid)], true))).unwrap();
    assert!(rig.volume.failed().is_none(), "{what}");
}

fn problems(rig: &Rig) -> Vec<String> {
    match rig.wait(rig.volume.check(true)).unwrap() {
        Outcome::Check(report) => report.problems,
        other => panic!("{other:?}"),
    }
}

fn exported(rig: &Rig) -> (u64, Vec<String>) {
    let plan = Plan {
        accounts: vec![AccountPlan {
            id: ACCOUNT,
            fields: vec![("Address".to_owned(), "a@example.test".to_owned())],
        }],
        mailbox: Some("INBOX".to_owned()),
        ..Plan::default()
    };
    let progress = Progress::default();
    let (summary, _) = export(rig.volume.context(), Vec::new(), &plan, &progress).unwrap();
    (summary.messages, progress.take_notes())
}

#[test]
fn a_damaged_record_is_an_error_of_its_message_alone() {
    // Regions of the record, by an octet counted from its start or (below zero) from its end.
    for (region, of_prefix, at) in [
        ("header", false, 9_i64),
        ("header's checksum", false, 125),
        ("sections", false, 140),
        ("data", false, -40),
        ("trailer", false, -3),
        ("prefix's header", true, 9),
        ("prefix's data", true, -12),
    ] {
        let (rig, view) = filled();
        let (pack, offset) = {
            let context = rig.volume.context();
            let txn = context.begin().unwrap();
            let row = context.tables.message(&txn, view.mailbox, VICTIM).unwrap().unwrap();
            let blob = if of_prefix { row.prefix } else { row.blob };
            let place = context.tables.blob(&txn, blob).unwrap().unwrap();
            let at = if at < 0 { i64::from(place.length) + at } else { at };
            (place.pack, place.offset + at as u64)
        };
        let path = ironpost_store::pack::read::pack_path(&rig.folder.path().join("packs"), pack);
        let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
        let mut octet = [0];
        file.read_exact_at(&mut octet, offset).unwrap();
        file.write_all_at(&[octet[0] ^ 0x10], offset).unwrap();
        others_are_answered(&rig, &view, region);
        let (messages, notes) = exported(&rig);
        assert_eq!(messages, 4, "{region}: {notes:?}");
        assert!(!notes.is_empty(), "{region}");
        mail_still_moves(&rig, &view, region);
        // Copying and moving what cannot be read harms nobody: it is the same record.
        rig.wait(rig.volume.write(Op::Copy {
            account: ACCOUNT,
            mailbox: view.mailbox,
            uids: vec![(VICTIM, VICTIM)],
            target: "Other".to_owned(),
            remove: false,
        }))
        .unwrap();
        let named = problems(&rig);
        assert!(
            named.iter().any(|problem| problem.starts_with("blob ")),
            "{region}: {named:?}"
        );
        // Expunging both copies rids the store of it.
        for mailbox in [view.mailbox, rig.open("Other", true).mailbox] {
            rig.wait(rig.volume.write(Op::ExpungeUids {
                account: ACCOUNT,
                mailbox,
                uids: vec![(1, u32::MAX)],
            }))
            .unwrap();
        }
        rig.finish();
    }
}

#[test]
fn what_was_announced_of_a_large_damaged_body_is_sent_by_the_piece() {
    let rig = Rig::new();
    let large = body(1).repeat(500);
    rig.deliver(&large);
    rig.deliver(b"Subject: next\r\n\r\nx\r\n");
    let view = rig.open("INBOX", true);
    let pack = {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let row = context.tables.message(&txn, view.mailbox, 1).unwrap().unwrap();
        context.tables.blob(&txn, row.blob).unwrap().unwrap().pack
    };
    let path = ironpost_store::pack::read::pack_path(&rig.folder.path().join("packs"), pack);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"\0", 4096 + 700_000).unwrap();
    // `fetch` sees that no stretch is much larger than its limit, though megabytes are owed.
    let (out, stretches, end) = rig.fetch(&view, "1:*", false, &[text()], 100_000);
    assert!(matches!(end, Err(StoreError::Corrupt(_))), "{end:?}");
    assert!(stretches > 10, "{stretches}");
    let start = format!("* 1 FETCH (BODY[] {{{}}}\r\n", large.len());
    let rest = out.strip_prefix(start.as_bytes()).unwrap();
    assert!(rest.starts_with(&large[..500_000]));
    assert!(rest[800_000..large.len()].iter().all(|&octet| octet == b' '));
    assert_eq!(
        &rest[large.len()..],
        b")\r\n* 2 FETCH (BODY[] {20}\r\nSubject: next\r\n\r\nx\r\n)\r\n"
    );
}

/// The store's tables by name, opened a second time once the volume is closed.
fn spoil(folder: &std::path::Path, table: &str, change: impl Fn(&[u8], &[u8]) -> Option<Option<Vec<u8>>>) {
    let mut options = EnvOpenOptions::new();
    options.map_size(1 << 30).max_dbs(64);
    // SAFETY: the volume is closed, nobody else has the files open.
    let env = unsafe { options.open(folder.join("index")) }.unwrap();
    let mut txn = env.write_txn().unwrap();
    let database: Database<Bytes, Bytes> = env.open_database(&txn, Some(table)).unwrap().unwrap();
    let rows: BTreeMap<Vec<u8>, Vec<u8>> = database
        .iter(&txn)
        .unwrap()
        .map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap())
        .collect();
    let mut spoilt = 0;
    for (key, value) in rows {
        match change(&key, &value) {
            None => continue,
            Some(None) => {
                database.delete(&mut txn, &key).unwrap();
            }
            Some(Some(value)) => database.put(&mut txn, &key, &value).unwrap(),
        }
        spoilt += 1;
    }
    assert_eq!(spoilt, 1, "{table}");
    txn.commit().unwrap();
    env.prepare_for_closing().wait();
}

fn garbage() -> Option<Option<Vec<u8>>> {
    Some(Some(b"\xffgarbage".to_vec()))
}

/// Spoils one row, opens again and looks.
fn with_spoilt_row(table: &str, key: impl Fn(&Rig, &MailboxView) -> Vec<u8>, gone: bool, look: impl FnOnce(&Rig)) {
    let (mut rig, view) = filled();
    let key = key(&rig, &view);
    let options = Options {
        map_size: 1 << 30,
        min_free: 0,
        sync: false,
        ..Options::default()
    };
    rig.volume.close();
    spoil(rig.folder.path(), table, |of, _| {
        (of == key)
            .then_some(())
            .and_then(|()| if gone { Some(None) } else { garbage() })
    });
    rig.volume = Volume::open(rig.folder.path(), &options).unwrap();
    look(&rig);
    rig.volume.close();
}

#[test]
fn a_damaged_row_of_a_message_is_its_own_error() {
    let key = |_: &Rig, view: &MailboxView| keys::message(view.mailbox, VICTIM).to_vec();
    with_spoilt_row("messages", key, false, |rig| {
        let view = rig.open("INBOX", true);
        others_are_answered(rig, &view, "hot row");
        others_can_leave(rig, &view);
        mail_still_moves(rig, &view, "hot row");
        let named = problems(rig);
        assert!(
            named
                .iter()
                .any(|problem| problem.contains(&format!("{}:{VICTIM}", view.mailbox))),
            "{named:?}"
        );
        // A COPY that needs the row is refused as a whole, and changes nothing.
        let all = Op::Copy {
            account: ACCOUNT,
            mailbox: view.mailbox,
            uids: vec![(1, 5)],
            target: "Other".to_owned(),
            remove: true,
        };
        assert!(matches!(rig.wait(rig.volume.write(all)), Err(StoreError::Corrupt(_))));
        assert_eq!(
            rig.fetch_text(&rig.open("Other", true), "1:*", &[FetchAttribute::Uid]),
            ""
        );
        assert!(rig.volume.failed().is_none());
        rig.deliver(b"after it\r\n");
    });
}

#[test]
fn a_mailbox_with_a_damaged_row_can_be_deleted() {
    let key = |rig: &Rig, _: &MailboxView| {
        rig.deliver_to("Doomed", b"", b"x", &[], 1);
        rig.deliver_to("Doomed", b"", b"y", &[], 1);
        keys::message(rig.open("Doomed", true).mailbox, 1).to_vec()
    };
    with_spoilt_row("messages", key, false, |rig| {
        rig.wait(rig.volume.write(Op::DeleteMailbox {
            account: ACCOUNT,
            name: "Doomed".to_owned(),
        }))
        .unwrap();
        let left = || {
            let context = rig.volume.context();
            let txn = context.begin().unwrap();
            context.tables.doomed.len(&txn).unwrap()
        };
        let started = Instant::now();
        while left() > 0 {
            assert!(started.elapsed() < Duration::from_secs(20), "it is still doomed");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(rig.volume.failed().is_none());
        // What is left of it is a reference too many.
        let named = problems(rig);
        assert!(
            !named.is_empty()
                && named
                    .iter()
                    .all(|one| one.starts_with("blob ") || one.contains("account")),
            "{named:?}"
        );
    });
}

#[test]
fn a_missing_or_damaged_row_of_a_blob_is_its_own_error() {
    for gone in [true, false] {
        let key = |rig: &Rig, view: &MailboxView| {
            let context = rig.volume.context();
            let txn = context.begin().unwrap();
            let row = context.tables.message(&txn, view.mailbox, VICTIM).unwrap().unwrap();
            keys::blob(row.blob).to_vec()
        };
        with_spoilt_row("blobs", key, gone, |rig| {
            let view = rig.open("INBOX", true);
            others_are_answered(rig, &view, "blob row");
            mail_still_moves(rig, &view, "blob row");
            let named = problems(rig);
            assert!(named.iter().any(|problem| problem.contains("blob")), "{named:?}");
        });
    }
}

#[test]
fn a_damaged_card_is_made_good_from_the_record() {
    let key = |rig: &Rig, view: &MailboxView| {
        let context = rig.volume.context();
        let txn = context.begin().unwrap();
        let row = context.tables.message(&txn, view.mailbox, VICTIM).unwrap().unwrap();
        keys::blob(row.blob).to_vec()
    };
    with_spoilt_row("cards", key, false, |rig| {
        let view = rig.open("INBOX", true);
        let envelopes = rig.fetch_text(&view, "1:*", &[FetchAttribute::Envelope]);
        for number in 1..=MESSAGES {
            assert!(envelopes.contains(&format!("\"s{number}\"")), "{envelopes}");
        }
        let key = SearchKey::Header {
            name: b"subject".to_vec(),
            text: "s".to_owned(),
        };
        assert_eq!(rig.search(&view, key), "1 2 3 4 5");
        let named = problems(rig);
        assert!(named.iter().any(|problem| problem.contains("card")), "{named:?}");
    });
}

#[test]
fn a_damaged_mailbox_hides_no_other() {
    for table in ["mailboxes", "names", "uidmap"] {
        let key = |rig: &Rig, _: &MailboxView| {
            rig.deliver_to("Victim", b"", b"x", &[], 1);
            let mailbox = rig.open("Victim", true).mailbox;
            match table {
                "mailboxes" => keys::mailbox(ACCOUNT, mailbox).to_vec(),
                "names" => keys::name(ACCOUNT, "Victim").to_vec(),
                _ => [mailbox.to_be_bytes(), 0_u32.to_be_bytes()].concat(),
            }
        };
        with_spoilt_row(table, key, false, |rig| {
            let list: Box<Vec<MailboxInfo>> =
                boxed(rig.wait(rig.volume.read(reader::list_mailboxes(ACCOUNT))).unwrap());
            let names: Vec<&str> = list.iter().map(|info| info.name.as_str()).collect();
            for name in ["INBOX", "Archive", "Other"] {
                assert!(names.contains(&name), "{table}: {names:?}");
            }
            let opened = rig.wait(rig.volume.read(reader::open_view(ACCOUNT, "Victim".to_owned(), true)));
            assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{table}: {opened:?}");
            let view = rig.open("INBOX", true);
            mail_still_moves(rig, &view, table);
            let named = problems(rig);
            assert!(!named.is_empty(), "{table}");
        });
    }
}
