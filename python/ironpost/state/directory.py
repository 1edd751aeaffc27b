"""The directory: which domains are ours, which accounts there are, and which addresses lead to whom.

Reads are inline, short, and remembered while nothing has been written. Edits go through the environment's writer thread
and are on disk when they return. Account ids come from a counter and are never used again: a removed account leaves a
tombstone until its mail is purged. Rules of the edits are in `edits`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgpack

from . import acl, addresses, app_passwords, edits, metadata, quotas, uidls
from .edits import Verifier
from .env import StateEnvironment, Transaction
from .quotas import Changes, Limits
from .sharing import Sharing

__all__ = ["Account", "Alias", "Credential", "Directory", "Limits", "Resolution", "Verifier"]

REMEMBERED_MAX: Final = 16_384  # addresses, known and unknown
ALIAS_DEPTH_MAX: Final = 16
ALIAS_TARGETS_MAX: Final = 1000  # what one address may expand to
POSTMASTER: Final = "postmaster"  # RFC 5321 §4.5.1
T = TypeVar("T")


class Account(NamedTuple):
    """A person's mailboxes. The address is as it was given, its domain as A-labels."""

    id: int
    address: str


class Resolution(NamedTuple):
    """Where mail for an address goes."""

    accounts: tuple[Account, ...]
    remote: tuple[str, ...]


class Alias(NamedTuple):
    """An address that leads to others."""

    address: str
    targets: tuple[str, ...]


class Credential:
    """What passwords are checked against. `generation` grows whenever the verifiers of the account's own password are made
    anew, `changes` only when it has become another one."""

    __slots__ = ("changes", "generation", "verifiers")

    def __init__(self, generation: int, verifiers: tuple[Verifier, ...], changes: int = 0) -> None:
        self.generation = generation
        self.changes = changes
        self.verifiers = verifiers

    def __repr__(self) -> str:
        return f"<Credential generation={self.generation}>"


class Directory:
    """Opens or creates the directory in `folder` (DIR/state). One per process."""

    def __init__(self, folder: Path) -> None:
        tables = (*edits.TABLES, *acl.TABLES, *metadata.TABLES, *app_passwords.TABLES, *uidls.TABLES)
        self.environment = StateEnvironment(folder / "directory", tables)
        self.app_passwords = app_passwords.AppPasswords(self.environment)
        self.sharing = Sharing(self.environment)
        self.metadata = metadata.Metadata(self.environment)
        self.uidls = uidls.Uidls(self.environment)
        self._resolved: OrderedDict[tuple[str, str], Resolution | None] = OrderedDict()
        self._domains: frozenset[str] = frozenset()
        self._accounts: OrderedDict[str, Account | None] = OrderedDict()
        self._limits: OrderedDict[str, Limits] = OrderedDict()
        self._told: OrderedDict[str, int] = OrderedDict()
        self._seen = -1

    def close(self) -> None:
        """Finishes pending edits and closes."""
        self.environment.close()

    # -- reading

    @property
    def generation(self) -> int:
        """Changes with every edit, whichever process made it."""
        return self.environment.last_transaction

    def domains(self) -> list[str]:
        """All, sorted."""
        self._refresh()
        return sorted(self._domains)

    def is_local_domain(self, domain: str) -> bool:
        """True when mail for this domain is ours."""
        self._refresh()
        return addresses.domain_key(domain) in self._domains

    def postmaster_domain(self, hostname: str) -> str:
        """The domain of a bare <postmaster> (RFC 5321 §4.5.1): the host's own, or the first of ours."""
        self._refresh()
        host = addresses.domain_key(hostname)
        if host in self._domains:
            return host
        parent = host.partition(".")[2]
        if parent in self._domains:
            return parent
        return min(self._domains, default=host)

    def resolve(self, local: str, domain: str) -> tuple[Account, ...] | None:
        """The accounts behind an address, or None when nobody has it. Remote targets: `resolve_full`."""
        resolution = self.resolve_full(local, domain)
        return None if resolution is None else resolution.accounts

    def resolve_full(self, local: str, domain: str) -> Resolution | None:
        """Accounts and remote addresses behind an address of ours, or None when nobody has it."""
        self._refresh()
        name = (addresses.local_key(local), addresses.domain_key(domain))
        try:
            resolution = self._resolved[name]
        except KeyError:
            resolution = self._resolve(*name)
            _remember(self._resolved, name, resolution)
        else:
            self._resolved.move_to_end(name)
        return resolution

    def account(self, address: str) -> Account | None:
        """The account whose own address this is."""
        self._refresh()
        name = addresses.key(*addresses.split(address))
        if name not in self._accounts:
            with self.environment.read() as transaction:
                _remember(self._accounts, name, self._account(transaction, name))
        return self._accounts[name]

    def login_account(self, user: str) -> Account | None:
        """The account that a user means: its address, or its local part when there is one domain only."""
        name = self._with_domain(user)
        return self.account(name) if "@" in name else None

    def login_name(self, user: str) -> str:
        """What a user's spellings have in common, whether there is such an account or not: what it would be found by."""
        name = self._with_domain(user)
        return addresses.key(*addresses.split(name)) if "@" in name else name.lower()

    def _with_domain(self, user: str) -> str:
        if "@" in user:
            return user
        self._refresh()
        return f"{user}@{next(iter(self._domains))}" if len(self._domains) == 1 else user

    def credential(self, account: int) -> Credential | None:
        """What the account's password is checked against, as it is on disk now."""
        with self.environment.read() as transaction:
            record = self._load(transaction, "credentials", edits.id_key(account))
        if record is None:
            return None
        return Credential(record["generation"], tuple(record["verifiers"]), record.get("changes", 0))

    def logins_ended(self) -> int:
        """Grows with every edit after which somebody who is logged in may not be so any more."""
        with self.environment.read() as transaction:
            record = self._load(transaction, "meta", b"logins")
        return 0 if record is None else int(record["ended"])

    def url_key(self, account: int, mailbox: int) -> bytes | None:
        """The mailbox's access key for IMAP URLs, if URLs have been made."""
        with self.environment.read() as transaction:
            record = self._load(transaction, "urlkeys", edits.url_key_name(account, mailbox))
        return None if record is None else bytes(record["key"])

    def may_send_as(self, account: Account, address: str) -> bool:
        """True for the account's own address, with a detail or without, and for aliases that reach it."""
        local, domain = addresses.split(address)
        if not domain or not self.is_local_domain(domain):
            return False
        resolution = self.resolve_full(local, domain)
        return resolution is not None and account in resolution.accounts

    def accounts(self, domain: str | None = None) -> list[Account]:
        """All, or those of a domain, sorted by address."""
        suffix = None if domain is None else "@" + addresses.domain_key(domain)
        with self.environment.read() as transaction:
            rows = self._rows(transaction, "accounts")
            return [Account(row["id"], row["address"]) for name, row in rows if suffix is None or name.endswith(suffix)]

    def aliases(self) -> list[Alias]:
        """All, sorted."""
        with self.environment.read() as transaction:
            return [Alias(row["address"], tuple(row["targets"])) for _, row in self._rows(transaction, "aliases")]

    def count_accounts(self) -> int:
        """How many there are."""
        with self.environment.read() as transaction:
            return int(transaction.stat(self.environment.tables["accounts"])["entries"])

    def existing(self, names: Iterable[str]) -> set[str]:
        """Those of these addresses that are accounts."""
        with self.environment.read() as transaction:
            table = self.environment.tables["accounts"]
            return {
                name
                for name in names
                if transaction.get(addresses.key(*addresses.split(name)).encode(), db=table) is not None
            }

    def known_ids(self) -> set[int]:
        """Ids of accounts and of tombstones: what `store check` may find."""
        with self.environment.read() as txn, txn.cursor(db=self.environment.tables["ids"]) as cursor:
            return {int.from_bytes(name, "big") for name in cursor.iternext(keys=True, values=False)}

    def purgeable(self, before: float, limit: int = 100) -> list[int]:
        """Accounts removed before this time (Unix seconds) whose mail is still to be purged."""
        found: list[int] = []
        with self.environment.read() as txn, txn.cursor(db=self.environment.tables["tombstones"]) as cursor:
            for name, value in cursor:
                row = msgpack.unpackb(value)
                if row["purge"] and row["removed"] < before:
                    found.append(int.from_bytes(name, "big"))
                    if len(found) >= limit:
                        break
        return found

    def limits(self, name: str) -> Limits:
        """Of an account, by its address, or of all accounts of a domain, by its name; unknown ones have none."""
        self._refresh()
        try:
            return self._limits[name]
        except KeyError:
            local, domain = addresses.split(name)
            table, key = (
                ("accounts", addresses.key(local, domain)) if domain else ("domains", addresses.domain_key(name))
            )
            with self.environment.read() as transaction:
                limits = quotas.of_row(self._load(transaction, table, key.encode()[: edits.KEY_OCTETS_MAX]))
            _remember(self._limits, name, limits)
            return limits

    def told(self, name: str) -> int:
        """The highest threshold that an account, or a domain as `@domain`, has been warned of; 0: none."""
        self._refresh()
        try:
            return self._told[name]
        except KeyError:
            with self.environment.read() as transaction:
                row = self._load(transaction, "told", name.encode())
            level = 0 if row is None else int(row["level"])
            _remember(self._told, name, level)
            return level

    def page(self, after: str, count: int) -> list[tuple[str, Account, Limits]]:
        """At most `count` accounts behind a key, with their keys and limits: for walks over all of them."""
        with self.environment.read() as transaction:
            rows = quotas.page(self.environment.tables, transaction, after, count)
        return [(key, Account(account, address), limits) for key, account, address, limits in rows]

    # -- editing: each returns when it is on disk, or raises DirectoryError

    async def add_domain(self, domain: str) -> str:
        """Makes a domain ours; returns its key."""
        return await self._edit(lambda tables, txn: edits.add_domain(tables, txn, domain))

    async def remove_domain(self, domain: str) -> None:
        """Refused while the domain has accounts or aliases."""
        await self._edit(lambda tables, txn: edits.remove_domain(tables, txn, domain))

    async def add_account(self, address: str, verifiers: list[Verifier]) -> Account:
        """A new account with its own id."""
        return Account(*await self._edit(lambda tables, txn: edits.add_account(tables, txn, address, verifiers)))

    async def import_accounts(self, rows: list[tuple[str, list[Verifier]]]) -> list[tuple[str, str]]:
        """Many accounts in one commit. Returns (code, text) for each row; code "" is success, a fault stops nothing."""
        return await self._edit(lambda tables, txn: edits.import_accounts(tables, txn, rows))

    async def remove_account(self, address: str) -> int:
        """Leaves a tombstone, from which the janitor purges the mail; returns the id."""

        def remove(tables: dict[str, Any], txn: Transaction) -> int:
            account = edits.remove_account(tables, txn, address)
            uidls.drop(tables, txn, edits.id_key(account))
            return account

        return await self._edit(remove)

    async def drop_tombstone(self, account: int) -> None:
        """The mail of a removed account is gone."""
        await self._edit(lambda tables, txn: edits.drop_tombstone(tables, txn, account))

    async def set_verifiers(self, address: str, verifiers: list[Verifier], *, generation: int | None = None) -> None:
        """A new password. With `generation`: only if nobody has changed it since (a rehash)."""
        await self._edit(lambda tables, txn: edits.set_verifiers(tables, txn, address, verifiers, generation))

    async def decoy_key(self) -> bytes:
        """The secret from which salts of users who do not exist are made; made once, the same for all processes."""
        with self.environment.read() as transaction:
            record = self._load(transaction, "meta", b"decoy")
        if record is not None:
            return bytes(record["key"])
        return await self._edit(edits.make_decoy_key)

    async def make_url_key(self, account: int, mailbox: int) -> bytes:
        """The mailbox's access key for IMAP URLs (RFC 4467 §3), made when there is none."""
        known = self.url_key(account, mailbox)
        if known is not None:
            return known
        return await self._edit(lambda tables, txn: edits.make_url_key(tables, txn, account, mailbox))

    async def drop_url_keys(self, account: int, mailbox: int | None) -> None:
        """Forgets the access key of a mailbox, or of all of an account."""
        await self._edit(lambda tables, txn: edits.drop_url_keys(tables, txn, account, mailbox))

    async def add_alias(self, address: str, targets: list[str]) -> Alias:
        """Adds targets to an alias, making it when it is new. `@domain` catches what has no other taker."""
        return Alias(*await self._edit(lambda tables, txn: edits.add_alias(tables, txn, address, targets)))

    async def remove_alias(self, address: str, targets: list[str]) -> None:
        """Removes these targets, or the whole alias when none are named or none would be left."""
        await self._edit(lambda tables, txn: edits.remove_alias(tables, txn, address, targets))

    async def set_account_limits(self, address: str, changes: Changes) -> Account:
        """`octets` and `messages`: a number, 0 for no limit, None for the configuration's default."""
        return Account(*await self._edit(lambda tables, txn: quotas.set_account(tables, txn, address, changes)))

    async def set_domain_limits(self, domain: str, changes: Changes) -> str:
        """The same for all accounts of a domain together; returns its key."""
        return await self._edit(lambda tables, txn: quotas.set_domain(tables, txn, domain, changes))

    async def tell(self, name: str, level: int) -> bool:
        """Claims the warning of a threshold; False when it has been given already."""
        return await self._edit(lambda tables, txn: quotas.tell(tables, txn, name, level))

    async def forget_told(self, name: str, level: int) -> None:
        """What lies above `level` may be told again."""
        await self._edit(lambda tables, txn: quotas.forget(tables, txn, name, level))

    # -- inside

    async def _edit(self, edit: Callable[[dict[str, Any], Transaction], T]) -> T:
        return await self.environment.write(lambda transaction: edit(self.environment.tables, transaction))

    def _refresh(self) -> None:
        generation = self.environment.last_transaction
        if generation == self._seen:
            return
        with self.environment.read() as transaction:
            with transaction.cursor(db=self.environment.tables["domains"]) as cursor:
                self._domains = frozenset(bytes(name).decode() for name in cursor.iternext(keys=True, values=False))
            # The transaction may be newer than the number read before it: then the next call reads once more.
            self._seen = generation
        self._resolved.clear()
        self._accounts.clear()
        self._limits.clear()
        self._told.clear()

    def _resolve(self, local: str, domain: str) -> Resolution | None:
        if domain not in self._domains:
            return None
        accounts: dict[int, Account] = {}
        remote: dict[str, None] = {}
        seen: set[tuple[str, str]] = set()
        with self.environment.read() as transaction:
            pending = [(local, domain, 0)]
            while pending:
                name, host, depth = pending.pop()
                if (name, host) in seen or depth > ALIAS_DEPTH_MAX:
                    continue
                seen.add((name, host))
                if len(accounts) + len(remote) >= ALIAS_TARGETS_MAX or len(seen) > 4 * ALIAS_TARGETS_MAX:
                    break
                account, targets = self._step(transaction, name, host)
                if account is not None:
                    accounts[account.id] = account
                for target in targets:
                    to, at = addresses.split(target)
                    if at in self._domains:
                        pending.append((addresses.local_key(to), at, depth + 1))
                    else:
                        remote[target] = None
        if not accounts and not remote:
            return None
        return Resolution(tuple(accounts.values()), tuple(remote))

    def _step(self, transaction: Transaction, local: str, domain: str) -> tuple[Account | None, list[str]]:
        """What an address is: an account or an alias, by itself, without its detail, as postmaster, by catch-all."""
        plain = local.partition(addresses.DETAIL_SEPARATOR)[0]
        for name in (local, plain) if plain and plain != local else (local,):
            account = self._account(transaction, f"{name}@{domain}")
            if account is not None:
                return account, []
            targets = self._targets(transaction, f"{name}@{domain}")
            if targets:
                return None, targets
        if plain == POSTMASTER:
            return self._first_account(transaction, domain), []
        return None, self._targets(transaction, f"@{domain}")

    def _account(self, transaction: Transaction, name: str) -> Account | None:
        row = self._load(transaction, "accounts", name.encode()[: edits.KEY_OCTETS_MAX])
        return None if row is None else Account(row["id"], row["address"])

    def _targets(self, transaction: Transaction, name: str) -> list[str]:
        row = self._load(transaction, "aliases", name.encode()[: edits.KEY_OCTETS_MAX])
        return [] if row is None else list(row["targets"])

    def _first_account(self, transaction: Transaction, domain: str) -> Account | None:
        """The domain's oldest account, as the edits keep it noted."""
        home = self._load(transaction, "domains", domain.encode())
        return None if home is None or home["postmaster"] is None else self._account(transaction, home["postmaster"])

    def _load(self, transaction: Transaction, table: str, name: bytes) -> Any:
        value = transaction.get(name, db=self.environment.tables[table])
        return None if value is None else msgpack.unpackb(value)

    def _rows(self, transaction: Transaction, table: str) -> Iterable[tuple[str, Any]]:
        with transaction.cursor(db=self.environment.tables[table]) as cursor:
            for name, value in cursor:
                yield bytes(name).decode(), msgpack.unpackb(value)


def _remember(memory: OrderedDict[Any, Any], name: object, value: object) -> None:
    memory[name] = value
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)
