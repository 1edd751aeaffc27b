//! Mailbox names: every legal form works, every other is refused by name, whatever the order of operations.

use std::collections::BTreeMap;

use ironpost_store::ops::MailboxInfo;
use ironpost_store::{Op, Outcome, StoreError, reader};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::write_support::{Rig, quick};

/// What every account is born with, INBOX aside.
const STANDARD: [&str; 5] = ["Archive", "Drafts", "Junk", "Sent", "Trash"];

fn create(rig: &mut Rig, name: &str) -> Result<String, StoreError> {
    let op = Op::CreateMailbox {
        account: 1,
        name: name.to_owned(),
        special_use: String::new(),
    };
    match rig.write(op)? {
        Outcome::Mailbox(info) => Ok(info.name),
        other => panic!("{other:?}"),
    }
}

fn rename(rig: &mut Rig, old: &str, new: &str) -> Result<(), StoreError> {
    let op = Op::RenameMailbox {
        account: 1,
        old: old.to_owned(),
        new: new.to_owned(),
    };
    rig.write(op).map(drop)
}

fn delete(rig: &mut Rig, name: &str) -> Result<(), StoreError> {
    let op = Op::DeleteMailbox {
        account: 1,
        name: name.to_owned(),
    };
    rig.write(op).map(drop)
}

fn listed(rig: &mut Rig) -> Vec<String> {
    let ticket = rig.volume.read(reader::list_mailboxes(1));
    let mut names: Vec<String> = match rig.wait(ticket).unwrap() {
        Outcome::Boxed(list) => list
            .downcast::<Vec<MailboxInfo>>()
            .unwrap()
            .into_iter()
            .map(|info| info.name)
            .collect(),
        other => panic!("{other:?}"),
    };
    names.retain(|name| !STANDARD.contains(&name.as_str()));
    names.sort();
    names
}

/// Names that a server must take as they are.
fn legal() -> Vec<String> {
    let mut names: Vec<String> = [
        "plain",
        "with space",
        " leading",
        "trailing ",
        "\"quoted\"",
        "back\\slash",
        "per%cent",
        "st*r",
        "&",
        "&-",
        "&AOk-",
        "a&b",
        "..",
        ".",
        "../../etc/passwd",
        "...",
        "~",
        "~root",
        "#news",
        "{5}",
        "(x)",
        "NIL",
        "inboxes",
        "INBOX2",
        "a.b.c",
        "-",
        "--",
        "new\u{2028}line",
        "\u{feff}mark",
        "\u{e9}",
        "e\u{301}",
        "\u{c9}",
        "E\u{301}",
        "ÅÄÖ",
        "日本語",
        "\u{10348}",
        "\u{1f600}",
        "\u{2f800}",
        "\u{e0041}",
        "\u{f0000}",
        "\u{10fffd}",
        "עברית",
        "\u{202e}abc",
        "Case",
        "case",
        "CASE",
        "İ",
        "ß",
        "SS",
        "con",
        "a:b",
        "a|b",
        "a\u{a0}b",
    ]
    .map(str::to_owned)
    .to_vec();
    names.push("x".repeat(1000));
    // Two that differ only behind what a key holds.
    names.push(format!("{}1", "y".repeat(999)));
    names.push(format!("{}2", "y".repeat(999)));
    names.push("\u{1f600}".repeat(250));
    names.push(vec!["l"; 64].join("/"));
    names.push("INBOX/inbox".to_owned());
    names
}

#[test]
fn every_legal_name_is_taken_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    let mut expected = vec!["INBOX".to_owned()];
    for name in legal() {
        assert_eq!(create(&mut rig, &name).unwrap(), name);
        assert!(
            matches!(create(&mut rig, &name), Err(StoreError::AlreadyExists(_))),
            "{name:?}"
        );
        let stored = rig.append(1, &name, name.as_bytes(), &[]).unwrap();
        assert_eq!(rig.message(&stored).unwrap(), name.as_bytes());
        expected.extend(name.match_indices('/').map(|(at, _)| name[..at].to_owned()));
        expected.push(name);
    }
    expected.sort();
    expected.dedup();
    assert_eq!(listed(&mut rig), expected);
    // Back from the packs alone, too.
    let (mut rig, _) = rig.rebuild(folder.path(), &quick());
    for name in legal() {
        let mailbox = rig.mailbox(1, &name);
        let rows = rig.rows(mailbox);
        assert_eq!(rows.len(), 1, "{name:?}");
        assert_eq!(rig.read(&rows[0].1).unwrap(), name.as_bytes());
        rename(&mut rig, &name, "elsewhere").unwrap();
        rename(&mut rig, "elsewhere", &name).unwrap();
        delete(&mut rig, &name).unwrap();
        assert_eq!(rig.mailbox(1, &name), 0);
    }
    rig.finish();
}

#[test]
fn other_names_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    create(&mut rig, "there").unwrap();
    let deep = vec!["l"; 65].join("/");
    for (name, why) in [
        ("", "empty level"),
        ("/", "empty level"),
        ("/a", "empty level"),
        ("a//b", "empty level"),
        ("a//", "empty level"),
        ("nul\0", "control characters"),
        ("tab\t", "control characters"),
        ("line\n", "control characters"),
        ("del\u{7f}", "control characters"),
        ("c1\u{85}", "control characters"),
        (&"x".repeat(1001), "at most 1000 octets"),
        (&deep, "at most 64 levels"),
    ] {
        for result in [create(&mut rig, name).map(drop), rename(&mut rig, "there", name)] {
            match result {
                Err(StoreError::Refused(text)) => assert!(text.contains(why), "{name:?}: {text}"),
                other => panic!("{name:?}: {other:?}"),
            }
        }
    }
    // An inferior that would become too long keeps the whole tree where it is.
    create(&mut rig, &format!("there/{}", "z".repeat(900))).unwrap();
    assert!(matches!(
        rename(&mut rig, "there", &"w".repeat(200)),
        Err(StoreError::Refused(_))
    ));
    assert_ne!(rig.mailbox(1, "there"), 0);
    rig.finish();
}

#[test]
fn inbox_is_one_in_any_case_and_as_a_level_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    assert_eq!(create(&mut rig, "inBox/Work").unwrap(), "INBOX/Work");
    assert!(matches!(
        create(&mut rig, "INBOX/Work"),
        Err(StoreError::AlreadyExists(_))
    ));
    assert!(matches!(create(&mut rig, "inbox"), Err(StoreError::AlreadyExists(_))));
    assert!(matches!(create(&mut rig, "Inbox/"), Err(StoreError::AlreadyExists(_))));
    assert!(matches!(delete(&mut rig, "inbox"), Err(StoreError::Refused(_))));
    rig.deliver(1, "inbox/Work", b"x").unwrap();
    assert_eq!(listed(&mut rig), ["INBOX", "INBOX/Work"]);
    rename(&mut rig, "inbox/work", "x").unwrap_err();
    rename(&mut rig, "inbox/Work", "iNBOX/Play").unwrap();
    delete(&mut rig, "INBox/Play").unwrap();
    assert_eq!(listed(&mut rig), ["INBOX"]);
    rig.finish();
}

#[test]
fn ten_thousand_mailboxes_and_a_tree_of_half_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(folder.path(), &quick());
    // INBOX and the standard ones, two tops and their inferiors; in batches, as a client pipelines.
    for first in (0..9_992).step_by(500) {
        let tickets: Vec<_> = (first..9_992.min(first + 500))
            .map(|number| {
                let name = format!("{}/{number:05}", if number < 5_000 { "big" } else { "rest" });
                rig.volume.write(Op::CreateMailbox {
                    account: 1,
                    name,
                    special_use: String::new(),
                })
            })
            .collect();
        for ticket in tickets {
            rig.wait(ticket).unwrap();
        }
    }
    assert_eq!(listed(&mut rig).len(), 9_995);
    match create(&mut rig, "one more") {
        Err(StoreError::Refused(text)) => assert!(text.contains("at most 10000 mailboxes"), "{text}"),
        other => panic!("{other:?}"),
    }
    rename(&mut rig, "big", "renamed").unwrap();
    let names = listed(&mut rig);
    assert_eq!(names.iter().filter(|name| name.starts_with("renamed/")).count(), 5_000);
    assert!(!names.iter().any(|name| name.starts_with("big")));
    delete(&mut rig, "renamed/00000").unwrap();
    delete(&mut rig, "renamed").unwrap();
    assert_eq!(listed(&mut rig).len(), 9_993);
    rig.finish();
}

/// A step of the property test; names are numbers of a small vocabulary, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Create(String),
    Rename(String, String),
    Delete(String),
}

fn name() -> impl Strategy<Value = String> {
    let level = prop_oneof![
        4 => Just("a".to_owned()),
        4 => Just("b".to_owned()),
        2 => Just("A".to_owned()),
        2 => Just("Inbox".to_owned()),
        1 => Just("..".to_owned()),
        1 => Just("%*\"\\".to_owned()),
        1 => Just("e\u{301}".to_owned()),
        1 => Just("\u{e9}".to_owned()),
        1 => Just("y".repeat(450)),
        1 => proptest::char::any().prop_map(String::from),
        1 => Just(String::new()),
    ];
    proptest::collection::vec(level, 1..4).prop_map(|levels| levels.join("/"))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => name().prop_map(Step::Create),
        2 => (name(), name()).prop_map(|(old, new)| Step::Rename(old, new)),
        1 => name().prop_map(Step::Delete),
    ]
}

/// What a name is stored as; `None` when it must be refused.
fn stored(name: &str) -> Option<String> {
    let name = name.strip_suffix('/').unwrap_or(name);
    let mut levels: Vec<&str> = name.split('/').collect();
    if levels[0].eq_ignore_ascii_case("inbox") {
        levels[0] = "INBOX";
    }
    let bad = levels
        .iter()
        .any(|level| level.is_empty() || level.chars().any(char::is_control))
        || name.len() > 1000;
    (!bad).then(|| levels.join("/"))
}

/// The mailboxes by name, each with the name that it was made under.
type Model = BTreeMap<String, u32>;

fn superiors(model: &mut Model, next: &mut u32, name: &str) {
    for (at, _) in name.match_indices('/') {
        model.entry(name[..at].to_owned()).or_insert_with(|| {
            *next += 1;
            *next
        });
    }
}

/// Performs a step on the dictionary; whether it must succeed.
fn expect(model: &mut Model, next: &mut u32, step: &Step) -> bool {
    match step {
        Step::Create(name) => {
            let Some(name) = stored(name).filter(|name| !model.contains_key(name)) else {
                return false;
            };
            superiors(model, next, &name);
            *next += 1;
            model.insert(name, *next);
        }
        Step::Delete(name) => {
            return stored(name).is_some_and(|name| name != "INBOX" && model.remove(&name).is_some());
        }
        Step::Rename(old, new) => {
            let (Some(old), Some(new)) = (stored(old), stored(new)) else {
                return false;
            };
            let inside = |name: &str| name.strip_prefix(&old).is_some_and(|rest| rest.starts_with('/'));
            if !model.contains_key(&old) || model.contains_key(&new) || (old != "INBOX" && inside(&new)) {
                return false;
            }
            if old == "INBOX" {
                superiors(model, next, &new);
                *next += 1;
                model.insert(new, *next);
                return true;
            }
            let moved: Vec<(String, String)> = model
                .keys()
                .filter(|name| **name == old || inside(name))
                .map(|name| (name.clone(), format!("{new}{}", &name[old.len()..])))
                .collect();
            let fits = |to: &String| to.len() <= 1000 && !model.contains_key(to);
            if !moved.iter().all(|(_, to)| fits(to)) {
                return false;
            }
            superiors(model, next, &new);
            for (from, to) in moved {
                if let Some(id) = model.remove(&from) {
                    model.insert(to, id);
                }
            }
        }
    }
    true
}

#[test]
fn random_names_follow_the_dictionary() {
    let mut runner = TestRunner::new(Config {
        cases: 12,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&proptest::collection::vec(step(), 1..60), |steps| {
            let folder = tempfile::tempdir().unwrap();
            let mut rig = Rig::open(folder.path(), &quick());
            create(&mut rig, "first").unwrap();
            let mut model = Model::from([("INBOX".to_owned(), 1), ("first".to_owned(), 2)]);
            let mut next = 2;
            for step in &steps {
                let must = expect(&mut model, &mut next, step);
                let done = match step {
                    Step::Create(name) => create(&mut rig, name).map(drop),
                    Step::Rename(old, new) => rename(&mut rig, old, new),
                    Step::Delete(name) => delete(&mut rig, name),
                };
                prop_assert_eq!(done.is_ok(), must, "{:?}: {:?}", step, done);
            }
            prop_assert_eq!(listed(&mut rig), model.keys().cloned().collect::<Vec<_>>());
            rig.finish();
            Ok(())
        })
        .unwrap();
}
