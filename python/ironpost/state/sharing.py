"""Who may do what with whose mailboxes: the access control lists as sessions ask for them (RFC 4314).

Answers are remembered while nothing has been written, as in the directory. Rights are looked up for each command anew, so
that a right that is taken away is gone with the next command, in every worker.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeVar

from . import acl, edits
from .env import StateEnvironment, Transaction

__all__ = ["Named", "Sharing"]

RIGHTS_REMEMBERED_MAX: Final = 16_384
SHARES_REMEMBERED_MAX: Final = 1024  # accounts with what is shared with each: what is for anyone stands in all of them
T = TypeVar("T")


class Named(NamedTuple):
    """An entry as it is shown: the identifier with its dash, and the rights."""

    identifier: str
    rights: str


class Sharing:
    """One for each directory, in whose environment it lives."""

    def __init__(self, environment: StateEnvironment) -> None:
        self.environment = environment
        self._rights: OrderedDict[tuple[int, int, int], str] = OrderedDict()
        self._shared: OrderedDict[int, dict[int, frozenset[int]]] = OrderedDict()
        self._restricted: OrderedDict[int, bool] = OrderedDict()
        self._seen = -1

    # -- reading

    def rights(self, account: int, owner: int, mailbox: int) -> str:
        """What an account may do with a mailbox; "" when the owner has been removed."""
        self._refresh()
        name = (account, owner, mailbox)
        try:
            return self._rights[name]
        except KeyError:
            with self.environment.read() as transaction:
                if self._address(transaction, owner) is None:
                    found = ""
                else:
                    entries = acl.read(self.environment.tables, transaction, owner, mailbox)
                    found = acl.granted(entries, account, owner)
            return _remember(self._rights, name, found, RIGHTS_REMEMBERED_MAX)

    def restricted(self, owner: int) -> bool:
        """Has the owner taken rights from himself in any mailbox? If not, he has all of them everywhere."""
        self._refresh()
        try:
            return self._restricted[owner]
        except KeyError:
            with self.environment.read() as transaction:
                shares = acl.shares(self.environment.tables, transaction, owner, owner)
                found = next(shares, None) is not None
            return _remember(self._restricted, owner, found, RIGHTS_REMEMBERED_MAX)

    def shared_with(self, account: int) -> dict[int, frozenset[int]]:
        """Mailboxes of others whose lists name the account or anyone, by owner. Their rights are to be asked for."""
        self._refresh()
        try:
            return self._shared[account]
        except KeyError:
            found: dict[int, set[int]] = {}
            with self.environment.read() as transaction:
                for identifier in (account, acl.ANYONE):
                    for owner, mailbox in acl.shares(self.environment.tables, transaction, identifier):
                        if owner != account:
                            found.setdefault(owner, set()).add(mailbox)
            frozen = {owner: frozenset(mailboxes) for owner, mailboxes in found.items()}
            return _remember(self._shared, account, frozen, SHARES_REMEMBERED_MAX)

    def address(self, account: int) -> str | None:
        """Of an account that has not been removed."""
        with self.environment.read() as transaction:
            return self._address(transaction, account)

    def has_lists(self, owner: int) -> bool:
        """Is there any list in this account?"""
        with self.environment.read() as transaction, transaction.cursor(db=self.environment.tables["acl"]) as cursor:
            prefix = edits.id_key(owner)
            return bool(cursor.set_range(prefix)) and bytes(cursor.key()).startswith(prefix)

    def named(self, owner: int, mailbox: int) -> list[Named]:
        """The list as it is shown: the owner first, accounts by their addresses; those that are gone are left out."""
        with self.environment.read() as transaction:
            entries = acl.read(self.environment.tables, transaction, owner, mailbox)
            if not any(entry.identifier == owner and not entry.negative for entry in entries):
                entries.insert(0, acl.Entry(owner, False, acl.ALL))
            shown = []
            for entry in entries:
                name = "anyone" if entry.identifier == acl.ANYONE else self._address(transaction, entry.identifier)
                if name is not None:
                    shown.append(Named(f"-{name}" if entry.negative else name, acl.spelled(entry.rights)))
        return shown

    def lists(self, owner: int) -> dict[int, list[acl.Entry]]:
        """All lists of an account, by mailbox."""
        with self.environment.read() as transaction:
            return acl.lists(self.environment.tables, transaction, owner)

    def owners(self) -> list[int]:
        """Accounts with lists."""
        with self.environment.read() as transaction:
            return acl.owners(self.environment.tables, transaction)

    # -- editing: each returns when it is on disk, or raises DirectoryError

    async def change(self, owner: int, mailbox: int, identifier: int, negative: bool, mode: str, rights: str) -> None:
        """SETACL: `mode` "=", "+" or "-"; `rights` with `c` and `d` or without."""
        await self._edit(
            lambda tables, txn: acl.change(tables, txn, owner, mailbox, identifier, negative, mode, rights)
        )

    async def remove(self, owner: int, mailbox: int, identifier: int, negative: bool) -> None:
        """DELETEACL."""
        await self._edit(lambda tables, txn: acl.remove(tables, txn, owner, mailbox, identifier, negative))

    async def inherit(self, owner: int, parent: int, child: int) -> None:
        """A new mailbox gets the list of the one above it (RFC 4314 §4)."""
        await self._edit(lambda tables, txn: acl.write(tables, txn, owner, child, acl.read(tables, txn, owner, parent)))

    async def drop(self, owner: int, mailbox: int) -> None:
        """The mailbox has been deleted."""
        await self._edit(lambda tables, txn: acl.write(tables, txn, owner, mailbox, []))

    async def sweep(self, owner: int, gone: Iterable[int]) -> int:
        """Lets go of lists of mailboxes that are gone and of entries of accounts that are; how many lists have changed."""
        return await self._edit(lambda tables, txn: acl.sweep(tables, txn, owner, gone))

    # -- inside

    async def _edit(self, edit: Callable[[dict[str, Any], Transaction], T]) -> T:
        return await self.environment.write(lambda transaction: edit(self.environment.tables, transaction))

    def _refresh(self) -> None:
        generation = self.environment.last_transaction
        if generation != self._seen:
            self._seen = generation
            self._rights.clear()
            self._shared.clear()
            self._restricted.clear()

    def _address(self, transaction: Transaction, account: int) -> str | None:
        tables = self.environment.tables
        row = edits.load(transaction, tables["ids"], edits.id_key(account))
        if row is None or "removed" in row:
            return None
        found = edits.load(transaction, tables["accounts"], row["name"].encode())
        return None if found is None else str(found["address"])


def _remember(memory: OrderedDict[Any, T], name: object, value: T, bound: int) -> T:
    memory[name] = value
    if len(memory) > bound:
        memory.popitem(last=False)
    return value
