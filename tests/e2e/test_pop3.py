"""POP3 against a running server: RFC 1939 with poplib and bare connections."""

from __future__ import annotations

import os
import poplib
import socket
import ssl
import time
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server

LOGIN_DELAY_SECONDS = 3600
MESSAGE = b"From: a@remote.test\r\nSubject: %d\r\n\r\nline one\r\n.dot\r\nlast\r\n"


def fill(server: Server, user: str, count: int) -> None:
    for number in range(count):
        server.deliver(MESSAGE % number, user)


def test_a_whole_session(running: Server, user: str) -> None:
    fill(running, user, 3)
    client = running.pop3(user)
    count, octets = client.stat()
    assert count == 3
    assert octets == sum(int(entry.split()[1]) for entry in client.list()[1])
    lines = client.retr(2)[1]
    assert lines[-3:] == [b"line one", b".dot", b"last"]
    assert b"Subject: 1" in lines
    top = client.top(1, 1)[1]
    assert top[-1] == b"line one"
    ids = client.uidl()[1]
    assert len({entry.split()[1] for entry in ids}) == 3
    client.dele(1)
    client.dele(3)
    assert client.stat()[0] == 1
    client.rset()
    client.dele(1)
    client.quit()
    again = running.pop3(user)
    assert [entry.split()[1] for entry in again.uidl()[1]] == [entry.split()[1] for entry in ids[1:]]
    again.quit()


def test_without_quit_nothing_is_removed(running: Server, user: str) -> None:
    fill(running, user, 1)
    client = running.pop3(user)
    client.dele(1)
    client.close()
    again = running.pop3(user)
    assert again.stat()[0] == 1
    again.quit()


def test_the_maildrop_is_locked(running: Server, user: str) -> None:
    first = running.pop3(user)
    with pytest.raises(poplib.error_proto, match="IN-USE"):
        running.pop3(user)
    first.quit()
    running.pop3(user).quit()


def test_stls_and_tls_port(running: Server, user: str) -> None:
    client = running.pop3(None)
    client.stls(running.tls())
    client.user(f"{user}@{DOMAIN}")
    client.pass_(PASSWORD)
    client.quit()
    secure = poplib.POP3_SSL("127.0.0.1", running.port("pop3s"), context=running.tls(), timeout=30)
    secure.user(f"{user}@{DOMAIN}")
    secure.pass_(PASSWORD)
    secure.quit()


@pytest.mark.parametrize("service", ["submissions", "imaps", "pop3s"])
def test_a_failed_handshake_is_told_by_an_alert(running: Server, service: str) -> None:
    context = running.tls()
    context.set_ciphers("AES128-SHA:@SECLEVEL=0")  # no forward secrecy
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", running.port(service)), timeout=30) as connection,
        pytest.raises(ssl.SSLError, match="handshake failure"),
    ):
        context.wrap_socket(connection, server_hostname="mail.example.test")


def test_errors_keep_the_session(running: Server, user: str) -> None:
    with running.raw("pop3") as client:
        assert client.line().startswith(b"+OK")
        for line in (b"FROB", b"STAT", b"PASS x", b"USER", b"x" * 600):
            client.send(line + b"\r\n")
            assert client.line().startswith(b"-ERR"), line
        client.send(
            f"USER {user}@{DOMAIN}\r\nPASS {PASSWORD}\r\nSTAT\r\nRETR 1\r\nDELE 0\r\nTOP 1\r\nQUIT\r\n".encode()
        )
        answers = [client.line()[:3] for _ in range(7)]
        assert answers == [b"+OK", b"+OK", b"+OK", b"-ER", b"-ER", b"-ER", b"+OK"]


def test_wrong_password(running: Server, user: str) -> None:
    with pytest.raises(poplib.error_proto, match="AUTH"):
        running.pop3(user, "wrong")


def test_capabilities(running: Server) -> None:
    client = running.pop3(None)
    capabilities = client.capa()
    for name in ("TOP", "UIDL", "STLS", "PIPELINING", "RESP-CODES", "USER", "SASL"):
        assert name in capabilities
    assert capabilities["EXPIRE"] == ["NEVER"]
    assert capabilities["UTF8"] == ["USER"]
    client.quit()


def test_utf8_and_languages(running: Server, user: str) -> None:
    message = "From: bürger@remote.test\r\nSubject: Grüße\r\n\r\nschön\r\n"
    running.deliver(message.encode(), user)
    client = running.pop3(None)
    client.utf8()
    assert client._longcmd("LANG")[1] == [b"en English", b"i-default English"]
    assert client._shortcmd("LANG EN").startswith(b"+OK en ")
    assert client._shortcmd("LANG *").startswith(b"+OK en ")
    with pytest.raises(poplib.error_proto, match="not spoken"):
        client._shortcmd("LANG tlh")
    client.user(f"{user}@{DOMAIN}")
    client.pass_(PASSWORD)
    assert "Subject: Grüße".encode() in client.retr(1)[1]
    with pytest.raises(poplib.error_proto):
        client.utf8()
    client.quit()


def test_login_delay(tmp_path: Path) -> None:
    """RFC 2449 §6.5 and §8.1.1: announced, kept over all workers, and no login of the refused ones."""
    config = f'\n[pop3]\nlogin_delay = "{LOGIN_DELAY_SECONDS}s"\n'
    server = Server(tmp_path / "data", accounts=("alice", "bob"), config=config)
    server.write_config("workers = 2\n" + (server.folder / "ironpost.toml").read_text())
    with server.serving():
        client = server.pop3("alice")
        assert client.capa()["LOGIN-DELAY"] == [str(LOGIN_DELAY_SECONDS)]
        with pytest.raises(poplib.error_proto, match=r"\[IN-USE\]"):
            server.pop3("alice")
        client.quit()
        for _ in range(6):
            with pytest.raises(poplib.error_proto, match=r"\[LOGIN-DELAY\]"):
                server.pop3("alice")
        with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
            server.pop3("alice", "wrong")
        server.pop3("bob").quit()
        for file in (server.folder / "run" / "pop3").iterdir():
            past = time.time() - LOGIN_DELAY_SECONDS - 1
            os.utime(file, (past, past))
        server.pop3("alice").quit()
        with pytest.raises(poplib.error_proto, match=r"\[LOGIN-DELAY\]"):
            server.pop3("alice")


def test_too_many_failures(tmp_path: Path) -> None:
    """RFC 3206 §4: [AUTH] for what the user has done, [SYS/TEMP] for what will be over; then the session is over, too."""
    config = "\n[limits]\nfailed_logins_per_address = 2\nexempt_networks = []\n"
    with Server(tmp_path / "data", accounts=("alice",), config=config).serving() as server:
        for _ in range(2):
            with pytest.raises(poplib.error_proto, match=r"^b'-ERR \[AUTH\]"):
                server.pop3("alice", "wrong")
        with server.raw("pop3") as client:
            client.line()
            client.send(f"USER alice@{DOMAIN}\r\nPASS {PASSWORD}\r\n".encode())
            assert client.line().startswith(b"+OK")
            assert client.line().startswith(b"-ERR [SYS/TEMP] ")
            assert client.line() == b""
