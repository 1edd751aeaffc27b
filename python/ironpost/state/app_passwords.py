"""App passwords: further passwords of an account, each with a label and with the services that it opens.

They lie among the verifiers of the account's credential (kind `app-password`), so that backups and exports carry them and
the removal of the account takes them along. When they were last used stands in a table of its own and stays here.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from ..errors import DirectoryError
from . import edits
from .edits import Tables, Verifier, id_key, load, put
from .env import StateEnvironment, Transaction

TABLES: Final = ("app-password-uses",)
PER_ACCOUNT_MAX: Final = 50  # a person has a handful of devices; a login reads them all
LABEL_CHARACTERS_MAX: Final = 100
SCOPES: Final = ("imap", "pop3", "submission", "managesieve")
USED_GRAIN_SECONDS: Final = 3600.0  # the time of the last use is written at most this often


class AppPassword(NamedTuple):
    """What may be shown of one. Times are Unix seconds; `expires` None: never, `used` None: not yet."""

    id: str
    label: str
    scopes: tuple[str, ...]
    created: float
    expires: float | None
    used: float | None = None


class AppPasswords:
    """Those of all accounts, in the directory's environment."""

    __slots__ = ("_environment",)

    def __init__(self, environment: StateEnvironment) -> None:
        self._environment = environment

    def of(self, address: str) -> list[AppPassword]:
        """All of an account, the oldest first. Raises DirectoryError."""
        tables = self._environment.tables
        with self._environment.read() as txn:
            _, row = edits.account_row(tables, txn, address)
            account = int(row["id"])
            record = load(txn, tables["credentials"], id_key(account)) or {"verifiers": []}
            found = []
            for verifier in app_rows(record["verifiers"]):
                use = load(txn, tables[TABLES[0]], _use_key(account, verifier["id"]))
                found.append(shown(verifier)._replace(used=None if use is None else use["at"]))
        return sorted(found, key=lambda one: one.created)

    async def add(self, address: str, verifier: Verifier) -> None:
        """One more; `verifier` is a row of `identity.app_passwords`. Raises DirectoryError: exists, too-many, unknown."""
        await self._edit(lambda tables, txn: add(tables, txn, address, verifier))

    async def remove(self, address: str, identifier: str) -> None:
        """Ends one at once, in every worker. Raises DirectoryError."""
        await self._edit(lambda tables, txn: remove(tables, txn, address, identifier))

    def note_use(self, account: int, identifier: str, now: float) -> Future[None]:
        """Notes the time of a login without waiting; nothing when the last note is not older than USED_GRAIN_SECONDS."""
        tables = self._environment.tables
        return self._environment.submit(lambda txn: note_use(tables, txn, account, identifier, now))

    async def _edit(self, edit: Callable[[Tables, Transaction], None]) -> None:
        await self._environment.write(lambda txn: edit(self._environment.tables, txn))


def shown(verifier: Verifier) -> AppPassword:
    """A verifier without its secret."""
    return AppPassword(
        verifier["id"], verifier["label"], tuple(verifier["scopes"]), verifier["created"], verifier.get("expires")
    )


def app_rows(verifiers: list[Verifier] | tuple[Verifier, ...]) -> list[Verifier]:
    """The app passwords among the verifiers of a credential."""
    return [verifier for verifier in verifiers if verifier.get("kind") == edits.APP_PASSWORD]


def add(tables: Tables, txn: Transaction, address: str, verifier: Verifier) -> None:
    """Beside the others."""
    name, record = _credential(tables, txn, address)
    present = app_rows(record["verifiers"])
    if any(row["id"] == verifier["id"] for row in present):
        raise DirectoryError("exists", f"there is an app password {verifier['id']} already")
    if len(present) >= PER_ACCOUNT_MAX:
        raise DirectoryError("too-many", f"an account has at most {PER_ACCOUNT_MAX} app passwords; remove one first")
    put(txn, tables["credentials"], name, {**record, "verifiers": [*record["verifiers"], verifier]})
    edits.touch(tables, txn)


def remove(tables: Tables, txn: Transaction, address: str, identifier: str) -> None:
    """By its id. The generation stands: logins with the account's own password are not concerned."""
    name, record = _credential(tables, txn, address)
    gone = [row for row in app_rows(record["verifiers"]) if row["id"] == identifier]
    if not gone:
        raise DirectoryError("unknown", f"{address} has no app password {identifier}")
    kept = [row for row in record["verifiers"] if row not in gone]
    put(txn, tables["credentials"], name, {**record, "verifiers": kept})
    txn.delete(name + identifier.encode(), db=tables[TABLES[0]])
    edits.touch_logins(tables, txn)
    edits.touch(tables, txn)


def note_use(tables: Tables, txn: Transaction, account: int, identifier: str, now: float) -> None:
    """Not for one that has been removed meanwhile."""
    record = load(txn, tables["credentials"], id_key(account)) or {"verifiers": []}
    if all(row["id"] != identifier for row in app_rows(record["verifiers"])):
        return
    name = _use_key(account, identifier)
    last = load(txn, tables[TABLES[0]], name)
    if last is None or last["at"] <= now - USED_GRAIN_SECONDS:
        put(txn, tables[TABLES[0]], name, {"at": now})


def _credential(tables: Tables, txn: Transaction, address: str) -> tuple[bytes, dict[str, Any]]:
    _, row = edits.account_row(tables, txn, address)
    name = id_key(row["id"])
    return name, load(txn, tables["credentials"], name) or {"generation": 0, "verifiers": []}


def _use_key(account: int, identifier: str) -> bytes:
    return id_key(account) + identifier.encode()
