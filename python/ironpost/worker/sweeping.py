"""Access control lists, annotations and ids of POP3 that have lost their mailbox, message or people: let go of, now and then.

Ids of mailboxes and accounts are never used again, so such rows give nobody anything; they only take room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from .. import _core
from ..state import acl
from ..store.client import OutcomeUnknown

if TYPE_CHECKING:
    from ..context import WorkerContext
    from ..state.metadata import Target

PASS_SECONDS: Final = 3600.0
REST_SECONDS: Final = 0.05  # after each account


async def run(context: WorkerContext) -> None:
    """Until cancelled."""
    while True:
        await trio.sleep(PASS_SECONDS)
        await sweep(context)
        await sweep_annotations(context)
        await sweep_uidls(context)


async def sweep(context: WorkerContext) -> int:
    """One look at all lists; how many have changed. An account's fault is logged and stops no other's."""
    sharing, store = context.directory.sharing, context.store
    changed = 0
    for owner in sharing.owners():
        try:
            # The rows are read first: whatever is in them was there when the mailboxes are looked at.
            lists = sharing.lists(owner)
            gone = set(lists)
            if sharing.address(owner) is not None:
                gone -= {info.id for info in await store.call(store.core.list_mailboxes(owner))}
            named = {entry.identifier for entries in lists.values() for entry in entries} - {acl.ANYONE}
            if gone or any(sharing.address(account) is None for account in named):
                changed += await sharing.sweep(owner, gone)
        except _core.StoreFailed:
            raise
        except (_core.StoreError, OutcomeUnknown) as error:
            context.log.warning("access lists not swept", account=owner, why=str(error))
        await trio.sleep(REST_SECONDS)
    if changed:
        context.log.info("access lists swept", lists=changed)
    return changed


async def sweep_annotations(context: WorkerContext) -> int:
    """The same for annotations; how many mailboxes, or people's views of them, have lost theirs."""
    directory, store = context.directory, context.store
    dropped = 0
    owners: dict[int, list[Target]] = {}
    for target in directory.metadata.targets():
        owners.setdefault(target.owner, []).append(target)
    for owner, targets in owners.items():
        try:
            mailboxes = {0} if owner == 0 else set()
            if owner and directory.sharing.address(owner) is not None:
                mailboxes = {info.id for info in await store.call(store.core.list_mailboxes(owner))}
            for target in targets:
                account = target.account
                if target.mailbox not in mailboxes or (account and directory.sharing.address(account) is None):
                    await directory.metadata.drop(target)
                    dropped += 1
        except _core.StoreFailed:
            raise
        except (_core.StoreError, OutcomeUnknown) as error:
            context.log.warning("annotations not swept", account=owner, why=str(error))
        await trio.sleep(REST_SECONDS)
    return dropped


async def sweep_uidls(context: WorkerContext) -> int:
    """The same for ids that messages have brought from another POP3 server; how many are let go of."""
    directory, store = context.directory, context.store
    uidls, dropped = directory.uidls, 0
    for account, mailbox in uidls.mailboxes():
        try:
            # The rows are read first: whatever is in them was there when the mailbox is looked at.
            rows = uidls.of(account, mailbox)
            gone = set(rows)
            known = directory.sharing.address(account) is not None
            for info in await store.call(store.core.list_mailboxes(account)) if known else ():
                if info.id == mailbox:
                    view = await store.call(store.core.open_view(account, info.name, True))
                    if view.mailbox == mailbox:
                        gone -= {uid for uid, _ in await store.call(store.core.messages(view))}
                    else:
                        gone = set()  # renamed meanwhile; the next pass looks again
            if gone:
                await uidls.drop(account, mailbox, gone)
                dropped += len(gone)
        except _core.StoreFailed:
            raise
        except (_core.StoreError, OutcomeUnknown) as error:
            context.log.warning("ids of pop3 not swept", account=account, why=str(error))
        await trio.sleep(REST_SECONDS)
    return dropped
