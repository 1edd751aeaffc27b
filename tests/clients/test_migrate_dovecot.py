"""`ironpost migrate` out of Debian's Dovecot, as a small business would leave it: STARTTLS, TLS, folders, flags."""

from __future__ import annotations

import contextlib
import imaplib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from benches.servers import ROOT, Peers

from tests.support.server import Server, ironpost

pytestmark = pytest.mark.client

USER, PASSWORD = "user7@example.test", "secret7"
IMAPS_PORT = 10994


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """The peers of the benchmarks; skipped where they have not been unpacked or others use them."""
    if not (ROOT / ".cache" / "peers" / "unpacked").exists():
        pytest.skip("Dovecot is not there: type scripts/peers.sh unpack")
    if os.geteuid() != 0:
        pytest.skip("Dovecot needs root for its mount namespace")
    with contextlib.closing(socket.socket()) as probe:
        if probe.connect_ex(("127.0.0.1", Peers.imap)) == 0:
            pytest.skip(f"port {Peers.imap} is in use: another runs the peers")
    peers = Peers(tmp_path_factory.mktemp("peers"))
    try:
        peers.start()
        yield peers
    finally:
        peers.stop()


def fill() -> dict[str, list[str]]:
    """A user's folders; the flags of each message by folder."""
    client = imaplib.IMAP4("127.0.0.1", Peers.imap, timeout=30)
    client.login(USER, PASSWORD)
    expected: dict[str, list[str]] = {}
    for folder in ("INBOX", "Work", '"Work/M&APw-nchen"', '"a&-b.c"'):
        client.create(folder)
        expected[folder] = []
        for number in range(25):
            flags = ("\\Seen", "\\Flagged \\Answered", "$Forwarded Junk", "")[number % 4]
            body = f"Subject: {folder} {number}\r\n\r\n".encode() + b"\xe4\xff \r\n" * number
            client.append(folder, f"({flags})", '"17-Jul-2019 02:44:25 -0700"', body)
            expected[folder].append(flags)
    # A hole in the UIDs, and a message larger than a batch.
    client.select("Work")
    client.uid("STORE", "3:5", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.append("Work", None, None, b"Subject: large\r\n\r\n" + b"0123456789abcdef\r\n" * 350_000)
    client.subscribe("Work")
    client.logout()
    return expected


def test_out_of_dovecot(dovecot: Peers, tmp_path: Path) -> None:
    fill()
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    server = Server(tmp_path / "new", accounts=("alice",))

    def migrate(url: str, *more: str) -> dict[str, dict[str, int]]:
        done = ironpost(
            "migrate", url, "alice@example.test", "--password-file", str(password), "--json",
            "--dir", str(server.folder), *more,
        )  # fmt: skip
        report = json.loads(done.stdout)
        assert report["good"], report
        return {row["target"]: row for row in report["folders"]}

    # Its certificate is its own: --insecure, first by STARTTLS, then from the first octet.
    rows = migrate(f"imap://{USER}@127.0.0.1:{Peers.imap}", "--insecure", "--verify")
    assert {name: row["here"] for name, row in rows.items() if row["here"]} == {
        "INBOX": 25,
        "Work": 23,
        "Work/München": 25,
        "a&b.c": 25,
    }
    again = migrate(f"imaps://{USER}@127.0.0.1:{IMAPS_PORT}", "--insecure")
    assert sum(row["new"] for row in again.values()) == 0, "the same source by another door has come already"
    with server.serving():
        client = server.imap("alice")
        client.select("Work", readonly=True)
        assert client.uid("SEARCH", "ALL")[1] == [" ".join(map(str, [1, 2, *range(6, 27)])).encode()]
        there = imaplib.IMAP4("127.0.0.1", Peers.imap, timeout=30)
        there.login(USER, PASSWORD)
        there.select("Work", readonly=True)
        for query in ("BODY.PEEK[]", "INTERNALDATE", "RFC822.SIZE"):
            ours = client.uid("FETCH", "1:*", f"({query})")[1]
            theirs = there.uid("FETCH", "1:*", f"({query})")[1]
            assert [part[1] if isinstance(part, tuple) else None for part in ours] == [
                part[1] if isinstance(part, tuple) else None for part in theirs
            ]
        assert client.response("UIDVALIDITY") == there.response("UIDVALIDITY")
        there.logout()
        client.logout()
