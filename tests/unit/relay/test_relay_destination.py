"""Routes, MX hosts and loops: which addresses are tried (RFC 5321 §5.1)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import trio

from ironpost.dns.mx import MxError
from ironpost.dns.resolver import DnsTemporary
from ironpost.relay.destination import HOPS_MAX, Hop, hops, key_of
from ironpost.relay.scheduler import Backoff
from ironpost.relay.settings import RelaySettings, Route
from ironpost.testing.fake_dns import FakeResolver


def settings(*routes: Route, **changes: Any) -> RelaySettings:
    values: dict[str, Any] = {
        "hostname": "mail.own.test",
        "own_names": frozenset({"mail.own.test"}),
        "own_addresses": frozenset({"127.0.0.1", "192.0.2.99"}),
        "routes": routes,
        "tls": "opportunistic",
        "port": 25,
        "backoff": Backoff((60.0,), 1000.0),
        "deliveries_max": 10,
        "deliveries_per_destination": 2,
    }
    values.update(changes)
    return RelaySettings(**values)


def ask(domain: str, config: RelaySettings, resolver: FakeResolver) -> list[Hop]:
    return trio.run(hops, domain, config, resolver, Random(1))


def test_the_nearest_route_wins() -> None:
    config = settings(
        Route("*", "smart.test", 25),
        Route(".b.test", "sub.test", 25),
        Route(".x.b.test", "deep.test", 25),
        Route("b.test", "exact.test", 26),
    )
    found = {d: config.route(d) for d in ("b.test", "a.b.test", "q.x.b.test", "x.b.test", "c.test", "ab.test")}
    assert {d: route.host for d, route in found.items() if route} == {
        "b.test": "exact.test",
        "a.b.test": "sub.test",
        "q.x.b.test": "deep.test",
        "x.b.test": "sub.test",
        "c.test": "smart.test",
        "ab.test": "smart.test",
    }
    assert settings().route("b.test") is None


def test_mail_of_a_smarthost_shares_connections() -> None:
    config = settings(Route("*", "smart.test", 2525))
    assert key_of("a.test", config) == key_of("b.test", config) == ("smart.test", 2525)
    assert key_of("a.test", settings()) != key_of("b.test", settings())


def test_route_to_an_address_asks_no_dns() -> None:
    resolver = FakeResolver()
    route = Route("b.test", "127.0.0.1", 2525)
    assert ask("b.test", settings(route), resolver) == [Hop("127.0.0.1", "127.0.0.1", 2525, "opportunistic", route)]
    assert not resolver.asked


def test_mx_hosts_with_all_their_addresses() -> None:
    resolver = FakeResolver(
        {"b.test": [(20, "mx2.b.test"), (10, "mx1.b.test"), (15, "gone.b.test")]},
        {"mx1.b.test": ["2001:db8::1", "192.0.2.1"], "mx2.b.test": ["192.0.2.2"]},
    )
    assert [(hop.name, hop.address, hop.port) for hop in ask("b.test", settings(), resolver)] == [
        ("mx1.b.test", "2001:db8::1", 25),
        ("mx1.b.test", "192.0.2.1", 25),
        ("mx2.b.test", "192.0.2.2", 25),
    ]


def test_an_mx_with_our_own_address_is_a_loop() -> None:
    resolver = FakeResolver({"b.test": [(10, "trick.b.test")]}, {"trick.b.test": ["127.0.0.1"]})
    with pytest.raises(MxError) as caught:
        ask("b.test", settings(), resolver)
    assert caught.value.enhanced == "5.4.6"


def test_hosts_behind_our_own_address_are_left_out() -> None:
    resolver = FakeResolver(
        {"b.test": [(10, "mx1.b.test"), (20, "us.b.test"), (30, "mx3.b.test")]},
        {"mx1.b.test": ["192.0.2.1"], "us.b.test": ["192.0.2.99"], "mx3.b.test": ["192.0.2.3"]},
    )
    assert [hop.name for hop in ask("b.test", settings(), resolver)] == ["mx1.b.test"]


def test_a_host_whose_address_cannot_be_found_now_makes_it_temporary() -> None:
    resolver = FakeResolver({"b.test": [(10, "mx1.b.test")]})
    resolver.broken.add("mx1.b.test")
    with pytest.raises(DnsTemporary):
        ask("b.test", settings(), resolver)


def test_mx_without_addresses_may_be_mended() -> None:
    with pytest.raises(MxError) as caught:
        ask("b.test", settings(), FakeResolver({"b.test": [(10, "mx1.b.test")]}))
    assert caught.value.code == 451


def test_domain_without_mx_and_address_is_permanent() -> None:
    resolver = FakeResolver({"b.test": []})
    with pytest.raises(MxError) as caught:
        ask("b.test", settings(), resolver)
    assert (caught.value.code, caught.value.enhanced) == (550, "5.1.2")


def test_attempts_are_bounded() -> None:
    resolver = FakeResolver({"b.test": [(10, "many.b.test")]}, {"many.b.test": [f"192.0.2.{n}" for n in range(1, 90)]})
    assert len(ask("b.test", settings(), resolver)) == HOPS_MAX
