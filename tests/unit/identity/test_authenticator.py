"""Passwords, the cache of verified logins, SASL, and what happens after too many failures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from tests.support.scram import ScramClient

from ironpost.config import IdentityConfig, LimitsConfig
from ironpost.errors import AuthenticationBusy, AuthenticationFailed, SaslError, TooManyFailures
from ironpost.identity import accounts, login, sasl
from ironpost.identity.hashing import BadPassword, Hasher, prepare
from ironpost.identity.passwords import Authenticator
from ironpost.runtime.limits import Limits
from ironpost.runtime.logging import Log, LogOptions
from ironpost.state.directory import Directory

CHEAP = IdentityConfig(argon2_memory=8192 * 8, argon2_time=1)
ELSEWHERE = "192.0.2.1"


class Counting(Hasher):
    """Counts the costly calls."""

    __slots__ = ("checks", "nobody")

    def __init__(self, config: IdentityConfig) -> None:
        super().__init__(config)
        self.checks = self.nobody = 0

    def check(self, verifiers: object, password: str) -> bool:
        self.checks += 1
        return super().check(verifiers, password)  # type: ignore[arg-type]

    def check_nobody(self, password: str) -> None:
        self.nobody += 1
        super().check_nobody(password)


class House:
    """A directory with alice, and an authenticator."""

    def __init__(self, folder: Path, limits: LimitsConfig) -> None:
        self.directory = Directory(folder)
        self.limits = Limits(limits)
        self.make(CHEAP)

    def make(self, config: IdentityConfig) -> None:
        self.authenticator = Authenticator(self.directory, self.limits, config, Log(LogOptions("error")))
        self.hasher = self.authenticator.hasher = Counting(config)

    async def people(self) -> None:
        await self.directory.add_domain("example.test")
        await accounts.add_account(self.directory, self.hasher, "alice@example.test", "right")

    async def login(
        self, password: str, user: str = "alice@example.test", host: str = ELSEWHERE, service: str = "imap"
    ) -> int:
        return (await self.authenticator.verify(user, password, host, service)).account.id


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path, LimitsConfig(failed_logins_per_address=3, failed_logins_per_account=5))
    yield made
    made.directory.close()


async def test_right_and_wrong(house: House) -> None:
    await house.people()
    assert await house.login("right") == 1
    assert await house.login("right", "ALICE@Example.Test") == 1
    assert await house.login("right", "alice") == 1  # one domain only
    with pytest.raises(AuthenticationFailed):
        await house.login("wrong")
    with pytest.raises(AuthenticationFailed):
        await house.login("right", "bob@example.test")
    assert house.hasher.nobody == 1  # an unknown account has cost as much


async def test_good_logins_are_remembered_and_failures_are_not(house: House) -> None:
    await house.people()
    for _ in range(5):
        await house.login("right")
    assert house.hasher.checks == 1
    for _ in range(2):
        with pytest.raises(AuthenticationFailed):
            await house.login("wrong")
    assert house.hasher.checks == 3


async def test_a_change_of_password_ends_what_is_remembered(house: House, tmp_path: Path) -> None:
    await house.people()
    await house.login("right")
    await accounts.set_password(house.directory, house.hasher, "alice@example.test", "other")
    with pytest.raises(AuthenticationFailed):
        await house.login("right")
    assert await house.login("other") == 1
    await house.directory.remove_account("alice@example.test")
    with pytest.raises(AuthenticationFailed):
        await house.login("other")


async def test_verifiers_follow_the_configured_cost(house: House) -> None:
    await house.people()
    house.make(dataclasses.replace(CHEAP, argon2_time=2))
    await house.login("right")
    credential = house.directory.credential(1)
    assert credential is not None
    assert "t=2" in credential.verifiers[0]["hash"]
    checks = house.hasher.checks
    await house.login("right")
    assert house.hasher.checks == checks  # remembered under its new generation


async def scram_login(house: House, password: str, user: str = "alice@example.test") -> int:
    """By SCRAM-SHA-256; raises what the exchange raises."""
    client = ScramClient("SCRAM-SHA-256", user, password)
    exchange = login.begin(house.authenticator, "scram-sha-256", ELSEWHERE, "imap")
    assert exchange is not None
    outcome = await exchange.step(None)
    while isinstance(outcome, bytes):
        outcome = await exchange.step(client(outcome))
    assert client.server_signature_good
    return outcome.id


async def test_scram_needs_no_password_here(house: House) -> None:
    await house.people()
    assert await scram_login(house, "right") == 1
    assert await scram_login(house, "right", "alice") == 1
    assert house.hasher.checks == 0
    for user, password in (("alice@example.test", "wrong"), ("nobody@example.test", "right")):
        with pytest.raises(AuthenticationFailed):
            await scram_login(house, password, user)
    with pytest.raises(AuthenticationFailed):
        await scram_login(house, "wrong", "bob")
    with pytest.raises(TooManyFailures):  # three failures from one address
        await scram_login(house, "right")


async def test_users_without_verifiers_look_like_others(house: House) -> None:
    await house.people()
    bare = [{"kind": "argon2id", "hash": "unused"}]
    await house.directory.add_account("old@example.test", bare)
    first = await house.authenticator.scram_begin("SCRAM-SHA-256", "old@example.test", ELSEWHERE)
    again = await house.authenticator.scram_begin("SCRAM-SHA-256", "OLD@example.test", ELSEWHERE)
    nobody = await house.authenticator.scram_begin("SCRAM-SHA-256", "nobody@example.test", ELSEWHERE)
    real = await house.authenticator.scram_begin("SCRAM-SHA-256", "alice@example.test", ELSEWHERE)
    assert first.salt == again.salt != nobody.salt
    assert {(len(one.salt), one.iterations) for one in (first, nobody, real)} == {(16, CHEAP.scram_iterations)}
    # Spellings that would mean one account have one salt when there is none, as they have when there is one.
    for spelling in ("nobody", "NOBODY@Example.Test", "Nobody"):
        assert (await house.authenticator.scram_begin("SCRAM-SHA-256", spelling, ELSEWHERE)).salt == nobody.salt
    for spelling in ("alice", "ALICE@Example.Test"):
        assert (await house.authenticator.scram_begin("SCRAM-SHA-256", spelling, ELSEWHERE)).salt == real.salt
    # Another process, or this one after a restart, says the same.
    house.make(CHEAP)
    later = await house.authenticator.scram_begin("SCRAM-SHA-256", "nobody@example.test", ELSEWHERE)
    assert later.salt == nobody.salt


async def test_a_login_by_password_makes_missing_verifiers(house: House) -> None:
    await house.people()
    credential = house.directory.credential(1)
    assert credential is not None
    await house.directory.set_verifiers("alice@example.test", [credential.verifiers[0]])
    with pytest.raises(AuthenticationFailed):
        await scram_login(house, "right")
    await house.login("right")
    assert await scram_login(house, "right") == 1
    house.make(dataclasses.replace(CHEAP, scram_iterations=5000))
    await house.login("right")
    verifier = await house.authenticator.scram_begin("SCRAM-SHA-512", "alice@example.test", ELSEWHERE)
    assert verifier.iterations == 5000


async def test_a_password_that_changes_in_between_is_the_old_one(house: House) -> None:
    await house.people()
    client = ScramClient("SCRAM-SHA-256", "alice@example.test", "right")
    exchange = login.begin(house.authenticator, "SCRAM-SHA-256", ELSEWHERE, "imap")
    assert exchange is not None
    challenge = await exchange.step(client(None))
    assert isinstance(challenge, bytes)
    await accounts.set_password(house.directory, house.hasher, "alice@example.test", "right")
    with pytest.raises(AuthenticationFailed):
        await exchange.step(client(challenge))


async def test_too_many_waiting_are_told(house: House) -> None:
    await house.people()
    house.make(dataclasses.replace(CHEAP, checks_at_once=1, checks_waiting=1))
    outcomes: list[str] = []

    async def one() -> None:
        try:
            await house.login("right")
            outcomes.append("good")
        except AuthenticationBusy:
            outcomes.append("busy")

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(one)
    assert sorted(outcomes) == ["busy"] * 4 + ["good"] * 2


async def test_an_address_is_closed_after_failures(house: House) -> None:
    await house.people()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await house.login("wrong", "nobody@example.test")
    with pytest.raises(TooManyFailures):
        await house.login("right")
    assert await house.login("right", host="192.0.2.2") == 1


async def test_exempt_addresses_are_never_closed(house: House) -> None:
    await house.people()
    for number in range(8):
        with pytest.raises(AuthenticationFailed):
            await house.login("wrong", f"n{number}@example.test", "127.0.0.1")
    assert await house.login("right", host="127.0.0.1") == 1


async def test_an_account_is_closed_except_where_its_owner_is_known(house: House) -> None:
    await house.people()
    await house.login("right", host="198.51.100.1")
    for number in range(5):
        with pytest.raises(AuthenticationFailed):
            await house.login("wrong", host=f"203.0.113.{number}")
    with pytest.raises(TooManyFailures):
        await house.login("right", host="203.0.113.99")
    assert await house.login("right", host="198.51.100.1") == 1
    assert await house.login("right", host="203.0.113.99") == 1  # the owner's login has opened it again


def test_passwords_are_prepared() -> None:
    assert prepare("a\u00a0b") == b"a b"  # RFC 8265 §4.2.2: other spaces
    assert prepare("e\u0301") == "é".encode()
    for bad in ("", "a\0b", "a\nb", "x" * 1025, "\ud800"):
        with pytest.raises(BadPassword):
            prepare(bad)
    hasher = Hasher(CHEAP)
    verifiers = hasher.make("e\u0301")
    assert hasher.check(verifiers, "é")
    assert not hasher.check(verifiers, "")
    assert not hasher.check([], "é")


def test_plain() -> None:
    exchange = sasl.start("plain")
    assert exchange is not None
    assert exchange.step(None) == b""
    assert exchange.step(b"\0alice\0pass word") == ("alice", "pass word", "")
    assert sasl.start("PLAIN", b"Alice\0alice\0x").step(None) == ("alice", "x", "Alice")  # type: ignore[union-attr]
    assert "secret" not in repr(sasl.Credentials("alice", "secret", ""))


@pytest.mark.parametrize(
    "data", [b"", b"alice\0x", b"\0alice\0", b"\0\0x", b"\0a\0b\0c", b"\0\xff\0x", b"\0a\0" + b"x" * 5000]
)
def test_plain_refuses_what_is_malformed(data: bytes) -> None:
    exchange = sasl.start("PLAIN")
    assert exchange is not None
    with pytest.raises(SaslError):
        exchange.step(data)


def test_plain_refuses_to_act_for_someone_else() -> None:
    exchange = sasl.start("PLAIN")
    assert exchange is not None
    with pytest.raises(SaslError) as caught:
        exchange.step(b"bob\0alice\0x")
    assert caught.value.code == 535


def test_login() -> None:
    exchange = sasl.start("LOGIN")
    assert exchange is not None
    assert exchange.step(None) == b"Username:"
    assert exchange.step(b"alice") == b"Password:"
    assert exchange.step(b"x") == ("alice", "x", "")
    early = sasl.start("login", b"alice")
    assert early is not None
    assert early.step(None) == b"Password:"
    assert early.step(b"x") == ("alice", "x", "")
    for bad in (b"", b"a\0b", b"\xff"):
        other = sasl.start("LOGIN")
        assert other is not None
        with pytest.raises(SaslError):
            other.step(bad)


def test_unknown_mechanism() -> None:
    assert sasl.start("CRAM-MD5") is None
