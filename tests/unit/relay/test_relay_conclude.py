"""From outcomes to the queue's next state and the sender's report."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ironpost.relay.conclude import Conclusion, conclude
from ironpost.relay.outcome import Outcome
from ironpost.relay.scheduler import Backoff
from ironpost.store.queue import QueueRecipient, QueueState

BACKOFF = Backoff((300.0,), give_up=1000.0)
STATE = QueueState(
    "id1", "alice@a.test", tuple(QueueRecipient(f"{name}@b.test") for name in ("one", "two", "three")), created=0.0
)
OK = Outcome(250, "2.0.0", "taken")
LATER = Outcome(450, "4.2.0", "busy")
NO = Outcome(550, "5.1.1", "unknown")


def end(state: QueueState, *outcomes: Outcome, now: float = 10.0) -> Conclusion:
    return conclude(state, outcomes, "mx.b.test", BACKOFF, now, Random(1))


def test_each_recipient_has_its_own_fate() -> None:
    result = end(STATE, OK, LATER, NO)
    assert result.remaining is not None
    (rest,) = result.remaining.recipients
    assert (rest.address, rest.code, rest.enhanced, rest.reply, rest.host) == (
        "two@b.test",
        450,
        "4.2.0",
        "busy",
        "mx.b.test",
    )
    assert result.remaining.attempts == 1
    assert 310 <= result.due <= 340
    assert [(line.address, line.action, line.status, line.code) for line in result.report] == [
        ("three@b.test", "failed", "5.1.1", 550)
    ]


def test_all_taken() -> None:
    result = end(STATE, OK, OK, OK)
    assert result.remaining is None
    assert result.report == ()
    assert len(result.delivered) == 3


def test_time_is_up() -> None:
    result = end(STATE, LATER, LATER, OK, now=1000.0)
    assert result.remaining is None
    assert [(line.address, line.status, line.code) for line in result.report] == [
        ("one@b.test", "5.4.7", 450),
        ("two@b.test", "5.4.7", 450),
    ]


def test_bounces_are_never_bounced() -> None:
    result = end(replace(STATE, sender=""), NO, NO, NO)
    assert result.remaining is None
    assert result.report == ()
    assert len(result.failed) == 3


def test_notify_never_and_success_only_get_no_failure_report() -> None:
    recipients = tuple(QueueRecipient("x@b.test", notify) for notify in (("NEVER",), ("SUCCESS",), ("FAILURE",)))
    result = end(replace(STATE, recipients=recipients), NO, NO, NO)
    assert len(result.report) == 1


def test_success_is_reported_only_where_the_next_host_will_not() -> None:
    recipients = tuple(QueueRecipient(f"{n}@b.test", ("SUCCESS",)) for n in range(2))
    result = end(replace(STATE, recipients=recipients), OK, OK._replace(dsn_passed_on=True))
    assert [(line.address, line.action) for line in result.report] == [("0@b.test", "relayed")]


def test_a_finding_of_our_own_is_not_put_into_a_hosts_mouth() -> None:
    result = end(STATE, OK, NO, Outcome(552, "5.3.4", "larger than mx.b.test takes", found=True))
    assert [(line.address, line.host) for line in result.report] == [("two@b.test", "mx.b.test"), ("three@b.test", "")]
