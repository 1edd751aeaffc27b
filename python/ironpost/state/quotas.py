"""Limits that the directory holds for accounts and domains, and what they have been told about them.

A limit of None is the configuration's default, 0 is no limit at all. Records of releases that knew no limits lack the
key and are read as None. Like the rules in `edits`, each edit checks first and writes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgpack

from ..errors import DirectoryError
from . import addresses, edits
from .env import Transaction

LIMIT_MAX: Final = 2**60
KINDS: Final = ("octets", "messages")
Changes = Mapping[str, int | None]  # of KINDS; what is absent stays as it is


class Limits(NamedTuple):
    """What an account or a domain may hold, if that is not left to the configuration."""

    octets: int | None = None
    messages: int | None = None


NO_LIMITS: Final = Limits()


def of_row(row: Mapping[str, Any] | None) -> Limits:
    """The limits in a record of an account or a domain."""
    quota = row.get("quota") if row else None
    return Limits(quota.get("octets"), quota.get("messages")) if quota else NO_LIMITS


def set_account(tables: edits.Tables, txn: Transaction, address: str, changes: Changes) -> tuple[int, str]:
    """New limits of an account: its id and address."""
    name, row = edits.account_row(tables, txn, address)
    edits.put(txn, tables["accounts"], name.encode(), {**row, "quota": _changed(row, changes)})
    edits.touch(tables, txn)
    return int(row["id"]), str(row["address"])


def set_domain(tables: edits.Tables, txn: Transaction, domain: str, changes: Changes) -> str:
    """New limits of all accounts of a domain together: its key."""
    name = addresses.valid_domain(domain)
    row = edits.load(txn, tables["domains"], name.encode())
    if row is None:
        raise DirectoryError("unknown", f"there is no domain {name}")
    edits.put(txn, tables["domains"], name.encode(), {**row, "quota": _changed(row, changes)})
    edits.touch(tables, txn)
    return name


def tell(tables: edits.Tables, txn: Transaction, name: str, level: int) -> bool:
    """Notes that a warning goes out. False: another process has been as quick, or quicker."""
    present = edits.load(txn, tables["told"], name.encode())
    if present is not None and present["level"] >= level:
        return False
    edits.put(txn, tables["told"], name.encode(), {"level": level})
    return True


def forget(tables: edits.Tables, txn: Transaction, name: str, level: int) -> None:
    """Usage has fallen: what lies above `level` is told again when it is reached again."""
    present = edits.load(txn, tables["told"], name.encode())
    if present is None or present["level"] <= level:
        return
    if level:
        edits.put(txn, tables["told"], name.encode(), {"level": level})
    else:
        txn.delete(name.encode(), db=tables["told"])


def page(tables: edits.Tables, txn: Transaction, after: str, count: int) -> list[tuple[str, int, str, Limits]]:
    """(key, id, address, limits) of accounts behind the key `after`, in the order of their keys."""
    found: list[tuple[str, int, str, Limits]] = []
    with txn.cursor(db=tables["accounts"]) as cursor:
        if not cursor.set_range(after.encode() + b"\0" if after else b""):
            return found
        for name, value in cursor:
            row = msgpack.unpackb(value)
            found.append((bytes(name).decode(), row["id"], row["address"], of_row(row)))
            if len(found) == count:
                break
    return found


def _changed(row: Mapping[str, Any], changes: Changes) -> dict[str, int | None]:
    quota: dict[str, int | None] = of_row(row)._asdict()
    for kind, value in changes.items():
        if kind not in KINDS or (value is not None and not 0 <= value <= LIMIT_MAX):
            raise DirectoryError("bad-limit", f"{kind} {value} is not a limit")
        quota[kind] = value
    return quota
