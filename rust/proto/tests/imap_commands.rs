//! The grammar of each IMAP command, good and bad (RFC 9051 §6, §9; RFC 3501 §6; the RFC's own examples).

#![expect(clippy::unwrap_used, reason = "tests")]

mod imap_support;

use imap_support::{Session, parse, parse_in};
use ironpost_proto::Core as _;
use ironpost_proto::Next;
use ironpost_proto::imap::command::{Arguments, COMMANDS, ListArguments, StoreMode};
use ironpost_proto::imap::fetch_att::FetchAttribute;
use ironpost_proto::imap::mailbox_filter::MailboxFilter;
use ironpost_proto::imap::{BadKind, Depth, Event, EventGroup, NotifySet, Settings};

fn before_login(line: &str) -> Result<(&'static str, Arguments), BadKind> {
    parse_in(Session::new(Settings::default()), line)
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn commands_without_arguments() {
    for name in [
        "CAPABILITY",
        "NOOP",
        "LOGOUT",
        "IDLE",
        "EXPUNGE",
        "CLOSE",
        "UNSELECT",
        "CHECK",
        "NAMESPACE",
    ] {
        assert_eq!(parse(name), Ok((name, Arguments::None)));
        assert_eq!(parse(&name.to_lowercase()), Ok((name, Arguments::None)));
        assert_eq!(parse(&format!("{name} x")), Err(BadKind::Syntax));
        assert_eq!(parse(&format!("{name} ")), Err(BadKind::Syntax));
    }
    assert_eq!(before_login("STARTTLS"), Ok(("STARTTLS", Arguments::None)));
    assert_eq!(parse("BLURDYBLOOP"), Err(BadKind::UnknownCommand));
    assert_eq!(parse("UID NOOP"), Err(BadKind::UnknownCommand));
    assert_eq!(parse("UID"), Err(BadKind::Syntax));
}

#[test]
fn every_command_is_refused_where_it_is_not_allowed() {
    for row in COMMANDS {
        let always = matches!(row.name, "NOOP" | "CAPABILITY" | "LOGOUT" | "ID" | "LANGUAGE");
        let early = matches!(row.name, "LOGIN" | "AUTHENTICATE" | "STARTTLS");
        let state_fault = Err(BadKind::State);
        assert_eq!(before_login(row.name) == state_fault, !always && !early, "{}", row.name);
        assert_eq!(parse(row.name) == state_fault, early, "{}", row.name);
        let needs_mailbox = row.name.starts_with("UID ")
            || matches!(
                row.name,
                "FETCH"
                    | "STORE"
                    | "SEARCH"
                    | "SORT"
                    | "THREAD"
                    | "COPY"
                    | "MOVE"
                    | "REPLACE"
                    | "EXPUNGE"
                    | "CLOSE"
                    | "UNSELECT"
                    | "CHECK"
                    | "CANCELUPDATE"
                    | "UIDBATCHES"
            );
        assert_eq!(
            parse_in(Session::authenticated(), row.name) == state_fault,
            early || needs_mailbox,
            "{}",
            row.name
        );
    }
}

/// RFC 8970 §6.
#[test]
fn preview_with_and_without_lazy() {
    let items = |line: &str| match parse(line) {
        Ok((_, Arguments::Fetch { items, .. })) => Ok(items),
        Ok(other) => panic!("{other:?}"),
        Err(kind) => Err(kind),
    };
    for line in [
        "FETCH 1 PREVIEW",
        "FETCH 1 (preview)",
        "FETCH 1 PREVIEW (lazy)",
        "FETCH 1 (PREVIEW (LAZY))",
    ] {
        assert_eq!(items(line), Ok(vec![FetchAttribute::Preview]), "{line}");
    }
    assert_eq!(
        items("FETCH 1 (UID PREVIEW (LAZY) FLAGS)"),
        Ok(vec![
            FetchAttribute::Uid,
            FetchAttribute::Preview,
            FetchAttribute::Flags
        ])
    );
    for bad in [
        "PREVIEW (FUZZY)",
        "PREVIEW ()",
        "(PREVIEW (LAZY)",
        "PREVIEW LAZY",
        "PREVIEW (LAZY LAZY)",
        "PREVIEW[]",
    ] {
        assert_eq!(items(&format!("FETCH 1 {bad}")), Err(BadKind::Syntax), "{bad}");
    }
}

#[test]
fn access_control_lists() {
    let mailbox = || Arguments::Mailbox(text("INBOX"));
    assert_eq!(parse("GETACL inbox"), Ok(("GETACL", mailbox())));
    assert_eq!(parse("MYRIGHTS inbox"), Ok(("MYRIGHTS", mailbox())));
    let set = |identifier: &str, mode, rights: &str| {
        let arguments = Arguments::SetAcl {
            mailbox: text("INBOX/Drafts"),
            identifier: text(identifier),
            mode,
            rights: text(rights),
        };
        Ok(("SETACL", arguments))
    };
    // RFC 4314 §2.1.1, §3.1
    assert_eq!(
        parse("SeTacl INBOX/Drafts David lrswida"),
        set("David", StoreMode::Replace, "lrswiad")
    );
    assert_eq!(
        parse("SETACL INBOX/Drafts Chris +cda"),
        set("Chris", StoreMode::Add, "acd")
    );
    assert_eq!(
        parse("SETACL INBOX/Drafts -Fred -w"),
        set("-Fred", StoreMode::Remove, "w")
    );
    assert_eq!(
        parse("SETACL INBOX/Drafts \"\u{e9} x\" \"\""),
        set("\u{e9} x", StoreMode::Replace, "")
    );
    assert_eq!(parse("SETACL INBOX/Drafts a +"), set("a", StoreMode::Add, ""));
    for bad in [
        "",
        "INBOX",
        "INBOX John",
        "INBOX John lrQswicda",
        "INBOX John lrqswicda",
        "INBOX John l1",
        "INBOX John ++l",
        "INBOX John l r",
        "INBOX \"\" l",
        "INBOX - l",
        "INBOX \" \" l",
        "INBOX \"a\tb\" l",
    ] {
        assert_eq!(parse(&format!("SETACL {bad}")), Err(BadKind::Syntax), "{bad}");
    }
    for name in ["DELETEACL", "LISTRIGHTS"] {
        let arguments = Arguments::Identifier {
            mailbox: text("~/Mail/saved"),
            identifier: text("smith"),
        };
        assert_eq!(parse(&format!("{name} ~/Mail/saved smith")), Ok((name, arguments)));
        for bad in ["", " INBOX", " INBOX \"\"", " INBOX a b"] {
            assert_eq!(parse(&format!("{name}{bad}")), Err(BadKind::Syntax), "{bad}");
        }
        let long = "a".repeat(1001);
        assert_eq!(parse(&format!("{name} INBOX {long}")), Err(BadKind::Limit));
    }
}

#[test]
fn metadata() {
    let get = |mailbox: &str, max_size, depth, entries: &[&str]| {
        let entries = entries.iter().map(|entry| text(entry)).collect();
        let arguments = Arguments::GetMetadata {
            mailbox: text(mailbox),
            max_size,
            depth,
            entries,
        };
        Ok(("GETMETADATA", arguments))
    };
    // RFC 5464 §4.2, and §4.2.1 as its examples have it
    assert_eq!(
        parse("GETMETADATA \"\" /shared/comment"),
        get("", None, Depth::Zero, &["/shared/comment"])
    );
    let both: &[&str] = &["/shared/comment", "/private/comment"];
    assert_eq!(
        parse("GETMETADATA \"INBOX\" (/shared/comment /Private/Comment /shared/comment)"),
        get("INBOX", None, Depth::Zero, both)
    );
    for line in [
        "GETMETADATA \"INBOX\" (MAXSIZE 1024) (/shared/comment /private/comment)",
        "GETMETADATA (MAXSIZE 1024) INBOX (/shared/comment \"/private/comment\")",
    ] {
        assert_eq!(parse(line), get("INBOX", Some(1024), Depth::Zero, both), "{line}");
    }
    assert_eq!(
        parse("getmetadata inbox (depth 1) (\"/private/filters/values\")"),
        get("INBOX", None, Depth::One, &["/private/filters/values"])
    );
    assert_eq!(
        parse("GETMETADATA (DEPTH infinity MAXSIZE 1) INBOX (\"/a\" \"/b c\")"),
        get("INBOX", Some(1), Depth::Infinity, &["/a", "/b c"])
    );
    for bad in [
        "",
        "INBOX",
        "INBOX ()",
        "INBOX comment",
        "INBOX /a/",
        "INBOX //a",
        "INBOX /",
        "INBOX \"/a*\"",
        "INBOX \"/a%\"",
        "INBOX \"/\u{e9}\"",
        "INBOX (DEPTH 2) /a",
        "INBOX (MAXSIZE) /a",
        "INBOX (SIZE 1) /a",
        "(MAXSIZE 1)",
    ] {
        assert_eq!(parse(&format!("GETMETADATA {bad}")), Err(BadKind::Syntax), "{bad}");
    }
    let many = vec!["/a"; 101].join(" ");
    assert!(parse(&format!("GETMETADATA INBOX ({many})")).is_ok());
    let many = (0..101)
        .map(|number| format!("/{number}"))
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(parse(&format!("GETMETADATA INBOX ({many})")), Err(BadKind::Limit));
    assert_eq!(
        parse(&format!("GETMETADATA INBOX /{}", "a".repeat(250))),
        Err(BadKind::Limit)
    );
    let set = |values: &[(&str, Option<&[u8]>)]| {
        let values = values
            .iter()
            .map(|(entry, value)| (text(entry), value.map(<[u8]>::to_vec)));
        let arguments = Arguments::SetMetadata {
            mailbox: text("INBOX"),
            values: values.collect(),
        };
        Ok(("SETMETADATA", arguments))
    };
    assert_eq!(
        parse("SETMETADATA INBOX (/private/comment {33+}\r\nMy new comment across\r\ntwo lines.)"),
        set(&[("/private/comment", Some(b"My new comment across\r\ntwo lines."))])
    );
    assert_eq!(
        parse("SETMETADATA INBOX (/private/Comment NIL /shared/comment \"x\" /a ~{2+}\r\n\0b)"),
        set(&[
            ("/private/comment", None),
            ("/shared/comment", Some(b"x")),
            ("/a", Some(b"\0b"))
        ])
    );
    for bad in [
        "INBOX",
        "INBOX ()",
        "INBOX (/a)",
        "INBOX (/a b)",
        "INBOX (a NIL)",
        "INBOX /a NIL",
        "INBOX (/a NIL",
        "INBOX (/a ~{2+}\r\nb)",
    ] {
        assert_eq!(parse(&format!("SETMETADATA {bad}")), Err(BadKind::Syntax), "{bad}");
    }
    assert_eq!(parse("SETMETADATA INBOX (/a {1+}\r\n\0)"), Err(BadKind::Nul));
}

#[test]
fn notify() {
    let names = |names: &[&str]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
    let group = |filter, events: &[&str], fetch| EventGroup {
        filter,
        events: names(events),
        fetch,
    };
    let set = |status, groups| Ok(("NOTIFY", Arguments::Notify(Some(NotifySet { status, groups }))));
    assert_eq!(parse("NOTIFY none"), Ok(("NOTIFY", Arguments::Notify(None))));
    // RFC 5465 §3.1, with the parentheses of its §8
    let both: &[&str] = &["MESSAGENEW", "MESSAGEEXPUNGE"];
    let lists = MailboxFilter::Subtree(names(&["Lists"]));
    assert_eq!(
        parse(
            "notify set status (selected (MessageNew (uid flags) MessageExpunge)) (subtree Lists (MessageNew MessageExpunge))"
        ),
        set(
            true,
            vec![
                group(
                    MailboxFilter::Selected,
                    both,
                    vec![FetchAttribute::Uid, FetchAttribute::Flags]
                ),
                group(lists, both, vec![]),
            ]
        )
    );
    // §6
    assert_eq!(
        parse("notify set (mailboxes INBOX (Messagenew messageExpunge)) (personal (SubscriptionChange))"),
        set(
            false,
            vec![
                group(MailboxFilter::Mailboxes(names(&["INBOX"])), both, vec![]),
                group(MailboxFilter::Personal, &["SUBSCRIPTIONCHANGE"], vec![]),
            ]
        )
    );
    assert_eq!(
        parse("NOTIFY SET (selected-delayed NONE) (mailboxes (inbox \"a b\") (MailboxName X-New)) (inboxes none)"),
        set(
            false,
            vec![
                group(MailboxFilter::SelectedDelayed, &[], vec![]),
                group(
                    MailboxFilter::Mailboxes(names(&["INBOX", "a b"])),
                    &["MAILBOXNAME", "X-NEW"],
                    vec![]
                ),
                group(MailboxFilter::Inboxes, &[], vec![]),
            ]
        )
    );
    for bad in [
        "",
        "ALL",
        "NONE x",
        "SET",
        "SET STATUS",
        "SET STATUS ",
        "SET NONE",
        "SET (selected)",
        "SET (selected ())",
        "SET (selected MessageNew)",
        "SET (elected NONE)",
        "SET (subtree NONE)",
        "SET (mailboxes () NONE)",
        "SET (personal (MailboxName)",
        "SET (personal (MailboxName)) ",
        "SET (personal (MessageNew))",
        "SET (personal (MessageExpunge))",
        "SET (personal (FlagChange))",
        "SET (personal (MessageNew () MessageExpunge))",
        "SET (personal (MailboxName (UID)))",
        "SET (selected (MailboxName))",
        "SET (selected NONE) (selected-delayed NONE)",
    ] {
        assert_eq!(parse(&format!("NOTIFY {bad}")), Err(BadKind::Syntax), "{bad}");
    }
    let many = vec!["(personal NONE)"; 65].join(" ");
    assert_eq!(parse(&format!("NOTIFY SET {many}")), Err(BadKind::Limit));
    let many = vec!["a"; 1001].join(" ");
    assert_eq!(
        parse(&format!("NOTIFY SET (mailboxes ({many}) NONE)")),
        Err(BadKind::Limit)
    );
    let many = (0..33).map(|number| format!("e{number}")).collect::<Vec<_>>().join(" ");
    assert_eq!(parse(&format!("NOTIFY SET (personal ({many}))")), Err(BadKind::Limit));
}

#[test]
fn list_return_options_of_rights_and_metadata() {
    let list = |return_options: Vec<&'static str>, entries: &[&str]| {
        let arguments = ListArguments {
            patterns: vec![text("%")],
            return_options,
            entries: entries.iter().map(|entry| text(entry)).collect(),
            ..ListArguments::default()
        };
        Ok(("LIST", Arguments::List(arguments)))
    };
    assert_eq!(parse("LIST \"\" % RETURN (myrights)"), list(vec!["MYRIGHTS"], &[]));
    assert_eq!(
        parse("LIST \"\" % RETURN (METADATA (/shared/Comment \"/private/x\") MYRIGHTS)"),
        list(vec!["METADATA", "MYRIGHTS"], &["/shared/comment", "/private/x"])
    );
    for bad in ["METADATA", "METADATA ()", "METADATA (x)", "MYRIGHTS ()"] {
        assert_eq!(
            parse(&format!("LIST \"\" % RETURN ({bad})")),
            Err(BadKind::Syntax),
            "{bad}"
        );
    }
    let both = Arguments::Lsub {
        reference: String::new(),
        pattern: text("*"),
    };
    assert_eq!(parse("XLIST \"\" *"), Ok(("XLIST", both)));
}

#[test]
fn quotas_and_compression() {
    let root = |name: &str| Ok(("GETQUOTA", Arguments::QuotaRoot(text(name))));
    assert_eq!(parse("GETQUOTA \"\""), root(""));
    assert_eq!(parse("getquota a\"b"), Err(BadKind::Syntax));
    assert_eq!(parse("GETQUOTA \"a b\""), root("a b"));
    let mailbox = Arguments::Mailbox(text("INBOX"));
    assert_eq!(parse("GETQUOTAROOT inbox"), Ok(("GETQUOTAROOT", mailbox)));
    let set = Arguments::SetQuota {
        root: text("!partition/sda4"),
        limits: vec![(text("STORAGE"), 512), (text("MESSAGE"), u64::MAX >> 1)],
    };
    assert_eq!(
        parse("SETQUOTA !partition/sda4 (storage 512 MESSAGE 9223372036854775807)"),
        Ok(("SETQUOTA", set))
    );
    for bad in [
        "\"\"",
        "\"\" STORAGE 1",
        "\"\" (STORAGE 1",
        "\"\" (STORAGE)",
        "\"\" ( STORAGE 1)",
    ] {
        assert_eq!(parse(&format!("SETQUOTA {bad}")), Err(BadKind::Syntax), "{bad}");
    }
    assert_eq!(
        parse("COMPRESS deflate"),
        Ok(("COMPRESS", Arguments::Compress(text("DEFLATE"))))
    );
    assert_eq!(parse("COMPRESS"), Err(BadKind::Syntax));
    assert_eq!(parse("COMPRESS DEFLATE x"), Err(BadKind::Syntax));
}

/// RFC 8437 §2.
#[test]
fn unauthenticate_forgets_everything() {
    let mut session = Session::selected();
    assert!(session.core.unauthenticated().is_err());
    session.core.enable_rev2();
    session.core.receive(b"a UNAUTHENTICATE\r\n");
    assert!(matches!(session.core.next_event(), Next::Event(Event::Command(_))));
    session.core.unauthenticated().unwrap();
    session.core.respond("a", "OK", "", "").unwrap();
    assert_eq!(session.core.state(), "not-authenticated");
    assert!(session.core.unauthenticated().is_err());
    assert_eq!(parse_in(session, "LIST \"\" *"), Err(BadKind::State));
}

#[test]
fn login_and_authenticate() {
    let login = |user: &str, password: &str| {
        Ok((
            "LOGIN",
            Arguments::Login {
                user: text(user),
                password: text(password),
            },
        ))
    };
    assert_eq!(before_login("LOGIN SMITH SESAME"), login("SMITH", "SESAME"));
    assert_eq!(before_login("login \"a b\" \"\\\"\\\\\""), login("a b", "\"\\"));
    assert_eq!(
        before_login("LOGIN {11+}\r\nFRED FOOBAR {7+}\r\nfat man"),
        login("FRED FOOBAR", "fat man")
    );
    assert_eq!(
        before_login("LOGIN \"\u{fc}\" \"\u{20ac}\""),
        login("\u{fc}", "\u{20ac}")
    );
    for bad in [
        "LOGIN",
        "LOGIN a",
        "LOGIN a b c",
        "LOGIN  a b",
        "LOGIN a b ",
        "LOGIN (a) b",
        "LOGIN a \"b",
        "LOGIN \u{fc} b",
    ] {
        assert_eq!(before_login(bad), Err(BadKind::Syntax), "{bad}");
    }
    let sasl = |mechanism: &str, initial: Option<&[u8]>| {
        let initial = initial.map(<[u8]>::to_vec);
        Ok((
            "AUTHENTICATE",
            Arguments::Authenticate {
                mechanism: text(mechanism),
                initial,
            },
        ))
    };
    assert_eq!(before_login("AUTHENTICATE plain"), sasl("PLAIN", None));
    assert_eq!(
        before_login("AUTHENTICATE PLAIN AHRlc3QAdGVzdA=="),
        sasl("PLAIN", Some(b"\0test\0test"))
    );
    assert_eq!(before_login("AUTHENTICATE EXTERNAL ="), sasl("EXTERNAL", Some(b"")));
    assert_eq!(before_login("AUTHENTICATE PLAIN a b"), Err(BadKind::Base64));
    assert_eq!(before_login("AUTHENTICATE PLAIN AHRlc3QAdGVzdA"), Err(BadKind::Base64));
    assert_eq!(before_login("AUTHENTICATE"), Err(BadKind::Syntax));
}

#[test]
fn enable_and_id() {
    assert_eq!(
        parse("ENABLE imap4rev2 CONDSTORE"),
        Ok(("ENABLE", Arguments::Enable(vec![text("IMAP4REV2"), text("CONDSTORE")])))
    );
    assert_eq!(parse("ENABLE"), Err(BadKind::Syntax));
    assert_eq!(parse(&format!("ENABLE{}", " X".repeat(65))), Err(BadKind::Limit));
    assert_eq!(parse("ID NIL"), Ok(("ID", Arguments::Id(None))));
    assert_eq!(parse("ID ()"), Ok(("ID", Arguments::Id(Some(vec![])))));
    assert_eq!(
        parse("ID (\"name\" \"sodr\" \"version\" NIL)"),
        Ok((
            "ID",
            Arguments::Id(Some(vec![(text("name"), Some(text("sodr"))), (text("version"), None)]))
        ))
    );
    for bad in [
        "ID",
        "ID x",
        "ID \"x\"",
        "ID (\"a\")",
        "ID (a \"b\")",
        "ID (\"a\" \"b\"",
        "ID (NIL \"b\")",
    ] {
        assert_eq!(parse(bad), Err(BadKind::Syntax), "{bad}");
    }
    assert_eq!(
        parse(&format!("ID ({})", vec!["\"a\" \"b\""; 31].join(" "))),
        Err(BadKind::Limit)
    );
}

#[test]
fn select_create_and_names() {
    let select = |name, mailbox: &str| {
        Ok((
            name,
            Arguments::Select {
                mailbox: text(mailbox),
                parameters: vec![],
                resync: None,
            },
        ))
    };
    assert_eq!(parse("SELECT inbox"), select("SELECT", "INBOX"));
    assert_eq!(parse("EXAMINE \"blurdybloop\""), select("EXAMINE", "blurdybloop"));
    assert_eq!(parse("SELECT {7+}\r\n~/a b c"), select("SELECT", "~/a b c"));
    assert_eq!(
        parse("SELECT &U,BTFw-/&ZeVnLIqe-"),
        select("SELECT", "\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}")
    );
    assert_eq!(parse("SELECT a&b"), Err(BadKind::MailboxName));
    assert_eq!(parse("SELECT x (CONDSTORE"), Err(BadKind::Syntax));
    assert_eq!(parse("SELECT x (ANNOTATE)"), Err(BadKind::Syntax));
    let Ok((_, Arguments::Select { parameters, resync, .. })) = parse("SELECT x (condstore QRESYNC (7 9 1:3))") else {
        panic!("SELECT with parameters")
    };
    assert_eq!(parameters, ["CONDSTORE"]);
    assert_eq!(resync.map(|resync| (resync.uid_validity, resync.modseq)), Some((7, 9)));
    assert_eq!(parse("SELECT"), Err(BadKind::Syntax));
    assert_eq!(parse("SELECT a b"), Err(BadKind::Syntax));
    assert_eq!(parse("SELECT *"), Err(BadKind::Syntax));

    let create = |mailbox: &str, special_use| {
        Ok((
            "CREATE",
            Arguments::Create {
                mailbox: text(mailbox),
                special_use,
            },
        ))
    };
    assert_eq!(parse("CREATE owatagusiam/"), create("owatagusiam", None));
    assert_eq!(
        parse("CREATE MySpecial (USE (\\sent))"),
        create("MySpecial", Some("\\Sent"))
    );
    assert_eq!(parse("CREATE Everything (USE ())"), create("Everything", None));
    assert_eq!(parse("CREATE x (USE (\\Foo))"), Err(BadKind::UseAttribute));
    assert_eq!(parse("CREATE x (USE (\\Sent \\Drafts))"), Err(BadKind::UseAttribute));
    assert_eq!(parse("CREATE x ()"), Err(BadKind::Syntax));
    assert_eq!(parse("CREATE x (USE (Sent))"), Err(BadKind::Syntax));

    for name in ["DELETE", "SUBSCRIBE", "UNSUBSCRIBE"] {
        assert_eq!(
            parse(&format!("{name} foo/bar")),
            Ok((name, Arguments::Mailbox(text("foo/bar"))))
        );
        assert_eq!(parse(name), Err(BadKind::Syntax));
        assert_eq!(parse(&format!("{name} a b")), Err(BadKind::Syntax));
    }
    assert_eq!(
        parse("RENAME InBoX old-mail"),
        Ok((
            "RENAME",
            Arguments::Rename {
                old: text("INBOX"),
                new: text("old-mail")
            }
        ))
    );
    assert_eq!(parse("RENAME a"), Err(BadKind::Syntax));
}

#[test]
fn list_and_lsub() {
    let list = |reference: &str, patterns: &[&str]| ListArguments {
        reference: text(reference),
        patterns: patterns.iter().map(|pattern| text(pattern)).collect(),
        ..ListArguments::default()
    };
    assert_eq!(parse("LIST \"\" \"\""), Ok(("LIST", Arguments::List(list("", &[""])))));
    assert_eq!(
        parse("LIST ~/Mail/ %"),
        Ok(("LIST", Arguments::List(list("~/Mail/", &["%"]))))
    );
    assert_eq!(
        parse("LIST \"\" (\"INBOX\" Drafts/%)"),
        Ok(("LIST", Arguments::List(list("", &["INBOX", "Drafts/%"]))))
    );
    let mut extended = list("", &["*"]);
    extended.select_options = vec!["SUBSCRIBED", "RECURSIVEMATCH"];
    extended.return_options = vec!["CHILDREN", "STATUS", "SPECIAL-USE"];
    extended.status_items = vec!["MESSAGES", "SIZE"];
    assert_eq!(
        parse("LIST (subscribed RECURSIVEMATCH) \"\" * RETURN (children STATUS (MESSAGES SIZE) SPECIAL-USE)"),
        Ok(("LIST", Arguments::List(extended)))
    );
    assert!(parse("LIST () \"\" % RETURN ()").is_ok());
    for bad in [
        "LIST",
        "LIST \"\"",
        "LIST \"\" a b",
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (RECURSIVEMATCH REMOTE) \"\" *",
        "LIST (FOO) \"\" *",
        "LIST \"\" * RETURN (FOO)",
        "LIST \"\" * RETURN",
        "LIST \"\" ()",
        "LIST \"\" * RETURN (STATUS ())",
        "LIST \"\" * RETURN (STATUS (FOO))",
        "LIST \"\" * FOO (CHILDREN)",
    ] {
        assert_eq!(parse(bad), Err(BadKind::Syntax), "{bad}");
    }
    assert_eq!(
        parse(&format!("LIST \"\" ({})", vec!["a"; 65].join(" "))),
        Err(BadKind::Limit)
    );
    assert_eq!(
        parse("LSUB \"#news.\" \"comp.mail.*\""),
        Ok((
            "LSUB",
            Arguments::Lsub {
                reference: text("#news."),
                pattern: text("comp.mail.*")
            }
        ))
    );
    assert_eq!(parse("LSUB (SUBSCRIBED) \"\" *"), Err(BadKind::Syntax));
}

#[test]
fn status_items() {
    assert_eq!(
        parse("STATUS blurdybloop (UIDNEXT messages UIDNEXT DELETED SIZE RECENT)"),
        Ok((
            "STATUS",
            Arguments::Status {
                mailbox: text("blurdybloop"),
                items: vec!["UIDNEXT", "MESSAGES", "DELETED", "SIZE", "RECENT"],
            }
        ))
    );
    for bad in [
        "STATUS x",
        "STATUS x ()",
        "STATUS x MESSAGES",
        "STATUS x (FOO)",
        "STATUS x (MESSAGES",
        "STATUS (MESSAGES)",
    ] {
        assert_eq!(parse(bad), Err(BadKind::Syntax), "{bad}");
    }
}

#[test]
fn fetch_and_search() {
    let (name, arguments) = parse("FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])").unwrap();
    let Arguments::Fetch { set, items, .. } = arguments else {
        panic!("{arguments:?}")
    };
    assert_eq!((name, set.to_string().as_str(), items.len()), ("FETCH", "2:4", 2));
    assert!(items.iter().any(FetchAttribute::sets_seen));
    let literal = parse("UID FETCH 1:* BODY.PEEK[HEADER.FIELDS ({4+}\r\nDATE)]").unwrap();
    assert_eq!(literal, parse("uid fetch 1:* body.peek[header.fields (DATE)]").unwrap());
    for bad in [
        "FETCH",
        "FETCH 1",
        "FETCH 1 ",
        "FETCH x FLAGS",
        "FETCH 1 FLAGS UID",
        "FETCH 1,$ FLAGS",
        "FETCH 0 FLAGS",
    ] {
        assert_eq!(parse(bad), Err(BadKind::Syntax), "{bad}");
    }
    let saved = parse("UID FETCH $ FLAGS").unwrap().1;
    assert!(matches!(saved, Arguments::Fetch { set, .. } if set.is_saved()));
    assert!(matches!(parse("SEARCH UNSEEN"), Ok(("SEARCH", Arguments::Search(_)))));
    assert!(matches!(
        parse("UID SEARCH RETURN (ALL) 1:* SUBJECT {3+}\r\na b"),
        Ok(("UID SEARCH", Arguments::Search(_)))
    ));
    assert_eq!(parse("SEARCH"), Err(BadKind::Syntax));
    assert_eq!(parse("SEARCH CHARSET X-FOO TEXT a"), Err(BadKind::BadCharset));
    assert_eq!(
        parse(&format!("SEARCH {}ALL", "NOT ".repeat(10_000))),
        Err(BadKind::Limit)
    );
    assert_eq!(parse(&format!("SEARCH {}", "(".repeat(60_000))), Err(BadKind::Limit));
}

#[test]
fn store_copy_move_expunge() {
    let (name, arguments) = parse("UID STORE 2:4 +flags.silent (\\Deleted $Forwarded)").unwrap();
    let Arguments::Store {
        set,
        mode,
        silent,
        flags,
        unchanged_since,
    } = arguments
    else {
        panic!("{arguments:?}")
    };
    assert_eq!(
        (name, set.to_string().as_str(), mode, silent),
        ("UID STORE", "2:4", StoreMode::Add, true)
    );
    assert_eq!(flags, ["\\Deleted", "$Forwarded"]);
    assert_eq!(unchanged_since, None);
    let conditional = parse("STORE 1 (UNCHANGEDSINCE 3) FLAGS ()").unwrap().1;
    assert!(matches!(
        conditional,
        Arguments::Store {
            unchanged_since: Some(3),
            ..
        }
    ));
    for (line, expected) in [
        ("STORE 1 FLAGS ()", StoreMode::Replace),
        ("STORE 1 -FLAGS \\Seen", StoreMode::Remove),
    ] {
        let Arguments::Store { mode, silent, .. } = parse(line).unwrap().1 else {
            panic!("{line}")
        };
        assert_eq!((mode, silent), (expected, false));
    }
    for bad in [
        "STORE 1",
        "STORE 1 FLAGS",
        "STORE 1 *FLAGS ()",
        "STORE 1 FLAGS (\\Recent)",
        "STORE 1 +FLAGS.LOUD ()",
        "STORE 1 FLAGS (\\Seen) x",
        "STORE 1 FLAGS (a b",
        "STORE 1 FLAGS \\Foo",
        "STORE 1 (UNCHANGEDSINCE) FLAGS ()",
        "STORE 1 (UNCHANGEDSINCE 3)FLAGS ()",
        "STORE 1 (CHANGEDSINCE 3) FLAGS ()",
        "FETCH 1 FLAGS (UNCHANGEDSINCE 3)",
    ] {
        assert_eq!(parse(bad), Err(BadKind::Syntax), "{bad}");
    }
    for name in ["COPY", "MOVE", "UID COPY", "UID MOVE"] {
        let (found, arguments) = parse(&format!("{name} 2:4 MEETING")).unwrap();
        let Arguments::Copy { set, mailbox } = arguments else {
            panic!("{arguments:?}")
        };
        assert_eq!(
            (found, set.to_string().as_str(), mailbox.as_str()),
            (name, "2:4", "MEETING")
        );
        assert_eq!(parse(&format!("{name} 2:4")), Err(BadKind::Syntax));
    }
    let (name, arguments) = parse("UID EXPUNGE 3000:3002").unwrap();
    assert!(matches!(arguments, Arguments::Set(set) if name == "UID EXPUNGE" && set.to_string() == "3000:3002"));
    assert_eq!(parse("UID EXPUNGE"), Err(BadKind::Syntax));
    assert_eq!(parse("EXPUNGE 1"), Err(BadKind::Syntax));
    assert_eq!(parse("APPEND INBOX"), Err(BadKind::Syntax));
    assert_eq!(parse("APPEND INBOX (\\Seen) text"), Err(BadKind::Syntax));
}

#[test]
fn names_are_utf8_once_it_is_enabled() {
    let mut session = Session::authenticated();
    session.send(b"e ENABLE IMAP4rev2\r\n");
    session.told();
    let select = |mailbox: &str| {
        Ok((
            "SELECT",
            Arguments::Select {
                mailbox: text(mailbox),
                parameters: vec![],
                resync: None,
            },
        ))
    };
    session
        .core
        .untagged_list("LIST", &[] as &[&str], "\u{e9}", "")
        .unwrap();
    assert!(session.said().ends_with("* LIST () \"/\" \"\u{e9}\"\r\n"));
    assert_eq!(parse_in(session, "SELECT \"&AOk-\u{e9}\""), select("&AOk-\u{e9}"));
}

/// RFC 5267 §4 and §5.
#[test]
fn contexts() {
    assert!(matches!(
        parse("SEARCH RETURN (CONTEXT COUNT) UNDELETED UNKEYWORD $Junk"),
        Ok(("SEARCH", Arguments::Search(program))) if program.returns.context && !program.returns.update
    ));
    assert!(matches!(
        parse("UID SORT RETURN (UPDATE COUNT) (REVERSE DATE) UTF-8 KEYWORD $Junk"),
        Ok(("UID SORT", Arguments::Search(program))) if program.returns.update
    ));
    let tags = |line: &str| match parse(line) {
        Ok((_, Arguments::CancelUpdate(tags))) => Ok(tags),
        Ok(other) => panic!("{other:?}"),
        Err(kind) => Err(kind),
    };
    assert_eq!(tags("CANCELUPDATE \"B01\""), Ok(vec!["B01".to_owned()]));
    assert_eq!(
        tags("cancelupdate \"B01\" \"C\""),
        Ok(vec!["B01".to_owned(), "C".to_owned()])
    );
    for bad in [
        "CANCELUPDATE",
        "CANCELUPDATE ",
        "CANCELUPDATE B01",
        "CANCELUPDATE \"B01\" ",
        "CANCELUPDATE \"B01\" x",
    ] {
        assert_eq!(tags(bad), Err(BadKind::Syntax), "{bad}");
    }
}

/// RFC 10022 §4.
#[test]
fn uid_batches() {
    let read = |line: &str| match parse(line) {
        Ok(("UIDBATCHES", Arguments::UidBatches { size, batches })) => Ok((size, batches)),
        Ok(other) => panic!("{other:?}"),
        Err(kind) => Err(kind),
    };
    let print = |(size, batches): (u32, Option<(u32, u32)>)| match batches {
        None => format!("UIDBATCHES {size}"),
        Some((first, last)) => format!("UIDBATCHES {size} {first}:{last}"),
    };
    for line in [
        "UIDBATCHES 2000",
        "UIDBATCHES 1",
        "UIDBATCHES 500 1:1",
        "UIDBATCHES 500 20:10",
        "UIDBATCHES 4294967295 1:4294967295",
    ] {
        assert_eq!(print(read(line).unwrap()), line);
        assert_eq!(read(&line.to_lowercase()), read(line));
    }
    for bad in [
        "UIDBATCHES",
        "UIDBATCHES ",
        "UIDBATCHES 0",
        "UIDBATCHES x",
        "UIDBATCHES 500 ",
        "UIDBATCHES 500 1",
        "UIDBATCHES 500 1:",
        "UIDBATCHES 500 0:1",
        "UIDBATCHES 500 1:*",
        "UIDBATCHES 500 1:2 3:4",
        "UIDBATCHES 4294967296",
    ] {
        assert_eq!(read(bad), Err(BadKind::Syntax), "{bad}");
    }
}

/// RFC 7377 §2.2 and §6.
#[test]
fn searches_of_several_mailboxes() {
    let read = |line: &str| match parse(line) {
        Ok(("ESEARCH", Arguments::MultiSearch { sources, program })) => Ok((sources, program)),
        Ok(other) => panic!("{other:?}"),
        Err(kind) => Err(kind),
    };
    let print = |sources: &[MailboxFilter]| {
        let one = |filter: &MailboxFilter| match filter.names() {
            [] => filter.word().to_owned(),
            names => format!("{} (\"{}\")", filter.word(), names.join("\" \"")),
        };
        sources.iter().map(one).collect::<Vec<_>>().join(" ")
    };
    for sources in [
        "selected",
        "mailboxes (\"folder1\") subtree (\"folder2\")",
        "inboxes personal subscribed subtree-one (\"a b\" \"INBOX\")",
    ] {
        let (read, program) = read(&format!("ESEARCH IN ({sources}) RETURN (MIN COUNT) UNSEEN")).unwrap();
        assert_eq!(print(&read.unwrap()), sources);
        assert!(program.returns.min && !program.returns.all);
    }
    let (sources, program) = read("esearch in (mailboxes folder1) subject {1+}\r\nx").unwrap();
    assert_eq!(print(&sources.unwrap()), "mailboxes (\"folder1\")");
    assert!(program.returns.extended && program.returns.all);
    let (sources, program) = read("ESEARCH RETURN (SAVE) OR $ SEEN").unwrap();
    assert_eq!(sources, None);
    assert!(program.returns.save && program.names_saved() && !program.names_numbers());
    for bad in [
        "ESEARCH",
        "ESEARCH IN",
        "ESEARCH IN (personal)",
        "ESEARCH IN () ALL",
        "ESEARCH IN personal ALL",
        "ESEARCH IN (selected-delayed) ALL",
        "ESEARCH IN (subtree) ALL",
        "ESEARCH IN (personal (depth 1)) ALL",
        "ESEARCH IN (personal ) ALL",
        "ESEARCH RETURN (ALL) IN (personal) ALL",
    ] {
        assert_eq!(read(bad), Err(BadKind::Syntax), "{bad}");
    }
}
