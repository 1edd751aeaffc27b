"""SEARCH, SORT, THREAD and their UID forms (RFC 9051 §6.4.4, RFC 5256)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from .. import sync
from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["search"]


async def search(session: Session, tag: str, name: str, program: _core.SearchProgram) -> None:
    """SEARCH, SORT and THREAD: the answer counts in the numbers that the client knows, so news comes after it."""
    view = require_view(session)
    if session.uid_only and program.names_numbers:
        session.wire.respond(tag, "BAD", "UIDREQUIRED", "message numbers are not used in this session")
        return
    if program.asks_modseq:
        sync.enable_modseqs(session)
    session.wire.append_output(
        await session.store.call(session.store.core.search(view, program, name.startswith("UID "), tag))
    )
    await session.finish(tag, name)
