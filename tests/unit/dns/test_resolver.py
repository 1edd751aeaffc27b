"""The real resolver against a small DNS server on loopback, and the fake one against the same questions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
import trio

from ironpost.dns.resolver import DnsResolver, DnsTemporary, MxRecord, NoSuchName, Resolver, to_name
from ironpost.testing.fake_dns import FakeResolver

MX = {"example.test": [(10, "mx1.example.test"), (20, "mx2.example.test")], "quiet.test": [(0, "")]}
HOSTS = {
    "mx1.example.test": ["2001:db8::1", "192.0.2.1"],
    "mx2.example.test": ["192.0.2.2"],
    "bare.test": ["192.0.2.3"],
}


class Server:
    """Answers from MX and HOSTS; SERVFAIL for ill.test; silence for silent.test."""

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self.socket = socket
        self.queries = 0

    async def run(self) -> None:
        while True:
            data, peer = await self.socket.recvfrom(4096)
            self.queries += 1
            query = dns.message.from_wire(data)
            name = query.question[0].name.to_text(omit_final_dot=True)
            kind = dns.rdatatype.to_text(query.question[0].rdtype)
            if name == "silent.test":
                continue
            response = dns.message.make_response(query)
            response.flags |= dns.flags.RA
            if name == "ill.test":
                response.set_rcode(dns.rcode.SERVFAIL)
            elif name not in MX and name not in HOSTS:
                response.set_rcode(dns.rcode.NXDOMAIN)
            elif kind == "MX" and name in MX:
                texts = [f"{preference} {host}." for preference, host in MX[name]]
                response.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", "MX", *texts))
            elif kind in ("A", "AAAA"):
                texts = [address for address in HOSTS.get(name, []) if (":" in address) == (kind == "AAAA")]
                if texts:
                    response.answer.append(dns.rrset.from_text(f"{name}.", 300, "IN", kind, *texts))
            await self.socket.sendto(response.to_wire(), peer)


def with_real(test: Callable[[Resolver, Server], Awaitable[None]], lookup_seconds: float = 5.0) -> None:
    async def main() -> None:
        socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        with socket:
            await socket.bind(("127.0.0.1", 0))
            server = Server(socket)
            resolver = DnsResolver(
                [("127.0.0.1", socket.getsockname()[1])], query_seconds=0.2, lookup_seconds=lookup_seconds
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.run)
                with trio.fail_after(20):
                    await test(resolver, server)
                nursery.cancel_scope.cancel()

    trio.run(main)


async def common(resolver: Resolver) -> None:
    """What both resolvers must do."""
    assert sorted(await resolver.mx("example.test")) == [
        MxRecord(10, "mx1.example.test"),
        MxRecord(20, "mx2.example.test"),
    ]
    assert await resolver.mx("quiet.test") == [MxRecord(0, "")]
    assert await resolver.mx("bare.test") == []
    assert await resolver.addresses("mx1.example.test") == ["2001:db8::1", "192.0.2.1"]
    assert await resolver.addresses("bare.test") == ["192.0.2.3"]
    assert await resolver.addresses("example.test") == []
    for ask in (resolver.mx, resolver.addresses):
        with pytest.raises(NoSuchName):
            await ask("nowhere.test")
        with pytest.raises(DnsTemporary):
            await ask("ill.test")


def test_real_answers() -> None:
    async def test(resolver: Resolver, server: Server) -> None:
        await common(resolver)

    with_real(test, lookup_seconds=1.0)


def test_fake_answers_alike() -> None:
    resolver = FakeResolver(dict(MX), dict(HOSTS))
    resolver.broken.add("ill.test")
    trio.run(common, resolver)


def test_answers_are_cached_even_negative_ones() -> None:
    async def test(resolver: Resolver, server: Server) -> None:
        for _ in range(3):
            await resolver.mx("example.test")
        assert server.queries == 1

    with_real(test)


def test_silence_is_temporary_and_bounded() -> None:
    async def test(resolver: Resolver, server: Server) -> None:
        start = trio.current_time()
        with pytest.raises(DnsTemporary):
            await resolver.mx("silent.test")
        assert trio.current_time() - start < 5

    with_real(test, lookup_seconds=1.0)


def test_names() -> None:
    assert to_name("bücher.test").to_text() == "xn--bcher-kva.test."
    assert to_name("example.test.").to_text() == "example.test."
    for wrong in ("a..b", "x" * 64 + ".test", ".".join(["a" * 60] * 5)):
        with pytest.raises(ValueError, match="no domain name"):
            to_name(wrong)
