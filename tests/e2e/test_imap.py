"""IMAP against a running server, with Python's imaplib and bare connections; several sessions where it matters."""

from __future__ import annotations

import imaplib
import re
import time

import pytest

from tests.support.server import DOMAIN, PASSWORD, RawClient, Server

MESSAGE = (
    b"From: A <a@remote.test>\r\nTo: b@example.test\r\nSubject: first\r\n"
    b"Date: Mon, 2 Nov 2026 10:00:00 +0100\r\n\r\nbody text\r\n"
)


class Imap(RawClient):
    """Tagged commands over a bare connection."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server.port("imap"))
        self.greeting = self.line()
        self.do(f'LOGIN {user}@{DOMAIN} "{PASSWORD}"')

    def do(self, command: str, expect: str = "OK") -> list[bytes]:
        """Runs a command; returns the untagged lines; the tagged answer must begin with `expect`."""
        self.send(f"t {command}\r\n".encode())
        lines = self.until(b"t ")
        assert lines[-1].startswith(f"t {expect}".encode()), (command, lines)
        return lines


@pytest.fixture
def imap(running: Server, user: str) -> Imap:
    return Imap(running, user)


def append(client: Imap, count: int = 1, flags: str = "") -> None:
    for number in range(count):
        body = MESSAGE.replace(b"first", b"number %d" % (number + 1))
        client.send(f"t APPEND INBOX {flags}{{{len(body)}+}}\r\n".encode() + body + b"\r\n")
        assert client.until(b"t ")[-1].startswith(b"t OK [APPENDUID ")


def test_imaplib_round(running: Server, user: str) -> None:
    with running.imap(user) as client:
        assert client.append("INBOX", "(\\Seen custom)", imaplib.Time2Internaldate(1_700_000_000), MESSAGE)[0] == "OK"
        assert client.select("INBOX") == ("OK", [b"1"])
        (_, body), _ = client.fetch("1", "(UID FLAGS BODY.PEEK[])")[1]
        assert body == MESSAGE
        assert b"\\Flagged" in client.store("1", "+FLAGS", "(\\Flagged)")[1][0]
        assert client.search(None, "FLAGGED", "SUBJECT", "first")[1] == [b"1"]
        assert client.search(None, "UNFLAGGED")[1] == [b""]
        assert client.create("Work/2026")[0] == "OK"
        assert client.copy("1", "Work/2026")[0] == "OK"
        assert client.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
        assert client.expunge() == ("OK", [b"1"])
        assert client.select('"Work/2026"') == ("OK", [b"1"])
        assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == MESSAGE
        assert client.rename("Work/2026", "Work/old")[0] == "OK"
        assert client.delete("Work/old")[0] == "OK"


def test_select_answers(imap: Imap) -> None:
    append(imap, 2)
    lines = b"\n".join(imap.do("SELECT INBOX"))
    for part in (
        b"* FLAGS (",
        b"[PERMANENTFLAGS (",
        b"* 2 EXISTS",
        b"* 2 RECENT",
        b"[UIDVALIDITY ",
        b"[UIDNEXT 3]",
        b"[UNSEEN 1]",
    ):
        assert part in lines, part
    assert imap.do("EXAMINE INBOX")[-1].startswith(b"t OK [READ-ONLY]")


def test_fetch_items(imap: Imap) -> None:
    append(imap)
    imap.do("SELECT INBOX")
    answer = b"\n".join(imap.do("FETCH 1 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)"))
    assert b"RFC822.SIZE %d" % len(MESSAGE.replace(b"first", b"number 1")) in answer
    assert b'ENVELOPE ("Mon, 2 Nov 2026 10:00:00 +0100" "number 1" (("A" NIL "a" "remote.test"))' in answer
    assert b'body ("text" "plain" ("charset" "us-ascii") nil nil "7bit" 11 1)' in answer.lower()
    answer = b"\n".join(imap.do("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]"))
    assert b"Subject: number 1" in answer
    answer = b"\n".join(imap.do("FETCH 1 BODY.PEEK[TEXT]<5.4>"))
    assert b"BODY[TEXT]<5> " in answer
    assert b"text" in answer
    imap.do("FETCH 1 BODY[TEXT]")
    assert b"\\Seen" in b"\n".join(imap.do("FETCH 1 FLAGS"))


def test_numbers_stay_until_expunges_may_be_told(running: Server, user: str, imap: Imap) -> None:
    append(imap, 3)
    imap.do("SELECT INBOX")
    with Imap(running, user) as other:
        other.do("SELECT INBOX")
        other.do("STORE 2 +FLAGS.SILENT (\\Deleted)")
        other.do("EXPUNGE")
    lines = imap.do("FETCH 3 UID")
    assert b"* 3 FETCH (UID 3)" in lines
    assert not any(b"EXPUNGE" in line for line in lines)
    assert b"* 2 EXPUNGE" in imap.do("NOOP")
    assert b"* 2 FETCH (UID 3)" in imap.do("FETCH 2 UID")


def test_idle_tells_of_a_delivery_in_any_worker(running: Server, user: str) -> None:
    sessions = [Imap(running, user) for _ in range(8)]
    try:
        for session in sessions:
            session.do("SELECT INBOX")
            session.send(b"t IDLE\r\n")
            assert session.line().startswith(b"+ ")
        started = time.monotonic()
        running.deliver(MESSAGE, user)
        for session in sessions:
            lines = session.until(b"* 1 EXISTS")
            assert lines[-1] == b"* 1 EXISTS"
        # Far above the 50 ms that are aimed at, far below the slow poll that would hide a lost hint.
        assert time.monotonic() - started < 10
        for session in sessions:
            session.send(b"DONE\r\n")
            session.until(b"t OK")
    finally:
        for session in sessions:
            session.close()


def test_move_and_uidplus(imap: Imap) -> None:
    append(imap, 3)
    imap.do("SELECT INBOX")
    lines = imap.do("MOVE 1:2 Archive")
    assert any(re.match(rb"\* OK \[COPYUID \d+ 1:2 1:2\]", line) for line in lines)
    assert lines.count(b"* 1 EXPUNGE") == 2 or {b"* 1 EXPUNGE", b"* 2 EXPUNGE"} <= set(lines)
    imap.do("UID STORE 3 +FLAGS (\\Deleted)")
    imap.do("UID EXPUNGE 1:2")
    assert b"* 1 FETCH (UID 3)" in imap.do("FETCH 1 UID")
    assert b"* 1 EXPUNGE" in imap.do("UID EXPUNGE 3")
    imap.do("COPY 1 Nowhere", "BAD")


def test_copy_to_a_missing_mailbox(imap: Imap) -> None:
    append(imap)
    imap.do("SELECT INBOX")
    imap.do("COPY 1 Nowhere", "NO [TRYCREATE]")


def test_esearch_and_uid_search(imap: Imap) -> None:
    append(imap, 4)
    imap.do("SELECT INBOX")
    assert b"* SEARCH 1 2 3 4" in imap.do("SEARCH ALL")
    answer = b"\n".join(imap.do("SEARCH RETURN (MIN MAX COUNT ALL) SUBJECT number"))
    assert b'* ESEARCH (TAG "t")' in answer
    for part in (b"MIN 1", b"MAX 4", b"COUNT 4", b"ALL 1:4"):
        assert part in answer
    assert b"* SEARCH 2" in imap.do('UID SEARCH BODY "body text" SUBJECT "number 2"')
    assert b"* SEARCH 1 3" in imap.do('SEARCH OR SUBJECT "number 1" SUBJECT "number 3"')
    assert b"* SEARCH 1 2 3 4" in imap.do("SEARCH SENTSINCE 1-Nov-2026 SENTBEFORE 3-Nov-2026")
    imap.do("SEARCH CHARSET KOI8-R ALL", "NO [BADCHARSET")


def test_list_and_special_use(imap: Imap) -> None:
    imap.do("CREATE a/b/c")
    lines = b"\n".join(imap.do('LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED CHILDREN)'))
    for name in (b"INBOX", b"Sent", b"Drafts", b"Trash", b"Junk", b"Archive"):
        assert name in lines
    assert b"\\Sent" in lines
    assert b"\\HasChildren" in lines
    assert b'"/"' in b"\n".join(imap.do('LIST "" ""'))
    one_level = imap.do('LIST "" "a/%"')
    assert any(b"a/b" in line for line in one_level)
    assert not any(b"a/b/c" in line for line in one_level)
    imap.do("UNSUBSCRIBE Sent")
    assert not any(b"Sent" in line for line in imap.do('LSUB "" "*"'))
    imap.do("SUBSCRIBE Sent")
    assert b'* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL' in imap.do("NAMESPACE")


def test_international_mailbox_names(imap: Imap) -> None:
    imap.do("CREATE Entw&APw-rfe")
    assert b"Entw&APw-rfe" in b"\n".join(imap.do('LIST "" "Entw*"'))
    imap.do("ENABLE IMAP4rev2")
    assert "Entwürfe".encode() in b"\n".join(imap.do('LIST "" "Entw*"'))
    imap.do("DELETE Entw&APw-rfe", "NO")


def test_status(imap: Imap) -> None:
    append(imap, 3)
    answer = b"\n".join(imap.do("STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN SIZE)"))
    assert b"MESSAGES 3" in answer
    assert b"UIDNEXT 4" in answer
    assert b"UNSEEN 3" in answer
    assert b"SIZE %d" % (3 * len(MESSAGE.replace(b"first", b"number 1"))) in answer


def test_append_limits_and_missing_mailbox(running: Server, imap: Imap) -> None:
    imap.send(b"t APPEND Nowhere {10}\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t NO [TRYCREATE]")
    imap.send(b"t APPEND INBOX {999999999}\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t NO [TOOBIG]")
    imap.do("NOOP")


def test_one_append_has_a_bound(imap: Imap) -> None:
    """RFC 3502: all messages or none, and no more than are to be held at once."""
    imap.send(b"t APPEND INBOX" + b" {1+}\r\nx" * 1000 + b"\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t OK [APPENDUID ")
    imap.send(b"t APPEND INBOX" + b" {1+}\r\nx" * 1001 + b"\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t NO [LIMIT]")
    assert imap.do("STATUS INBOX (MESSAGES)")[0] == b'* STATUS "INBOX" (MESSAGES 1000)'


def test_append_octet_for_octet(imap: Imap) -> None:
    odd = b"Subject: odd\nMixed: ends\r\n\r\nbare\rreturn, bare\nfeed, \xff\xfe and no end"
    imap.send(b"t APPEND INBOX {%d+}\r\n" % len(odd) + odd + b"\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t OK")
    nul = b"Subject: nul\r\n\r\na\0b\r\n"
    imap.send(b"t APPEND INBOX ~{%d+}\r\n" % len(nul) + nul + b"\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t OK")
    imap.send(b"t APPEND INBOX {%d+}\r\n" % len(nul) + nul + b"\r\n")
    assert imap.until(b"t ")[-1].startswith((b"t NO", b"t BAD"))
    imap.do("SELECT INBOX")
    for number, octets in ((1, odd), (2, nul)):
        imap.send(b"t FETCH %d BODY.PEEK[]\r\n" % number)
        head = imap.line()
        size = int(head.rstrip().rstrip(b"}").rpartition(b"{")[2])
        assert imap.file.read(size) == octets
        imap.until(b"t OK")


def test_malformed_commands_leave_the_session_usable(imap: Imap) -> None:
    for line in (
        "",
        "t",
        "t FROB",
        "t FETCH",
        "t FETCH 0 FLAGS",
        "t SELECT",
        "t SEARCH ((((",
        't LOGIN "a',
        "t STORE 1 FLAGS",
    ):
        imap.send(line.encode() + b"\r\n")
        answer = imap.line()
        assert b"BAD" in answer or answer.startswith(b"t NO"), (line, answer)
    imap.do("NOOP")


def test_pipelined_commands_are_answered_in_order(imap: Imap) -> None:
    append(imap, 2)
    imap.send(b"a SELECT INBOX\r\nb FETCH 1:* FLAGS\r\nc STORE 1 +FLAGS (\\Seen)\r\nd FETCH 1 FLAGS\r\ne NOOP\r\n")
    lines = imap.until(b"e ")
    tags = [line[:1] for line in lines if line[1:2] == b" " and line[:1] in b"abcde"]
    assert tags == [b"a", b"b", b"c", b"d", b"e"]


def test_deleted_mailbox_under_a_session(running: Server, user: str, imap: Imap) -> None:
    imap.do("CREATE Gone")
    imap.do("SELECT Gone")
    with Imap(running, user) as other:
        other.do("DELETE Gone")
    imap.do("NOOP")
    imap.do("FETCH 1:* FLAGS", "NO")
    imap.do("SELECT INBOX")


def test_starttls_and_tls_ports(running: Server, user: str) -> None:
    with imaplib.IMAP4("127.0.0.1", running.port("imap"), timeout=30) as client:
        client.starttls(running.tls())
        client.login(f"{user}@{DOMAIN}", PASSWORD)
    with imaplib.IMAP4_SSL("127.0.0.1", running.port("imaps"), ssl_context=running.tls(), timeout=30) as client:
        client.authenticate("PLAIN", lambda _: f"\0{user}@{DOMAIN}\0{PASSWORD}".encode())
        assert client.select("INBOX")[0] == "OK"


def test_starttls_injection_closes(running: Server) -> None:
    with running.raw("imap") as client:
        client.line()
        client.send(b"a STARTTLS\r\nb NOOP\r\n")
        assert b"b OK" not in client.file.read()


def test_wrong_password(running: Server, user: str) -> None:
    client = running.imap(None)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(f"{user}@{DOMAIN}", "wrong")
    client.shutdown()


def test_large_message_is_streamed(imap: Imap) -> None:
    big = b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 20_000
    imap.send(b"t APPEND INBOX {%d+}\r\n" % len(big) + big + b"\r\n")
    assert imap.until(b"t ")[-1].startswith(b"t OK")
    imap.do("SELECT INBOX")
    imap.send(b"t FETCH 1 BODY.PEEK[]\r\n")
    size = int(imap.line().rstrip().rstrip(b"}").rpartition(b"{")[2])
    assert size == len(big)
    assert imap.file.read(size) == big
    imap.until(b"t OK")
