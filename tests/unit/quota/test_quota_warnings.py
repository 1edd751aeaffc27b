"""Warnings come once for each threshold, to the right person, and count against nobody."""

from __future__ import annotations

import dataclasses
import email
import email.policy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from ironpost.config import Config, QuotaConfig, StoreConfig
from ironpost.quota.service import Quotas, deliver_beyond
from ironpost.state.directory import Limits
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import World

BODY = b"Subject: x\r\n\r\n" + (b"y" * 98 + b"\r\n") * 10
ALICE = "alice@own.test"


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], limits: dict[str, Limits], **quota: Any) -> None:
    async def main() -> None:
        directory = FakeDirectory([ALICE, "bob@own.test"])
        directory.limits_of = limits
        config = Config(
            hostname="mail.own.test",
            directory=tmp_path,
            store=StoreConfig(min_free=0),
            quota=QuotaConfig(**quota),
        )
        with trio.fail_after(60):
            async with World.open(tmp_path, directory, config=config) as world:
                await test(world)

    trio.run(main)


async def deliver(world: World, name: str = ALICE, count: int = 1) -> None:
    peer = await world.connect("lmtp")
    await peer.start("LHLO x")
    for _ in range(count):
        assert (await peer.mail("x@far.test", [name], BODY)).startswith("250")
    await peer.close()


async def warnings(world: World, account: int, count: int) -> list[Any]:
    """Waits until there are so many, and makes sure that there are not more."""
    with trio.fail_after(10):
        while True:
            await trio.sleep(0.02)
            octets = [each for each in await world.messages(account) if b"Auto-Submitted: auto-generated" in each]
            if len(octets) >= count:
                break
    await trio.sleep(0.05)
    octets = [each for each in await world.messages(account) if b"Auto-Submitted: auto-generated" in each]
    assert len(octets) == count
    return [email.message_from_bytes(each, policy=email.policy.default) for each in octets]


async def remove(world: World, account: int, count: int) -> None:
    core = world.store.core
    view = await world.store.call(core.open_view(account, "INBOX", False), write=True)
    uids = [uid for uid, _ in await world.store.call(core.messages(view))]
    await world.store.call(core.expunge_uids(view, uids[:count]), write=True)


def test_each_threshold_is_told_once(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await deliver(world, count=7)
        await warnings(world, 1, 0)
        await deliver(world, count=1)  # 8 of 10
        (first,) = await warnings(world, 1, 1)
        assert first["From"] == "Mail server <postmaster@own.test>"
        assert first["To"] == ALICE
        assert first["Subject"] == "Your mailbox is 80% full"
        assert first["Date"].datetime is not None
        assert "8 of 10 messages" in first.get_content()
        assert not first.defects
        # The warning itself counts, and took the ninth place; one more reaches the next threshold, and 100%.
        await deliver(world)
        _, second = await warnings(world, 1, 2)
        assert second["Subject"] == "Your mailbox is 95% full"
        quota = world.store.core.quota(1)
        assert quota is not None
        assert quota.messages == 11  # beyond the limit: a warning is never refused
        told = [fields for _, event, fields in world.log.lines if event == "quota threshold passed"]
        assert [fields["percent"] for fields in told] == [80, 95]

    run(tmp_path, test, {ALICE: Limits(messages=10)})


def test_a_threshold_is_told_again_only_after_a_real_fall(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await deliver(world, count=50)
        await warnings(world, 1, 1)  # 51 now
        await remove(world, 1, 4)  # 47 is above 45
        await deliver(world, count=5)
        await warnings(world, 1, 1)
        await remove(world, 1, 10)
        await deliver(world, count=1)  # seen below 45
        with trio.fail_after(10):
            while world.directory.told(ALICE):  # noqa: ASYNC110 - noted by a task of its own
                await trio.sleep(0.01)
        before = len([each for each in await world.messages(1) if b"auto-generated" in each])
        await deliver(world, count=10)
        await warnings(world, 1, before + 1)

    run(tmp_path, test, {ALICE: Limits(messages=100)}, warn_at=(50,))


def test_a_domain_warns_its_postmaster(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await deliver(world, "bob@own.test", count=4)
        (warning,) = await warnings(world, 1, 1)  # alice is the oldest account, and so the postmaster
        assert warning["Subject"] == "Mailboxes of own.test are 80% full"
        await warnings(world, 2, 0)

    run(tmp_path, test, {"own.test": Limits(messages=5)})


def test_two_workers_see_one_crossing(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        other = Quotas(world.context)
        world.nursery.start_soon(other.run)
        people = [world.directory.people[ALICE]]
        for _ in range(8):
            await deliver_beyond(world.context, 1, BODY)
        # Both see it before either has told it.
        world.context.quotas.look(people)
        other.look(people)
        await warnings(world, 1, 1)

    run(tmp_path, test, {ALICE: Limits(messages=10)}, warn_at=(80,))


def test_without_thresholds_nobody_is_told(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await deliver(world, count=10)
        await warnings(world, 1, 0)
        world.context.config = dataclasses.replace(world.context.config, quota=QuotaConfig(warn_at=(50,)))
        await world.context.quotas.ensure(world.directory.people.values())
        world.context.quotas.look(world.directory.people.values())
        await warnings(world, 1, 1)

    run(tmp_path, test, {ALICE: Limits(messages=10)}, warn_at=())
