"""Which queue item is tried when, and by how many connections at once. Pure: no clock, no store, no socket.

An item waits in the lane of its destination; a destination has a bounded number of connections ("lanes"), all
destinations together too. A destination that cannot be reached is blocked, so that a thousand messages for a dead host
cost one attempt and not a thousand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import Final, Generic, TypeVar

JITTER: Final = 0.1  # part of a pause that is random, so that mail deferred together does not come back together

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses before each further attempt; the last one repeats until mail is `give_up` seconds old."""

    pauses: tuple[float, ...]
    give_up: float

    def next_due(self, attempts: int, created: float, now: float, random: Random) -> float | None:
        """When to try again after `attempts` failures; None when it is time to give up.

        The last attempt is made right at the end of the time.
        """
        end = created + self.give_up
        if now >= end:
            return None
        pause = self.pauses[min(max(attempts, 1), len(self.pauses)) - 1]
        return min(now + pause * (1.0 + JITTER * random.random()), end)


class Offer(Enum):
    """What became of an item that was offered."""

    TAKEN = "taken"
    KNOWN = "known"  # waits or is under way already
    BLOCKED = "blocked"  # its destination is not to be tried now
    CROWDED = "crowded"  # too many wait for its destination


@dataclass(slots=True)
class _Destination(Generic[Item]):
    waiting: deque[tuple[int, Item]] = field(default_factory=deque)
    lanes: int = 0


class Scheduler(Generic[Item]):
    """The active set. Keys stand for destinations."""

    def __init__(self, lanes_max: int, lanes_per_destination: int, waiting_per_destination: int) -> None:
        self._lanes_max = lanes_max
        self._lanes_per_destination = lanes_per_destination
        self._waiting_per_destination = waiting_per_destination
        self._destinations: dict[Hashable, _Destination[Item]] = {}
        self._blocked: dict[Hashable, float] = {}
        self._known: set[int] = set()
        self._lanes = 0

    @property
    def known(self) -> int:
        """Items that wait or are under way."""
        return len(self._known)

    @property
    def lanes(self) -> int:
        """Connections open or opening."""
        return self._lanes

    def holds(self, identifier: int) -> bool:
        """True for an item that waits or is under way."""
        return identifier in self._known

    def offer(self, identifier: int, key: Hashable, item: Item, now: float) -> Offer:
        """Takes an item into the active set unless there is a reason not to."""
        if identifier in self._known:
            return Offer.KNOWN
        if self.blocked_until(key, now) > now:
            return Offer.BLOCKED
        destination = self._destinations.setdefault(key, _Destination())
        if len(destination.waiting) >= self._waiting_per_destination:
            return Offer.CROWDED
        destination.waiting.append((identifier, item))
        self._known.add(identifier)
        return Offer.TAKEN

    def start_lanes(self) -> list[Hashable]:
        """Destinations that get one more connection each; the caller starts a lane for every entry."""
        started: list[Hashable] = []
        progress = True
        while progress:  # one more lane for each destination a round, so that none takes all
            progress = False
            for key, destination in self._destinations.items():
                if self._lanes >= self._lanes_max:
                    return started
                planned = started.count(key)
                if destination.lanes < self._lanes_per_destination and len(destination.waiting) > planned:
                    destination.lanes += 1
                    self._lanes += 1
                    started.append(key)
                    progress = True
        return started

    def next(self, key: Hashable) -> Item | None:
        """The next item for a lane of this destination; None: the lane is to end."""
        destination = self._destinations.get(key)
        if destination is None or not destination.waiting:
            return None
        return destination.waiting.popleft()[1]

    def done(self, identifier: int) -> None:
        """The item has been concluded."""
        self._known.discard(identifier)

    def lane_ended(self, key: Hashable) -> None:
        """A lane has closed its connection."""
        destination = self._destinations[key]
        destination.lanes -= 1
        self._lanes -= 1
        if not destination.lanes and not destination.waiting:
            del self._destinations[key]

    def block(self, key: Hashable, until: float) -> list[Item]:
        """Nothing goes to this destination before `until`. Gives back what waited for it; the caller defers that."""
        self._blocked[key] = until
        destination = self._destinations.get(key)
        if destination is None:
            return []
        waiting = list(destination.waiting)
        destination.waiting.clear()
        for identifier, _ in waiting:
            self._known.discard(identifier)
        return [item for _, item in waiting]

    def unblock(self, key: Hashable) -> None:
        """The destination has answered."""
        self._blocked.pop(key, None)

    def blocked_until(self, key: Hashable, now: float) -> float:
        """When the destination may be tried again; 0.0 for at once."""
        until = self._blocked.get(key, 0.0)
        if until and until <= now:
            del self._blocked[key]
            return 0.0
        return until
