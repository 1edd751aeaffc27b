"""Resolved recipients to the parts of one store operation: deliveries to mailboxes and items of the queue.

An account that is reached twice gets the message once. An alias to an address elsewhere is forwarded with the original
sender; rewriting it (SRS) comes with the relay's issue, until then a strict SPF policy of the sender's domain may make
the next host refuse it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..store.queue import QueueRecipient, QueueState, by_domain

if TYPE_CHECKING:
    from ..state.directory import Account, Resolution

INBOX: Final = "INBOX"
Delivery = tuple[int, str, bytes, tuple[str, ...]]


class Plan:
    """Who gets one message. Small and mutable: it lives as long as its transaction."""

    __slots__ = ("accounts", "remote")

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.remote: dict[str, QueueRecipient] = {}

    def add(self, resolution: Resolution, notify: tuple[str, ...] = (), orcpt: str | None = None) -> None:
        """A local recipient with all that its aliases stand for."""
        for account in resolution.accounts:
            self.accounts[account.id] = account
        for address in resolution.remote:
            self.add_remote(address, notify, orcpt)

    def add_remote(self, address: str, notify: tuple[str, ...] = (), orcpt: str | None = None) -> None:
        """A recipient elsewhere."""
        self.remote.setdefault(address, QueueRecipient(address, notify, orcpt))

    def deliveries(self, before: str, after: str) -> list[Delivery]:
        """Deliveries to INBOX; the prefix of each is `before`, its Delivered-To, `after`."""
        return [
            (account.id, INBOX, f"{before}Delivered-To: {account.address}\r\n{after}".encode(), ())
            for account in self.accounts.values()
        ]

    def queue_items(self, prefix: bytes, state: QueueState) -> list[tuple[float, bytes, bytes]]:
        """One queue item per destination domain, due at once."""
        return queue_items(prefix, state, self.remote.values())


def queue_items(
    prefix: bytes, state: QueueState, recipients: Iterable[QueueRecipient]
) -> list[tuple[float, bytes, bytes]]:
    """What `Store.submit` takes as `enqueue`: due at the state's creation."""
    return [(state.created, prefix, item.pack()) for item in by_domain(state, recipients)]
