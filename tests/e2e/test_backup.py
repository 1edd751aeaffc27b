"""Backups of a running server, and what comes back: everything, an account, a mailbox; the mistakes of people."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server, eventually, ironpost

MESSAGE = b"From: a@remote.test\r\nSubject: number %d\r\n\r\n%s\r\n"
LARGE = 400_000

Mail = dict[bytes, tuple[bytes, bytes]]


def moved(folder: Path, like: Server) -> Server:
    """A server over a data directory that is there already; its ports are those of `like`, which has stopped."""
    server = object.__new__(Server)
    server.folder, server.base, server.process, server.output = folder, like.base, None, []
    return server


def mail(server: Server, user: str) -> dict[str, Mail]:
    """All that a person sees: mailbox to UID to (flags and date, octets)."""
    found: dict[str, Mail] = {}
    with server.imap(user) as client:
        for line in client.list()[1]:
            assert isinstance(line, bytes)
            name = line.rpartition(b' "/" ')[2].decode().strip('"')
            assert client.select(f'"{name}"', readonly=True)[0] == "OK"
            rows: Mail = {}
            for part in client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]:
                if isinstance(part, tuple):
                    number = re.search(rb"UID (\d+)", part[0])
                    flags = re.search(rb"FLAGS \(([^)]*)\)", part[0])
                    date = re.search(rb'INTERNALDATE "([^"]*)"', part[0])
                    assert number is not None
                    assert flags is not None
                    assert date is not None
                    kept = b" ".join(sorted(flag for flag in flags[1].split() if flag != b"\\Recent"))
                    rows[number[1]] = (kept + b" " + date[1], part[1])
            found[name] = rows
    return found


def numbers(rows: Mail) -> list[int]:
    """The numbers in the subjects."""
    return sorted(int(octets.split(b"Subject: number ")[1].split(b"\r\n")[0]) for _, octets in rows.values())


def command(server: Server, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return ironpost(*arguments, "--dir", str(server.folder), check=check)


def mistake(*arguments: str) -> str:
    """The one line of a command that fails."""
    done = ironpost(*arguments, check=False)
    assert done.returncode in (1, 2), (arguments, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("ironpost: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data")
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Load(threading.Thread):
    """Delivers numbered messages until it is told to stop."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server
        self.delivered = 0
        self.stop = threading.Event()

    def run(self) -> None:
        with self.server.smtp() as client:
            while not self.stop.is_set():
                text = b"x" * (LARGE if self.delivered % 25 == 24 else 2000)
                message = MESSAGE % (self.delivered, b"\r\n".join(text[at : at + 70] for at in range(0, len(text), 70)))
                client.sendmail("a@remote.test", ["bob@example.test", "alice@example.test"], message)
                self.delivered += 1


def test_backup_under_load_restored_elsewhere(server: Server, tmp_path: Path) -> None:
    place, verify = tmp_path / "backup", tmp_path / "verified"
    load = Load(server)
    load.start()
    try:
        bounds = []
        for _ in range(3):
            before = load.delivered
            eventually("more mail", lambda least=before: load.delivered > least + 30)
            before = load.delivered
            command(server, "backup", str(place))
            bounds.append((before, load.delivered + 1))
    finally:
        load.stop.set()
        load.join()
    snapshots = json.loads(ironpost("backup", str(place), "--list", "--json").stdout)
    assert len(snapshots) == 3
    assert snapshots[2]["copied"]["packs_kept"] > 0
    assert snapshots[2]["copied"]["octets"] < snapshots[2]["packs"]["octets"]
    assert len(ironpost("backup", str(place), "--list").stdout.splitlines()) == 4
    shutil.copytree(place, verify)
    for snapshot in snapshots:
        done = ironpost("backup", str(place), "--verify", "--snapshot", snapshot["snapshot"])
        assert "clean" in done.stdout
    whole = command(server, "backup", str(place), "--keep", "2", "--json")
    assert json.loads(whole.stdout)["snapshots_removed"] == 2
    before_all = {user: mail(server, user) for user in ("alice", "bob")}
    assert numbers(before_all["bob"]["INBOX"]) == list(range(load.delivered))
    assert server.stop() == 0
    server.check()

    restored = moved(tmp_path / "restored", server)
    done = ironpost("restore", str(place), "--dir", str(restored.folder))
    assert "next: ironpost serve" in done.stdout
    assert (restored.folder / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    with restored.serving():
        for user in ("alice", "bob"):
            assert mail(restored, user) == before_all[user]
        restored.deliver(MESSAGE % (99_999, b"new"))
        assert 99_999 in numbers(mail(restored, "bob")["INBOX"])

    # As of an earlier time: what had been acknowledged then, and nothing that came after the backup.
    for snapshot, (least, most) in zip(snapshots, bounds, strict=True):
        then = moved(tmp_path / snapshot["snapshot"], server)
        moment = datetime.datetime.strptime(snapshot["snapshot"], "%Y%m%dT%H%M%S%z").isoformat()
        ironpost("restore", str(verify), "--at", moment, "--dir", str(then.folder))
        with then.serving():
            found = numbers(mail(then, "bob")["INBOX"])
        assert found == list(range(len(found)))
        assert least <= len(found) <= most


def test_account_and_mailbox_come_back_into_the_running_server(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "backup"
    for number in range(5):
        server.deliver(MESSAGE % (number, b"text"), "bob", "alice")
    with server.imap("bob") as client:
        client.create("Work/2026")
        for number in range(10, 14):
            client.append("Work/2026", "(\\Seen $Done)", '"01-Jan-2026 10:00:00 +0100"', MESSAGE % (number, b"text"))
    command(server, "backup", str(place))
    before, others = mail(server, "bob"), mail(server, "alice")
    with server.imap("bob") as client:
        client.delete("Work/2026")
        client.select("INBOX")
        client.store("1:2", "+FLAGS", "(\\Deleted)")
        client.expunge()
    server.deliver(MESSAGE % (50, b"text"), "bob")

    done = command(server, "restore", str(place), "--account", "bob@example.test", "--mailbox", "Work/2026")
    assert "restored 4 messages" in done.stdout
    after = mail(server, "bob")
    assert after["Work/2026"] == before["Work/2026"]
    assert numbers(after["INBOX"]) == [2, 3, 4, 50]
    done = command(server, "restore", str(place), "--account", "bob@example.test", "--json")
    assert json.loads(done.stdout)["present"] == 7
    after = mail(server, "bob")
    assert numbers(after["INBOX"]) == [0, 1, 2, 3, 4, 50]
    assert after["Work/2026"] == before["Work/2026"]
    # Once more: nothing is doubled.
    command(server, "restore", str(place), "--account", "bob@example.test")
    assert mail(server, "bob") == after
    command(
        server,
        "restore",
        str(place),
        "--account",
        "bob@example.test",
        "--into",
        "alice@example.test",
        "--prefix",
        "Bob",
    )
    alice = mail(server, "alice")
    assert alice["Bob/Work/2026"] == before["Work/2026"]
    assert alice["INBOX"] == others["INBOX"]
    assert server.stop() == 0
    server.check()
    # The same without a server.
    command(server, "restore", str(place), "--account", "bob@example.test", "--prefix", "Again")
    with server.serving():
        assert mail(server, "bob")["Again/INBOX"] == before["INBOX"]


def test_mistakes(server: Server, tmp_path: Path) -> None:
    data, place = str(server.folder), tmp_path / "backup"
    server.deliver(MESSAGE % (1, b"text"))
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "letter.txt").write_text("mine")
    assert "not empty and no backup" in mistake("backup", str(strange), "--dir", data)
    assert [file.name for file in strange.iterdir()] == ["letter.txt"]
    assert "inside the store" in mistake("backup", f"{data}/store/backup", "--dir", data)
    assert "no such folder" in mistake("backup", str(place), "--list")
    assert "no backup of ironpost" in mistake("restore", str(strange), "--dir", str(tmp_path / "new"))
    assert "--rate" in mistake("backup", str(place), "--rate", "fast", "--dir", data)
    command(server, "backup", str(place))
    assert "with data in it" in mistake("restore", str(place), "--dir", data)
    assert "as old as" in mistake("restore", str(place), "--at", "2020-01-01", "--dir", str(tmp_path / "new"))
    assert "give the name" in mistake("restore", str(place), "--at", "yesterday", "--dir", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()
    assert "no account nobody@" in mistake("restore", str(place), "--account", "nobody@example.test", "--dir", data)
    assert "had no mailbox" in mistake(
        "restore", str(place), "--account", "bob@example.test", "--mailbox", "Nowhere", "--dir", data
    )
    other = Server(tmp_path / "other")
    with other.serving():
        pass
    assert "of another store" in mistake("backup", str(place), "--dir", str(other.folder))
    assert "clean" in ironpost("backup", str(place), "--verify").stdout
    pack = next(place.glob("packs/*/*.pack"))
    octets = bytearray(pack.read_bytes())
    octets[100] ^= 1
    pack.unlink()
    pack.write_bytes(octets)
    done = ironpost("backup", str(place), "--verify", check=False)
    assert done.returncode == 1
    assert f"pack {pack.parent.name}/{pack.stem}:" in done.stderr
    # Restored as far as it can be read, and told.
    done = ironpost("restore", str(place), "--dir", str(tmp_path / "damaged"), check=False)
    assert done.returncode == 1
    assert f"pack {pack.parent.name}/{pack.stem}:" in done.stderr


def test_export_and_import_between_servers(server: Server, tmp_path: Path) -> None:
    for number in range(6):
        server.deliver(MESSAGE % (number, b"text"), "bob", "alice")
    with server.imap("bob") as client:
        client.create('"Projekte/&ANw-bung"')
        client.append("Sent", "(\\Seen $Done)", '"01-Jan-2026 10:00:00 +0100"', MESSAGE % (20, b"x" * LARGE))
        client.select("INBOX")
        client.uid("STORE", "2,4", "+FLAGS", "(\\Deleted)")
        client.expunge()
    ironpost("alias", "add", "info@example.test", "bob@example.test", "--dir", str(server.folder))
    file = tmp_path / "all.ironpost"
    command(server, "store", "export", str(file), "--with-credentials")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes().startswith(b"IRONPOST/1 ")
    assert "is there already" in mistake("store", "export", str(file), "--dir", str(server.folder))
    before = {user: mail(server, user) for user in ("alice", "bob")}
    assert server.stop() == 0

    other = Server(tmp_path / "other", accounts=())
    done = command(other, "store", "import", str(file))
    assert "2 new" in done.stdout
    with other.serving():
        for user in ("alice", "bob"):
            assert mail(other, user) == before[user]
        assert "bob@example.test" in ironpost("alias", "list", "--dir", str(other.folder)).stdout
        # Accounts that are there are refused, or with --merge take what they miss.
        done = command(other, "store", "import", str(file), check=False)
        assert done.returncode == 1
        assert "bob@example.test is there already (--merge adds to it)" in done.stderr
        with other.imap("bob") as client:
            client.select("Sent")
            client.store("1", "+FLAGS", "(\\Deleted)")
            client.expunge()
        command(other, "store", "import", str(file), "--merge")
        after = mail(other, "bob")
        assert after["INBOX"] == before["bob"]["INBOX"]
        assert numbers(after["Sent"]) == [20]
        # A file that was cut, and octets turned: what is readable comes in.
        octets = bytearray(file.read_bytes())
        octets[len(octets) // 3] ^= 1
        broken = tmp_path / "broken.ironpost"
        broken.write_bytes(octets[: -len(octets) // 20])
        done = command(other, "store", "import", str(broken), "--merge", "--prefix", "Broken", check=False)
        assert done.returncode == 1
        assert "it was cut" in done.stderr
        (tmp_path / "letter").write_text("no export")
        assert (
            ironpost("store", "import", str(tmp_path / "letter"), "--dir", str(other.folder), check=False).returncode
            == 1
        )
    # The reader that the format's page shows can read it.
    page = (Path(__file__).parents[2] / "docs" / "export-format.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    with file.open("rb") as stream:
        read = subprocess.run([sys.executable, "-c", program], stdin=stream, capture_output=True, text=True, check=True)
    assert len(read.stdout.splitlines()) == sum(len(rows) for user in before.values() for rows in user.values())
    done = command(other, "store", "export", "-", "--account", "bob@example.test", "--mailbox", "inbox")
    assert done.stdout.startswith("IRONPOST/1 ")
    assert done.stdout.count(" message ") == 4


def test_full_disk_spares_earlier_snapshots(server: Server, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={8 << 20}", "tmpfs", str(disk)], check=True)
    try:
        place = disk / "backup"
        server.deliver(MESSAGE % (1, b"text"))
        command(server, "backup", str(place))
        for number in range(2, 8):
            with server.imap("bob") as client:
                client.append("INBOX", None, None, MESSAGE % (number, os.urandom(1 << 20).hex().encode()))
        done = command(server, "backup", str(place), check=False)
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert len(json.loads(ironpost("backup", str(place), "--list", "--json").stdout)) == 1
        assert "clean" in ironpost("backup", str(place), "--verify").stdout
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert server.stop() == 0
    server.check()


def test_passwords_come_along_only_when_asked_for(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "people.ironpost"
    command(server, "store", "export", str(file))
    assert b"argon2" not in file.read_bytes()
    command(server, "store", "export", str(file), "--with-credentials", "--force")
    assert b"argon2" in file.read_bytes()
    assert PASSWORD.encode() not in file.read_bytes()
