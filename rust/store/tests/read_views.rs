//! Views: what several sessions of one mailbox are told, in which order, under which numbers (RFC 9051 §5.2, §7.5).
#![expect(clippy::unwrap_used, reason = "tests")]

mod read_support;

use std::sync::atomic::{AtomicU32, Ordering};

use ironpost_store::ops::{FlagMode, MailboxInfo};
use ironpost_store::view::told::Permitted;
use ironpost_store::{Op, Outcome, StoreError, reader};
use read_support::{ACCOUNT, Rig, boxed};

const MESSAGE: &[u8] = b"From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n";

#[test]
fn a_new_message_is_told_once_and_is_recent_to_one_session() {
    let rig = Rig::new();
    rig.deliver(MESSAGE);
    let first = rig.open("INBOX", false);
    let (exists, recent) = {
        let told = first.told();
        (told.uids.len(), told.recent.len())
    };
    assert_eq!((exists, recent, first.first_unseen), (1, 1, 1));
    let second = rig.open("INBOX", false);
    assert_eq!(second.told().recent.len(), 0);
    assert!(!rig.stale(&first));
    assert_eq!(rig.refresh(&first), "");
    rig.deliver(MESSAGE);
    assert!(rig.stale(&first));
    assert_eq!(rig.refresh(&first), "* 2 EXISTS\r\n* 2 RECENT\r\n");
    assert_eq!(rig.refresh(&second), "* 2 EXISTS\r\n");
    assert!(!rig.stale(&first));
    assert!(!rig.stale(&second));
    rig.finish();
}

#[test]
fn changes_of_other_accounts_and_mailboxes_leave_a_view_fresh() {
    let rig = Rig::new();
    rig.deliver(MESSAGE);
    let view = rig.open("INBOX", true);
    rig.deliver_to("Other", b"", MESSAGE, &[], 5);
    assert_eq!(rig.refresh(&view), "");
    assert!(!rig.stale(&view));
    rig.finish();
}

#[test]
fn expunges_keep_their_numbers_for_each_view() {
    let rig = Rig::new();
    for _ in 0..6 {
        rig.deliver(MESSAGE);
    }
    let (acting, looking) = (rig.open("INBOX", false), rig.open("INBOX", true));
    assert_eq!(rig.store(&acting, "2,4:5", FlagMode::Add, &["\\Deleted"], true), "");
    rig.expunge(&acting);
    assert_eq!(
        rig.refresh(&acting),
        "* 5 EXPUNGE\r\n* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n* 3 RECENT\r\n"
    );
    rig.deliver(MESSAGE);
    // While EXPUNGE is forbidden the numbers stay, and the gone name nothing.
    assert_eq!(
        rig.try_refresh(&looking, false, false).unwrap(),
        "* 7 EXISTS\r\n* 1 RECENT\r\n"
    );
    assert!(rig.stale(&looking));
    assert_eq!(
        looking
            .resolve(&read_support::sequence("1:*"), false)
            .iter()
            .collect::<Vec<_>>(),
        [1, 3, 6, 7]
    );
    assert_eq!(rig.refresh(&looking), "* 5 EXPUNGE\r\n* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n");
    assert_eq!(looking.told().uids.iter().collect::<Vec<_>>(), [1, 3, 6, 7]);
    rig.finish();
}

#[test]
fn stores_are_told_to_others_and_not_twice_to_oneself() {
    let rig = Rig::new();
    for _ in 0..3 {
        rig.deliver(MESSAGE);
    }
    let (acting, looking) = (rig.open("INBOX", true), rig.open("INBOX", true));
    let lines = rig.store(&acting, "2:3", FlagMode::Add, &["\\Flagged"], false);
    assert_eq!(
        lines,
        "* 2 FETCH (FLAGS (\\Flagged \\Recent))\r\n* 3 FETCH (FLAGS (\\Flagged \\Recent))\r\n"
    );
    assert_eq!(rig.refresh(&acting), "");
    assert_eq!(rig.store(&acting, "1", FlagMode::Add, &["\\Seen"], true), "");
    assert_eq!(rig.refresh(&acting), "");
    let told = rig.try_refresh(&looking, true, true).unwrap();
    assert_eq!(
        told,
        "* 1 FETCH (UID 1 FLAGS (\\Seen \\Recent))\r\n* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))\r\n\
         * 3 FETCH (UID 3 FLAGS (\\Flagged \\Recent))\r\n"
    );
    // A silent STORE over another session's change: the other's is told, with the flags as they are now.
    rig.store(&looking, "1", FlagMode::Add, &["\\Answered"], true);
    rig.store(&acting, "1", FlagMode::Add, &["\\Draft"], true);
    assert_eq!(
        rig.refresh(&acting),
        "* 1 FETCH (FLAGS (\\Seen \\Answered \\Draft \\Recent))\r\n"
    );
    rig.finish();
}

#[test]
fn a_view_that_was_opened_during_a_commit_is_not_taken_for_newer_than_it_is() {
    let rig = Rig::syncing();
    rig.deliver(MESSAGE);
    let delivered = AtomicU32::new(1);
    std::thread::scope(|scope| {
        let delivering = scope.spawn(|| {
            for _ in 0..40 {
                rig.deliver(MESSAGE);
                delivered.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut views = Vec::new();
        while !delivering.is_finished() {
            views.push(rig.open("INBOX", true));
            let count = delivered.load(Ordering::SeqCst);
            // What has been answered is in a view or can still be told.
            for view in views
                .iter()
                .rev()
                .take(20)
                .filter(|view| view.told().uids.len() < count)
            {
                assert!(rig.stale(view), "{} of {count} messages", view.told().uids.len());
            }
        }
    });
    let last = rig.open("INBOX", true);
    assert_eq!(last.told().uids.len(), 41);
    rig.finish();
}

#[test]
fn flags_that_may_not_be_told_are_kept() {
    let rig = Rig::new();
    for _ in 0..3 {
        rig.deliver(MESSAGE);
    }
    let (acting, looking) = (rig.open("INBOX", false), rig.open("INBOX", true));
    let quiet = Permitted {
        expunges: true,
        flags: false,
        uids: true,
    };
    rig.store(&acting, "1:2", FlagMode::Add, &["\\Seen"], true);
    rig.deliver(MESSAGE);
    assert_eq!(
        rig.refresh_some(&looking, quiet).unwrap(),
        "* 4 EXISTS\r\n* 1 RECENT\r\n"
    );
    rig.store(&acting, "2", FlagMode::Add, &["\\Deleted"], true);
    rig.expunge(&acting);
    assert_eq!(rig.refresh_some(&looking, quiet).unwrap(), "* 2 EXPUNGE\r\n");
    assert_eq!(rig.refresh_some(&looking, quiet).unwrap(), "");
    // Nothing has changed since, and what was held back is told all the same, once.
    assert_eq!(rig.refresh(&looking), "* 1 FETCH (FLAGS (\\Seen))\r\n");
    assert_eq!(rig.refresh(&looking), "");
    rig.finish();
}

#[test]
fn new_keywords_are_announced_before_they_are_used() {
    let rig = Rig::new();
    rig.deliver(MESSAGE);
    let (acting, looking) = (rig.open("INBOX", false), rig.open("INBOX", true));
    let announced = "* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft $Junk)\r\n";
    let lines = rig.store(&acting, "1", FlagMode::Add, &["$Junk"], false);
    assert!(lines.starts_with(announced), "{lines}");
    assert!(lines.ends_with("* 1 FETCH (FLAGS (\\Recent $Junk))\r\n"), "{lines}");
    let lines = rig.refresh(&looking);
    assert!(
        lines.starts_with(announced) && lines.contains("PERMANENTFLAGS ()"),
        "{lines}"
    );
    assert_eq!(looking.told().keywords.len(), 1);
    rig.finish();
}

#[test]
fn a_deleted_mailbox_is_not_found() {
    let rig = Rig::new();
    rig.deliver_to("Going", b"", MESSAGE, &[], 5);
    let view = rig.open("Going", false);
    let op = Op::DeleteMailbox {
        account: ACCOUNT,
        name: "Going".to_owned(),
    };
    rig.wait(rig.volume.write(op)).unwrap();
    assert!(rig.stale(&view));
    assert!(matches!(
        rig.try_refresh(&view, true, false),
        Err(StoreError::NotFound(_))
    ));
    let job = reader::open_view(ACCOUNT, "Going".to_owned(), true);
    assert!(matches!(rig.wait(rig.volume.read(job)), Err(StoreError::NotFound(_))));
    rig.finish();
}

#[test]
fn mailboxes_are_listed_with_their_counts() {
    let rig = Rig::new();
    rig.deliver(MESSAGE);
    rig.deliver_to("Work/Plans", b"", MESSAGE, &["\\Seen"], 5);
    let listed: Vec<MailboxInfo> = *boxed(rig.wait(rig.volume.read(reader::list_mailboxes(ACCOUNT))).unwrap());
    let inbox = listed.iter().find(|info| info.name == "INBOX").unwrap();
    assert_eq!(
        (inbox.messages, inbox.unseen, inbox.recent, inbox.size),
        (1, 1, 1, MESSAGE.len() as u64)
    );
    let plans = listed.iter().find(|info| info.name == "Work/Plans").unwrap();
    assert_eq!((plans.messages, plans.unseen), (1, 0));
    match rig
        .wait(rig.volume.read(reader::mailbox(ACCOUNT, "Work/Plans".to_owned())))
        .unwrap()
    {
        Outcome::Mailbox(info) => assert_eq!(&info, plans),
        other => panic!("{other:?}"),
    }
    let accounts: Vec<u32> = *boxed(rig.wait(rig.volume.read(reader::accounts())).unwrap());
    assert_eq!(accounts, [ACCOUNT]);
    rig.finish();
}

#[test]
fn many_random_changes_keep_two_views_true() {
    let rig = Rig::new();
    let (one, two) = {
        rig.deliver(MESSAGE);
        (rig.open("INBOX", false), rig.open("INBOX", false))
    };
    // What each client believes, from the lines alone.
    let mut clients = [vec![()], vec![()]];
    let mut random = 12_345_u64;
    for _ in 0..120 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let exists = one.told().uids.len();
        match random >> 33 & 3 {
            0 | 1 => {
                rig.deliver(MESSAGE);
            }
            2 if exists > 0 => {
                let number = ((random >> 40) as u32 % exists + 1).to_string();
                rig.store(&one, &number, FlagMode::Add, &["\\Deleted"], true);
                rig.expunge(&one);
            }
            _ if exists > 0 => {
                rig.store(&two, "1", FlagMode::Add, &["\\Seen"], true);
            }
            _ => {}
        }
        for (view, client) in [&one, &two].into_iter().zip(&mut clients) {
            for line in rig.refresh(view).lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let number: usize = words.get(1).and_then(|number| number.parse().ok()).unwrap_or(0);
                match words.get(2) {
                    Some(&"EXPUNGE") => {
                        client.remove(number - 1);
                    }
                    Some(&"EXISTS") => client.resize(number, ()),
                    Some(&"FETCH") => assert!(number >= 1 && number <= client.len(), "{line}"),
                    _ => {}
                }
            }
            assert_eq!(client.len(), view.told().uids.len() as usize);
        }
    }
    assert_eq!(one.told().uids, two.told().uids);
    let fresh = rig.open("INBOX", true);
    assert_eq!(fresh.told().uids, one.told().uids);
    rig.finish();
}
