"""Threads for the few blocking calls, each kind with a limiter of its own, so that one kind never starves another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio

T = TypeVar("T")
BLOCKING_MAX: Final = 4

_LIMITERS: trio.lowlevel.RunVar[dict[str, trio.CapacityLimiter]] = trio.lowlevel.RunVar("ironpost-limiters")


def limiter(kind: str, tokens: int = BLOCKING_MAX) -> trio.CapacityLimiter:
    """The limiter of this kind of work."""
    try:
        limiters = _LIMITERS.get()
    except LookupError:
        limiters = {}
        _LIMITERS.set(limiters)
    if kind not in limiters:
        limiters[kind] = trio.CapacityLimiter(tokens)
    return limiters[kind]


async def run(kind: str, function: Callable[..., T], *arguments: object) -> T:
    """Runs it in a thread; not abandoned on cancellation: files and locks would be left in between."""
    return await trio.to_thread.run_sync(function, *arguments, limiter=limiter(kind))
