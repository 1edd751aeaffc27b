"""Operations on the unique ids that messages had at another POP3 server: `ironpost mailbox uidl`, and imports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from .mailbox_operations import account_of

if TYPE_CHECKING:
    from ..quota import Home

ROWS_MAX: Final = 10_000  # of one request
INBOX: Final = "INBOX"  # what POP3 shows


async def uidl_set(context: Home, arguments: dict[str, Any]) -> list[tuple[int, str, str]]:
    """{address, rows: [(uid, unique id)]} -> those that are refused, each with the reason; the others are kept for INBOX."""
    rows = [(int(uid), str(uidl)) for uid, uidl in arguments["rows"]]
    if len(rows) > ROWS_MAX:
        raise UserError(f"at most {ROWS_MAX} unique ids at once")
    account = account_of(context, arguments["address"])
    store = context.store
    # Made by the first look when the account is new.
    await store.call(store.core.list_mailboxes(account.id))
    view = await store.call(store.core.open_view(account.id, INBOX, True))
    present = {uid for uid, _ in await store.call(store.core.messages(view))}
    absent = [(uid, uidl, "there is no such message in INBOX") for uid, uidl in rows if uid not in present]
    good = [row for row in rows if row[0] in present]
    uidls = context.directory.uidls
    return absent + await uidls.set(account.id, view.mailbox, view.uid_validity, good)


async def uidl_list(context: Home, arguments: dict[str, Any]) -> list[tuple[int, str]]:
    """{address} -> [(uid, unique id)] of the messages of INBOX that have brought one along, by UID."""
    account = account_of(context, arguments["address"])
    store = context.store
    for info in await store.call(store.core.list_mailboxes(account.id)):
        if info.name == INBOX:
            return sorted(context.directory.uidls.of(account.id, info.id).items())
    return []


OPERATIONS: Final = {
    "mailbox.uidl.list": uidl_list,
    "mailbox.uidl.set": uidl_set,
}
