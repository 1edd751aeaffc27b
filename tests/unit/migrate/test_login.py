"""How a connection comes to be logged in, and when it refuses to try: line by line."""

from __future__ import annotations

import base64
import socket as sockets
from collections.abc import Sequence
from typing import Any

import pytest
import trio

from ironpost.migrate.connection import Broken, Connection, SourceRefused
from ironpost.migrate.source import Login, Source
from ironpost.runtime.stream import Address, MailStream

JOE = Source("imap", "mail.test", 143, "joe", plaintext=True)
SECRET = Login(password="hush")


async def dialogue(
    monkeypatch: pytest.MonkeyPatch,
    script: Sequence[str],
    source: Source = JOE,
    login: Login = SECRET,
    peer: str = "127.0.0.1",
) -> list[str]:
    """The server says what does not begin with `C: `; the others are what the client must say. Returns what it said."""
    ours, theirs = sockets.socketpair()
    said: list[str] = []

    async def connect(_: Any) -> MailStream:
        return MailStream(ours, Address(peer, 143))

    monkeypatch.setattr("ironpost.migrate.connection._connect", connect)

    async def serve() -> None:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
        buffer = b""
        async with stream:
            for line in script:
                if not line.startswith("C: "):
                    await stream.send_all(f"{line}\r\n".encode())
                    continue
                while b"\r\n" not in buffer:
                    octets = await stream.receive_some(4096)
                    if not octets:
                        return
                    buffer += octets
                first, _, buffer = buffer.partition(b"\r\n")
                said.append(first.decode())
                assert first.decode() == line[3:]

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            connection = await Connection.open(source, login)
            connection.abort()
        except (Broken, SourceRefused) as error:
            failure = error
    assert "hush" not in str(failure)
    if failure is not None:
        raise failure
    return said


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_plain_with_and_without_initial_response(monkeypatch: pytest.MonkeyPatch) -> None:
    await dialogue(
        monkeypatch,
        [
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
            f"C: A1 AUTHENTICATE PLAIN {encoded(chr(0) + 'joe' + chr(0) + 'hush')}",
            "A1 OK [CAPABILITY IMAP4rev1] in",
        ],
    )
    await dialogue(
        monkeypatch,
        [
            "* OK hi",
            "C: A1 CAPABILITY",
            "* CAPABILITY IMAP4rev1 AUTH=PLAIN",
            "A1 OK",
            "C: A2 AUTHENTICATE PLAIN",
            "+ ",
            f"C: {encoded(chr(0) + 'joe' + chr(0) + 'hush')}",
            "* CAPABILITY IMAP4rev1 ID",
            "A2 OK in",
            'C: A3 ID ("name" "ironpost" "version" "0.1.0")',
            "* ID NIL",
            "A3 OK",
        ],
    )


async def test_login_where_there_is_nothing_better(monkeypatch: pytest.MonkeyPatch) -> None:
    await dialogue(
        monkeypatch,
        [
            "* OK [CAPABILITY IMAP4rev1] hi",
            "C: A1 LOGIN \"joe\" \"p\\\"w\"",
            "A1 OK [CAPABILITY IMAP4rev1 X] in",
        ],
        login=Login(password='p"w'),
    )  # fmt: skip
    with pytest.raises(SourceRefused, match="LOGINDISABLED"):
        await dialogue(monkeypatch, ["* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi"])


async def test_a_master_reads_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(password="hush", auth_user="root")
    await dialogue(
        monkeypatch,
        [
            "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi",
            f"C: A1 AUTHENTICATE PLAIN {encoded('joe' + chr(0) + 'root' + chr(0) + 'hush')}",
            "A1 OK [CAPABILITY IMAP4rev1] in",
        ],
        login=login,
    )
    with pytest.raises(SourceRefused, match="AUTH=PLAIN"):
        await dialogue(monkeypatch, ["* OK [CAPABILITY IMAP4rev1] hi"], login=login)


async def test_bearers(monkeypatch: pytest.MonkeyPatch) -> None:
    login = Login(token="hush")
    bearer = encoded("n,a=joe,\1host=mail.test\1port=143\1auth=Bearer hush\1\1")
    await dialogue(
        monkeypatch,
        [
            "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2 AUTH=OAUTHBEARER] hi",
            f"C: A1 AUTHENTICATE OAUTHBEARER {bearer}",
            "A1 OK [CAPABILITY IMAP4rev1] in",
        ],
        login=login,
    )
    with pytest.raises(SourceRefused, match="refuses the login of joe: expired"):
        await dialogue(
            monkeypatch,
            [
                "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi",
                f"C: A1 AUTHENTICATE XOAUTH2 {encoded('user=joe' + chr(1) + 'auth=Bearer hush' + chr(1) * 2)}",
                "+ eyJzdGF0dXMiOiI0MDAifQ==",
                "C: ",
                "A1 NO expired",
            ],
            login=login,
        )
    with pytest.raises(SourceRefused, match="neither"):
        await dialogue(monkeypatch, ["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi"], login=login)


async def test_nothing_is_said_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    secure = Source("imap", "mail.test", 143, "joe")
    with pytest.raises(SourceRefused, match="no STARTTLS"):
        await dialogue(monkeypatch, ["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi"], secure)
    with pytest.raises(SourceRefused, match="before TLS"):
        await dialogue(monkeypatch, ["* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi"], secure)
    with pytest.raises(SourceRefused, match="another machine"):
        await dialogue(monkeypatch, ["* OK [CAPABILITY IMAP4rev1] hi"], peer="192.0.2.1")
    offered = ["* OK [CAPABILITY IMAP4rev1 STARTTLS] hi", "C: A1 STARTTLS"]
    with pytest.raises(SourceRefused, match="refuses STARTTLS"):
        await dialogue(monkeypatch, [*offered, "A1 NO not today"], secure)
    with pytest.raises(Broken, match="injection"):
        await dialogue(monkeypatch, [*offered, "A1 OK go\r\n* CAPABILITY EVIL"], secure)


async def test_busy_servers_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    script = ["* OK [CAPABILITY IMAP4rev1] hi", 'C: A1 LOGIN "joe" "hush"']
    for answer in ("[UNAVAILABLE] later", "[LIMIT] no", "Too many simultaneous connections"):
        with pytest.raises(Broken):
            await dialogue(
                monkeypatch, ["* OK [CAPABILITY IMAP4rev1] hi", 'C: A1 LOGIN "joe" "hush"', f"A1 NO {answer}"]
            )
    with pytest.raises(Broken, match="not ready: full"):
        await dialogue(monkeypatch, ["* BYE full"])
    with pytest.raises(SourceRefused, match="wrong"):
        await dialogue(monkeypatch, [*script, "A1 NO [AUTHENTICATIONFAILED] wrong"])
