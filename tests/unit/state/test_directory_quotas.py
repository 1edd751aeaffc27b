"""Limits in the directory: kept, left to the configuration, read from records that knew none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest

from ironpost.errors import DirectoryError
from ironpost.state.directory import Directory, Limits

SECRET = [{"kind": "argon2id", "hash": "$argon2id$fake"}]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


async def people(directory: Directory) -> None:
    await directory.add_domain("example.test")
    for name in ("Alice", "bob", "carol"):
        await directory.add_account(f"{name}@example.test", SECRET)


async def test_limits_are_kept_and_changed_one_by_one(directory: Directory) -> None:
    await people(directory)
    assert directory.limits("alice@example.test") == Limits(None, None)
    assert directory.limits("example.test") == Limits(None, None)
    assert (await directory.set_account_limits("ALICE@example.test", {"octets": 5})).address == "Alice@example.test"
    await directory.set_account_limits("alice@example.test", {"messages": 0})
    assert directory.limits("Alice@example.test") == Limits(5, 0)
    await directory.set_account_limits("alice@example.test", {"octets": None})
    assert directory.limits("alice@example.test") == Limits(None, 0)
    assert await directory.set_domain_limits("EXAMPLE.test", {"octets": 7}) == "example.test"
    assert directory.limits("Example.test") == Limits(7, None)
    # Other edits leave them as they are.
    await directory.set_verifiers("alice@example.test", SECRET)
    await directory.remove_account("alice@example.test")  # the domain's record is written anew: another postmaster
    assert directory.limits("example.test") == Limits(7, None)
    assert directory.limits("alice@example.test") == Limits(None, None)


async def test_mistakes(directory: Directory) -> None:
    await people(directory)
    for edit in (
        directory.set_account_limits("nobody@example.test", {"octets": 1}),
        directory.set_domain_limits("other.test", {"octets": 1}),
        directory.set_account_limits("bob@example.test", {"octets": -1}),
        directory.set_account_limits("bob@example.test", {"bytes": 1}),
    ):
        with pytest.raises(DirectoryError):
            await edit
    assert directory.limits("bob@example.test") == Limits(None, None)


async def test_records_without_limits_are_read(directory: Directory) -> None:
    """As the first release wrote them."""

    def write(txn: object) -> None:
        tables = directory.environment.tables
        domain = {"v": 1, "created": 1.0, "postmaster": "old@older.test"}
        account = {"v": 1, "id": 77, "address": "old@older.test", "created": 1.0}
        txn.put(b"older.test", msgpack.packb(domain), db=tables["domains"])  # type: ignore[attr-defined]
        txn.put(b"old@older.test", msgpack.packb(account), db=tables["accounts"])  # type: ignore[attr-defined]

    await directory.environment.write(write)
    assert directory.limits("old@older.test") == directory.limits("older.test") == Limits(None, None)
    assert directory.page("", 10) == [("old@older.test", (77, "old@older.test"), Limits(None, None))]
    await directory.set_account_limits("old@older.test", {"messages": 3})
    assert directory.limits("old@older.test") == Limits(None, 3)


async def test_pages(directory: Directory) -> None:
    await people(directory)
    await directory.set_account_limits("bob@example.test", {"messages": 3})
    seen = []
    after = ""
    while page := directory.page(after, 2):
        seen += [(account.address, limits.messages) for _, account, limits in page]
        after = page[-1][0]
    assert seen == [("Alice@example.test", None), ("bob@example.test", 3), ("carol@example.test", None)]


async def test_a_threshold_is_claimed_once(directory: Directory) -> None:
    await people(directory)
    assert directory.told("bob@example.test") == 0
    assert await directory.tell("bob@example.test", 80)
    assert not await directory.tell("bob@example.test", 80)
    assert await directory.tell("bob@example.test", 95)
    assert directory.told("bob@example.test") == 95
    await directory.forget_told("bob@example.test", 80)
    assert directory.told("bob@example.test") == 80
    await directory.remove_account("bob@example.test")
    assert directory.told("bob@example.test") == 0
