"""Writes an account as files of another format: in constant memory, with a report that accounts for every message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Final

from ..errors import UserError
from .importing import Meter, Requester
from .maildir_writing import MaildirWriter
from .mbox_writing import MboxWriter
from .operations import BATCH_MESSAGES, BATCH_OCTETS
from .writing import Outgoing, OutgoingFolder, Writer

FORMATS: Final = ("maildir", "maildir++", "mbox")


@dataclass
class Report:
    """What became of the messages of the account: found = written + there already + left out + expunged meanwhile."""

    format: str = ""
    folders: int = 0
    found: int = 0
    written: int = 0
    octets: int = 0
    known: int = 0
    left_out: int = 0
    expunged: int = 0
    faults: int = 0
    notes: int = 0

    @property
    def reconciles(self) -> bool:
        """Is every message accounted for?"""
        return self.found == self.written + self.known + self.left_out + self.expunged


class Exporter:
    """One run. `say` gets each line of the report when it comes up."""

    def __init__(self, door: Requester, address: str, say: Callable[[str], None], meter: Meter) -> None:
        self.report = Report()
        self._door = door
        self._address = address
        self._say = say
        self._meter = meter
        self._lock = Lock()

    def note(self, place: str, text: str, left_out: bool) -> None:
        """A line of the report."""
        self.report.notes += 1
        if left_out:
            self.report.faults += 1
        self._say(f"{place}: {text}{' (left out)' if left_out else ''}")

    def run(self, root: Path, kind: str, *, only: tuple[str, ...] = (), merge: bool = False) -> Report:
        """Exports. Raises UserError, and OSError when the disk fails or is full."""
        self.report.format = kind
        mailboxes = self._ask("mail.folders")
        wanted = [info for info in mailboxes if info["id"] and (not only or info["name"] in only)]
        for name in only:
            if all(info["name"] != name for info in wanted):
                raise UserError(f"{self._address} has no mailbox {name!r}")
        writer = _writer(root, kind, self.note, merge=merge)
        with ThreadPoolExecutor(1, "export") as pool:
            for info in wanted:
                self.report.folders += 1
                self._folder(info, writer, pool)
        subscribed = [info["name"] for info in mailboxes if info["subscribed"] and (not only or info["name"] in only)]
        writer.close(subscribed)
        return self.report

    def _ask(self, operation: str, **arguments: Any) -> Any:
        with self._lock:  # the door is asked from the reading thread, and from ours for long messages
            return self._door.request(operation, address=self._address, **arguments)

    def _folder(self, info: dict[str, Any], writer: Writer, pool: ThreadPoolExecutor) -> None:
        names = ("name", "subscribed", "uid_validity", "uid_next", "messages")
        keywords = tuple(self._ask("mail.keywords", mailbox=info["name"]))
        writer.begin(OutgoingFolder(**{name: info[name] for name in names}, keywords=keywords))
        # The next batch is read while one is being written.
        batches = self._batches(info["name"], writer)
        ahead = pool.submit(next, batches, None)
        while (batch := ahead.result()) is not None:
            ahead = pool.submit(next, batches, None)
            for row, octets in batch:
                self._message(info["name"], row, octets, writer)
        writer.end()

    def _batches(self, mailbox: str, writer: Writer) -> Iterator[list[tuple[Any, Any]]]:
        """Rows with their octets; `...` for a message that is to be read in pieces."""
        after = 0
        while page := self._ask("mail.rows", mailbox=mailbox, after=after):
            after = page[-1][0]
            self.report.found += len(page)
            fresh = []
            for row in page:
                if writer.has(row[0]):
                    self.report.known += 1
                else:
                    fresh.append(row)
            waiting = fresh
            while waiting:
                if waiting[0][1] > BATCH_OCTETS:
                    yield [(waiting[0], ...)]
                    waiting = waiting[1:]
                    continue
                short = []
                for row in waiting[:BATCH_MESSAGES]:
                    if row[1] > BATCH_OCTETS:
                        break
                    short.append(row)
                read = self._ask("mail.whole", mailbox=mailbox, uids=[row[0] for row in short])
                yield list(zip(short, (octets for _, octets in read), strict=False))
                waiting = waiting[len(read) :]

    def _message(self, mailbox: str, row: Any, octets: Any, writer: Writer) -> None:
        uid, size, date, _, flags, _ = row
        place = f"{mailbox} UID {uid}"
        if octets is None:
            self.report.expunged += 1
            return
        if isinstance(octets, str):
            self.report.left_out += 1
            self.note(place, octets, True)
            return
        pieces = self._pieces(mailbox, uid, size) if octets is ... else iter((octets,))
        try:
            writer.write(Outgoing(uid, size, date, tuple(flags), pieces))
        except _Unreadable as fault:
            self.report.left_out += 1
            self.note(place, str(fault), True)
            return
        self.report.written += 1
        self.report.octets += size
        self._meter.advance(1, size)

    def _pieces(self, mailbox: str, uid: int, size: int) -> Iterator[bytes]:
        position = 0
        while position < size:
            try:
                octets = self._ask("mail.part", mailbox=mailbox, uid=uid, offset=position, length=BATCH_OCTETS)
            except UserError as error:
                raise _Unreadable(str(error)) from None
            if not octets:
                raise _Unreadable("is shorter than its size")
            position += len(octets)
            yield octets


class _Unreadable(Exception):
    """The store can't give this message."""


def _writer(root: Path, kind: str, note: Callable[[str, str, bool], None], *, merge: bool) -> Writer:
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: is no folder")
    if root.is_dir() and any(root.iterdir()) and not merge:
        raise UserError(f"{root}: is not empty (--merge adds to what is there)")
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if kind == "mbox":
        return MboxWriter(root, note, merge=merge)
    return MaildirWriter(root, note, layout="++" if kind == "maildir++" else "fs")
