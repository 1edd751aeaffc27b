"""The builder of the search index: asks the store for one bounded step after another, at most half of the time.

A role of its own (`roles.hold`), held by one worker; the store's own lock keeps other processes out as well. Each step runs
on a low-priority thread of the store (docs/search-index.md). Nothing waits for it: a search is as right without the index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from ..context import WorkerContext

IDLE_SECONDS: Final = 10.0  # between two looks when there was nothing to do
PAUSE_SECONDS: Final = 0.05  # after a step at least
FAULT_SECONDS: Final = 60.0  # after a step that failed: a full disk does not get better by trying
BUSY_FACTOR: Final = 4.0  # how much longer the pause is while readers wait or a commit is slow
SLOW_COMMIT_SECONDS: Final = 0.5


async def run(context: WorkerContext) -> None:
    """Builds until cancelled; does nothing when `store.search_index` is off."""
    from ironpost import _core

    core = context.store.core
    if not context.config.store.search_index:
        await trio.sleep_forever()
    while True:
        began = trio.current_time()
        try:
            documents, merged, more = await context.store.call(core.index_step())
        except _core.StoreFailed:
            raise
        except _core.StoreError as error:
            context.log.warning("search index step failed", why=str(error))
            await trio.sleep(FAULT_SECONDS)
            continue
        if documents or merged:
            context.log.debug("search index", documents=documents, merged=merged)
        if not more:
            await trio.sleep(IDLE_SECONDS)
            continue
        pause = max(PAUSE_SECONDS, trio.current_time() - began)
        is_busy = core.metrics()["reads_waiting"] > 0 or core.oldest_commit_age() > SLOW_COMMIT_SECONDS
        await trio.sleep(pause * BUSY_FACTOR if is_busy else pause)
