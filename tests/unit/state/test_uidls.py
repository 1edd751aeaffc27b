"""Ids that messages have brought from another POP3 server: what is kept, what is refused, and what goes with its owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ironpost.state.directory import Directory
from ironpost.state.uidls import UIDL_OCTETS_MAX, own

VALIDITY = 1234
BOX = 7


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    opened = Directory(tmp_path)
    yield opened
    opened.close()


async def test_kept_by_mailbox_and_uid(directory: Directory) -> None:
    uidls = directory.uidls
    assert await uidls.set(1, BOX, VALIDITY, [(1, "a"), (2**32 - 1, "x" * UIDL_OCTETS_MAX), (3, "!~")]) == []
    assert await uidls.set(1, 8, VALIDITY, [(1, "a")]) == []
    assert await uidls.set(2, BOX, VALIDITY, [(1, "a")]) == []
    assert uidls.of(1, BOX) == {1: "a", 3: "!~", 2**32 - 1: "x" * UIDL_OCTETS_MAX}
    assert uidls.mailboxes() == [(1, BOX), (1, 8), (2, BOX)]
    await uidls.drop(1, BOX, [3, 4])
    assert uidls.of(1, BOX) == {1: "a", 2**32 - 1: "x" * UIDL_OCTETS_MAX}
    await uidls.drop(1, BOX)
    assert uidls.of(1, BOX) == {}
    assert uidls.of(1, 8) == {1: "a"}
    assert await uidls.set(1, BOX, VALIDITY, [(9, "a")]) == []  # free again


@pytest.mark.parametrize("uidl", ["", " ", "a b", "\x20a", "a\x7f", "ä", "a\n", "x" * (UIDL_OCTETS_MAX + 1)])
async def test_bad_ones_are_refused(directory: Directory, uidl: str) -> None:
    ((uid, refused, why),) = await directory.uidls.set(1, BOX, VALIDITY, [(1, uidl)])
    assert (uid, refused) == (1, uidl)
    assert "RFC 1939" in why
    assert directory.uidls.of(1, BOX) == {}


async def test_all_allowed_characters(directory: Directory) -> None:
    for octet in range(256):
        refused = await directory.uidls.set(1, BOX, VALIDITY, [(octet + 1, chr(octet))])
        assert bool(refused) == (not 0x21 <= octet <= 0x7E), octet


async def test_doubles_are_refused(directory: Directory) -> None:
    uidls = directory.uidls
    refused = await uidls.set(1, BOX, VALIDITY, [(1, "a"), (2, "a"), (1, "a"), (1, "b"), (3, "c")])
    assert [(uid, uidl) for uid, uidl, _ in refused] == [(2, "a"), (1, "b")]
    assert "UID 1 has it already" in refused[0][2]
    assert "has a already" in refused[1][2]
    assert uidls.of(1, BOX) == {1: "a", 3: "c"}


async def test_none_is_another_messages_own(directory: Directory) -> None:
    uidls = directory.uidls
    rows = [(1, own(VALIDITY, 1)), (2, own(VALIDITY, 1)), (3, own(VALIDITY + 1, 1))]
    refused = await uidls.set(1, BOX, VALIDITY, rows)
    assert [row[0] for row in refused] == [2]
    assert uidls.of(1, BOX) == {3: own(VALIDITY + 1, 1)}  # that of 1 it has by itself


async def test_they_go_with_the_account(directory: Directory) -> None:
    await directory.add_domain("example.test")
    gone, stays = [await directory.add_account(f"{name}@example.test", []) for name in ("gone", "stays")]
    for account in (gone, stays):
        for mailbox in (1, 2):
            assert await directory.uidls.set(account.id, mailbox, VALIDITY, [(1, "a"), (2, "b")]) == []
    await directory.remove_account(gone.address)
    assert directory.uidls.mailboxes() == [(stays.id, 1), (stays.id, 2)]
