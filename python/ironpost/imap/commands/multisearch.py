"""ESEARCH: one search in several mailboxes (RFC 7377). Each mailbox with matches has an ESEARCH line of its own, in UIDs.

A mailbox that may not be read is as one that is not there: it is left out without a word (RFC 7377 §2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ... import _core
from ...state import acl
from .. import namespaces, progress, sync
from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["esearch"]

# (filter in lower case, the mailboxes that it names)
Source = tuple[str, tuple[str, ...]]


class _Candidate(NamedTuple):
    """A mailbox that may be read."""

    owner: int
    name: str  # in the owner's account
    full_name: str  # as this session knows it
    mailbox: int
    own: bool


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
    for candidate in await _wanted(session, sources or (("selected", ()),)):
        view = await _open(session, candidate)
        if view is not None:
            await _search(session, tag, view, candidate.full_name, program)
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


async def _open(session: Session, candidate: _Candidate) -> _core.MailboxView | None:
    """The session's own view of the selected mailbox, so that the client hears of no message that it has not been told of, or a
    fresh one. None when the mailbox has gone meanwhile, or may not be read any more."""
    view = session.view
    if view is None or session.mailbox_gone or (view.account, view.mailbox) != (candidate.owner, candidate.mailbox):
        try:
            view = await session.store.call(session.store.core.open_view(candidate.owner, candidate.name, True))
        except _core.NotFound:
            return None
    return view if "r" in namespaces.rights_of(session, view) else None


async def _wanted(session: Session, sources: tuple[Source, ...]) -> list[_Candidate]:
    """The mailboxes that any of the sources names, each once, INBOX first, then by name."""
    infos = await session.store.call(session.store.core.list_mailboxes(session.account_id))
    subscribed = {info.name for info in infos if info.subscribed}
    candidates = [*_own(session, infos), *await _of_others(session)]
    words = {word for word, _ in sources}
    named = {word: _names(session, sources, word) for word in ("mailboxes", "subtree", "subtree-one")}
    view = session.view
    selected = None if view is None or "selected" not in words else (view.account, view.mailbox)

    def is_wanted(candidate: _Candidate) -> bool:
        name = candidate.full_name
        parent = name.rpartition("/")[0]
        return (
            (candidate.own and "personal" in words)
            or (candidate.own and name in namespaces.INBOXES and "inboxes" in words)
            or ("subscribed" in words and name in subscribed)
            or name in named["mailboxes"]
            or name in named["subtree-one"]
            or parent in named["subtree-one"]
            or not named["subtree"].isdisjoint(_lineage(name))
            or (candidate.owner, candidate.mailbox) == selected
        )

    found = {(candidate.owner, candidate.mailbox): candidate for candidate in candidates if is_wanted(candidate)}
    return sorted(found.values(), key=lambda candidate: (candidate.full_name != "INBOX", candidate.full_name))


def _own(session: Session, infos: list[_core.MailboxInfo]) -> list[_Candidate]:
    account = session.account_id
    sharing = session.context.directory.sharing
    restricted = sharing.restricted(account)
    candidates = []
    for info in infos:
        where = namespaces.place(session, info.name)
        if not info.id or where is None or not where.own:
            continue  # a subscription, or a name that belongs to another by now
        rights = sharing.rights(account, account, info.id) if restricted else acl.ALL
        if "r" in rights:
            candidates.append(_Candidate(account, info.name, info.name, info.id, True))
    return candidates


async def _of_others(session: Session) -> list[_Candidate]:
    return [
        _Candidate(owner, info.name, full_name, info.id, False)
        for owner, full_name, info, rights in await namespaces.visible(session)
        if "r" in rights
    ]


def _names(session: Session, sources: tuple[Source, ...], word: str) -> set[str]:
    """The mailboxes of all sources of a kind, as `_Candidate.full_name` writes them."""
    names = set()
    for source, given in sources:
        for name in given if source == word else ():
            where = namespaces.place(session, name)
            foreign = where is not None and not where.own
            names.add(namespaces.full_name(session, where.owner, where.name) if foreign and where is not None else name)
    return names


def _lineage(name: str) -> list[str]:
    """A name and all levels above it."""
    levels = name.split("/")
    return ["/".join(levels[:count]) for count in range(1, len(levels) + 1)]
