"""IMAP sessions of one account in different workers: a mailbox that is deleted under them, and QRESYNC across them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.bare import Imap
from tests.support.server import Server, eventually

WORKERS = 2
SESSIONS_MAX = 60  # opened until every worker has some; the kernel chooses
MESSAGE = b"Subject: x\r\n\r\nx\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("workers") / "data"
    server = Server(folder, accounts=("alice",))
    server.write_config((folder / "ironpost.toml").read_text().replace("\n[", f"\nworkers = {WORKERS}\n\n[", 1))
    with server.serving():
        yield server


def worker_of(server: Server, session: Imap) -> int:
    """The process that serves a session: whose socket has the session's port at its far end."""
    port = f":{session.socket.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    (inode,) = [row[9] for row in rows if row[2].endswith(port) and row[3] == "01"]
    for worker in server.workers():
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            if os.path.islink(descriptor) and os.readlink(descriptor) == f"socket:[{inode}]":
                return worker
    raise AssertionError("no worker has it")


def one_in_each(server: Server, stack: ExitStack) -> list[Imap]:
    """A session in each worker; they end with the stack."""
    found: dict[int, Imap] = {}
    for _ in range(SESSIONS_MAX):
        session = stack.enter_context(Imap(server, "alice"))
        found.setdefault(worker_of(server, session), session)
        if len(found) == WORKERS:
            return list(found.values())
    raise AssertionError(f"{SESSIONS_MAX} sessions are all in one worker")


def fill(session: Imap, mailbox: str, count: int) -> None:
    for _ in range(count):
        session.do(b"APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(MESSAGE), MESSAGE))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("NOOP", "OK"),
        ("CHECK", "OK"),
        ("FETCH 1 BODY[]", "NO [NONEXISTENT]"),
        ("UID FETCH 1:* BODY[]", "NO [NONEXISTENT]"),
        ("SEARCH TEXT x", "NO [NONEXISTENT]"),
        ("UID SORT (SUBJECT) UTF-8 ALL", "NO [NONEXISTENT]"),
        ("STORE 1 +FLAGS (\\Seen)", "NO [NONEXISTENT]"),
        ("EXPUNGE", "NO [NONEXISTENT]"),
        # Not TRYCREATE: what is missing is the source, and INBOX can't be made.
        ("COPY 1 INBOX", "NO [NONEXISTENT]"),
        ("UID MOVE 1 INBOX", "NO [NONEXISTENT]"),
        ("REPLACE 1 INBOX {12+}\r\nSubject: x\r\n", "NO [NONEXISTENT]"),
        ("CLOSE", "OK"),  # RFC 9051 §6.4.1: no NO
        ("UNSELECT", "OK"),
        ("SELECT doomed", "NO [NONEXISTENT]"),
        ('LIST "" doomed', "OK"),
    ],
)
def test_the_selected_mailbox_is_deleted(server: Server, command: str, expected: str) -> None:
    """RFC 9051 §6.3.5 leaves it to us what becomes of sessions: they live on, and say so where they need it."""
    with ExitStack() as stack:
        sessions = one_in_each(server, stack)
        workers = server.workers()
        deleting = stack.enter_context(Imap(server, "alice"))
        deleting.do("CREATE doomed")
        fill(deleting, "doomed", 2)
        for session in sessions:
            session.do("SELECT doomed")
        deleting.do("SELECT doomed")
        deleting.do("DELETE doomed")
        for session in (*sessions, deleting):
            session.do(command, expected)
            assert not any(line.startswith(b"* BYE") for line in session.do("NOOP"))
        # A mailbox of that name is another one.
        deleting.do("CREATE doomed")
        fill(deleting, "doomed", 1)
        for session in (*sessions, deleting):
            session.do("NOOP")
            answer = session.do("SELECT doomed")
            assert b"* 1 EXISTS" in answer
            session.do("UNSELECT")
        deleting.do("DELETE doomed")
        assert server.workers() == workers


def test_idle_while_the_mailbox_is_deleted(server: Server) -> None:
    with ExitStack() as stack:
        sessions = one_in_each(server, stack)
        deleting = stack.enter_context(Imap(server, "alice"))
        deleting.do("CREATE doomed")
        for session in sessions:
            session.do("SELECT doomed")
            session.send(b"t IDLE\r\n")
            assert session.line().startswith(b"+ ")
        deleting.do("DELETE doomed")
        for session in sessions:
            session.send(b"DONE\r\n")
            assert session.answer()[1].startswith(b"t OK")
            session.do("FETCH 1 FLAGS", "NO [NONEXISTENT]")
            session.do("SELECT INBOX")


def code(lines: list[bytes], name: bytes) -> int:
    """The number of a response code."""
    found = re.search(rb"\[%s (\d+)\]" % name, b"\n".join(lines))
    assert found, lines
    return int(found[1])


def test_qresync(server: Server) -> None:
    """RFC 7162 §3.2.5: what one worker has changed, a client that comes back to another is told."""
    with ExitStack() as stack:
        first, second = one_in_each(server, stack)
        first.do("CREATE synced")
        fill(first, "synced", 6)
        for session in (first, second):
            session.do("ENABLE QRESYNC")
        selected = first.do("SELECT synced")
        validity, modseq = code(selected, b"UIDVALIDITY"), code(selected, b"HIGHESTMODSEQ")
        second.do("SELECT synced")
        # First goes away; the other worker's session changes, removes, moves and adds.
        first.do("UNSELECT")
        second.do("UID STORE 2 +FLAGS (\\Flagged kept)")
        second.do("UID STORE 1,4 +FLAGS.SILENT (\\Deleted)")
        second.do("EXPUNGE")
        second.do("UID MOVE 5 INBOX")
        fill(second, "synced", 1)
        back = first.do(f"SELECT synced (QRESYNC ({validity} {modseq} 1:3))")
        assert b"* VANISHED (EARLIER) 1" in back  # of the UIDs that the client knows
        back = first.do(f"SELECT synced (QRESYNC ({validity} {modseq}))")
        assert b"* VANISHED (EARLIER) 1,4:5" in back
        fetched = [line for line in back if b" FETCH (" in line]
        assert [re.search(rb"UID (\d+)", line)[1] for line in fetched] == [b"2", b"7"]  # type: ignore[index]
        assert b"\\Flagged" in fetched[0]
        assert b"kept" in fetched[0]
        assert b"* 4 EXISTS" in back
        newest = code(back, b"HIGHESTMODSEQ")
        # Nothing new since: nothing is told.
        again = second.do(f"SELECT synced (QRESYNC ({validity} {newest}))")
        assert not any(b"VANISHED" in line or b" FETCH (" in line for line in again)
        # And live: both ways, without a look from outside.
        second.do("UID STORE 3 +FLAGS.SILENT (\\Deleted)")
        second.do("UID EXPUNGE 3")
        told = eventually("the removal in the other worker", lambda: [x for x in first.do("NOOP") if b"VANISHED" in x])
        assert told == [b"* VANISHED 3"]
        first.do("UID STORE 6 +FLAGS (\\Answered)")
        told = eventually("the flag in the other worker", lambda: [x for x in second.do("NOOP") if b" FETCH (" in x])
        assert len(told) == 1  # type: ignore[arg-type]
        assert code(first.do(f"SELECT synced (QRESYNC ({validity} {newest}))"), b"HIGHESTMODSEQ") > newest
        # Another UIDVALIDITY: nothing of what the client has counts.
        other = first.do(f"SELECT synced (QRESYNC ({validity + 1} {modseq}))")
        assert not any(b"VANISHED" in line or b" FETCH (" in line for line in other)
