"""What follows from an attempt: who is done, who bounces, who is tried again. Pure but for the clock it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ..store.queue import QueueRecipient, QueueState
from . import dsn
from .outcome import Outcome
from .scheduler import Backoff


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The new state of a queue item. `remaining` None: nothing is left to try, the item leaves the queue."""

    remaining: QueueState | None
    due: float
    report: tuple[dsn.Line, ...]  # recipients that the sender is told about
    delivered: tuple[QueueRecipient, ...]
    failed: tuple[QueueRecipient, ...]


def conclude(
    state: QueueState, outcomes: Sequence[Outcome], host: str, backoff: Backoff, now: float, random: Random
) -> Conclusion:
    """One outcome per recipient, in order. A temporary failure past the time limit counts as final."""
    due = backoff.next_due(state.attempts + 1, state.created, now, random)
    delivered: list[QueueRecipient] = []
    failed: list[QueueRecipient] = []
    rest: list[QueueRecipient] = []
    report: list[dsn.Line] = []
    for recipient, outcome in zip(state.recipients, outcomes, strict=True):
        speaker = "" if outcome.found else host
        answered = recipient.answered(outcome.code, outcome.enhanced, outcome.text, speaker)
        if outcome.delivered:
            delivered.append(answered)
            if not outcome.dsn_passed_on and dsn.wanted(state.sender, recipient.notify, "SUCCESS"):
                report.append(_line(answered, "relayed", outcome.enhanced))
        elif outcome.permanent or due is None:
            failed.append(answered)
            if dsn.wanted(state.sender, recipient.notify, "FAILURE"):
                # RFC 3463 §3.5: a delivery time that has expired is 4.4.7 while it lasts and 5.4.7 when it is final
                report.append(_line(answered, "failed", outcome.enhanced if outcome.permanent else "5.4.7"))
        else:
            rest.append(answered)
    remaining = replace(state, recipients=tuple(rest), attempts=state.attempts + 1, forced=False) if rest else None
    return Conclusion(remaining, due or now, tuple(report), tuple(delivered), tuple(failed))


def _line(recipient: QueueRecipient, action: str, status: str) -> dsn.Line:
    return dsn.Line(
        address=recipient.address,
        action=action,
        status=status,
        code=recipient.code,
        enhanced=recipient.enhanced,
        reply=recipient.reply,
        host=recipient.host,
        orcpt=recipient.orcpt,
    )
