"""Roles that one worker at a time has: relay, janitor, control. Each is held by an flock; the others stand by.

The kernel drops the lock with its holder, so that a dead worker's role is taken over within STAND_BY_SECONDS.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from ..errors import MailError, UserError
from ..runtime.clock import SystemClock
from ..runtime.steady_clock import SteadyClock
from ..store.client import OutcomeUnknown

if TYPE_CHECKING:
    from ..context import WorkerContext

STAND_BY_SECONDS: Final = 1.0
AFTER_FAULT_SECONDS: Final = 5.0
JANITOR_SECONDS: Final = 30.0
FOLLOW_SECONDS: Final = 1.0  # between looks whether limits may have changed
RECONCILE_SECONDS: Final = 30.0  # edits of the directory are gathered for so long
RECONCILE_ANYHOW_SECONDS: Final = 3600.0
# A transaction that resolved its recipient before the account was removed must have ended before the purge.
PURGE_AFTER_SECONDS: Final = 900.0


async def hold(name: str, run: Callable[[], Awaitable[None]], context: WorkerContext) -> None:
    """Waits for the role's lock, then runs it, again after a fault, until cancelled."""
    path = os.path.join(context.runtime_folder, f"{name}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await trio.sleep(STAND_BY_SECONDS)
            else:
                break
        context.log.debug("role taken", role=name)
        while True:
            try:
                await run()
            except Exception:
                context.log.exception("role failed", role=name)
            else:
                context.log.error("role ended by itself", role=name)
            await trio.sleep(AFTER_FAULT_SECONDS)
    finally:
        os.close(descriptor)


async def janitor(context: WorkerContext) -> None:
    """Purges the mail of removed accounts, keeps the store's limits in line, tidies mailboxes; until cancelled."""
    from .keeping import Keeper

    steady = SteadyClock(context.config.state_folder / "clock", SystemClock(), context.log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_purge_removed, context)
        nursery.start_soon(_keep_limits, context)
        nursery.start_soon(steady.keep)
        nursery.start_soon(Keeper(context, clock=steady.now).run)


async def _keep_limits(context: WorkerContext) -> None:
    """Limits follow the configuration at once, and the directory within RECONCILE_SECONDS; a delivery or an APPEND in
    between brings its own accounts in line."""
    from ironpost import _core

    seen: tuple[object, int] = (None, -1)
    walked = -math.inf
    while True:
        state = (context.config, context.directory.generation)
        age = trio.current_time() - walked
        changed = state[0] is not seen[0] or (state[1] != seen[1] and age >= RECONCILE_SECONDS)
        if changed or age >= RECONCILE_ANYHOW_SECONDS:
            try:
                count = await context.quotas.reconcile()
            except _core.StoreFailed:
                raise
            except (_core.StoreError, OutcomeUnknown) as error:
                context.log.warning("limits not yet in line", why=str(error))
            else:
                seen = state
                if count:
                    context.log.info("limits of accounts changed", accounts=count)
            walked = trio.current_time()
        await trio.sleep(FOLLOW_SECONDS)


async def _purge_removed(context: WorkerContext) -> None:
    """Purges the mail of removed accounts; frees what dead readers held."""
    from ironpost import _core

    directory, store = context.directory, context.store
    while True:
        for account in directory.purgeable(time.time() - PURGE_AFTER_SECONDS):
            try:
                await store.call(store.core.remove_account(account), write=True)
            except _core.NotFound:
                context.log.debug("nothing to purge", account=account)
            except _core.StoreFailed:
                raise
            except (_core.StoreError, OutcomeUnknown) as error:
                context.log.warning("purge put off", account=account, why=str(error))
                continue
            try:
                await directory.drop_tombstone(account)
            except (MailError, UserError) as error:
                context.log.warning("tombstone kept", account=account, why=str(error))
            else:
                context.log.info("account purged", account=account)
        directory.environment.clear_dead_readers()
        await trio.sleep(JANITOR_SECONDS)
