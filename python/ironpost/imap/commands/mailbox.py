"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE (RFC 9051 §6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from .. import namespaces, notices, sync

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["create", "delete", "namespace", "rename", "send_status", "status", "subscribe"]

_STATUS = {
    "MESSAGES": "messages",
    "UIDNEXT": "uid_next",
    "UIDVALIDITY": "uid_validity",
    "UNSEEN": "unseen",
    "DELETED": "deleted",
    "SIZE": "size",
    "RECENT": "recent",
    "HIGHESTMODSEQ": "highest_modseq",
    "MAILBOXID": "id",
}


async def create(session: Session, tag: str, name: str, mailbox: str, special_use: str | None) -> None:
    """CREATE, with USE (RFC 6154 §3). A trailing separator only declares that names will follow (RFC 9051 §6.3.4)."""
    where = await _place_for(session, mailbox.removesuffix("/"))
    parent = await namespaces.may_create(session, where)
    if special_use and not where.own:
        session.wire.respond(tag, "NO", "USEATTR", "special uses are for the owner of the mailbox to give")
        return
    made = await session.store.call(
        session.store.core.create_mailbox(where.owner.id, where.name, special_use or ""), write=True
    )
    if parent is not None:
        await namespaces.inherit(session, where, parent)
    await notices.absorb(session, (mailbox.removesuffix("/"),))
    # RFC 8474 §4.1
    await session.finish(tag, name, f"MAILBOXID ({sync.mailbox_id(made.id, made.uid_validity)})")


async def _place_for(session: Session, mailbox: str) -> namespaces.Place:
    """Where a mailbox is to be made. Raises NoRight, and Refused for names that are nobody's to give."""
    where = namespaces.place(session, mailbox)
    if where is None:
        raise namespaces.NoRight("not permitted: you may not make mailboxes there")
    if where.own and namespaces.is_reserved(session, mailbox):
        raise _core.Refused("names that begin so belong to the mailboxes of others")
    return where


async def delete(session: Session, tag: str, name: str, mailbox: str) -> None:
    """DELETE: the mailbox only, with its list and its annotations; names below it stay."""
    found = await namespaces.find(session, mailbox, "x", look=True)
    assert found.info is not None
    await session.store.call(session.store.core.delete_mailbox(found.owner.id, found.name), write=True)
    directory = session.context.directory
    if directory.sharing.has_lists(found.owner.id):
        await directory.sharing.drop(found.owner.id, found.info.id)
    await directory.metadata.drop_mailbox(found.owner.id, found.info.id)
    await notices.absorb(session, (mailbox,))
    await session.finish(tag, name)


async def rename(session: Session, tag: str, name: str, old: str, new: str) -> None:
    """RENAME, inferiors too; INBOX gives its messages away and stays (RFC 9051 §6.3.6)."""
    target = await _place_for(session, new.removesuffix("/"))
    source = await namespaces.find(session, old, "x")
    parent = await namespaces.may_create(session, target)
    if source.owner.id != target.owner.id:
        session.wire.respond(tag, "NO", "CANNOT", "a mailbox stays with its owner")
        return
    if source.name == "INBOX" and not target.own:
        session.wire.respond(tag, "NO", "CANNOT", "an INBOX is for its owner to rename")
        return
    await session.store.call(session.store.core.rename_mailbox(source.owner.id, source.name, target.name), write=True)
    if parent is not None:
        await namespaces.inherit(session, target, parent, levels_only=True)
    await notices.absorb(session, (old, new.removesuffix("/")))
    await session.finish(tag, name)


async def subscribe(session: Session, tag: str, name: str, mailbox: str) -> None:
    """SUBSCRIBE and UNSUBSCRIBE: of one's own a name need not exist (RFC 9051 §6.3.7). A list is kept with its subscriber."""
    where = namespaces.place(session, mailbox)
    if where is not None and not where.own:
        mailbox = namespaces.full_name(session, where.owner, where.name)
    if name == "SUBSCRIBE" and (where is None or not where.own):
        await namespaces.find(session, mailbox, "l")
    await session.store.call(session.store.core.subscribe(session.account_id, mailbox, name == "SUBSCRIBE"), write=True)
    await notices.absorb(session, (mailbox,))
    await session.finish(tag, name)


async def send_status(session: Session, mailbox: str, info: _core.MailboxInfo, items: tuple[str, ...]) -> None:
    """The STATUS line of a mailbox under the name by which the client knows it."""
    if "HIGHESTMODSEQ" in items:
        sync.enable_modseqs(session)
    values: list[tuple[str, int | str]] = []
    for item in items:
        value: int | str
        if item == "APPENDLIMIT":
            # RFC 7889 §3.2: the same in all mailboxes.
            value = session.context.config.limits.message_octets_max
        elif item == "DELETED-STORAGE":
            # RFC 9208 §4.1.4. No counter of the mailbox has it.
            value = await session.store.call(session.store.core.deleted_octets(info.id)) if info.deleted else 0
        elif item == "MAILBOXID":
            value = sync.mailbox_id(info.id, info.uid_validity)
        else:
            value = getattr(info, _STATUS[item])
        values.append((item, value))
    session.wire.untagged_status(mailbox, values)


async def status(session: Session, tag: str, name: str, mailbox: str, items: tuple[str, ...]) -> None:
    """STATUS."""
    found = await namespaces.find(session, mailbox, "r", look=True)
    assert found.info is not None
    await send_status(session, mailbox, found.info, items)
    await session.finish(tag, name)


async def namespace(session: Session, tag: str, name: str) -> None:
    """NAMESPACE (RFC 2342): one's own at the root, those of others, and the public ones if there are any."""
    shared = "NIL" if namespaces.public_account(session) is None else f'(("{namespaces.SHARED}/" "/"))'
    session.wire.untagged(f'NAMESPACE (("" "/")) (("{namespaces.OTHERS}/" "/")) {shared}')
    await session.finish(tag, name)
