"""Annotations of mailboxes and of the server (RFC 5464): their rows in the directory.

A row is one entry: of which mailbox of which owner (0 and 0: of the server), for whom (an account, or nobody for what all
see), and its name without the /private or /shared in front. What is not there has no value. Of each account `metaoctets`
counts what its own mailboxes' shared entries and its private ones hold together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgpack

from ..errors import DirectoryError
from . import edits
from .env import StateEnvironment, Transaction

__all__ = ["EVERYBODY", "PRIVATE", "SERVER", "SHARED", "VALUE_OCTETS_MAX", "Change", "Metadata", "Target"]

TABLES: Final = ("metadata", "metaoctets")
PRIVATE: Final = "/private"  # what stands in front of names, for the account itself and for all
SHARED: Final = "/shared"
EVERYBODY: Final = 0  # no account has this number, no mailbox either
VALUE_OCTETS_MAX: Final = 32_768
ENTRIES_MAX: Final = 200  # of one mailbox, for everybody and for each account
ACCOUNT_OCTETS_MAX: Final = 4 << 20  # names and values


class Target(NamedTuple):
    """What is annotated, and for whom."""

    owner: int
    mailbox: int
    account: int = EVERYBODY

    @property
    def prefix(self) -> bytes:
        """Of its keys."""
        return edits.id_key(self.owner) + self.mailbox.to_bytes(4, "big") + edits.id_key(self.account)

    @property
    def charged(self) -> int:
        """Whose octets these are."""
        return self.account or self.owner


SERVER: Final = Target(0, 0)
Change = tuple[Target, str, bytes | None]
_PREFIX_OCTETS: Final = len(SERVER.prefix)


class Metadata:
    """One for each directory, in whose environment it lives."""

    def __init__(self, environment: StateEnvironment) -> None:
        self.environment = environment

    def value(self, target: Target, name: str) -> bytes | None:
        """Of one entry."""
        with self.environment.read() as transaction:
            row = edits.load(transaction, self.environment.tables["metadata"], target.prefix + name.encode())
        return None if row is None else bytes(row["value"])

    def below(self, target: Target, name: str) -> list[tuple[str, bytes]]:
        """An entry and all beneath it; "" is the root."""
        with self.environment.read() as transaction:
            rows = _rows(self.environment.tables, transaction, target, name)
            return [row for row in rows if row[0] == name or row[0].startswith(f"{name}/")]

    def targets(self, within: bytes = b"") -> list[Target]:
        """All that have entries, or those whose prefix begins so."""
        found = []
        tables = self.environment.tables
        with self.environment.read() as transaction, transaction.cursor(db=tables["metadata"]) as cursor:
            more = cursor.set_range(within)
            while more and bytes(cursor.key()).startswith(within):
                prefix = bytes(cursor.key())[:_PREFIX_OCTETS]
                numbers = (prefix[:8], prefix[8:12], prefix[12:])
                found.append(Target(*(int.from_bytes(number, "big") for number in numbers)))
                more = cursor.set_range(prefix + b"\xff")  # names are ASCII
        return found

    async def set(self, changes: Iterable[Change]) -> None:
        """All of them or none; None removes. Raises DirectoryError ("too-many")."""
        wanted = list(changes)
        await self.environment.write(lambda txn: _set(self.environment.tables, txn, wanted))

    async def drop(self, target: Target) -> None:
        """All entries of a target."""
        await self.set([(target, name, None) for name, _ in self.below(target, "")])

    async def drop_mailbox(self, owner: int, mailbox: int) -> None:
        """The mailbox has been deleted."""
        for target in self.targets(Target(owner, mailbox).prefix[:12]):
            await self.drop(target)


def _rows(tables: edits.Tables, txn: Transaction, target: Target, name: str = "") -> Iterator[tuple[str, bytes]]:
    prefix = target.prefix
    with txn.cursor(db=tables["metadata"]) as cursor:
        more = cursor.set_range(prefix + name.encode())
        while more and bytes(cursor.key()).startswith(prefix + name.encode()):
            yield bytes(cursor.key())[_PREFIX_OCTETS:].decode(), bytes(msgpack.unpackb(cursor.value())["value"])
            more = cursor.next()


def _set(tables: edits.Tables, txn: Transaction, changes: list[Change]) -> None:
    """Checks all, then writes."""
    entries: dict[Target, dict[str, int]] = {}
    octets: dict[int, int] = {}
    for target, name, value in changes:
        if target not in entries:
            entries[target] = {found: len(found) + len(held) for found, held in _rows(tables, txn, target)}
        charged = target.charged
        if charged not in octets:
            row = edits.load(txn, tables["metaoctets"], edits.id_key(charged))
            octets[charged] = 0 if row is None else int(row["octets"])
        octets[charged] -= entries[target].pop(name, 0)
        if value is not None:
            entries[target][name] = len(name) + len(value)
            octets[charged] += len(name) + len(value)
            if len(entries[target]) > ENTRIES_MAX:
                raise DirectoryError("too-many", f"at most {ENTRIES_MAX} entries of one mailbox")
            if octets[charged] > ACCOUNT_OCTETS_MAX:
                raise DirectoryError("too-many", f"at most {ACCOUNT_OCTETS_MAX} octets of all entries of an account")
    for target, name, value in changes:
        key = target.prefix + name.encode()
        if value is None:
            txn.delete(key, db=tables["metadata"])
        else:
            edits.put(txn, tables["metadata"], key, {"value": value})
    for charged, held in octets.items():
        if held > 0:
            edits.put(txn, tables["metaoctets"], edits.id_key(charged), {"octets": held})
        else:
            txn.delete(edits.id_key(charged), db=tables["metaoctets"])
