"""Follows long work of the store: shows how far it is, answers what it asks, ends it when the person interrupts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from .progress import Progress

if TYPE_CHECKING:
    from .. import _core
    from ..config import Config

LOOK_SECONDS: Final = 0.1
Numbers = dict[str, int]


def follow(
    task: _core.StoreTask,
    label: str,
    unit: str,
    answer: Callable[[list[tuple[str, str]]], int | None] | None = None,
) -> tuple[Numbers, list[str]]:
    """The task's numbers and texts. Without a label nothing is shown but its notes. Raises StoreError."""
    if not label:
        return _loop(task, None, answer)
    with Progress(label, unit=unit) as bar:
        return _loop(task, bar, answer)


def _loop(
    task: _core.StoreTask, bar: Progress | None, answer: Callable[[list[tuple[str, str]]], int | None] | None
) -> tuple[Numbers, list[str]]:
    from .. import _core
    from .common import complain

    shown = (0, 0)
    try:
        finished = False
        while not finished:
            finished = task.wait(LOOK_SECONDS)
            question = task.question()
            if question is not None:
                finished = False
                task.answer(answer(question) if answer else None)
            for note in task.notes():
                if bar is None:
                    complain(note)
                else:
                    bar.note(f"ironpost: {note}")
            if bar is not None:
                done, octets, total = task.progress()
                if total:
                    bar.set_total(total)
                bar.advance(done - shown[0], octets - shown[1])
                shown = (done, octets)
    except BaseException:
        task.cancel()
        try:
            task.result()
        except _core.StoreError:
            pass  # interrupted, as was asked
        raise
    return task.result()


def opened(directory: Path) -> Config:
    """The configuration; from here on we are whoever owns the data, and the terminal cannot stop us."""
    from ..config import load
    from ..supervisor import privileges

    config = load(directory)
    privileges.drop(config)
    _no_stopping()
    return config


def _no_stopping() -> None:
    """Neither Ctrl-Z nor the terminal of a command in the background may stop a process that has the store open beside a
    server: even one that only reads renews a lease, and while it held the index's writer lock all mail would wait."""
    for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)


class StoreErrors:
    """Faults of the store become the person's line."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        from .. import _core

        if isinstance(error, _core.StoreError):
            raise UserError(f"{self.place}: {error}") from None
