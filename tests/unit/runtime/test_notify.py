"""Hints: to watchers of this worker at once, to those of others by datagram, merged and never lost for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ironpost.config import LimitsConfig
from ironpost.runtime import notify
from ironpost.runtime.board import Board
from ironpost.runtime.limits import Limits
from ironpost.runtime.notify import HintBus


class Watcher:
    """Counts its wakes."""

    def __init__(self) -> None:
        self.count = 0
        self.event = trio.Event()

    def wake(self) -> None:
        self.count += 1
        self.event.set()

    async def woken(self) -> None:
        await self.event.wait()
        self.event = trio.Event()


@pytest.fixture
def boards() -> list[Board]:
    descriptor = Board.make()
    return [Board(descriptor, slot, 2) for slot in (1, 2)]


def pair(folder: Path, boards: list[Board]) -> list[HintBus]:
    return [HintBus(folder, slot, 2, board=boards[slot - 1]) for slot in (1, 2)]


async def test_watchers_here(tmp_path: Path) -> None:
    bus = HintBus(tmp_path, 1, 1)
    one, other, any_ = Watcher(), Watcher(), Watcher()
    bus.subscribe(one, [(7, 3)], one.wake)
    bus.subscribe(other, [(7, 4)], other.wake)
    bus.subscribe(any_, [(7, 0)], any_.wake)
    bus.publish([(7, 3), (8, 3)])
    assert (one.count, other.count, any_.count) == (1, 0, 1)
    bus.subscribe(one, [(7, 4)], one.wake)  # replaces the former
    bus.publish([(7, 3)])
    assert (one.count, any_.count) == (1, 2)
    bus.unsubscribe(one)
    bus.unsubscribe(one)
    bus.publish([(7, 4)])
    assert (one.count, other.count) == (1, 1)
    bus.everything()
    assert (other.count, any_.count) == (2, 4)
    bus.close()


async def test_watchers_elsewhere(tmp_path: Path, boards: list[Board]) -> None:
    here, there = pair(tmp_path, boards)
    watcher = Watcher()
    there.subscribe(watcher, [(7, 3)], watcher.wake)
    async with trio.open_nursery() as nursery:
        await nursery.start(here.run)
        await nursery.start(there.run)
        here.publish([(7, 3)])
        await watcher.woken()
        here.relay_hint()
        await here.wait_relay()
        await there.wait_relay()
        nursery.cancel_scope.cancel()


async def test_nothing_is_lost_when_a_queue_is_full(tmp_path: Path, boards: list[Board]) -> None:
    here, there = pair(tmp_path, boards)
    count = notify.DIRTY_MAX + 1000
    watchers = [Watcher() for _ in range(count)]
    for number, watcher in enumerate(watchers):
        there.subscribe(watcher, [(number, 1)], watcher.wake)
    async with trio.open_nursery() as nursery:
        await nursery.start(here.run)
        for number in range(count):  # the other does not read yet: its queue of datagrams fills
            here.publish([(number, 1)])
        await nursery.start(there.run)
        with trio.fail_after(10):
            for watcher in watchers:
                await watcher.woken()
        nursery.cancel_scope.cancel()


async def test_a_peer_may_come_late_and_anew(tmp_path: Path, boards: list[Board]) -> None:
    here = HintBus(tmp_path, 1, 2, board=boards[0])
    boards[1].watchers(1)
    here.publish([(1, 1)])  # nobody there: forgotten
    for _ in range(2):
        there = HintBus(tmp_path, 2, 2, board=boards[1])
        watcher = Watcher()
        there.subscribe(watcher, [(1, 1)], watcher.wake)
        async with trio.open_nursery() as nursery:
            await nursery.start(there.run)
            here.publish([(1, 1)])
            await watcher.woken()
            nursery.cancel_scope.cancel()
    here.close()


async def test_limits_are_exchanged(tmp_path: Path, boards: list[Board]) -> None:
    buses = pair(tmp_path, boards)
    limits = [Limits(LimitsConfig(failed_logins_per_account=1, connections_per_address=1)) for _ in buses]
    for bus, registry in zip(buses, limits, strict=True):
        bus.carry(registry)
    async with trio.open_nursery() as nursery:
        await nursery.start(buses[0].run)
        assert limits[0].connect("192.0.2.1")
        await nursery.start(buses[1].run)
        limits[0].login_failed("192.0.2.1", "alice", trio.current_time())
        with trio.fail_after(10):
            while limits[1].connect("192.0.2.1"):
                limits[1].disconnect("192.0.2.1")
                await trio.lowlevel.checkpoint()
            while not limits[1].login_closed_for_account("alice", trio.current_time()):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_the_slow_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "POLL_SECONDS", 0.01)
    bus = HintBus(tmp_path, 1, 1)
    watcher = Watcher()
    bus.subscribe(watcher, [(1, 1)], watcher.wake)
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        await watcher.woken()
        nursery.cancel_scope.cancel()


async def test_long_paths(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    descriptor = Board.make()
    here, there = (HintBus(folder, slot, 2, board=Board(descriptor, slot, 2)) for slot in (1, 2))
    watcher = Watcher()
    there.subscribe(watcher, [(1, 1)], watcher.wake)
    async with trio.open_nursery() as nursery:
        await nursery.start(there.run)
        here.publish([(1, 1)])
        await watcher.woken()
        nursery.cancel_scope.cancel()
    here.close()


OTHER_PROCESS = """
import os, sys, trio
from pathlib import Path
from ironpost.runtime.board import Board
from ironpost.runtime.notify import HintBus
async def main():
    bus = HintBus(Path(sys.argv[1]), 2, 2, board=Board(int(sys.argv[2]), 2, 2))
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        token = trio.lowlevel.current_trio_token()
        woken = trio.Event()
        bus.subscribe(woken, [(5, 6)], woken.set)
        print("watching", flush=True)
        await woken.wait()
        print("woken", flush=True)
        nursery.cancel_scope.cancel()
trio.run(main)
"""


async def test_two_processes(tmp_path: Path) -> None:
    descriptor = Board.make()
    bus = HintBus(tmp_path, 1, 2, board=Board(descriptor, 1, 2))
    with subprocess.Popen(  # noqa: ASYNC220 - nothing else runs here meanwhile
        [sys.executable, "-c", OTHER_PROCESS, str(tmp_path), str(descriptor)],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=[descriptor],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "watching\n"
        bus.publish([(5, 6)])
        assert other.stdout.readline() == "woken\n"
    bus.close()
