//! The search index never changes an answer: random mailboxes, random keys, any state of the index, and a model that reads
//! everything.
#![expect(clippy::unwrap_used, reason = "tests")]

mod read_support;
mod search_support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ironpost_proto::imap::search_key::{SearchKey, SearchProgram, SearchReturn};
use ironpost_store::Op;
use ironpost_store::card::Card;
use ironpost_store::jobs::ReadContext;
use ironpost_store::search::filter::build::{self, IndexStep, Limits};
use ironpost_store::search::filter::index::SearchIndex;
use ironpost_store::view::MailboxView;
use read_support::{ACCOUNT, Rig};
use search_support::{Random, card_of_version_1, holds, key, message, prefix};

/// Small enough that a few dozen messages make many segments and merges.
fn small() -> Limits {
    Limits {
        pairs: 12_000,
        document_octets: 1_800,
        documents_min: 1,
        listed: 40,
        accounts: 2,
        time: Duration::from_secs(60),
        class_octets: 16 << 10,
        segment_octets: 8 << 20,
    }
}

fn find(context: &ReadContext, view: &MailboxView, key: &SearchKey) -> String {
    let program = SearchProgram {
        order: Default::default(),
        returns: SearchReturn::default(),
        key: key.clone(),
    };
    let line = ironpost_store::search::run(context, view, &program, true, "a", &AtomicBool::new(false)).unwrap();
    let line = String::from_utf8(line).unwrap();
    line.strip_prefix("* SEARCH").unwrap().trim().to_owned()
}

/// Steps until nothing is left to do; bounded.
fn build_all(rig: &Rig, limits: &Limits) -> IndexStep {
    let mut sum = IndexStep::default();
    for _ in 0..10_000 {
        let done = build::step(rig.volume.context(), limits).unwrap();
        sum.documents += done.documents;
        sum.merged += done.merged;
        if !done.more {
            return sum;
        }
    }
    panic!("the builder does not come to an end");
}

fn segments(rig: &Rig) -> Vec<PathBuf> {
    let folder = rig.volume.context().search.account_folder(ACCOUNT);
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

fn damage(random: &mut Random, path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    match random.below(4) {
        0 => std::fs::remove_file(path).unwrap(),
        1 => std::fs::write(path, &bytes[..random.below(bytes.len())]).unwrap(),
        _ => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            // A new file, as a disk that lies would: open descriptors see it too.
            std::fs::write(path, &bytes).unwrap();
        }
    }
}

/// Mailbox, UID to prefix and body.
type Stored = BTreeMap<(usize, u32), (Vec<u8>, Vec<u8>)>;

const MAILBOXES: [&str; 2] = ["INBOX", "Archive"];

fn compare(rig: &Rig, stored: &Stored, random: &mut Random, keys: usize) {
    let with = rig.volume.context().clone();
    let mut without = with.clone();
    without.search = Arc::new(SearchIndex::new(PathBuf::new(), [0; 16], false));
    for (number, name) in MAILBOXES.iter().enumerate() {
        let view = rig.open(name, true);
        for _ in 0..keys {
            let key = key(random, 2);
            let expected: Vec<String> = stored
                .iter()
                .filter(|((mailbox, _), (prefix, body))| *mailbox == number && holds(&key, prefix, body))
                .map(|((_, uid), _)| uid.to_string())
                .collect();
            assert_eq!(find(&with, &view, &key), expected.join(" "), "with the index: {key:?}");
            assert_eq!(find(&without, &view, &key), expected.join(" "), "without: {key:?}");
        }
    }
}

/// Makes some cards such as the release before wrote.
fn age_cards(rig: &Rig, random: &mut Random) {
    let context = rig.volume.context();
    let mut txn = context.env.write_txn().unwrap();
    let mut old = Vec::new();
    for row in context.tables.cards.iter(&txn).unwrap() {
        let (key, value) = row.unwrap();
        if let Some(card) = Card::decode(value)
            && random.one_in(3)
        {
            old.push((key.to_vec(), card_of_version_1(&card)));
        }
    }
    for (key, card) in old {
        assert!(Card::decode(&card).unwrap().extras.is_none());
        context.tables.cards.put(&mut txn, &key, &card).unwrap();
    }
    txn.commit().unwrap();
}

fn run(seed: u64, rounds: usize) {
    let mut random = Random(seed | 1);
    let rig = Rig::new();
    rig.deliver_to("Archive", b"", b"Subject: first\r\n\r\nfirst\r\n", &[], 1);
    let mut stored = Stored::new();
    stored.insert((1, 1), (Vec::new(), b"Subject: first\r\n\r\nfirst\r\n".to_vec()));
    let mut number = 0;
    let mut merged = 0;
    for _ in 0..rounds {
        for _ in 0..random.below(12) {
            number += 1;
            let (prefix, body) = (prefix(&mut random, number), message(&mut random, number));
            let mailbox = random.below(2);
            let made = rig.deliver_to(MAILBOXES[mailbox], &prefix, &body, &[], 1_700_000_000);
            stored.insert((mailbox, made.uid), (prefix, body));
        }
        let uids: Vec<(usize, u32)> = stored.keys().copied().collect();
        if random.one_in(2) && uids.len() > 4 {
            let (mailbox, uid) = uids[random.below(uids.len())];
            let (view, remove) = (rig.open(MAILBOXES[mailbox], true), random.one_in(2));
            let target = rig.open(MAILBOXES[1 - mailbox], true);
            let op = Op::Copy {
                account: ACCOUNT,
                mailbox: view.mailbox,
                uids: vec![(uid, uid)],
                target: MAILBOXES[1 - mailbox].to_owned(),
                remove,
            };
            rig.wait(rig.volume.write(op)).unwrap();
            let before = target.told().uids.clone();
            let after = rig.open(MAILBOXES[1 - mailbox], true);
            let new = after.told().uids.difference(&before).first().unwrap();
            let contents = stored[&(mailbox, uid)].clone();
            stored.insert((1 - mailbox, new), contents);
            if remove {
                stored.remove(&(mailbox, uid));
            }
        }
        if random.one_in(2) {
            let (mailbox, uid) = uids[random.below(uids.len())];
            let op = Op::ExpungeUids {
                account: ACCOUNT,
                mailbox: rig.open(MAILBOXES[mailbox], true).mailbox,
                uids: vec![(uid, uid)],
            };
            rig.wait(rig.volume.write(op)).unwrap();
            stored.remove(&(mailbox, uid));
        }
        if random.one_in(4) {
            age_cards(&rig, &mut random);
        }
        match random.below(4) {
            0 => merged += build::step(rig.volume.context(), &small()).unwrap().merged,
            1 => merged += build_all(&rig, &small()).merged,
            _ => {}
        }
        if random.one_in(5) {
            let mut files = segments(&rig);
            files.push(rig.volume.context().search.account_folder(ACCOUNT).join("manifest"));
            let path = &files[random.below(files.len())];
            if path.exists() {
                damage(&mut random, path);
            }
        }
        compare(&rig, &stored, &mut random, 6);
    }
    merged += build_all(&rig, &small()).merged;
    // Searches find damage that the builder does not look for; then it mends it.
    compare(&rig, &stored, &mut random, 40);
    merged += build_all(&rig, &small()).merged;
    compare(&rig, &stored, &mut random, 20);
    let done = build_all(&rig, &small());
    assert_eq!((done.documents, done.merged), (0, 0), "the builder has settled");
    if rounds > 20 {
        assert!(merged > 0, "no merge happened: the test tests less than it says");
    }
    rig.finish();
}

#[test]
fn answers_are_the_same_whatever_the_index_holds() {
    for seed in 1..=6 {
        run(seed, 12);
    }
}

#[test]
fn a_long_life_with_merges() {
    run(0xfeed, 36);
}

#[test]
fn the_filter_rules_messages_out_and_not_does_too() {
    let rig = Rig::new();
    for number in 0..40 {
        let word = if number == 7 { "unusual" } else { "usual" };
        let body = format!("Subject: s{number}\r\n\r\nalpha {word} omega\r\n");
        rig.deliver_to("INBOX", b"Received: r\r\n", body.as_bytes(), &[], 1);
    }
    build_all(
        &rig,
        &Limits {
            documents_min: 1,
            ..Limits::default()
        },
    );
    let view = rig.open("INBOX", true);
    let all = (1..=40).map(|uid: u32| uid.to_string()).collect::<Vec<_>>();
    // The packs are out of reach from here on: what is answered is answered by index and filter alone, since a message
    // that cannot be read is not found.
    let packs = rig.folder.path().join("packs");
    let mut context = rig.volume.context().clone();
    context.packs = Arc::new(ironpost_store::pack::read::PackFiles::new(packs.join("nowhere")));
    let text = |text: &str| SearchKey::Text(text.to_owned());
    let not = |key| SearchKey::Not(Box::new(key));
    let or = |left, right| SearchKey::Or(Box::new(left), Box::new(right));
    assert_eq!(find(&context, &view, &text("nobody wrote this")), "");
    assert_eq!(find(&context, &view, &not(text("nobody wrote this"))), all.join(" "));
    assert_eq!(
        find(
            &context,
            &view,
            &not(or(text("nobody"), SearchKey::Body("nothing".to_owned())))
        ),
        all.join(" ")
    );
    assert_eq!(
        find(&context, &view, &not(text("nusua"))),
        all.iter()
            .filter(|uid| *uid != "8")
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    );
    let subject = |text: &str| SearchKey::Header {
        name: b"subject".to_vec(),
        text: text.to_owned(),
    };
    assert_eq!(find(&context, &view, &subject("S39")), "40");
    assert_eq!(
        find(
            &context,
            &view,
            &SearchKey::Header {
                name: b"references".to_vec(),
                text: String::new()
            }
        ),
        ""
    );
    assert_eq!(
        find(&context, &view, &or(text("nobody"), subject("s1")))
            .split(' ')
            .count(),
        11
    );
    rig.finish();
}

#[test]
fn the_step_of_a_volume_and_its_figures() {
    let rig = Rig::new();
    for number in 0..200 {
        rig.deliver(format!("Subject: s{number}\r\n\r\nsome text {number}\r\n").as_bytes());
    }
    let step = |rig: &Rig| *read_support::boxed::<IndexStep>(rig.wait(rig.volume.index_step()).unwrap());
    let done = step(&rig);
    assert_eq!((done.documents, done.more), (200, false));
    assert_eq!(step(&rig), IndexStep::default());
    let metrics = rig.volume.metrics();
    assert_eq!((metrics["search_documents"], metrics["search_waiting"]), (200, 0));
    assert_eq!(
        metrics["search_octets"],
        std::fs::metadata(&segments(&rig)[0]).unwrap().len()
    );
    // Few new messages are left alone.
    rig.deliver(b"Subject: late\r\n\r\nlate\r\n");
    assert_eq!(step(&rig), IndexStep::default());
    assert_eq!(rig.volume.metrics()["search_waiting"], 1);
    // Unless somebody asks.
    rig.volume.context().search.want(ACCOUNT);
    assert_eq!(step(&rig).documents, 1);
    // A removed account leaves no segments behind.
    rig.wait(rig.volume.write(Op::RemoveAccount { account: ACCOUNT }))
        .unwrap();
    step(&rig);
    assert!(!rig.volume.context().search.account_folder(ACCOUNT).exists());
    rig.finish();
}

#[test]
fn a_large_segment_of_messages_that_are_gone_goes() {
    // Too large to be joined with others, as after months of mail.
    let limits = Limits {
        segment_octets: 1,
        ..small()
    };
    let rig = Rig::new();
    let deliver = |from: u32, until: u32| {
        for number in from..until {
            rig.deliver(format!("Subject: s{number}\r\n\r\nsome text {number} {}\r\n", number * 7919).as_bytes());
        }
    };
    let expunge = |uids: Vec<(u32, u32)>| {
        let view = rig.open("INBOX", true);
        let op = Op::ExpungeUids {
            account: ACCOUNT,
            mailbox: view.mailbox,
            uids,
        };
        rig.wait(rig.volume.write(op)).unwrap();
    };
    let build = || {
        // Otherwise a call may only end the round over the accounts that the last one began.
        rig.volume.context().search.want(ACCOUNT);
        build_all(&rig, &limits);
    };
    deliver(0, 40);
    build();
    let first = segments(&rig);
    // A few that are gone are no reason to write it anew.
    expunge(vec![(1, 5)]);
    deliver(40, 41);
    build();
    assert!(first.iter().all(|path| path.exists()));
    // Most of them are.
    expunge(vec![(6, 35)]);
    deliver(41, 42);
    build();
    assert!(first.iter().all(|path| !path.exists()));
    assert_eq!(rig.volume.metrics()["search_documents"], 7);
    let view = rig.open("INBOX", true);
    let found = find(rig.volume.context(), &view, &SearchKey::Text("some text 37".to_owned()));
    assert_eq!(found, "38");
    // All of them.
    expunge(vec![(1, 41)]);
    deliver(42, 43);
    build();
    assert_eq!(rig.volume.metrics()["search_documents"], 2);
    rig.finish();
}

#[test]
fn nothing_is_built_on_a_full_disk() {
    let rig = Rig::new();
    rig.deliver(b"Subject: s\r\n\r\ntext\r\n");
    let mut context = rig.volume.context().clone();
    let (folder, identity) = (context.search.folder().to_owned(), context.search.identity());
    context.search = Arc::new(SearchIndex::new(folder.clone(), identity, true).with_min_free(u64::MAX / 2));
    context.search.want(ACCOUNT);
    assert_eq!(build::step(&context, &small()).unwrap(), IndexStep::default());
    context.search = Arc::new(SearchIndex::new(folder, identity, true));
    assert_eq!(build::step(&context, &small()).unwrap().documents, 1);
    // What a crash leaves behind goes; what is not of the index stays.
    let account = context.search.account_folder(ACCOUNT);
    for name in ["77.seg", "78.tmp", "manifest.tmp", "note"] {
        std::fs::write(account.join(name), b"x").unwrap();
    }
    context.search.want(ACCOUNT);
    build::step(&context, &small()).unwrap();
    let mut left: Vec<String> = std::fs::read_dir(&account)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".seg"))
        .collect();
    left.sort();
    assert_eq!(
        (left, segments(&rig).len()),
        (vec!["manifest".to_owned(), "note".to_owned()], 1)
    );
    rig.finish();
}

#[test]
fn one_builder_at_a_time() {
    let rig = Rig::new();
    rig.deliver(b"Subject: s\r\n\r\ntext\r\n");
    let folder = rig.volume.context().search.folder().to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    let lock = std::fs::File::create(folder.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    rig.volume.context().search.want(ACCOUNT);
    assert_eq!(build_all(&rig, &small()), IndexStep::default());
    drop(lock);
    assert_eq!(build_all(&rig, &small()).documents, 1);
    rig.finish();
}

#[test]
fn searches_go_on_while_another_process_builds_and_merges() {
    let rig = Rig::new();
    let deliver = |from: usize| {
        for number in from..from + 30 {
            let planted = if number % 10 == 3 { "gooseberry" } else { "raspberry" };
            let body = format!(
                "Subject: s{number}\r\n\r\n{planted} {}\r\n",
                "words and more words ".repeat(20)
            );
            rig.deliver(body.as_bytes());
        }
    };
    deliver(0);
    // Each process has its own open segments and its own memory of accounts; only the files are shared.
    let elsewhere = || {
        let mut context = rig.volume.context().clone();
        context.search = Arc::new(SearchIndex::new(
            context.search.folder().to_owned(),
            context.search.identity(),
            true,
        ));
        context
    };
    let (builder, searcher) = (elsewhere(), elsewhere());
    let limits = Limits {
        class_octets: 1,
        pairs: 600,
        ..small()
    };
    let stop = AtomicBool::new(false);
    let mut merged = 0;
    std::thread::scope(|scope| {
        let building = scope.spawn(|| {
            let mut merged = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                merged += build::step(&builder, &limits).unwrap().merged;
            }
            merged
        });
        for round in 1..=40 {
            deliver(round * 30);
            let view = rig.open("INBOX", true);
            for _ in 0..5 {
                let found = find(&searcher, &view, &SearchKey::Text("OOSEBER".to_owned()));
                assert_eq!(found.split(' ').count(), (round + 1) * 3);
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        merged = building.join().unwrap();
    });
    assert!(merged > 0, "no merge happened meanwhile");
    rig.finish();
}
