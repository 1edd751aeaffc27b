"""Shared mailboxes over a real server with several workers: public ones, hints between workers, quotas, what survives."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, PASSWORD, RawClient, Server, eventually, ironpost


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("sharing") / "data"
    config = f'[imap]\npublic_account = "public@{DOMAIN}"\n'
    server = Server(folder, accounts=("public", "alice", "bob"), config=config)
    text = (folder / "ironpost.toml").read_text()
    server.write_config(text.replace("\n[", "\nworkers = 3\n\n[", 1))
    return server


class Client(RawClient):
    """A logged in session that keeps its tags."""

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server.port("imap"))
        self.number = 0
        assert self.line().startswith(b"* OK")
        self.ok(f'LOGIN {user}@{DOMAIN} "{PASSWORD}"')

    def ask(self, line: str) -> list[str]:
        """All lines of the answer; the tagged one last, without its tag."""
        self.number += 1
        tag = f"t{self.number} "
        self.send(f"{tag}{line}\r\n".encode())
        lines = [line.decode() for line in self.until(tag.encode())]
        return [*lines[:-1], lines[-1].removeprefix(tag)]

    def ok(self, line: str) -> list[str]:
        """The same, which must succeed."""
        lines = self.ask(line)
        assert lines[-1].startswith("OK "), lines
        return lines[:-1]


def test_public_mailboxes(server: Server) -> None:
    with server.serving(), Client(server, "public") as public, Client(server, "alice") as alice:
        public.ok("CREATE news")
        public.ok("CREATE staff/rota")
        public.ok("SETACL news anyone lrs")
        public.ok(f"SETACL staff/rota alice@{DOMAIN} lri")
        assert alice.ok("NAMESPACE") == ['* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Shared/" "/"))']
        # The public account itself has its mailboxes at the root alone.
        assert public.ok("NAMESPACE") == ['* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL']
        assert alice.ok('LIST "" Shared/*') == [
            r'* LIST (\HasNoChildren) "/" "Shared/news"',
            r'* LIST (\NonExistent \Noselect \HasChildren) "/" "Shared/staff"',
            r'* LIST (\HasNoChildren) "/" "Shared/staff/rota"',
        ]
        assert alice.ok('LIST "" "Other Users/*"') == []
        assert alice.ask(f'SELECT "Other Users/public@{DOMAIN}/news"')[-1].startswith("NO [NONEXISTENT]")
        assert alice.ask("SELECT Shared/INBOX")[-1].startswith("NO [NONEXISTENT]")
        assert alice.ask("SELECT Shared/news")[-1].startswith("OK [READ-WRITE]")
        with Client(server, "bob") as bob:
            assert bob.ok('LIST "" Shared/*') == [r'* LIST (\HasNoChildren) "/" "Shared/news"']
            assert bob.ask("APPEND Shared/news {1+}\r\nx")[-1].startswith("NO [NOPERM]")
        public.ok("DELETEACL news anyone")


def test_news_and_rights_cross_workers(server: Server) -> None:
    """Sessions of several workers: which of them has which is the kernel's choice."""
    with server.serving():
        workers = server.workers()
        assert len(workers) == 3
        sessions: list[Client] = []
        for _ in range(9):
            sessions.append(Client(server, "bob"))
        with Client(server, "alice") as alice:
            alice.ok("CREATE team")
            alice.ok(f"SETACL team bob@{DOMAIN} lrs")
            name = f'"Other Users/alice@{DOMAIN}/team"'
            for session in sessions:
                session.ok(f"SELECT {name}")
                session.send(b"i IDLE\r\n")
                session.until(b"+ ")
            alice.ok("APPEND team {1+}\r\nx")
            for session in sessions:
                session.until(b"* 1 EXISTS")
                session.send(b"DONE\r\n")
                session.until(b"i OK")
            # A right that is taken away is gone for all of them at once.
            alice.ok(f"SETACL team bob@{DOMAIN} l")
            for session in sessions:
                assert session.ask("FETCH 1 FLAGS")[-1].startswith("NO [NOPERM]")
            alice.ok("DELETE team")
            for session in sessions:
                assert session.ask("FETCH 1 FLAGS")[-1].startswith("NO [NONEXISTENT]")
                session.close()


def test_lists_outlive_a_kill(server: Server) -> None:
    with server.serving():
        with Client(server, "alice") as alice, Client(server, "bob") as bob:
            alice.ok("CREATE kept")
            alice.ok(f"SETACL kept bob@{DOMAIN} lr")
            bob.ok(f'SUBSCRIBE "Other Users/alice@{DOMAIN}/kept"')
            before = server.workers()
            for worker in before:
                os.kill(worker, signal.SIGKILL)
        eventually("new workers", lambda: len(set(server.workers()) - set(before)) == 3)
        with Client(server, "bob") as bob:
            assert bob.ok(f'MYRIGHTS "Other Users/alice@{DOMAIN}/kept"')[0].endswith(" lr")
            assert len(bob.ok('LSUB "" "Other Users/*"')) == 1


def test_the_command_line_and_the_neutral_export(server: Server, tmp_path: Path) -> None:
    alice, bob = f"alice@{DOMAIN}", f"bob@{DOMAIN}"
    at = ("--dir", str(server.folder))
    with server.serving():
        with Client(server, "alice") as client:
            client.ok("CREATE Entw&APw-rfe")
            client.ok('SETMETADATA Entw&APw-rfe (/shared/comment "all" /private/comment ~{3+}\r\na\0b)')
            client.ok('SETMETADATA "" (/private/comment "of the server")')
        ironpost("mailbox", "acl", "set", alice, "Entw\u00fcrfe", bob, "lrd", *at)
        ironpost("mailbox", "acl", "set", alice, "Entw\u00fcrfe", bob, "-e", *at)
        ironpost("mailbox", "acl", "set", alice, "inbox", "-anyone", "w", *at)
        shown = ironpost("mailbox", "acl", "show", alice, "Entw\u00fcrfe", "--json", *at).stdout
        assert json.loads(shown)[0]["entries"] == [[alice, "lrswipkxteacd"], [bob, "lrtd"]]
        for wrong in (("nothing", bob, "lr"), ("INBOX", "nobody@example.test", "lr"), ("INBOX", bob, "lrQ")):
            assert ironpost("mailbox", "acl", "set", alice, *wrong, *at, check=False).returncode == 1
        with Client(server, "bob") as client:
            client.ok(f'SETMETADATA "Other Users/{alice}/Entw&APw-rfe" (/private/comment "bob\'s")')
        export = tmp_path / "all.ironpost"
        ironpost("store", "export", str(export), *at)
    other = Server(tmp_path / "other", accounts=("bob",))
    assert ironpost("store", "import", str(export), "--merge", "--dir", str(other.folder)).returncode == 0
    for address in (alice, f"public@{DOMAIN}"):
        ironpost("account", "passwd", address, "--password-stdin", "--dir", str(other.folder), stdin=PASSWORD)
    with other.serving():
        with Client(other, "alice") as client:
            assert client.ok("GETACL Entw&APw-rfe")[0].endswith(f" {alice} lrswipkxteacd {bob} lrtd")
            assert client.ok("GETACL INBOX")[0].endswith(f" {alice} lrswipkxteacd -anyone w")
            lines = client.ok("GETMETADATA Entw&APw-rfe (/shared/comment /private/comment)")
            assert "\n".join(lines).endswith('(/shared/comment "all" /private/comment ~{3}\na\0b)')
            assert client.ok('GETMETADATA "" /private/comment')[0].endswith('(/private/comment "of the server")')
        with Client(other, "bob") as client:
            name = f'"Other Users/{alice}/Entw&APw-rfe"'
            assert client.ok(f"MYRIGHTS {name}")[0].endswith(" lrtd")
            assert client.ok(f"GETMETADATA {name} /private/comment")[0].endswith('(/private/comment "bob\'s")')
        # What may be seen of accounts that have no list is still nothing.
        assert ironpost("mailbox", "acl", "show", bob, "--dir", str(other.folder)).stdout.count("\n") == 1


def test_a_backup_brings_the_lists_back(server: Server, tmp_path: Path) -> None:
    with server.serving(), Client(server, "alice") as alice:
        alice.ok("CREATE backed")
        alice.ok(f"SETACL backed bob@{DOMAIN} lrs")
        alice.ok('SETMETADATA backed (/shared/comment "kept")')
        ironpost("backup", str(tmp_path / "backup"), "--dir", str(server.folder))
    ironpost("restore", str(tmp_path / "backup"), "--dir", str(tmp_path / "again"))
    shown = ironpost("mailbox", "acl", "show", f"alice@{DOMAIN}", "backed", "--dir", str(tmp_path / "again")).stdout
    assert f"bob@{DOMAIN}" in shown
    assert "lrs" in shown
