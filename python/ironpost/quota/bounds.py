"""What applies to whom: limits of the directory over defaults of the configuration, against what is held. Pure.

The store counts, and refuses in the transaction that would go beyond; what is asked here saves the way there, for a
refusal at RCPT or before an APPEND's literal.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from ..config import Config
    from ..state.directory import Directory, Limits
    from ..store.client import StoreClient

# What a delivery may add to the octets that its sender knows of: prefixes are at most 16 KiB.
PREFIX_OCTETS: Final = 16_384


class Home(Protocol):
    """Where quotas live: a worker's context, and the command line's own."""

    @property
    def config(self) -> Config: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def store(self) -> StoreClient: ...


class Room(enum.IntEnum):
    """Is there room for a message? The larger, the worse; of several answers the largest counts."""

    ENOUGH = 0
    PERHAPS = 1  # the size is not known well enough: the store will decide
    NOT_TOGETHER = 2  # but for the other recipients of the same transaction there would be
    NONE = 3


class Amount(NamedTuple):
    """Octets and messages that are held."""

    octets: int
    messages: int


class Reached:
    """Accounts that a transaction has reached so far: each gets the message once."""

    __slots__ = ("accounts", "domains")

    def __init__(self) -> None:
        self.accounts: set[int] = set()
        self.domains: Counter[str] = Counter()

    def add(self, account: int, domain: str) -> None:
        """One more, if it is new."""
        if account not in self.accounts:
            self.accounts.add(account)
            self.domains[domain] += 1


class Bounds(NamedTuple):
    """What may be held; 0 is no limit."""

    octets: int
    messages: int

    @property
    def any(self) -> bool:
        """Is there a limit at all?"""
        return bool(self.octets or self.messages)

    def reached(self, used: Amount, percent: float) -> bool:
        """Is one of the limits used to at least so many per cent?"""
        return (self.octets > 0 and used.octets * 100 >= self.octets * percent) or (
            self.messages > 0 and used.messages * 100 >= self.messages * percent
        )

    def percent(self, used: Amount) -> int | None:
        """The fuller of the two, rounded down; None without limits."""
        parts = [100 * held // limit for held, limit in zip(used, self, strict=True) if limit]
        return max(parts, default=None)

    def room(self, used: Amount, size: int | None, message_octets_max: int, pending: int = 0) -> Room:
        """For one more message. `size` as declared, if it was; `pending`: how many the same transaction adds before."""
        least = size or 1
        if self._exceeded(used, least, 0):
            return Room.NONE
        if self._exceeded(used, least, pending):
            return Room.NOT_TOGETHER
        most = (size if size is not None else message_octets_max) + PREFIX_OCTETS
        if self.octets and used.octets + (pending + 1) * most > self.octets:
            return Room.PERHAPS
        return Room.ENOUGH

    def _exceeded(self, used: Amount, least: int, pending: int) -> bool:
        messages, octets = pending + 1, (pending + 1) * least
        return (0 < self.octets < used.octets + octets) or (0 < self.messages < used.messages + messages)


def of_account(config: Config, limits: Limits) -> Bounds:
    """An account's own."""
    quota = config.quota
    return Bounds(
        quota.account_octets if limits.octets is None else limits.octets,
        quota.account_messages if limits.messages is None else limits.messages,
    )


def of_domain(config: Config, limits: Limits) -> Bounds:
    """Of all accounts of a domain together."""
    quota = config.quota
    return Bounds(
        quota.domain_octets if limits.octets is None else limits.octets,
        quota.domain_messages if limits.messages is None else limits.messages,
    )
