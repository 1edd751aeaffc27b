"""The hierarchy of names as one session sees it: mailboxes, subscriptions without one, and levels that only lead to others
(RFC 9051 §6.3.9, RFC 5258; RFC 4314 §4 for what is shown of others).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import _core
from ..state import acl
from . import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .session import Session

__all__ = ["Name", "attributes", "names"]


@dataclass(slots=True)
class Name:
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


async def names(session: Session, reference: str, patterns: Iterable[str]) -> list[Name]:
    """All names, levels without a mailbox included, INBOX first, then by name. Others' mailboxes only where a pattern can reach
    them."""
    infos = await session.store.call(session.store.core.list_mailboxes(session.account_id))
    found = {info.name: Name(info.name, info, info.subscribed) for info in infos}
    for name in found:
        where = namespaces.place(session, name)
        if where is None or not where.own:
            # A subscription to a mailbox of another, or one's own of before that name had a meaning.
            found[name].info = None
    sharing = session.context.directory.sharing
    if sharing.restricted(session.account_id):
        for entry in found.values():
            if entry.info is not None and entry.info.id:
                entry.rights = sharing.rights(session.account_id, session.account_id, entry.info.id)
    if namespaces.reach_others(session, reference, patterns):
        for owner, name, info, rights in await namespaces.visible(session):
            entry = found.setdefault(name, Name(name, None))
            entry.info, entry.owner, entry.rights = info, owner, rights
    for leaf in list(found.values()):
        parent = leaf.name
        while "/" in parent:
            parent = parent.rpartition("/")[0]
            entry = found.setdefault(parent, Name(parent, None))
            entry.children = entry.children or leaf.exists
            entry.subscribed_below = entry.subscribed_below or leaf.subscribed
    return sorted(found.values(), key=lambda entry: (entry.name != "INBOX", entry.name))


def attributes(entry: Name, *, subscribed: bool) -> list[str]:
    """Of its LIST line."""
    words = []
    if not entry.exists:
        # \NonExistent implies \Noselect; clients of RFC 3501 know only the latter.
        words += ["\\NonExistent", "\\Noselect"]
    words.append("\\HasChildren" if entry.children else "\\HasNoChildren")
    if entry.special_use:
        words.append(entry.special_use)
    if subscribed and entry.subscribed:
        words.append("\\Subscribed")
    return words
