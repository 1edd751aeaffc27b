"""The relay: takes due items from the queue and sees them through (RFC 5321 §4.5.4).

Runs in the one worker that holds the relay's lock. All that must survive lies in the store: an item stays due until the
results of an attempt are on disk, so a relay that dies begins where the last commit was, and at worst one message in
flight goes out twice (at least once, never none). In memory there is a bounded active set and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from random import Random
from typing import TYPE_CHECKING, Any, Final

import trio

from .. import _core
from ..dns.mx import MxError
from ..dns.resolver import DnsResolver, DnsTemporary
from ..mda.deliver import Plan
from ..quota.service import deliver_beyond
from ..store.client import OutcomeUnknown
from ..store.queue import QueueState, QueueStateError, unpack
from . import destination, dsn
from .client import Connection, HopFailed, Message
from .conclude import Conclusion, conclude
from .outcome import Outcome
from .scheduler import Offer, Scheduler
from .settings import RelaySettings, settings_of

if TYPE_CHECKING:
    from ..context import WorkerContext
    from ..dns.resolver import Resolver

ACTIVE_MAX: Final = 2000  # items in memory
FETCH_ITEMS: Final = 200  # due items asked for beyond those that are known
WAITING_PER_DESTINATION: Final = 200  # more are put off, lest one destination fill the active set
CROWDED_SECONDS: Final = 20.0  # for how long they are put off
POLL_SECONDS: Final = 5.0  # a net under the hints, and the grain of waiting while items are under way
SLEEP_SECONDS_MAX: Final = 60.0
DEAD_DESTINATION_SECONDS: Final = 60.0  # a destination that cannot be reached is left alone for so long
MESSAGES_PER_CONNECTION: Final = 100
STORE_RETRY_SECONDS: Final = 5.0  # results that the store cannot take now are offered again
DRAFT_SECONDS: Final = 3600.0  # a draft that old belongs to a session that has died
SWEEP_ITEMS: Final = 500


async def run(context: WorkerContext) -> None:
    """The relay as a service task, until cancelled."""
    settings = settings_of(context.config)
    manager = Manager(context, DnsResolver(settings.nameservers))
    await manager.run()


class _Entry:
    """An item of the active set."""

    __slots__ = ("item", "state")

    def __init__(self, item: _core.QueueItem, state: QueueState) -> None:
        self.item = item
        self.state = state


class Manager:
    """One for each run. `clock` gives Unix seconds; tests hand in their own, and call `wake` after moving it."""

    def __init__(
        self,
        context: WorkerContext,
        resolver: Resolver,
        *,
        clock: Any = time.time,
        random: Random | None = None,
        settings: RelaySettings | None = None,
    ) -> None:
        self._context = context
        self._store = context.store
        self._log = context.log
        self._resolver = resolver
        self._clock = clock
        self._random = random or Random()
        self._fixed_settings = settings
        self._config: object = None
        self._settings = settings or self.settings
        self._scheduler: Scheduler[_Entry] = Scheduler(
            self._settings.deliveries_max, self._settings.deliveries_per_destination, WAITING_PER_DESTINATION
        )
        self._woken = trio.Event()
        self._quarantine: set[int] = set()  # items whose results the store refuses: not again in this run
        # Items concluded since the present look at the queue began: what it shows of them may be of before.
        self._concluded: set[int] = set()
        self._nursery: trio.Nursery | None = None

    @property
    def settings(self) -> RelaySettings:
        """Of the present configuration, which a reload may replace."""
        if self._fixed_settings is not None:
            return self._fixed_settings
        config = self._context.config
        if config is not self._config:
            self._config = config
            self._settings = settings_of(config)
        return self._settings

    def wake(self) -> None:
        """Look at the queue now."""
        self._woken.set()

    async def run(self) -> None:
        """Sweeps drafts, then serves the queue until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._listen)
            nursery.start_soon(self._sweep)
            while True:
                self._woken = trio.Event()
                pause = await self._scan()
                with trio.move_on_after(pause):
                    await self._woken.wait()

    async def _listen(self) -> None:
        while True:
            await self._context.hints.wait_relay()
            self.wake()

    # -- the active set

    async def _scan(self) -> float:
        """Offers what is due to the scheduler and starts lanes; returns for how long to sleep without a hint."""
        now = self._clock()
        self._concluded.clear()
        core = self._store.core
        scheduler = self._scheduler
        room = ACTIVE_MAX - scheduler.known
        pause = POLL_SECONDS
        try:
            if room > 0:
                limit = scheduler.known + len(self._quarantine) + min(room, FETCH_ITEMS)
                items = await self._store.call(core.queue_due(now, limit))
                deferred = self._offer(items, now)
                if deferred:
                    await self._store.call(core.submit(None, requeue=deferred), write=True)
                if len(items) >= limit and (deferred or scheduler.known < ACTIVE_MAX):
                    pause = 0.0  # there may be more
            if not scheduler.known and pause:
                due: float | None = await self._store.call(core.queue_next_due())
                if due is None:
                    pause = SLEEP_SECONDS_MAX
                elif due > now:  # else it lies in quarantine
                    pause = min(max(due - self._clock(), 0.0), SLEEP_SECONDS_MAX)
        except _core.StoreFailed:
            raise  # the worker ends
        except (_core.StoreError, OutcomeUnknown) as error:
            self._log.warning("relay waits for the store", why=str(error))
            pause = STORE_RETRY_SECONDS
        assert self._nursery is not None
        for key in scheduler.start_lanes():
            self._nursery.start_soon(self._lane, key)
        return pause

    def _offer(self, items: list[_core.QueueItem], now: float) -> list[tuple[int, float, bytes]]:
        """Items into the active set; those that cannot go there come back as what `requeue` takes."""
        deferred: list[tuple[int, float, bytes]] = []
        for item in items:
            if self._scheduler.holds(item.id) or item.id in self._quarantine or item.id in self._concluded:
                continue
            try:
                state = unpack(item.state)
            except QueueStateError as error:
                self._log.error("queue item cannot be read", item=item.id, why=str(error))
                self._quarantine.add(item.id)
                continue
            if not state.recipients:
                self._log.error("queue item has no recipients", item=item.id, id=state.message_id)
                self._quarantine.add(item.id)
                continue
            key = destination.key_of(state.domain, self.settings)
            if state.forced:
                self._scheduler.unblock(key)
            match self._scheduler.offer(item.id, key, _Entry(item, state), now):
                case Offer.BLOCKED:
                    due = self._scheduler.blocked_until(key, now) + self._random.random() * 5.0
                    deferred.append((item.id, due, item.state))
                case Offer.CROWDED:
                    due = now + CROWDED_SECONDS * (1.0 + self._random.random())
                    deferred.append((item.id, due, item.state))
        return deferred

    async def _lane(self, key: Hashable) -> None:
        """One connection's worth of work for one destination."""
        connection: Connection | None = None
        scheduler = self._scheduler
        try:
            while (entry := scheduler.next(key)) is not None:
                used, connection = connection, None
                try:
                    connection = await self._attempt(key, entry, used)
                except Exception:
                    # One item's fault, whatever it is, must not stop the mail of all others.
                    self._log.exception("delivery failed by a fault of ours", item=entry.item.id)
                    self._quarantine.add(entry.item.id)
                finally:
                    self._concluded.add(entry.item.id)
                    scheduler.done(entry.item.id)
        finally:
            scheduler.lane_ended(key)
            self.wake()
            if connection is not None:
                await connection.quit()

    async def _attempt(self, key: Hashable, entry: _Entry, connection: Connection | None) -> Connection | None:
        """One attempt at one item, its results on disk at the end. Returns the connection if it is still of use."""
        held = [connection] if connection is not None else []
        try:
            connection = await self._attempt_over(key, entry, held)
        except BaseException:
            for each in held:
                each.abandon()
            raise
        return connection

    async def _attempt_over(self, key: Hashable, entry: _Entry, held: list[Connection]) -> Connection | None:
        """`held` keeps every connection in use, for the one who must close it when this is left by an exception."""
        connection = held[0] if held else None
        item, state = entry.item, entry.state
        host = ""
        message = Message(state, item.size, self._reader(item.id))
        try:
            if connection is not None:
                host = connection.hop.name
                outcomes = await connection.send(message)
                if not connection.alive and not connection.body_begun:
                    connection = None  # it had been closed between two messages: that is no failure of this one
            if connection is None:
                connection = await self._connect(state.domain)
                held.append(connection)
                self._scheduler.unblock(key)
                host = connection.hop.name
                outcomes = await connection.send(message)
        except MxError as error:
            outcomes = [Outcome(error.code, error.enhanced, error.text)] * len(state.recipients)
        except DnsTemporary as error:
            outcomes = [Outcome(451, "4.4.3", f"DNS: {error}")] * len(state.recipients)
            await self._block(key)
        except HopFailed as error:
            host = ""
            outcomes = [error.outcome] * len(state.recipients)
            await self._block(key)
        now = self._clock()
        result = conclude(state, outcomes, host, self.settings.backoff, now, self._random)
        await self._record(item, state, result, now)  # before anything else that may take time or fail
        self._tell(item, state, outcomes, host)
        if connection is not None and (not connection.alive or connection.messages >= MESSAGES_PER_CONNECTION):
            await connection.quit()
            return None
        return connection

    async def _connect(self, domain: str) -> Connection:
        """The first hop that can be used. Raises MxError, DnsTemporary, HopFailed of the last hop."""
        settings = self.settings
        failure: HopFailed | None = None
        for hop in await destination.hops(domain, settings, self._resolver, self._random):
            try:
                return await Connection.open(hop, settings.hostname)
            except HopFailed as error:
                failure = error
                self._log.info(
                    "host not usable", domain=domain, host=hop.name, address=hop.address, why=error.outcome.text
                )
        assert failure is not None  # hops() never returns an empty list
        raise failure

    async def _block(self, key: Hashable) -> None:
        """Puts off all that waits for a destination that cannot be reached."""
        now = self._clock()
        until = now + min(DEAD_DESTINATION_SECONDS, self.settings.backoff.pauses[0])
        waiting = self._scheduler.block(key, until)
        if not waiting:
            return
        self._concluded.update(entry.item.id for entry in waiting)
        requeue = [(entry.item.id, until + self._random.random() * 5.0, entry.item.state) for entry in waiting]
        try:
            await self._store.call(self._store.core.submit(None, requeue=requeue), write=True)
        except (_core.StoreError, OutcomeUnknown) as error:
            self._log.warning("items stay due", count=len(requeue), why=str(error))  # they are merely offered again

    def _reader(self, identifier: int) -> Any:
        store = self._store

        async def read(offset: int, length: int) -> bytes:
            try:
                octets: bytes = await store.call(store.core.queue_read(identifier, offset, length))
            except (_core.NotFound, _core.StoreCorrupt) as error:
                self._log.error("queue item cannot be read", item=identifier, why=str(error))
                return b""  # a short message is never ended properly, so the peer does not take it
            return octets

        return read

    # -- results

    async def _record(self, item: _core.QueueItem, state: QueueState, result: Conclusion, now: float) -> None:
        """Writes per-recipient results, and the report to the sender, in one operation. Returns when it is on disk."""
        report = b""
        if result.report:
            header = dsn.header_of(await self._reader(item.id)(0, dsn.HEADER_OCTETS_MAX))
            report = dsn.write(
                dsn.Report(
                    hostname=self.settings.hostname,
                    sender=state.sender,
                    identifier=state.message_id,
                    arrival=state.created,
                    now=now,
                    lines=result.report,
                    envid=state.envid,
                ),
                header,
            )
        informed: set[int] = set()
        while True:
            try:
                await self._submit(item, state, result, report, now, informed)
                return
            except _core.OverQuota:
                continue  # the report has gone beyond the quota; now the results, without it
            except (_core.StoreBusy, _core.StoreFull) as error:
                # What the peer has taken must be written down before this item may be looked at again.
                self._log.warning("results wait for the store", item=item.id, why=str(error))
                await trio.sleep(STORE_RETRY_SECONDS)
            except _core.NotFound:
                self._log.info("queue item has been removed meanwhile", item=item.id)
                return

    async def _submit(
        self,
        item: _core.QueueItem,
        state: QueueState,
        result: Conclusion,
        report: bytes,
        now: float,
        informed: set[int],
    ) -> None:
        """`informed`: accounts that have the report already."""
        core = self._store.core
        deliveries: list[tuple[int, str, bytes, tuple[str, ...]]] = []
        enqueue: list[tuple[float, bytes, bytes]] = []
        sink: _core.Sink | None = None
        if report:
            plan = self._plan_report(state.sender)
            if plan is None:
                self._log.warning("report dropped: its recipient is unknown here", item=item.id, sender=state.sender)
            else:
                identifier = f"{state.message_id}.dsn"
                planned = plan.deliveries("Return-Path: <>\r\n", "")
                deliveries = [delivery for delivery in planned if delivery[0] not in informed]
                bounce = QueueState(identifier, "", (), now, body="8BITMIME", smtputf8=not state.sender.isascii())
                enqueue = plan.queue_items(b"", bounce)
                if deliveries or enqueue:
                    sink = core.sink(size_hint=len(report))
                    await self._store.write_sink(sink, report)
        dequeue: list[int] = []
        requeue: list[tuple[int, float, bytes]] = []
        if result.remaining is None:
            dequeue.append(item.id)
        else:
            requeue.append((item.id, result.due, result.remaining.pack()))
        ticket = core.submit(sink, deliveries=deliveries, enqueue=enqueue, dequeue=dequeue, requeue=requeue)
        try:
            await self._store.call(ticket, write=True)
        except _core.OverQuota as error:
            # Who has lost mail must hear of it, full mailbox or not. The results follow in the next round: a crash in
            # between tells him twice.
            self._log.warning("report goes beyond a quota", item=item.id, sender=state.sender, why=str(error))
            for account, _, prefix, _ in deliveries:
                await deliver_beyond(self._context, account, prefix + report)
                informed.add(account)
            raise
        if enqueue:
            self.wake()

    def _plan_report(self, sender: str) -> Plan | None:
        """Where a report for this sender goes; None when it is a local address that leads nowhere."""
        plan = Plan()
        local, _, domain = sender.rpartition("@")
        directory = self._context.directory
        if not directory.is_local_domain(domain.lower()):
            plan.add_remote(sender)
            return plan
        resolution = directory.resolve_full(_unquoted(local), domain.lower())
        if resolution is None or not (resolution.accounts or resolution.remote):
            return None
        plan.add(resolution)
        return plan

    def _tell(self, item: _core.QueueItem, state: QueueState, outcomes: list[Outcome], host: str) -> None:
        for recipient, outcome in zip(state.recipients, outcomes, strict=True):
            what = "sent" if outcome.delivered else ("bounced" if outcome.permanent else "deferred")
            self._context.counters.add(f"relay_{what}")
            self._log.info(
                f"message {what}",
                id=state.message_id,
                item=item.id,
                sender=state.sender,
                recipient=recipient.address,
                host=host,
                attempt=state.attempts + 1,
                reply=f"{outcome.code} {outcome.enhanced} {outcome.text}",
            )

    # -- drafts

    async def _sweep(self) -> None:
        """Removes drafts of submissions whose session has died, now and every hour."""
        while True:
            try:
                await self._sweep_once()
            except (_core.StoreError, OutcomeUnknown) as error:
                self._log.warning("drafts not swept", why=str(error))
            await trio.sleep(DRAFT_SECONDS)

    async def _sweep_once(self) -> None:
        core = self._store.core
        after = 0
        while True:
            items: list[_core.QueueItem] = await self._store.call(core.queue_list(after, SWEEP_ITEMS))
            old = [item.id for item in items if self._is_old_draft(item)]
            if old:
                await self._store.call(core.submit(None, dequeue=old), write=True)
                self._log.info("abandoned drafts removed", count=len(old))
            if len(items) < SWEEP_ITEMS:
                return
            after = items[-1].id

    def _is_old_draft(self, item: _core.QueueItem) -> bool:
        try:
            state = unpack(item.state)
        except QueueStateError:
            return False  # reported when it falls due
        return state.draft and state.created < self._clock() - DRAFT_SECONDS


def _unquoted(local: str) -> str:
    if len(local) >= 2 and local[0] == local[-1] == '"':
        out: list[str] = []
        escaped = False
        for character in local[1:-1]:
            if character == "\\" and not escaped:
                escaped = True
                continue
            out.append(character)
            escaped = False
        return "".join(out)
    return local
