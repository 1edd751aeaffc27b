"""The MX role (port 25): mail for our own domains and for nobody else's (RFC 5321 §3.4, §3.6).

Nobody relays here, whatever the connection's address: there is no AUTH, and a recipient counts as ours only when its
domain, exactly as written, is one. So percent hack, source route, quoted local part, address literal and subdomain
all end in a refusal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from ..mda.deliver import Plan
from ..quota import Reached, Room
from ..store.queue import QueueState
from . import replies, trace
from .replies import Answer

if TYPE_CHECKING:
    from .. import _core
    from ..state.directory import Resolution
    from .session import Session


class Transaction:
    """One message on its way in: MAIL, the accepted recipients, where they lead, the gathered octets."""

    __slots__ = ("alone", "mail", "plan", "reached", "recipients", "refused", "resolutions", "sink")

    def __init__(self, mail: _core.Mail) -> None:
        self.mail = mail
        self.recipients: list[str] = []
        self.resolutions: list[Resolution] = []  # where each recipient leads
        self.reached = Reached()
        self.refused: dict[int, Answer] = {}  # LMTP: recipients, by their place, that the store had no room for
        self.alone = False  # a mailbox may turn out to be full, and one reply can speak for one recipient only
        self.plan = Plan()
        self.sink: _core.Sink | None = None


class Policy(Protocol):
    """What differs between the roles. Implementations keep no state: that is the session's."""

    name: str
    lmtp: bool
    offers_auth: bool
    separates: bool  # asks for a transaction of its own for a mailbox that is nearly full

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
    separates = True
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
    refusal = _refuse_full(session, transaction, rcpt, resolution)
    if refusal is not None:
        return refusal
    transaction.plan.add(resolution, rcpt.notify, rcpt.orcpt)
    transaction.resolutions.append(resolution)
    session.context.quotas.reach(resolution.accounts, transaction.reached)
    return None


def _refuse_full(session: Session, transaction: Transaction, rcpt: _core.Rcpt, resolution: Resolution) -> Answer | None:
    """A refusal when there is no room behind the address. One full mailbox of several refuses the whole address: to be
    taken and not delivered to all would be a silent loss, or a bounce later."""
    separates = session.policy.separates
    if transaction.alone and separates:
        return replies.SEND_APART
    size = transaction.mail.size
    quotas = session.context.quotas
    room = quotas.room(resolution.accounts, size, transaction.reached)
    if room is Room.NONE:
        for account in resolution.accounts:
            if quotas.room((account,), size) is Room.NONE:
                session.context.log.info("over quota", account=account.address, recipient=rcpt.address, size=size)
        return mailbox_full(session)
    if separates and room is not Room.ENOUGH:
        if transaction.recipients:
            return replies.SEND_APART
        transaction.alone = True
    return None


def mailbox_full(session: Session) -> Answer:
    """As the configuration has it."""
    deferred = session.context.config.quota.full_reply == "defer"
    return replies.MAILBOX_FULL_NOW if deferred else replies.MAILBOX_FULL


def over_quota(session: Session, transaction: Transaction) -> Answer:
    """The store has refused a whole message since there is no room in a mailbox.

    With several recipients the sender is asked to try again: then RCPT refuses who is full, or separates who may be, so
    that each recipient's fate is told. A client that has declared less than it sent cannot be helped that way, nor
    can a mail client, which does not try again.
    """
    declared = transaction.mail.size
    sink = transaction.sink
    understated = declared is not None and sink is not None and sink.size > declared
    if len(transaction.recipients) == 1 or understated:
        return mailbox_full(session)
    return replies.SOME_MAILBOX_FULL if session.policy.separates else replies.NOTHING_SENT


async def commit(
    session: Session,
    transaction: Transaction,
    sink: _core.Sink | None,
    received: str,
    identifier: str,
    dequeue: tuple[int, ...] = (),
    *,
    partial: bool = False,
) -> set[int]:
    """Deliveries and queue items in one operation; returns when it is on disk. Raises StoreError, OutcomeUnknown.

    OverQuota: nothing has been done. With `partial` those accounts are left out instead, and returned.
    """
    plan = transaction.plan
    people = plan.accounts.values()
    quotas = session.context.quotas
    mail = transaction.mail
    items: list[tuple[float, bytes, bytes]] = []
    if plan.remote:
        state = queue_state(transaction, identifier)
        items = plan.queue_items(received.encode(), state)
    deliveries = plan.deliveries(trace.return_path(mail.address), received) if plan.accounts else ()
    store = session.store
    await quotas.ensure(people)
    ticket = store.core.submit(sink, deliveries=deliveries, enqueue=items, dequeue=dequeue, partial=partial)
    stored, _ = await store.call(ticket, write=True)
    if items:
        session.context.hints.relay_hint()
    quotas.look(people)
    return {account for account, message in zip(plan.accounts, stored, strict=True) if message is None}


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
