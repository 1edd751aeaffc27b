"""A resolver over a dictionary, with the same answers and errors as the real one (`ironpost.dns.resolver`)."""

from __future__ import annotations

from collections import Counter

from ..dns.resolver import DnsTemporary, MxRecord, NoSuchName


class FakeResolver:
    """`mx_records`: domain to records; `hosts`: name to addresses; `broken`: names whose look-up fails for now."""

    def __init__(
        self,
        mx_records: dict[str, list[tuple[int, str]]] | None = None,
        hosts: dict[str, list[str]] | None = None,
    ) -> None:
        self.mx_records = mx_records or {}
        self.hosts = hosts or {}
        self.broken: set[str] = set()
        self.asked: Counter[str] = Counter()

    async def mx(self, domain: str) -> list[MxRecord]:
        """MX records, NoSuchName when the name is in neither dictionary."""
        self._look(domain)
        return [MxRecord(preference, host) for preference, host in self.mx_records.get(domain, [])]

    async def addresses(self, host: str) -> list[str]:
        """Addresses, NoSuchName when the name is in neither dictionary."""
        self._look(host)
        return list(self.hosts.get(host, []))

    def _look(self, name: str) -> None:
        self.asked[name] += 1
        if name in self.broken:
            raise DnsTemporary(f"{name}: broken in this test")
        if name not in self.mx_records and name not in self.hosts:
            raise NoSuchName(f"{name} does not exist")
