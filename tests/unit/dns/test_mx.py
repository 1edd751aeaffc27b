"""RFC 5321 §5.1: which hosts, in which order."""

from __future__ import annotations

from random import Random

import pytest
import trio

from ironpost.dns.mx import MxError, mail_hosts, order
from ironpost.dns.resolver import DnsTemporary, MxRecord
from ironpost.testing.fake_dns import FakeResolver

OWN = frozenset({"mail.own.test"})


def records(*pairs: tuple[int, str]) -> list[MxRecord]:
    return [MxRecord(*pair) for pair in pairs]


def test_by_preference() -> None:
    assert order(records((20, "b"), (10, "a"), (30, "c")), OWN, Random(1)) == ["a", "b", "c"]


def test_equal_preferences_are_shuffled_within_their_rank() -> None:
    seen = set()
    for seed in range(50):
        hosts = order(records((10, "a"), (10, "b"), (20, "z"), (5, "first")), OWN, Random(seed))
        assert hosts[0] == "first"
        assert hosts[-1] == "z"
        seen.add(tuple(hosts))
    assert len(seen) == 2


def test_own_preference_and_worse_are_left_out() -> None:
    assert order(records((10, "a"), (20, "mail.own.test"), (20, "b"), (30, "c")), OWN, Random(1)) == ["a"]


def test_best_host_being_ourselves_is_a_loop() -> None:
    with pytest.raises(MxError) as caught:
        order(records((10, "mail.own.test"), (20, "b")), OWN, Random(1), "own.test")
    assert (caught.value.code, caught.value.enhanced) == (554, "5.4.6")


def test_null_mx() -> None:
    with pytest.raises(MxError) as caught:
        order(records((0, "")), OWN, Random(1), "quiet.test")
    assert (caught.value.code, caught.value.enhanced) == (556, "5.1.10")


def test_null_mx_beside_others_is_ignored() -> None:
    assert order(records((0, ""), (10, "a")), OWN, Random(1)) == ["a"]


def test_implicit_mx() -> None:
    assert trio.run(mail_hosts, "plain.test", FakeResolver(hosts={"plain.test": ["192.0.2.1"]}), OWN, Random(1)) == [
        "plain.test"
    ]


def test_unknown_domain_is_permanent() -> None:
    with pytest.raises(MxError) as caught:
        trio.run(mail_hosts, "nowhere.test", FakeResolver(), OWN, Random(1))
    assert (caught.value.code, caught.value.enhanced) == (550, "5.1.2")


def test_broken_dns_is_temporary() -> None:
    resolver = FakeResolver()
    resolver.broken.add("ill.test")
    with pytest.raises(DnsTemporary):
        trio.run(mail_hosts, "ill.test", resolver, OWN, Random(1))
