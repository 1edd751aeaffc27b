"""`ironpost migrate` from one running server into another's data: with and without a server, cut off and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import PASSWORD, Server, eventually, ironpost

MANY = 5000


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An old provider."""
    server = Server(tmp_path_factory.mktemp("old") / "data", accounts=("bob", "carol"))
    with server.serving():
        yield server


class Move:
    """One target, and migrations into it."""

    def __init__(self, folder: Path, source: Server) -> None:
        self.source = source
        self.server = Server(folder / "new", accounts=("alice", "dora"))
        self.password = folder / "password"
        self.password.write_text(f"{PASSWORD}\n")
        self.ca = source.folder / "tls" / "chain.pem"

    def arguments(self, user: str = "bob", address: str = "alice", *more: str) -> list[str]:
        url = f"imap://{user}%40example.test@localhost:{self.source.port('imap')}"
        return [
            "migrate", url, f"{address}@example.test", "--password-file", str(self.password), "--json",
            "--dir", str(self.server.folder), *more,
        ]  # fmt: skip

    def run(self, *more: str, code: int = 0, user: str = "bob", address: str = "alice") -> dict[str, Any]:
        done = ironpost(*self.arguments(user, address, "--plaintext", *more), check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def rows(self, report: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {row["target"]: row for row in report["folders"]}


@pytest.fixture
def move(tmp_path: Path, source: Server) -> Iterator[Move]:
    made = Move(tmp_path, source)
    try:
        yield made
        if made.server.process is None:
            made.server.check()
    finally:
        made.server.kill()


def fill(source: Server) -> None:
    """A small account with all that is odd."""
    client = source.imap("bob")
    if client.select('"Work/M&APw-nchen"', readonly=True)[0] == "OK":
        return
    client.create('"Work/M&APw-nchen"')
    client.create("Work/Deep")
    client.subscribe("Work/Deep")
    for number in range(30):
        flags = ("\\Seen", "\\Flagged $Forwarded", "Odd-Key", "")[number % 4]
        client.append(
            "INBOX", f"({flags})", '"17-Jul-2019 02:44:25 -0700"', f"Subject: {number}\r\n\r\ntext\r\n".encode()
        )
    client.append('"Work/M&APw-nchen"', "(\\Draft)", None, b"Subject: 8-bit\r\n\r\n\xe4\xff\x80\r\nbare\rcr\nlf")
    client.append("Sent", "(\\Seen)", None, b"Subject: large\r\n\r\n" + b"0123456789abcde\r\n" * 200_000)
    client.logout()


def fingerprint(server: Server, user: str) -> dict[str, list[bytes]]:
    """All that a client can see."""
    client = server.imap(user)
    found: dict[str, list[bytes]] = {}
    for row in client.list()[1]:
        assert isinstance(row, bytes)
        name = row.decode().partition(' "/" ')[2]
        client.select(name, readonly=True)
        validity = client.response("UIDVALIDITY")[1][0]
        assert isinstance(validity, bytes)
        rows = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")[1]
        parts = [part if isinstance(part, bytes) else b"".join(part) for part in rows if part is not None]
        words = [b" ".join(sorted(part.replace(b"\\Recent", b"").replace(b"(", b" ").replace(b")", b" ").split()))
                 if len(part) < 1000 else part[-1000:] for part in parts]  # fmt: skip
        found[name] = [validity, *words]
    client.logout()
    return found


def test_an_account_moves_as_it_is(move: Move, source: Server) -> None:
    fill(source)
    dry = move.run("--dry-run")
    assert sum(row["new"] for row in dry["folders"]) == 32
    report = move.run("--verify")
    assert report["good"]
    rows = move.rows(report)
    assert (rows["INBOX"]["here"], rows["Sent"]["here"], rows["Work/München"]["here"]) == (30, 1, 1)
    assert all(row["digest"] == row["digest_here"] and row["uids_kept"] for row in rows.values())
    assert rows["INBOX"]["verified"] == 30
    with move.server.serving():
        assert fingerprint(move.server, "alice") == fingerprint(source, "bob")
        again = move.run()
        assert [row["new"] for row in again["folders"]] == [0] * len(again["folders"])
        assert fingerprint(move.server, "alice") == fingerprint(source, "bob")


def test_starttls_is_verified(move: Move) -> None:
    move.server.start()
    refused = ironpost(*move.arguments(), check=False)
    assert refused.returncode == 1
    assert "TLS with localhost failed" in refused.stderr
    trusted = ironpost(*move.arguments("bob", "alice", "--ca-file", str(move.ca), "--folder", "Work"), check=False)
    blind = ironpost(*move.arguments("bob", "alice", "--insecure", "--folder", "Work"), check=False)
    assert blind.returncode == 0
    assert "warning" in blind.stderr
    # The test certificate may not name localhost; when it does, it is enough.
    assert trusted.returncode == 0 or "TLS with localhost failed" in trusted.stderr
    log = "\n".join(move.server.output)
    assert PASSWORD not in log
    move.server.stop()


def test_mistakes_are_one_line(move: Move) -> None:
    for arguments, text in (
        (move.arguments("bob", "nobody", "--plaintext"), "no account nobody@example.test"),
        (move.arguments("stranger", "alice", "--plaintext"), "refuses the login"),
    ):
        done = ironpost(*arguments, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr.splitlines()[-1], done.stderr


def test_many_at_once(move: Move, source: Server, tmp_path: Path) -> None:
    fill(source)
    file = tmp_path / "users.csv"
    file.write_text(
        "user,password,address\n"
        f"bob@example.test,{PASSWORD},alice@example.test\n"
        f"carol@example.test,{PASSWORD},dora@example.test\n"
        "carol@example.test,wrong,dora@example.test\n"
    )
    url = f"imap://localhost:{source.port('imap')}"
    done = ironpost("migrate", url, "--csv", str(file), "--plaintext", "--dir", str(move.server.folder), check=False)
    assert done.returncode == 1
    assert PASSWORD not in done.stdout + done.stderr
    states = [line.split()[-1] for line in done.stdout.splitlines()[-3:]]
    assert states[:2] == ["complete", "complete"], done.stdout
    assert "refuses the login" in done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def many(source: Server) -> int:
    """5,000 small messages in carol's INBOX and another folder."""
    with source.raw("imap") as raw:
        raw.line()
        raw.send(f'a LOGIN carol@example.test "{PASSWORD}"\r\nb CREATE Bulk\r\n'.encode())
        raw.until(b"b ")
        for start in range(0, MANY, 500):
            octets = bytearray()
            for number in range(start, start + 500):
                body = f"Subject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n{'line ' * (number % 50)}\r\n".encode()
                folder = "Bulk" if number % 5 == 0 else "INBOX"
                octets += f"c{number} APPEND {folder} (\\Seen) {{{len(body)}+}}\r\n".encode() + body + b"\r\n"
            raw.send(bytes(octets))
            raw.until(f"c{start + 499} ".encode())
    return MANY


@pytest.mark.parametrize("online", [False, True])
def test_cut_off_and_resumed(move: Move, source: Server, many: int, online: bool) -> None:
    if online:
        move.server.start()
    arguments = [sys.executable, "-m", "ironpost", *move.arguments("carol", "dora", "--plaintext")]
    for cut in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journals = move.server.folder / "state" / "migrations"
        before = sum(path.stat().st_size for path in journals.glob("*")) if journals.exists() else 0
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            size = sum(path.stat().st_size for path in journals.glob("*")) if journals.exists() else 0
            if size > before + 20_000:
                break
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(cut)
        process.wait(60)
    client = source.imap("carol")
    client.select("Bulk")
    client.uid("STORE", "1:3", "+FLAGS", "(\\Answered)")
    client.append("Bulk", None, None, b"Subject: late\r\n\r\nlate\r\n")

    def attempt() -> dict[str, Any] | None:
        done = ironpost(*move.arguments("carol", "dora", "--plaintext", "--verify"), check=False)
        # The server may still be ending what the killed client had begun.
        if "under way already" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    report = eventually("the migration goes on", attempt)
    assert isinstance(report, dict)
    rows = move.rows(report)
    client.select("INBOX", readonly=True)
    assert sum(row["here"] for row in report["folders"]) == sum(row["messages"] for row in report["folders"]) > many
    assert all(row["others"] == 0 for row in rows.values()), "nothing came twice"
    assert not online or move.server.process is not None
    client.uid("STORE", "1:3", "-FLAGS", "(\\Answered)")
    client.logout()
    if online:
        assert fingerprint(move.server, "dora")['"INBOX"'] == fingerprint(source, "carol")['"INBOX"']
        assert move.server.stop() == 0
