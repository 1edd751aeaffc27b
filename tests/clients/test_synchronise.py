"""Clients that keep two sides alike: mbsync both ways, offlineimap; and mutt, which sorts, threads and deletes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.programs import in_terminal, need, private, run, subjects
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = pytest.mark.client

MESSAGE = b"From: alice@example.test\r\nTo: bob@example.test\r\nSubject: %s\r\n\r\nfrom a real client\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: clients may leave things behind in its mailboxes."""
    with Server(tmp_path_factory.mktemp("synchronise") / "data").serving() as server:
        yield server


def files(folder: Path) -> dict[str, Path]:
    """Messages of a Maildir by subject."""
    found = {}
    for path in [*(folder / "new").iterdir(), *(folder / "cur").iterdir()]:
        subject = next(line for line in path.read_text().splitlines() if line.startswith("Subject: "))
        found[subject.removeprefix("Subject: ")] = path
    return found


def mark(path: Path, flags: str) -> None:
    """Gives a message of a Maildir these flags and no others."""
    path.rename(path.parent.parent / "cur" / f"{path.name.partition(':2,')[0]}:2,{flags}")


def far_flags(server: Server, user: str, mailbox: str, key: str) -> list[str]:
    """Subjects of the messages in a mailbox of the server that a search key finds."""
    with server.imap(user) as client:
        assert client.select(mailbox, readonly=True)[0] == "OK"
        numbers = client.search(None, key)[1][0].decode().replace(" ", ",")
        if not numbers:
            return []
        answer = client.fetch(numbers, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return sorted(part[1].decode().partition(":")[2].strip() for part in answer if isinstance(part, tuple))


def test_mbsync_both_ways(running: Server, tmp_path: Path) -> None:
    """Flags set and cleared, expunges, and new mailboxes, from either side; a last run finds nothing to do."""
    mbsync = need("mbsync")
    running.add_account(f"both@{DOMAIN}")
    for number in range(6):
        running.deliver(MESSAGE % b"number %d" % number, "both")
    mail = tmp_path / "mail"
    mail.mkdir()
    config = private(
        tmp_path / "mbsyncrc",
        f"""IMAPAccount server
Host localhost
Port {running.port("imaps")}
User both@{DOMAIN}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {running.folder}/tls/chain.pem
Timeout 30

IMAPStore far
Account server

MaildirStore near
Path {mail}/
Inbox {mail}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove None
Expunge Both
CopyArrivalDate yes
SyncState *
""",
    )

    def synchronise() -> None:
        run(tmp_path, mbsync, "-c", str(config), "-a")

    synchronise()
    near = files(mail / "INBOX")
    assert sorted(near) == [f"number {number}" for number in range(6)]
    # Here: flags on two, one deleted, a new mailbox with two messages. There: one flagged, one deleted, a new mailbox.
    mark(near["number 0"], "RS")
    mark(near["number 1"], "F")
    mark(near["number 2"], "T")
    for part in ("cur", "new", "tmp"):
        (mail / "Near" / "Deep" / part).mkdir(parents=True)
    for number in range(2):
        octets = (MESSAGE % b"near %d" % number).replace(b"\r\n", b"\n")
        (mail / "Near" / "Deep" / "cur" / f"170000000{number}.1.here:2,S").write_bytes(octets)
    with running.imap("both") as client:
        client.select("INBOX")
        client.store("4", "+FLAGS", "(\\Flagged \\Draft)")
        client.store("5", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.create("Far")
        client.append("Far", "(\\Answered)", "", MESSAGE % b"far")
    synchronise()
    left = ["number 0", "number 1", "number 3", "number 5"]
    assert sorted(subjects(running, "both")) == left
    near = files(mail / "INBOX")
    assert sorted(near) == left
    assert near["number 3"].name.endswith(":2,DF")
    assert far_flags(running, "both", "INBOX", "ANSWERED SEEN") == ["number 0"]
    assert far_flags(running, "both", "INBOX", "FLAGGED UNSEEN UNDRAFT") == ["number 1"]
    assert far_flags(running, "both", "Near/Deep", "SEEN") == ["near 0", "near 1"]
    assert files(mail / "Far")["far"].name.endswith(":2,R")
    # Flags are cleared, on either side; what was deleted stays so.
    mark(near["number 0"], "S")
    with running.imap("both") as client:
        client.select("INBOX")
        client.store("1:*", "-FLAGS", "(\\Flagged)")
        client.select("Near/Deep")
        client.store("1", "+FLAGS", "(\\Deleted)")
    synchronise()
    assert far_flags(running, "both", "INBOX", "ANSWERED") == []
    near = files(mail / "INBOX")
    assert near["number 1"].name.endswith(":2,")
    assert near["number 3"].name.endswith(":2,D")
    assert len(files(mail / "Near" / "Deep")) == 1
    before = {path.name for path in near.values()}
    with running.imap("both") as client:
        watched = client.status("INBOX", "(MESSAGES UIDNEXT HIGHESTMODSEQ)")[1]
    synchronise()
    assert {path.name for path in files(mail / "INBOX").values()} == before
    with running.imap("both") as client:
        assert client.status("INBOX", "(MESSAGES UIDNEXT HIGHESTMODSEQ)")[1] == watched


def test_offlineimap(running: Server, tmp_path: Path) -> None:
    """Two-way: what either side wrote, flagged or deleted reaches the other; new mailboxes both ways."""
    offlineimap = need("offlineimap")
    running.add_account(f"offline@{DOMAIN}")
    for number in range(4):
        running.deliver(MESSAGE % b"number %d" % number, "offline")
    mail = tmp_path / "mail"
    mail.mkdir()
    config = private(
        tmp_path / "offlineimaprc",
        f"""[general]
accounts = one
metadata = {tmp_path}/metadata
maxsyncaccounts = 1
socktimeout = 30
[Account one]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {mail}
sep = /
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {running.port("imaps")}
remoteuser = offline@{DOMAIN}
remotepass = {PASSWORD}
ssl = yes
sslcacertfile = {running.folder}/tls/chain.pem
tls_level = tls_compat
maxconnections = 1
auth_mechanisms = PLAIN
""",
    )

    def synchronise() -> None:
        run(tmp_path, offlineimap, "-c", str(config), "-o", "-1", "-u", "basic")

    synchronise()
    near = files(mail / "INBOX")
    assert sorted(near) == [f"number {number}" for number in range(4)]
    mark(near["number 0"], "FS")
    mark(near["number 1"], "T")
    for part in ("cur", "new", "tmp"):
        (mail / "Near" / part).mkdir(parents=True)
    (mail / "Near" / "new" / "1700000000.1.here").write_bytes((MESSAGE % b"near").replace(b"\r\n", b"\n"))
    with running.imap("offline") as client:
        client.select("INBOX")
        client.store("3", "+FLAGS", "(\\Answered)")
        client.store("4", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.create("Far")
        client.append("Far", "(\\Seen)", "", MESSAGE % b"far")
    synchronise()
    assert far_flags(running, "offline", "INBOX", "FLAGGED SEEN") == ["number 0"]
    assert far_flags(running, "offline", "INBOX", "UNDELETED") == ["number 0", "number 2"]
    assert far_flags(running, "offline", "Near", "ALL") == ["near"]
    near = files(mail / "INBOX")
    assert near["number 2"].name.endswith(":2,R")
    assert "number 3" not in near
    assert files(mail / "Far")["far"].name.endswith(":2,S")


def test_mutt_threads(running: Server, tmp_path: Path) -> None:
    """With SORT and THREAD announced: a thread is deleted whole, another moved, a message flagged and synchronised."""
    mutt = need("mutt")
    running.add_account(f"threads@{DOMAIN}")
    for number, (subject, parent) in enumerate(
        (("a", ""), ("b", ""), ("Re: a", "<0@x>"), ("c", ""), ("Re: b", "<1@x>"))
    ):
        head = f"Message-ID: <{number}@x>\r\nDate: Mon, 1 Jan 2024 10:00:0{number} +0000\r\n"
        head += f"In-Reply-To: {parent}\r\nReferences: {parent}\r\n" if parent else ""
        running.deliver(head.encode() + MESSAGE % subject.encode(), "threads")
    with running.imap("threads") as client:
        assert {b"SORT", b"THREAD=REFERENCES"} <= set((client.capability()[1][0] or b"").split())
        client.create("Kept")
    certificates = tmp_path / "certificates"
    shutil.copy(running.folder / "tls" / "chain.pem", certificates)
    config = private(
        tmp_path / "muttrc",
        f"""set imap_user="threads@{DOMAIN}" imap_pass="{PASSWORD}"
set folder="imaps://localhost:{running.port("imaps")}/" spoolfile="+INBOX" sort=threads
set ssl_ca_certificates_file="{certificates}" certificate_file="{certificates}" ssl_verify_host=yes
set confirmappend=no delete=yes quit=yes wait_key=no move=no mark_old=no imap_condstore=yes imap_qresync=yes
set header_cache="{tmp_path}/headers" imap_check_subscribed=no connect_timeout=30
""",
    )
    keys = (
        # The thread of a: gone. That of b: moved. c: flagged; then the server is told, and only then left.
        "<first-entry><delete-thread><sync-mailbox>"
        "<first-entry><tag-thread><tag-prefix><save-message>=Kept<enter><sync-mailbox>"
        "<first-entry><flag-message><sync-mailbox><quit>"
    )
    in_terminal(tmp_path, mutt, "-n", "-F", str(config), "-e", f'push "{keys}"')
    assert subjects(running, "threads") == ["c"]
    assert far_flags(running, "threads", "INBOX", "FLAGGED") == ["c"]
    assert far_flags(running, "threads", "Kept", "ALL") == ["Re: b", "b"]
    # A second look, from the cache of headers, with QRESYNC.
    running.deliver(MESSAGE % b"d", "threads")
    in_terminal(tmp_path, mutt, "-n", "-F", str(config), "-e", 'push "<last-entry><delete-message><quit>"')
    assert len(subjects(running, "threads")) == 1
