"""What keeps a client in step: CONDSTORE and QRESYNC once enabled (RFC 7162), UIDONLY (RFC 9586), names of
mailboxes that last (RFC 8474).

The view tells; this file decides from when on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Resync", "adopt", "enable_modseqs", "enable_uids_only", "enable_vanished", "mailbox_id", "resynchronise"]

# (UIDVALIDITY, modseq, known UIDs, (message numbers, UIDs)) of SELECT (QRESYNC ...)
Resync = tuple[int, int, _core.SequenceSet | None, tuple[_core.SequenceSet, _core.SequenceSet] | None]


def enable_modseqs(session: Session) -> None:
    """A command that enables CONDSTORE has come (RFC 7162 §3.1): from now on modseqs are told with flags."""
    if session.condstore:
        return
    session.condstore = True
    view = session.view
    if view is not None and not session.mailbox_gone:
        view.tell_modseqs()
        session.wire.respond("*", "OK", f"HIGHESTMODSEQ {view.highest_modseq}", "modseqs are told from now on")


def enable_vanished(session: Session) -> None:
    """ENABLE QRESYNC, which includes CONDSTORE (RFC 7162 §3.2.3)."""
    enable_modseqs(session)
    session.qresync = True
    if session.view is not None:
        session.view.tell_vanished()


def enable_uids_only(session: Session) -> None:
    """ENABLE UIDONLY (RFC 9586 §3): message numbers are neither taken nor told from now on."""
    session.uid_only = True
    if session.view is not None:
        session.view.use_uids_only()


def adopt(session: Session, view: _core.MailboxView) -> None:
    """A view that has been opened tells what the session has enabled."""
    if session.condstore:
        view.tell_modseqs()
    if session.qresync:
        view.tell_vanished()
    if session.uid_only:
        view.use_uids_only()


async def resynchronise(session: Session, view: _core.MailboxView, resync: Resync) -> None:
    """What has changed since the client was last here (RFC 7162 §3.2.5); nothing when UIDVALIDITY is another."""
    uid_validity, modseq, known, matches = resync
    if uid_validity != view.uid_validity:
        return
    core = session.store.core
    session.wire.append_output(await session.store.call(core.vanished(view, modseq, known, matches)))
    cursor = core.fetch_cursor(view, known or _core.SequenceSet.every(), True, _core.FetchItems.changes(modseq))
    while not cursor.done:
        session.wire.append_output(await session.store.call(core.fetch(cursor)))
        await session.drain_if_high()


def mailbox_id(number: int, uid_validity: int) -> str:
    """MAILBOXID (RFC 8474 §4): stays through RENAME. Numbers of mailboxes come again only after a rebuild that has
    forgotten a deleted one; UIDVALIDITY then is another."""
    return f"F{number:x}-{uid_validity:x}"
