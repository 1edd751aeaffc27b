"""Repair as an administrator does it: check, rebuild of a lost index, compaction, while a server runs and without one."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tests.dialogs.player import Session
from tests.support.server import DOMAIN, PASSWORD, Server, ironpost

ADDRESS = f"alice@{DOMAIN}"


def fill(server: Server) -> None:
    with server.imap("alice") as client:
        client.create("Projects")
        for number in range(60):
            text = f"From: a@{DOMAIN}\r\nSubject: message {number}\r\n\r\n" + f"text {number} " * (number * 40) + "\r\n"
            flags = r"(\Seen $Later)" if number % 3 else r"(\Flagged)"
            client.append("INBOX" if number % 2 else "Projects", flags, None, text.encode())
        client.select("INBOX")
        client.uid("STORE", "1:20", "+FLAGS", r"(\Deleted)")
        client.expunge()


def shown(server: Server) -> dict[str, list[object]]:
    """UIDVALIDITY, UIDNEXT, the name that lasts and every message of each mailbox (RFC 8474)."""
    found: dict[str, list[object]] = {}
    with server.imap("alice") as client:
        for line in client.list()[1]:
            name = line.decode().rpartition('"/" ')[2].strip('"')
            status = client.status(name, "(UIDVALIDITY UIDNEXT MESSAGES MAILBOXID)")[1][0]
            client.select(name, readonly=True)
            messages = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE EMAILID BODY.PEEK[])")[1]
            # What nobody has been told of is \\Recent; a new index says that everybody has.
            heads = [part[0].replace(b" \\Recent", b"") for part in messages if isinstance(part, tuple)]
            found[name] = [status, heads, [part[1] for part in messages if isinstance(part, tuple)]]
    return found


def resynchronised(server: Server, known: str) -> list[str]:
    """The answer to a SELECT of INBOX by a client that knows so much (RFC 7162 §3.2.5)."""
    session = Session(server.port("imap"))
    try:
        session.line()
        lines: list[str] = []
        for command in (f'LOGIN {ADDRESS} "{PASSWORD}"', "ENABLE QRESYNC", f"SELECT INBOX (QRESYNC ({known}))"):
            session.socket.sendall(f"a {command}\r\n".encode())
            lines = [session.line()]
            while not lines[-1].startswith("a "):
                lines.append(session.line())
            assert lines[-1].startswith("a OK "), lines
        return lines
    finally:
        session.close()


def test_a_client_resynchronises_after_a_rebuild(tmp_path: Path) -> None:
    # The new index has no change log: whoever comes back is told of every UID that nobody has.
    server = Server(tmp_path / "data")
    with server.serving():
        fill(server)
        with server.imap("alice") as client:
            status = client.status("INBOX", "(UIDVALIDITY HIGHESTMODSEQ)")[1][0].decode()
        validity, modseq = re.findall(r"\d+", status)
        assert not [line for line in resynchronised(server, f"{validity} {modseq}") if "VANISHED" in line]
    shutil.rmtree(server.folder / "store" / "index")
    ironpost("store", "rebuild", str(server.folder))
    with server.serving():
        assert "* VANISHED (EARLIER) 1:20" in resynchronised(server, f"{validity} {modseq}")
        assert "* VANISHED (EARLIER) 15:20" in resynchronised(server, f"{validity} {modseq} 15:25")
        # The first message has the number that the client believes it to have: it knows what is gone below.
        assert not [line for line in resynchronised(server, f"{validity} {modseq} (1 21)") if "VANISHED" in line]


def test_a_lost_index_is_made_again(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    with server.serving():
        fill(server)
        before = shown(server)
        refused = ironpost("store", "rebuild", str(server.folder), check=False)
        assert refused.returncode == 1
        assert "in use" in refused.stderr
    shutil.rmtree(server.folder / "store" / "index")
    # A server does not begin an empty store over packs full of mail.
    refused = ironpost("store", "stat", str(server.folder), check=False)
    assert refused.returncode == 1
    assert "ironpost store rebuild" in refused.stderr
    report = json.loads(ironpost("store", "rebuild", str(server.folder), "--json").stdout)
    assert (report["messages"], report["lost"], report["found"], report["damaged"]) == (40, 0, 0, [])
    with server.serving():
        assert shown(server) == before
        assert "clean" in ironpost("store", "check", "--full", str(server.folder)).stdout
        assert "clean" in ironpost("store", "check", "--sample", str(server.folder)).stdout


def test_compaction_by_command(tmp_path: Path) -> None:
    # What is expunged is dead at once: retained mail would keep its place.
    server = Server(tmp_path / "data", config='\n[store]\nretention = "0 s"\n')
    with server.serving():
        fill(server)
    with server.serving():
        before = shown(server)
        done = json.loads(ironpost("store", "compact", str(server.folder), "--json").stdout)
        assert done["packs"] >= 1
        assert done["damaged"] == []
        assert shown(server) == before
    assert ironpost("store", "compact", "--rate", "10 lots", str(server.folder), check=False).returncode == 2
    assert ironpost("store", "check", "--full", "--sample", str(server.folder), check=False).returncode == 2
