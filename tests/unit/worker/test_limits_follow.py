"""The store's limits follow configuration and directory, for many accounts, in bounded steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import trio

from ironpost.config import Config, QuotaConfig, StoreConfig
from ironpost.state.directory import Directory
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import World
from ironpost.worker import roles

SECRET = [{"kind": "argon2id", "hash": "$argon2id$fake"}]
ACCOUNTS = 450  # more than two pages


async def test_limits_follow(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "state")
    try:
        await directory.add_domain("own.test")
        await directory.import_accounts([(f"u{number}@own.test", SECRET) for number in range(ACCOUNTS)])
        await directory.set_account_limits("u7@own.test", {"octets": 777})
        config = Config(
            hostname="mail.own.test",
            directory=tmp_path,
            store=StoreConfig(min_free=0),
            quota=QuotaConfig(account_messages=10),
        )
        async with World.open(tmp_path, FakeDirectory([]), config=config) as world:
            await follow(world, directory)
    finally:
        directory.close()


async def follow(world: World, directory: Directory) -> None:
    context, core = world.context, world.store.core
    context.directory = directory
    people = directory.accounts()
    for account in people[:400]:  # the others have never had mail
        await world.store.call(core.list_mailboxes(account.id))
    assert await context.quotas.reconcile() == 400
    batches = core.metrics()["ops"]
    assert await context.quotas.reconcile() == 0
    assert core.metrics()["ops"] == batches  # nothing is written when nothing has changed
    quota = core.quota(people[0].id)
    assert quota is not None
    assert (quota.group, quota.limit_messages, quota.limit_octets) == ("own.test", 10, 0)
    assert core.quota(people[-1].id) is None
    special = directory.account("u7@own.test")
    assert special is not None
    await context.quotas.ensure((special, people[-1]))
    quota = core.quota(special.id)
    assert quota is not None
    assert (quota.limit_messages, quota.limit_octets) == (10, 777)
    assert core.quota(people[-1].id) is not None  # an account gets its limits before its first message

    # A reload is followed by the janitor, without an edit of the directory.
    world.nursery.start_soon(roles.janitor, context)
    context.config = dataclasses.replace(context.config, quota=QuotaConfig(domain_octets=10**9))
    with trio.fail_after(30):
        while (quota := core.quota(people[0].id)) and quota.limit_messages:  # noqa: ASYNC110
            await trio.sleep(0.05)
    assert core.group_quota("own.test")[3] == 10**9
