"""Lists of mailboxes and people that are gone are let go of; those in use stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from ironpost import _core
from ironpost.state.directory import Directory
from ironpost.state.metadata import Target
from ironpost.testing.people import FakeDirectory
from ironpost.testing.world import World
from ironpost.worker.sweeping import sweep, sweep_annotations, sweep_uidls

SECRET = [{"kind": "argon2id", "hash": "$argon2id$fake"}]


def test_what_is_gone_is_swept(tmp_path: Path) -> None:
    async def main() -> None:
        directory = Directory(tmp_path / "state")
        try:
            await directory.add_domain("own.test")
            for name in ("a", "b", "c"):
                await directory.add_account(f"{name}@own.test", SECRET)
            with trio.fail_after(60):
                async with World.open(tmp_path, FakeDirectory(["a@own.test"])) as world:
                    world.context.directory = directory
                    await fill(world.context, directory.sharing)
        finally:
            directory.close()

    async def fill(context: Any, sharing: Any) -> None:
        core, store = context.store.core, context.store
        made: list[_core.MailboxInfo] = []
        for name in ("kept", "lost"):
            await store.call(core.list_mailboxes(1))
            made.append(await store.call(core.create_mailbox(1, name), write=True))
        kept, lost = made
        for mailbox in (kept.id, lost.id):
            await sharing.change(1, mailbox, 2, False, "=", "lr")
        await sharing.change(1, kept.id, 3, False, "=", "lr")
        await sharing.change(3, 99, 1, False, "=", "lr")
        assert await sweep(context) == 1  # mailbox 99 is not there
        await store.call(core.delete_mailbox(1, "lost"), write=True)
        await context.directory.remove_account("c@own.test")
        assert await sweep(context) == 2
        assert await sweep(context) == 0
        assert sharing.lists(1) == {kept.id: [(2, False, "lr")]}
        assert sharing.shared_with(2) == {1: {kept.id}}
        assert sharing.owners() == [1]
        metadata = context.directory.metadata
        kept_targets = [Target(0, 0, 1), Target(1, kept.id), Target(1, kept.id, 2)]
        lost_targets = [Target(0, 0, 3), Target(1, kept.id, 3), Target(1, lost.id), Target(3, 99)]
        await metadata.set([(target, "/comment", b"x") for target in kept_targets + lost_targets])
        assert await sweep_annotations(context) == 4
        assert await sweep_annotations(context) == 0
        assert metadata.targets() == kept_targets
        uidls = context.directory.uidls
        assert await uidls.set(1, kept.id, 5, [(1, "a")]) == []
        assert await uidls.set(1, lost.id, 5, [(1, "a"), (2, "b")]) == []
        assert await uidls.set(3, 99, 5, [(1, "a")]) == []
        sink = core.sink(size_hint=0)
        await store.write_sink(sink, b"Subject: x\r\n\r\nx\r\n")
        await store.call(core.append(1, "kept", sink, (), None), write=True)
        assert await sweep_uidls(context) == 3
        assert await sweep_uidls(context) == 0
        assert uidls.mailboxes() == [(1, kept.id)]

    trio.run(main)
