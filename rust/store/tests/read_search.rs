//! SEARCH: every key over messages of the kinds that mailboxes hold (RFC 9051 §6.4.4).

mod read_support;

use ironpost_proto::imap::search_key::{Date, SearchKey, SystemFlag};
use read_support::{Rig, sequence};

fn header(name: &str, text: &str) -> SearchKey {
    SearchKey::Header {
        name: name.as_bytes().to_vec(),
        text: text.to_owned(),
    }
}

fn flag(flag: SystemFlag, set: bool) -> SearchKey {
    SearchKey::Flag { flag, set }
}

fn date(year: u16, month: u8, day: u8) -> Date {
    Date { year, month, day }
}

fn filled() -> Rig {
    let rig = Rig::new();
    let plain = b"From: Ann Example <ann@example.org>\r\nTo: bob@example.org\r\nSubject: Meeting on Monday\r\n\
        Date: Mon, 7 Feb 1994 23:59:00 -0800\r\n\r\nLet us meet.\r\nBring the minutes.\r\n";
    let encoded = "From: =?utf-8?Q?J=C3=BCrgen?= <juergen@example.org>\r\nCc: carol@example.org\r\n\
        Subject: =?iso-8859-1?Q?Gr=FC=DFe?= aus\r\n =?utf-8?B?S8O2bG4=?=\r\nDate: Tue, 8 Feb 1994 00:01:00 +0100\r\n\
        MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        w5xiZXJyYXNjaHVuZyB1bnRlcndlZ3MK\r\n";
    let nested = b"From: list@example.net\r\nTo: everybody@example.net\r\nSubject: Fwd: news\r\nX-Loop: yes\r\n\
        MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: text/html\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>needle in a hay=\r\nstack</p>\r\n--q\r\n\
        Content-Type: message/rfc822\r\n\r\nSubject: inner words\r\n\r\ninner body\r\n--q--\r\n";
    let bare = b"Subject: no date\r\n\r\n";
    rig.deliver_to("INBOX", b"", plain, &["\\Seen", "\\Flagged"], 760_579_200);
    rig.deliver_to(
        "INBOX",
        b"X-Trace: seam\r\n",
        encoded.as_bytes(),
        &["$Forwarded"],
        760_665_600,
    );
    rig.deliver_to("INBOX", b"", nested, &["\\Deleted", "\\Seen"], 760_752_000);
    rig.deliver_to("INBOX", b"", bare, &["\\Draft", "\\Answered"], 1_700_000_000);
    rig
}

#[test]
fn flags_sizes_numbers_and_dates() {
    let rig = filled();
    let view = rig.open("INBOX", true);
    for (key, expected) in [
        (SearchKey::All, "1 2 3 4"),
        (flag(SystemFlag::Seen, true), "1 3"),
        (flag(SystemFlag::Seen, false), "2 4"),
        (flag(SystemFlag::Deleted, true), "3"),
        (flag(SystemFlag::Deleted, false), "1 2 4"),
        (flag(SystemFlag::Flagged, true), "1"),
        (flag(SystemFlag::Flagged, false), "2 3 4"),
        (flag(SystemFlag::Draft, true), "4"),
        (flag(SystemFlag::Answered, true), "4"),
        (
            SearchKey::Keyword {
                keyword: b"$forwarded".to_vec(),
                set: true,
            },
            "2",
        ),
        (
            SearchKey::Keyword {
                keyword: b"$forwarded".to_vec(),
                set: false,
            },
            "1 3 4",
        ),
        (
            SearchKey::Keyword {
                keyword: b"$Unknown".to_vec(),
                set: true,
            },
            "",
        ),
        (
            SearchKey::Keyword {
                keyword: b"$Unknown".to_vec(),
                set: false,
            },
            "1 2 3 4",
        ),
        (SearchKey::Recent, "1 2 3 4"),
        (SearchKey::New, "2 4"),
        (SearchKey::Old, ""),
        (SearchKey::Uid(sequence("2:3,99")), "2 3"),
        (SearchKey::Uid(sequence("99:*")), "4"),
        (SearchKey::Sequence(sequence("1,4")), "1 4"),
        (SearchKey::Sequence(sequence("3:*")), "3 4"),
        (SearchKey::Smaller(30), "4"),
        (SearchKey::Larger(30), "1 2 3"),
        (SearchKey::On(date(1994, 2, 8)), "2"),
        (SearchKey::Before(date(1994, 2, 8)), "1"),
        (SearchKey::Since(date(1994, 2, 9)), "3 4"),
        (SearchKey::SentOn(date(1994, 2, 7)), "1"),
        (SearchKey::SentOn(date(1994, 2, 8)), "2"),
        (SearchKey::SentBefore(date(1994, 2, 8)), "1"),
        (SearchKey::SentSince(date(1994, 1, 1)), "1 2"),
    ] {
        assert_eq!(rig.search(&view, key.clone()), expected, "{key:?}");
    }
    rig.finish();
}

#[test]
fn headers_and_texts() {
    let rig = filled();
    let view = rig.open("INBOX", true);
    for (key, expected) in [
        (header("from", "EXAMPLE.ORG"), "1 2"),
        (header("from", "jürgen"), "2"),
        (header("from", "JÜRGEN"), "2"),
        (header("subject", "grüße aus köln"), "2"),
        (header("subject", "GRÜSSE"), "2"),
        (header("cc", "carol"), "2"),
        (header("x-loop", ""), "3"),
        (header("x-trace", "seam"), "2"),
        (header("bcc", ""), ""),
        (SearchKey::Body("minutes".to_owned()), "1"),
        (SearchKey::Body("ÜBERRASCHUNG".to_owned()), "2"),
        (SearchKey::Body("haystack".to_owned()), "3"),
        (SearchKey::Body("inner body".to_owned()), "3"),
        (SearchKey::Body("Monday".to_owned()), ""),
        (SearchKey::Text("monday".to_owned()), "1"),
        (SearchKey::Text("seam".to_owned()), "2"),
        (SearchKey::Text("inner words".to_owned()), "3"),
        (SearchKey::Text("köln".to_owned()), "2"),
        (SearchKey::Body(String::new()), "1 2 3 4"),
        (SearchKey::Body("w5xiZXJy".to_owned()), ""),
    ] {
        assert_eq!(rig.search(&view, key.clone()), expected, "{key:?}");
    }
    rig.finish();
}

#[test]
fn keys_combine() {
    let rig = filled();
    let view = rig.open("INBOX", true);
    let not = |key| SearchKey::Not(Box::new(key));
    let or = |left, right| SearchKey::Or(Box::new(left), Box::new(right));
    let text = |text: &str| SearchKey::Text(text.to_owned());
    for (key, expected) in [
        (SearchKey::And(vec![]), "1 2 3 4"),
        (SearchKey::And(vec![flag(SystemFlag::Seen, true), text("needle")]), "3"),
        (SearchKey::And(vec![text("needle"), flag(SystemFlag::Seen, false)]), ""),
        (or(flag(SystemFlag::Deleted, true), header("to", "bob")), "1 3"),
        (
            or(flag(SystemFlag::Deleted, true), flag(SystemFlag::Draft, true)),
            "3 4",
        ),
        (not(or(header("from", "ann"), text("needle"))), "2 4"),
        (not(not(flag(SystemFlag::Flagged, true))), "1"),
        (not(SearchKey::All), ""),
        (not(SearchKey::Sequence(sequence("2:3"))), "1 4"),
        (
            SearchKey::And(vec![
                SearchKey::Sequence(sequence("2:*")),
                not(header("subject", "news")),
            ]),
            "2 4",
        ),
    ] {
        assert_eq!(rig.search(&view, key.clone()), expected, "{key:?}");
    }
    rig.finish();
}

#[test]
fn messages_that_are_gone_are_not_found() {
    let rig = filled();
    let (view, acting) = (rig.open("INBOX", true), rig.open("INBOX", false));
    rig.expunge(&acting);
    assert_eq!(rig.search(&view, SearchKey::All), "1 2 4");
    assert_eq!(rig.search(&view, flag(SystemFlag::Deleted, true)), "");
    rig.finish();
}

#[test]
fn a_search_tells_how_far_it_has_come() {
    let rig = filled();
    let view = rig.open("INBOX", true);
    assert_eq!(view.progress().read(), (0, 0));
    assert_eq!(rig.search(&view, SearchKey::Text("needle".to_owned())), "3");
    assert_eq!(view.progress().read(), (4, 4));
    let some = vec![flag(SystemFlag::Seen, true), SearchKey::Body("x".to_owned())];
    rig.search(&view, SearchKey::And(some));
    assert_eq!(view.progress().read(), (2, 2), "only what may be found is looked at");
    rig.finish();
}
