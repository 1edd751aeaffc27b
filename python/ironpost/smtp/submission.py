"""The MSA role (ports 587 and 465): mail of our own users to anyone (RFC 6409, RFC 8314).

Nothing is taken before AUTH; a user sends only as addresses that are his; recipients of ours are delivered in the same
commit that queues the others. A header section that needs mending is rewritten by way of a draft in the queue, since
the octets never come to Python: the draft becomes durable, is copied with the new header, and leaves the queue in the
commit that delivers the copy.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .. import _core
from ..state.directory import Resolution
from ..store.queue import QueueState
from . import header_repair, replies, trace
from .receive import MxPolicy, Transaction, add_local, commit
from .replies import Answer

if TYPE_CHECKING:
    from .header_repair import Repair
    from .session import Session

COPY_OCTETS: Final = 131_072  # of a draft read at once
DRAFT_DUE: Final = 4_102_444_800.0  # the year 2100: the relay never sees a draft as due


class SubmissionPolicy(MxPolicy):
    """Ports 587 and 465."""

    offers_auth = True
    separates = False  # mail clients send one transaction: the whole is refused, by name, and the user decides

    def __init__(self, name: str = "submission") -> None:
        self.name = name

    def sender(self, session: Session, mail: _core.Mail) -> Answer | None:
        """AUTH first, then only senders that are the user's; the null sender is for his read receipts (RFC 8098)."""
        account = session.account
        if account is None:
            return replies.AUTH_REQUIRED
        if mail.address and not session.context.directory.may_send_as(account, mail.address):
            return replies.SENDER_NOT_ALLOWED
        return None

    def recipient(self, session: Session, transaction: Transaction, rcpt: _core.Rcpt) -> Answer | None:
        """Anyone; addresses of ours must exist."""
        if session.account is None:
            return replies.AUTH_REQUIRED
        directory = session.context.directory
        domain = rcpt.domain or directory.postmaster_domain(session.settings.hostname)
        if directory.is_local_domain(domain):
            return add_local(session, transaction, rcpt, domain)
        if domain.startswith("["):
            return replies.LITERAL_REFUSED
        transaction.plan.add_remote(rcpt.address, rcpt.notify, rcpt.orcpt)
        transaction.resolutions.append(Resolution((), (rcpt.address,)))
        return None

    async def store(self, session: Session, transaction: Transaction, identifier: str) -> Answer:
        """One commit, or two when the header section is mended."""
        sink = transaction.sink
        account = session.account
        assert sink is not None
        assert account is not None
        received = session.received_field(transaction, identifier)
        repair = header_repair.plan(
            sink.header(),
            sender=transaction.mail.address or account.address,
            date=trace.date_now(),
            message_id=f"{identifier}@{session.settings.hostname}",
        )
        if repair is None:
            await commit(session, transaction, sink, received, identifier)
        else:
            await _rewrite(session, transaction, repair, received, identifier)
        return replies.STORED.with_(id=identifier)


async def _rewrite(session: Session, transaction: Transaction, repair: Repair, received: str, identifier: str) -> None:
    sink = transaction.sink
    assert sink is not None
    store = session.store
    core = store.core
    size = sink.size
    draft = QueueState(identifier, transaction.mail.address, (), time.time(), draft=True).pack()
    _, queued = await store.call(core.submit(sink, enqueue=[(DRAFT_DUE, b"", draft)]), write=True)
    item: int = queued[0]
    done = False
    try:
        copy = core.sink(size_hint=size + len(repair.added))
        await store.write_sink(copy, repair.header)
        offset = repair.original_octets
        while offset < size:
            chunk: bytes = await store.call(core.queue_read(item, offset, COPY_OCTETS))
            if not chunk:
                raise _core.StoreError(f"draft {item} ends at octet {offset} of {size}")
            await store.write_sink(copy, chunk)
            offset += len(chunk)
        await commit(session, transaction, copy, received, identifier, dequeue=(item,))
        done = True
    finally:
        if not done:  # what cannot be taken out now is swept by the relay when it is old
            core.submit(None, dequeue=[item])
