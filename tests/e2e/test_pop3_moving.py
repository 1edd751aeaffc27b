"""POP3 programs of people who move from another server do not load their mail again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, Server, ironpost

ALICE = f"alice@{DOMAIN}"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "data", accounts=("alice", "bob"))


def maildir(folder: Path, count: int = 4) -> Path:
    """As Dovecot leaves it that has itself taken over from another server: messages 1 and 2 have ids of that one."""
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    rows = [f"3 V77 N{count + 1}"]
    for number in range(1, count + 1):
        (folder / "cur" / f"{number}.host:2,S").write_bytes(b"Subject: %d\n\ntext\n" % number)
        rows.append(f"{number}{f' Pold-{number}' if number <= 2 else ''} :{number}.host")
    (folder / "dovecot-uidlist").write_text("\n".join(rows) + "\n")
    return folder


def uidl(server: Server, user: str = "alice") -> list[str]:
    client = server.pop3(user)
    listed = [line.decode().split(" ")[1] for line in client.uidl()[1]]
    assert [client.uidl(str(number))[4:].decode().split(" ")[1] for number in range(1, len(listed) + 1)] == listed
    client.quit()
    return listed


@pytest.mark.parametrize("running", [False, True])
def test_import_keeps_them(server: Server, tmp_path: Path, running: bool) -> None:
    tree = maildir(tmp_path / "tree")
    command = ("mailbox", "import", ALICE, str(tree), "--dir", str(server.folder))
    if running:
        server.start()
    assert "2 ids of POP3 kept" in ironpost(*command).stdout
    if not running:
        server.start()
    try:
        assert uidl(server) == ["old-1", "old-2", "77.3", "77.4"]
        # Another run finds the messages, and gives ids to those that have none yet.
        assert "4 were there already" in ironpost(*command, "--pop3-uidl", "%08Xu%08Xv").stdout
        assert uidl(server) == ["old-1", "old-2", "000000030000004d", "000000040000004d"]
        # Removals go by number, whatever the id.
        client = server.pop3("alice")
        client.dele(1)
        client.dele(3)
        client.quit()
        assert uidl(server) == ["old-2", "000000040000004d"]
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()


def test_two_messages_with_one_id(server: Server, tmp_path: Path) -> None:
    tree = maildir(tmp_path / "tree")
    listed = (tree / "dovecot-uidlist").read_text()
    (tree / "dovecot-uidlist").write_text(listed.replace("Pold-2", "Pold-1").replace("\n3 ", f"\n3 P{'x' * 71} "))
    done = ironpost("mailbox", "import", ALICE, str(tree), "--dir", str(server.folder))
    assert "2.host:2,S: its unique id 'old-1' is not kept (UID 1 has it already)" in done.stderr
    assert "3.host:2,S: its unique id" in done.stderr
    with server.serving():
        assert uidl(server) == ["old-1", "77.2", "77.3", "77.4"]


def test_a_file_of_ids(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "uidls"
    file.write_text("1 first\n2 first\n3 a b\nx y\n\n99 z\n4294967296 z\n4 fourth\r\n")
    ironpost("mailbox", "import", ALICE, str(maildir(tmp_path / "tree", 4)), "--dir", str(server.folder))
    done = ironpost("mailbox", "uidl", "import", ALICE, str(file), "--dir", str(server.folder), check=False)
    assert done.returncode == 1
    assert done.stdout == "1 kept, 6 refused\n"
    for line in ("UID 1, 'first': the message has old-1", "UID 99", "line 4:", "line 7:", "UID 3, 'a b'"):
        assert line in done.stderr, done.stderr
    with server.serving():
        assert uidl(server) == ["old-1", "old-2", "77.3", "fourth"]


def test_ids_as_the_old_server_made_them(server: Server, tmp_path: Path) -> None:
    folder = str(server.folder)
    ironpost("mailbox", "import", ALICE, str(maildir(tmp_path / "tree")), "--dir", folder)
    done = ironpost("mailbox", "uidl", "make", ALICE, "UID%u-%v", "--dir", folder, check=False)
    assert done.stdout == "2 kept, 2 refused\n"
    done = ironpost("mailbox", "uidl", "make", ALICE, "%v", "--dir", folder, check=False)
    assert done.returncode != 0
    assert "is no pattern of unique ids" in done.stderr
    with server.serving():
        assert uidl(server) == ["old-1", "old-2", "UID3-77", "UID4-77"]


def test_backup_and_removal(server: Server, tmp_path: Path) -> None:
    folder = str(server.folder)
    ironpost("mailbox", "import", ALICE, str(maildir(tmp_path / "tree")), "--dir", folder)
    ironpost("backup", str(tmp_path / "backup"), "--dir", folder)
    ironpost("account", "remove", ALICE, "--dir", folder)
    server.add_account(ALICE)
    assert ironpost("mailbox", "uidl", "list", ALICE, "--dir", folder).stdout.split() == ["UID", "UIDL"]
    shutil.rmtree(server.folder)
    ironpost("restore", str(tmp_path / "backup"), "--dir", folder)
    listed = ironpost("mailbox", "uidl", "list", ALICE, "--dir", folder).stdout.split()
    assert listed == ["UID", "UIDL", "1", "old-1", "2", "old-2"]
