"""StoreClient over a store that completes tickets by hand."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from ironpost.store.client import BATCH_RESULTS, OutcomeUnknown, StoreClient


class HandStore:
    """The part of `_core.Store` that the pump uses."""

    def __init__(self) -> None:
        self.eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.finished: list[tuple[int, object]] = []
        self.cancelled: list[int] = []
        self.dirty: list[tuple[int, int]] = []
        self.looks = 0
        self.free = 1000

    def complete(self, *results: tuple[int, object]) -> None:
        if not self.finished:
            os.eventfd_write(self.eventfd, 1)
        self.finished.extend(results)

    def completions(self, limit: int = 256) -> list[tuple[int, object]]:
        try:
            os.eventfd_read(self.eventfd)
        except BlockingIOError:
            pass
        taken, self.finished = self.finished[:limit], self.finished[limit:]
        return taken

    def take_dirty(self) -> list[tuple[int, int]]:
        dirty, self.dirty = self.dirty, []
        return dirty

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)

    def free_bytes(self) -> int:
        self.looks += 1
        return self.free

    def oldest_commit_age(self) -> float:
        return 0.0


def run(test: Callable[[HandStore, StoreClient, list[Any]], Awaitable[None]]) -> None:
    async def main() -> None:
        core = HandStore()
        client = StoreClient(core)  # type: ignore[arg-type]
        dirty: list[Any] = []
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(client.run, dirty.append)
                await test(core, client, dirty)
                nursery.cancel_scope.cancel()
        finally:
            os.close(core.eventfd)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.05))


def test_results_reach_their_tasks_in_any_order() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        got: dict[int, object] = {}

        async def ask(ticket: int, write: bool) -> None:
            got[ticket] = await client.call(ticket, write=write)

        async with trio.open_nursery() as nursery:
            for ticket in range(6):
                nursery.start_soon(ask, ticket, ticket % 2 == 0)
            await trio.testing.wait_all_tasks_blocked()
            core.dirty = [(1, 2)]
            core.complete(*[(ticket, ticket * 10) for ticket in (3, 0, 5, 1, 4, 2)])
        assert got == {ticket: ticket * 10 for ticket in range(6)}
        assert dirty == [[(1, 2)]]

    run(test)


def test_more_results_than_a_batch() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        count = 2 * BATCH_RESULTS + 3
        got: list[object] = []

        async def ask(ticket: int) -> None:
            got.append(await client.call(ticket))

        async with trio.open_nursery() as nursery:
            for ticket in range(count):
                nursery.start_soon(ask, ticket)
            await trio.testing.wait_all_tasks_blocked()
            core.complete(*[(ticket, ticket) for ticket in range(count)])
        assert sorted(got) == list(range(count))  # type: ignore[type-var]

    run(test)


def test_errors_are_raised() -> None:
    class StoreError(Exception):
        pass

    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        core.complete((7, StoreError("no")))
        with pytest.raises(StoreError):
            await client.call(7, write=True)

    run(test)


def test_cancelled_read_tells_the_store_and_its_late_result_is_dropped() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        with trio.move_on_after(1) as scope:
            await client.call(1)
        assert scope.cancelled_caught
        assert core.cancelled == [1]
        core.complete((1, "late"), (2, "in time"))
        assert await client.call(2) == "in time"

    run(test)


def test_cancelled_write_is_awaited_all_the_same() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        async def complete_later() -> None:
            await trio.sleep(5)
            core.complete((1, "done"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(complete_later)
            with trio.move_on_after(1):
                assert await client.call(1, write=True) == "done"
        assert trio.current_time() == pytest.approx(5, abs=0.5)
        assert core.cancelled == []

    run(test)


def test_write_past_its_limit_has_an_unknown_outcome() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        start = trio.current_time()

        async def second() -> None:
            await trio.sleep(10)
            with pytest.raises(OutcomeUnknown):
                await client.call(2, write=True)
            assert trio.current_time() - start == pytest.approx(40, abs=0.5)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(second)
            with pytest.raises(OutcomeUnknown):
                await client.call(1, write=True)
            assert trio.current_time() - start == pytest.approx(30, abs=0.5)
        core.complete((1, "too late"), (3, "fine"))
        assert await client.call(3, write=True) == "fine"

    run(test)


def test_stopping_ends_those_who_wait() -> None:
    async def main() -> None:
        core = HandStore()
        client = StoreClient(core)  # type: ignore[arg-type]
        async with trio.open_nursery() as outer:

            async def wait() -> None:
                with pytest.raises(OutcomeUnknown):
                    await client.call(1, write=True)

            async with trio.open_nursery() as nursery:
                await nursery.start(client.run, len)
                outer.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        with pytest.raises(OutcomeUnknown):
            await client.call(2)
        os.close(core.eventfd)

    trio.run(main)


def test_condition_looks_seldom() -> None:
    async def test(core: HandStore, client: StoreClient, dirty: list[Any]) -> None:
        assert [client.condition(500) for _ in range(10)] == ["ok"] * 10
        assert core.looks == 1
        assert client.condition(2000) == "full"
        core.free = 0
        await trio.sleep(1)
        assert client.condition(500) == "full"

    run(test)


async def test_many_writes_are_awaited_together() -> None:
    store = HandStore()
    client = StoreClient(store, commit_limit=50.0)  # type: ignore[arg-type]
    got: list[Any] = []
    failure = RuntimeError("refused")

    async def wait() -> None:
        got.append(await client.call_all([1, 2, 3]))
        got.append(await client.call_all([]))

    async with trio.open_nursery() as nursery:
        await nursery.start(client.run, lambda _: None)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        store.complete((3, "c"), (1, failure))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert got == []
        store.complete((2, "b"), (99, "nobody's"))
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert got == [[failure, "b", "c"], []]
        nursery.cancel_scope.cancel()
    os.close(store.eventfd)


@pytest.mark.autojump
async def test_many_writes_have_the_same_limit() -> None:
    store = HandStore()
    client = StoreClient(store, commit_limit=5.0)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run, lambda _: None)
        results = await client.call_all([1, 2])
        assert [type(result) for result in results] == [OutcomeUnknown, OutcomeUnknown]
        nursery.cancel_scope.cancel()
    os.close(store.eventfd)
