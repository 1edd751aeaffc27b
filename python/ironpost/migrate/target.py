"""The account here: mailboxes with foreign numbers, messages with foreign dates, and what the index says of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .. import _core

if TYPE_CHECKING:
    from ..store.client import StoreClient

FACTS_AT_ONCE: Final = 10_000
FLAGS_AT_ONCE: Final = 1000
READ_OCTETS: Final = 1 << 20
NO_DIGEST: Final = bytes(16)


class Fact(NamedTuple):
    """What the index says of a message."""

    uid: int
    size: int
    digest: bytes  # 16 octets of BLAKE3; NO_DIGEST: unknown
    flags: tuple[str, ...]
    internal_date: int


class Coming(NamedTuple):
    """A message that is to be put in."""

    uid: int | None  # the one it had
    sink: _core.Sink
    flags: tuple[str, ...]
    internal_date: tuple[int, int] | None


class Target:
    """One account of the store."""

    def __init__(self, store: StoreClient, account: int) -> None:
        self._store = store
        self.account = account

    # -- sinks

    def sink(self, size: int) -> _core.Sink:
        """For one message. Raises StoreFull."""
        return self._store.core.sink(size_hint=size)

    async def room(self, sink: _core.Sink) -> None:
        """Until a full sink takes more."""
        await self._store.call(self._store.core.wait_sink(sink))

    # -- mailboxes

    async def mailboxes(self) -> list[_core.MailboxInfo]:
        """All of the account; it has its INBOX from here on."""
        found: list[_core.MailboxInfo] = await self._store.call(self._store.core.list_mailboxes(self.account))
        return [info for info in found if info.id]

    async def adopt(
        self,
        name: str,
        special_use: str = "",
        *,
        subscribed: bool | None = None,
        uid_validity: int | None = None,
        uid_next: int | None = None,
    ) -> _core.MailboxInfo:
        """The mailbox of that name, made when missing, with the numbers given where they are still free."""
        core = self._store.core
        info: _core.MailboxInfo = await self._store.call(
            core.adopt_mailbox(self.account, name, special_use, subscribed, uid_validity, uid_next), write=True
        )
        return info

    async def view(self, name: str) -> _core.MailboxView:
        """What is in a mailbox now."""
        view: _core.MailboxView = await self._store.call(self._store.core.open_view(self.account, name, True))
        return view

    async def facts(self, view: _core.MailboxView, after: int) -> list[Fact]:
        """The next messages of a view behind a UID; none: that was all."""
        rows = await self._store.call(self._store.core.facts(view, after, FACTS_AT_ONCE))
        return [Fact(*row) for row in rows]

    # -- messages

    def submit(self, mailbox: str, messages: Sequence[Coming]) -> list[int | Exception]:
        """Gives messages to the writer, in order. The tickets must be awaited by `results` at once; what the store does not
        even take has its exception in its place."""
        core = self._store.core
        tickets: list[int | Exception] = []
        for message in messages:
            date, zone = message.internal_date or (None, 0)
            try:
                ticket = core.import_message(
                    self.account, mailbox, message.sink, message.flags, date, zone, uid=message.uid
                )
            except (_core.StoreFull, _core.StoreFailed):
                raise
            except (_core.StoreError, _core.LocalMisuse) as error:
                tickets.append(error)
            else:
                tickets.append(ticket)
        return tickets

    async def results(self, tickets: Sequence[int | Exception]) -> list[_core.StoredMessage | Exception]:
        """What became of each."""
        real = [ticket for ticket in tickets if isinstance(ticket, int)]
        answers: dict[int, Any] = dict(zip(real, await self._store.call_all(real), strict=True))
        return [answers[ticket] if isinstance(ticket, int) else ticket for ticket in tickets]

    async def set_flags(self, view: _core.MailboxView, uids: Iterable[int], flags: Sequence[str]) -> None:
        """Replaces the flags of messages."""
        listed = list(uids)
        for start in range(0, len(listed), FLAGS_AT_ONCE):
            chosen = _core.SequenceSet.of(listed[start : start + FLAGS_AT_ONCE])
            core = self._store.core
            await self._store.call(core.store_flags(view, chosen, True, "=", list(flags), True), write=True)

    async def remove(self, view: _core.MailboxView, uids: Sequence[int]) -> int:
        """Expunges messages, whatever their flags."""
        removed = 0
        for start in range(0, len(uids), FLAGS_AT_ONCE):
            ticket = self._store.core.expunge_uids(view, list(uids[start : start + FLAGS_AT_ONCE]))
            removed += await self._store.call(ticket, write=True)
        return removed

    async def digest(self, view: _core.MailboxView, uid: int, size: int) -> bytes:
        """BLAKE3 of a message as it is read back. Raises StoreCorrupt, NotFound."""
        digest = _core.Digest()
        offset = 0
        while offset < size:
            part = await self._store.call(self._store.core.read_message(view, uid, offset, READ_OCTETS))
            if not part:
                break
            digest.update(part)
            offset += len(part)
        return digest.digest()
