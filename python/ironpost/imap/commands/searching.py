"""SEARCH, SORT, THREAD and their UID forms (RFC 9051 §6.4.4, RFC 5256)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from .. import progress, sync
from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["cancel_update", "search"]


async def search(session: Session, tag: str, name: str, program: _core.SearchProgram) -> None:
    """SEARCH, SORT and THREAD: the answer counts in the numbers that the client knows, so news comes after it."""
    view = require_view(session)
    if session.uid_only and program.names_numbers:
        session.wire.respond(tag, "BAD", "UIDREQUIRED", "message numbers are not used in this session")
        return
    if program.updates and view.is_updated(tag):
        session.wire.respond(tag, "BAD", "", "the tag is that of a result that is kept up to date")
        return
    if program.asks_modseq:
        sync.enable_modseqs(session)
    store = session.store
    uid = name.startswith("UID ")
    answer = await progress.telling(
        session, tag, lambda: store.call(store.core.search(view, program, uid, tag)), lambda: view.search_progress
    )
    session.wire.append_output(answer)
    await session.finish(tag, name)


async def cancel_update(session: Session, tag: str, name: str, tags: tuple[str, ...]) -> None:
    """CANCELUPDATE (RFC 5267 §4.3.5): no more is told of these results; a tag that has none names nothing."""
    require_view(session).cancel_updates(list(tags))
    await session.finish(tag, name)
