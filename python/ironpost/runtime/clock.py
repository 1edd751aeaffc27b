"""The wall clock, handed in so that tests own it. It only makes stamps; limits use Trio's monotonic clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Gives Unix seconds."""

    def now(self) -> float: ...


class SystemClock:
    """The machine's own."""

    __slots__ = ()

    def now(self) -> float:
        """Unix seconds."""
        return time.time()
