"""What the relay needs of the configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .scheduler import Backoff

if TYPE_CHECKING:
    from ..config import Config

# How TLS is used towards a host, by the words of the configuration.
TLS_NONE: Final = "none"
TLS_OPPORTUNISTIC: Final = "opportunistic"  # when offered, unverified, plaintext when it fails (RFC 3207, RFC 7435)
TLS_REQUIRED: Final = "required"  # unverified, never plaintext
TLS_VERIFY: Final = "verify"  # chain and name, never plaintext
TLS_IMPLICIT: Final = "implicit"  # from the first octet, chain and name (RFC 8314)


@dataclass(frozen=True, slots=True)
class Route:
    """A static next hop."""

    domain: str  # "example.org", ".example.org" for all below it, "*"
    host: str
    port: int
    lmtp: bool = False
    tls: str = TLS_OPPORTUNISTIC
    user: str = ""
    password_path: str = ""
    ca_path: str = ""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Flat and immutable; made anew when the configuration changes."""

    hostname: str
    own_names: frozenset[str]
    own_addresses: frozenset[str]
    routes: tuple[Route, ...]
    tls: str
    port: int
    backoff: Backoff
    deliveries_max: int
    deliveries_per_destination: int
    nameservers: tuple[tuple[str, int], ...] = ()

    def route(self, domain: str) -> Route | None:
        """The most particular route of a domain: its own, then the nearest dotted parent, then "*"."""
        by_domain = {route.domain: route for route in reversed(self.routes)}
        found = by_domain.get(domain)
        rest = domain
        while found is None and "." in rest:
            rest = rest.partition(".")[2]
            found = by_domain.get(f".{rest}")
        return found or by_domain.get("*")


def settings_of(config: Config) -> RelaySettings:
    """The relay's settings of a configuration."""
    relay = config.relay
    return RelaySettings(
        hostname=config.hostname,
        own_names=frozenset({config.hostname.lower().rstrip(".")}),
        own_addresses=frozenset(_addresses(config, relay.port)),
        routes=tuple(
            Route(
                domain=route.domain.lower(),
                host=route.host,
                port=route.port,
                lmtp=route.lmtp,
                tls=route.tls,
                user=route.user,
                password_path=str(config.path(route.password_file)) if route.password_file else "",
                ca_path=str(config.path(route.ca_file)) if route.ca_file else "",
            )
            for route in config.routes
        ),
        tls=relay.tls,
        port=relay.port,
        backoff=Backoff(relay.retry, relay.give_up),
        deliveries_max=relay.deliveries_max,
        deliveries_per_destination=relay.deliveries_per_destination,
        nameservers=tuple(_endpoint(text) for text in relay.nameservers),
    )


def _addresses(config: Config, port: int) -> Iterable[str]:
    """Addresses on which we ourselves take mail at the port of MX hosts: mail must not be sent there."""
    for listener in config.listeners:
        if listener.service == "smtp" and listener.port == port and not listener.host.startswith("unix:"):
            yield listener.host
    if port == 25:  # loopback is nobody's mail host in the world
        yield from ("127.0.0.1", "::1", "0.0.0.0", "::")


def _endpoint(text: str) -> tuple[str, int]:
    """`127.0.0.1:5353` or `[::1]:5353`, checked by the configuration, to host and port."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
