"""APPEND of one message or several (RFC 9051 §6.3.12, RFC 3502): policy before a single octet of a message is sent, durable
before OK, all messages or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ... import _core
from ...quota import Room

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["PendingAppend", "begin", "body_end", "body_ready", "complete"]

# Bounds of one APPEND of several messages: what is not in files is held in memory until its end. A single message has its own.
_MESSAGES_MAX: Final = 1000
_OCTETS_MAX: Final = 64 << 20


class _Message:
    """A message whose literal is under way or has come."""

    __slots__ = ("binary", "flags", "internal_date", "internal_zone", "nul", "sink")

    def __init__(self, event: _core.AppendBegin, sink: _core.Sink) -> None:
        self.flags = event.flags
        self.internal_date: float | None = None
        self.internal_zone = 0
        if event.internal_date is not None:
            self.internal_date = float(event.internal_date[0])
            self.internal_zone = event.internal_date[1]
        self.binary = event.binary
        self.nul = False
        self.sink = sink


class PendingAppend:
    """An APPEND under way, with the messages that it has brought so far."""

    __slots__ = ("mailbox", "messages", "octets")

    def __init__(self, mailbox: str) -> None:
        self.mailbox = mailbox
        self.messages: list[_Message] = []
        self.octets = 0  # announced by all of them

    def discard(self) -> None:
        """Lets go of what has come."""
        for message in self.messages:
            message.sink.discard()


async def begin(session: Session, event: _core.AppendBegin) -> None:
    """Refuses early what could not be kept, else lets the octets come. A refusal is one of the whole APPEND."""
    pending = session.append
    refusal = None
    if pending is None:
        pending = PendingAppend(event.mailbox)
    elif not event.size:
        # RFC 3502 §6.3.11: so a client calls it off.
        refusal = ("", "called off by an empty message")
    if refusal is None:
        refusal = await _refusal(session, pending, event)
    if refusal is not None:
        session.append = None
        pending.discard()
        session.wire.refuse_literal(*refusal)
        return
    session.append = pending
    session.wire.accept_literal()


async def _refusal(session: Session, pending: PendingAppend, event: _core.AppendBegin) -> tuple[str, str] | None:
    """Why this message, with those before it, cannot be kept; else it joins them."""
    if event.size > session.context.config.limits.message_octets_max:
        return "TOOBIG", "the message is larger than this server keeps"
    octets = pending.octets + event.size
    if pending.messages and (octets > _OCTETS_MAX or len(pending.messages) >= _MESSAGES_MAX):
        return "LIMIT", f"at most {_MESSAGES_MAX} messages of {_OCTETS_MAX} octets together"
    try:
        if not pending.messages:
            await session.store.call(session.store.core.mailbox(session.account_id, event.mailbox))
            await session.context.quotas.ensure(session.people)
        if session.context.quotas.room(session.people, octets) is Room.NONE:
            return "OVERQUOTA", "no room for this message"
        sink = session.store.core.sink(size_hint=event.size)
    except _core.NotFound:
        return "TRYCREATE", "no such mailbox"
    except _core.StoreFull:
        return "OVERQUOTA", "no space left on the server"
    except _core.StoreFailed:
        raise
    except _core.StoreError as error:
        session.log.warning("append refused", error=str(error))
        return "UNAVAILABLE", "temporary failure, please try again"
    pending.octets = octets
    pending.messages.append(_Message(event, sink))
    return None


async def body_ready(session: Session) -> None:
    """Moves octets from the core to the sink, waiting while the sink is full."""
    pending = session.append
    if pending is None:
        session.wire.discard_body()
        return
    sink = pending.messages[-1].sink
    while not session.wire.feed_sink(sink):
        await session.store.call(session.store.core.wait_sink(sink))


def body_end(session: Session, nul: bool) -> None:
    """A literal is complete; another message or the command's end follows."""
    if session.append is not None:
        session.append.messages[-1].nul = nul


async def complete(session: Session, tag: str, name: str) -> None:
    """The command line has ended: store, then answer."""
    pending, session.append = session.append, None
    if pending is None:
        session.wire.respond(tag, "BAD", "", "no message was sent")
        return
    if any(message.nul and not message.binary for message in pending.messages):
        pending.discard()
        session.wire.respond(tag, "NO", "UNKNOWN-CTE", "a NUL octet needs a literal8 (RFC 3516)")
        return
    try:
        stored = await session.store.call(_submit(session, pending), write=True)
    except _core.NotFound:
        session.wire.respond(tag, "NO", "TRYCREATE", "no such mailbox")
        return
    session.context.quotas.look(session.people)
    # RFC 4315 §3: a set for several; one transaction has given them neighbouring UIDs.
    last = stored.uid + len(pending.messages) - 1
    uids = f"{stored.uid}:{last}" if last > stored.uid else f"{stored.uid}"
    await session.finish(tag, name, f"APPENDUID {stored.uid_validity} {uids}")


def _submit(session: Session, pending: PendingAppend) -> int:
    core = session.store.core
    messages = [
        (message.sink, message.flags, message.internal_date, message.internal_zone) for message in pending.messages
    ]
    if len(messages) == 1:
        return core.append(session.account_id, pending.mailbox, *messages[0])
    return core.append_all(session.account_id, pending.mailbox, messages)
