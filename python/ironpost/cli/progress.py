"""A progress bar for long commands: one line on standard error, drawn only for people.

When standard error is no terminal nothing is drawn but the last line, so that logs stay short.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Final, TextIO

from .common import octets as readable
from .common import span

REDRAW_SECONDS: Final = 0.1
BAR_COLUMNS: Final = 24


class Progress:
    """Counts what is done of `total` (None: unknown) and shows rate and time left.

    Not for several threads at once. `enabled` None: draw when standard error is a terminal.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        unit: str = "messages",
        *,
        enabled: bool | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0
        self.octets = 0
        self._stream = stream or sys.stderr
        self._enabled = self._stream.isatty() if enabled is None else enabled
        self._began = time.monotonic()
        self._drawn = 0.0
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._enabled and self._width:
            self._write("")
            self._stream.write("\r")
        self._stream.write(f"{self._summary()}{'' if kind is None else ', interrupted'}\n")
        self._stream.flush()

    def set_total(self, total: int) -> None:
        """What there is to do, once it is known."""
        self.total = total
        self._redraw()

    def advance(self, count: int = 1, octets: int = 0) -> None:
        """So much more is done."""
        self.done += count
        self.octets += octets
        self._redraw()

    def note(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._enabled and self._width:
            self._write("")
            self._stream.write("\r")
        self._stream.write(f"{text}\n")
        self._drawn = 0.0
        self._redraw()

    def _redraw(self) -> None:
        now = time.monotonic()
        if not self._enabled or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        elapsed = now - self._began
        parts = [f"{self.label}:"]
        if self.total:
            share = min(1.0, self.done / self.total)
            filled = int(share * BAR_COLUMNS)
            parts.append(f"[{'#' * filled}{'.' * (BAR_COLUMNS - filled)}] {share:4.0%}")
            parts.append(f"{self.done}/{self.total} {self.unit}")
        else:
            parts.append(f"{self.done} {self.unit}")
        if elapsed > 0 and self.done:
            parts.append(f"{self.done / elapsed:.0f}/s")
            if self.octets:
                parts.append(f"{readable(self.octets / elapsed)}/s")
            if self.total and self.total > self.done:
                parts.append(f"{span(elapsed / self.done * (self.total - self.done))} left")
        self._write(" ".join(parts))
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._width = len(text)

    def _summary(self) -> str:
        elapsed = time.monotonic() - self._began
        size = f", {readable(self.octets)}" if self.octets else ""
        rate = f", {readable(self.octets / elapsed)}/s" if self.octets and elapsed > 0 else ""
        return f"{self.label}: {self.done} {self.unit}{size} in {elapsed:.1f} s{rate}"
