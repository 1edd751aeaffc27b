"""STARTTLS and implicit TLS in sessions (RFC 3207, RFC 8314), and the limits of time."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from ironpost import _core
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import PASSWORD, World

NAME = "mail.own.test"
AUTHORITY = trustme.CA()
MESSAGE = (
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: alice@own.test\r\nMessage-ID: <1@own.test>\r\n"
    b"Subject: hello\r\n\r\nline\r\n"
)


def client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], clock: trio.abc.Clock | None = None) -> None:
    certificate = AUTHORITY.issue_cert(NAME)
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    tls = _core.TlsServerConfig(chain, certificate.private_key_pem.bytes())

    async def main() -> None:
        async with World.open(tmp_path, FakeDirectory(["alice@own.test", "bob@own.test"]), tls=tls) as world:
            with trio.fail_after(3600):
                await test(world)

    trio.run(main, clock=clock)


def plain() -> str:
    return base64.b64encode(f"\0alice@own.test\0{PASSWORD}".encode()).decode()


def test_starttls_forgets_and_then_offers_auth(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submission", peer_host="192.0.2.7")
        before = await peer.start()
        assert "STARTTLS" in before
        assert not any(line.startswith("AUTH") for line in before)
        await peer.dialogue((f"AUTH PLAIN {plain()}", "538 5.7.11"), ("STARTTLS", "220 2.0.0"))
        await peer.start_tls(client_context(), NAME)
        await peer.dialogue(("MAIL FROM:<alice@own.test>", "503"))
        await peer.send("EHLO client.test\r\n")
        after = [line[4:] for line in await peer.reply()]
        assert "STARTTLS" not in after
        assert "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1" in after
        await peer.dialogue(("STARTTLS", "503 5.5.1"), (f"AUTH PLAIN {plain()}", "235"))
        assert (await peer.mail("alice@own.test", ["bob@own.test"], MESSAGE)).startswith("250")
        (octets,) = await world.messages(2)
        assert b"with ESMTPSA id" in octets
        assert b"(TLSv1.3, " in octets
        assert b"([192.0.2.7])" in octets
        await peer.dialogue(("QUIT", "221"))

    run(tmp_path, test)


def test_implicit_tls(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submissions")
        await peer.start_tls(client_context(), NAME)
        assert "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1" in await peer.start()
        await peer.dialogue((f"AUTH PLAIN {plain()}", "235"), ("QUIT", "221"))

    run(tmp_path, test)


@pytest.mark.parametrize("injected", [b"MAIL FROM:<evil@far.test>\r\n", b"x", b"EHLO x\r\nRSET\r\n"])
def test_octets_behind_starttls_close_the_connection(tmp_path: Path, injected: bytes) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("smtp")
        await peer.start()
        await peer.send(b"STARTTLS\r\n" + injected)
        reply = await peer.reply()
        assert not reply or not reply[0].startswith("25"), reply
        assert await peer.closed()

    run(tmp_path, test)


def test_no_handshake_ends_the_session(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submissions")
        await peer.send(b"EHLO plaintext.test\r\n" * 3)
        assert b"220" not in (await peer.line()).encode()
        assert await peer.closed()
        again = await world.connect("smtp")
        await again.start()

    run(tmp_path, test)


def test_a_failed_handshake_is_told_by_an_alert(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submissions")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("AES128-SHA:@SECLEVEL=0")  # no forward secrecy
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        old.check_hostname = False
        old.verify_mode = ssl.CERT_NONE
        with pytest.raises(trio.BrokenResourceError) as caught:
            await peer.start_tls(old, NAME)
        assert "handshake failure" in str(caught.value.__cause__).lower()

    run(tmp_path, test)


def test_silence_is_ended_with_421(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("smtp")
        await peer.start()
        start = trio.current_time()
        assert (await peer.line(1000)).startswith("421 4.4.2")
        assert trio.current_time() - start == pytest.approx(300, abs=2)
        assert await peer.closed()
        slow = await world.connect("smtp")
        await slow.start()
        await slow.dialogue(("MAIL FROM:<>", "250"), ("RCPT TO:<bob@own.test>", "250"), ("DATA", "354"))
        await slow.send(b"Subject: never ends\r\n")
        start = trio.current_time()
        assert (await slow.line(1000)).startswith("421 4.4.2")
        assert trio.current_time() - start == pytest.approx(180, abs=2)
        assert await world.messages(2) == []

    run(tmp_path, test, trio.testing.MockClock(autojump_threshold=0.3))


def test_no_hello_in_tls_is_ended_sooner(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submissions")
        start = trio.current_time()
        assert await peer.line(1000) == ""
        assert trio.current_time() - start == pytest.approx(60, abs=2)

    run(tmp_path, test, trio.testing.MockClock(autojump_threshold=0.3))
