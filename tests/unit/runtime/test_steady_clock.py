"""The clock to delete by: small steps pass, a leap ahead waits, and a restart does not forget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio
import trio.testing

from ironpost.runtime.steady_clock import BELIEVED_AFTER_SECONDS, LEAP_SECONDS, SteadyClock

DAY = 86_400.0
START = 1_800_000_000.0


class Hands:
    """A wall clock and a monotonic one, both ours."""

    def __init__(self) -> None:
        self.wall = START
        self.moment = 5.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.moment

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.moment += seconds


class Log:
    """Counts warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warning(self, event: str, **_: Any) -> None:
        self.warnings.append(event)


def steady(file: Path, hands: Hands) -> tuple[SteadyClock, Log]:
    log = Log()
    return SteadyClock(file, hands, log, monotonic=hands.monotonic), log  # type: ignore[arg-type]


def test_time_that_passes_is_believed(tmp_path: Path) -> None:
    hands = Hands()
    clock, log = steady(tmp_path / "clock", hands)
    for _ in range(100):
        hands.pass_by(DAY)
        assert clock.now() == hands.wall
    hands.wall += LEAP_SECONDS - 1  # summer time, a drifting clock, a weekend in suspension
    assert clock.now() == hands.wall
    hands.wall -= 400 * DAY
    assert clock.now() == hands.wall, "behind is never ahead"
    assert not log.warnings


def test_a_leap_waits_for_a_day_and_may_be_put_right(tmp_path: Path) -> None:
    hands = Hands()
    clock, log = steady(tmp_path / "clock", hands)
    clock.now()
    hands.wall += 1000 * DAY
    hands.pass_by(3600)
    assert clock.now() == START + 3600
    hands.wall -= 1000 * DAY
    hands.pass_by(60)
    assert clock.now() == hands.wall == START + 3660
    hands.wall += 1000 * DAY
    clock.now()
    hands.pass_by(BELIEVED_AFTER_SECONDS - 1)
    assert clock.now() == START + 3660 + BELIEVED_AFTER_SECONDS - 1
    hands.pass_by(1)
    assert clock.now() == hands.wall
    assert len(log.warnings) == 3


def test_a_restart_does_not_forget(tmp_path: Path) -> None:
    hands = Hands()
    file = tmp_path / "clock"

    async def note() -> None:
        clock, _ = steady(file, hands)
        with trio.move_on_after(1):
            await clock.keep()

    trio.run(note, clock=trio.testing.MockClock(autojump_threshold=0.05))
    assert file.read_bytes() == b"%d\n" % START
    hands.wall += 50 * DAY
    clock, log = steady(file, hands)
    assert clock.now() == START
    assert len(log.warnings) == 1


def test_a_spoilt_file_is_told_and_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    file.write_bytes(b"yesterday\n")
    clock, log = steady(file, Hands())
    assert clock.now() == START
    assert len(log.warnings) == 1
