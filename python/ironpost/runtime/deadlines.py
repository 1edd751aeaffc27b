"""Time limits of waits on sockets, for all streams of a worker together.

A cancel scope for each wait costs microseconds in a busy session and half a kilobyte in an idle one. Here a wait that
really has to wait notes its deadline in one table; one task sleeps until the earliest and wakes the sockets whose time
has come (`notify_closing` makes their waiters raise ClosedResourceError, which the stream turns into PeerTimeout).
Limits are kept to within GRAIN_SECONDS.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from .stream import MailStream

GRAIN_SECONDS: Final = 0.25  # the table is walked at most this often


class Deadlines:
    """The table. One for each Trio run, made by `current`."""

    __slots__ = ("_next", "_scope", "draining", "table")

    def __init__(self) -> None:
        self.table: dict[MailStream, float] = {}  # stream to deadline on Trio's clock
        self.draining = False
        self._next = inf
        self._scope: trio.CancelScope | None = None

    def note(self, stream: MailStream, deadline: float) -> None:
        """`stream` waits, until `deadline` at most."""
        self.table[stream] = deadline
        if deadline < self._next:
            self._next = deadline
            if self._scope is not None:
                self._scope.deadline = deadline

    def forget(self, stream: MailStream) -> None:
        """`stream` waits no more."""
        self.table.pop(stream, None)

    def drain(self) -> None:
        """The server stops: ends all interruptible waits, now and from now on."""
        self.draining = True
        for stream in [stream for stream in self.table if stream.interruptible]:
            del self.table[stream]
            stream.expire()

    async def run(self) -> None:
        """Wakes those whose time has come, until the Trio run ends."""
        while True:
            with trio.CancelScope(deadline=self._next) as self._scope:
                await trio.sleep_forever()
            now = trio.current_time()
            for stream in [stream for stream, deadline in self.table.items() if deadline <= now]:
                del self.table[stream]
                stream.expire()
            self._next = max(min(self.table.values(), default=inf), now + GRAIN_SECONDS)


_CURRENT: trio.lowlevel.RunVar[Deadlines] = trio.lowlevel.RunVar("ironpost-deadlines")


def current() -> Deadlines:
    """The table of this Trio run; its task is a system task, so that it lives as long as the run."""
    try:
        return _CURRENT.get()
    except LookupError:
        table = Deadlines()
        _CURRENT.set(table)
        trio.lowlevel.spawn_system_task(table.run, name="deadlines of streams")
        return table
