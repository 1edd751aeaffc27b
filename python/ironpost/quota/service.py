"""One worker's quotas: brings the store's limits in line before they matter, tells whether there is room, and warns.

The directory and the configuration say what applies; the store holds a copy, which counts in its transactions.
`ensure` renews the copy for the accounts of one operation, `reconcile` for all of them. Both cost reads of memory
when nothing has changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from .. import _core
from ..errors import UserError
from ..state import addresses
from ..store.client import OutcomeUnknown
from . import warning
from .bounds import Amount, Bounds, Home, Reached, Room, of_account, of_domain

if TYPE_CHECKING:
    from ..config import Config
    from ..runtime.logging import Log
    from ..state.directory import Account

REMEMBERED_MAX: Final = 100_000  # accounts whose bounds, and whose being in line, are remembered
PAGE_ACCOUNTS: Final = 50  # looked at before other tasks get their turn, a few milliseconds; written in one commit
PAGE_REST: Final = 4.0  # times the duration of a page that the walk then rests
REST_SECONDS_MAX: Final = 0.5
HYSTERESIS_PERCENT: Final = 5  # usage has to fall so far below a threshold before it is told again
INBOX: Final = "INBOX"


class _Bounds(NamedTuple):
    """What applies to an account and to its domain, of which there is at least one limit."""

    own: Bounds
    shared: Bounds
    domain: str


class _News(NamedTuple):
    """A threshold that was passed, or left."""

    account: Account
    of_domain: bool


class Quotas:
    """Made once for each worker; the command line makes its own. Used on the Trio thread alone."""

    def __init__(self, home: Home, log: Log | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._home = home
        self._log = log
        self._clock = clock
        self._ensured: set[int] = set()
        self._bounded: dict[int, _Bounds | None] = {}  # None: no limit at all, which is what most are asked for
        self._seen: tuple[int, Config | None] = (-1, None)  # generation and configuration that these two belong to
        self._news: dict[_News, None] = {}
        self._told = trio.Event()

    # -- what applies

    def bounds(self, account: Account) -> tuple[Bounds, Bounds]:
        """Of the account itself, and of its domain."""
        config, directory = self._home.config, self._home.directory
        return (
            of_account(config, directory.limits(account.address)),
            of_domain(config, directory.limits(domain_of(account))),
        )

    def _bounds_of(self, account: Account) -> _Bounds | None:
        """The same, remembered; None when there is no limit."""
        self._renew()
        try:
            return self._bounded[account.id]
        except KeyError:
            own, shared = self.bounds(account)
            found = _Bounds(own, shared, domain_of(account)) if own.any or shared.any else None
            self._bounded[account.id] = found
            return found

    def _renew(self) -> None:
        """Forgets what it knows when the directory or the configuration has changed."""
        home = self._home
        generation, config = home.directory.generation, home.config
        seen = self._seen
        if generation != seen[0] or config is not seen[1] or len(self._bounded) > REMEMBERED_MAX:
            self._seen = (generation, config)
            self._bounded.clear()
            self._ensured.clear()

    def domain_bounds(self, domain: str) -> Bounds:
        """Of all accounts of a domain together."""
        return of_domain(self._home.config, self._home.directory.limits(domain))

    def used(self, account: Account) -> tuple[Amount, Amount]:
        """By the account, and by its domain. Instant and exact."""
        core = self._home.store.core
        quota = core.quota(account.id)
        domain = domain_of(account)
        own = Amount(0, 0) if quota is None else Amount(quota.octets, quota.messages)
        if quota is not None and quota.group == domain:
            return own, Amount(quota.group_octets, quota.group_messages)
        messages, octets, _, _ = core.group_quota(domain)
        return own, Amount(octets, messages)

    def room(self, accounts: Iterable[Account], size: int | None, before: Reached | None = None) -> Room:
        """For a message to all of `accounts`, in a transaction that has reached those of `before` already."""
        worst = Room.ENOUGH
        most = self._home.config.limits.message_octets_max
        among = Reached()
        for account in accounts:
            if before is not None and account.id in before.accounts:
                continue
            bounds = self._bounds_of(account)
            if bounds is None:
                continue
            own, shared, domain = bounds
            used, used_together = self.used(account)
            worst = max(worst, own.room(used, size, most))
            alone = shared.room(used_together, size, most, among.domains[domain])
            if alone is Room.NOT_TOGETHER:
                return Room.NONE  # these accounts belong to one recipient: no other transaction would help
            pending = among.domains[domain] + (before.domains[domain] if before is not None else 0)
            worst = max(worst, alone, shared.room(used_together, size, most, pending))
            among.add(account.id, domain)
        return worst

    def reach(self, accounts: Iterable[Account], reached: Reached) -> None:
        """Notes these accounts as recipients of a transaction, as far as they share a limit with others."""
        for account in accounts:
            bounds = self._bounds_of(account)
            if bounds is not None:
                reached.add(account.id, bounds.domain)

    # -- the store's copy

    async def ensure(self, accounts: Iterable[Account]) -> None:
        """The store's limits of these accounts are those that apply, when this returns. Raises StoreError."""
        self._renew()
        for account in accounts:
            if account.id not in self._ensured:
                seen = self._seen
                if await self._bring_in_line(account) and seen is self._seen:
                    self._ensured.add(account.id)

    async def _bring_in_line(self, account: Account) -> bool:
        """True when the account is known to the store, and as it should be."""
        store = self._home.store
        own, shared = self.bounds(account)
        domain = domain_of(account)
        await self._bring_domain_in_line(domain, shared)
        quota = store.core.quota(account.id)
        if quota is None and not (own.any or shared.any):
            return False  # it will be made, without limits, by its first message
        if quota is None or (quota.group, quota.limit_octets, quota.limit_messages) != (domain, *own):
            ticket = store.core.set_quota(account.id, group=domain, octets=own.octets, messages=own.messages)
            await store.call(ticket, write=True)
        return True

    async def ensure_domain(self, domain: str) -> None:
        """The same for the limits of a domain. Raises StoreError."""
        await self._bring_domain_in_line(domain, self.domain_bounds(domain))

    async def _bring_domain_in_line(self, domain: str, shared: Bounds) -> None:
        store = self._home.store
        _, _, messages, octets = store.core.group_quota(domain)
        if (octets, messages) != shared:
            ticket = store.core.set_group_quota(domain, octets=shared.octets, messages=shared.messages)
            await store.call(ticket, write=True)

    async def reconcile(self) -> int:
        """Brings all accounts in line, and looks whether one has fallen below what it was told; how many were written.

        Walks in pages and rests between them, so that sessions are not disturbed. Raises StoreError, OutcomeUnknown.
        """
        directory, core = self._home.directory, self._home.store.core
        changed = 0
        for domain in directory.domains():
            await self._bring_domain_in_line(domain, self.domain_bounds(domain))
        after = ""
        while True:
            began = time.monotonic()
            page = directory.page(after, PAGE_ACCOUNTS)
            wrong: list[Account] = []
            for _, account, limits in page:
                quota = core.quota(account.id)
                if quota is None:
                    continue  # in line as soon as it matters
                applies = (domain_of(account), *of_account(self._home.config, limits))
                if (quota.group, quota.limit_octets, quota.limit_messages) != applies:
                    wrong.append(account)
            await self._bring_all_in_line(wrong)
            changed += len(wrong)
            self.look(account for _, account, _ in page)
            if len(page) < PAGE_ACCOUNTS:
                return changed
            after = page[-1][0]
            await trio.sleep(min(PAGE_REST * (time.monotonic() - began), REST_SECONDS_MAX))

    async def _bring_all_in_line(self, accounts: list[Account]) -> None:
        """At once, so that the store writes them in one commit. Raises the first error."""
        errors: list[Exception] = []

        async def bring(account: Account) -> None:
            try:
                await self._bring_in_line(account)
            except (_core.StoreError, OutcomeUnknown) as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for account in accounts:
                nursery.start_soon(bring, account)
        if errors:
            raise errors[0]

    # -- warnings

    def look(self, accounts: Iterable[Account]) -> None:
        """Usage of these accounts has changed: has a threshold been passed? Instant; `run` tells them."""
        thresholds = self._home.config.quota.warn_at
        if not thresholds:
            return
        for account in accounts:
            bounds = self._bounds_of(account)
            if bounds is None:
                continue
            own, shared, domain = bounds
            used, used_together = self.used(account)
            if own.any and self._level(own, used, self._home.directory.told(told_name(account))) is not None:
                self._note(_News(account, False))
            if shared.any and self._level(shared, used_together, self._home.directory.told(f"@{domain}")) is not None:
                self._note(_News(account, True))

    def _note(self, news: _News) -> None:
        self._news[news] = None
        self._told.set()

    def _level(self, bounds: Bounds, used: Amount, told: int) -> int | None:
        """The threshold that should now be noted as told, if that is not the one that is."""
        thresholds = self._home.config.quota.warn_at
        level = max((each for each in thresholds if bounds.reached(used, each)), default=0)
        if level > told:
            return level
        kept = max((each for each in thresholds if bounds.reached(used, each - HYSTERESIS_PERCENT)), default=0)
        return kept if kept < told else None

    async def run(self) -> None:
        """Sends what `look` has found, until cancelled. A warning that fails is logged and not repeated."""
        while True:
            await self._told.wait()
            self._told = trio.Event()
            news, self._news = self._news, {}
            for each in news:
                try:
                    await self._tell(each)
                except (_core.StoreError, OutcomeUnknown, UserError) as error:
                    self._warn("quota warning not sent", account=each.account.address, why=str(error))

    async def _tell(self, news: _News) -> None:
        """Looks again, claims the threshold, since other workers may have seen it as well, and writes the message."""
        directory = self._home.directory
        account = news.account
        domain = domain_of(account)
        name = f"@{domain}" if news.of_domain else told_name(account)
        bounds, used = self.bounds(account)[news.of_domain], self.used(account)[news.of_domain]
        told = directory.told(name)
        level = self._level(bounds, used, told)
        if level is None:
            return
        if level < told:
            await directory.forget_told(name, level)
            return
        if not await directory.tell(name, level):
            return
        self._warn(
            "quota threshold passed",
            who=domain if news.of_domain else account.address,
            percent=level,
            octets=used.octets,
            limit_octets=bounds.octets,
            messages=used.messages,
            limit_messages=bounds.messages,
        )
        people: tuple[Account, ...] = (account,)
        if news.of_domain:
            resolution = directory.resolve_full("postmaster", domain)
            people = resolution.accounts if resolution is not None else ()
        for person in people:
            octets = warning.write(
                address=person.address,
                domain=domain,
                identifier=f"{int(self._clock() * 1000):x}.{person.id:x}",
                now=self._clock(),
                level=level,
                used=used,
                bounds=bounds,
                of_domain=news.of_domain,
            )
            await deliver_beyond(self._home, person.id, octets)

    def _warn(self, event: str, **fields: Any) -> None:
        if self._log is not None:
            self._log.warning(event, **fields)


async def deliver_beyond(home: Home, account: int, octets: bytes) -> None:
    """Puts a message of the server's own into INBOX, whether there is room or not. Raises StoreError, OutcomeUnknown."""
    store = home.store
    await store.call(store.core.list_mailboxes(account))  # makes INBOX when the account is new
    sink = store.core.sink(size_hint=len(octets))
    await store.write_sink(sink, octets)
    await store.call(store.core.import_message(account, INBOX, sink, (), None), write=True)


def domain_of(account: Account) -> str:
    """The quota group of an account: its domain's key."""
    return addresses.domain_key(account.address.rpartition("@")[2])


def told_name(account: Account) -> str:
    """The name under which it is noted what an account was told."""
    return addresses.key(*addresses.split(account.address))
