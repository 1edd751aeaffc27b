"""Untagged updates: when a client may be told what changed in its mailbox (RFC 9051 §5.2, §7.5.1).

EXPUNGE shifts message numbers, so it may not come while a command that names messages by number is being carried out:
FETCH, STORE, SEARCH, SORT and THREAD, nor while no command is in progress (IDLE counts as one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from . import flags, namespaces

if TYPE_CHECKING:
    from .session import Session

__all__ = ["HOLDS_EXPUNGES", "READS", "bring_up_to_date", "tell_rights"]

# Commands during which message numbers must stand still; their UID forms are free of it.
HOLDS_EXPUNGES = frozenset({"FETCH", "STORE", "SEARCH", "SORT", "THREAD"})
# Commands that answer with what the mailbox holds.
READS = HOLDS_EXPUNGES - {"STORE"}


async def bring_up_to_date(session: Session, command: str) -> None:
    """Writes what has changed since the client was last told, before the command's tagged answer.

    Costs a memory read when nothing in the store has changed. A mailbox that is gone is told by the next command that
    needs it, and never ends the session. Nothing is told of one that may not be read any more.
    """
    view = session.view
    if view is None or session.mailbox_gone:
        return
    rights = namespaces.rights_of(session, view)
    if not view.read_only and flags.rights_on(rights) != session.rights_told:
        tell_rights(session, view, rights)
    if "r" not in rights or not view.stale():
        return
    expunges = command not in HOLDS_EXPUNGES
    try:
        lines = await session.store.call(
            session.store.core.refresh(view, expunges=expunges, uids=command.startswith("UID ") or session.rev2)
        )
    except _core.NotFound:
        session.mailbox_gone = True
        return
    if lines:
        session.wire.append_output(lines)


def tell_rights(session: Session, view: _core.MailboxView, rights: str) -> None:
    """PERMANENTFLAGS as the rights are now (RFC 4314 §5.1.1)."""
    session.rights_told = flags.rights_on(rights)
    view.permit(rights)
    session.wire.respond("*", "OK", f"PERMANENTFLAGS ({flags.permanent(view, rights)})", "flags that stay")
