//! What moving mailboxes in and out asks of the store: imports keep their order, listings say all, whole messages come out.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::sync::Arc;

use ironpost_store::listing::{self, FINGERPRINT_OCTETS, Fingerprint, ListedMessage, WholeMessage};
use ironpost_store::ops::{FlagSet, Submit};
use ironpost_store::reader::{self, Opened};
use ironpost_store::view::MailboxView;
use ironpost_store::{Op, Outcome};
use write_support::{Rig, body, delivery, number_of, quick};

fn import(mailbox: &str, uid: Option<u32>) -> Op {
    Op::Import {
        account: 1,
        mailbox: mailbox.into(),
        uid,
        flags: FlagSet::parse(["\\Flagged", "$Work"]).unwrap(),
        internal_date: Some(i64::from(uid.unwrap_or(7)) * 10),
        internal_zone: -90,
        saved: None,
        quota: false,
    }
}

fn stored(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Stored(message) => message.uid,
        other => panic!("{other:?}"),
    }
}

fn boxed<T: 'static>(outcome: Outcome) -> T {
    match outcome {
        Outcome::Boxed(made) => *made.downcast::<T>().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn view(rig: &mut Rig, name: &str) -> Arc<MailboxView> {
    let ticket = rig.volume.read(reader::open_view(1, name.into(), true));
    boxed::<Opened>(rig.wait(ticket).unwrap()).view
}

/// Long bodies take long to prepare: without the line-up the short ones behind them overtake, and the long ones' UIDs are gone.
#[test]
fn imports_keep_the_order_of_their_submission() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(Op::EnsureAccount { account: 1 }).unwrap();
    let sinks: Vec<_> = (1..=300_u32)
        .map(|uid| rig.fill(&body(u64::from(uid), if uid % 10 == 1 { 240_000 } else { 200 })))
        .collect();
    let mut tickets = Vec::new();
    for (sink, uid) in sinks.into_iter().zip(1_u32..) {
        // Every third without a UID: its place is that of its submission, too.
        let wanted = (uid % 3 != 0).then_some(uid);
        tickets.push((uid, rig.volume.submit(import("INBOX", wanted), Some(sink), None)));
    }
    for (uid, ticket) in tickets {
        assert_eq!(stored(rig.wait(ticket).unwrap()), uid);
    }
    let inbox = rig.mailbox(1, "INBOX");
    for (uid, row) in rig.rows(inbox) {
        assert_eq!(number_of(&rig.read(&row).unwrap()), u64::from(uid));
    }
    rig.finish();
}

#[test]
fn an_import_that_fails_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(Op::EnsureAccount { account: 1 }).unwrap();
    let mut tickets = Vec::new();
    for uid in [5_u32, 3, 6, 6, 7] {
        let sink = rig.fill(&body(u64::from(uid), 300));
        tickets.push(rig.volume.submit(import("INBOX", Some(uid)), Some(sink), None));
    }
    let fits: Vec<bool> = tickets.into_iter().map(|ticket| rig.wait(ticket).is_ok()).collect();
    assert_eq!(fits, [true, false, true, false, true]);
    let sink = rig.fill(b"x");
    let ticket = rig.volume.submit(import("Nowhere", None), Some(sink), None);
    assert!(rig.wait(ticket).is_err());
    rig.finish();
}

#[test]
fn a_listing_says_all_and_comes_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    rig.write(Op::EnsureAccount { account: 1 }).unwrap();
    for uid in [4, 9, 1000] {
        let sink = rig.fill(&body(u64::from(uid), 500));
        let ticket = rig.volume.submit(import("INBOX", Some(uid)), Some(sink), None);
        rig.wait(ticket).unwrap();
    }
    let view = view(&mut rig, "INBOX");
    let mut page = |after, limit| {
        let ticket = rig.volume.read(listing::rows(Arc::clone(&view), after, limit));
        boxed::<Vec<ListedMessage>>(rig.wait(ticket).unwrap())
    };
    let first = page(0, 2);
    assert_eq!(first.iter().map(|row| row.uid).collect::<Vec<_>>(), [4, 9]);
    let expected = ListedMessage {
        uid: 1000,
        size: body(1000, 500).len() as u32,
        internal_date: 10_000,
        internal_zone: -90,
        flags: vec!["\\Flagged".to_owned(), "$Work".to_owned()],
    };
    assert_eq!(page(9, 2), [expected]);
    assert!(page(1000, 2).is_empty());
    rig.finish();
}

#[test]
fn whole_messages_and_fingerprints() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let contents: Vec<Vec<u8>> = [500, 300_000, 800]
        .iter()
        .zip(1..)
        .map(|(&octets, number)| body(number, octets))
        .collect();
    // The second has a prefix, so that nobody has noted the fingerprint of the whole.
    let prefix = b"Received: from elsewhere\r\n";
    for (content, prefix) in contents.iter().zip([&b""[..], prefix, b""]) {
        let submit = Submit {
            deliveries: vec![delivery(1, "INBOX", prefix, &[])],
            ..Submit::default()
        };
        rig.submit(submit, Some(content)).unwrap();
    }
    let expected: Vec<Vec<u8>> = vec![
        contents[0].clone(),
        [prefix, &contents[1][..]].concat(),
        contents[2].clone(),
    ];
    let view = view(&mut rig, "INBOX");
    let ticket = rig
        .volume
        .read(listing::whole(Arc::clone(&view), vec![1, 2, 3, 77], 1 << 20));
    let read = boxed::<Vec<WholeMessage>>(rig.wait(ticket).unwrap());
    let octets: Vec<Vec<u8>> = read[..3]
        .iter()
        .map(|(_, read)| read.clone().unwrap().unwrap())
        .collect();
    assert_eq!(octets, expected);
    assert_eq!(read[3], (77, None));
    let ticket = rig.volume.read(listing::whole(Arc::clone(&view), vec![2, 3], 1000));
    assert_eq!(
        boxed::<Vec<WholeMessage>>(rig.wait(ticket).unwrap()).len(),
        1,
        "the limit is met"
    );
    let ticket = rig.volume.read(listing::fingerprints(view, vec![1, 2, 77, 3]));
    let digests = boxed::<Vec<Option<[u8; FINGERPRINT_OCTETS]>>>(rig.wait(ticket).unwrap());
    let of = |octets: &[u8]| {
        let mut fingerprint = Fingerprint::default();
        octets.chunks(7).for_each(|piece| fingerprint.update(piece));
        Some(fingerprint.digest())
    };
    assert_eq!(digests, [of(&expected[0]), of(&expected[1]), None, of(&expected[2])]);
    rig.finish();
}
