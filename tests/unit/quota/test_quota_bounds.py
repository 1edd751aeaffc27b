"""What fits, and how full it is."""

from __future__ import annotations

from ironpost.quota.bounds import PREFIX_OCTETS, Amount, Bounds, Room

MOST = 1_000_000


def test_room_by_messages() -> None:
    bounds = Bounds(0, 10)
    assert bounds.room(Amount(0, 9), None, MOST) is Room.ENOUGH
    assert bounds.room(Amount(0, 10), None, MOST) is Room.NONE
    assert bounds.room(Amount(0, 9), 5, MOST, pending=1) is Room.NOT_TOGETHER


def test_room_by_octets() -> None:
    bounds = Bounds(MOST, 0)
    assert bounds.room(Amount(MOST, 0), None, MOST) is Room.NONE
    assert bounds.room(Amount(0, 0), MOST + 1, MOST) is Room.NONE
    assert bounds.room(Amount(0, 0), MOST, MOST) is Room.PERHAPS  # the trace fields come on top
    assert bounds.room(Amount(0, 0), None, MOST) is Room.PERHAPS
    assert bounds.room(Amount(0, 0), MOST - PREFIX_OCTETS, MOST) is Room.ENOUGH
    assert bounds.room(Amount(0, 0), 400_000, MOST, pending=1) is Room.ENOUGH
    assert bounds.room(Amount(0, 0), 600_000, MOST, pending=1) is Room.NOT_TOGETHER


def test_no_limits() -> None:
    bounds = Bounds(0, 0)
    assert not bounds.any
    assert bounds.room(Amount(2**50, 2**40), 2**40, MOST, pending=5) is Room.ENOUGH
    assert bounds.percent(Amount(5, 5)) is None
    assert not bounds.reached(Amount(5, 5), 1)


def test_percent_is_of_the_fuller_one() -> None:
    bounds = Bounds(1000, 10)
    assert bounds.percent(Amount(999, 5)) == 99
    assert bounds.percent(Amount(10, 8)) == 80
    assert bounds.reached(Amount(0, 8), 80)
    assert not bounds.reached(Amount(799, 7), 80)
