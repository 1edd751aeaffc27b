"""Mailbox names as clients give them: whose mailbox it is, and what this session may do with it (RFC 2342, RFC 4314).

Own mailboxes stand at the root, those of others beneath `Other Users/ADDRESS/`, those of the public account beneath
`Shared/`. Every command that takes a name comes through here, and every command on the selected mailbox asks `rights_of` its
view anew. What a session may not see is answered as if it did not exist.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from .. import _core
from ..state import acl
from ..state.directory import Account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..state.sharing import Sharing
    from .session import Session

__all__ = [
    "INBOXES",
    "OTHERS",
    "SHARED",
    "Found",
    "NoRight",
    "Place",
    "find",
    "full_name",
    "inherit",
    "is_reserved",
    "may_create",
    "missing",
    "place",
    "public_account",
    "reach_others",
    "require",
    "rights_of",
    "visible",
]

OTHERS: Final = "Other Users"
SHARED: Final = "Shared"
INBOXES: Final = ("INBOX",)  # one's own into which mail is delivered (mda/deliver.py): `inboxes` of RFC 5465 §6.3


class NoRight(Exception):
    """The mailbox may be seen, and this may not be done with it. The text is fit for the client."""


class Place(NamedTuple):
    """A name in an account, with a mailbox or without."""

    owner: Account
    name: str
    own: bool


class Found(NamedTuple):
    """A mailbox that may be used. `info` is None when nothing had to be looked up: then all rights are there, and the store
    has still to find the mailbox."""

    owner: Account
    name: str
    rights: str
    info: _core.MailboxInfo | None


def _sharing(session: Session) -> Sharing:
    return session.context.directory.sharing


def public_account(session: Session) -> Account | None:
    """Whose mailboxes stand beneath SHARED for this session; one's own stand at the root alone."""
    address = session.context.config.imap.public_account
    account = session.context.directory.account(address) if address else None
    return None if account is None or account.id == session.account_id else account


def place(session: Session, mailbox: str) -> Place | None:
    """Whose name that is. None: a name beneath OTHERS or SHARED that belongs to nobody."""
    assert session.account is not None
    head, _, rest = mailbox.partition("/")
    public = public_account(session)
    if head == SHARED and rest and public is not None:
        return Place(public, _fold(rest), False)
    person, _, name = rest.partition("/")
    if head != OTHERS or "@" not in person:
        return Place(session.account, mailbox, True)
    owner = session.context.directory.account(person)
    if owner is None or not name or owner.id == session.account_id or owner == public:
        return None
    return Place(owner, _fold(name), False)


def is_reserved(session: Session, mailbox: str) -> bool:
    """No mailbox of one's own may be made with such a name."""
    head = mailbox.partition("/")[0]
    return head == OTHERS or (head == SHARED and public_account(session) is not None)


def full_name(session: Session, owner: Account, name: str) -> str:
    """The name under which this session finds a mailbox of another account."""
    return f"{SHARED}/{name}" if owner == public_account(session) else f"{OTHERS}/{owner.address}/{name}"


def _fold(name: str) -> str:
    """INBOX in any case, as the core does it with one's own (RFC 9051 §5.1)."""
    head, slash, rest = name.partition("/")
    return f"INBOX{slash}{rest}" if head.upper() == "INBOX" else name


async def find(session: Session, mailbox: str, wanted: str, *, look: bool = False) -> Found:
    """A mailbox with which all of `wanted` may be done. `look`: `info` is needed.

    Raises NotFound where nothing may be seen, NoRight, and StoreError.
    """
    where = place(session, mailbox)
    if where is None:
        raise _core.NotFound("no such mailbox")
    sharing = _sharing(session)
    if where.own and not look and not sharing.restricted(where.owner.id):
        return Found(where.owner, where.name, acl.ALL, None)
    if not where.own and where.owner.id not in sharing.shared_with(session.account_id):
        raise _core.NotFound("no such mailbox")  # without a look at the account, which may never have been used
    info = await session.store.call(session.store.core.mailbox(where.owner.id, where.name))
    rights = sharing.rights(session.account_id, where.owner.id, info.id)
    require(rights, wanted)
    return Found(where.owner, where.name, rights, info)


def require(rights: str, wanted: str) -> None:
    """Raises NoRight when one of `wanted` is missing, or NotFound when not even that may be told (RFC 4314 §6)."""
    if all(right in rights for right in wanted):
        return
    if "l" not in rights:
        raise _core.NotFound("no such mailbox")
    raise NoRight(f"not permitted: you lack the right {' or '.join(right for right in wanted if right not in rights)}")


def rights_of(session: Session, view: _core.MailboxView) -> str:
    """What may be done now with a mailbox that has been opened."""
    return _sharing(session).rights(session.account_id, view.account, view.mailbox)


def reach_others(session: Session, reference: str, patterns: Iterable[str]) -> bool:
    """May a pattern of LIST match a mailbox of another account? The text before its first wildcard decides."""
    prefixes = (f"{OTHERS}/", f"{SHARED}/")
    if not _sharing(session).shared_with(session.account_id):
        return False
    for pattern in patterns:
        begin = re.split("[*%]", reference + pattern, maxsplit=1)[0]
        if any(begin.startswith(prefix) or prefix.startswith(begin) for prefix in prefixes):
            return True
    return False


async def visible(session: Session) -> list[tuple[int, str, _core.MailboxInfo, str]]:
    """Mailboxes of others that this session may see: owner, full name, what the store knows, rights."""
    sharing = _sharing(session)
    found = []
    for owner, mailboxes in sharing.shared_with(session.account_id).items():
        address = sharing.address(owner)
        if address is None or "/" in address:
            continue  # removed, or with a name that is no level
        account = Account(owner, address)
        for info in await session.store.call(session.store.core.list_mailboxes(owner)):
            if info.id in mailboxes:
                rights = sharing.rights(session.account_id, owner, info.id)
                if "l" in rights:
                    found.append((owner, full_name(session, account, info.name), info, rights))
    return found


async def missing(session: Session, mailbox: str) -> str:
    """The response code for a target that is not there: may it be made (RFC 9051 §7.1, TRYCREATE)?"""
    where = place(session, mailbox)
    if where is None or (where.own and is_reserved(session, mailbox)):
        return "NONEXISTENT"
    try:
        await may_create(session, where)
    except NoRight:
        return "NONEXISTENT"
    return "TRYCREATE"


async def may_create(session: Session, where: Place) -> _core.MailboxInfo | None:
    """Raises NoRight unless a mailbox may be made there (RFC 4314 §4, CREATE). Answers the nearest mailbox above it, which is
    asked; None when there is none, or no list in the account."""
    sharing = _sharing(session)
    if where.own and not sharing.has_lists(where.owner.id):
        return None
    refused = NoRight("not permitted: you may not make mailboxes there")
    if not where.own and where.owner.id not in sharing.shared_with(session.account_id):
        raise refused
    infos = await session.store.call(session.store.core.list_mailboxes(where.owner.id))
    above = [info for info in infos if info.id and where.name.startswith(f"{info.name}/")]
    parent: _core.MailboxInfo | None = max(above, key=lambda info: len(info.name), default=None)
    if parent is None and where.own:
        return None
    if parent is None or "k" not in sharing.rights(session.account_id, where.owner.id, parent.id):
        raise refused
    return parent


async def inherit(session: Session, where: Place, parent: _core.MailboxInfo, *, levels_only: bool = False) -> None:
    """A mailbox that has been made gets the list of the one above it, and so do levels between the two (RFC 4314 §4)."""
    for info in await session.store.call(session.store.core.list_mailboxes(where.owner.id)):
        between = where.name.startswith(f"{info.name}/") and info.name.startswith(f"{parent.name}/")
        if info.id and (between or (info.name == where.name and not levels_only)):
            await _sharing(session).inherit(where.owner.id, parent.id, info.id)
