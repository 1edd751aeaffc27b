"""Upkeep of the store in the background: a sample check after a crash, compaction, and the slow scrub; and of the directory:
access control lists whose mailboxes are gone.

A role of its own (`roles.hold`), held by one worker. Everything here goes at a bounded rate and stands back while mail
waits for the writer; a fault is logged and tried again later. What the scrub finds is logged and counted, and stays in
`ironpost status` until a later walk reads the same record whole.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from ..runtime import threads
from . import sweeping

if TYPE_CHECKING:
    from ..context import WorkerContext

COMPACT_SECONDS: Final = 600.0  # between two looks for packs that are mostly dead
SCRUB_STRETCH_OCTETS: Final = 4 << 20  # read by one job
FAULT_SECONDS: Final = 60.0
POSITION_NAME: Final = "scrub-position"  # in the state folder: where the walk goes on after a restart
POSITION_EVERY: Final = 64  # stretches between two notes of the position
PROBLEMS_LOGGED_MAX: Final = 100  # of one walk


async def run(context: WorkerContext) -> None:
    """Until cancelled."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sample, context)
        nursery.start_soon(_compact, context)
        nursery.start_soon(_scrub, context)
        nursery.start_soon(sweeping.run, context)


async def _sample(context: WorkerContext) -> None:
    """After a crash: a few of everything, so that damage is told at once and not by the first reader."""
    from ironpost import _core

    core = context.store.core
    if core.recovery.startswith("dead writers 0,"):
        return
    try:
        report = await context.store.call(core.check_sample())
    except _core.StoreFailed:
        raise
    except _core.StoreError as error:
        context.log.warning("sample check not made", why=str(error))
        return
    for problem in report.problems:
        context.log.error("store damaged", problem=problem)
    context.log.info(
        "sample checked", mailboxes=report.mailboxes, messages=report.messages, problems=len(report.problems)
    )


async def _compact(context: WorkerContext) -> None:
    from ironpost import _core

    core = context.store.core
    while True:
        await trio.sleep(COMPACT_SECONDS)
        rate = context.config.store.compact_rate
        if not rate:
            continue
        try:
            done = await context.store.call(core.compact(rate=rate))
        except _core.StoreFailed:
            raise
        except (_core.Refused, _core.StoreBusy):
            continue  # another process is at it
        except _core.StoreError as error:
            context.log.warning("compaction failed", why=str(error))
            continue
        if done["packs"] or done["damaged"]:
            context.log.info("compacted", packs=done["packs"], copied=done["copied"], freed=done["freed"])
        for problem in done["damaged"]:
            context.log.error("store damaged", problem=problem)


async def _scrub(context: WorkerContext) -> None:
    """Reads everything, over and over, at `store.scrub_rate` octets a second."""
    from ironpost import _core

    core = context.store.core
    note = context.config.state_folder / POSITION_NAME
    after = await threads.run("state", _noted, note)
    stretches = problems = 0
    while True:
        rate = context.config.store.scrub_rate
        if not rate:
            await trio.sleep(FAULT_SECONDS)
            continue
        began = trio.current_time()
        try:
            done: dict[str, Any] = await context.store.call(core.scrub(after, min(SCRUB_STRETCH_OCTETS, rate * 4)))
        except _core.StoreFailed:
            raise
        except _core.StoreError as error:
            context.log.warning("scrub interrupted", why=str(error))
            await trio.sleep(FAULT_SECONDS)
            continue
        for problem in done["problems"][: max(0, PROBLEMS_LOGGED_MAX - problems)]:
            context.log.error("store damaged", problem=problem)
        problems += len(done["problems"])
        context.counters.add("scrub.blobs", done["blobs"])
        context.counters.add("scrub.problems", len(done["problems"]))
        after = done["after"]
        stretches += 1
        if after == 0:
            context.log.info("scrub has read everything", problems=problems)
            problems = 0
        if after == 0 or stretches % POSITION_EVERY == 0:
            await threads.run("state", _put_down, note, after)
        spent = trio.current_time() - began
        pause = done["octets"] / rate - spent
        await trio.sleep(max(pause, 0.0) if after else max(pause, FAULT_SECONDS))


def _noted(note: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return max(0, int(note.read_text()))
    return 0


def _put_down(note: Path, after: int) -> None:
    """A lost note only means that the walk begins anew, so that it needs no sync."""
    with contextlib.suppress(OSError):
        fresh = note.with_name(f"{note.name}.{time.monotonic_ns()}")
        fresh.write_text(str(after))
        fresh.rename(note)
