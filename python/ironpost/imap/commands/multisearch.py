"""ESEARCH: one search in several mailboxes (RFC 7377). Each mailbox with matches has an ESEARCH line of its own, in UIDs.

A mailbox that may not be read is as one that is not there: it is left out without a word (RFC 7377 §2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from .. import filters, hierarchy, namespaces, progress, sync
from .selection import require_view

if TYPE_CHECKING:
    from ..hierarchy import Name
    from ..session import Session

__all__ = ["esearch"]

# (filter in lower case, the mailboxes that it names)
Source = tuple[str, tuple[str, ...]]


async def esearch(
    session: Session, tag: str, name: str, sources: tuple[Source, ...] | None, program: _core.SearchProgram
) -> None:
    """ESEARCH: mailboxes are opened, searched and told one after the other, so their number costs no memory."""
    wire = session.wire
    words = {"selected"} if sources is None else {word for word, _ in sources}
    # RFC 7377 §2.2: UPDATE is of the selected mailbox alone.
    if ("selected" in words or program.updates) and session.view is None:
        wire.respond(tag, "BAD", "", "no mailbox is selected")
        return
    alone = words == {"selected"}
    if program.saves and not alone:
        wire.respond(tag, "BAD", "", "SAVE is for a search in the selected mailbox alone")
        return
    if not alone and (program.names_numbers or program.names_saved):
        wire.respond(tag, "BAD", "", "message numbers and $ are those of the selected mailbox alone")
        return
    if session.uid_only and program.names_numbers:
        wire.respond(tag, "BAD", "UIDREQUIRED", "message numbers are not used in this session")
        return
    if program.asks_modseq:
        sync.enable_modseqs(session)
    if program.updates:
        # RFC 5267 §4.3.1: a server may keep no result up to date.
        wire.respond("*", "NO", f'NOUPDATE "{tag}"', "results of ESEARCH are not kept up to date")
    if alone:
        require_view(session)
    for entry in await _wanted(session, sources or (("selected", ()),)):
        view = await _open(session, entry)
        if view is not None:
            await _search(session, tag, view, entry.name, program)
        await session.drain_if_high()
    await session.finish(tag, name)


async def _search(
    session: Session, tag: str, view: _core.MailboxView, mailbox: str, program: _core.SearchProgram
) -> None:
    """Tells what was found in one mailbox; nothing when that is nothing, whatever was asked for (RFC 7377 §2.1)."""
    store = session.store
    data = await progress.telling(
        session, tag, lambda: store.call(store.core.search_data(view, program)), lambda: view.search_progress
    )
    if data:
        session.wire.untagged_found(tag, mailbox, view.uid_validity, data.decode("ascii"))


async def _open(session: Session, entry: Name) -> _core.MailboxView | None:
    """The session's own view of the selected mailbox, so that the client hears of no message that it has not been told of, or a
    fresh one. None when the mailbox has gone meanwhile, or may not be read any more."""
    view = session.view
    if view is None or not _is_selected(session, entry):
        assert entry.info is not None
        owner = entry.owner or session.account_id
        try:
            view = await session.store.call(session.store.core.open_view(owner, entry.info.name, True))
        except _core.NotFound:
            return None
    return view if "r" in namespaces.rights_of(session, view) else None


async def _wanted(session: Session, sources: tuple[Source, ...]) -> list[Name]:
    """The mailboxes that any of the sources names and that may be read, each once, INBOX first, then by name."""
    wanted = [filters.made(session, word, names) for word, names in sources]
    of_selected = any(one.of_selected for one in wanted)
    patterns = filters.patterns(wanted)
    if of_selected and session.view is not None and session.view.account != session.account_id:
        patterns = ("*",)  # it is another's
    return [
        entry
        for entry in await hierarchy.names(session, "", patterns)
        if entry.exists
        and "r" in entry.rights
        and (any(one.covers(entry) for one in wanted) or (of_selected and _is_selected(session, entry)))
    ]


def _is_selected(session: Session, entry: Name) -> bool:
    view = session.view
    if view is None or session.mailbox_gone or entry.info is None:
        return False
    return (view.account, view.mailbox) == (entry.owner or session.account_id, entry.info.id)
