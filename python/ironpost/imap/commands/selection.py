"""SELECT, EXAMINE, CLOSE, UNSELECT, NOOP, CHECK (RFC 9051 §6.3.2, §6.4)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ... import _core
from .. import flags, namespaces, sync, updates
from ..urls import MECHANISM

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["check", "close", "require_view", "select", "unselect"]


def require_view(session: Session, wanted: str = "") -> _core.MailboxView:
    """The selected mailbox, with which all of `wanted` may be done. Raises NotFound when it has been deleted under the session,
    which lives on, and NoRight."""
    if session.view is None or session.mailbox_gone:
        raise _core.NotFound("the selected mailbox has been deleted")
    namespaces.require(namespaces.rights_of(session, session.view), f"r{wanted}")
    return session.view


def _forget(session: Session) -> None:
    session.view = None
    session.mailbox_gone = False
    session.wire.unselected()


async def select(
    session: Session, tag: str, name: str, mailbox: str, parameters: tuple[str, ...], resync: sync.Resync | None
) -> None:
    """SELECT and EXAMINE. A failing SELECT leaves no mailbox selected (RFC 9051 §6.3.2)."""
    if resync is not None and not session.qresync:
        session.wire.respond(tag, "BAD", "", "QRESYNC has not been enabled")
        return
    wire = session.wire
    if session.uid_only and resync is not None and resync[3] is not None:
        wire.respond(tag, "BAD", "UIDREQUIRED", "message numbers are not used in this session")
        return
    if session.view is not None:
        _forget(session)
        wire.respond("*", "OK", "CLOSED", "previous mailbox closed")
    found = await namespaces.find(session, mailbox, "r")
    read_only = name == "EXAMINE" or not flags.may_write(found.rights)
    view = await session.store.call(
        session.store.core.open_view(found.owner.id, found.name, read_only), write=not read_only
    )
    # Of what has been opened: the name may have passed to another mailbox meanwhile.
    rights = namespaces.rights_of(session, view)
    namespaces.require(rights, "r")
    if "CONDSTORE" in parameters:
        sync.enable_modseqs(session)
    sync.adopt(session, view)
    if session.rev2:
        view.hide_recent()
    session.view = view
    wire.untagged(f"FLAGS ({' '.join((flags.SYSTEM_FLAGS, *view.keywords))})")
    updates.tell_rights(session, view, rights)
    wire.untagged(f"{view.exists} EXISTS")
    if not session.rev2:
        wire.untagged(f"{view.recent} RECENT")
        if view.first_unseen and not session.uid_only:
            wire.respond("*", "OK", f"UNSEEN {view.first_unseen}", "first unseen message")
    wire.respond("*", "OK", f"UIDVALIDITY {view.uid_validity}", "UIDs valid")
    wire.respond("*", "OK", f"UIDNEXT {view.uid_next}", "predicted next UID")
    wire.respond("*", "OK", f"HIGHESTMODSEQ {view.highest_modseq}", "highest modseq")
    wire.respond("*", "OK", f"MAILBOXID ({sync.mailbox_id(view.mailbox, view.uid_validity)})", "name that lasts")
    wire.respond("*", "OK", f"URLMECH {MECHANISM}", "how URLs are authorised")
    if session.rev2:
        wire.untagged_list("LIST", (), mailbox)
    if resync is not None:
        try:
            await sync.resynchronise(session, view, resync)
        except _core.StoreError:
            session.view = None
            raise
    wire.selected(read_only)
    wire.respond(tag, "OK", "READ-ONLY" if read_only else "READ-WRITE", f"{name} completed")


async def check(session: Session, tag: str, name: str) -> None:
    """NOOP and CHECK: nothing to do but to tell what is new; every write is on disk already."""
    await session.finish(tag, name)


async def close(session: Session, tag: str, name: str) -> None:
    """CLOSE: removes \\Deleted messages without telling, then unselects.

    No HIGHESTMODSEQ (RFC 7162 §3.2.8): what others did may be untold, and a client that took it for known would lose it.
    """
    view = session.view
    gone = view is None or session.mailbox_gone or view.read_only
    if view is not None and not gone and "e" in namespaces.rights_of(session, view):
        # Deleted under the session it has nothing left to remove, and CLOSE knows no NO (RFC 9051 §6.4.1).
        with suppress(_core.NotFound):
            await session.store.call(session.store.core.expunge(view, None), write=True)
    _forget(session)
    session.wire.respond(tag, "OK", "", "CLOSE completed")


async def unselect(session: Session, tag: str, name: str) -> None:
    """UNSELECT (RFC 3691): like CLOSE, and removes nothing."""
    _forget(session)
    session.wire.respond(tag, "OK", "", "UNSELECT completed")
