"""LIST, extended LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154); of mailboxes of others those
with the right `l` (RFC 4314 §4), which decide alone what levels and children there seem to be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ... import _core
from ...state import acl
from .. import namespaces
from .mailbox import send_status
from .metadata import are_entries, send_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..session import Session

__all__ = ["list_", "lsub", "xlist"]

_XLIST_USES = {"\\All": "\\AllMail", "\\Flagged": "\\Starred", "\\Junk": "\\Spam"}


@dataclass(slots=True)
class _Name:
    """A name in the hierarchy: a mailbox, a subscription without one, or a level that only leads to others."""

    name: str
    info: _core.MailboxInfo | None
    subscribed: bool = False
    children: bool = False
    subscribed_below: bool = False
    owner: int = 0  # of another account
    rights: str = acl.ALL

    @property
    def special_use(self) -> str:
        """What the mailbox is for, to its owner (RFC 6154)."""
        return self.info.special_use if self.info is not None and not self.owner else ""

    @property
    def exists(self) -> bool:
        return self.info is not None and self.info.id != 0


async def _hierarchy(session: Session, reference: str, patterns: Iterable[str]) -> list[_Name]:
    """All names, levels without a mailbox included, INBOX first, then by name. Others' mailboxes only where a pattern can reach
    them."""
    infos = await session.store.call(session.store.core.list_mailboxes(session.account_id))
    names = {info.name: _Name(info.name, info, info.subscribed) for info in infos}
    for name in names:
        where = namespaces.place(session, name)
        if where is None or not where.own:
            # A subscription to a mailbox of another, or one's own of before that name had a meaning.
            names[name].info = None
    sharing = session.context.directory.sharing
    if sharing.restricted(session.account_id):
        for entry in names.values():
            if entry.info is not None and entry.info.id:
                entry.rights = sharing.rights(session.account_id, session.account_id, entry.info.id)
    if namespaces.reach_others(session, reference, patterns):
        for owner, name, info, rights in await namespaces.visible(session):
            entry = names.setdefault(name, _Name(name, None))
            entry.info, entry.owner, entry.rights = info, owner, rights
    for leaf in list(names.values()):
        parent = leaf.name
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            entry = names.setdefault(parent, _Name(parent, None))
            entry.children = entry.children or leaf.exists
            entry.subscribed_below = entry.subscribed_below or leaf.subscribed
    return sorted(names.values(), key=lambda entry: (entry.name != "INBOX", entry.name))


def _attributes(entry: _Name, *, subscribed: bool) -> list[str]:
    attributes = []
    if not entry.exists:
        # \NonExistent implies \Noselect; clients of RFC 3501 know only the latter.
        attributes += ["\\NonExistent", "\\Noselect"]
    attributes.append("\\HasChildren" if entry.children else "\\HasNoChildren")
    if entry.special_use:
        attributes.append(entry.special_use)
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
    if not are_entries(wanted.entries):
        session.wire.respond(tag, "BAD", "", "entries begin with /private or /shared")
        return
    show_subscribed = "SUBSCRIBED" in select or "SUBSCRIBED" in returns
    for entry in await _hierarchy(session, wanted.reference, wanted.patterns):
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
        if "SPECIAL-USE" in select and not entry.special_use:
            continue
        session.wire.untagged_list("LIST", _attributes(entry, subscribed=show_subscribed), entry.name, extended)
        if "STATUS" in returns and entry.exists and entry.info is not None and "r" in entry.rights:
            await send_status(session, entry.name, entry.info, wanted.status_items)
        if "MYRIGHTS" in returns and entry.exists:
            # RFC 8440 §3
            session.wire.untagged_rights("MYRIGHTS", entry.name, [acl.spelled(entry.rights)])
        if "METADATA" in returns and entry.exists and entry.info is not None and "r" in entry.rights:
            send_metadata(session, entry.name, entry.owner or session.account_id, entry.info, wanted.entries)
        await session.drain_if_high()
    await session.finish(tag, name)


async def xlist(session: Session, tag: str, name: str, reference: str, pattern: str) -> None:
    """XLIST, which clients of before RFC 6154 know: LIST with special uses by other names."""
    if not pattern:
        session.wire.untagged_list("XLIST", ("\\Noselect",), "")
    for entry in await _hierarchy(session, reference, (pattern,)):
        if not (entry.exists or entry.children) or not _core.mailbox_matches(entry.name, reference, pattern):
            continue
        attributes = [_XLIST_USES.get(attribute, attribute) for attribute in _attributes(entry, subscribed=False)]
        if entry.name == "INBOX":
            attributes.append("\\Inbox")
        session.wire.untagged_list("XLIST", attributes, entry.name)
        await session.drain_if_high()
    await session.finish(tag, name)


async def lsub(session: Session, tag: str, name: str, reference: str, pattern: str) -> None:
    """LSUB (RFC 3501 §6.3.9): `%` shows a level above subscribed names as \\Noselect."""
    for entry in await _hierarchy(session, reference, (pattern,)):
        if not _core.mailbox_matches(entry.name, reference, pattern):
            continue
        if entry.subscribed:
            session.wire.untagged_list("LSUB", (), entry.name)
        elif entry.subscribed_below and "%" in pattern:
            session.wire.untagged_list("LSUB", ("\\Noselect",), entry.name)
    await session.finish(tag, name)
