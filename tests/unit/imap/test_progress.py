"""INPROGRESS (RFC 9585): when it is told, what it says, and whose faults come through."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from ironpost import _core
from ironpost.errors import ConnectionLost
from ironpost.imap.progress import INTERVAL_SECONDS, telling

pytestmark = pytest.mark.autojump


class FakeSession:
    """The wire and the stream that `telling` uses."""

    def __init__(self, drain_seconds: float = 0.0, fault: Exception | None = None) -> None:
        self.wire = self
        self.stream = self
        self.lines: list[str] = []
        self.sent = 0
        self.drain_seconds = drain_seconds
        self.fault = fault

    def respond(self, tag: str, status: str, code: str, text: str) -> None:
        self.lines.append(f"{tag} {status} [{code}]")

    async def drain(self, wire: object, limit_seconds: float) -> None:
        await trio.sleep(self.drain_seconds)
        if self.fault is not None:
            raise self.fault
        self.sent = len(self.lines)


def session(**arguments: Any) -> Any:
    return FakeSession(**arguments)


async def lasting(intervals: float) -> bytes:
    await trio.sleep(INTERVAL_SECONDS * intervals)
    return b"* SEARCH 1\r\n"


async def test_a_short_command_says_nothing() -> None:
    one = session()
    assert await telling(one, "a1", lambda: lasting(0.9), lambda: (1, 2)) == b"* SEARCH 1\r\n"
    assert one.lines == []


async def test_a_long_command_tells_how_far_it_is() -> None:
    one = session()
    steps = iter([(0, 0), (5, 100), (100, 100)])
    assert await telling(one, "a1", lambda: lasting(3.5), lambda: next(steps)) == b"* SEARCH 1\r\n"
    assert one.lines == [
        '* OK [INPROGRESS ("a1" NIL NIL)]',
        '* OK [INPROGRESS ("a1" 5 100)]',
        '* OK [INPROGRESS ("a1" 99 100)]',
    ]
    assert one.sent == 3


async def test_a_line_that_is_being_sent_is_sent_whole() -> None:
    one = session(drain_seconds=INTERVAL_SECONDS)
    await telling(one, "a1", lambda: lasting(1.5), lambda: (1, 2))
    assert one.sent == 1


async def test_faults_come_as_they_are() -> None:
    async def missing() -> bytes:
        await trio.sleep(INTERVAL_SECONDS * 1.5)
        raise _core.NotFound("gone")

    with pytest.raises(_core.NotFound):
        await telling(session(), "a1", missing, lambda: (1, 2))
    one = session(fault=ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        await telling(one, "a1", lambda: lasting(1000), lambda: (1, 2))
    assert trio.current_time() < INTERVAL_SECONDS * 10


async def test_cancelling_passes() -> None:
    with trio.move_on_after(INTERVAL_SECONDS * 1.5) as scope:
        await telling(session(), "a1", lambda: lasting(1000), lambda: (1, 2))
    assert scope.cancelled_caught
