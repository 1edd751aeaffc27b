"""App passwords and sessions over a server with two workers: scopes, removal, who is logged in, and how sessions end."""

from __future__ import annotations

import contextlib
import imaplib
import json
import poplib
import smtplib
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.server import DOMAIN, PASSWORD, RawClient, Server, eventually, ironpost

Client = imaplib.IMAP4 | poplib.POP3 | smtplib.SMTP
WORKERS = 2
MANY = 12  # connections, so that neither worker is likely to have none


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("app") / "data")
    made.write_config(f"workers = {WORKERS}\n" + (made.folder / "ironpost.toml").read_text())
    with made.serving() as server:
        assert len(server.workers()) == WORKERS
        yield server


_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def user(server: Server) -> str:
    name = f"person{next(_numbers)}"
    server.add_account(f"{name}@{DOMAIN}")
    return name


def command(server: Server, *arguments: str) -> str:
    """What a command prints."""
    return ironpost(*arguments, "--dir", str(server.folder)).stdout


def add(server: Server, user: str, *options: str) -> str:
    """A new app password."""
    return command(server, "app-password", "add", f"{user}@{DOMAIN}", "--label", "phone", *options).strip()


def sessions(server: Server, user: str) -> list[dict[str, Any]]:
    """As `session list` tells them."""
    found: list[dict[str, Any]] = json.loads(command(server, "session", "list", f"{user}@{DOMAIN}", "--json"))
    return found


def submission(server: Server, user: str, password: str = PASSWORD) -> smtplib.SMTP:
    """Logged in."""
    client = server.smtp("submission")
    client.login(f"{user}@{DOMAIN}", password)
    return client


LOGINS: dict[str, Callable[[Server, str, str], Client]] = {
    "imap": Server.imap,
    "pop3": Server.pop3,
    "submission": submission,
}


def refused(server: Server, user: str, password: str, service: str) -> None:
    """A login is refused as one with a wrong password is."""
    line = {
        "imap": f"a login {user}@{DOMAIN} {password}",
        "pop3": f"user {user}@{DOMAIN}\r\npass {password}",
        "submission": "ehlo me.test\r\nauth plain " + b64encode(f"\0{user}@{DOMAIN}\0{password}".encode()).decode(),
    }[service]
    answer = {
        "imap": b"a NO [AUTHENTICATIONFAILED] wrong user name or password",
        "pop3": b"-ERR [AUTH] wrong user name or password",
        "submission": b"535 5.7.8 Authentication failed",
    }[service]
    with RawClient(server.port(service)) as raw:
        raw.send(line.encode() + b"\r\n")
        assert raw.until(answer)[-1] == answer


def hang_up(client: Client) -> None:
    """Closes without a word."""
    if client.file is not None:
        client.file.close()
    assert client.sock is not None
    client.sock.close()


def ended(client: Client) -> bytes:
    """The octets that end a session that has said nothing."""
    stream = client.file
    assert stream is not None
    text: bytes = stream.read()
    return text


@pytest.mark.parametrize("scope", LOGINS)
def test_an_app_password_opens_its_scope_alone(server: Server, user: str, scope: str) -> None:
    password = add(server, user, "--scope", scope)
    for service, login in LOGINS.items():
        if service == scope:
            for typed in (password, password.upper().replace("-", " ")):
                hang_up(login(server, user, typed))
        else:
            refused(server, user, password, service)
    (row,) = json.loads(command(server, "app-password", "list", f"{user}@{DOMAIN}", "--json"))
    assert row["scopes"] == [scope]
    assert row["label"] == "phone"
    assert password.startswith(row["id"])
    assert password not in json.dumps(row)

    def used() -> object:
        return json.loads(command(server, "app-password", "list", f"{user}@{DOMAIN}", "--json"))[0]["used"]

    assert eventually("the use is noted", used)
    assert password not in "\n".join(server.output)


def test_sessions_of_all_workers_are_listed(server: Server, user: str) -> None:
    with contextlib.ExitStack() as stack:
        clients = [server.imap(user) for _ in range(MANY)]
        for client in clients:
            stack.callback(client.shutdown)
        clients[0].xatom("ID", '("name" "Postbote")')
        pop, smtp = server.pop3(user), submission(server, user)
        stack.callback(pop.close)
        stack.callback(smtp.close)
        rows = sessions(server, user)
        assert len(rows) == MANY + 2
        assert {row["service"] for row in rows} == {"imap", "pop3", "submission"}
        assert {row["worker"] for row in rows} == {1, 2}
        assert len({row["id"] for row in rows}) == len(rows)
        assert {row["method"] for row in rows if row["service"] != "submission"} == {"password"}
        assert [row["client"] for row in rows if row["service"] == "imap"].count("Postbote") == 1
        assert "Postbote" in command(server, "session", "list")
    assert eventually("they leave", lambda: not sessions(server, user))


def test_revoked_sessions_are_told_and_end(server: Server, user: str) -> None:
    clients: list[Client] = [server.imap(user) for _ in range(MANY)]
    clients += [server.pop3(user), submission(server, user)]
    other = server.imap("bob")
    assert "ended 14" in command(server, "session", "revoke", f"{user}@{DOMAIN}")
    for client in clients[:MANY]:
        assert ended(client).startswith(b"* BYE the session was ended by the administrator")
    assert ended(clients[MANY]) == b""  # RFC 1939 §3: POP3 says nothing unasked
    assert ended(clients[MANY + 1]).startswith(b"421 4.7.0 ")
    assert other.noop()[0] == "OK"
    assert sessions(server, user) == []
    (row,) = sessions(server, "bob")
    assert "ended 1" in command(server, "session", "revoke", "--id", row["id"])
    assert ended(other).startswith(b"* BYE")
    for client in (*clients, other):
        hang_up(client)


def test_an_idle_is_ended_too(server: Server, user: str) -> None:
    with RawClient(server.port("imap")) as raw:
        raw.line()
        raw.send(f"a login {user}@{DOMAIN} {{{len(PASSWORD)}+}}\r\n{PASSWORD}\r\nb select inbox\r\n".encode())
        raw.until(b"b OK")
        raw.send(b"c idle\r\n")
        raw.until(b"+ ")
        command(server, "session", "revoke", f"{user}@{DOMAIN}")
        assert raw.line().startswith(b"* BYE")
        assert raw.line() == b""


def test_sessions_end_with_what_they_stand_on(server: Server, user: str) -> None:
    address = f"{user}@{DOMAIN}"
    password = add(server, user)
    by_app: list[Client] = [login(server, user, password) for login in LOGINS.values()]
    by_password = [server.imap(user) for _ in range(MANY)]
    command(server, "app-password", "remove", address, password[:4])
    for client, start in zip(by_app, (b"* BYE", b"", b"421"), strict=True):
        assert ended(client).startswith(start)
        hang_up(client)
    refused(server, user, password, "imap")
    kept = add(server, user, "--scope", "imap")
    stays = server.imap(user, kept)
    assert len(sessions(server, user)) == MANY + 1
    ironpost("account", "passwd", address, "--password-stdin", "--dir", str(server.folder), stdin="another one 42")
    for client in by_password:
        assert ended(client).startswith(b"* BYE this login is not valid any more")
        hang_up(client)
    assert stays.noop()[0] == "OK"
    command(server, "account", "remove", address, "--yes")
    assert ended(stays).startswith(b"* BYE")
    hang_up(stays)


def test_faults_are_told(server: Server, user: str) -> None:
    address = f"{user}@{DOMAIN}"
    for arguments, text in (
        (("app-password", "add", address, "--label", "x", "--scope", "ftp"), "no scope ftp"),
        (("app-password", "add", address, "--label", "x", "--expires", "soon"), "give a time from"),
        (("app-password", "add", f"nobody@{DOMAIN}", "--label", "x"), "no account"),
        (("app-password", "add", address, "--label", ""), "a label has"),
        (("app-password", "remove", address, "zzzz"), "no app password zzzz"),
        (("session", "list", f"nobody@{DOMAIN}"), "no account"),
        (("session", "revoke"), "ADDRESS or --id"),
    ):
        done = ironpost(*arguments, "--dir", str(server.folder), check=False)
        assert done.returncode in (1, 2)
        assert text in done.stderr
    assert "ended 0" in command(server, "session", "revoke", "--id", "none")


def test_without_a_server(server: Server, tmp_path: Any) -> None:
    alone = Server(tmp_path / "data", accounts=("alice",))
    password = add(alone, "alice", "--expires", "90d")
    assert password[:4] in command(alone, "app-password", "list", f"alice@{DOMAIN}")
    command(alone, "app-password", "remove", f"alice@{DOMAIN}", password[:4])
    assert json.loads(command(alone, "app-password", "list", f"alice@{DOMAIN}", "--json")) == []
    assert json.loads(command(alone, "session", "list", "--json")) == []
