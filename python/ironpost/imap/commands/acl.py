"""GETACL, SETACL, DELETEACL, LISTRIGHTS, MYRIGHTS (RFC 4314 §3): who may do what with a mailbox (docs/sharing.md).

Identifiers are addresses of accounts, and `anyone` for all accounts of this server, each with a dash in front or without.
There are no groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from ...errors import DirectoryError
from ...state import acl
from .. import namespaces

if TYPE_CHECKING:
    from ...state.directory import Directory
    from ...state.sharing import Sharing
    from ..session import Session

__all__ = ["delete_acl", "get_acl", "identified", "list_rights", "my_rights", "set_acl"]


def _sharing(session: Session) -> Sharing:
    return session.context.directory.sharing


async def _mailbox(session: Session, mailbox: str, wanted: str) -> tuple[int, int, str]:
    """Owner, number and rights of a mailbox whose list may be seen."""
    found = await namespaces.find(session, mailbox, wanted, look=True)
    assert found.info is not None
    return found.owner.id, found.info.id, found.rights


def identified(directory: Directory, text: str) -> tuple[int, bool]:
    """Whom an identifier means, and whether rights are taken away. Raises DirectoryError."""
    negative = text.startswith("-")
    name = text.removeprefix("-")
    if name.lower() == "anyone":
        return acl.ANYONE, negative
    account = directory.account(name)
    if account is None:
        raise DirectoryError("unknown", "the identifier is neither an account of this server nor anyone")
    return account.id, negative


async def get_acl(session: Session, tag: str, name: str, mailbox: str) -> None:
    """GETACL."""
    owner, number, _ = await _mailbox(session, mailbox, "a")
    words = [word for named in _sharing(session).named(owner, number) for word in named]
    session.wire.untagged_words("ACL", mailbox, words)
    await session.finish(tag, name)


async def set_acl(session: Session, tag: str, name: str, mailbox: str, identifier: str, mode: str, rights: str) -> None:
    """SETACL. The owner keeps `l` and `a` whatever is set."""
    owner, number, _ = await _mailbox(session, mailbox, "a")
    try:
        whom, negative = identified(session.context.directory, identifier)
        await _sharing(session).change(owner, number, whom, negative, mode, rights)
    except DirectoryError as error:
        session.wire.respond(tag, "NO", "LIMIT" if error.code == "too-many" else "", str(error))
        return
    _tell(session, owner, number, whom)
    await session.finish(tag, name)


async def delete_acl(session: Session, tag: str, name: str, mailbox: str, identifier: str) -> None:
    """DELETEACL: one that is not in the list is no fault."""
    owner, number, _ = await _mailbox(session, mailbox, "a")
    try:
        whom, negative = identified(session.context.directory, identifier)
    except DirectoryError as error:
        session.wire.respond(tag, "NO", "", str(error))
        return
    await _sharing(session).remove(owner, number, whom, negative)
    _tell(session, owner, number, whom)
    await session.finish(tag, name)


def _tell(session: Session, owner: int, number: int, whom: int) -> None:
    """Sessions of the owner and of whom it is about; those of `anyone` find it out at their next look."""
    session.context.hints.publish([(owner, number), (whom, 0)] if whom != acl.ANYONE else [(owner, number)])


async def list_rights(session: Session, tag: str, name: str, mailbox: str, identifier: str) -> None:
    """LISTRIGHTS: each right by itself; the owner always has two of them."""
    owner, _, _ = await _mailbox(session, mailbox, "a")
    try:
        whom, negative = identified(session.context.directory, identifier)
    except DirectoryError as error:
        session.wire.respond(tag, "NO", "", str(error))
        return
    always = acl.OWNER_KEEPS if whom == owner and not negative else ""
    optional = [right for right in (*acl.ALL, *acl.VIRTUAL) if right not in always]
    session.wire.untagged_words("LISTRIGHTS", mailbox, [identifier, always, *optional])
    await session.finish(tag, name)


async def my_rights(session: Session, tag: str, name: str, mailbox: str) -> None:
    """MYRIGHTS: for whoever has one of the rights that RFC 4314 §4 names."""
    _, _, rights = await _mailbox(session, mailbox, "")
    if not any(right in rights for right in "lrikxa"):
        raise _core.NotFound("no such mailbox")
    session.wire.untagged_words("MYRIGHTS", mailbox, [acl.spelled(rights)])
    await session.finish(tag, name)
