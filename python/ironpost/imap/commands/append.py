"""APPEND and REPLACE (RFC 9051 §6.3.12, RFC 3502, RFC 4469, RFC 8508): policy before a single octet of a message is sent,
durable before OK, all messages or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ... import _core
from ...quota import Room
from .. import flags, namespaces, notices, updates
from ..urls import BadUrl, UrlReader
from .message import finish_removal
from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["PendingAppend", "begin", "body_end", "body_ready", "complete"]

# Bounds of one APPEND of several messages: what is not in files is held in memory until its end. A single message has its own.
_MESSAGES_MAX: Final = 1000
_OCTETS_MAX: Final = 64 << 20


class _Refusal(Exception):
    """Why the command can't be carried out: a response code and a text for the client."""

    def __init__(self, code: str, text: str, status: str = "NO") -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.text = text


class _Message:
    """A message that is being made."""

    __slots__ = ("flags", "internal_date", "internal_zone", "nul", "octets", "pieces", "sink")

    def __init__(
        self, flags: tuple[str, ...], internal_date: tuple[int, int] | None, pieces: bool, sink: _core.Sink
    ) -> None:
        self.flags = flags
        self.internal_date: float | None = None
        self.internal_zone = 0
        if internal_date is not None:
            self.internal_date = float(internal_date[0])
            self.internal_zone = internal_date[1]
        self.pieces = pieces
        self.nul = False  # where none may be
        self.octets = 0
        self.sink = sink


class PendingAppend:
    """An APPEND or REPLACE under way, with the messages that it has brought so far."""

    __slots__ = ("binary", "found", "messages", "octets", "replaced", "urls")

    def __init__(self, found: namespaces.Found, urls: UrlReader) -> None:
        self.found = found
        self.messages: list[_Message] = []
        self.octets = 0  # of all of them
        self.binary = False  # the literal under way may hold NUL
        self.replaced: int | None = None  # the UID of REPLACE
        self.urls = urls

    def discard(self) -> None:
        """Lets go of what has come."""
        for message in self.messages:
            message.sink.discard()


async def begin(session: Session, event: _core.AppendBegin) -> None:
    """Refuses early what could not be kept, else lets the octets come. A refusal is one of the whole command."""
    pending = session.append
    try:
        if pending is None:
            pending = session.append = await _opened(session, event.name, event.mailbox, event.replaces)
        elif not event.size and _begins_whole(event.parts):
            # RFC 3502 §6.3.11: so a client calls it off.
            raise _Refusal("", "called off by an empty message")
        await _take(session, pending, event.parts, event.size)
        _count(session, pending, event.size)
        pending.binary = event.binary
    except _Refusal as refusal:
        if pending is not None:
            pending.discard()
        session.append = None
        session.wire.refuse_literal(refusal.status, refusal.code, refusal.text)
        return
    session.wire.accept_literal()


def _begins_whole(parts: tuple[_core.AppendPart, ...]) -> bool:
    """Does a message that is no CATENATE begin with the literal behind these parts?"""
    return bool(parts) and not isinstance(parts[-1], str) and not parts[-1][2]


async def _opened(session: Session, name: str, mailbox: str, replaces: _core.SequenceSet | None) -> PendingAppend:
    """Looks at where it goes, and at what is to be replaced."""
    replaced = None
    try:
        if replaces is not None:
            if session.uid_only and name == "REPLACE":
                raise _Refusal("UIDREQUIRED", "message numbers are not used in this session", "BAD")
            # RFC 8508 §3.2
            view = require_view(session, "te")
            if view.read_only:
                raise _Refusal("", "the mailbox is open read-only")
            replaced = view.uid_of(replaces, name.startswith("UID "))
            if replaced is None:
                raise _Refusal("NONEXISTENT", "there is no such message to replace")
    except namespaces.NoRight as error:
        raise _Refusal("NOPERM", str(error)) from None
    except _core.NotFound:
        raise _Refusal("NONEXISTENT", "the selected mailbox has been deleted") from None
    try:
        found = await namespaces.find(session, mailbox, "i", look=True)
        await session.context.quotas.ensure((found.owner,))
    except namespaces.NoRight as error:
        raise _Refusal("NOPERM", str(error)) from None
    except _core.NotFound:
        raise _Refusal(await namespaces.missing(session, mailbox), "no such mailbox") from None
    except _core.StoreFailed:
        raise
    except _core.StoreError as error:
        session.log.warning("append refused", error=str(error))
        raise _Refusal("UNAVAILABLE", "temporary failure, please try again") from None
    pending = PendingAppend(found, UrlReader(session))
    pending.replaced = replaced
    return pending


async def _take(session: Session, pending: PendingAppend, parts: tuple[_core.AppendPart, ...], size: int) -> None:
    """Messages that begin, and pieces that lie in mailboxes; `size`: octets of the literal behind them."""
    for part in parts:
        if not isinstance(part, str):
            if len(pending.messages) >= _MESSAGES_MAX:
                raise _Refusal("LIMIT", f"at most {_MESSAGES_MAX} messages together")
            try:
                sink = session.store.core.sink(size_hint=size)
            except _core.StoreFull:
                raise _Refusal("OVERQUOTA", "no space left on the server") from None
            pending.messages.append(_Message(*part, sink))
            continue
        try:
            piece = await pending.urls.open(part)
            _count(session, pending, piece.octets)
            await piece.copy(pending.messages[-1].sink)
        except BadUrl as error:
            raise _Refusal(error.code, str(error)) from None
        except _core.StoreFailed:
            raise
        except _core.StoreError as error:
            session.log.warning("url not read", error=str(error))
            raise _Refusal("UNAVAILABLE", "temporary failure, please try again") from None


def _count(session: Session, pending: PendingAppend, octets: int) -> None:
    """Room for so many octets more of the last message."""
    message = pending.messages[-1]
    message.octets += octets
    pending.octets += octets
    if message.octets > session.context.config.limits.message_octets_max:
        raise _Refusal("TOOBIG", "the message is larger than this server keeps")
    if len(pending.messages) > 1 and pending.octets > _OCTETS_MAX:
        raise _Refusal("LIMIT", f"at most {_OCTETS_MAX} octets of several messages together")
    if session.context.quotas.room((pending.found.owner,), pending.octets) is Room.NONE:
        raise _Refusal("OVERQUOTA", "no room for this message")


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
    """A literal is complete; another or the command's end follows."""
    if session.append is not None and nul and not session.append.binary:
        session.append.messages[-1].nul = True


async def complete(
    session: Session,
    tag: str,
    name: str,
    mailbox: str,
    replaces: _core.SequenceSet | None,
    parts: tuple[_core.AppendPart, ...],
) -> None:
    """The command line has ended: store, then answer."""
    pending = session.append
    try:
        if pending is None:
            pending = session.append = await _opened(session, name, mailbox, replaces)
        await _take(session, pending, parts, 0)
        if any(message.nul for message in pending.messages):
            raise _Refusal("UNKNOWN-CTE", "a NUL octet needs a literal8 (RFC 3516)")
        if not all(message.octets for message in pending.messages if message.pieces):
            raise _Refusal("", "the pieces are empty")
    except _Refusal as refusal:
        if pending is not None:
            pending.discard()
        session.append = None
        session.wire.respond(tag, refusal.status, refusal.code, refusal.text)
        return
    session.append = None  # the store has them now
    try:
        stored = await session.store.call(_submit(session, pending), write=True)
    except _core.NotFound:
        if pending.replaced is not None:
            # As with COPY: TRYCREATE is of the target alone.
            await updates.bring_up_to_date(session, name)
            if session.mailbox_gone:
                raise
        session.wire.respond(tag, "NO", await namespaces.missing(session, mailbox), "no such mailbox")
        return
    session.context.quotas.look((pending.found.owner,))
    # RFC 4315 §3: a set for several; one transaction has given them neighbouring UIDs.
    last = stored.uid + len(pending.messages) - 1
    uids = f"{stored.uid}:{last}" if last > stored.uid else f"{stored.uid}"
    notices.own_messages(session, pending.found.owner.id, stored.uid_validity, range(stored.uid, last + 1))
    # Not of a mailbox that the client may not open.
    code = f"APPENDUID {stored.uid_validity} {uids}" if "r" in pending.found.rights else ""
    if pending.replaced is None:
        await session.finish(tag, name, code)
        return
    # RFC 8508 §3.1: as with MOVE, the client learns the new one before the old one goes.
    session.wire.respond("*", "OK", code, "replaced")
    await finish_removal(session, tag, name)


def _submit(session: Session, pending: PendingAppend) -> int:
    core = session.store.core
    owner, name, rights, _ = pending.found
    messages = [
        (message.sink, flags.permitted(message.flags, rights), message.internal_date, message.internal_zone)
        for message in pending.messages
    ]
    if pending.replaced is not None:
        return core.replace(owner.id, name, messages[0], require_view(session, "te"), pending.replaced)
    if len(messages) == 1:
        return core.append(owner.id, name, *messages[0])
    return core.append_all(owner.id, name, messages)
