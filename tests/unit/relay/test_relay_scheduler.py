"""The pure half of the relay: back-off and the active set."""

from __future__ import annotations

from random import Random

from ironpost.relay.scheduler import Backoff, Offer, Scheduler

BACKOFF = Backoff((300.0, 600.0, 1200.0), give_up=86_400.0)


def scheduler(lanes: int = 3, each: int = 2, waiting: int = 5) -> Scheduler[str]:
    return Scheduler(lanes, each, waiting)


def test_pauses_grow_and_the_last_repeats() -> None:
    random = Random(1)
    for attempts, pause in ((1, 300), (2, 600), (3, 1200), (4, 1200), (50, 1200)):
        due = BACKOFF.next_due(attempts, created=0.0, now=1000.0, random=random)
        assert due is not None
        assert 1000 + pause <= due <= 1000 + pause * 1.1


def test_jitter_spreads() -> None:
    dues = {BACKOFF.next_due(1, 0.0, 0.0, Random(seed)) for seed in range(20)}
    assert len(dues) == 20


def test_last_attempt_is_at_the_end_and_then_no_more() -> None:
    assert BACKOFF.next_due(9, 0.0, 86_399.0, Random(1)) == 86_400.0
    assert BACKOFF.next_due(9, 0.0, 86_400.0, Random(1)) is None


def test_items_in_order_over_lanes() -> None:
    s = scheduler()
    assert [s.offer(n, "a", f"item{n}", 0.0) for n in (1, 2, 3)] == [Offer.TAKEN] * 3
    assert s.offer(2, "a", "again", 0.0) is Offer.KNOWN
    assert s.start_lanes() == ["a", "a"]
    assert s.start_lanes() == []
    assert [s.next("a") for _ in range(4)] == ["item1", "item2", "item3", None]
    assert s.known == 3
    for n in (1, 2, 3):
        s.done(n)
    s.lane_ended("a")
    s.lane_ended("a")
    assert (s.known, s.lanes) == (0, 0)
    assert s.next("a") is None


def test_one_item_gets_one_lane() -> None:
    s = scheduler()
    s.offer(1, "a", "x", 0.0)
    assert s.start_lanes() == ["a"]


def test_lanes_are_dealt_fairly() -> None:
    s = scheduler(lanes=3)
    for n in range(4):
        s.offer(n, "a", "a", 0.0)
    s.offer(10, "b", "b", 0.0)
    s.offer(11, "c", "c", 0.0)
    assert sorted(s.start_lanes()) == ["a", "b", "c"]
    assert s.lanes == 3


def test_crowd_is_put_off() -> None:
    s = scheduler(waiting=2)
    assert [s.offer(n, "a", "x", 0.0) for n in range(3)] == [Offer.TAKEN, Offer.TAKEN, Offer.CROWDED]
    assert not s.holds(2)


def test_blocked_destination_gives_its_waiting_back() -> None:
    s = scheduler()
    for n in (1, 2, 3):
        s.offer(n, "a", f"item{n}", 0.0)
    s.start_lanes()
    assert s.next("a") == "item1"
    assert s.block("a", until=60.0) == ["item2", "item3"]
    assert s.known == 1
    assert s.next("a") is None
    assert s.offer(2, "a", "item2", 10.0) is Offer.BLOCKED
    assert s.offer(9, "b", "other", 10.0) is Offer.TAKEN
    assert s.blocked_until("a", 10.0) == 60.0
    assert s.offer(2, "a", "item2", 60.0) is Offer.TAKEN


def test_unblocked_by_success() -> None:
    s = scheduler()
    s.block("a", until=60.0)
    s.unblock("a")
    assert s.offer(1, "a", "x", 1.0) is Offer.TAKEN
