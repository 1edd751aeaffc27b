"""`ironpost mailbox import` and `export` as a person types them: with a running server, without one, as root for another."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, Server, ironpost

DATE = 1_600_000_000
COUNT = 700


def make(root: Path, count: int = COUNT) -> Path:
    """A Maildir of Dovecot's: UIDs, keywords, a subfolder, a long message."""
    for folder in (root, root / ".Work.2024"):
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True)
    rows = [f"3 V4711 N{count * 2 + 2}\n"]
    for number in range(1, count + 1):
        file = root / "cur" / f"{number}.host:2,{'S' if number % 2 else 'a'}"
        body = b"long line of a long message\n" * 100_000 if number == 10 else b"body\n"
        file.write_bytes(b"From: a@b.test\nSubject: number %d\n\n" % number + body)
        os.utime(file, (DATE + number, DATE + number))
        rows.append(f"{number * 2} :{number}.host\n")
    (root / "dovecot-uidlist").write_text("".join(rows))
    (root / "dovecot-keywords").write_text("0 $Work\n")
    (root / ".Work.2024" / "cur" / "x:2,F").write_bytes(b"Subject: inner\n\n")
    (root / "subscriptions").write_text("Work.2024\n")
    return root


def look(server: Server, user: str) -> tuple[str, list[bytes]]:
    """UIDVALIDITY and UIDs with flags, by IMAP."""
    client = server.imap(user)
    client.select("INBOX", readonly=True)
    validity = client.response("UIDVALIDITY")[1][0]
    rows = client.fetch("1:*", "(UID FLAGS)")[1]
    client.logout()
    return str(validity), [row for row in rows if isinstance(row, bytes)]


def test_through_a_running_server(running: Server, user: str, tmp_path: Path) -> None:
    folder = str(running.folder)
    address = f"{user}@{DOMAIN}"
    watcher = running.imap(user)
    watcher.select("INBOX")
    root = make(tmp_path / "Maildir")
    done = ironpost("mailbox", "import", address, str(root), "--dir", folder, "--json")
    report = json.loads(done.stdout)
    assert (report["stored"], report["kept_uids"], report["left_out"], report["reconciles"]) == (
        COUNT + 1,
        COUNT,
        0,
        True,
    )
    assert "error" not in done.stderr
    # A session that is open is told; imaplib keeps what it has been told.
    watcher.noop()
    assert watcher.response("EXISTS")[1][-1] == str(COUNT).encode()
    watcher.logout()
    _, rows = look(running, user)
    assert len(rows) == COUNT
    assert rows[1].startswith(b"2 (UID 4 FLAGS ($Work")
    again = json.loads(ironpost("mailbox", "import", address, str(root), "--dir", folder, "--json").stdout)
    assert (again["stored"], again["known"]) == (0, COUNT + 1)
    out = tmp_path / "out"
    written = json.loads(
        ironpost("mailbox", "export", address, str(out), "--format", "maildir++", "--dir", folder, "--json").stdout
    )
    assert (written["written"], written["octets"]) == (COUNT + 1, report["octets"])
    uids = (out / "dovecot-uidlist").read_text()
    assert "V4711" in uids
    assert len(list((out / "cur").iterdir())) == COUNT


def test_without_a_server(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", accounts=("bob",))
    root = make(tmp_path / "Maildir", 5)
    (root / "cur" / "6.host:2,").write_bytes(b"")
    done = ironpost("mailbox", "import", f"bob@{DOMAIN}", str(root), "--dir", str(tmp_path / "data"), check=False)
    assert done.returncode == 1
    assert "6.host:2,: is empty (left out)" in done.stderr
    assert "stored 6" in done.stdout
    done = ironpost(
        "mailbox", "export", f"bob@{DOMAIN}", str(tmp_path / "out"), "--format", "mbox", "--dir", str(tmp_path / "data")
    )
    assert "wrote 6" in done.stdout
    server.check()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("import", "nobody@example.test", "{root}"), "there is no account nobody@example.test"),
        (("import", "bob@example.test", "{root}/missing"), "no such file or folder"),
        (("import", "bob@example.test", "{root}/subscriptions"), "is no mbox"),
        (("import", "bob@example.test", "{root}", "--folder", "Nowhere"), "holds no mailbox 'Nowhere'"),
        (("export", "bob@example.test", "{root}", "--format", "mbox"), "is not empty"),
    ],
)
def test_mistakes_are_one_line(running: Server, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    root = make(tmp_path / "Maildir", 1)
    words = [word.format(root=root) for word in arguments]
    done = ironpost("mailbox", *words, "--dir", str(running.folder), check=False)
    assert done.returncode == 1
    assert text in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may read what the server may not")
def test_root_reads_what_the_owner_of_the_data_may_not(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for folder in list(tmp_path.parents)[:3]:
        if folder.stat().st_mode & 0o055 != 0o055 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    server = Server(tmp_path / "data", accounts=("bob",))
    subprocess.run(["chown", "-R", "65534:65534", str(tmp_path / "data")], check=True)
    root = make(tmp_path / "Maildir", 3)
    root.chmod(0o700)
    done = ironpost("mailbox", "import", f"bob@{DOMAIN}", str(root), "--dir", str(tmp_path / "data"))
    assert "stored 4" in done.stdout
    owners = {path.stat().st_uid for path in (tmp_path / "data").rglob("*")}
    assert owners == {65534}
    assert server.process is None
