"""Tokens as logins, from the SASL message to the account, with an issuer on loopback and keys made here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.issuer import Issuer, Key, base64url, with_hmac

from ironpost.config import Config, IdentityConfig, LimitsConfig, parse
from ironpost.errors import AuthenticationBusy, AuthenticationFailed, SaslError, TokenRefused, TooManyFailures
from ironpost.identity import accounts, login
from ironpost.identity.passwords import Authenticator
from ironpost.runtime import timeouts
from ironpost.runtime.limits import Limits
from ironpost.state.directory import Account, Directory
from ironpost.testing.people import ListLog

CHEAP = IdentityConfig(argon2_memory=8192 * 8, argon2_time=1)
ELSEWHERE = "192.0.2.1"


class House:
    """A directory with alice and bob, an issuer, and an authenticator that believes it."""

    def __init__(self, folder: Path, issuer: Issuer, *, introspection: bool = False) -> None:
        self.folder = folder
        self.issuer = issuer
        self.log = ListLog()
        self.directory = Directory(folder / "state")
        self.limits = Limits(LimitsConfig(failed_logins_per_address=3, failed_logins_per_account=5))
        self.authenticator = Authenticator(self.directory, self.limits, CHEAP, self.log)  # type: ignore[arg-type]
        self.configure(issuer.config(folder, introspection=introspection))

    def configure(self, oauth: str) -> None:
        self.config: Config = parse('hostname = "mail.example.test"\n' + oauth, self.folder)
        self.authenticator.configure_tokens(self.config)

    async def people(self) -> None:
        await self.directory.add_domain("example.test")
        for name in ("alice", "bob"):
            await accounts.add_account(self.directory, self.authenticator.hasher, f"{name}@example.test", "right")

    async def login(self, token: str, user: str = "alice@example.test", host: str = ELSEWHERE) -> Account:
        """By OAUTHBEARER; raises what the exchange raises."""
        authzid = f"a={user}" if user else ""
        exchange = login.begin(self.authenticator, "oauthbearer", host, "imap")
        assert exchange is not None
        assert await exchange.step(None) == b""
        outcome = await exchange.step(f"n,{authzid},\x01auth=Bearer {token}\x01\x01".encode())
        if isinstance(outcome, bytes):
            self.told = json.loads(outcome)
            await exchange.step(b"\x01")
            raise AssertionError("a challenge, and then no end")
        return outcome

    async def why(self, token: str, user: str = "alice@example.test", host: str = "127.0.0.1") -> str:
        """Why a token is refused; from an address that is not counted, and forgiven to the account."""
        with pytest.raises(TokenRefused) as caught:
            await self.login(token, user, host)
        self.limits.login_succeeded("alice@example.test")
        return caught.value.why


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer().serving() as made:
        yield made


@pytest.fixture
def house(tmp_path: Path, issuer: Issuer) -> Iterator[House]:
    made = House(tmp_path, issuer)
    yield made
    made.directory.close()


@pytest.fixture
def asking(tmp_path: Path, issuer: Issuer) -> Iterator[House]:
    """It shows tokens to the issuer."""
    made = House(tmp_path, issuer, introspection=True)
    yield made
    made.directory.close()


async def test_a_good_token_is_a_login(house: House) -> None:
    await house.people()
    for user in ("alice@example.test", "ALICE@Example.Test", "alice", ""):
        assert (await house.login(house.issuer.token(), user)).address == "alice@example.test"
    exchange = login.begin(house.authenticator, "XOAUTH2", ELSEWHERE, "imap")
    assert exchange is not None
    token = house.issuer.token(email="bob@example.test")
    assert await exchange.step(f"user=bob\x01auth=Bearer {token}\x01\x01".encode()) == (2, "bob@example.test")
    assert [path for path, _, _ in house.issuer.asked] == ["/keys"]


async def test_whose_token_it_is(house: House) -> None:
    await house.people()
    token = house.issuer.token()
    assert "another user" in await house.why(token, "bob@example.test")
    assert "another user" in await house.why(token, "nobody@example.test")
    assert "no account here" in await house.why(house.issuer.token(email="carol@example.test"), "carol@example.test")
    assert "no account here" in await house.why(house.issuer.token(email="x" * 5000), "")
    assert "not verified" in await house.why(house.issuer.token(email_verified=False))


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_signatures_of_every_algorithm(house: House, algorithm: str) -> None:
    await house.people()
    key, other = Key(algorithm, "k"), Key(algorithm, "k")
    house.issuer.publish(key)
    claims = house.issuer.claims()
    assert (await house.login(key.sign(claims))).id == 1
    assert "not signed by" in await house.why(other.sign(claims))
    header, payload, signature = key.sign(claims).split(".")
    changed = base64url(json.dumps({**claims, "sub": "x"}).encode())
    assert "not signed by" in await house.why(f"{header}.{changed}.{signature}")
    for broken in (f"{header}.{payload}.AAAA", f"{header}.{payload}.", f"{header}.{payload}", f"{header}..{signature}"):
        assert await house.why(broken)
    assert (await house.login(key.sign(claims))).id == 1


async def test_keys_without_names(house: House) -> None:
    await house.people()
    keys = [Key("ES256", name) for name in ("a", "b")]
    house.issuer.publish(*keys)
    assert (await house.login(Nameless(keys[1]).sign(house.issuer.claims()))).id == 1
    assert "not signed by" in await house.why(Nameless(Key("ES256", "c")).sign(house.issuer.claims()))


class Nameless(Key):
    """Its tokens do not say which key has signed."""

    def __init__(self, key: Key) -> None:
        self.algorithm, self.private, self.kid = key.algorithm, key.private, ""


async def test_algorithms_that_are_never_taken(house: House) -> None:
    await house.people()
    key = Key("RS256", "rsa")
    house.issuer.publish(key)
    claims = house.issuer.claims()
    assert (await house.login(key.sign(claims))).id == 1
    _, payload, signature = key.sign(claims).split(".")
    for algorithm in ("none", "None", "", "HS256", "RS512", 7, None):
        bare = base64url(json.dumps({"alg": algorithm, "kid": "rsa"}).encode())
        assert "way that is not accepted" in await house.why(f"{bare}.{payload}.{signature}")
    bare = base64url(json.dumps({"alg": "none"}).encode())
    assert "no JWT" in await house.why(f"{bare}.{payload}.")
    public = key.private.public_key()
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(key.jwk()).encode(),
        key.jwk()["n"].encode(),
    ):
        assert "way that is not accepted" in await house.why(with_hmac(claims, secret, "rsa"))
    # The key is good for its own algorithm alone, and a key that comes with the token is no key.
    assert "unknown key" in await house.why(key.sign(claims, alg="PS256"))
    other = Key("RS256", "rsa")
    assert "not signed by" in await house.why(other.sign(claims, jwk=other.jwk(), jku=house.issuer.url + "/mine"))
    assert [path for path, _, _ in house.issuer.asked] == ["/keys"]


async def test_types(house: House) -> None:
    await house.people()
    key, claims = house.issuer.key, house.issuer.claims()
    for good in ("JWT", "at+jwt", "application/at+jwt", "AT+JWT"):
        assert (await house.login(key.sign(claims, typ=good))).id == 1
    for bad in ("dpop+jwt", "logout+jwt", 7, None):
        assert "another type" in await house.why(key.sign(claims, typ=bad))
    for extension in ({"crit": ["exp"]}, {"b64": False}, {"crit": []}):
        assert "not understood" in await house.why(key.sign(claims, **extension))
    assert await house.why(key.sign(claims, kid=["first"]))
    assert (await house.login(key.sign(claims, x5t="abc", x5c=["x" * 1500]))).id == 1


async def test_what_is_no_token_at_all(house: House) -> None:
    await house.people()
    for token in (
        "x",
        "a.b.c",
        "...",
        "a.b.c.d.e",
        "=" * 3 + "a",
        base64url(b"[" * 2000) + ".a.a",
        base64url(b"[]") + ".a.a",
    ):
        if token.startswith("="):
            with pytest.raises(SaslError):  # not even the characters of one
                await house.login(token)
        else:
            assert "no JWT" in await house.why(token)
    assert not house.issuer.asked


async def test_claims_are_checked(house: House) -> None:
    await house.people()
    token = house.issuer.token
    assert "another issuer" in await house.why(token(iss=house.issuer.url + "/other"))
    assert "another audience" in await house.why(token(aud="web"))
    assert "expired" in await house.why(token(exp=time.time() - 61))
    assert house.told["status"] == "invalid_token"
    assert house.told["scope"] == "mail"
    assert house.told["openid-configuration"] == house.issuer.url + "/.well-known/openid-configuration"
    assert "scope mail" in await house.why(token(scope="openid"))
    assert house.told["status"] == "insufficient_scope"


async def test_new_keys(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.people()
    assert (await house.login(house.issuer.token())).id == 1
    old, house.issuer.key = house.issuer.key, Key("EdDSA", "second")
    house.issuer.publish(old, house.issuer.key)
    monkeypatch.setattr("ironpost.identity.jwks.KEYS_RETRY_SECONDS", 0.0)
    assert (await house.login(house.issuer.token())).id == 1
    assert (await house.login(old.sign(house.issuer.claims()))).id == 1
    assert len(house.issuer.asked) == 2


async def test_keys_from_a_file(house: House) -> None:
    await house.people()
    file = house.folder / "keys.json"
    text = house.issuer.config(house.folder).replace("jwks_url", "#").replace("ca_file", "jwks_file")
    text = text.replace("issuer.pem", "keys.json")
    house.configure(text)
    with pytest.raises(AuthenticationBusy):
        await house.login(house.issuer.token())
    file.write_text(json.dumps(house.issuer.answers["/keys"][1]))
    house.configure(text)  # as a reload does it
    assert (await house.login(house.issuer.token())).id == 1
    assert not house.issuer.asked


async def test_an_issuer_that_is_down_or_slow_is_not_the_clients_fault(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.people()
    monkeypatch.setattr("ironpost.identity.jwks.KEYS_RETRY_SECONDS", 0.0)
    good = house.issuer.answers["/keys"]
    for answer in ((500, {}), (302, {}), (200, b"x" * 300_000), (200, b"<html>"), (200, {"keys": []})):
        house.issuer.answers["/keys"] = answer
        with pytest.raises(AuthenticationBusy):
            await house.login(house.issuer.token())
    house.issuer.answers["/keys"] = good
    house.issuer.gate.clear()
    with monkeypatch.context() as patch:
        patch.setattr(timeouts, "OAUTH_REQUEST", 0.2)
        with pytest.raises(AuthenticationBusy):
            await house.login(house.issuer.token())
    house.issuer.gate.set()
    for _ in range(2):  # nothing of that was counted
        assert (await house.login(house.issuer.token())).id == 1


async def test_introspection(asking: House) -> None:
    await asking.people()
    asking.issuer.tokens = {
        "opaque": asking.issuer.claims(),
        "narrow": asking.issuer.claims(scope="openid"),
        "other": asking.issuer.claims(aud="web"),
        "old": asking.issuer.claims(exp=time.time() - 100),
    }
    for _ in range(3):
        assert (await asking.login("opaque")).id == 1
    assert len(asking.issuer.asked) == 1
    assert "another user" in await asking.why("opaque", "bob")
    assert "scope mail" in await asking.why("narrow")
    assert "another audience" in await asking.why("other")
    assert "expired" in await asking.why("old")
    assert "not active" in await asking.why("unknown")
    assert "not active" in await asking.why(asking.issuer.token())


async def test_an_issuer_that_cannot_be_asked(asking: House) -> None:
    await asking.people()
    asking.issuer.tokens = {"opaque": asking.issuer.claims()}
    (asking.folder / "issuer.secret").write_text("another\n")
    with pytest.raises(AuthenticationBusy):
        await asking.login("opaque")
    (asking.folder / "issuer.secret").unlink()
    with pytest.raises(AuthenticationBusy):
        await asking.login("opaque")
    asking.configure(asking.issuer.config(asking.folder, introspection=True))
    asking.issuer.answers["/introspect"] = (200, b"x" * 100_000)
    with pytest.raises(AuthenticationBusy):
        await asking.login("opaque")
    del asking.issuer.answers["/introspect"]
    assert (await asking.login("opaque")).id == 1


async def test_no_wait_without_an_end(asking: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await asking.people()
    monkeypatch.setattr(timeouts, "OAUTH_LOGIN", 0.2)
    asking.issuer.gate.clear()
    with pytest.raises(AuthenticationBusy):
        await asking.login("opaque")


async def test_too_many_questions_are_told(asking: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await asking.people()
    monkeypatch.setattr("ironpost.identity.tokens.REQUESTS_WAITING_MAX", -8)
    asking.issuer.tokens = {f"opaque{number}": asking.issuer.claims() for number in range(6)}
    asking.issuer.gate.clear()
    outcomes: list[str] = []

    async def one(token: str) -> None:
        try:
            await asking.login(token)
            outcomes.append("good")
        except AuthenticationBusy:
            outcomes.append("busy")
            if len(outcomes) == 4:
                asking.issuer.gate.set()

    async with trio.open_nursery() as nursery:
        for token in asking.issuer.tokens:
            nursery.start_soon(one, token)
    assert sorted(outcomes) == ["busy"] * 4 + ["good"] * 2


async def test_bad_tokens_close_the_address(house: House) -> None:
    await house.people()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await house.login(house.issuer.token(aud="web"), "")
    for user in ("", "alice"):
        with pytest.raises(TooManyFailures):
            await house.login(house.issuer.token(), user)
    with pytest.raises(TooManyFailures):
        await house.authenticator.verify("alice", "right", ELSEWHERE, "imap")
    assert (await house.login(house.issuer.token(), host="192.0.2.2")).id == 1


async def test_bad_tokens_close_the_account_to_strangers_and_expired_ones_do_not(house: House) -> None:
    await house.people()
    old, bad = house.issuer.token(exp=time.time() - 100), house.issuer.token(aud="web")
    await house.login(house.issuer.token(), host="198.51.100.1")
    for number in range(6):
        with pytest.raises(AuthenticationFailed):
            await house.login(old, host=f"203.0.113.{number}")
    assert (await house.authenticator.verify("bob", "right", "203.0.113.50", "imap")).account.id == 2
    assert (await house.login(house.issuer.token(), host="203.0.113.50")).id == 1
    for number in range(5):
        with pytest.raises(AuthenticationFailed):
            await house.login(bad, host=f"203.0.113.{100 + number}")
    for user in ("alice", ""):
        with pytest.raises(TooManyFailures):
            await house.login(house.issuer.token(), user, host="203.0.113.200")
    with pytest.raises(TooManyFailures):
        await house.authenticator.verify("alice", "right", "203.0.113.200", "imap")
    assert (await house.login(house.issuer.token(), host="198.51.100.1")).id == 1


async def test_expired_tokens_close_the_address(house: House) -> None:
    await house.people()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            await house.login(house.issuer.token(exp=time.time() - 100))
    with pytest.raises(TooManyFailures):
        await house.login(house.issuer.token())


async def test_a_client_that_looks_for_the_issuer_is_not_counted(house: House) -> None:
    await house.people()
    for _ in range(5):
        exchange = login.begin(house.authenticator, "OAUTHBEARER", ELSEWHERE, "imap")
        assert exchange is not None
        told = await exchange.step(b"n,,\x01auth=\x01\x01")
        assert isinstance(told, bytes)
        assert b"openid-configuration" in told
        with pytest.raises(AuthenticationFailed):
            await exchange.step(b"\x01")
    assert (await house.login(house.issuer.token())).id == 1


async def test_after_the_challenge_nothing_else_is_taken(house: House) -> None:
    await house.people()
    for answer in (b"x", f"n,,\x01auth=Bearer {house.issuer.token()}\x01\x01".encode()):
        exchange = login.begin(house.authenticator, "OAUTHBEARER", ELSEWHERE, "imap")
        assert exchange is not None
        await exchange.step(b"n,,\x01auth=\x01\x01")
        with pytest.raises(SaslError):
            await exchange.step(answer)


async def test_tokens_are_logins_only_when_an_issuer_is_configured(house: House) -> None:
    assert login.mechanisms(house.authenticator, None)[-2:] == ("OAUTHBEARER", "XOAUTH2")
    before = house.authenticator.tokens
    house.configure(house.issuer.config(house.folder))
    assert house.authenticator.tokens is before
    house.configure("")
    assert "XOAUTH2" not in login.mechanisms(house.authenticator, None)
    assert login.begin(house.authenticator, "XOAUTH2", ELSEWHERE, "imap") is None


async def test_an_exchange_under_way_when_tokens_cease_to_be_logins(house: House) -> None:
    await house.people()
    exchange = login.begin(house.authenticator, "XOAUTH2", ELSEWHERE, "imap")
    assert exchange is not None
    house.configure("")
    with pytest.raises(AuthenticationBusy):
        await exchange.step(f"user=alice\x01auth=Bearer {house.issuer.token()}\x01\x01".encode())


async def test_no_token_in_the_log(house: House) -> None:
    await house.people()
    token = house.issuer.token(aud="web")
    await house.why(token)
    assert "another audience" in repr(house.log.lines)
    assert token.split(".")[1][:40] not in repr(house.log.lines)
    assert token.split(".")[2][:40] not in repr(house.log.lines)
