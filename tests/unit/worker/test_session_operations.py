"""The question to all workers: what the dead and the silent cost."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from ironpost.errors import DirectoryError, UserError
from ironpost.identity.presence import Presence, Present, Proof
from ironpost.runtime.logging import Log, LogOptions
from ironpost.runtime.notify import at_path
from ironpost.runtime.stream import Address
from ironpost.state.directory import Account
from ironpost.worker import control, session_operations


def context_of(folder: Path, slot: int) -> Any:
    """A worker with one session."""
    presence = Presence()
    stream: Any = SimpleNamespace(peer=Address("192.0.2.1", 1), dismiss=lambda why: None)
    presence.enter(Present(f"session{slot}", "imap", Account(slot, "a@example.test"), Proof("password", 0), stream))
    directory = SimpleNamespace(account=lambda address: Account(2, address) if address.startswith("a") else None)
    return SimpleNamespace(
        config=SimpleNamespace(runtime_folder=folder), presence=presence, slot=slot, directory=directory
    )


@pytest.mark.autojump
async def test_the_dead_and_the_silent(tmp_path: Path) -> None:
    log = Log(LogOptions("error"))
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as dead:
        at_path(silent.bind, str(tmp_path / session_operations.socket_name(8)))
        silent.listen(1)
        at_path(dead.bind, str(tmp_path / session_operations.socket_name(9)))
        dead.close()
        async with trio.open_nursery() as nursery:
            for slot in (1, 2):
                name = session_operations.socket_name(slot)
                nursery.start_soon(control.serve, tmp_path, context_of(tmp_path, slot), log, name)
            await trio.testing.wait_all_tasks_blocked()
            asking = context_of(tmp_path, 1)
            answer = await session_operations.listed(asking, {})
            assert [(row["id"], row["worker"]) for row in answer["sessions"]] == [("session1", 1), ("session2", 2)]
            assert answer["silent"] == [8]
            answer = await session_operations.listed(asking, {"address": "a@example.test"})
            assert [row["id"] for row in answer["sessions"]] == ["session2"]
            assert await session_operations.revoke(asking, {"id": "session1"}) == {"ended": 1, "silent": [8]}
            with pytest.raises(DirectoryError, match="no account"):
                await session_operations.revoke(asking, {"address": "nobody@example.test"})
            with pytest.raises(UserError, match="needed"):
                await session_operations.revoke(asking, {})
            nursery.cancel_scope.cancel()
