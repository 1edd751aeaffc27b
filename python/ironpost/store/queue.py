"""The relay's own record of a queue item: whom it is for, what has been tried (msgpack, opaque to the store).

One item holds the recipients of one destination domain of one message; items of a message share its blob.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgpack

VERSION: Final = 1
LAST_REPLY_OCTETS_MAX: Final = 512  # what the CLI and a bounce show of the last answer


class QueueStateError(ValueError):
    """The record is not one that this release reads."""


@dataclass(frozen=True, slots=True)
class QueueRecipient:
    """A recipient not yet done with, and the last answer that it had."""

    address: str
    notify: tuple[str, ...] = ()
    orcpt: str | None = None
    code: int = 0  # last reply code, 0 when there was none
    enhanced: str = ""
    reply: str = ""
    host: str = ""  # who said it

    def answered(self, code: int, enhanced: str, reply: str, host: str) -> QueueRecipient:
        """The same recipient with its newest answer."""
        return replace(self, code=code, enhanced=enhanced, reply=reply[:LAST_REPLY_OCTETS_MAX], host=host)


@dataclass(frozen=True, slots=True)
class QueueState:
    """Envelope of a queue item and how far its delivery has come."""

    message_id: str  # the id in our Received field and log lines
    sender: str  # "" for the null reverse-path
    recipients: tuple[QueueRecipient, ...]
    created: float  # Unix seconds
    attempts: int = 0
    delay_told: bool = False  # a delay notice has been sent
    body: str | None = None  # "7BIT", "8BITMIME" as declared
    smtputf8: bool = False
    ret: str | None = None
    envid: str | None = None
    draft: bool = False  # a submission whose header is being rewritten: never relayed, swept when old
    forced: bool = False  # an operator wants it tried now, whatever is known of its destination
    extra: dict[str, Any] = field(default_factory=dict)  # unknown keys of a later release, kept

    @property
    def domain(self) -> str:
        """Destination domain that all recipients share."""
        return self.recipients[0].address.rpartition("@")[2].lower() if self.recipients else ""

    def pack(self) -> bytes:
        """The record as stored."""
        record = dict(self.extra)
        record.update(
            v=VERSION,
            i=self.message_id,
            s=self.sender,
            r=[[r.address, list(r.notify), r.orcpt, r.code, r.enhanced, r.reply, r.host] for r in self.recipients],
            c=self.created,
            a=self.attempts,
            w=self.delay_told,
            b=self.body,
            u=self.smtputf8,
            t=self.ret,
            e=self.envid,
            d=self.draft,
            f=self.forced,
        )
        packed: bytes = msgpack.packb(record)
        return packed


_KEYS: Final = frozenset("virscawbutedf")


def unpack(data: bytes) -> QueueState:
    """Reads a record. Raises QueueStateError."""
    try:
        record = msgpack.unpackb(data)
        if record["v"] != VERSION:
            raise QueueStateError(f"queue record of version {record['v']}, this release reads {VERSION}")
        return QueueState(
            message_id=record["i"],
            sender=record["s"],
            recipients=tuple(QueueRecipient(r[0], tuple(r[1]), *r[2:7]) for r in record["r"]),
            created=float(record["c"]),
            attempts=record["a"],
            delay_told=record["w"],
            body=record["b"],
            smtputf8=record["u"],
            ret=record["t"],
            envid=record["e"],
            draft=record["d"],
            forced=record["f"],
            extra={key: value for key, value in record.items() if key not in _KEYS},
        )
    except QueueStateError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, msgpack.UnpackException) as error:
        raise QueueStateError(f"damaged queue record: {type(error).__name__}") from error


def by_domain(state: QueueState, recipients: Iterable[QueueRecipient]) -> list[QueueState]:
    """One state per destination domain, in the order in which the domains first appear."""
    groups: dict[str, list[QueueRecipient]] = {}
    for recipient in recipients:
        groups.setdefault(recipient.address.rpartition("@")[2].lower(), []).append(recipient)
    return [replace(state, recipients=tuple(group)) for group in groups.values()]
