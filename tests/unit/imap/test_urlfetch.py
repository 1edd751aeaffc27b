"""URLFETCH of a message that turns out to be damaged: the literal that was announced still has its length (RFC 9051 §4.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from ironpost import _core
from ironpost.imap.commands.urlauth import _send


class FakePiece:
    """Gives some octets, then fails."""

    def __init__(self, octets: int, given: int, fault: Exception | None) -> None:
        self.octets = octets
        self.given = given
        self.fault = fault

    async def read(self) -> AsyncIterator[bytes]:
        yield b"x" * self.given
        if self.fault is not None:
            raise self.fault


class FakeSession:
    """Gathers what is sent."""

    def __init__(self) -> None:
        self.wire = self
        self.log = self
        self.sent = b""
        self.warnings = 0

    def append_output(self, octets: bytes) -> None:
        self.sent += octets

    def warning(self, _: str, **__: Any) -> None:
        self.warnings += 1

    async def drain_if_high(self) -> None:
        pass


async def sent(piece: Any) -> tuple[bool, FakeSession]:
    session: Any = FakeSession()
    return await _send(session, piece), session


async def test_a_whole_one() -> None:
    whole, session = await sent(FakePiece(5, 5, None))
    assert whole
    assert session.sent == b"xxxxx"


@pytest.mark.parametrize("left", [1, 65536, 200_000])
async def test_what_is_missing_is_made_up(left: int) -> None:
    whole, session = await sent(FakePiece(10 + left, 10, _core.StoreCorrupt("damaged")))
    assert not whole
    assert session.sent == b"x" * 10 + b" " * left
    assert session.warnings == 1


async def test_a_failed_store_ends_the_session() -> None:
    with pytest.raises(_core.StoreFailed):
        await sent(FakePiece(20, 10, _core.StoreFailed("gone")))
