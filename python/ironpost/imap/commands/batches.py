"""UIDBATCHES: the UID ranges that cut the selected mailbox into batches (RFC 10022)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["uid_batches"]

# RFC 10022 §3.1.3: smaller batches would make a client ask once for each few messages.
_SIZE_MIN: Final = 500
# RFC 10022 §3.1.5: messages that the batches asked for may have together, when a range of batches is given.
_SPAN_MAX: Final = 100_000


async def uid_batches(session: Session, tag: str, name: str, size: int, batches: tuple[int, int] | None) -> None:
    """UIDBATCHES: batches of the messages that the client knows, the highest UIDs first. Costs one look at the view, and leaves
    `$` as it was."""
    view = require_view(session)
    wire = session.wire
    if size < _SIZE_MIN:
        wire.respond(tag, "NO", "TOOFEW", f"a batch has {_SIZE_MIN} messages at least")
        return
    if batches is None:
        ranges = view.uid_batches(size)
    else:
        first, last = batches
        if last < first:
            wire.respond(tag, "BAD", "CLIENTBUG", "the range of batches is the wrong way round")
            return
        if (last - first + 1) * size > _SPAN_MAX:
            wire.respond(tag, "NO", "TOOMANY", f"the batches asked for may have {_SPAN_MAX} messages at most")
            return
        ranges = view.uid_batches(size, first, last)
    # A tag has no character that would have to be quoted (RFC 9051 §9).
    answer = f'UIDBATCHES (TAG "{tag}")'
    if ranges:
        answer += " " + ",".join(f"{high}:{low}" for high, low in ranges)
    wire.untagged(answer)
    await session.finish(tag, name)
