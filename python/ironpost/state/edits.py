"""The rules of the directory's edits. Each checks, then writes, inside the writer's transaction.

Records are msgpack maps with a version in "v". A refused edit raises DirectoryError before it writes anything.
"""

from __future__ import annotations

import secrets
import time
from typing import Any, Final

import msgpack

from ..errors import DirectoryError
from . import addresses
from .env import Transaction

TABLES: Final = ("meta", "domains", "accounts", "ids", "tombstones", "aliases", "credentials", "told", "urlkeys")
APP_PASSWORD: Final = "app-password"  # the kind of verifiers that a new password leaves as they are
KEY_OCTETS_MAX: Final = 500  # LMDB's bound is 511
FORMAT: Final = 1
TARGETS_MAX: Final = 1000

Tables = dict[str, Any]
Verifier = dict[str, Any]  # {"kind": "argon2id", "hash": "$argon2id$..."}; a list of them, so that SCRAM can join


def id_key(account: int) -> bytes:
    """Key by account id."""
    return account.to_bytes(8, "big")


def add_domain(tables: Tables, txn: Transaction, domain: str) -> str:
    """A new domain."""
    name = addresses.valid_domain(domain)
    if txn.get(name.encode(), db=tables["domains"]) is not None:
        raise DirectoryError("exists", f"the domain {name} is there already")
    put(txn, tables["domains"], name.encode(), {"created": time.time(), "postmaster": None})
    touch(tables, txn)
    return name


def remove_domain(tables: Tables, txn: Transaction, domain: str) -> None:
    """Only when nothing of it is left."""
    name = addresses.valid_domain(domain)
    if txn.get(name.encode(), db=tables["domains"]) is None:
        raise DirectoryError("unknown", f"there is no domain {name}")
    suffix = f"@{name}".encode()
    for table in ("accounts", "aliases"):
        with txn.cursor(db=tables[table]) as cursor:
            left = sum(1 for row in cursor.iternext(keys=True, values=False) if bytes(row).endswith(suffix))
        if left:
            raise DirectoryError("in-use", f"the domain {name} still has {left} {table}; remove them first")
    txn.delete(name.encode(), db=tables["domains"])
    txn.delete(b"@" + name.encode(), db=tables["told"])
    touch(tables, txn)


def add_account(tables: Tables, txn: Transaction, address: str, verifiers: list[Verifier]) -> tuple[int, str]:
    """A new account: id and address."""
    local, domain = addresses.valid_address(address, local_only=True)
    name = addresses.key(local, domain)
    home = load(txn, tables["domains"], domain.encode())
    if home is None:
        raise DirectoryError("no-domain", f"{domain} is not one of our domains (ironpost domain add {domain})")
    if txn.get(name.encode(), db=tables["accounts"]) is not None:
        raise DirectoryError("exists", f"the account {name} is there already")
    if txn.get(name.encode(), db=tables["aliases"]) is not None:
        raise DirectoryError("exists", f"{name} is an alias; remove it first")
    meta = load(txn, tables["meta"], b"accounts") or {"next": 1}
    account = int(meta["next"])
    full = f"{local}@{domain}"
    put(txn, tables["meta"], b"accounts", {"next": account + 1})
    put(txn, tables["accounts"], name.encode(), {"id": account, "address": full, "created": time.time()})
    put(txn, tables["ids"], id_key(account), {"name": name})
    put(txn, tables["credentials"], id_key(account), {"generation": 1, "verifiers": verifiers})
    if home["postmaster"] is None:
        put(txn, tables["domains"], domain.encode(), {**home, "postmaster": name})
    touch(tables, txn)
    return account, full


def import_accounts(tables: Tables, txn: Transaction, rows: list[tuple[str, list[Verifier]]]) -> list[tuple[str, str]]:
    """Many: each row succeeds or is refused by itself."""
    outcomes = []
    for address, verifiers in rows:
        try:
            add_account(tables, txn, address, verifiers)
            outcomes.append(("", ""))
        except DirectoryError as error:
            outcomes.append((error.code, str(error)))
    return outcomes


def remove_account(tables: Tables, txn: Transaction, address: str) -> int:
    """The address is free again at once; the id stays as a tombstone."""
    name, row = account_row(tables, txn, address)
    account = int(row["id"])
    txn.delete(name.encode(), db=tables["accounts"])
    txn.delete(id_key(account), db=tables["credentials"])
    _drop_from(txn, tables["app-password-uses"], id_key(account))
    touch_logins(tables, txn)
    drop_url_keys(tables, txn, account, None)
    txn.delete(name.encode(), db=tables["told"])
    put(txn, tables["ids"], id_key(account), {"name": name, "removed": time.time()})
    put(txn, tables["tombstones"], id_key(account), {"name": name, "removed": time.time(), "purge": True})
    domain = name.rpartition("@")[2]
    home = load(txn, tables["domains"], domain.encode())
    if home is not None and home["postmaster"] == name:
        put(txn, tables["domains"], domain.encode(), {**home, "postmaster": _oldest(tables, txn, domain)})
    touch(tables, txn)
    return account


def drop_tombstone(tables: Tables, txn: Transaction, account: int) -> None:
    """Nothing of the account is left in the store."""
    txn.delete(id_key(account), db=tables["tombstones"])
    txn.delete(id_key(account), db=tables["ids"])
    touch(tables, txn)


def set_verifiers(
    tables: Tables, txn: Transaction, address: str, verifiers: list[Verifier], generation: int | None
) -> None:
    """A new password, or the same one with another cost when `generation` is still the present one. App passwords stay."""
    _, row = account_row(tables, txn, address)
    name = id_key(row["id"])
    present = load(txn, tables["credentials"], name) or {"generation": 0, "verifiers": []}
    changes = present.get("changes", 0)
    if generation is None:
        changes += 1
        touch_logins(tables, txn)
    elif present["generation"] != generation:
        raise DirectoryError("changed", "the password has been changed meanwhile")
    kept = [verifier for verifier in present["verifiers"] if verifier.get("kind") == APP_PASSWORD]
    record = {"generation": present["generation"] + 1, "changes": changes, "verifiers": [*verifiers, *kept]}
    put(txn, tables["credentials"], name, record)
    touch(tables, txn)


def make_decoy_key(tables: Tables, txn: Transaction) -> bytes:
    """The secret of `Directory.decoy_key`, made when there is none."""
    row = load(txn, tables["meta"], b"decoy")
    if row is None:
        row = {"key": secrets.token_bytes(32)}
        put(txn, tables["meta"], b"decoy", row)
    return bytes(row["key"])


def url_key_name(account: int, mailbox: int) -> bytes:
    """Key of a mailbox's access key (RFC 4467 §3)."""
    return id_key(account) + mailbox.to_bytes(4, "big")


def make_url_key(tables: Tables, txn: Transaction, account: int, mailbox: int) -> bytes:
    """The mailbox's access key, made when there is none."""
    name = url_key_name(account, mailbox)
    row = load(txn, tables["urlkeys"], name)
    if row is None:
        row = {"key": secrets.token_bytes(32)}
        put(txn, tables["urlkeys"], name, row)
    return bytes(row["key"])


def drop_url_keys(tables: Tables, txn: Transaction, account: int, mailbox: int | None) -> None:
    """Of one mailbox, or of all of an account."""
    if mailbox is not None:
        txn.delete(url_key_name(account, mailbox), db=tables["urlkeys"])
        return
    _drop_from(txn, tables["urlkeys"], id_key(account))


def _drop_from(txn: Transaction, table: Any, prefix: bytes) -> None:
    """All rows whose keys begin so."""
    with txn.cursor(db=table) as cursor:
        more = cursor.set_range(prefix)
        while more and bytes(cursor.key()).startswith(prefix):
            more = cursor.delete()


def add_alias(tables: Tables, txn: Transaction, address: str, targets: list[str]) -> tuple[str, tuple[str, ...]]:
    """The alias with all its targets."""
    full, name = _alias_name(tables, txn, address)
    if txn.get(name.encode(), db=tables["accounts"]) is not None:
        raise DirectoryError("exists", f"{name} is an account")
    if not targets:
        raise DirectoryError("no-target", "an alias needs at least one target")
    row = load(txn, tables["aliases"], name.encode()) or {"address": full, "targets": []}
    for target in targets:
        local, domain = addresses.valid_address(target)
        target_name = f"{local}@{domain}"
        if addresses.key(local, domain) == name:
            raise DirectoryError("loop", f"{name} cannot lead to itself")
        _refuse_unknown_target(tables, txn, local, domain)
        if target_name not in row["targets"]:
            row["targets"].append(target_name)
    if len(row["targets"]) > TARGETS_MAX:
        raise DirectoryError("too-many", f"an alias has at most {TARGETS_MAX} targets")
    _refuse_loop(tables, txn, name, row["targets"])
    put(txn, tables["aliases"], name.encode(), row)
    touch(tables, txn)
    return row["address"], tuple(row["targets"])


def remove_alias(tables: Tables, txn: Transaction, address: str, targets: list[str]) -> None:
    """Some targets, or all of it."""
    if address.startswith("@"):
        name = "@" + addresses.valid_domain(address[1:])
    else:
        name = addresses.key(*addresses.valid_address(address))
    row = load(txn, tables["aliases"], name.encode())
    if row is None:
        raise DirectoryError("unknown", f"there is no alias {name}")
    gone = {addresses.key(*addresses.valid_address(target)) for target in targets}
    keys = {addresses.key(*addresses.split(target)): target for target in row["targets"]}
    for target in gone:
        if target not in keys:
            raise DirectoryError("unknown", f"{name} does not lead to {target}")
    left = [target for key, target in keys.items() if key not in gone] if gone else []
    if left:
        put(txn, tables["aliases"], name.encode(), {**row, "targets": left})
    else:
        txn.delete(name.encode(), db=tables["aliases"])
    touch(tables, txn)


def _alias_name(tables: Tables, txn: Transaction, address: str) -> tuple[str, str]:
    if address.startswith("@"):
        domain = addresses.valid_domain(address[1:])
        full = name = f"@{domain}"
    else:
        local, domain = addresses.valid_address(address)
        full, name = f"{local}@{domain}", addresses.key(local, domain)
    if txn.get(domain.encode(), db=tables["domains"]) is None:
        raise DirectoryError("no-domain", f"{domain} is not one of our domains (ironpost domain add {domain})")
    return full, name


def _refuse_unknown_target(tables: Tables, txn: Transaction, local: str, domain: str) -> None:
    if txn.get(domain.encode(), db=tables["domains"]) is None:
        return  # another server's affair
    plain = local.partition(addresses.DETAIL_SEPARATOR)[0]
    for name in (addresses.key(local, domain), addresses.key(plain, domain)):
        for table in ("accounts", "aliases"):
            if txn.get(name.encode(), db=tables[table]) is not None:
                return
    raise DirectoryError("unknown", f"there is neither an account nor an alias {local}@{domain}")


def _refuse_loop(tables: Tables, txn: Transaction, name: str, targets: list[str]) -> None:
    """Follows the targets through other aliases; coming back to `name` is a loop."""
    seen: set[str] = set()
    pending = list(targets)
    while pending:
        key = addresses.key(*addresses.split(pending.pop()))
        if key == name:
            raise DirectoryError("loop", f"these targets lead back to {name}")
        if key in seen:
            continue
        seen.add(key)
        row = load(txn, tables["aliases"], key.encode())
        if row is not None:
            pending += row["targets"]


def _oldest(tables: Tables, txn: Transaction, domain: str) -> str | None:
    """The oldest account of a domain, which gets its postmaster's mail when nobody else is named for it."""
    suffix = f"@{domain}".encode()
    best: tuple[int, str] | None = None
    with txn.cursor(db=tables["accounts"]) as cursor:
        for name, value in cursor:
            if bytes(name).endswith(suffix):
                row = msgpack.unpackb(value)
                if best is None or row["id"] < best[0]:
                    best = (row["id"], bytes(name).decode())
    return None if best is None else best[1]


def account_row(tables: Tables, txn: Transaction, address: str) -> tuple[str, Any]:
    """Key and record of an account that a person has named."""
    name = addresses.key(*addresses.valid_address(address))
    row = load(txn, tables["accounts"], name.encode())
    if row is None:
        raise DirectoryError("unknown", f"there is no account {name}")
    return name, row


def touch(tables: Tables, txn: Transaction) -> None:
    """Counts an edit."""
    meta = load(txn, tables["meta"], b"directory") or {"generation": 0}
    put(txn, tables["meta"], b"directory", {"format": FORMAT, "generation": meta["generation"] + 1})


def touch_logins(tables: Tables, txn: Transaction) -> None:
    """Counts an edit after which somebody who is logged in may not be so any more."""
    row = load(txn, tables["meta"], b"logins") or {"ended": 0}
    put(txn, tables["meta"], b"logins", {"ended": row["ended"] + 1})


def load(txn: Transaction, table: Any, name: bytes) -> Any:
    """A record, or None."""
    value = txn.get(name, db=table)
    return None if value is None else msgpack.unpackb(value)


def put(txn: Transaction, table: Any, name: bytes, record: dict[str, Any]) -> None:
    """Writes a record."""
    txn.put(name, msgpack.packb({"v": 1, **record}), db=table)
