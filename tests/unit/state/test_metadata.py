"""Annotations in the directory (RFC 5464): what is kept for whom, its bounds, and that they are counted rightly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironpost.errors import DirectoryError
from ironpost.state import metadata
from ironpost.state.directory import Directory
from ironpost.state.metadata import SERVER, Target

BOX = Target(1, 7)
MINE = Target(1, 7, 1)
YOURS = Target(1, 7, 2)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


async def test_values_belong_to_their_targets(directory: Directory) -> None:
    store = directory.metadata
    await store.set([(BOX, "/comment", b"all"), (MINE, "/comment", b"\0mine"), (YOURS, "/comment", b"")])
    assert [store.value(target, "/comment") for target in (BOX, MINE, YOURS)] == [b"all", b"\0mine", b""]
    assert store.value(Target(1, 8), "/comment") is None
    assert store.targets() == [BOX, MINE, YOURS]
    await store.set([(MINE, "/comment", None), (MINE, "/nothing", None)])
    assert store.value(MINE, "/comment") is None
    assert store.targets() == [BOX, YOURS]


async def test_what_lies_below(directory: Directory) -> None:
    store = directory.metadata
    names = ["/a", "/a/b", "/a/b/c", "/ab", "/a-b"]
    await store.set([(MINE, name, name.encode()) for name in names])
    await store.set([(BOX, "/a/x", b"other")])
    assert [name for name, _ in store.below(MINE, "/a")] == ["/a", "/a/b", "/a/b/c"]
    assert sorted(name for name, _ in store.below(MINE, "")) == sorted(names)
    assert store.below(MINE, "/a/b/c/d") == []


async def test_the_number_of_entries_is_bounded(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "ENTRIES_MAX", 2)
    store = directory.metadata
    await store.set([(MINE, "/a", b"1"), (MINE, "/b", b"2")])
    with pytest.raises(DirectoryError, match="at most 2 entries"):
        await store.set([(YOURS, "/a", b"1"), (MINE, "/c", b"3")])
    assert store.value(YOURS, "/a") is None
    await store.set([(MINE, "/a", None), (MINE, "/c", b"3"), (MINE, "/b", b"again")])
    assert dict(store.below(MINE, "")) == {"/b": b"again", "/c": b"3"}


async def test_octets_are_counted_for_who_has_them(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "ACCOUNT_OCTETS_MAX", 100)
    store = directory.metadata
    await store.set([(BOX, "/a", b"x" * 48)])  # of account 1, as what it keeps for itself
    await store.set([(SERVER._replace(account=1), "/b", b"x" * 48)])
    with pytest.raises(DirectoryError, match="octets"):
        await store.set([(MINE, "/c", b"")])
    # What another keeps there is his own affair.
    await store.set([(YOURS, "/c", b"x" * 98)])
    await store.set([(BOX, "/a", b"x" * 40), (MINE, "/c", b"x" * 6)])
    with pytest.raises(DirectoryError, match="octets"):
        await store.set([(MINE, "/d", b"")])
    await store.drop(BOX)
    await store.set([(MINE, "/d", b"x" * 40)])
    await store.drop_mailbox(1, 7)
    assert store.targets() == [SERVER._replace(account=1)]
    await store.set([(YOURS, "/c", b"x" * 98)])
    with pytest.raises(DirectoryError, match="octets"):
        await store.set([(MINE, "/c", b"x" * 49)])
    await store.set([(MINE, "/c", b"x" * 48)])
