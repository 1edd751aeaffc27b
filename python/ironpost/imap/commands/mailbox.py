"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE (RFC 9051 §6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import _core
from .. import sync

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
    made = await session.store.call(
        session.store.core.create_mailbox(session.account_id, mailbox.removesuffix("/"), special_use or ""), write=True
    )
    # RFC 8474 §4.1
    await session.finish(tag, name, f"MAILBOXID ({sync.mailbox_id(made.id, made.uid_validity)})")


async def delete(session: Session, tag: str, name: str, mailbox: str) -> None:
    """DELETE: the mailbox only; names below it stay."""
    await session.store.call(session.store.core.delete_mailbox(session.account_id, mailbox), write=True)
    await session.finish(tag, name)


async def rename(session: Session, tag: str, name: str, old: str, new: str) -> None:
    """RENAME, inferiors too; INBOX gives its messages away and stays (RFC 9051 §6.3.6)."""
    await session.store.call(
        session.store.core.rename_mailbox(session.account_id, old, new.removesuffix("/")), write=True
    )
    await session.finish(tag, name)


async def subscribe(session: Session, tag: str, name: str, mailbox: str) -> None:
    """SUBSCRIBE and UNSUBSCRIBE: a name need not exist (RFC 9051 §6.3.7)."""
    await session.store.call(session.store.core.subscribe(session.account_id, mailbox, name == "SUBSCRIBE"), write=True)
    await session.finish(tag, name)


async def send_status(session: Session, info: _core.MailboxInfo, items: tuple[str, ...]) -> None:
    """The STATUS line of a mailbox."""
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
    session.wire.untagged_status(info.name, values)


async def status(session: Session, tag: str, name: str, mailbox: str, items: tuple[str, ...]) -> None:
    """STATUS."""
    info = await session.store.call(session.store.core.mailbox(session.account_id, mailbox))
    await send_status(session, info, items)
    await session.finish(tag, name)


async def namespace(session: Session, tag: str, name: str) -> None:
    """NAMESPACE (RFC 2342): one personal namespace at the root."""
    session.wire.untagged('NAMESPACE (("" "/")) NIL NIL')
    await session.finish(tag, name)
