"""The builder's loop: over a hand-made store for its pace, over a real one for what it builds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from ironpost import _core
from ironpost.config.schema import StoreConfig
from ironpost.testing.people import FakeDirectory, ListLog
from ironpost.testing.world import World
from ironpost.worker import indexing


class ScriptedStore:
    """Steps that take a second each and answer what the script says; readers wait while `busy`."""

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.asked: list[float] = []
        self.busy = False
        self.core = self

    def index_step(self) -> int:
        self.asked.append(trio.current_time())
        return len(self.asked)

    async def call(self, ticket: int) -> Any:
        await trio.sleep(1.0)
        answer = self.script[min(ticket, len(self.script)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def metrics(self) -> dict[str, int]:
        return {"reads_waiting": int(self.busy)}

    def oldest_commit_age(self) -> float:
        return 0.0


def asked_within(store: ScriptedStore, seconds: float, log: ListLog | None = None, enabled: bool = True) -> list[float]:
    context = SimpleNamespace(
        store=store,
        config=SimpleNamespace(store=dataclasses.replace(StoreConfig(), search_index=enabled)),
        log=log or ListLog(),
    )

    async def main() -> None:
        start = trio.current_time()
        with trio.move_on_after(seconds):
            await indexing.run(context)  # type: ignore[arg-type]
        store.asked = [round(moment - start, 3) for moment in store.asked]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return store.asked


def test_half_of_the_time_is_left_to_others() -> None:
    assert asked_within(ScriptedStore([(100, 0, True), (5, 0, True), (0, 0, False)]), 16) == [0, 2, 4, 15]


def test_busy_readers_slow_it_down() -> None:
    store = ScriptedStore([(100, 0, True)])
    store.busy = True
    assert asked_within(store, 11) == [0, 5, 10]


def test_a_fault_is_told_and_waited_out() -> None:
    log = ListLog()
    assert asked_within(ScriptedStore([_core.StoreError("the disk is full")]), 62, log) == [0, 61]
    assert [line[0] for line in log.lines] == ["warning", "warning"][: len(log.lines)]
    assert log.lines


def test_a_failed_store_ends_it() -> None:
    with pytest.raises(_core.StoreFailed):
        asked_within(ScriptedStore([_core.StoreFailed("gone")]), 5)


def test_it_can_be_turned_off() -> None:
    assert asked_within(ScriptedStore([(0, 0, False)]), 30, enabled=False) == []


def test_a_real_store_is_covered(tmp_path: Path) -> None:
    async def main() -> None:
        async with World.open(tmp_path, FakeDirectory([])) as world:
            core = world.store.core
            for number in range(140):
                sink = core.sink()
                sink.write(b"Subject: s%d\r\n\r\nsome words about gooseberries\r\n" % number)
                ticket = core.submit(sink, deliveries=[(7, "INBOX", b"", ())])
                await world.store.call(ticket, write=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(indexing.run, world.context)
                with trio.fail_after(60):
                    while core.metrics()["search_documents"] < 140:  # noqa: ASYNC110 - the store has no event for this
                        await trio.sleep(0.02)
                nursery.cancel_scope.cancel()
            assert core.metrics()["search_waiting"] == 0
            assert core.metrics()["search_octets"] > 0

    trio.run(main)
    assert list((tmp_path / "store" / "search" / "7").glob("*.seg"))
