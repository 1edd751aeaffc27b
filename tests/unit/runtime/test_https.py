"""One request to a server of the configuration, over real sockets on loopback: what is taken, and what is refused."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
from tests.support.issuer import Issuer

from ironpost.runtime import https


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer().serving() as made:
        yield made


def trusted(issuer: Issuer, tmp_path: Path) -> ssl.SSLContext:
    path = tmp_path / "ca.pem"
    issuer.authority.cert_pem.write_to_path(str(path))
    return https.trust(str(path))


async def ask(url: str, context: ssl.SSLContext, limit: float = 20.0) -> https.HttpAnswer:
    return await https.request("GET", url, context=context, octets_max=1000, limit_seconds=limit)


async def test_answers(issuer: Issuer, tmp_path: Path) -> None:
    context = trusted(issuer, tmp_path)
    issuer.answers["/a?b=c"] = (200, {"good": True})
    assert await ask(issuer.url + "/a?b=c", context) == (200, b'{"good": true}')
    assert (await ask(issuer.url, context)).status == 404
    assert [path for path, _, _ in issuer.asked] == ["/a?b=c", "/"]
    assert issuer.asked[0][1]["host"] == issuer.url.removeprefix("https://")
    issuer.answers["/post"] = (200, b"x" * 1000)
    answer = await https.request(
        "POST",
        issuer.url + "/post",
        context=context,
        octets_max=1000,
        limit_seconds=20,
        body=b"a=b",
        fields=(("X", "1"),),
    )
    assert answer == (200, b"x" * 1000)
    assert issuer.asked[-1][2] == "a=b"
    assert issuer.asked[-1][1]["x"] == "1"


async def test_redirects_are_not_followed(issuer: Issuer, tmp_path: Path) -> None:
    issuer.answers["/moved"] = (302, b"")
    assert (await ask(issuer.url + "/moved", trusted(issuer, tmp_path))).status == 302
    assert [path for path, _, _ in issuer.asked] == ["/moved"]


async def test_long_answers(issuer: Issuer, tmp_path: Path) -> None:
    issuer.answers["/long"] = (200, b"x" * 1001)
    with pytest.raises(https.HttpFailed, match="longer than 1000 octets"):
        await ask(issuer.url + "/long", trusted(issuer, tmp_path))


async def test_certificates_are_checked(issuer: Issuer, tmp_path: Path) -> None:
    with pytest.raises(https.HttpFailed, match="certificate verify failed"):
        await ask(issuer.url, https.trust(""))
    with pytest.raises(https.HttpFailed, match="certificate verify failed"):
        await ask(issuer.url.replace("localhost", "127.0.0.1"), trusted(issuer, tmp_path))
    assert issuer.asked == []


async def test_slow_servers(issuer: Issuer, tmp_path: Path) -> None:
    issuer.gate.clear()
    with pytest.raises(https.HttpFailed, match="no whole answer"):
        await ask(issuer.url, trusted(issuer, tmp_path), limit=0.2)


async def test_nobody_there(issuer: Issuer, tmp_path: Path) -> None:
    with pytest.raises(https.HttpFailed, match="connection failed"):
        await ask("https://127.0.0.1:1/", trusted(issuer, tmp_path))


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "before the answer|not HTTP"),
        (b"220 mail.example.test ESMTP\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n", "not HTTP"),
    ],
)
async def test_what_is_no_answer(octets: bytes, why: str) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(octets)

    async with listening(serve) as url:
        with pytest.raises(https.HttpFailed, match=why):
            await ask(url, https.trust(""))


class listening:
    """A plain server on loopback."""

    def __init__(self, serve: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
        self.serve = serve

    async def __aenter__(self) -> str:
        self.manager = trio.open_nursery()
        self.nursery = await self.manager.__aenter__()
        listeners = await self.nursery.start(partial(trio.serve_tcp, self.serve, 0, host="127.0.0.1"))
        return f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/"

    async def __aexit__(self, *error: object) -> None:
        self.nursery.cancel_scope.cancel()
        await self.manager.__aexit__(None, None, None)
