"""The run of a migration: connections that scan folders and fetch messages side by side, and the order of storing.

Each connection is a task. A folder is scanned by one of them, by message numbers in bounded windows; its messages are
fetched by all in batches, stored in the order of their UIDs, and written to the journal once they are on disk. So at any
moment what has come is whole, and a second run takes up where the first was cut off.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import trio

from .. import _core
from ..errors import UserError
from ..runtime import threads
from . import folders
from .carrier import ATTEMPTS, Carrier
from .connection import Broken, Connection, Seen, SourceRefused
from .flags import Keywords
from .job import Batch, FolderJob
from .reconcile import apply_changes, compare
from .report import Report
from .target import Coming, Fact, Target

if TYPE_CHECKING:
    from .journal import FolderLog, Journal
    from .source import Login, Source

CONNECTIONS: Final = 4
PAUSE_SECONDS: Final = 1.0  # doubles with each attempt

Tell = Callable[[dict[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Options:
    """What the person at the command line wants."""

    choice: folders.Choice = field(default_factory=folders.Choice)
    connections: int = CONNECTIONS
    delete_vanished: bool = False
    dry_run: bool = False
    verify: bool = False


class Migration:
    """One run for one account."""

    def __init__(
        self, source: Source, login: Login, target: Target, journal: Journal, options: Options, tell: Tell, address: str
    ) -> None:
        self.source = source
        self.target = target
        self.journal = journal
        self.options = options
        self.keywords = Keywords()
        self.report = Report(str(source), address, dry_run=options.dry_run)
        self.jobs: list[FolderJob] = []
        self._login = login
        self._tell = tell
        self._gmail = False
        self._progress: dict[str, Any] = {"phase": "folders", "total": 0, "done": 0, "octets": 0, "folder": ""}
        self._change = trio.Event()
        self._writing = trio.Lock()
        self._open = 0  # connections

    async def run(self) -> Report:
        """To its end. Raises UserError for what a person must mend; what has come until then stays."""
        began = time.monotonic()
        try:
            first = await self.connect()
            try:
                await self._plan(first)
            except BaseException:
                first.abort()
                raise
            await self._transfer(first)
            await self._finish()
        except SourceRefused as error:
            raise UserError(str(error)) from None
        except Broken as error:
            raise UserError(f"{error} (what has come is kept: run the same command again to go on)") from None
        except _core.StoreFull as error:
            raise UserError(f"no space left: {error} (what has come is kept)") from None
        finally:
            self.report.seconds = time.monotonic() - began
        if self.keywords.dropped:
            names = ", ".join(sorted(self.keywords.dropped)[:20])
            self.report.notes.append(f"keywords beyond the number that an account can have were dropped: {names}")
        return self.report

    # -- the plan

    async def _plan(self, connection: Connection) -> None:
        listed, subscribed, personal, others, told = await connection.folders()
        self._gmail = "X-GM-EXT-1" in connection.wire.capabilities
        here = await self.target.mailboxes() if not self.options.dry_run else []
        special = {info.special_use.lower(): info.name for info in here if info.special_use}
        plan = folders.plan(
            listed,
            subscribed=subscribed,
            personal=personal,
            others=others,
            special=special,
            special_told=told,
            gmail=self._gmail,
            choice=self.options.choice,
        )
        self.report.notes += plan.notes
        if not plan.folders:
            self.report.notes.append("no folder was chosen")
        self._labels = _labels(listed, plan.folders)
        status = await connection.status(folder.wire for folder in plan.folders)
        counts = {wire: items.get("MESSAGES", 0) for wire, items in status.items()}
        self.jobs = [FolderJob(folder, counts.get(folder.wire, 0)) for folder in plan.folders]
        if not self.options.dry_run:
            await self._adopt(plan.folders, {wire: items.get("UIDVALIDITY", 0) for wire, items in status.items()})
        self.report.folders = [job.report for job in self.jobs]
        self._progress.update(phase="messages", total=sum(job.count for job in self.jobs))
        self._told()

    async def _adopt(self, coming: Sequence[folders.Folder], validities: dict[bytes, int]) -> None:
        """Gives the mailboxes here the numbers that they have there.

        A number is free only when no other mailbox of the account has it. One whose turn comes later may hold it, so it is
        tried again; when they hold each other's, one after the other steps aside to a number that nobody wants.
        """
        left = [folder for folder in coming if validities.get(folder.wire)]
        wanted = {validities[folder.wire] for folder in left}
        aside = (number for number in count(1) if number not in wanted)
        while left:
            before, waiting, left = len(left), left, []
            held: dict[int, folders.Folder] = {}
            for folder in waiting:
                number = validities[folder.wire]
                info = await self.target.adopt(folder.target, folder.special_use, uid_validity=number)
                if info.uid_validity != number and info.uid_next == 1:
                    left.append(folder)
                    held[info.uid_validity] = folder
            if len(left) < before:
                continue
            holder = next((held[number] for number in wanted if number in held), None)
            if holder is None:
                return
            await self.target.adopt(holder.target, uid_validity=next(aside))

    def _told(self, **changes: Any) -> None:
        self._progress.update(changes)
        self._tell(dict(self._progress))

    # -- connections

    async def connect(self, attempts: int = ATTEMPTS) -> Connection:
        pause = PAUSE_SECONDS
        for attempt in range(attempts):
            try:
                connection = await Connection.open(self.source, self._login)
            except Broken:
                if attempt + 1 == attempts:
                    raise
                await trio.sleep(pause * random.uniform(0.75, 1.25))
                pause *= 2
            else:
                self._open += 1
                return connection
        raise AssertionError("attempts is positive")

    async def _transfer(self, first: Connection) -> None:
        self._queue = deque(sorted(self.jobs, key=lambda job: -job.count))
        try:
            async with trio.open_nursery() as nursery:
                for number in range(max(1, self.options.connections)):
                    carrier = Carrier(self, nursery, first if number == 0 else None)
                    nursery.start_soon(carrier.run)
        except BaseExceptionGroup as group:
            ours, strange = group.split((Broken, SourceRefused, _core.StoreError))
            if ours is None or strange is not None:
                raise
            raise _leaf(ours) from None

    def changed(self) -> None:
        """Something that another connection may wait for has happened."""
        self._change.set()
        self._change = trio.Event()

    async def wait(self) -> None:
        """For the next change."""
        await self._change.wait()

    def next_folder(self) -> FolderJob | None:
        """A folder that nobody has begun."""
        return self._queue.popleft() if self._queue else None

    @property
    def idle(self) -> bool:
        """Is there nothing to do but to wait for others?"""
        return not self._queue and not any(job.wanted for job in self.jobs)

    @property
    def over(self) -> bool:
        """Is all done?"""
        return self.idle and not any(job.busy for job in self.jobs)

    # -- folders

    async def begin(self, job: FolderJob, selected: _core.ImapSelected) -> None:
        """Makes the mailbox here and looks at what is in it."""
        job.examined = True
        job.uid_validity = selected.uid_validity
        job.uid_next = selected.uid_next or 0
        folder = job.folder
        # Without UIDVALIDITY nothing is known by its number from one run to the next; contents are compared instead.
        validity = selected.uid_validity or random.getrandbits(31)
        if self.options.dry_run:
            log = self.journal.known(folder.wire, validity)
            job.log = log if log is not None else self.journal.folder(folder.wire, validity, 0)
        else:
            info = await self.target.adopt(
                folder.target,
                folder.special_use,
                subscribed=True if folder.subscribed else None,
                uid_validity=selected.uid_validity,
            )
            job.preserve = info.uid_validity == selected.uid_validity
            job.next_uid = info.uid_next
            job.log = self.journal.folder(folder.wire, validity, info.id)
            known = set(job.log.targets)
            view = await self.target.view(folder.target)
            after = 0
            while facts := await self.target.facts(view, after):
                job.remember(facts, known)
                after = facts[-1].uid
        job.report.uids_kept = job.preserve
        job.flag_sets = self.journal.flag_sets
        job.index = job.log.index()
        job.marks = bytearray(len(job.log))

    def noticed(self, job: FolderJob, messages: Sequence[Seen]) -> None:
        """Sorts what a scan has told: known, changed, wanted."""
        report = job.report
        known = 0
        for seen in messages:
            if seen.uid <= job.last_uid:
                continue  # told twice, or before the connection broke
            job.last_uid = seen.uid
            if job.folder.unlabelled and self._covered(seen):
                continue
            report.messages += 1
            at = job.index.get(seen.uid)
            if at is None:
                job.wanted.append(seen)
                continue
            job.marks[at] = 1
            known += 1
            flags = self.keywords.normalised(seen.flags)
            if self.journal.flag_sets[job.log.flags[at]] != flags:
                job.changed.setdefault(flags, []).append(at)
        report.known += known
        if self.options.dry_run:
            report.new += len(job.wanted)
            report.octets += sum(seen.size for seen in job.wanted)
            job.wanted.clear()
        self._progress["done"] += known
        self._told(folder=job.folder.source)
        self.changed()

    def _covered(self, seen: Seen) -> bool:
        """Does another folder that comes hold this message of Gmail's All Mail?"""
        return any(label.lower() in self._labels for label in seen.labels)

    # -- storing

    async def store(self, job: FolderJob, batch: Batch) -> None:
        """Puts a batch into the mailbox when its turn has come, and into the journal when it is on disk."""
        target, log = self.target, job.log
        await job.turn(batch)
        rows: list[tuple[int, int, int, int, bytes]] = []
        coming: list[Coming] = []
        order: list[tuple[Seen, int, bytes, int]] = []
        for uid in sorted(batch.got):
            message, seen = batch.got[uid], batch.wanted[uid]
            flags = self.keywords.normalised(seen.flags)
            number = self.journal.flags(flags)
            claimed = job.claim(message)
            if claimed is not None:
                message.sink.discard()
                self._found(job, claimed, flags, len(log) + len(rows))
                rows.append((uid, claimed.uid, message.size, number, message.digest))
                continue
            keep = uid if job.preserve and uid >= job.next_uid else None
            if keep is not None:
                job.next_uid = keep + 1
            if uid in job.again:
                flags = tuple(flag for flag in flags if flag.startswith("\\"))
                number = self.journal.flags(flags)
            coming.append(Coming(keep, message.sink, flags, seen.internal_date))
            order.append((seen, message.size, message.digest, number))
        tickets = target.submit(job.folder.target, coming)
        job.turned()
        for (seen, size, digest, number), result in zip(order, await target.results(tickets), strict=True):
            if isinstance(result, Exception):
                self._not_stored(job, seen, result)
            else:
                rows.append((seen.uid, result.uid, size, number, digest))
        job.report.new += len(rows)
        if rows:
            await self._write(log, rows, job)
        job.stored()
        self._progress["octets"] += sum(row[2] for row in rows)
        self._progress["done"] += len(rows)
        self._told(folder=job.folder.source)
        self.changed()

    def _found(self, job: FolderJob, fact: Fact, flags: tuple[str, ...], position: int) -> None:
        job.report.found += 1
        job.report.new -= 1
        if tuple(sorted(fact.flags)) != flags:
            job.changed.setdefault(flags, []).append(position)

    def _not_stored(self, job: FolderJob, seen: Seen, error: Exception) -> None:
        if isinstance(error, (_core.StoreFull, _core.StoreFailed)) or not isinstance(error, _core.StoreError):
            raise error
        if seen.uid in job.again:
            job.report.lost(f"{job.folder.source} UID {seen.uid}: not stored: {error}")
            return
        # A delivery has taken the number meanwhile, or there is no room for a keyword: once more without either.
        job.again.add(seen.uid)
        job.preserve = False
        job.wanted.append(seen)

    async def _write(self, log: FolderLog, rows: list[tuple[int, int, int, int, bytes]], job: FolderJob) -> None:
        async with self._writing:
            self.journal.kept(log, rows)
            job.marks.extend(b"\1" * len(rows))
            # Cancelled in between, the journal would lack what is in the store; the next run finds it, at some cost.
            with trio.CancelScope(shield=True):
                await threads.run("migration", self.journal.write, self.journal.take())

    # -- the end

    async def _finish(self) -> None:
        self._told(phase="compare", folder="")
        for job in self.jobs:
            if not job.begun or self.options.dry_run:
                continue
            if not job.scanned:  # said already why
                continue
            await apply_changes(self.target, self.journal, job, delete=self.options.delete_vanished)
            async with self._writing:
                await threads.run("migration", self.journal.write, self.journal.take())
            await compare(self.target, job, verify=self.options.verify, tell=partial(self._told, phase="verify"))
            if job.preserve and job.uid_next:
                await self.target.adopt(job.folder.target, uid_next=job.uid_next)


def _leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of what happened at once."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _labels(listed: Sequence[folders.Listed], coming: Sequence[folders.Folder]) -> set[bytes]:
    """Labels of Gmail whose folders come: their names on the wire, and the special ones."""
    wires = {folder.wire for folder in coming if not folder.unlabelled}
    found = {wire.lower() for wire in wires}
    special = {"\\sent": b"\\sent", "\\drafts": b"\\draft", "\\trash": b"\\trash", "\\junk": b"\\spam"}
    for row in listed:
        if row.wire in wires:
            found.update(label for use, label in special.items() if use in row.attributes)
    if b"INBOX" in wires:
        found.add(b"\\inbox")
    if b"\\draft" in found:
        found.add(b"\\drafts")
    return found
