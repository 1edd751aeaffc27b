"""APPEND (RFC 9051 §6.3.12): policy before a single octet of the message is sent, durable before OK."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from ...quota import Room

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["PendingAppend", "begin", "body_end", "body_ready", "complete"]


class PendingAppend:
    """An APPEND whose literal is under way."""

    __slots__ = ("binary", "flags", "internal_date", "internal_zone", "mailbox", "nul", "sink")

    def __init__(self, event: _core.AppendBegin, sink: _core.Sink) -> None:
        self.mailbox = event.mailbox
        self.flags = event.flags
        self.internal_date: float | None = None
        self.internal_zone = 0
        if event.internal_date is not None:
            self.internal_date = float(event.internal_date[0])
            self.internal_zone = event.internal_date[1]
        self.binary = event.binary
        self.nul = False
        self.sink = sink


async def begin(session: Session, event: _core.AppendBegin) -> None:
    """Refuses early what could not be kept, else lets the octets come."""
    if event.size > session.context.config.limits.message_octets_max:
        session.wire.refuse_literal("TOOBIG", "the message is larger than this server keeps")
        return
    try:
        await session.store.call(session.store.core.mailbox(session.account_id, event.mailbox))
        quotas = session.context.quotas
        await quotas.ensure(session.people)
        if quotas.room(session.people, event.size) is Room.NONE:
            session.wire.refuse_literal("OVERQUOTA", "no room for this message")
            return
        sink = session.store.core.sink(size_hint=event.size)
    except _core.NotFound:
        session.wire.refuse_literal("TRYCREATE", "no such mailbox")
        return
    except _core.StoreFull:
        session.wire.refuse_literal("OVERQUOTA", "no space left on the server")
        return
    except _core.StoreFailed:
        raise
    except _core.StoreError as error:
        session.log.warning("append refused", error=str(error))
        session.wire.refuse_literal("UNAVAILABLE", "temporary failure, please try again")
        return
    session.append = PendingAppend(event, sink)
    session.wire.accept_literal()


async def body_ready(session: Session) -> None:
    """Moves octets from the core to the sink, waiting while the sink is full."""
    pending = session.append
    if pending is None:
        session.wire.discard_body()
        return
    while not session.wire.feed_sink(pending.sink):
        await session.store.call(session.store.core.wait_sink(pending.sink))


def body_end(session: Session, nul: bool) -> None:
    """The literal is complete; the command's end follows."""
    if session.append is not None:
        session.append.nul = nul


async def complete(session: Session, tag: str, name: str) -> None:
    """The command line has ended: store, then answer."""
    pending, session.append = session.append, None
    if pending is None:
        session.wire.respond(tag, "BAD", "", "no message was sent")
        return
    if pending.nul and not pending.binary:
        pending.sink.discard()
        session.wire.respond(tag, "NO", "UNKNOWN-CTE", "a NUL octet needs a literal8 (RFC 3516)")
        return
    try:
        stored = await session.store.call(
            session.store.core.append(
                session.account_id,
                pending.mailbox,
                pending.sink,
                pending.flags,
                pending.internal_date,
                pending.internal_zone,
            ),
            write=True,
        )
    except _core.NotFound:
        session.wire.respond(tag, "NO", "TRYCREATE", "no such mailbox")
        return
    session.context.quotas.look(session.people)
    await session.finish(tag, name, f"APPENDUID {stored.uid_validity} {stored.uid}")
