"""Access control lists in the directory (RFC 4314): rules, the way from people to lists, several processes' view."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from ironpost.errors import DirectoryError
from ironpost.state import acl
from ironpost.state.acl import ANYONE, Entry
from ironpost.state.directory import Directory
from ironpost.state.sharing import Sharing

SECRET = [{"kind": "argon2id", "hash": "$argon2id$fake"}]
ALICE, BOB, CAROL = 1, 2, 3
BOX = 7


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


async def people(directory: Directory) -> Sharing:
    await directory.add_domain("example.test")
    for name in ("alice", "bob", "carol"):
        await directory.add_account(f"{name}@example.test", SECRET)
    return directory.sharing


def test_no_number_is_told_before_readers_see_its_transaction(directory: Directory) -> None:
    environment = directory.environment
    with environment.read() as transaction:
        first = transaction.id()
    table = environment.tables["metaoctets"]
    writes: list[Future[object]] = []
    for number in range(1, 201):
        writes.append(environment.submit(lambda txn, value=number: txn.put(b"n", str(value).encode(), db=table)))
        while not writes[-1].done():
            told = environment.last_transaction
            with environment.read() as transaction:
                value = int(transaction.get(b"n", b"0", db=table))
            assert value >= told - first


def test_rights_are_united_and_negative_ones_taken_away() -> None:
    entries = [
        Entry(ANYONE, False, "lr"),
        Entry(BOB, False, "rsw"),
        Entry(BOB, True, "w"),
        Entry(ANYONE, True, "i"),
        Entry(CAROL, False, "li"),
    ]
    assert acl.granted(entries, BOB, ALICE) == "lrs"
    assert acl.granted(entries, CAROL, ALICE) == "lr"
    assert acl.granted(entries, 99, ALICE) == "lr"
    # What is said of everybody is not said of the owner.
    assert acl.granted(entries, ALICE, ALICE) == acl.ALL
    assert acl.granted([Entry(ALICE, False, "r")], ALICE, ALICE) == "lra"
    assert acl.granted([Entry(ALICE, True, "lxa")], ALICE, ALICE) == "lrswipktea"
    assert acl.granted([], BOB, ALICE) == ""


def test_virtual_rights() -> None:
    assert acl.expanded("dcla") == "lkxtea"
    assert acl.spelled("lkt") == "lktcd"
    assert acl.spelled("lr") == "lr"


async def test_lists_change_and_lead_back(directory: Directory) -> None:
    sharing = await people(directory)
    await sharing.change(ALICE, BOX, BOB, False, "=", "lrd")
    await sharing.change(ALICE, BOX, ANYONE, False, "+", "l")
    await sharing.change(ALICE, 8, BOB, True, "=", "w")
    assert sharing.rights(BOB, ALICE, BOX) == "lrte"
    assert sharing.rights(CAROL, ALICE, BOX) == "l"
    assert sharing.rights(BOB, ALICE, 8) == ""
    assert sharing.shared_with(BOB) == {ALICE: {BOX, 8}}
    assert sharing.shared_with(CAROL) == {ALICE: {BOX}}
    assert sharing.shared_with(ALICE) == {}
    assert sharing.named(ALICE, BOX) == [
        ("alice@example.test", "lrswipkxteacd"),
        ("bob@example.test", "lrted"),
        ("anyone", "l"),
    ]
    await sharing.change(ALICE, BOX, BOB, False, "-", "ltedr")
    await sharing.remove(ALICE, BOX, ANYONE, False)
    assert sharing.shared_with(BOB) == {ALICE: {8}}
    assert sharing.shared_with(CAROL) == {}
    assert sharing.lists(ALICE) == {8: [Entry(BOB, True, "w")]}
    assert sharing.named(ALICE, 8)[1] == ("-bob@example.test", "w")


async def test_the_owner_restricts_himself(directory: Directory) -> None:
    sharing = await people(directory)
    assert not sharing.restricted(ALICE)
    await sharing.change(ALICE, BOX, ALICE, False, "-", "x")
    assert sharing.restricted(ALICE)
    assert sharing.rights(ALICE, ALICE, BOX) == "lrswipktea"
    await sharing.change(ALICE, BOX, ALICE, False, "=", "")
    assert sharing.rights(ALICE, ALICE, BOX) == "la"
    await sharing.change(ALICE, BOX, ALICE, False, "=", "lrswipcda")
    assert not sharing.restricted(ALICE)
    assert not sharing.has_lists(ALICE)
    assert sharing.rights(ALICE, ALICE, BOX) == acl.ALL


async def test_inheriting_and_dropping(directory: Directory) -> None:
    sharing = await people(directory)
    await sharing.change(ALICE, BOX, BOB, False, "=", "lr")
    await sharing.inherit(ALICE, BOX, 9)
    assert sharing.rights(BOB, ALICE, 9) == "lr"
    await sharing.drop(ALICE, BOX)
    assert sharing.rights(BOB, ALICE, BOX) == ""
    assert sharing.shared_with(BOB) == {ALICE: {9}}
    assert sharing.has_lists(ALICE)
    assert not sharing.has_lists(BOB)
    assert sharing.owners() == [ALICE]


async def test_removed_accounts_have_and_give_nothing(directory: Directory) -> None:
    sharing = await people(directory)
    await sharing.change(ALICE, BOX, BOB, False, "=", "lr")
    await sharing.change(BOB, 11, CAROL, False, "=", "lr")
    await directory.remove_account("bob@example.test")
    assert sharing.rights(CAROL, BOB, 11) == ""
    assert sharing.named(ALICE, BOX) == [("alice@example.test", "lrswipkxteacd")]
    # Whoever gets the address later is somebody else.
    again = await directory.add_account("bob@example.test", SECRET)
    assert sharing.rights(again.id, ALICE, BOX) == ""
    assert await sharing.sweep(ALICE, []) == 1
    assert await sharing.sweep(BOB, [11]) == 1
    assert sharing.owners() == []
    assert sharing.shared_with(CAROL) == {}


async def test_a_list_is_bounded(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acl, "ENTRIES_MAX", 2)
    sharing = await people(directory)
    await sharing.change(ALICE, BOX, BOB, False, "=", "lr")
    await sharing.change(ALICE, BOX, CAROL, False, "=", "lr")
    with pytest.raises(DirectoryError, match="at most 2"):
        await sharing.change(ALICE, BOX, ANYONE, False, "=", "lr")
    await sharing.change(ALICE, BOX, CAROL, False, "=", "l")
    assert sharing.rights(CAROL, ALICE, BOX) == "l"
