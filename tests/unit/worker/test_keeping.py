"""The janitor's walk on a clock of ours: expiry by rule, letting go in time, and early when the disk is low."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from ironpost import _core
from ironpost.config import Config, ExpireConfig, StoreConfig
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import World
from ironpost.worker.expiry import expire_account, rule_of
from ironpost.worker.keeping import HALVINGS_MAX, Keeper

DAY = 86_400.0
NOW = float(int(time.time()))  # the store stamps what it expunges with the real time


def run(tmp_path: Path, test: Callable[[World], Awaitable[None]], **config: Any) -> None:
    async def main() -> None:
        base = Config(hostname="mail.own.test", directory=tmp_path, store=StoreConfig(min_free=0))
        with trio.fail_after(60):
            async with World.open(
                tmp_path, FakeDirectory(["a@own.test"]), config=dataclasses.replace(base, **config)
            ) as world:
                await test(world)

    trio.run(main)


async def put(world: World, mailbox: str, *ages: float, account: int = 1) -> None:
    core, store = world.store.core, world.store
    await store.call(core.list_mailboxes(account))
    await store.call(core.adopt_mailbox(account, mailbox), write=True)
    for age in ages:
        sink = core.sink()
        await store.write_sink(sink, b"Subject: x\r\n\r\n%d\r\n" % int(age))
        ticket = core.import_message(account, mailbox, sink, ("\\Seen",), None, saved=NOW - age)
        await store.call(ticket, write=True)


async def counts(world: World, account: int = 1) -> dict[str, int]:
    mailboxes = await world.store.call(world.store.core.list_mailboxes(account))
    return {mailbox.name: mailbox.messages for mailbox in mailboxes if mailbox.messages}


async def retained(world: World, account: int = 1) -> int:
    return len(await world.store.call(world.store.core.retained(account)))


def test_default_rules_empty_trash_and_junk(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        for mailbox in ("INBOX", "Trash", "Junk", "Trash/Old", "Archive"):
            await put(world, mailbox, 31 * DAY, 29 * DAY)
        await put(world, "Trash", *[40 * DAY] * 3, account=2)
        config, store = world.context.config, world.store
        assert sorted(await expire_account(store, config, 1, NOW, dry=True)) == [("Junk", 1), ("Trash", 1)]
        assert (await counts(world))["Trash"] == 2
        await Keeper(world.context, clock=lambda: NOW).walk()
        assert await counts(world) == {"INBOX": 2, "Trash": 1, "Junk": 1, "Trash/Old": 2, "Archive": 2}
        assert await counts(world, 2) == {}
        # Expired messages have their second chance like others: the store's own clock says when they went.
        assert (await retained(world), await retained(world, 2)) == (2, 3)
        assert await world.store.call(world.store.core.recover(1), write=True) == 2
        assert (await counts(world))["Trash"] == 2

    run(tmp_path, test)


def test_rules_by_name_go_before_those_by_use(tmp_path: Path) -> None:
    rules = (ExpireConfig("\\Trash", 10 * DAY), ExpireConfig("Trash", 20 * DAY), ExpireConfig("inbox", 30 * DAY))

    async def test(world: World) -> None:
        for mailbox in ("INBOX", "Trash", "Junk"):
            await put(world, mailbox, 5 * DAY, 15 * DAY, 25 * DAY, 35 * DAY)
        mailboxes = await world.store.call(world.store.core.list_mailboxes(1))
        found = {mailbox.name: rule_of(world.context.config, mailbox) for mailbox in mailboxes}
        assert {name: rule.after / DAY for name, rule in found.items() if rule} == {"INBOX": 30, "Trash": 20}
        await Keeper(world.context, clock=lambda: NOW).walk()
        assert await counts(world) == {"INBOX": 3, "Trash": 2, "Junk": 4}

    run(tmp_path, test, expire=rules)


def test_old_messages_behind_newer_ones_expire_too(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await put(world, "Trash", *[1 * DAY] * 100, 40 * DAY)
        await Keeper(world.context, clock=lambda: NOW).walk()
        assert await counts(world) == {"Trash": 100}

    run(tmp_path, test)


def test_no_rules_no_expiry(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await put(world, "Trash", 9000 * DAY)
        await Keeper(world.context, clock=lambda: NOW).walk()
        assert await counts(world) == {"Trash": 1}

    run(tmp_path, test, expire=())


def test_retained_messages_go_when_their_time_has_passed(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await expunge_some(world)
        (first, *_) = await world.store.call(world.store.core.retained(1))
        now = float(first.expunged)
        keeper = Keeper(world.context, clock=lambda: now)
        now += 13 * DAY
        await keeper.walk()
        assert await retained(world) == 4
        now += 2 * DAY
        await keeper.walk()
        assert await retained(world) == 0

    run(tmp_path, test, expire=())


def test_a_full_disk_shortens_second_chances_step_by_step(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await expunge_some(world)
        (first, *_) = await world.store.call(world.store.core.retained(1))
        now = float(first.expunged) + 4 * DAY
        keeper = Keeper(world.context, clock=lambda: now)
        await keeper.relieve()
        assert await retained(world) == 4  # there is room
        config = world.context.config
        full = dataclasses.replace(config, store=dataclasses.replace(config.store, min_free=2**50))
        world.context.config = full
        await keeper.relieve()  # 7 days are kept
        assert await retained(world) == 4
        await keeper.relieve()  # 3.5 days
        assert await retained(world) == 0
        await expunge_some(world)
        now = float((await world.store.call(world.store.core.retained(1)))[0].expunged) + 1
        for _ in range(HALVINGS_MAX):
            await keeper.relieve()
        assert await retained(world) == 0  # nothing is kept any more
        world.context.config = config
        await keeper.relieve()
        await expunge_some(world)
        await keeper.walk()
        assert await retained(world) == 4

    run(tmp_path, test, expire=())


def test_one_account_stops_no_other(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await put(world, "Trash", 40 * DAY)
        await put(world, "Trash", 40 * DAY, account=2)
        await put(world, "Trash", 40 * DAY, account=3)
        # Account 1 is removed as soon as the walk begins.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Keeper(world.context, clock=lambda: NOW).walk)
            await world.store.call(world.store.core.remove_account(1), write=True)
        assert await world.store.call(world.store.core.accounts()) == [2, 3]
        assert not [line for line in world.log.lines if line[0] != "info"]
        assert (await counts(world, 2), await counts(world, 3)) == ({}, {})
        # One whose walk fails is told, and those behind it are reached.
        await put(world, "Trash", 40 * DAY, account=2)
        await put(world, "Trash", 40 * DAY, account=3)
        keeper = Keeper(world.context, clock=lambda: NOW)
        expire = keeper._expire

        async def fails(account: int) -> int:
            if account == 2:
                raise _core.StoreCorrupt("a row is damaged")
            return await expire(account)

        keeper._expire = fails  # type: ignore[method-assign]
        await keeper.walk()
        assert [fields["account"] for _, event, fields in world.log.lines if event == "account not tidied"] == [2]
        assert await counts(world, 3) == {}

    run(tmp_path, test)


async def expunge_some(world: World) -> None:
    core, store = world.store.core, world.store
    await put(world, "INBOX", 1.0, 2.0, 3.0, 4.0)
    view = await store.call(core.open_view(1, "INBOX", False), write=True)
    uids = [uid for uid, _ in await store.call(core.messages(view))]
    await store.call(core.expunge_uids(view, uids), write=True)
