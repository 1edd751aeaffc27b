"""Puts a source's mail into an account: resumable, without doubles, with a report that accounts for every message.

Run again after an interruption, or after the source has grown, it passes over what is there already. What tells messages
apart is their octets and their internal date, counted: the second of two equal messages is imported as long as the mailbox
holds only one. UIDs can't tell: new mail on both sides may bear the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Protocol

from .. import _core
from ..errors import UserError
from .content import PIECE_OCTETS, Reading
from .model import Folder, Message, MessageFault, Note, Source
from .names import NameMap
from .operations import BATCH_MESSAGES, BATCH_OCTETS, BUSY
from .unique_ids import UniqueIds

BUSY_TRIES: Final = 20
_ATOM: Final = re.compile(r'[!#$&\'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+$')  # fmt: skip
_EMPTY: Final = b""
INBOX: Final = "INBOX"


class Requester(Protocol):
    """The door to the store."""

    def request(self, operation: str, **arguments: Any) -> Any:
        """The result. Raises UserError."""


class Meter(Protocol):
    """The progress bar."""

    def advance(self, count: int = 1, octets: int = 0) -> None:
        """So much more is done."""


@dataclass
class Report:
    """What became of the messages of the source: found = stored + known + left out."""

    format: str = ""
    folders: int = 0
    found: int = 0
    stored: int = 0
    octets: int = 0
    known: int = 0
    left_out: int = 0
    faults: int = 0  # lines about things left out that are no messages
    kept_uids: int = 0
    kept_uidls: int = 0
    subscriptions: int = 0
    notes: int = 0
    names: dict[str, str] = field(default_factory=dict)  # those that had to change

    @property
    def reconciles(self) -> bool:
        """Is every message accounted for?"""
        return self.found == self.stored + self.known + self.left_out


@dataclass
class Wishes:
    """How to import."""

    address: str
    into: str = ""
    only: tuple[str, ...] = ()
    rename: str = ""  # of a source that is one mailbox
    skip_known: bool = True
    dry_run: bool = False
    uidl_pattern: str = ""  # of POP3's unique ids at the old server (`unique_ids`)


class Importer:
    """One run. `say` gets each line of the report when it comes up."""

    def __init__(self, door: Requester, wishes: Wishes, say: Callable[[str], None], meter: Meter) -> None:
        self.report = Report()
        self._door = door
        self.wishes = wishes
        self._say = say
        self._meter = meter
        self._names = NameMap(wishes.into)
        self._present: dict[str, dict[str, Any]] = {}
        self._lock = Lock()
        self._uidls: UniqueIds | None = None  # of the folder that is being read
        self.seen: set[str] = set()  # names of the source's folders that were taken

    def note(self, place: str, text: str, left_out: bool) -> None:
        """A line of the report, as readers give them."""
        self.report.notes += 1
        if left_out:
            self.report.faults += 1
        self._say(f"{place}: {text}{' (left out)' if left_out else ''}")

    def run(self, source: Source) -> Report:
        """Imports. Raises UserError when the store refuses to go on; what was stored stays, and the next run goes on."""
        self.report.format = source.format
        self._present = {info["name"]: info for info in self.ask("mail.folders")}
        targets: dict[str, str] = {}
        with ThreadPoolExecutor(1, "import") as pool:
            for folder in source.folders():
                if self.wishes.only and folder.name not in self.wishes.only:
                    continue
                self.seen.add(folder.name)
                target, why = self._names.target(self.wishes.rename or folder.name)
                if why:
                    self.note(folder.place, f"the mailbox {folder.name!r} is {why}", False)
                    self.report.names[folder.name] = target
                targets[folder.name] = target
                self.report.folders += 1
                self._folder(source, folder, target, pool)
        self._subscribe(source, targets)
        return self.report

    def ask(self, operation: str, **arguments: Any) -> Any:
        """One operation; from any thread."""
        with self._lock:
            return self._door.request(operation, address=self.wishes.address, **arguments)

    def _folder(self, source: Source, folder: Folder, name: str, pool: ThreadPoolExecutor) -> None:
        try:
            target = self._adopt(folder, name)
        except UserError as error:
            self.note(folder.place, f"the mailbox {name!r} can't be made: {error}", True)
            lost = sum(1 for _ in source.messages(folder))
            self.report.found += lost
            self.report.left_out += lost
            return
        self._uidls = None
        if target.name == INBOX and not self.wishes.dry_run:
            self._uidls = UniqueIds(folder, self.wishes.uidl_pattern, self.ask, self.note)
        batch = _Batch(self, target, pool)
        raised = False
        for message in source.messages(folder):
            self.report.found += 1
            if message.uid is None and not raised and target.keeps_uids:
                # From here on the store gives UIDs: not those that the source has promised to others.
                batch.flush()
                batch.settle()
                self._raise_uid_next(folder, target)
                raised = True
            try:
                batch.add(message)
            except MessageFault as fault:
                self.leave_out(message, str(fault))
        batch.flush()
        batch.settle()
        if target.keeps_uids and not raised:
            self._raise_uid_next(folder, target)
        if self._uidls is not None:
            self._uidls.flush()
            self.report.kept_uidls += self._uidls.kept

    def _adopt(self, folder: Folder, name: str) -> _Target:
        if self.wishes.dry_run:
            info = self._present.get(name) or {"uid_validity": 0, "uid_next": 1, "messages": 0}
            keeps = folder.uid_validity is not None and (
                info["uid_next"] == 1 or info["uid_validity"] == folder.uid_validity
            )
        else:
            subscribed = True if folder.subscribed else None
            info = self.ask(
                "mail.adopt",
                name=name,
                special_use=folder.special_use,
                subscribed=subscribed,
                uid_validity=folder.uid_validity,
            )
            keeps = info["uid_validity"] == folder.uid_validity
            if folder.uid_validity is not None and not keeps:
                self.note(
                    folder.place,
                    f"the mailbox {name!r} has held mail before or its UIDVALIDITY is taken: new UIDs",
                    False,
                )
        known = self._known(name, info) if self.wishes.skip_known and info["messages"] else {}
        return _Target(name, keeps, info["uid_next"], known)

    def _known(self, name: str, info: dict[str, Any]) -> dict[bytes, list[int]]:
        """What the mailbox holds: UIDs by date and fingerprint, the first of equal messages last."""
        known: dict[bytes, list[int]] = defaultdict(list)
        after = 0
        while page := self.ask("mail.rows", mailbox=name, after=after, fingerprints=True):
            for row in page:
                if row[5] is not None:
                    known[key_of(row[2], row[5])].append(row[0])
            after = page[-1][0]
        for uids in known.values():
            uids.reverse()
        return dict(known)

    def _raise_uid_next(self, folder: Folder, target: _Target) -> None:
        if folder.uid_next is not None and folder.uid_next > target.uid_next:
            target.uid_next = folder.uid_next
            if not self.wishes.dry_run:
                self.ask("mail.adopt", name=target.name, uid_next=folder.uid_next)

    def _subscribe(self, source: Source, targets: dict[str, str]) -> None:
        """Subscriptions to what is no folder of the source: the client shows them, too (RFC 9051 §6.3.7)."""
        for name in source.subscriptions():
            if self.wishes.only and name not in self.wishes.only:
                continue
            self.report.subscriptions += 1
            if name in targets or self.wishes.dry_run:
                continue
            target, why = self._names.target(name)
            if why:
                self.note(name, f"the subscription is {why}", False)
            try:
                self.ask("mail.subscribe", name=target)
            except UserError as error:
                self.note(name, f"the subscription is refused: {error}", False)

    def leave_out(self, message: Message, why: str) -> None:
        """A message that does not arrive."""
        self.report.left_out += 1
        self.report.notes += 1
        self._say(f"{message.place or message.path}: {why} (left out)")

    def stored(self, message: Message, size: int, uid: int, remark: str) -> None:
        """One that does."""
        if not uid:
            self.leave_out(message, remark)
            return
        self.report.stored += 1
        self.report.octets += size
        if message.uid == uid:
            self.report.kept_uids += 1
        if self._uidls is not None:
            self._uidls.add(message, uid)
        if remark:
            self.note(message.place or message.path, remark, False)
        self._meter.advance(1, size)

    def passed_over(self, message: Message, uid: int) -> None:
        """One that is there already, with this UID."""
        self.report.known += 1
        if self._uidls is not None:
            self._uidls.add(message, uid)
        self._meter.advance(1)


@dataclass
class _Target:
    name: str
    keeps_uids: bool
    uid_next: int
    known: dict[bytes, list[int]]

    def take_known(self, date: int, digest: bytes) -> int:
        """The UID of one of its kind, which is taken off the count; 0: there is none."""
        uids = self.known.get(key_of(date, digest))
        return uids.pop() if uids else 0


class _Batch:
    """Gathers small messages; while one batch is being stored the next is read. Long ones go by themselves, in order."""

    def __init__(self, importer: Importer, target: _Target, pool: ThreadPoolExecutor) -> None:
        self._importer = importer
        self._target = target
        self._pool = pool
        self._messages: list[tuple[Message, int]] = []
        self._rows: list[list[Any]] = []
        self._octets = 0
        self._running: tuple[Future[Any], list[tuple[Message, int]]] | None = None

    def add(self, message: Message) -> None:
        """Reads it and puts it into the batch. Raises MessageFault when it can't be read."""
        with Reading(message) as reading:
            date = reading.mtime if message.date is None else message.date
            pieces = reading.pieces()
            first = next(pieces)
            second = next(pieces, _EMPTY)
            if not second:
                self._small(message, first, date)
            elif message.head and reading.length <= PIECE_OCTETS // 2:
                self._small(message, b"".join((first, second, *pieces)), date)
            else:
                self._long(message, date)
            for remark in reading.remarks:
                self._importer.note(message.place or message.path, remark, False)

    def flush(self) -> None:
        """Sends what is gathered; at most one batch is under way."""
        if not self._rows:
            return
        self.settle()
        rows, messages = self._rows, self._messages
        self._rows, self._messages, self._octets = [], [], 0
        future = self._pool.submit(self._importer.ask, "mail.put", mailbox=self._target.name, messages=rows)
        self._running = (future, messages)

    def settle(self) -> None:
        """Waits for the batch under way."""
        if self._running is None:
            return
        future, messages = self._running
        self._running = None
        for (message, size), (uid, remark) in zip(messages, future.result(), strict=True):
            self._importer.stored(message, size, uid, remark)

    def _small(self, message: Message, octets: bytes, date: int) -> None:
        if self._target.known and (uid := self._target.take_known(date, _core.Fingerprint(octets).digest())):
            self._importer.passed_over(message, uid)
            return
        if self._importer.wishes.dry_run:
            self._importer.stored(message, len(octets), message.uid or 1, "")
            return
        if self._rows and (self._octets + len(octets) > BATCH_OCTETS or len(self._rows) >= BATCH_MESSAGES):
            self.flush()
        self._rows.append([octets, *self._facts(message, date)])
        self._messages.append((message, len(octets)))
        self._octets += len(octets)

    def _facts(self, message: Message, date: int) -> list[Any]:
        flags = []
        for flag in message.flags:
            if flag.startswith("\\") or _ATOM.match(flag):
                flags.append(flag)
            else:
                self._importer.note(message.place or message.path, f"the keyword {flag!r} is no atom: not kept", False)
        uid = None
        if self._target.keeps_uids and message.uid is not None:
            if message.uid >= self._target.uid_next:
                uid = message.uid
                self._target.uid_next = uid + 1
            else:
                self._importer.note(message.place or message.path, f"UID {message.uid} has been used already", False)
        return [flags, date, message.zone, uid, message.saved]

    def _long(self, message: Message, date: int) -> None:
        """Read twice when the mailbox holds mail already: first for what it is, then to be sent."""
        importer = self._importer
        if self._target.known or importer.wishes.dry_run:
            fingerprint = _core.Fingerprint()
            size = 0
            for piece in _read(message):
                fingerprint.update(piece)
                size += len(piece)
            if uid := self._target.take_known(date, fingerprint.digest()):
                importer.passed_over(message, uid)
                return
            if importer.wishes.dry_run:
                importer.stored(message, size, message.uid or 1, "")
                return
        self.flush()
        self.settle()
        facts = self._facts(message, date)
        remarks: list[str] = []
        for attempt in range(1, BUSY_TRIES + 1):
            size, uid, why = self._upload(message, facts)
            if uid or attempt == BUSY_TRIES:
                break
            if why == BUSY:
                continue
            # As the server does with short ones: the message counts more than its UID, and than its keywords.
            if facts[3] is not None:
                facts[3] = None
                remarks.append(f"its UID could not be kept ({why})")
            elif any(not flag.startswith("\\") for flag in facts[0]):
                facts[0] = [flag for flag in facts[0] if flag.startswith("\\")]
                remarks.append(f"its keywords could not be kept ({why})")
            else:
                break
        importer.stored(message, size, uid, "; ".join(remarks) if uid else why)

    def _upload(self, message: Message, facts: list[Any]) -> tuple[int, int, str]:
        """(octets, uid or 0, why not)."""
        ask = self._importer.ask
        token = ask("mail.begin", size=PIECE_OCTETS)
        size = 0
        try:
            for piece in _read(message):
                size += len(piece)
                ask("mail.piece", token=token, octets=piece)
        except MessageFault:
            ask("mail.discard", token=token)
            raise
        uid, why = ask("mail.finish", mailbox=self._target.name, token=token, facts=facts)
        return size, uid, why


def _read(message: Message) -> Iterator[bytes]:
    with Reading(message) as reading:
        yield from reading.pieces()


def key_of(date: int, digest: bytes) -> bytes:
    """What tells a message from others."""
    return date.to_bytes(8, "big", signed=True) + digest


__all__ = ["Importer", "Note", "Report", "Wishes"]
