"""MX and address look-ups over dnspython's Trio backend (RFC 1035, RFC 5321 §5.1).

"There is none" and "we could not find out" are kept apart: the first may bounce mail, the second never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import trio

QUERY_SECONDS: Final = 5.0  # one server's time to answer
LOOKUP_SECONDS: Final = 20.0  # one question with all its retries
CACHE_ANSWERS: Final = 10_000  # answers kept until their TTL ends


class DnsError(Exception):
    """A look-up gave no answer."""


class DnsTemporary(DnsError):
    """Timeout, SERVFAIL, refusal, network down: ask again later."""


class NoSuchName(DnsError):
    """NXDOMAIN, or a name that cannot exist in the DNS."""


class MxRecord(NamedTuple):
    """One MX record; `host` is "" for the null MX (RFC 7505)."""

    preference: int
    host: str


class Resolver(Protocol):
    """What the relay asks of DNS; `ironpost.testing.fake_dns` has another one."""

    async def mx(self, domain: str) -> list[MxRecord]:
        """MX records, empty when the name has none. Raises NoSuchName, DnsTemporary."""
        ...

    async def addresses(self, host: str) -> list[str]:
        """IPv6 and IPv4 addresses, empty when the name has none. Raises NoSuchName, DnsTemporary."""
        ...


class DnsResolver:
    """The real one. `nameservers` are (host, port); empty means those of the system's resolv.conf."""

    def __init__(
        self,
        nameservers: Sequence[tuple[str, int]] = (),
        *,
        query_seconds: float = QUERY_SECONDS,
        lookup_seconds: float = LOOKUP_SECONDS,
    ) -> None:
        try:
            resolver = dns.asyncresolver.Resolver(configure=not nameservers)
        except dns.resolver.NoResolverConfiguration:
            resolver = dns.asyncresolver.Resolver(configure=False)
            resolver.nameservers = [dns.nameserver.Do53Nameserver("127.0.0.1", 53)]
        if nameservers:
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in nameservers]
        resolver.timeout = query_seconds
        resolver.lifetime = lookup_seconds
        resolver.use_edns(0, 0, 1232)  # the size that is never fragmented; a longer answer comes over TCP
        resolver.cache = dns.resolver.LRUCache(CACHE_ANSWERS)
        self._resolver = resolver
        self._backend = dns.asyncbackend.get_backend("trio")
        self._limit = lookup_seconds + 1.0

    async def mx(self, domain: str) -> list[MxRecord]:
        """MX records of a domain, in no order."""
        answer = await self._ask(domain, "MX")
        return [
            MxRecord(record.preference, record.exchange.to_text(omit_final_dot=True).rstrip(".").lower())
            for record in answer
        ]

    async def addresses(self, host: str) -> list[str]:
        """AAAA, then A. One family's failure is forgiven when the other has answered with an address."""
        results: dict[str, list[Any] | DnsError] = {}

        async def ask(kind: str) -> None:
            try:
                results[kind] = await self._ask(host, kind)
            except DnsError as error:
                results[kind] = error

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "AAAA")
            nursery.start_soon(ask, "A")
        found: list[str] = []
        failure: DnsError | None = None
        for kind in ("AAAA", "A"):
            result = results[kind]
            if isinstance(result, DnsError):
                if failure is None or isinstance(result, DnsTemporary):
                    failure = result
            else:
                found.extend(record.address for record in result)
        if not found and failure is not None:
            raise failure
        return found

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            question = to_name(name)
        except ValueError as error:
            raise NoSuchName(str(error)) from None
        with trio.move_on_after(self._limit):
            try:
                answer = await self._resolver.resolve(
                    question, kind, raise_on_no_answer=False, search=False, backend=self._backend
                )
            except dns.resolver.NXDOMAIN:
                raise NoSuchName(f"{name} does not exist") from None
            except (dns.exception.DNSException, OSError) as error:
                raise DnsTemporary(f"{kind} of {name}: {type(error).__name__}") from error
            return list(answer.rrset) if answer.rrset is not None else []
        raise DnsTemporary(f"{kind} of {name}: no answer in {self._limit:g} s")


def to_name(domain: str) -> dns.name.Name:
    """An absolute DNS name; a U-label becomes an A-label (RFC 5890). Raises ValueError for no name."""
    try:
        return dns.name.from_text(domain.rstrip(".") + ".", idna_codec=dns.name.IDNA_2008_Practical)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ValueError(f"{domain!r} is no domain name: {type(error).__name__}") from None
