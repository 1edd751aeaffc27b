"""NOTIFY (RFC 5465 §3.1): which events the client wants to hear of, whether a command is under way or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import filters, notices, sync, updates, wishes
from ..wishes import Group, Wishes

if TYPE_CHECKING:
    from ... import _core
    from ..session import Session

__all__ = ["notify"]

# (filter, names, events, what is wanted of new messages)
Wanted = tuple[str, tuple[str, ...], tuple[str, ...], "_core.FetchItems | None"]


async def notify(session: Session, tag: str, name: str, wanted: tuple[bool, tuple[Wanted, ...]] | None) -> None:
    """NOTIFY SET and NOTIFY NONE (`wanted` is None)."""
    if wanted is None:
        session.watch = notices.Watch(Wishes())
        session.wire.respond(tag, "OK", "", f"{name} completed")
        return
    with_status, groups = wanted
    known = {event.upper() for event in wishes.EVENTS}
    if any(event not in known for _, _, events, _ in groups for event in events):
        session.wire.respond(tag, "NO", f"BADEVENT ({' '.join(wishes.EVENTS)})", "there is no such event here")
        return
    watch = notices.Watch(_wishes(session, groups))
    try:
        watch.last = await notices.look(session, watch.wishes, watch.last)
    except notices.Overflow:
        session.wire.respond(tag, "NO", "NOTIFICATIONOVERFLOW", "too many mailboxes")
        return
    items = watch.wishes.items
    if items is not None and items.asks_modseq:
        sync.enable_modseqs(session)
    # As NOOP would, whatever is told from now on.
    session.watch = None
    await updates.bring_up_to_date(session, name, look=True)
    session.watch = watch
    await notices.begin(session, watch.last, with_status=with_status)
    session.wire.respond(tag, "OK", "", f"{name} completed")


def _wishes(session: Session, groups: tuple[Wanted, ...]) -> Wishes:
    others = []
    result = Wishes()
    for word, names, events, items in groups:
        about = filters.made(session, word, names)
        if about.of_selected:
            result = result._replace(selected=frozenset(events), at_once=word == "selected", items=items)
        elif events:
            others.append(Group(about, frozenset(events)))
    return result._replace(groups=tuple(others))
