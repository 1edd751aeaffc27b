"""From a domain to the addresses to try, in order (RFC 5321 §5.1): a static route, or MX hosts and their addresses."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from ..dns.mx import MxError, mail_hosts
from ..dns.resolver import DnsTemporary, NoSuchName
from .settings import RelaySettings, Route

if TYPE_CHECKING:
    from ..dns.resolver import Resolver

HOPS_MAX: Final = 8  # addresses tried in one attempt (RFC 5321 §5.1: at least two)


class Hop(NamedTuple):
    """One address to try."""

    name: str  # for TLS and reports
    address: str
    port: int
    tls: str
    route: Route | None


def key_of(domain: str, settings: RelaySettings) -> tuple[str, int]:
    """What mail shares that may share a connection: the route's host, or the domain with the port 0."""
    route = settings.route(domain)
    return (route.host, route.port) if route is not None else (domain, 0)


async def hops(domain: str, settings: RelaySettings, resolver: Resolver, random: Random) -> list[Hop]:
    """Addresses in order of trial. Raises MxError (permanent, except its 4xx codes) and DnsTemporary."""
    route = settings.route(domain)
    if route is not None:
        return await _route_hops(route, resolver)
    names = await mail_hosts(domain, resolver, settings.own_names, random)
    found: list[Hop] = []
    trouble: DnsTemporary | None = None
    for name in names:
        if len(found) >= HOPS_MAX:
            break
        try:
            addresses = await resolver.addresses(name)
        except DnsTemporary as error:
            trouble = error
            continue
        except NoSuchName:
            continue
        if not settings.own_addresses.isdisjoint(addresses):
            # We are this host: what follows is not nearer to the goal than we are (RFC 5321 §5.1).
            if not found and trouble is None:
                raise MxError(554, "5.4.6", f"Mail for {domain} loops back to this server")
            break
        found.extend(Hop(name, address, settings.port, settings.tls, None) for address in addresses)
    if found:
        return found[:HOPS_MAX]
    if trouble is not None:
        raise trouble
    if names == [domain]:
        raise MxError(550, "5.1.2", f"Domain {domain} has no mail host")
    # RFC 5321 §5.1: MX hosts without any address are an error that someone may still mend.
    raise MxError(451, "4.4.4", f"No mail host of {domain} has an address")


async def _route_hops(route: Route, resolver: Resolver) -> list[Hop]:
    if ":" in route.host or route.host.replace(".", "").isdigit():
        addresses = [route.host]
    elif route.host == "localhost":
        addresses = ["127.0.0.1", "::1"]
    else:
        try:
            addresses = await resolver.addresses(route.host)
        except NoSuchName:
            addresses = []
    if not addresses:  # the administrator's mistake, not the sender's: keep the mail
        raise MxError(451, "4.4.4", f"Route host {route.host} has no address")
    return [Hop(route.host, address, route.port, route.tls, route) for address in addresses[:HOPS_MAX]]
