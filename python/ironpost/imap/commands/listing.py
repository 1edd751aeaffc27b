"""LIST, extended LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154); of mailboxes of others those
with the right `l` (RFC 4314 §4), which decide alone what levels and children there seem to be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from ...state import acl
from .. import hierarchy
from .mailbox import send_status
from .metadata import are_entries, send_metadata

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["list_", "lsub", "xlist"]

_XLIST_USES = {"\\All": "\\AllMail", "\\Flagged": "\\Starred", "\\Junk": "\\Spam"}


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
    for entry in await hierarchy.names(session, wanted.reference, wanted.patterns):
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
        session.wire.untagged_list(
            "LIST", hierarchy.attributes(entry, subscribed=show_subscribed), entry.name, extended
        )
        if "STATUS" in returns and entry.exists and entry.info is not None and "r" in entry.rights:
            await send_status(session, entry.name, entry.info, wanted.status_items)
        if "MYRIGHTS" in returns and entry.exists:
            # RFC 8440 §3
            session.wire.untagged_words("MYRIGHTS", entry.name, [acl.spelled(entry.rights)])
        if "METADATA" in returns and entry.exists and entry.info is not None and "r" in entry.rights:
            send_metadata(session, entry.name, entry.owner or session.account_id, entry.info, wanted.entries)
        await session.drain_if_high()
    await session.finish(tag, name)


async def xlist(session: Session, tag: str, name: str, reference: str, pattern: str) -> None:
    """XLIST, which clients of before RFC 6154 know: LIST with special uses by other names."""
    if not pattern:
        session.wire.untagged_list("XLIST", ("\\Noselect",), "")
    for entry in await hierarchy.names(session, reference, (pattern,)):
        if not (entry.exists or entry.children) or not _core.mailbox_matches(entry.name, reference, pattern):
            continue
        attributes = [
            _XLIST_USES.get(attribute, attribute) for attribute in hierarchy.attributes(entry, subscribed=False)
        ]
        if entry.name == "INBOX":
            attributes.append("\\Inbox")
        session.wire.untagged_list("XLIST", attributes, entry.name)
        await session.drain_if_high()
    await session.finish(tag, name)


async def lsub(session: Session, tag: str, name: str, reference: str, pattern: str) -> None:
    """LSUB (RFC 3501 §6.3.9): `%` shows a level above subscribed names as \\Noselect."""
    for entry in await hierarchy.names(session, reference, (pattern,)):
        if not _core.mailbox_matches(entry.name, reference, pattern):
            continue
        if entry.subscribed:
            session.wire.untagged_list("LSUB", (), entry.name)
        elif entry.subscribed_below and "%" in pattern:
            session.wire.untagged_list("LSUB", ("\\Noselect",), entry.name)
    await session.finish(tag, name)
