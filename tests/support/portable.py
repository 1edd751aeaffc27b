"""A store of its own behind the operations, without server, directory or lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from ironpost import _core
from ironpost.errors import UserError
from ironpost.portable.detect import open_source
from ironpost.portable.exporting import Exporter
from ironpost.portable.importing import Importer, Report, Wishes
from ironpost.portable.operations import OPERATIONS
from ironpost.store.client import StoreClient

ADDRESS = "alice@example.test"


class Meter:
    """No progress bar."""

    def advance(self, count: int = 1, octets: int = 0) -> None:
        return


class Door:
    """Carries out operations on a store, as the command does when no server runs."""

    def __init__(self, folder: Path) -> None:
        self.core = _core.Store.open(str(folder), map_size=1 << 28, min_free=0, sync=False)
        self.notes: list[str] = []

    def request(self, operation: str, **arguments: Any) -> Any:
        return trio.run(self._perform, operation, arguments)

    async def _perform(self, operation: str, arguments: dict[str, Any]) -> Any:
        store = StoreClient(self.core)
        directory = SimpleNamespace(account=lambda address: SimpleNamespace(id=1) if address == ADDRESS else None)
        context: Any = SimpleNamespace(store=store, directory=directory)
        async with trio.open_nursery() as nursery:
            await nursery.start(store.run, lambda _: None)
            result: Any = None
            fault: Exception | None = None
            try:
                result = await OPERATIONS[operation](context, arguments)
            except (UserError, _core.StoreError) as error:
                fault = error
            nursery.cancel_scope.cancel()
        if fault is not None:
            raise UserError(str(fault))
        return result

    # -- what tests say

    def take_in(self, path: Path, kind: str = "auto", **wishes: Any) -> Report:
        """Imports; the lines of the report are in `notes`."""
        self.notes = []
        reading = {name: wishes.pop(name) for name in ("utf8", "follow", "keep_fields") if name in wishes}
        importer = Importer(self, Wishes(ADDRESS, **wishes), self.notes.append, Meter())
        report = importer.run(open_source(path, kind, importer.note, **reading))
        assert report.reconciles, report
        return report

    def write_out(self, path: Path, kind: str, **wishes: Any) -> Any:
        """Exports."""
        self.notes = []
        report = Exporter(self, ADDRESS, self.notes.append, Meter()).run(path, kind, **wishes)
        assert report.reconciles, report
        return report

    def boxes(self) -> dict[str, dict[str, Any]]:
        """Mailboxes by name, without the usual empty ones."""
        return {info["name"]: info for info in self.request("mail.folders", address=ADDRESS)}

    def mail(self, name: str = "INBOX") -> list[tuple[int, bytes, frozenset[str], int]]:
        """(uid, octets, flags, internal date) of a mailbox."""
        rows = []
        after = 0
        while page := self.request("mail.rows", address=ADDRESS, mailbox=name, after=after):
            rows += page
            after = page[-1][0]
        contents: dict[int, bytes] = {}
        short = [row[0] for row in rows if row[1] <= 1 << 20]
        while short:
            read = self.request("mail.whole", address=ADDRESS, mailbox=name, uids=short)
            contents.update(read)
            short = short[len(read) :]
        for uid, size, *_ in rows:
            octets = contents.setdefault(uid, b"")
            while len(octets) < size:
                octets += self.request(
                    "mail.part", address=ADDRESS, mailbox=name, uid=uid, offset=len(octets), length=1 << 20
                )
            contents[uid] = octets
        return [(row[0], contents[row[0]], frozenset(row[4]), row[2]) for row in rows]

    def everything(self) -> dict[str, Any]:
        """What must come back after a journey."""
        return {
            name: (info["subscribed"], self.mail(name) if info["id"] else [])
            for name, info in self.boxes().items()
            if info["messages"] or info["subscribed"]
        }

    def close(self) -> None:
        """The store must be clean."""
        store = self.core

        async def check() -> Any:
            client = StoreClient(store)
            async with trio.open_nursery() as nursery:
                await nursery.start(client.run, lambda _: None)
                report = await client.call(store.check(True))
                nursery.cancel_scope.cancel()
            return report

        report = trio.run(check)
        store.close()
        assert not report.problems, report.problems


@contextmanager
def opened(folder: Path) -> Iterator[Door]:
    """A door whose store is checked at the end."""
    door = Door(folder)
    try:
        yield door
    finally:
        door.close()
