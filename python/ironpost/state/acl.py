"""Access control lists of mailboxes (RFC 4314): their rows, and the rules by which they change.

A row belongs to a mailbox of an account, by their ids, so that it survives RENAME. What is not said holds by itself: the owner
has all rights, everybody else none. `shares` leads from whom a list names to the mailbox, so that nobody has to look
through the lists of all accounts. Like the rules in `edits`, each edit checks first and writes afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgpack

from ..errors import DirectoryError
from . import edits
from .env import Transaction

__all__ = ["ALL", "ANYONE", "Entry", "granted", "spelled"]

TABLES: Final = ("acl", "shares")
ALL: Final = "lrswipkxtea"  # RFC 4314 §2.1
OWNER_KEEPS: Final = "la"
ANYONE: Final = 0  # no account has this number
ENTRIES_MAX: Final = 500  # of one mailbox
# RFC 4314 §2.1.1
VIRTUAL: Final = {"c": "kx", "d": "et"}


class Entry(NamedTuple):
    """Rights of one identifier: an account's number or ANYONE. `negative`: they are taken away."""

    identifier: int
    negative: bool
    rights: str


def expanded(rights: str) -> str:
    """Without the virtual rights, in the order of ALL."""
    wanted = set(rights).union(*(VIRTUAL.get(right, "") for right in rights))
    return "".join(right for right in ALL if right in wanted)


def spelled(rights: str) -> str:
    """As they are told to clients: with `c` and `d` where a member of them is there (RFC 4314 §2.1.1)."""
    return rights + "".join(virtual for virtual, members in VIRTUAL.items() if set(members) & set(rights))


def granted(entries: Iterable[Entry], account: int, owner: int) -> str:
    """What an account may do. What is said of ANYONE is not said of the owner, who keeps OWNER_KEEPS."""
    given: set[str] = set()
    taken: set[str] = set()
    named = (account,) if account == owner else (account, ANYONE)
    explicit = False
    for entry in entries:
        if entry.identifier in named:
            (taken if entry.negative else given).update(entry.rights)
            explicit = explicit or not entry.negative
    if account == owner:
        given = (given if explicit else set(ALL)) - taken | set(OWNER_KEEPS)
        taken = set()
    return "".join(right for right in ALL if right in given and right not in taken)


def list_key(owner: int, mailbox: int) -> bytes:
    """Key of a mailbox's list."""
    return edits.id_key(owner) + mailbox.to_bytes(4, "big")


def read(tables: edits.Tables, txn: Transaction, owner: int, mailbox: int) -> list[Entry]:
    """The list of a mailbox."""
    row = edits.load(txn, tables["acl"], list_key(owner, mailbox))
    return [] if row is None else [Entry(*entry) for entry in row["entries"]]


def change(
    tables: edits.Tables,
    txn: Transaction,
    owner: int,
    mailbox: int,
    identifier: int,
    negative: bool,
    mode: str,
    rights: str,
) -> None:
    """SETACL: `mode` "=", "+" or "-". What is left without a right goes, except of the owner, whose entry says so."""
    rights = expanded(rights)
    entries = read(tables, txn, owner, mailbox)
    place = next((at for at, entry in enumerate(entries) if entry[:2] == (identifier, negative)), None)
    if place is None:
        before = granted([], owner, owner) if identifier == owner and not negative else ""
    else:
        before = entries[place].rights
    if mode == "+":
        rights = expanded(before + rights)
    elif mode == "-":
        rights = "".join(right for right in before if right not in rights)
    if identifier == owner and not negative:
        rights = expanded(rights + OWNER_KEEPS)
    if place is not None:
        del entries[place]
    if rights and not (identifier == owner and not negative and rights == ALL):
        if len(entries) >= ENTRIES_MAX:
            raise DirectoryError("too-many", f"a mailbox has at most {ENTRIES_MAX} entries")
        entries.insert(len(entries) if place is None else place, Entry(identifier, negative, rights))
    write(tables, txn, owner, mailbox, entries)


def remove(tables: edits.Tables, txn: Transaction, owner: int, mailbox: int, identifier: int, negative: bool) -> None:
    """DELETEACL. The owner's rights are those that hold by themselves again."""
    entries = [entry for entry in read(tables, txn, owner, mailbox) if entry[:2] != (identifier, negative)]
    write(tables, txn, owner, mailbox, entries)


def write(tables: edits.Tables, txn: Transaction, owner: int, mailbox: int, entries: list[Entry]) -> None:
    """The whole list, and where it can be found from."""
    before = {entry.identifier for entry in read(tables, txn, owner, mailbox)}
    after = {entry.identifier for entry in entries}
    name = list_key(owner, mailbox)
    for identifier in before - after:
        txn.delete(edits.id_key(identifier) + name, db=tables["shares"])
    for identifier in after - before:
        edits.put(txn, tables["shares"], edits.id_key(identifier) + name, {})
    if entries:
        edits.put(txn, tables["acl"], name, {"entries": [list(entry) for entry in entries]})
    elif before:
        txn.delete(name, db=tables["acl"])


def shares(
    tables: edits.Tables, txn: Transaction, identifier: int, owner: int | None = None
) -> Iterator[tuple[int, int]]:
    """(owner, mailbox) of the lists that name an identifier; those of one owner only, if given."""
    prefix = edits.id_key(identifier) + (b"" if owner is None else edits.id_key(owner))
    with txn.cursor(db=tables["shares"]) as cursor:
        found = cursor.set_range(prefix)
        while found and bytes(cursor.key()).startswith(prefix):
            name = bytes(cursor.key())
            yield int.from_bytes(name[8:16], "big"), int.from_bytes(name[16:], "big")
            found = cursor.next()


def lists(tables: edits.Tables, txn: Transaction, owner: int) -> dict[int, list[Entry]]:
    """All lists of an account, by mailbox."""
    found: dict[int, list[Entry]] = {}
    prefix = edits.id_key(owner)
    with txn.cursor(db=tables["acl"]) as cursor:
        more = cursor.set_range(prefix)
        while more and bytes(cursor.key()).startswith(prefix):
            entries = msgpack.unpackb(cursor.value())["entries"]
            found[int.from_bytes(bytes(cursor.key())[8:], "big")] = [Entry(*entry) for entry in entries]
            more = cursor.next()
    return found


def owners(tables: edits.Tables, txn: Transaction) -> list[int]:
    """Accounts with lists, ascending."""
    found: list[int] = []
    with txn.cursor(db=tables["acl"]) as cursor:
        more = cursor.first()
        while more:
            found.append(int.from_bytes(bytes(cursor.key())[:8], "big"))
            more = cursor.set_range(edits.id_key(found[-1] + 1))
    return found


def sweep(tables: edits.Tables, txn: Transaction, owner: int, gone: Iterable[int]) -> int:
    """Lists of mailboxes that are gone go, and of the owner's others the entries of accounts that are; how many changed."""
    changed = 0
    doomed = set(gone)
    for mailbox, entries in lists(tables, txn, owner).items():
        left = [] if mailbox in doomed else [entry for entry in entries if _living(tables, txn, entry.identifier)]
        if left != entries:
            write(tables, txn, owner, mailbox, left)
            changed += 1
    return changed


def _living(tables: edits.Tables, txn: Transaction, identifier: int) -> bool:
    if identifier == ANYONE:
        return True
    row = edits.load(txn, tables["ids"], edits.id_key(identifier))
    return row is not None and "removed" not in row
