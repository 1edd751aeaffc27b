"""Counters of one worker: plain numbers by name, read by `status` through the supervisor's table."""

from __future__ import annotations


class Counters(dict[str, int]):
    """Missing names are 0. Used on the worker's Trio thread alone."""

    __slots__ = ()

    def __missing__(self, name: str) -> int:
        return 0

    def add(self, name: str, count: int = 1) -> None:
        """Counts."""
        self[name] = self.get(name, 0) + count
