"""Orders about the queue from the command line, carried out in any worker (control socket of the runtime).

Requests and answers are plain data. All of them work on the store; the relay learns by a hint.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from ..store.queue import QueueState, QueueStateError, unpack

if TYPE_CHECKING:
    from .. import _core
    from ..context import WorkerContext

PAGE_ITEMS: Final = 500  # items of one answer


async def queue_list(context: WorkerContext, after: int = 0, limit: int = PAGE_ITEMS) -> list[dict[str, Any]]:
    """Items with an id above `after`, drafts left out; ask again after the last one for more."""
    store = context.store
    records: list[dict[str, Any]] = []
    while True:
        page = min(max(limit, 1), PAGE_ITEMS)
        items: list[_core.QueueItem] = await store.call(store.core.queue_list(after, page))
        records.extend(record for item in items if (record := _record(item)) is not None)
        if records or len(items) < page:
            return records
        after = items[-1].id


async def queue_retry(context: WorkerContext, identifier: int | None = None) -> int:
    """Makes an item (None: all of them) due now; returns how many. Raises UserError for an unknown id."""
    store = context.store
    now = time.time()
    count = 0
    after = 0 if identifier is None else identifier - 1
    while True:
        page = PAGE_ITEMS if identifier is None else 1
        items: list[_core.QueueItem] = await store.call(store.core.queue_list(after, page))
        if identifier is not None:
            items = [item for item in items if item.id == identifier]
            if not items:
                raise UserError(f"there is no queue item {identifier}")
        requeue = [(item.id, now, forced) for item in items if (forced := _forced(item)) is not None]
        if requeue:
            await store.call(store.core.submit(None, requeue=requeue), write=True)
            count += len(requeue)
        if identifier is not None or len(items) < PAGE_ITEMS:
            break
        after = items[-1].id
    if count:
        context.hints.relay_hint()
    return count


async def queue_remove(context: WorkerContext, identifier: int) -> None:
    """Takes an item out of the queue without a report. Raises UserError for an unknown id."""
    store = context.store
    items: list[_core.QueueItem] = await store.call(store.core.queue_list(identifier - 1, 1))
    if not items or items[0].id != identifier:
        raise UserError(f"there is no queue item {identifier}")
    await store.call(store.core.submit(None, dequeue=[identifier]), write=True)


def _record(item: _core.QueueItem) -> dict[str, Any] | None:
    record: dict[str, Any] = {"item": item.id, "due": item.due, "created": item.created, "size": item.size}
    try:
        state: QueueState = unpack(item.state)
    except QueueStateError as error:
        record["fault"] = str(error)
        return record
    if state.draft:
        return None
    record.update(
        id=state.message_id,
        created=state.created,
        sender=state.sender,
        attempts=state.attempts,
        recipients=[
            {
                "address": recipient.address,
                "reply": f"{recipient.code} {recipient.enhanced} {recipient.reply}" if recipient.code else "",
                "host": recipient.host,
            }
            for recipient in state.recipients
        ],
    )
    return record


def _forced(item: _core.QueueItem) -> bytes | None:
    """The state of an item that is to be tried now; None for a draft. What cannot be read is left as it is."""
    try:
        state = unpack(item.state)
    except QueueStateError:
        return item.state
    return None if state.draft else replace(state, forced=True).pack()
