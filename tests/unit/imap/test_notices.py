"""What NOTIFY does when there is too much to watch (RFC 5465 §5.8)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio

from ironpost.imap import notices
from ironpost.imap.filters import Filter
from ironpost.imap.wishes import Group, Wishes


class Wire:
    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []

    def respond(self, *words: str) -> None:
        self.said.append(words)


async def test_too_many_mailboxes_end_as_notify_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    async def too_many(*_: Any) -> notices.Look:
        await trio.lowlevel.checkpoint()
        raise notices.Overflow

    monkeypatch.setattr(notices, "look", too_many)
    wanted = Wishes((Group(Filter("personal", ()), frozenset({"MAILBOXNAME"})),), frozenset({"MESSAGENEW"}), True)
    session: Any = SimpleNamespace(watch=notices.Watch(wanted), view=None, idle_tag=None, wire=Wire(), account_id=1)
    await notices.tell(session)
    assert [words[:3] for words in session.wire.said] == [("*", "OK", "NOTIFICATIONOVERFLOW")]
    # Not as if NOTIFY had never been used: the client hears of nothing any more, of the selected mailbox neither.
    assert session.watch is not None
    assert session.watch.wishes == Wishes()
    assert notices.places(session) == frozenset()
    await notices.tell(session)
    assert len(session.wire.said) == 1
