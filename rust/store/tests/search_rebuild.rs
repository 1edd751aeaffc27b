//! After the index was made anew from the packs: blobs have other numbers, and the former search index must rule nothing out.
#![expect(clippy::unwrap_used, reason = "tests")]

mod write_support;

use std::sync::atomic::AtomicBool;

use ironpost_proto::imap::search_key::{SearchKey, SearchProgram, SearchReturn};
use ironpost_store::Op;
use ironpost_store::ops::Submit;
use ironpost_store::search::filter::build::{self, Limits};
use ironpost_store::view::MailboxView;
use write_support::{Rig, delivery, quick};

const ACCOUNT: u32 = 7;

fn find(rig: &Rig, key: SearchKey) -> usize {
    let context = rig.volume.context();
    let view = {
        let txn = context.begin().unwrap();
        MailboxView::open(&context.tables, &txn, ACCOUNT, "INBOX", true)
            .unwrap()
            .0
    };
    let program = SearchProgram {
        order: Default::default(),
        returns: SearchReturn::default(),
        key,
    };
    let line = ironpost_store::search::run(context, &view, &program, true, "a", &AtomicBool::new(false)).unwrap();
    line.iter().filter(|octet| **octet == b' ').count() - 1
}

fn text(text: &str) -> SearchKey {
    SearchKey::Text(text.to_owned())
}

fn build(rig: &Rig) -> (u64, usize) {
    let limits = Limits {
        documents_min: 1,
        ..Limits::default()
    };
    let done = build::step(rig.volume.context(), &limits).unwrap().documents;
    (done, rig.volume.context().search.segments(ACCOUNT).len())
}

#[test]
fn a_rebuilt_index_is_searched_as_if_there_were_no_search_index() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    for number in 0..60 {
        let word = ["gooseberry", "raspberry", "currant"][number % 3];
        let submit = Submit {
            deliveries: vec![delivery(
                ACCOUNT,
                "INBOX",
                b"Subject: of the prefix\r\nReceived: x\r\n",
                &[],
            )],
            ..Submit::default()
        };
        let body = format!("Subject: s{number}\r\n\r\n{word} {number}\r\n");
        rig.submit(submit, Some(body.as_bytes())).unwrap();
    }
    // Numbers that the rebuilt index will not know of.
    let mailbox = rig.mailbox(ACCOUNT, "INBOX");
    let expunge = Op::ExpungeUids {
        account: ACCOUNT,
        mailbox,
        uids: vec![(1, 10)],
    };
    rig.write(expunge).unwrap();
    assert_eq!(build(&rig), (50, 1));
    let count = |rig: &Rig| ["gooseberry", "raspberry", "currant"].map(|word| find(rig, text(word)));
    let subject = || SearchKey::Header {
        name: b"subject".to_vec(),
        text: "of the PREFIX".to_owned(),
    };
    let (expected, before) = (count(&rig), rig.volume.context().search.identity());
    assert_eq!((expected.iter().sum::<usize>(), find(&rig, subject())), (50, 50));
    rig.finish();

    ironpost_store::rebuild::rebuild(folder.path(), 1 << 30, &mut |_, _| {}).unwrap();
    let rig = Rig::open(folder.path(), &quick());
    assert_ne!(rig.volume.context().search.identity(), before);
    assert!(
        rig.volume.context().search.segments(ACCOUNT).is_empty(),
        "the former segments do not count"
    );
    let again = count(&rig);
    assert!(
        again.iter().zip(expected).all(|(again, expected)| *again >= expected),
        "{again:?}"
    );
    let all = find(&rig, SearchKey::All);
    assert_eq!((again.iter().sum::<usize>(), find(&rig, subject())), (all, all));
    assert_eq!(build(&rig), (all as u64, 1));
    assert_eq!(count(&rig), again);
    rig.finish();
}
