"""LMTP (RFC 2033): a reply for each accepted recipient."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import Peer, World

MESSAGE = b"Subject: hello\r\n\r\nline\r\n"


def run(tmp_path: Path, test: Callable[[World, Peer], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(60):
            async with World.open(tmp_path, FakeDirectory(["alice@own.test", "bob@own.test"])) as world:
                await test(world, await world.connect("lmtp"))

    trio.run(main)


def test_each_recipient_is_answered(tmp_path: Path) -> None:
    async def test(world: World, peer: Peer) -> None:
        assert "PIPELINING" in await peer.start("LHLO front.test")
        await peer.send(
            b"MAIL FROM:<x@far.test>\r\nRCPT TO:<alice@own.test>\r\nRCPT TO:<nobody@own.test>\r\n"
            b"RCPT TO:<bob@own.test>\r\nRCPT TO:<y@far.test>\r\nDATA\r\n"
        )
        replies = [(await peer.reply())[-1][:9] for _ in range(6)]
        assert replies == ["250 2.1.0", "250 2.1.5", "550 5.1.1", "250 2.1.5", "550 5.7.1", replies[5]]
        assert replies[5].startswith("354")
        await peer.send(MESSAGE + b".\r\nQUIT\r\n")
        assert [(await peer.reply())[-1][:9] for _ in range(3)] == ["250 2.0.0", "250 2.0.0", "221 2.0.0"]
        for account in (1, 2):
            (octets,) = await world.messages(account)
            assert octets.endswith(MESSAGE)
            assert b"with LMTP id" in octets

    run(tmp_path, test)


def test_a_refused_body_is_refused_to_each(tmp_path: Path) -> None:
    async def test(world: World, peer: Peer) -> None:
        await peer.start("LHLO front.test")
        await peer.dialogue(
            ("MAIL FROM:<>", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("DATA", "354"),
        )
        await peer.send(b"Subject: x\r\n\r\nbare\n\r\n.\r\n")
        assert [(await peer.reply())[-1][:9] for _ in range(2)] == ["550 5.6.0"] * 2
        await peer.dialogue(("NOOP", "250"))

    run(tmp_path, test)


def test_smtp_hellos_are_refused(tmp_path: Path) -> None:
    async def test(world: World, peer: Peer) -> None:
        await peer.reply()
        await peer.dialogue(("EHLO x", "5"), ("HELO x", "5"), ("LHLO x", "250"))

    run(tmp_path, test)
