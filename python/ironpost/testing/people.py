"""Directory, authenticator and hints in memory, with the faces that sessions use."""

from __future__ import annotations

import trio

from ..errors import AuthenticationFailed
from ..identity import scram
from ..identity.passwords import Proven
from ..identity.presence import Proof
from ..state.directory import Account, Limits, Resolution


class FakeDirectory:
    """`accounts`: addresses in order of their ids from 1; `aliases`: address to targets, local or not."""

    def __init__(self, accounts: list[str], aliases: dict[str, list[str]] | None = None) -> None:
        self.people = {address: Account(number, address) for number, address in enumerate(accounts, 1)}
        self.aliases = aliases or {}
        self.domains = {address.rpartition("@")[2] for address in [*accounts, *self.aliases]}
        self.generation = 1
        self.limits_of: dict[str, Limits] = {}  # by address, or by domain
        self.told_of: dict[str, int] = {}

    def is_local_domain(self, domain: str) -> bool:
        """Exact names only."""
        return domain in self.domains

    def postmaster_domain(self, hostname: str) -> str:
        """The first by name."""
        return min(self.domains)

    def resolve_full(self, local: str, domain: str) -> Resolution | None:
        """Aliases first, then accounts, then the account without its detail; postmaster is everyone's first."""
        address = f"{local.lower()}@{domain}"
        targets = self.aliases.get(address)
        if targets is not None:
            found = [self.people[target] for target in targets if target in self.people]
            return Resolution(tuple(found), tuple(target for target in targets if target not in self.people))
        account = self.people.get(address) or self.people.get(f"{local.lower().partition('+')[0]}@{domain}")
        if account is None and local.lower() == "postmaster" and domain in self.domains:
            account = next(person for person in self.people.values() if person.address.endswith(f"@{domain}"))
        return None if account is None else Resolution((account,), ())

    def limits(self, name: str) -> Limits:
        """Of an account or a domain."""
        return self.limits_of.get(name, Limits())

    def told(self, name: str) -> int:
        """The threshold that was told."""
        return self.told_of.get(name, 0)

    async def tell(self, name: str, level: int) -> bool:
        """Claims a warning."""
        await trio.lowlevel.checkpoint()
        if self.told(name) >= level:
            return False
        self.told_of[name] = level
        return True

    async def forget_told(self, name: str, level: int) -> None:
        """Lowers what was told."""
        await trio.lowlevel.checkpoint()
        self.told_of[name] = min(level, self.told(name))

    def may_send_as(self, account: Account, address: str) -> bool:
        """Whatever leads to the account."""
        local, _, domain = address.rpartition("@")
        resolution = self.resolve_full(local, domain)
        return resolution is not None and account in resolution.accounts


class FakeAuthenticator:
    """One password for all; `failure` is raised instead when it is set. Tokens are no logins here."""

    tokens = None

    def __init__(self, directory: FakeDirectory, password: str) -> None:
        self.directory = directory
        self.password = password
        self.failure: Exception | None = None

    async def verify(self, user: str, password: str, peer_host: str, service: str) -> Proven:
        """The account, or AuthenticationFailed."""
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        account = self.directory.people.get(user.lower())
        if account is None or password != self.password:
            raise AuthenticationFailed
        return Proven(account, Proof("password", 0))

    async def verify_token(self, user: str, token: str, peer_host: str) -> Account:
        """Never asked: no mechanism for it is offered."""
        raise AssertionError("tokens are no logins here")

    async def verify_certificate(self, user: str, names: tuple[str, ...], peer_host: str) -> Account:
        """Never asked: clients have no certificates here."""
        raise AssertionError("certificates are no logins here")

    async def scram_begin(self, mechanism: str, user: str, peer_host: str) -> scram.Verifier:
        """What the password gives, with a salt of the user's own."""
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        made = scram.make(mechanism, self.password.encode(), 4096, user.lower().encode())
        verifier = scram.read(mechanism, (made,))
        assert verifier is not None
        return verifier

    async def scram_end(
        self, mechanism: str, user: str, verifier: scram.Verifier, peer_host: str, *, good: bool
    ) -> Proven:
        """As for passwords."""
        return await self.verify(user, self.password if good else "", peer_host, "")


class FakeHints:
    """Counts; wakes one waiter for the relay."""

    def __init__(self) -> None:
        self.published: list[tuple[int, int]] = []
        self.relay_hints = 0
        self.relay_event = trio.Event()

    def publish(self, pairs: list[tuple[int, int]]) -> None:
        """Remembers."""
        self.published.extend(pairs)

    def relay_hint(self) -> None:
        """Wakes `wait_relay`."""
        self.relay_hints += 1
        self.relay_event.set()

    async def wait_relay(self) -> None:
        """Returns after a hint."""
        await self.relay_event.wait()
        self.relay_event = trio.Event()


class FakeCertificates:
    """`current` is what the sessions take."""

    def __init__(self, current: object = None) -> None:
        self.current = current


class ListLog:
    """Keeps (level, event, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []
        self.reference = "-"

    def bind(self, **fields: object) -> ListLog:
        """The same list."""
        return self

    def debug(self, event: str, **fields: object) -> None:
        """Kept."""
        self.lines.append(("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        """Kept."""
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        """Kept."""
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        """Kept."""
        self.lines.append(("error", event, fields))

    def exception(self, event: str, **fields: object) -> None:
        """Kept with its trace: tests assert that there is none of these."""
        import traceback

        self.lines.append(("exception", event, {**fields, "trace": traceback.format_exc()}))
