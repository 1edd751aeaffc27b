"""Unique ids that messages had at another POP3 server (RFC 1939 §7), kept so that programs need not load their mail again.

A row belongs to an account, a mailbox and a UID; messages without one have the id that this server makes of UIDVALIDITY
and UID. UIDs are never used again, so a row that has outlived its message names nothing; the sweep lets go of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from . import edits
from .env import StateEnvironment, Transaction

__all__ = ["UIDL_OCTETS_MAX", "Uidls", "own"]

# By UID, and by id: the second tells at once whether an id is taken.
TABLES: Final = ("uidls", "uidlnames")
UIDL_OCTETS_MAX: Final = 70  # RFC 1939 §7
_ALLOWED: Final = re.compile(rf"[\x21-\x7e]{{1,{UIDL_OCTETS_MAX}}}")

Row = tuple[int, str]  # UID, unique id
Refusal = tuple[int, str, str]  # and why


def own(uid_validity: int, uid: int) -> str:
    """The unique id that this server gives a message by itself."""
    return f"{uid_validity}.{uid}"


class Uidls:
    """One for each directory, in whose environment it lives."""

    def __init__(self, environment: StateEnvironment) -> None:
        self.environment = environment

    def of(self, account: int, mailbox: int) -> dict[int, str]:
        """Unique id by UID, of those messages that have brought one along."""
        with self.environment.read() as transaction:
            return dict(_rows(self.environment.tables, transaction, _prefix(account, mailbox)))

    def mailboxes(self) -> list[tuple[int, int]]:
        """(account, mailbox) of all that have rows."""
        found = []
        with self.environment.read() as transaction, transaction.cursor(db=self.environment.tables["uidls"]) as cursor:
            more = cursor.first()
            while more:
                key = bytes(cursor.key())
                found.append((int.from_bytes(key[:8], "big"), int.from_bytes(key[8:12], "big")))
                more = cursor.set_range(key[:12] + b"\xff" * 5)
        return found

    async def set(self, account: int, mailbox: int, uid_validity: int, rows: Iterable[Row]) -> list[Refusal]:
        """Keeps those that are good, and returns the others: bad, taken by another message, or a second one of a message."""
        wanted = list(rows)
        prefix = _prefix(account, mailbox)
        return await self.environment.write(
            lambda txn: _set(self.environment.tables, txn, prefix, uid_validity, wanted)
        )

    async def drop(self, account: int, mailbox: int, uids: Iterable[int] | None = None) -> None:
        """These of a mailbox, or all of it."""
        prefix = _prefix(account, mailbox)
        chosen = None if uids is None else set(uids)
        await self.environment.write(lambda txn: drop(self.environment.tables, txn, prefix, chosen))


def drop(tables: edits.Tables, txn: Transaction, prefix: bytes, uids: set[int] | None = None) -> None:
    """Rows whose keys begin so: of an account, or of a mailbox and there of these UIDs."""
    for key, uidl in _keys(tables, txn, prefix):
        if uids is None or int.from_bytes(key[12:], "big") in uids:
            txn.delete(key, db=tables["uidls"])
            txn.delete(key[:12] + uidl.encode(), db=tables["uidlnames"])


def _prefix(account: int, mailbox: int) -> bytes:
    return edits.id_key(account) + mailbox.to_bytes(4, "big")


def _keys(tables: edits.Tables, txn: Transaction, prefix: bytes) -> list[tuple[bytes, str]]:
    found = []
    with txn.cursor(db=tables["uidls"]) as cursor:
        more = cursor.set_range(prefix)
        while more and bytes(cursor.key()).startswith(prefix):
            found.append((bytes(cursor.key()), bytes(cursor.value()).decode()))
            more = cursor.next()
    return found


def _rows(tables: edits.Tables, txn: Transaction, prefix: bytes) -> list[Row]:
    return [(int.from_bytes(key[12:], "big"), uidl) for key, uidl in _keys(tables, txn, prefix)]


def _set(tables: edits.Tables, txn: Transaction, prefix: bytes, uid_validity: int, rows: list[Row]) -> list[Refusal]:
    refused: list[Refusal] = []
    for uid, uidl in rows:
        why = _fault(tables, txn, prefix, uid_validity, uid, uidl)
        if why:
            refused.append((uid, uidl, why))
        elif uidl != own(uid_validity, uid):
            txn.put(prefix + uid.to_bytes(4, "big"), uidl.encode(), db=tables["uidls"])
            txn.put(prefix + uidl.encode(), uid.to_bytes(4, "big"), db=tables["uidlnames"])
    return refused


def _fault(tables: edits.Tables, txn: Transaction, prefix: bytes, uid_validity: int, uid: int, uidl: str) -> str:
    """Why this message can't have this id; "" when it can."""
    if not _ALLOWED.fullmatch(uidl):
        return f"a unique id has 1 to {UIDL_OCTETS_MAX} characters from 0x21 to 0x7E (RFC 1939 §7)"
    present = txn.get(prefix + uid.to_bytes(4, "big"), db=tables["uidls"])
    if present is not None and bytes(present).decode() != uidl:
        return f"the message has {bytes(present).decode()} already"
    taken = txn.get(prefix + uidl.encode(), db=tables["uidlnames"])
    if taken is not None and int.from_bytes(taken, "big") != uid:
        return f"UID {int.from_bytes(taken, 'big')} has it already"
    if re.fullmatch(rf"{uid_validity}\.[0-9]+", uidl) and uidl != own(uid_validity, uid):
        return "that is what this server calls another message"
    return ""
