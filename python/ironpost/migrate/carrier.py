"""One connection of a migration and what it is at: scanning a folder, fetching messages, waiting for the others.

A connection that breaks is made again, and what it was about is asked for again. A message at which it breaks each time is
given up by name, so that the others need not wait for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from .. import _core
from .connection import Broken, Connection, SourceRefused
from .job import AHEAD_MESSAGES, Batch, FolderJob

if TYPE_CHECKING:
    from .transfer import Migration

WINDOW_MESSAGES: Final = 1000  # of one scan
ATTEMPTS: Final = 6  # to connect again: with the pauses about a minute
BREAKS_MAX: Final = 3  # at the same message
AHEAD_COMMANDS: Final = 2  # fetches asked for at once on one connection


class Carrier:
    """One connection and what it is at."""

    def __init__(self, run: Migration, nursery: trio.Nursery, connection: Connection | None) -> None:
        self._run = run
        self._nursery = nursery
        self._connection = connection
        self._storing = trio.Semaphore(1)
        self._scanning: FolderJob | None = None
        self._position = 1  # the message number where scanning goes on

    async def run(self) -> None:
        """Until nothing is left to do."""
        run = self._run
        try:
            while not run.over:
                if run.idle and self._scanning is None:
                    await run.wait()
                    continue
                if self._connection is None:
                    try:
                        self._connection = await run.connect(attempts=1)
                    except (Broken, SourceRefused) as error:
                        # The first one works: this server wants fewer at once.
                        run.report.notes.append(f"fewer connections than asked for: {error}")
                        return
                    continue
                await self._step()
        finally:
            if self._connection is not None:
                if run.over:
                    await self._connection.close()
                else:
                    self._connection.abort()

    async def _step(self) -> None:
        run = self._run
        job = self._scanning
        if job is not None and len(job.wanted) < AHEAD_MESSAGES:
            await self._scan(job)
        elif job is not None or (job := self._mine()) is not None:
            await self._fetch(job)
        elif (job := run.next_folder()) is not None:
            await self._begin(job)
        elif (job := max(run.jobs, key=lambda job: len(job.wanted), default=None)) is not None and job.wanted:
            await self._fetch(job)
        else:
            await trio.lowlevel.checkpoint()

    def _mine(self) -> FolderJob | None:
        """The folder that is open already, when it has work."""
        opened = self._connection.opened if self._connection else None
        return next((job for job in self._run.jobs if job.folder.wire == opened and job.wanted), None)

    async def _again(self) -> Connection:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        self._connection = await self._run.connect()
        return self._connection

    async def _reopen(self, job: FolderJob) -> bool:
        """Connects and opens the folder again. Raises Broken after some attempts."""
        for attempt in range(ATTEMPTS):
            try:
                await self._again()
                return await self._examine(job)
            except Broken:
                if attempt + 1 == ATTEMPTS:
                    raise
        raise AssertionError("ATTEMPTS is positive")

    async def _examine(self, job: FolderJob) -> bool:
        """Opens the folder. False: the server does not let us. Raises Broken."""
        connection = self._connection or await self._again()
        if connection.opened == job.folder.wire:
            return True
        selected = await connection.examine(job.folder.wire)
        if selected is None:
            return False
        if job.examined and selected.uid_validity != job.uid_validity:
            raise SourceRefused(
                f"{job.folder.source} was made anew at the source meanwhile: run the same command again"
            )
        return True

    # -- scanning

    async def _begin(self, job: FolderJob) -> None:
        job.begun = True
        try:
            opened = await self._examine(job)
        except Broken:
            opened = await self._reopen(job)
        connection = self._connection
        if not opened or connection is None:
            job.report.fault(f"{job.folder.source}: the server does not open it")
            job.begun = False
            self._run.changed()
            return
        await self._run.begin(job, connection.wire.selected)
        self._scanning, self._position = job, 1

    async def _scan(self, job: FolderJob) -> None:
        run = self._run
        try:
            if not await self._examine(job) or self._connection is None:
                raise Broken(f"{job.folder.source} cannot be opened any more")
            connection = self._connection
            exists = connection.wire.selected.exists
            first = self._position
            if first > exists:
                self._scanned(job)
                return
            last = min(exists, first + WINDOW_MESSAGES - 1)
            found = await connection.scan(first, last, labels=job.folder.unlabelled)
        except Broken:
            # From the beginning: what has been seen is passed over by its UID.
            await self._again()
            self._position = 1
            return
        if connection.removed:
            # What numbers meant in between is not certain: once more, from where the same messages stand now.
            self._moved(connection)
            return
        if found is None:
            job.report.fault(f"{job.folder.source}: the server does not list messages {first} to {last}")
            found = []
        elif len(found) < last - first + 1:
            job.report.fault(
                f"{job.folder.source}: of {last - first + 1} messages from {first} the server listed {len(found)}"
            )
        self._position = last + 1
        found.sort(key=lambda seen: seen.uid)
        run.noticed(job, found)

    def _moved(self, connection: Connection) -> None:
        """Messages that have gone since let those behind them move up."""
        for number in connection.removed:
            if number < self._position:
                self._position -= 1
        connection.removed.clear()

    def _scanned(self, job: FolderJob) -> None:
        job.scanned = True
        job.index = {}
        self._scanning = None
        self._run.changed()

    # -- fetching

    async def _fetch(self, job: FolderJob) -> None:
        """Fetches batches of one folder, the next asked for before the last has come, until others are better served."""
        asked: deque[tuple[Batch, int]] = deque()
        try:
            while True:
                try:
                    if not await self._examine(job) or self._connection is None:
                        raise Broken(f"{job.folder.source} cannot be opened any more")
                    connection = self._connection
                    while len(asked) < AHEAD_COMMANDS and (batch := self._next(job)) is not None:
                        asked.append((batch, self._ask(connection, batch.missing())))
                    if not asked:
                        return
                    batch, tag = asked[0]
                    await self._take(connection, [batch for batch, _ in asked], tag)
                    await self._take_missing(connection, [batch for batch, _ in asked], job)
                except Broken as error:
                    if asked:
                        self._survive(job, asked[0][0], error)
                    if not await self._reopen(job) or self._connection is None:
                        raise
                    again = self._connection
                    asked = deque((batch, self._ask(again, batch.missing())) for batch, _ in asked)
                    continue
                if self._scanning is job:
                    self._moved(connection)
                # In the hands of the storing task from here on.
                asked.popleft()
                await self._storing.acquire()
                self._nursery.start_soon(self._store, job, batch)
        finally:
            for batch, _ in asked:
                batch.discard()

    def _survive(self, job: FolderJob, batch: Batch, error: Broken) -> None:
        """A message at which the connection breaks each time is given up: the others must not wait for it."""
        missing = batch.missing()
        if not missing:
            return
        batch.breaks = batch.breaks + 1 if batch.suspect == missing[0] else 1
        batch.suspect = missing[0]
        if batch.breaks >= BREAKS_MAX:
            job.report.lost(f"{job.folder.source} UID {batch.suspect}: not fetched: {error}")
            del batch.wanted[batch.suspect]

    def _next(self, job: FolderJob) -> Batch | None:
        if self._scanning is job and len(job.wanted) < AHEAD_MESSAGES:
            return None
        return job.take()

    @staticmethod
    def _ask(connection: Connection, uids: list[int]) -> int:
        return connection.ask_bodies(str(_core.SequenceSet.of(uids))) if uids else connection.wire.noop()

    async def _take(self, connection: Connection, batches: list[Batch], tag: int) -> _core.ImapDone:
        """Reads the answer to one command; messages go to the batch that wants them, also those of the next command."""

        def deliver(message: Any) -> None:
            for batch in batches:
                if message.uid in batch.wanted and message.uid not in batch.got:
                    batch.got[message.uid] = message
                    return
            message.sink.discard()  # never asked for, or sent twice

        def empty(uid: int) -> None:
            for batch in batches:
                if uid in batch.wanted and uid not in batch.got:
                    batch.empty.add(uid)

        return await connection.take_bodies(tag, self._run.target, deliver, empty)

    async def _take_missing(self, connection: Connection, batches: list[Batch], job: FolderJob) -> None:
        """Asks one by one for what the batch lacks, so that one bad message costs no other; names what does not come."""
        batch = batches[0]
        for uid in batch.missing():
            answer = await self._take(connection, batches, self._ask(connection, [uid]))
            if uid in batch.got or uid in batch.empty:
                continue
            if answer.status == "OK":
                job.report.vanished += 1
                job.report.messages -= 1
            else:
                why = answer.text or answer.code or answer.status
                job.report.lost(f"{job.folder.source} UID {uid}: the source does not give it: {why}")
            del batch.wanted[uid]
        for uid in batch.empty:
            job.report.lost(f"{job.folder.source} UID {uid}: the source gives no contents for it")
            del batch.wanted[uid]
        batch.empty.clear()

    async def _store(self, job: FolderJob, batch: Batch) -> None:
        try:
            await self._run.store(job, batch)
        finally:
            self._storing.release()
