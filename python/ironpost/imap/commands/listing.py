"""LIST, extended LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import _core
from .mailbox import send_status

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["list_", "lsub"]


@dataclass(slots=True)
class _Name:
    """A name in the hierarchy: a mailbox, a subscription without one, or a level that only leads to others."""

    name: str
    info: _core.MailboxInfo | None
    subscribed: bool = False
    children: bool = False
    subscribed_below: bool = False

    @property
    def exists(self) -> bool:
        return self.info is not None and self.info.id != 0


def _hierarchy(infos: list[_core.MailboxInfo]) -> list[_Name]:
    """All names, levels without a mailbox included, INBOX first, then by name."""
    names = {info.name: _Name(info.name, info, info.subscribed) for info in infos}
    for info in infos:
        parent = info.name
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            entry = names.setdefault(parent, _Name(parent, None))
            entry.children = entry.children or info.id != 0
            entry.subscribed_below = entry.subscribed_below or info.subscribed
    return sorted(names.values(), key=lambda entry: (entry.name != "INBOX", entry.name))


def _attributes(entry: _Name, *, subscribed: bool) -> list[str]:
    attributes = []
    if not entry.exists:
        # \NonExistent implies \Noselect; clients of RFC 3501 know only the latter.
        attributes += ["\\NonExistent", "\\Noselect"]
    attributes.append("\\HasChildren" if entry.children else "\\HasNoChildren")
    if entry.info is not None and entry.info.special_use:
        attributes.append(entry.info.special_use)
    if subscribed and entry.subscribed:
        attributes.append("\\Subscribed")
    return attributes


async def list_(session: Session, tag: str, name: str, wanted: _core.ListArguments) -> None:
    """LIST, plain and extended."""
    if wanted.patterns == ("",) and not wanted.select_options:
        # RFC 9051 §6.3.9: an empty pattern asks for the separator and the root.
        session.wire.untagged_list("LIST", ("\\Noselect",), "")
        await session.finish(tag, name)
        return
    select = frozenset(wanted.select_options)
    returns = frozenset(wanted.return_options)
    if "RECURSIVEMATCH" in select and not select & {"SUBSCRIBED", "SPECIAL-USE"}:
        session.wire.respond(tag, "BAD", "", "RECURSIVEMATCH needs another selection option")
        return
    infos = await session.store.call(session.store.core.list_mailboxes(session.account_id))
    show_subscribed = "SUBSCRIBED" in select or "SUBSCRIBED" in returns
    for entry in _hierarchy(infos):
        if not any(_core.mailbox_matches(entry.name, wanted.reference, pattern) for pattern in wanted.patterns):
            continue
        extended = ""
        if "SUBSCRIBED" in select:
            if not entry.subscribed:
                if "RECURSIVEMATCH" not in select or not entry.subscribed_below:
                    continue
                extended = '("CHILDINFO" ("SUBSCRIBED"))'
            elif "RECURSIVEMATCH" in select and entry.subscribed_below:
                extended = '("CHILDINFO" ("SUBSCRIBED"))'
        elif not entry.exists and not entry.children:
            continue  # a mere subscription, or a level above nothing but subscriptions
        if "SPECIAL-USE" in select and not (entry.info is not None and entry.info.special_use):
            continue
        session.wire.untagged_list("LIST", _attributes(entry, subscribed=show_subscribed), entry.name, extended)
        if "STATUS" in returns and entry.exists and entry.info is not None:
            await send_status(session, entry.info, wanted.status_items)
        await session.drain_if_high()
    await session.finish(tag, name)


async def lsub(session: Session, tag: str, name: str, reference: str, pattern: str) -> None:
    """LSUB (RFC 3501 §6.3.9): `%` shows a level above subscribed names as \\Noselect."""
    infos = await session.store.call(session.store.core.list_mailboxes(session.account_id))
    for entry in _hierarchy(infos):
        if not _core.mailbox_matches(entry.name, reference, pattern):
            continue
        if entry.subscribed:
            session.wire.untagged_list("LSUB", (), entry.name)
        elif entry.subscribed_below and "%" in pattern:
            session.wire.untagged_list("LSUB", ("\\Noselect",), entry.name)
    await session.finish(tag, name)
