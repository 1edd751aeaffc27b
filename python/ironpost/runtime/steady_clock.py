"""A wall clock to delete by: a leap ahead is believed only when it has lasted for a day.

A machine that starts with a wrong clock, or is set to one, would otherwise empty every trash and every second chance at
once. The last time that was believed is kept in a file, so that a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from . import threads
from .clock import Clock
from .durable import write_file
from .logging import Log

__all__ = ["BELIEVED_AFTER_SECONDS", "LEAP_SECONDS", "SteadyClock"]

# Beyond this the clock has leapt, or the machine was off for long; both may wait a day.
LEAP_SECONDS: Final = 3 * 86_400.0
BELIEVED_AFTER_SECONDS: Final = 86_400.0
NOTE_SECONDS: Final = 3600.0  # between two notes in the file


class SteadyClock:
    """Gives Unix seconds that never leap ahead by more than LEAP_SECONDS without having done so for BELIEVED_AFTER_SECONDS.

    Behind the machine's clock it goes as fast as time does; ahead of it never.
    """

    def __init__(
        self, file: Path, wall: Clock, log: Log, *, monotonic: Callable[[], float] = trio.current_time
    ) -> None:
        self._file = file
        self._wall = wall
        self._log = log
        self._monotonic = monotonic
        self._moment = monotonic()
        self._believed = self._noted()
        self._doubted_since: float | None = None

    def now(self) -> float:
        """Unix seconds to delete by."""
        wall, moment = self._wall.now(), self._monotonic()
        if self._believed is None:
            self._believed = wall
        expected = self._believed + (moment - self._moment)
        self._moment = moment
        if wall <= expected + LEAP_SECONDS:
            self._doubted_since = None
            self._believed = wall
        elif self._doubted_since is None:
            self._doubted_since = moment
            self._believed = expected
            self._log.warning(
                "the clock is far ahead of where it was: nothing is deleted by it for a day",
                ahead_seconds=int(wall - expected),
            )
        elif moment - self._doubted_since >= BELIEVED_AFTER_SECONDS:
            self._log.warning("the clock is believed again", ahead_seconds=int(wall - expected))
            self._doubted_since = None
            self._believed = wall
        else:
            self._believed = expected
        return self._believed

    async def keep(self) -> None:
        """Notes the time, again and again, until cancelled."""
        while True:
            try:
                await threads.run("clock", write_file, self._file, b"%d\n" % int(self.now()))
            except OSError as error:
                self._log.warning("time not noted", file=str(self._file), why=str(error))
            await trio.sleep(NOTE_SECONDS)

    def _noted(self) -> float | None:
        try:
            return float(int(self._file.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._log.warning("noted time unreadable, the machine's is believed", file=str(self._file), why=str(error))
            return None
