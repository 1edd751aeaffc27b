"""Trees that a real Dovecot has written are imported, and a real Dovecot takes over what was exported.

Skipped where scripts/peers.sh has not unpacked Dovecot: `make bench` does.
"""

from __future__ import annotations

import imaplib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ironpost.portable.names import decode_utf7
from tests.support.dovecot import Dovecot, missing
from tests.support.portable import Door, opened

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

MESSAGES = 120  # enough that Dovecot writes snapshots of its index and rotates nothing away
FOLDERS = ("INBOX", "Work", "Work/2024", "Gr&APYA3w-e")
LOCATIONS = {
    "maildir++": ("maildir:~/tree", {}),
    "maildir": ("maildir:~/tree:LAYOUT=fs", {}),
    "sdbox": ("sdbox:~/tree", {}),
    "mdbox": ("mdbox:~/tree", {}),
    "mbox": ("mbox:~/tree:INBOX=~/tree/inbox", {"folders": ("INBOX", "Work", "Gr&APYA3w-e")}),
}
_FETCH = re.compile(rb'UID (\d+) FLAGS \((.*?)\) INTERNALDATE "(.*?)"')


def body(folder: str, number: int) -> bytes:
    """Some of them with lines that an mbox must mind."""
    return b"Subject: %s %d\r\nFrom: a@b.test\r\n\r\nline\r\nFrom me to you\r\n>From x\r\n%s" % (
        folder.encode(),
        number,
        b"text\r\n" * (number % 7),
    )


def fill(client: imaplib.IMAP4, folders: tuple[str, ...], separator: str) -> None:
    """Appends, flags, keywords, copies, expunges: so that snapshot and log of an index both count."""
    for folder in folders:
        name = f'"{folder.replace("/", separator)}"'
        if folder != "INBOX":
            assert client.create(name)[0] == "OK"
        for number in range(MESSAGES if folder == "INBOX" else 7):
            flags = ["", "\\Seen", "\\Answered \\Flagged", "\\Draft Work", f"$Junk kw{number % 5}"][number % 5]
            date = f'"{1 + number % 28:2}-Jul-2021 12:{number % 60:02}:{number % 60:02} +0000"'
            status, data = client.append(name, f"({flags})", date, body(folder, number))
            assert status == "OK", data
        client.select(name)
        client.store("2:5", "+FLAGS", "(Late \\Seen)")
        client.store("3", "-FLAGS", "(Late)")
        client.store("6", "FLAGS", "(\\Flagged)")
        client.store("1,4", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.store("2", "+FLAGS", "(\\Deleted)")
    client.subscribe('"Work"')


def picture(client: imaplib.IMAP4, separator: str) -> dict[str, Any]:
    """What a client sees: UIDVALIDITY and every message, by folder."""
    seen: dict[str, Any] = {}
    for line in client.list()[1]:
        assert isinstance(line, bytes)
        if b"\\Noselect" in line or b"\\NonExistent" in line:
            continue
        name = line.rpartition(b' "%s" ' % separator.encode())[2].decode().strip('"')
        assert client.select(f'"{name}"', readonly=True)[0] == "OK"
        validity = client.response("UIDVALIDITY")[1][0]
        status, data = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        assert status == "OK"
        rows = []
        for head, octets in (item for item in data if isinstance(item, tuple)):
            found = _FETCH.search(head)
            assert found, head
            flags = frozenset(found[2].decode().split()) - {"\\Recent"}
            rows.append((int(found[1]), flags, imaplib.Internaldate2tuple(b'INTERNALDATE "%s"' % found[3]), octets))
        seen[name.replace(separator, "/")] = (int(validity or 0), rows)
    return seen


@pytest.mark.parametrize("kind", LOCATIONS)
def test_import_of_what_dovecot_wrote(kind: str, tmp_path: Path, door: Door) -> None:
    dovecot = Dovecot(tmp_path / "dovecot")
    location, options = LOCATIONS[kind]
    separator = "." if kind == "maildir++" else "/"
    with dovecot.imap(location) as client:
        fill(client, options.get("folders", FOLDERS), separator)
    with dovecot.imap(location) as client:
        expected = picture(client, separator)
    report = door.take_in(dovecot.home / "tree")
    assert report.format == kind
    assert (report.left_out, report.faults) == (0, 0), door.notes
    assert report.stored == sum(len(rows) for _, rows in expected.values())
    compare(door, expected, "\n".join(door.notes))
    assert report.kept_uids > 0
    assert door.boxes()["Work"]["subscribed"]
    assert door.take_in(dovecot.home / "tree").stored == 0


def compare(door: Door, expected: dict[str, Any], renumbered: str = "") -> None:
    """The store holds what Dovecot has shown. `renumbered`: the lines that tell which mailboxes could not keep UIDs."""
    boxes = door.boxes()
    for name, (validity, rows) in expected.items():
        name = decode_utf7(name)
        found = door.mail(name)
        assert [(octets, flags) for _, octets, flags, _ in found] == [(octets, flags) for _, flags, _, octets in rows]
        assert [date for _, _, _, date in found] == [int(time.mktime(date)) for _, _, date, _ in rows]
        # The mailboxes of a new account have UIDVALIDITYs of this minute, as Dovecot's new ones here: some are taken.
        if f"the mailbox {name!r} has held mail before or its UIDVALIDITY is taken" not in renumbered:
            assert boxes[name]["uid_validity"] == validity
            assert [uid for uid, _, _, _ in found] == [uid for uid, _, _, _ in rows]


@pytest.mark.parametrize("kind", ["maildir++", "maildir"])
def test_dovecot_takes_over_an_export(kind: str, tmp_path: Path, new_door: Callable[[], Door]) -> None:
    dovecot = Dovecot(tmp_path / "dovecot")
    with dovecot.imap("sdbox:~/origin") as client:
        fill(client, FOLDERS, "/")
    door = new_door()
    door.take_in(dovecot.home / "origin")
    door.write_out(tmp_path / "out", kind)
    dovecot.adopt(tmp_path / "out", "tree")
    location, _ = LOCATIONS[kind]
    separator = "." if kind == "maildir++" else "/"
    with dovecot.imap(location) as client:
        seen = picture(client, separator)
        subscribed = {line.rpartition(b" ")[2].strip(b'"').decode() for line in client.lsub()[1] if line}
    compare(door, {name: seen[name] for name in FOLDERS})
    for name in FOLDERS:
        assert seen[name][0] == {**door.boxes(), "Gr&APYA3w-e": door.boxes()["Größe"]}[name]["uid_validity"]
    assert "Work" in subscribed


def test_dovecot_takes_over_an_mbox(tmp_path: Path) -> None:
    dovecot = Dovecot(tmp_path / "dovecot")
    with dovecot.imap("sdbox:~/origin") as client:
        fill(client, ("INBOX",), "/")
    with opened(tmp_path / "store") as door:
        door.take_in(dovecot.home / "origin")
        door.write_out(tmp_path / "out", "mbox", only=("INBOX",))
        dovecot.adopt(tmp_path / "out", "tree")
        with dovecot.imap("mbox:~/tree:INBOX=~/tree/INBOX.mbox") as client:
            seen = picture(client, "/")["INBOX"]
        found = door.mail()
    assert [row[:2] for row in seen[1]] == [(uid, flags) for uid, _, flags, _ in found]
    assert [int(time.mktime(row[2])) for row in seen[1]] == [date for _, _, _, date in found]
