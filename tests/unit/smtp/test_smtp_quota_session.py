"""Quotas over SMTP, LMTP and submission: every refusal is told, nothing is lost, nothing goes beyond."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from ironpost.config import Config, LimitsConfig, QuotaConfig, StoreConfig
from ironpost.state.directory import Limits
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import PASSWORD, Peer, World

ACCOUNTS = ["alice@own.test", "bob@own.test", "carol@other.test"]
ALIASES = {
    "team@own.test": ["alice@own.test", "bob@own.test"],
    "mixed@own.test": ["alice@own.test", "someone@far.test"],
}
MESSAGE = b"Date: Mon, 23 Nov 2026 10:00:00 +0000\r\nFrom: alice@own.test\r\nMessage-ID: <1@own.test>\r\n\r\nline\r\n"
LARGE = MESSAGE + b"x" * 70 + b"\r\n" + (b"y" * 98 + b"\r\n") * 300


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], limits: dict[str, Limits], **quota: Any) -> None:
    """`message_octets_max` is small, so that nearly full is not the same as any limit at all."""

    async def main() -> None:
        directory = FakeDirectory(ACCOUNTS, ALIASES)
        directory.limits_of = limits
        config = Config(
            hostname="mail.own.test",
            directory=tmp_path,
            limits=LimitsConfig(message_octets_max=100_000),
            store=StoreConfig(min_free=0),
            quota=QuotaConfig(warn_at=(), **quota),
        )
        with trio.fail_after(60):
            async with World.open(tmp_path, directory, config=config) as world:
                await test(world)

    trio.run(main)


async def start(world: World, service: str = "smtp") -> Peer:
    peer = await world.connect(service)
    await peer.start("LHLO client.test" if service == "lmtp" else "EHLO client.test")
    if service == "submission":
        secret = base64.b64encode(f"\0alice@own.test\0{PASSWORD}".encode()).decode()
        assert (await peer.ask(f"AUTH PLAIN {secret}")).startswith("235")
    return peer


@pytest.mark.parametrize(("reply", "code"), [("reject", "552 5.2.2"), ("defer", "452 4.2.2")])
@pytest.mark.parametrize("service", ["smtp", "lmtp", "submission"])
def test_a_full_mailbox_is_refused_at_rcpt(tmp_path: Path, service: str, reply: str, code: str) -> None:
    async def test(world: World) -> None:
        peer = await start(world, service)
        assert (await peer.mail("alice@own.test", ["bob@own.test"], MESSAGE)).startswith("250")
        await peer.dialogue(
            ("MAIL FROM:<alice@own.test>", "250"), ("RCPT TO:<bob@own.test>", code), ("RCPT TO:<alice@own.test>", "250")
        )
        # The other recipients are not affected; an alias is, as a whole.
        await peer.dialogue(("RCPT TO:<team@own.test>", code), ("RCPT TO:<mixed@own.test>", "250"), ("RSET", "250"))
        assert len(await world.messages(2)) == 1
        told = [fields for _, event, fields in world.log.lines if event == "over quota"]
        assert {fields["account"] for fields in told} == {"bob@own.test"}

    run(tmp_path, test, {"bob@own.test": Limits(messages=1)}, full_reply=reply)


def test_the_declared_size_counts_at_rcpt(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=50001", "250"),
            ("RCPT TO:<bob@own.test>", "552 5.2.2"),
            ("RSET", "250"),
            ("MAIL FROM:<x@far.test> SIZE=30000", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
        )

    run(tmp_path, test, {"bob@own.test": Limits(octets=50_000)})


def test_defaults_of_the_configuration_and_exceptions_from_them(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        for account in ("alice", "bob"):
            assert (await peer.mail("x@far.test", [f"{account}@own.test"], MESSAGE)).startswith("250")
        assert (await peer.mail("x@far.test", ["alice@own.test"], MESSAGE)).startswith("552 5.2.2")
        await peer.dialogue(("RSET", "250"))
        assert (await peer.mail("x@far.test", ["bob@own.test"], MESSAGE)).startswith("250")

    run(tmp_path, test, {"bob@own.test": Limits(messages=0)}, account_messages=1)


def test_the_limit_of_a_domain_is_shared(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        # Two would be one too many: the second is asked to come in a transaction of its own.
        await peer.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=100", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "452 4.5.3"),
            ("RCPT TO:<carol@other.test>", "250"),
            ("RSET", "250"),
        )
        assert (await peer.mail("x@far.test", ["team@own.test"], MESSAGE)).startswith("552 5.2.2")
        await peer.dialogue(("RSET", "250"))
        assert (await peer.mail("x@far.test", ["bob@own.test"], MESSAGE)).startswith("250")
        assert (await peer.mail("x@far.test", ["alice@own.test"], MESSAGE)).startswith("552 5.2.2")
        await peer.dialogue(("RSET", "250"))
        assert (await peer.mail("x@far.test", ["carol@other.test"], MESSAGE)).startswith("250")

    run(tmp_path, test, {"own.test": Limits(messages=1)})


def test_a_mailbox_that_may_be_full_travels_alone(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(
            ("MAIL FROM:<x@far.test>", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "452 4.5.3"),
            ("RSET", "250"),
            ("MAIL FROM:<x@far.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("RCPT TO:<alice@own.test>", "452 4.5.3"),
            ("DATA", "354"),
        )
        await peer.send(LARGE + b".\r\n")
        assert (await peer.reply())[-1].startswith("552 5.2.2")
        assert (await peer.mail("x@far.test", ["bob@own.test"], MESSAGE)).startswith("250")
        assert len(await world.messages(2)) == 1

    run(tmp_path, test, {"bob@own.test": Limits(octets=20_000)})


def test_room_that_goes_while_the_body_comes(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        slow, quick = await start(world), await start(world)
        await slow.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=200", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("DATA", "354"),
        )
        assert (await quick.mail("y@far.test", ["bob@own.test"], MESSAGE)).startswith("250")
        await slow.send(MESSAGE + b".\r\n")
        assert (await slow.reply())[-1].startswith("452 4.2.2")
        assert await world.messages(1) == []
        # The retry is sorted out at RCPT.
        await slow.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=200", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "552 5.2.2"),
            ("DATA", "354"),
        )
        await slow.send(MESSAGE + b".\r\n")
        assert (await slow.reply())[-1].startswith("250")
        assert len(await world.messages(1)) == 1

    run(tmp_path, test, {"bob@own.test": Limits(messages=1)})


def test_who_declares_too_little_is_not_kept_waiting_for_ever(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world)
        await peer.dialogue(
            ("MAIL FROM:<x@far.test> SIZE=10", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("DATA", "354"),
        )
        await peer.send(LARGE + b".\r\n")
        assert (await peer.reply())[-1].startswith("552 5.2.2")

    run(tmp_path, test, {"bob@own.test": Limits(octets=20_000)})


def test_a_submission_is_refused_whole(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world, "submission")
        await peer.dialogue(
            ("MAIL FROM:<alice@own.test>", "250"),
            ("RCPT TO:<x@far.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("DATA", "354"),
        )
        await peer.send(LARGE + b".\r\n")
        assert "sent to nobody" in (await peer.reply())[-1]
        # A header section that needs mending goes by way of a draft, which must not stay.
        await peer.dialogue(("MAIL FROM:<alice@own.test>", "250"), ("RCPT TO:<bob@own.test>", "250"), ("DATA", "354"))
        await peer.send(b"Subject: no date\r\n\r\n" + LARGE + b".\r\n")
        assert (await peer.reply())[-1].startswith("552 5.2.2")
        with trio.fail_after(10):
            while await world.queue():  # noqa: ASYNC110 - the draft leaves without anybody waiting for it
                await trio.sleep(0.01)

    run(tmp_path, test, {"bob@own.test": Limits(octets=20_000)})


def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        peer = await start(world, "lmtp")
        await peer.dialogue(
            ("MAIL FROM:<x@far.test>", "250"),
            ("RCPT TO:<carol@other.test>", "250"),
            ("RCPT TO:<bob@own.test>", "250"),
            ("RCPT TO:<team@own.test>", "250"),
            ("RCPT TO:<alice@own.test>", "250"),
            ("DATA", "354"),
        )
        await peer.send(LARGE + b".\r\n")
        replies = [(await peer.reply())[-1] for _ in range(4)]
        assert [reply[:9] for reply in replies] == ["250 2.0.0", "552 5.2.2", "552 5.2.2", "250 2.0.0"]
        assert "the others have the message" in replies[2]
        assert [len(await world.messages(account)) for account in (1, 2, 3)] == [1, 0, 1]
        await peer.dialogue(("MAIL FROM:<x@far.test>", "250"), ("RCPT TO:<bob@own.test>", "250"), ("DATA", "354"))
        await peer.send(LARGE + b".\r\n")
        assert (await peer.reply())[-1].startswith("552 5.2.2")
        await peer.dialogue(("NOOP", "250"))

    run(tmp_path, test, {"bob@own.test": Limits(octets=20_000)})


@pytest.mark.parametrize("service", ["smtp", "lmtp"])
def test_exact_under_fifty_deliveries_at_once(tmp_path: Path, service: str) -> None:
    room = 17

    async def test(world: World) -> None:
        answers: list[str] = []
        at_once = trio.Event()

        async def deliver(number: int) -> None:
            peer = await start(world, service)
            await peer.dialogue(("MAIL FROM:<x@far.test>", "250"), ("RCPT TO:<bob@own.test>", "250"), ("DATA", "354"))
            await peer.send(b"X-Number: %d\r\n" % number + MESSAGE)
            ready.append(number)
            if len(ready) == 50:
                at_once.set()
            await at_once.wait()
            await peer.send(b".\r\n")
            answers.append(f"{(await peer.reply())[-1][:9]} {number}")

        ready: list[int] = []
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(deliver, number)
        assert Counter(answer[:9] for answer in answers) == {"250 2.0.0": room, "552 5.2.2": 50 - room}
        accepted = {int(answer[10:]) for answer in answers if answer.startswith("250")}
        stored = {int(octets.partition(b"X-Number: ")[2].split(b"\r")[0]) for octets in await world.messages(2)}
        assert stored == accepted
        quota = world.store.core.quota(2)
        assert quota is not None
        assert quota.messages == room

    run(tmp_path, test, {"bob@own.test": Limits(messages=room)})


def test_a_limit_that_changes_counts_from_the_next_message_on(tmp_path: Path) -> None:
    limits: dict[str, Limits] = {}

    async def test(world: World) -> None:
        peer = await start(world)
        for change, answer in ((Limits(), "250"), (Limits(messages=1), "552"), (Limits(messages=2), "250")):
            limits["bob@own.test"] = change
            world.directory.generation += 1
            assert (await peer.mail("x@far.test", ["bob@own.test"], MESSAGE)).startswith(answer)
            await peer.dialogue(("RSET", "250"))

    run(tmp_path, test, limits)
