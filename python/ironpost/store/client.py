"""Tickets of the store to awaitables: one pump task serves all sessions of a worker.

The store's threads put finished tickets on a list and write one eventfd; the pump takes the whole list and wakes the
tasks that wait (docs/concurrency.md). It never interprets a result and never opens the store.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio

if TYPE_CHECKING:
    from ironpost import _core

COMMIT_LIMIT_SECONDS: Final = 30.0  # a write that takes longer has an unknown outcome
CONDITION_SECONDS: Final = 0.25  # how old a look at the disk may be
SLOW_COMMIT_SECONDS: Final = 10.0  # a commit that takes longer turns new mail away (architecture.md 12, watchdog)
BATCH_RESULTS: Final = 256  # results made into objects before other tasks get their turn


class OutcomeUnknown(Exception):
    """A write was submitted and its result did not come within the limit: it may or may not be on disk."""


class _Gathered:
    """Tickets whose results one task awaits together."""

    __slots__ = ("awaited", "parked", "results", "task")

    def __init__(self, tickets: Sequence[int], task: trio.lowlevel.Task) -> None:
        self.task = task
        self.awaited = len(tickets)
        self.results: dict[int, Any] = dict.fromkeys(tickets)
        self.parked = False

    def take(self, ticket: int, result: Any) -> None:
        self.results[ticket] = result
        self.awaited -= 1
        if self.parked and not self.awaited:
            self.parked = False
            trio.lowlevel.reschedule(self.task)


class StoreClient:
    """The only way from a Trio task to the store's threads. One per worker, used on its Trio thread alone."""

    __slots__ = (
        "_clock_parked",
        "_clock_task",
        "_closed",
        "_free",
        "_gathered",
        "_looked",
        "_slow",
        "_waiting",
        "_writes",
        "commit_limit",
        "core",
    )

    def __init__(self, core: _core.Store, *, commit_limit: float = COMMIT_LIMIT_SECONDS) -> None:
        self.core = core
        self.commit_limit = commit_limit
        self._waiting: dict[int, trio.lowlevel.Task] = {}
        self._gathered: dict[int, _Gathered] = {}
        self._writes: dict[int, float] = {}  # ticket to deadline, oldest first: the limit is the same for all
        self._clock_task: trio.lowlevel.Task | None = None
        self._clock_parked = False
        self._closed = False
        self._looked = -inf
        self._free = 0
        self._slow = False

    async def run(
        self,
        on_dirty: Callable[[list[tuple[int, int]]], object],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Pumps completions until cancelled; `on_dirty` gets the (account, mailbox) pairs of each batch's commits."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_writes)
                task_status.started()
                await self._pump(on_dirty)
        finally:
            self._closed = True
            unknown = outcome.Error(OutcomeUnknown("the store client has stopped"))
            for task in self._waiting.values():
                trio.lowlevel.reschedule(task, unknown)
            for ticket, gathered in self._gathered.items():
                gathered.take(ticket, unknown.error)
            self._waiting.clear()
            self._gathered.clear()
            self._writes.clear()

    async def call(self, ticket: int, *, write: bool = False) -> Any:
        """The ticket's result. Must be awaited at once: a result that nobody waits for is dropped.

        A read is cancelled with its task. A write is shielded until its result or `commit_limit` has come.
        Raises StoreError of the operation, or OutcomeUnknown.
        """
        if self._closed:
            raise OutcomeUnknown("the store client has stopped")
        self._waiting[ticket] = trio.lowlevel.current_task()
        if write:
            self._writes[ticket] = trio.current_time() + self.commit_limit
            if self._clock_parked and self._clock_task is not None:
                self._clock_parked = False
                trio.lowlevel.reschedule(self._clock_task)
            return await trio.lowlevel.wait_task_rescheduled(_keep)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.pop(ticket, None)
            self.core.cancel(ticket)
            return trio.lowlevel.Abort.SUCCEEDED

        return await trio.lowlevel.wait_task_rescheduled(abort)

    async def call_all(self, tickets: Sequence[int]) -> list[Any]:
        """The results of writes that were submitted together, in order; an exception stands for one that failed.

        Must be awaited at once, as `call`. Shielded until each has its result or `commit_limit` has passed.
        """
        if self._closed:
            raise OutcomeUnknown("the store client has stopped")
        gathered = _Gathered(tickets, trio.lowlevel.current_task())
        deadline = trio.current_time() + self.commit_limit
        for ticket in tickets:
            self._gathered[ticket] = gathered
            self._writes[ticket] = deadline
        if tickets and self._clock_parked and self._clock_task is not None:
            self._clock_parked = False
            trio.lowlevel.reschedule(self._clock_task)
        if gathered.awaited:
            gathered.parked = True
            await trio.lowlevel.wait_task_rescheduled(_keep)
        return [gathered.results[ticket] for ticket in tickets]

    def condition(self, free_octets: int) -> str:
        """What new mail may expect: "ok", "full" (below `free_octets` of free disk), "slow" (a commit hangs).

        Looks at the disk at most four times a second.
        """
        now = trio.current_time()
        if now >= self._looked + CONDITION_SECONDS:
            self._looked = now
            self._free = self.core.free_bytes()
            self._slow = self.core.oldest_commit_age() > SLOW_COMMIT_SECONDS
        if self._free < free_octets:
            return "full"
        return "slow" if self._slow else "ok"

    async def write_sink(self, sink: _core.Sink, data: bytes) -> None:
        """Puts octets of ours into a sink, waiting when it is full."""
        while not sink.write(data):
            await self.call(self.core.wait_sink(sink))
            data = b""  # the sink keeps what it could not take and takes it first

    async def _pump(self, on_dirty: Callable[[list[tuple[int, int]]], object]) -> None:
        core = self.core
        waiting = self._waiting
        writes = self._writes
        reschedule = trio.lowlevel.reschedule
        eventfd = core.eventfd
        while True:
            await trio.lowlevel.wait_readable(eventfd)
            while True:
                finished = core.completions(BATCH_RESULTS)
                for ticket, result in finished:
                    writes.pop(ticket, None)
                    task = waiting.pop(ticket, None)
                    if task is None:
                        gathered = self._gathered.pop(ticket, None)
                        if gathered is not None:  # else cancelled, or given up
                            gathered.take(ticket, result)
                        continue
                    if isinstance(result, BaseException):
                        reschedule(task, outcome.Error(result))
                    else:
                        reschedule(task, outcome.Value(result))
                dirty = core.take_dirty()
                if dirty:
                    on_dirty(dirty)
                if len(finished) < BATCH_RESULTS:
                    break
                await trio.lowlevel.checkpoint()

    async def _watch_writes(self) -> None:
        """Gives up writes past their limit. Sleeps for good while there are none, so that it costs writes nothing."""
        self._clock_task = trio.lowlevel.current_task()
        while True:
            oldest = next(iter(self._writes.items()), None)
            if oldest is None:
                self._clock_parked = True
                await trio.lowlevel.wait_task_rescheduled(self._unpark)
                continue
            ticket, deadline = oldest
            if deadline > trio.current_time():
                await trio.sleep_until(deadline if deadline < inf else trio.current_time() + self.commit_limit)
                continue
            del self._writes[ticket]
            error = OutcomeUnknown(f"no result after {self.commit_limit:g} s")
            task = self._waiting.pop(ticket, None)
            gathered = self._gathered.pop(ticket, None)
            if task is not None:
                trio.lowlevel.reschedule(task, outcome.Error(error))
            if gathered is not None:
                gathered.take(ticket, error)

    def _unpark(self, _: object) -> trio.lowlevel.Abort:
        self._clock_parked = False
        return trio.lowlevel.Abort.SUCCEEDED


def _keep(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
