"""What an address or an account may do: connections, failed logins, rates. In memory, exchanged between workers.

Addresses are counted as IPv4 addresses and IPv6 /64 networks, since a /64 is what one subscriber has. Exempt networks
(default: loopback) are free of limits per address, never of those per account (architecture, Loopback).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..config import LimitsConfig

TRACKED_MAX: Final = 100_000  # keys kept by each table; the longest unused is forgotten first
REMOTE_WORKERS_MAX: Final = 1024


class TokenBucket:
    """`burst` at once, `rate` a second in the long run. The clock is given."""

    __slots__ = ("_level", "_stamp", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = burst
        self._stamp = now

    def take(self, now: float, count: float = 1.0) -> bool:
        """True, and counted, when there is enough."""
        self._level = min(self.burst, self._level + (now - self._stamp) * self.rate)
        self._stamp = now
        if self._level < count:
            return False
        self._level -= count
        return True


class FailureWindow:
    """Failures by key over a sliding window; at most `bound` stamps are kept for a key."""

    __slots__ = ("_stamps", "bound", "window")

    def __init__(self, bound: int, window: float) -> None:
        self.bound = bound
        self.window = window
        self._stamps: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, key: str, now: float) -> None:
        """Counts one."""
        stamps = self._stamps.get(key)
        if stamps is None:
            stamps = self._stamps[key] = deque()
            if len(self._stamps) > TRACKED_MAX:
                self._stamps.popitem(last=False)
        else:
            self._stamps.move_to_end(key)
        stamps.append(now)
        while len(stamps) > self.bound:
            stamps.popleft()

    def closed(self, key: str, now: float) -> bool:
        """True while the window holds `bound` failures of this key."""
        stamps = self._stamps.get(key)
        if stamps is None:
            return False
        while stamps and stamps[0] <= now - self.window:
            stamps.popleft()
        if not stamps:
            del self._stamps[key]
            return False
        return len(stamps) >= self.bound

    def forgive(self, key: str) -> None:
        """Forgets a key's failures."""
        self._stamps.pop(key, None)


class Limits:
    """The registry of one worker. `announce` is set by the hint bus and carries our news to the other workers."""

    def __init__(self, config: LimitsConfig) -> None:
        self.configure(config)
        self.open = 0  # connections of this worker
        self._here: dict[str, int] = {}  # connections by address, of this worker
        self._elsewhere: dict[int, dict[str, int]] = {}  # worker to address to connections
        self._total: dict[str, int] = {}  # over all workers
        self._changed: set[str] = set()
        self.announce_failure: Callable[[str, str], object] = lambda host, account: None
        self.announce_connections: Callable[[], object] = lambda: None

    def configure(self, config: LimitsConfig) -> None:
        """Takes a new configuration; failures counted so far are forgotten."""
        self.config = config
        self._networks = tuple(ipaddress.ip_network(network) for network in config.exempt_networks)
        self.exempt = lru_cache(maxsize=4096)(self._exempt)
        self._by_address = FailureWindow(config.failed_logins_per_address, config.failed_login_window)
        self._by_account = FailureWindow(config.failed_logins_per_account, config.failed_login_window)

    def _exempt(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host == "unix"
        return any(address.version == network.version and address in network for network in self._networks)

    # -- connections

    def connect(self, host: str) -> bool:
        """Counts a new connection. False when it is one too many: then it is not counted."""
        if self.open >= self.config.connections_max:
            return False
        if not self.exempt(host):
            key = address_key(host)
            if self._total.get(key, 0) >= self.config.connections_per_address:
                return False
            self._count(key, 1)
        self.open += 1
        return True

    def disconnect(self, host: str) -> None:
        """The end of a connection that `connect` has counted."""
        self.open -= 1
        if not self.exempt(host):
            key = address_key(host)
            if key in self._here:  # not so when the exempt networks have changed meanwhile
                self._count(key, -1)

    def _count(self, key: str, step: int) -> None:
        _add(self._here, key, step)
        _add(self._total, key, step)
        if not self._changed:
            self.announce_connections()
        self._changed.add(key)

    def take_changes(self) -> list[tuple[str, int]]:
        """Addresses whose number of connections here has changed since the last call, with that number."""
        changes = [(key, self._here.get(key, 0)) for key in self._changed]
        self._changed.clear()
        return changes

    def connections_here(self) -> list[tuple[str, int]]:
        """All of them, for a worker that has just started."""
        return list(self._here.items())

    def apply_connections(self, worker: int, counts: list[tuple[str, int]]) -> None:
        """What another worker tells."""
        if worker not in self._elsewhere and len(self._elsewhere) >= REMOTE_WORKERS_MAX:
            return
        known = self._elsewhere.setdefault(worker, {})
        for key, count in counts:
            step = count - known.get(key, 0)
            if step:
                _add(known, key, step)
                _add(self._total, key, step)

    def forget_worker(self, worker: int) -> None:
        """It has died, and its connections with it."""
        for key, count in self._elsewhere.pop(worker, {}).items():
            _add(self._total, key, -count)

    # -- logins

    def login_closed_for_address(self, host: str, now: float) -> bool:
        """True while too many logins from there have failed."""
        return not self.exempt(host) and self._by_address.closed(address_key(host), now)

    def login_closed_for_account(self, account: str, now: float) -> bool:
        """True while too many logins for this account name have failed, wherever they came from."""
        return self._by_account.closed(account, now)

    def login_failed(self, host: str, account: str, now: float, *, tell: bool = True) -> None:
        """Counts a failure, and tells the other workers at once. `account`: "" when it counts against the address alone."""
        self._by_address.failed(address_key(host), now)
        if account:
            self._by_account.failed(account, now)
        if tell:
            self.announce_failure(host, account)

    def login_succeeded(self, account: str) -> None:
        """The owner is here: the account is open again. The failures of addresses stand."""
        self._by_account.forgive(account)


@lru_cache(maxsize=8192)
def address_key(host: str) -> str:
    """IPv4 as it is, IPv6 by its /64."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _add(counts: dict[str, int], key: str, step: int) -> None:
    count = counts.get(key, 0) + step
    if count > 0:
        counts[key] = count
    else:
        counts.pop(key, None)
