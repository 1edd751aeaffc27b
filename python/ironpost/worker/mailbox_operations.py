"""Operations of `ironpost mailbox` on what lies in the store: list, recover, expire, purge."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from ..quota import Quotas
from ..store.client import OutcomeUnknown
from .expiry import expire_account

if TYPE_CHECKING:
    from ..quota import Home
    from ..state.directory import Account

PAGE_ROWS: Final = 1000
UIDS_MAX: Final = 1000  # ranges of one request


async def mailbox_list(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """{address} -> its mailboxes."""
    account = account_of(context, arguments["address"])
    store = context.store
    return [
        {
            "name": mailbox.name,
            "special_use": mailbox.special_use,
            "exists": bool(mailbox.id),
            "subscribed": mailbox.subscribed,
            "messages": mailbox.messages,
            "unseen": mailbox.unseen,
            "octets": mailbox.size,
            "uid_validity": mailbox.uid_validity,
            "uid_next": mailbox.uid_next,
        }
        for mailbox in await store.call(store.core.list_mailboxes(account.id))
    ]


async def mailbox_retained(context: Home, arguments: dict[str, Any]) -> dict[str, Any]:
    """{address, after?, mailbox?, since?, uids?} -> {rows, after}: a page of what can be recovered, by time; `after` is
    None at the end."""
    account = account_of(context, arguments["address"])
    after = arguments.get("after")
    mailbox, since, uids = arguments.get("mailbox"), arguments.get("since"), _uids(arguments)
    store = context.store
    page = await store.call(store.core.retained(account.id, tuple(after) if after else None, PAGE_ROWS))
    rows = [
        {
            "expunged": message.expunged,
            "mailbox": message.name,
            "uid": message.uid,
            "octets": message.size,
            "date": message.internal_date,
        }
        for message in page
        if (mailbox is None or message.name == mailbox)
        and (since is None or message.expunged >= int(since))
        and (not uids or any(first <= message.uid <= last for first, last in uids))
    ]
    last = page[-1] if len(page) == PAGE_ROWS else None
    return {"rows": rows, "after": None if last is None else (last.expunged, last.mailbox, last.uid)}


async def mailbox_recover(context: Home, arguments: dict[str, Any]) -> int:
    """{address, mailbox?, since?, uids?, into?} -> how many messages are back."""
    account = account_of(context, arguments["address"])
    store = context.store
    await Quotas(context).ensure((account,))
    if store.core.quota(account.id) is None:
        return 0
    ticket = store.core.recover(
        account.id,
        mailbox=arguments.get("mailbox"),
        since=arguments.get("since"),
        uids=_uids(arguments),
        into=arguments.get("into"),
    )
    return int(await _finished(context, ticket))


async def mailbox_expire(context: Home, arguments: dict[str, Any]) -> list[tuple[str, int]]:
    """{address, dry?} -> (mailbox, messages): the rules of `[[expire]]`, now."""
    account = account_of(context, arguments["address"])
    if context.store.core.quota(account.id) is None:
        return []
    dry = bool(arguments.get("dry"))
    return await expire_account(context.store, context.config, account.id, time.time(), dry=dry)


async def mailbox_purge(context: Home, arguments: dict[str, Any]) -> int:
    """{address} -> how many expunged messages are gone for good."""
    account = account_of(context, arguments["address"])
    if context.store.core.quota(account.id) is None:
        return 0
    # What is expunged in this very second goes, too.
    return int(await _finished(context, context.store.core.purge_retained(account.id, time.time() + 1)))


def account_of(context: Home, address: str) -> Account:
    """The account that a person has named. Raises UserError."""
    account = context.directory.account(address)
    if account is None:
        raise UserError(f"there is no account {address}")
    return account


async def _finished(context: Home, ticket: int) -> Any:
    try:
        return await context.store.call(ticket, write=True)
    except OutcomeUnknown:
        raise UserError("this takes long; it goes on in the server, look again in a while") from None


def _uids(arguments: dict[str, Any]) -> list[tuple[int, int]]:
    uids = [(int(first), int(last)) for first, last in arguments.get("uids") or ()]
    if len(uids) > UIDS_MAX:
        raise UserError(f"at most {UIDS_MAX} ranges of UIDs at once")
    return uids


OPERATIONS: Final = {
    "mailbox.expire": mailbox_expire,
    "mailbox.list": mailbox_list,
    "mailbox.purge": mailbox_purge,
    "mailbox.recover": mailbox_recover,
    "mailbox.retained": mailbox_retained,
}
