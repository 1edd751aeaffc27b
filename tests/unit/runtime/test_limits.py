"""Counters per address and account, and their exchange between workers."""

from __future__ import annotations

from ironpost.config import LimitsConfig
from ironpost.runtime.limits import FailureWindow, Limits, TokenBucket, address_key


def test_connections_of_an_address() -> None:
    limits = Limits(LimitsConfig(connections_per_address=2))
    assert limits.connect("192.0.2.1")
    assert limits.connect("192.0.2.1")
    assert not limits.connect("192.0.2.1")
    assert limits.connect("192.0.2.2")
    limits.disconnect("192.0.2.1")
    assert limits.connect("192.0.2.1")
    assert limits.open == 3


def test_exempt_networks_have_no_limit_but_the_total() -> None:
    limits = Limits(LimitsConfig(connections_per_address=1, connections_max=3))
    assert [limits.connect(host) for host in ("127.0.0.1", "127.9.9.9", "::1", "unix")] == [True, True, True, False]
    limits.disconnect("::1")
    assert limits.connect("unix")


def test_ipv6_is_counted_by_network() -> None:
    limits = Limits(LimitsConfig(connections_per_address=1))
    assert limits.connect("2001:db8:0:1::1")
    assert not limits.connect("2001:db8:0:1:ffff::2")
    assert limits.connect("2001:db8:0:2::1")
    assert address_key("2001:db8:0:1:ffff::2") == "2001:db8:0:1::/64"


def test_counts_of_other_workers() -> None:
    here, there = Limits(LimitsConfig(connections_per_address=3)), Limits(LimitsConfig(connections_per_address=3))
    told: list[bool] = []
    there.announce_connections = lambda: told.append(True)
    for _ in range(2):
        assert there.connect("192.0.2.1")
    assert told == [True]  # once, until the changes are taken
    here.apply_connections(2, there.take_changes())
    assert here.connect("192.0.2.1")
    assert not here.connect("192.0.2.1")
    there.disconnect("192.0.2.1")
    here.apply_connections(2, there.take_changes())
    assert here.connect("192.0.2.1")
    here.forget_worker(2)
    assert here.connect("192.0.2.1")
    assert not here.connect("192.0.2.1")


def test_failures_fade() -> None:
    window = FailureWindow(2, 10.0)
    window.failed("a", 0.0)
    window.failed("a", 5.0)
    assert window.closed("a", 5.0)
    assert window.closed("a", 9.9)
    assert not window.closed("a", 10.1)
    window.failed("a", 11.0)
    assert window.closed("a", 11.0)
    window.forgive("a")
    assert not window.closed("a", 11.0)


def test_a_failure_may_count_against_the_address_alone() -> None:
    limits = Limits(LimitsConfig(failed_logins_per_address=2, failed_logins_per_account=2))
    told: list[tuple[str, str]] = []
    limits.announce_failure = lambda host, account: told.append((host, account))
    for _ in range(2):
        limits.login_failed("192.0.2.1", "", 1.0)
    assert limits.login_closed_for_address("192.0.2.1", 1.0)
    assert not limits.login_closed_for_account("", 1.0)
    assert told == [("192.0.2.1", "")] * 2


def test_bucket() -> None:
    bucket = TokenBucket(rate=1.0, burst=2.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.take(1.0)
    assert not bucket.take(1.5)
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]
