"""The MX role (port 25): mail for our own domains and for nobody else's (RFC 5321 §3.4, §3.6).

Nobody relays here, whatever the connection's address: there is no AUTH, and a recipient counts as ours only when its
domain, exactly as written, is one. So percent hack, source route, quoted local part, address literal and subdomain
all end in a refusal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from ..mda.deliver import Plan
from ..store.queue import QueueState
from . import replies, trace
from .replies import Answer

if TYPE_CHECKING:
    from .. import _core
    from .session import Session


class Transaction:
    """One message on its way in: MAIL, the accepted recipients, where they lead, the gathered octets."""

    __slots__ = ("mail", "plan", "recipients", "sink")

    def __init__(self, mail: _core.Mail) -> None:
        self.mail = mail
        self.recipients: list[str] = []
        self.plan = Plan()
        self.sink: _core.Sink | None = None


class Policy(Protocol):
    """What differs between the roles. Implementations keep no state: that is the session's."""

    name: str
    lmtp: bool
    offers_auth: bool

    def sender(self, session: Session, mail: _core.Mail) -> Answer | None:
        """A refusal of MAIL, or None."""
        ...

    def recipient(self, session: Session, transaction: Transaction, rcpt: _core.Rcpt) -> Answer | None:
        """A refusal of RCPT, or None after the recipient has joined the transaction's plan."""
        ...

    async def store(self, session: Session, transaction: Transaction, identifier: str) -> Answer:
        """Makes the message durable. Raises StoreError, OutcomeUnknown."""
        ...


class MxPolicy:
    """Port 25."""

    name = "smtp"
    lmtp = False
    offers_auth = False
    not_local = replies.RELAY_DENIED

    def sender(self, session: Session, mail: _core.Mail) -> Answer | None:
        """Any sender; checks of senders come with the policy pipeline."""
        return None

    def recipient(self, session: Session, transaction: Transaction, rcpt: _core.Rcpt) -> Answer | None:
        """Known users of our domains, and <postmaster> (RFC 5321 §4.5.1)."""
        directory = session.context.directory
        domain = rcpt.domain or directory.postmaster_domain(session.settings.hostname)
        if not directory.is_local_domain(domain):
            return self.not_local
        return add_local(session, transaction, rcpt, domain)

    async def store(self, session: Session, transaction: Transaction, identifier: str) -> Answer:
        """One commit for all recipients."""
        received = session.received_field(transaction, identifier)
        await commit(session, transaction, transaction.sink, received, identifier)
        return replies.STORED.with_(id=identifier)


def add_local(session: Session, transaction: Transaction, rcpt: _core.Rcpt, domain: str) -> Answer | None:
    """Resolves a recipient of a domain of ours into the plan, or refuses it as unknown."""
    resolution = session.context.directory.resolve_full(rcpt.local, domain)
    if resolution is None or not (resolution.accounts or resolution.remote):
        return replies.UNKNOWN_USER
    transaction.plan.add(resolution, rcpt.notify, rcpt.orcpt)
    return None


async def commit(
    session: Session,
    transaction: Transaction,
    sink: _core.Sink | None,
    received: str,
    identifier: str,
    dequeue: tuple[int, ...] = (),
) -> None:
    """Deliveries and queue items in one operation; returns when it is on disk. Raises StoreError, OutcomeUnknown."""
    plan = transaction.plan
    mail = transaction.mail
    items: list[tuple[float, bytes, bytes]] = []
    if plan.remote:
        state = queue_state(transaction, identifier)
        items = plan.queue_items(received.encode(), state)
    deliveries = plan.deliveries(trace.return_path(mail.address), received) if plan.accounts else ()
    store = session.store
    await store.call(store.core.submit(sink, deliveries=deliveries, enqueue=items, dequeue=dequeue), write=True)
    if items:
        session.context.hints.relay_hint()


def queue_state(transaction: Transaction, identifier: str) -> QueueState:
    """The envelope as the relay will need it; recipients are added per domain."""
    mail = transaction.mail
    return QueueState(
        message_id=identifier,
        sender=mail.address,
        recipients=(),
        created=time.time(),
        body=mail.body,
        smtputf8=mail.smtputf8,
        ret=mail.ret,
        envid=mail.envid,
    )
