"""The janitor's walk over all accounts: expiry rules, and letting go of expunged messages whose time has passed.

Once an hour, one account after the other, with rests in between, so that ten thousand accounts are looked at without
anybody noticing. When the disk runs full, expunged messages go before their time, the oldest first: new mail matters
more than second chances.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import trio

from .. import _core
from ..store.client import OutcomeUnknown
from .expiry import expire_account

if TYPE_CHECKING:
    from ..context import WorkerContext

PASS_SECONDS: Final = 3600.0  # from one walk's end to the next one's beginning
LOOK_SECONDS: Final = 300.0  # between two looks at the free disk: compaction needs its time to give space back
REST_FACTOR: Final = 4.0  # after each account the walk rests so many times as long as that took
REST_SECONDS_MAX: Final = 1.0
LOW_DISK_FACTOR: Final = 2  # below so many times `store.min_free` retained messages go early
HALVINGS_MAX: Final = 10  # steps from the full retention to none at all


class Keeper:
    """The walks of one janitor. An account that is removed meanwhile is passed over: the store never makes it again."""

    def __init__(self, context: WorkerContext, *, clock: Callable[[], float]) -> None:
        self._context = context
        self._clock = clock
        self._halvings = 0

    async def run(self) -> None:
        """Until cancelled."""
        due = trio.current_time()
        while True:
            try:
                if trio.current_time() >= due:
                    await self.walk()
                    due = trio.current_time() + PASS_SECONDS
                await self.relieve()
            except _core.StoreFailed:
                raise
            except _core.StoreError as error:  # not even the accounts could be listed: too much is under way
                self._context.log.warning("mailboxes not tidied", why=str(error))
            await trio.sleep(LOOK_SECONDS)

    async def walk(self) -> None:
        """One look at every account of the store. An account's fault is logged and stops no other's."""
        expired = released = 0
        for account in await self._context.store.call(self._context.store.core.accounts()):
            began = trio.current_time()
            try:
                expired += await self._expire(account)
                released += await self._release(account, self._kept_seconds)
            except _core.NotFound:
                continue  # the account, or a mailbox of it, is gone
            except _core.StoreFailed:
                raise
            except (_core.StoreError, OutcomeUnknown) as error:
                self._context.log.warning("account not tidied", account=account, why=str(error))
            await trio.sleep(min(REST_FACTOR * (trio.current_time() - began), REST_SECONDS_MAX))
        if expired or released:
            self._context.log.info("mailboxes tidied", expired=expired, released=released)

    async def relieve(self) -> None:
        """When the disk is low: one step of halving the time for which expunged messages are kept."""
        config, store = self._context.config, self._context.store
        if store.core.free_bytes() >= LOW_DISK_FACTOR * config.store.min_free:
            self._halvings = 0
            return
        self._halvings = min(self._halvings + 1, HALVINGS_MAX)
        released = 0
        for account in await store.call(store.core.accounts()):
            try:
                released += await self._release(account, self._kept_seconds)
            except _core.StoreFailed:
                raise
            except (_core.StoreError, OutcomeUnknown) as error:
                self._context.log.warning("expunged messages not released", account=account, why=str(error))
        if released:
            self._context.log.warning(
                "disk is low, expunged messages go early", released=released, kept_seconds=int(self._kept_seconds)
            )

    @property
    def _kept_seconds(self) -> float:
        """For how long expunged messages are kept at present."""
        retention = self._context.config.store.retention
        return 0.0 if self._halvings == HALVINGS_MAX else retention / 2**self._halvings

    async def _expire(self, account: int) -> int:
        counts = await expire_account(self._context.store, self._context.config, account, self._clock())
        for mailbox, count in counts:
            self._context.log.info("messages expired", account=account, mailbox=mailbox, count=count)
        return sum(count for _, count in counts)

    async def _release(self, account: int, kept: float) -> int:
        """Asks a reader first: most accounts have nothing to let go of, and need no write to find out."""
        store = self._context.store
        before = self._clock() - kept
        oldest = await store.call(store.core.retained(account, None, 1))
        if not oldest or oldest[0].expunged >= before:
            return 0
        count: int = await store.call(store.core.purge_retained(account, before), write=True)
        return count
