"""Untagged updates: when a client may be told what changed in its mailbox (RFC 9051 §5.2, §7.5.1).

EXPUNGE shifts message numbers, so it may not come while a command that names messages by number is being carried out:
FETCH, STORE, SEARCH, SORT and THREAD, nor while no command is in progress (IDLE counts as one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import _core
from . import flags, namespaces, wishes

if TYPE_CHECKING:
    from .session import Session

__all__ = ["HOLDS_EXPUNGES", "NO_COMMAND", "READS", "bring_up_to_date", "tell_rights"]

# Commands during which message numbers must stand still; their UID forms are free of it.
HOLDS_EXPUNGES = frozenset({"FETCH", "STORE", "SEARCH", "SORT", "THREAD"})
# Commands that answer with what the mailbox holds.
READS = HOLDS_EXPUNGES - {"STORE"}
# Commands whose answer is what they have removed, whatever NOTIFY says.
_REMOVES = frozenset({"EXPUNGE", "MOVE", "REPLACE", "UID EXPUNGE", "UID MOVE", "UID REPLACE"})
# Between two commands, which NOTIFY alone allows.
NO_COMMAND: Final = ""


async def bring_up_to_date(session: Session, command: str, *, look: bool = False) -> None:
    """Writes what has changed since the client was last told, before the command's tagged answer; of that, what NOTIFY has left
    (RFC 5465 §3.1).

    Costs a memory read when nothing in the store has changed and no `look` is asked for. A mailbox that is gone is told by the
    next command that needs it, and never ends the session. Nothing is told of one that may not be read any more.
    """
    view = session.view
    if view is None or session.mailbox_gone:
        return
    wanted = None if session.watch is None else session.watch.wishes
    if wanted is not None and not wanted.selected and command not in _REMOVES:
        return
    rights = namespaces.rights_of(session, view)
    if not view.read_only and flags.rights_on(rights) != session.rights_told:
        tell_rights(session, view, rights)
    if "r" not in rights or not (look or view.stale()):
        return
    expunges = command not in HOLDS_EXPUNGES and (command != NO_COMMAND or wanted is None or wanted.at_once)
    of_flags = wanted is None or wishes.FLAGS in wanted.selected
    uids = command.startswith("UID ") or session.rev2 or wanted is not None
    first = view.uid_next
    try:
        lines = await session.store.call(session.store.core.refresh(view, expunges=expunges, flags=of_flags, uids=uids))
    except _core.NotFound:
        session.mailbox_gone = True
        return
    if lines:
        session.wire.append_output(lines)
    if wanted is not None and wanted.items is not None and view.uid_next > first:
        await _fetch_new(session, view, range(first, view.uid_next), wanted.items)


async def _fetch_new(session: Session, view: _core.MailboxView, uids: range, items: _core.FetchItems) -> None:
    """What NOTIFY wants of new messages, save those that this session has made itself (RFC 5465 §5.2)."""
    new = [uid for uid in uids if not any(uid in own for own in session.made)]
    session.made.clear()
    if not new:
        return
    cursor = session.store.core.fetch_cursor(view, _core.SequenceSet.of(new), True, items)
    while not cursor.done:
        session.wire.append_output(await session.store.call(session.store.core.fetch(cursor)))
        await session.drain_if_high()


def tell_rights(session: Session, view: _core.MailboxView, rights: str) -> None:
    """PERMANENTFLAGS as the rights are now (RFC 4314 §5.1.1)."""
    session.rights_told = flags.rights_on(rights)
    view.permit(rights)
    session.wire.respond("*", "OK", f"PERMANENTFLAGS ({flags.permanent(view, rights)})", "flags that stay")
