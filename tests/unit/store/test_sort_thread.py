"""SORT and THREAD of the store against a plain model of RFC 5256."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.thread_model import MARKS, SUBJECTS, Mail, ordered_subject, references, sort

from ironpost import _core
from ironpost.store.client import StoreClient

KEYS = ("ARRIVAL", "DATE", "FROM", "SUBJECT")
BEGIN = 1_600_000_000


@pytest.fixture
def core(tmp_path: Path) -> Iterator[_core.Store]:
    store = _core.Store.open(str(tmp_path / "store"), map_size=1 << 28, min_free=0, sync=False)
    yield store
    store.close()


def octets(mail: Mail) -> bytes:
    """The message."""
    lines = []
    if mail.sent is not None:
        lines.append(f"Date: {format_datetime(datetime.fromtimestamp(mail.sent, UTC))}")
    lines.append(f"From: {mail.sender}@x.test")
    if mail.subject or mail.mark:
        lines.append(f"Subject: {mail.mark}{mail.subject}")
    if mail.identity is not None:
        lines.append(f"Message-ID: <{mail.identity}@x.test>")
    if len(mail.references) == 1 and mail.references[0] % 2:
        lines.append(f"In-Reply-To: <{mail.references[0]}@x.test>")
    elif mail.references:
        lines.append("References: " + "\r\n ".join(f"<{number}@x.test>" for number in mail.references))
    return "\r\n".join([*lines, "", "text", ""]).encode()


def program(line: str) -> _core.SearchProgram:
    """What the grammar makes of a command."""
    wire = _core.ImapServer()
    wire.greet("PREAUTH", "", "hello")
    wire.selected(False)
    command = f"a {line}\r\n".encode()
    wire.receive(bytearray(command), len(command))
    event = wire.next_event()
    assert isinstance(event, _core.Command), event
    found = event.arguments[0]
    assert isinstance(found, _core.SearchProgram)
    return found


async def ask(core: _core.Store, name: str, mails: list[Mail], lines: list[str]) -> list[str]:
    """Puts the messages into a new mailbox and runs commands over them."""
    store = StoreClient(core)
    answers = []
    async with trio.open_nursery() as nursery:
        await nursery.start(store.run, lambda _: None)
        messages: list[Any] = []
        for mail in mails:
            sink = core.sink()
            await store.write_sink(sink, octets(mail))
            messages.append((sink, (), float(mail.arrival), 0))
        await store.call(core.submit(None, deliveries=[]), write=True)
        await store.call(core.create_mailbox(1, name), write=True)
        await store.call(core.append_all(1, name, messages), write=True)
        view = await store.call(core.open_view(1, name, True))
        for line in lines:
            answer = await store.call(core.search(view, program(line), False, "a"))
            answers.append(answer.decode().strip())
        nursery.cancel_scope.cancel()
    return answers


times = st.integers(BEGIN, BEGIN + 6)


@st.composite
def mailboxes(draw: st.DrawFn) -> list[Mail]:
    """A few messages; ancestors have smaller identities, in no order with the places in the mailbox."""
    mails = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        identity = draw(st.one_of(st.none(), st.integers(1, 15)))
        older = st.integers(1, (identity or 16) - 1) if identity != 1 else st.nothing()
        mails.append(
            Mail(
                number,
                draw(st.one_of(st.none(), times)),
                draw(times),
                draw(st.sampled_from(SUBJECTS)),
                draw(st.sampled_from(MARKS)),
                draw(st.sampled_from(("ann", "Ann", "bob", "BOB2"))),
                identity,
                tuple(sorted(draw(st.sets(older, max_size=4)))) if identity != 1 else (),
            )
        )
    return mails


names = (f"box{number}" for number in range(1_000_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mails=mailboxes(), seed=st.integers(0, 1 << 30))
def test_as_the_model(core: _core.Store, mails: list[Mail], seed: int) -> None:
    chosen = random.Random(seed)
    criteria = [(chosen.choice(KEYS), chosen.random() < 0.5) for _ in range(chosen.randint(1, 3))]
    words = " ".join(f"{'REVERSE ' * is_reversed}{key}" for key, is_reversed in criteria)
    lines = [f"SORT ({words}) UTF-8 ALL"]
    lines += [f"THREAD {name} UTF-8 ALL" for name in ("ORDEREDSUBJECT", "REFERENCES", "REFS")]
    answers = trio.run(ask, core, next(names), mails, lines)
    assert answers == [
        "* SORT " + " ".join(map(str, sort(mails, criteria))),
        "* THREAD " + ordered_subject(mails),
        "* THREAD " + references(mails, subjects=True),
        "* THREAD " + references(mails, subjects=False),
    ]
