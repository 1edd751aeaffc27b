"""Submission (RFC 6409): AUTH, sender rights, header repair, local and remote recipients in one commit."""

from __future__ import annotations

import base64
import email
import email.policy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ironpost.errors import AuthenticationBusy, TooManyFailures
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import PASSWORD, Peer, World

GOOD = (
    b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: alice@own.test\r\nMessage-ID: <1@own.test>\r\n"
    b"Subject: hello\r\n\r\nline\r\n"
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plain(user: str, password: str = PASSWORD) -> str:
    return encoded(f"\0{user}\0{password}")


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], **limits: Any) -> None:
    directory = FakeDirectory(["alice@own.test", "bob@own.test"], {"sales@own.test": ["alice@own.test"]})

    async def main() -> None:
        with trio.fail_after(60):
            async with World.open(tmp_path, directory, **limits) as world:
                await test(world)

    trio.run(main)


async def logged_in(world: World) -> Peer:
    peer = await world.connect("submission")
    assert "AUTH PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-512 SCRAM-SHA-1" in await peer.start()
    assert (await peer.ask(f"AUTH PLAIN {plain('alice@own.test')}")).startswith("235 2.7.0")
    return peer


def test_nothing_before_auth(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submission")
        await peer.start()
        await peer.dialogue(("MAIL FROM:<alice@own.test>", "530 5.7.0"), ("RCPT TO:<bob@own.test>", "503"))

    run(tmp_path, test)


def test_login_in_steps_and_its_faults(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await world.connect("submission")
        await peer.start()
        await peer.dialogue(
            ("AUTH CRAM-MD5", "504 5.5.4"),
            ("AUTH PLAIN !!!", "501 5.5.2"),
            (f"AUTH PLAIN {encoded('nonsense')}", "501 5.5.2"),
            ("AUTH PLAIN", "334 "),
            ("*", "501 5.7.0"),
            (f"AUTH PLAIN {plain('alice@own.test', 'wrong')}", "535 5.7.8"),
            (f"AUTH PLAIN {plain('nobody@own.test')}", "535 5.7.8"),
            (f"AUTH PLAIN {encoded(f'bob@own.test{chr(0)}alice@own.test{chr(0)}{PASSWORD}')}", "535 5.7.8"),
            ("AUTH LOGIN", f"334 {encoded('Username:')}"),
            (encoded("alice@own.test"), f"334 {encoded('Password:')}"),
            (encoded(PASSWORD), "235 2.7.0"),
            (f"AUTH PLAIN {plain('alice@own.test')}", "503"),
            ("MAIL FROM:<alice@own.test>", "250"),
        )

    run(tmp_path, test)


def test_busy_and_too_many(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        authenticator: Any = world.context.authenticator
        peer = await world.connect("submission")
        await peer.start()
        authenticator.failure = AuthenticationBusy()
        await peer.dialogue((f"AUTH PLAIN {plain('alice@own.test')}", "454 4.7.0"))
        authenticator.failure = TooManyFailures()
        await peer.dialogue((f"AUTH PLAIN {plain('alice@own.test')}", "421 4.7.0"))
        assert await peer.closed()

    run(tmp_path, test)


def test_sender_must_be_the_users(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await logged_in(world)
        for sender, reply in (
            ("bob@own.test", "553 5.7.1"),
            ("alice@far.test", "553 5.7.1"),
            ("sales@own.test", "250"),
            ("alice+x@own.test", "250"),
            ("", "250"),
        ):
            await peer.dialogue((f"MAIL FROM:<{sender}>", reply), ("RSET", "250"))

    run(tmp_path, test)


def test_local_and_remote_recipients_in_one_commit(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await logged_in(world)
        await peer.dialogue(
            ("MAIL FROM:<alice@own.test> RET=HDRS ENVID=a+2Bb BODY=8BITMIME", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("RCPT TO:<nobody@own.test>", "550 5.1.1"),
            ("RCPT TO:<x@[192.0.2.1]>", "550 5.1.2"),
            ("RCPT TO:<x@far.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;y@far.test", "250"),
            ("RCPT TO:<z@far.test>", "250"),
            ("RCPT TO:<w@other.test>", "250"),
            ("DATA", "354"),
        )
        await peer.send(GOOD + b".\r\n")
        assert (await peer.reply())[-1].startswith("250")
        (octets,) = await world.messages(2)
        assert octets.endswith(GOOD)
        assert b"with ESMTPA id" in octets
        items = await world.queue()
        assert [[r.address for r in state.recipients] for _, state in items] == [
            ["x@far.test", "z@far.test"],
            ["w@other.test"],
        ]
        state = items[0][1]
        assert (state.sender, state.ret, state.envid, state.body) == ("alice@own.test", "HDRS", "a+b", "8BITMIME")
        assert state.recipients[0].notify == ("SUCCESS", "FAILURE")
        assert state.recipients[0].orcpt == "rfc822;y@far.test"
        for item, _ in items:
            assert (await world.queued_octets(item)).endswith(GOOD)
        assert world.hints.relay_hints == 1

    run(tmp_path, test)


@pytest.mark.parametrize("size", [10, 600_000])
def test_header_is_mended(tmp_path: Path, size: int) -> None:
    async def test(world: World) -> None:
        peer = await logged_in(world)
        text = (b"x" * 70 + b"\r\n") * (size // 72 + 1)
        body = b"Subject: hello\r\nBcc: secret@own.test,\r\n more@own.test\r\nTo: bob@own.test\r\n\r\n" + text
        answer = await peer.mail("alice@own.test", ["bob@own.test", "x@far.test"], body)
        assert answer.startswith("250"), answer
        (octets,) = await world.messages(2)
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert message["From"] == "alice@own.test"
        assert message["Message-ID"].endswith("@mail.own.test>")
        assert message["Date"]
        assert message["Bcc"] is None
        assert b"secret" not in octets
        assert octets.endswith(b"\r\n\r\n" + text)
        ((item, state),) = await world.queue()
        assert not state.draft
        assert (await world.queued_octets(item)).endswith(b"\r\n\r\n" + text)

    run(tmp_path, test)


def test_a_text_without_header_gets_one(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await logged_in(world)
        assert (await peer.mail("alice@own.test", ["bob@own.test"], b"just words\r\nand more\r\n")).startswith("250")
        (octets,) = await world.messages(2)
        message = email.message_from_bytes(octets, policy=email.policy.default)
        assert message["From"] == "alice@own.test"
        assert message.get_payload() == "just words\r\nand more\r\n"
        assert await world.queue() == []

    run(tmp_path, test)
