"""The issuer's keys: which are taken, when they are read again, how long they serve without being read."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
import trio
import trio.testing
from tests.support.issuer import Key

from ironpost.errors import AuthenticationBusy, TokenRefused
from ironpost.identity import jwks
from ironpost.runtime.https import HttpFailed
from ironpost.testing.people import ListLog

RSA = Key("RS256", "rsa")
CURVE = Key("ES256", "curve")
EDWARDS = Key("EdDSA", "edwards")


def a_set(*rows: Any) -> bytes:
    return json.dumps({"keys": rows}).encode()


class Source(jwks.KeySource):
    """With a clock of its own and a set that tests change; an exception is raised instead."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.given: bytes | Exception = a_set(CURVE.jwk())
        self.reads = 0
        self.gate: trio.Event | None = None
        self.lines = ListLog()
        super().__init__(self._given, self._at_once, self.lines, lambda: self.now)  # type: ignore[arg-type]

    async def _given(self) -> bytes:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.given, Exception):
            raise self.given
        return self.given

    async def _at_once(self, function: Any, *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*arguments)


def test_which_keys_are_taken() -> None:
    good = [key.jwk() for key in (RSA, CURVE, EDWARDS)]
    assert [key.kid for key in jwks.keys_of(a_set(*good))] == ["rsa", "curve", "edwards"]
    bare = {name: value for name, value in CURVE.jwk().items() if name in ("kty", "crv", "x", "y")}
    assert jwks.keys_of(a_set(bare))[0][:4] == ("", "EC", "P-256", "")
    bad = [
        7,
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {**CURVE.jwk(), "use": "enc"},
        {**CURVE.jwk(), "alg": "ES384"},
        {**CURVE.jwk(), "alg": "HS256"},
        {**CURVE.jwk(), "kid": 7},
        {**CURVE.jwk(), "crv": "P-521"},
        {**CURVE.jwk(), "x": CURVE.jwk()["y"]},
        {**CURVE.jwk(), "x": "!"},
        {**RSA.jwk(), "alg": "ES256"},
        {**RSA.jwk(), "n": RSA.jwk()["n"][:171]},
        {**RSA.jwk(), "n": RSA.jwk()["n"] * 20},
        {**RSA.jwk(), "n": 7},
        {**RSA.jwk(), "e": ""},
        {**EDWARDS.jwk(), "crv": "X25519"},
        {**EDWARDS.jwk(), "x": "AAAA"},
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [key.kid for key in jwks.keys_of(a_set(*bad, CURVE.jwk()))] == ["curve"]
    for octets in (b"", b"[]", b"{}", b'{"keys": {}}', a_set(), a_set(*bad)):
        with pytest.raises(ValueError):  # noqa: PT011
            jwks.keys_of(octets)


async def test_a_key_serves_its_own_algorithm_alone() -> None:
    source = Source()
    bare = {name: value for name, value in RSA.jwk().items() if name != "alg"}
    source.given = a_set({**RSA.jwk(), "kid": "one"}, {**bare, "kid": "both"}, CURVE.jwk())
    assert len(await source.find("one", "RS256")) == 1
    assert len(await source.find("both", "PS256")) == 1
    assert len(await source.find("", "RS256")) == 2
    for kid, algorithm in (("one", "PS256"), ("curve", "RS256"), ("both", "ES256"), ("curve", "EdDSA")):
        with pytest.raises(TokenRefused):
            await source.find(kid, algorithm)


async def test_an_unknown_key_has_them_read_again_but_not_often() -> None:
    source = Source()
    assert await source.find("curve", "ES256")
    new = Key("ES256", "new")
    source.given = a_set(new.jwk())
    source.now += jwks.KEYS_RETRY_SECONDS - 1
    with pytest.raises(TokenRefused) as caught:
        await source.find("new", "ES256")
    assert caught.value.honest
    assert source.reads == 1
    source.now += 1
    assert await source.find("new", "ES256")
    for kid in ("made up", "and another", "curve"):
        with pytest.raises(TokenRefused):
            await source.find(kid, "ES256")
    assert source.reads == 2


async def test_age_has_them_read_again() -> None:
    source = Source()
    assert await source.find("curve", "ES256")
    source.now += jwks.KEYS_FRESH_SECONDS - 1
    assert await source.find("curve", "ES256")
    assert source.reads == 1
    source.now += 1
    source.given = a_set(RSA.jwk())
    with pytest.raises(TokenRefused):
        await source.find("curve", "ES256")
    assert source.reads == 2


async def test_old_keys_serve_while_new_ones_cannot_be_had() -> None:
    source = Source()
    assert await source.find("curve", "ES256")
    for failure in (HttpFailed("connection refused"), OSError("no file"), ValueError("too long")):
        source.given = failure
        source.now += jwks.KEYS_FRESH_SECONDS
        assert await source.find("curve", "ES256")
        assert await source.find("curve", "ES256")
    assert source.reads == 4
    # Whether another key is known to the issuer nobody can say now.
    with pytest.raises(AuthenticationBusy):
        await source.find("other", "ES256")
    source.given = b"{}"
    source.now = 1000.0 + jwks.KEYS_STALE_SECONDS
    with pytest.raises(AuthenticationBusy):
        await source.find("curve", "ES256")
    source.now += jwks.KEYS_RETRY_SECONDS
    source.given = a_set(CURVE.jwk())
    assert await source.find("curve", "ES256")


async def test_no_keys_at_all_is_nobodys_fault() -> None:
    source = Source()
    source.given = HttpFailed("status 500")
    for _ in range(3):
        with pytest.raises(AuthenticationBusy):
            await source.find("curve", "ES256")
    assert source.reads == 1
    assert [level for level, _, _ in source.lines.lines] == ["warning"]


async def test_one_login_reads_and_the_others_go_on_with_the_old_keys() -> None:
    source = Source()
    assert await source.find("curve", "ES256")
    source.now += jwks.KEYS_FRESH_SECONDS
    source.gate = trio.Event()
    done: list[str] = []

    async def find(name: str) -> None:
        await source.find("curve", "ES256")
        done.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(find, "reader")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(find, "other")
        await trio.testing.wait_all_tasks_blocked()
        assert done == ["other"]
        source.gate.set()
    assert done == ["other", "reader"]
    assert source.reads == 2


async def test_those_who_come_while_the_first_reads_wait_for_it() -> None:
    source = Source()
    source.gate = trio.Event()
    found: list[int] = []

    async def find() -> None:
        found.append(len(await source.find("curve", "ES256")))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(find)
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        source.gate.set()
    assert found == [1, 1, 1]
    assert source.reads == 1


async def test_a_reload_has_them_read_again() -> None:
    source = Source()
    assert await source.find("curve", "ES256")
    source.again()
    source.given = HttpFailed("down")
    assert await source.find("curve", "ES256")
    assert source.reads == 2
