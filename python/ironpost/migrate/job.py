"""One folder on its way: what is wanted of it, in which order it is stored, and what was here already."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import trio

from .journal import DIGEST_OCTETS
from .report import FolderReport
from .target import NO_DIGEST, Fact

if TYPE_CHECKING:
    from .connection import Message, Seen
    from .folders import Folder
    from .journal import FolderLog

BATCH_MESSAGES: Final = 250
BATCH_OCTETS: Final = 4 << 20  # one larger message goes alone
AHEAD_MESSAGES: Final = 2000  # scanned and not yet fetched: above it scanning waits


class Batch:
    """Messages that are fetched and stored together."""

    __slots__ = ("breaks", "empty", "got", "number", "suspect", "wanted")

    def __init__(self, number: int, wanted: dict[int, Seen]) -> None:
        self.number = number
        self.wanted = wanted
        self.got: dict[int, Message] = {}
        self.suspect = 0  # the UID at which the connection broke
        self.breaks = 0  # how often it did there
        self.empty: set[int] = set()  # the server has no contents for them

    def missing(self) -> list[int]:
        """UIDs that have not come."""
        return [uid for uid in self.wanted if uid not in self.got and uid not in self.empty]

    def discard(self) -> None:
        """Gives up what has come."""
        for message in self.got.values():
            message.sink.discard()
        self.got.clear()


class FolderJob:
    """State of one folder, shared by all connections."""

    def __init__(self, folder: Folder, count: int) -> None:
        self.folder = folder
        self.count = count  # messages that the source has announced
        self.report = FolderReport(folder.source, folder.target)
        self.begun = False
        self.examined = False  # its numbers are known
        self.scanned = False
        self.uid_validity: int | None = None
        self.uid_next = 0
        self.log: FolderLog
        self.flag_sets: list[tuple[str, ...]] = []  # the journal's
        self.index: dict[int, int] = {}
        self.marks = bytearray()  # of the log's messages: 1 for those that the source still has
        self.wanted: deque[Seen] = deque()
        self.again: set[int] = set()  # UIDs whose storing was refused once
        self.preserve = False  # UIDs of the source are kept
        self.next_uid = 0
        self.changed: dict[tuple[str, ...], list[int]] = {}  # flags to positions in the log
        self.last_uid = 0  # up to where the folder has been scanned
        self._issued = 0
        self._turn = 0
        self._stored = 0
        self._turned = trio.Event()
        self._candidates: dict[tuple[int, bytes], list[Fact]] = {}

    # -- what is wanted

    def take(self) -> Batch | None:
        """The next messages to fetch."""
        chosen: dict[int, Seen] = {}
        octets = 0
        while self.wanted and len(chosen) < BATCH_MESSAGES:
            message = self.wanted[0]
            if message.uid in chosen or (chosen and octets + message.size > BATCH_OCTETS):
                break
            octets += message.size
            chosen[message.uid] = self.wanted.popleft()
        if not chosen:
            return None
        batch = Batch(self._issued, chosen)
        self._issued += 1
        return batch

    @property
    def busy(self) -> bool:
        """May more come to be wanted?"""
        return (self.begun and not self.scanned) or self._stored < self._issued

    # -- in which order it is stored

    async def turn(self, batch: Batch) -> None:
        """UIDs rise: batches are stored in the order in which they were taken."""
        while self._turn != batch.number:
            await self._turned.wait()

    def turned(self) -> None:
        """The batch has been given to the writer; the next may follow."""
        self._turn += 1
        self._turned.set()
        self._turned = trio.Event()

    def stored(self) -> None:
        """The batch is on disk and in the journal."""
        self._stored += 1

    # -- what was here already

    def remember(self, facts: Iterable[Fact], known: set[int]) -> None:
        """Messages here that no record claims: one of them may be what is about to come."""
        for fact in facts:
            if fact.uid not in known:
                self.report.others += 1
                if fact.digest != NO_DIGEST:
                    self._candidates.setdefault((fact.size, fact.digest), []).append(fact)

    def claim(self, message: Message) -> Fact | None:
        """The message here that is the same octet for octet; each is claimed once."""
        found = self._candidates.get((message.size, message.digest[:DIGEST_OCTETS]))
        if not found:
            return None
        self.report.others -= 1
        # The one with the same UID, when there are several.
        at = next((at for at, fact in enumerate(found) if fact.uid == message.uid), 0)
        return found.pop(at)
