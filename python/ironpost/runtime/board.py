"""The board: one shared page in which each worker writes how many connections and watchers it has.

The supervisor makes it (an anonymous memory file) and every worker maps it. It serves two decisions that need no exact
answer: whether another worker had better accept the next connection, and whether a worker has anyone who waits for
hints. A slot is one aligned 64-bit number, written by its owner alone.
"""

from __future__ import annotations

import mmap
import os
from typing import Final

SLOTS_MAX: Final = 256
_CELLS: Final = 2  # connections, watchers
_OCTETS: Final = SLOTS_MAX * _CELLS * 8
_DEAD: Final = 2**63 - 1  # a slot without a living worker


class Board:
    """`slot` counts from 1; slot 0 only looks on."""

    __slots__ = ("_cells", "_slot", "_workers")

    def __init__(self, descriptor: int, slot: int, workers: int) -> None:
        self._cells = memoryview(mmap.mmap(descriptor, _OCTETS)).cast("Q")
        self._slot = slot
        self._workers = workers
        if slot:
            self._cells[(slot - 1) * _CELLS] = 0
            self._cells[(slot - 1) * _CELLS + 1] = 0

    @staticmethod
    def make() -> int:
        """The descriptor of a new board."""
        descriptor = os.memfd_create("ironpost-board", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _OCTETS)
        return descriptor

    def dead(self, slot: int) -> None:
        """The supervisor: nobody lives in this slot now."""
        self._cells[(slot - 1) * _CELLS] = _DEAD
        self._cells[(slot - 1) * _CELLS + 1] = 0

    def connections(self, count: int) -> None:
        """Ours."""
        self._cells[(self._slot - 1) * _CELLS] = count

    def watchers(self, count: int) -> None:
        """Ours."""
        self._cells[(self._slot - 1) * _CELLS + 1] = count

    def watched(self, slot: int) -> bool:
        """Does anyone in that worker wait for hints?"""
        return self._cells[(slot - 1) * _CELLS + 1] > 0

    def excess(self) -> int:
        """By how many connections we are above the least loaded worker."""
        cells = self._cells
        mine = cells[(self._slot - 1) * _CELLS]
        least = min(cells[slot * _CELLS] for slot in range(self._workers))
        return max(0, mine - least)


def local() -> Board:
    """A board for a worker that is alone, and for tests."""
    descriptor = Board.make()
    try:
        return Board(descriptor, 1, 1)
    finally:
        os.close(descriptor)
