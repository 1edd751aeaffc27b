"""POP3 shows the unique ids that a real Dovecot has shown, once its mail has been imported here.

Skipped where scripts/peers.sh has not unpacked Dovecot.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ironpost.portable.unique_ids import made
from tests.support.dovecot import Dovecot, missing
from tests.support.server import DOMAIN, Server, ironpost

pytestmark = [pytest.mark.client, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]

ADDRESS = f"alice@{DOMAIN}"
MESSAGES = 13
DEFAULT = "%08Xu%08Xv"


def filled(folder: Path, location: str) -> Dovecot:
    """With some of its messages removed, so that numbers are no UIDs."""
    dovecot = Dovecot(folder)
    with dovecot.imap(location) as client:
        for number in range(MESSAGES):
            assert client.append("INBOX", "", "", b"Subject: %d\r\n\r\nx\r\n" % number)[0] == "OK"
        client.select()
        client.store("2:3", "+FLAGS", "(\\Deleted)")
        client.expunge()
    return dovecot


def theirs(dovecot: Dovecot, location: str, *settings: str) -> list[str]:
    lines = dovecot.pop3(location, b"UIDL\r\nQUIT\r\n", *settings).decode().split("\r\n")
    return [line.split(" ", 1)[1] for line in lines[1 : lines.index(".")]]


def ours(server: Server) -> list[str]:
    client = server.pop3("alice")
    found = [line.decode().split(" ", 1)[1] for line in client.uidl()[1]]
    client.quit()
    return found


def imported(folder: Path, dovecot: Dovecot) -> list[str]:
    """What our POP3 says once the tree has been imported."""
    server = Server(folder, accounts=("alice",))
    tree = str(dovecot.home / "tree")
    ironpost("mailbox", "import", ADDRESS, tree, "--pop3-uidl", DEFAULT, "--dir", str(server.folder))
    with server.serving():
        return ours(server)


@pytest.mark.parametrize("location", ["maildir:~/tree", "sdbox:~/tree", "mdbox:~/tree"])
def test_made_as_by_default(tmp_path: Path, location: str) -> None:
    dovecot = filled(tmp_path / "dovecot", location)
    expected = theirs(dovecot, location)
    assert len(expected) == MESSAGES - 2
    assert imported(tmp_path / "data", dovecot) == expected


def test_saved_in_a_maildir(tmp_path: Path) -> None:
    location = "maildir:~/tree"
    dovecot = filled(tmp_path / "dovecot", location)
    saved = theirs(dovecot, location, "pop3_save_uidl=yes", "pop3_uidl_format=old-%v-%u")
    assert theirs(dovecot, location) == saved
    assert imported(tmp_path / "data", dovecot) == saved


def test_patterns(tmp_path: Path) -> None:
    location = "maildir:~/tree"
    dovecot = filled(tmp_path / "dovecot", location)
    with dovecot.imap(location) as client:
        client.select()
        validity = int(client.response("UIDVALIDITY")[1][0])
    uids = [1, *range(4, MESSAGES + 1)]
    for pattern in (DEFAULT, "UID%u-%v", "%v.%u", "%Xu-%Xv", "%08u", "%03Xu", "x%%%u"):
        assert theirs(dovecot, location, f"pop3_uidl_format={pattern}") == [
            made(pattern, uid, validity) for uid in uids
        ]
