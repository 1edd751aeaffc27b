"""FETCH, STORE, COPY, MOVE, EXPUNGE and their UID forms (RFC 9051 §6.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ... import _core
from .. import flags as flagging
from .. import namespaces, notices, sync, updates
from .selection import require_view

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["copy", "expunge", "fetch", "finish_removal", "store"]


def _beyond(session: Session, tag: str, name: str, messages: _core.SequenceSet) -> bool:
    """Refuses message numbers that the mailbox has not (RFC 9051 §6.4.9, §9 `sequence-set`); UIDs may name nothing."""
    if name.startswith("UID ") or not messages.exceeds(require_view(session).exists):
        return False
    session.wire.respond(tag, "BAD", "", "no message has that number")
    return True


async def fetch(session: Session, tag: str, name: str, messages: _core.SequenceSet, items: _core.FetchItems) -> None:
    """FETCH: the store renders bounded stretches; each is on its way before the next is made."""
    view = require_view(session)
    if _beyond(session, tag, name, messages):
        return
    core = session.store.core
    uid = name.startswith("UID ")
    if items.vanished and not (uid and session.qresync):
        session.wire.respond(tag, "BAD", "", "VANISHED is for UID FETCH after ENABLE QRESYNC")
        return
    if items.asks_modseq:
        sync.enable_modseqs(session)
    if items.vanished:
        # RFC 7162 §3.2.6: before any FETCH line.
        since = items.changed_since or 0
        session.wire.append_output(await session.store.call(core.vanished(view, since, messages, None)))
    if items.sets_seen and not view.read_only and "s" in namespaces.rights_of(session, view):
        try:
            await session.store.call(core.mark_seen(view, messages, uid, items), write=True)
        except _core.StoreFull as error:
            # Reading goes on when the disk is full; only the flag is not kept.
            session.log.warning("seen flag not stored", error=str(error))
    cursor = core.fetch_cursor(view, messages, uid, items)
    answer = core.fetch_now(cursor)
    if answer is not None:
        session.wire.append_output(answer)
    while not cursor.done:
        session.wire.append_output(await session.store.call(core.fetch(cursor)))
        await session.drain_if_high()
    await session.finish(tag, name)


async def store(
    session: Session,
    tag: str,
    name: str,
    messages: _core.SequenceSet,
    mode: str,
    silent: bool,
    flags: tuple[str, ...],
    unchanged_since: int | None,
) -> None:
    """STORE: the new flags are on disk before OK."""
    view = require_view(session)
    if _beyond(session, tag, name, messages):
        return
    if view.read_only:
        session.wire.respond(tag, "NO", "", "the mailbox is open read-only")
        return
    uid = name.startswith("UID ")
    rights = namespaces.rights_of(session, view)
    permitted = flagging.permitted(flags, rights)
    if (flags and not permitted) or not flagging.rights_on(rights):
        raise namespaces.NoRight("not permitted: none of these flags may be changed")
    if unchanged_since is not None:
        sync.enable_modseqs(session)
    # What others did comes first, so that the lines of this STORE are the last word the client hears.
    await updates.bring_up_to_date(session, name)
    core = session.store.core
    # RFC 4314 §4: what may not be changed is left alone without a word.
    if mode == "=" and flagging.rights_on(rights) != flagging.FLAG_RIGHTS:
        ticket = core.replace_some_flags(view, messages, uid, rights, permitted, silent, unchanged_since)
    else:
        ticket = core.store_flags(view, messages, uid, mode, permitted, silent, unchanged_since)
    lines, modified = await session.store.call(ticket, write=True)
    if lines:
        session.wire.append_output(lines)
    if modified:
        await session.finish(tag, name, f"MODIFIED {modified}", "conditional STORE failed")
    else:
        await session.finish(tag, name)


async def copy(session: Session, tag: str, name: str, messages: _core.SequenceSet, target: str) -> None:
    """COPY and MOVE (RFC 6851), with COPYUID (RFC 4315)."""
    move = name.endswith("MOVE")
    view = require_view(session, "te" if move else "")
    if _beyond(session, tag, name, messages):
        return
    if move and view.read_only:
        session.wire.respond(tag, "NO", "", "the mailbox is open read-only")
        return
    quotas = session.context.quotas
    core, uid = session.store.core, name.startswith("UID ")
    try:
        # Looked at when it is of another account than the messages, since the store may not have that account yet.
        found = await namespaces.find(session, target, "i", look=view.account != session.account_id)
        await quotas.ensure((found.owner,))
        if found.owner.id == view.account and flagging.rights_on(found.rights) == flagging.FLAG_RIGHTS:
            ticket = core.copy(view, messages, uid, found.name, move)
        else:
            ticket = core.copy_across(view, messages, uid, found.owner.id, found.name, move, found.rights)
        validity, source, copied = await session.store.call(ticket, write=True)
    except _core.NotFound:
        # TRYCREATE is of the target alone (RFC 9051 §6.4.7), so not when the selected mailbox has been deleted.
        await updates.bring_up_to_date(session, name)
        if session.mailbox_gone:
            raise
        session.wire.respond(tag, "NO", await namespaces.missing(session, target), "no such mailbox")
        return
    if not move or found.owner.id != view.account:
        quotas.look((found.owner,))
    if source:
        copies = re.findall("[0-9]+", copied)  # ascending
        notices.own_messages(session, found.owner.id, validity, range(int(copies[0]), int(copies[-1]) + 1))
    # RFC 4315 §3: not of a mailbox that the client may not open.
    code = f"COPYUID {validity} {source} {copied}" if source and "r" in found.rights else ""
    if move and source and not code:
        await finish_removal(session, tag, name)
        return
    if move and code:
        # RFC 6851 §4.3: COPYUID must come before the EXPUNGEs, thus untagged.
        session.wire.respond("*", "OK", code, "moved")
        await finish_removal(session, tag, name)
        return
    await session.finish(tag, name, code)


async def expunge(session: Session, tag: str, name: str, messages: _core.SequenceSet | None = None) -> None:
    """EXPUNGE and UID EXPUNGE (RFC 4315)."""
    view = require_view(session, "e")
    if view.read_only:
        session.wire.respond(tag, "NO", "", "the mailbox is open read-only")
        return
    removed = await session.store.call(session.store.core.expunge(view, messages), write=True)
    if removed:
        await finish_removal(session, tag, name)
    else:
        await session.finish(tag, name)


async def finish_removal(session: Session, tag: str, name: str) -> None:
    """Tells what has gone, then up to which modseq the client now knows everything (RFC 7162 §3.2.7, RFC 6851 §4.4)."""
    await updates.bring_up_to_date(session, name)
    view = session.view
    known = session.condstore and view is not None and not session.mailbox_gone
    code = f"HIGHESTMODSEQ {view.highest_modseq}" if known and view is not None else ""
    session.wire.respond(tag, "OK", code, f"{name} completed")
