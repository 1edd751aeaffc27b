"""App passwords: their shape, what they are good for, and what a login with one costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironpost.backup import people
from ironpost.config import IdentityConfig, LimitsConfig
from ironpost.errors import AuthenticationFailed, DirectoryError, UserError
from ironpost.identity import accounts, app_passwords
from ironpost.identity.hashing import Hasher
from ironpost.identity.passwords import Authenticator
from ironpost.runtime.limits import Limits
from ironpost.state.app_passwords import LABEL_CHARACTERS_MAX, PER_ACCOUNT_MAX, SCOPES, USED_GRAIN_SECONDS
from ironpost.state.directory import Directory
from ironpost.testing.people import ListLog

CHEAP = IdentityConfig(argon2_memory=8192 * 8, argon2_time=1)
ALICE = "alice@example.test"
HOST = "192.0.2.1"


class House:
    """A directory with alice, an authenticator that counts what is slow, and its log."""

    def __init__(self, folder: Path) -> None:
        self.directory = Directory(folder)
        self.log = ListLog()
        limits = Limits(LimitsConfig(failed_logins_per_address=100, failed_logins_per_account=100))
        self.authenticator = Authenticator(self.directory, limits, CHEAP, self.log)  # type: ignore[arg-type]
        self.slow = 0
        self._slowly = self.authenticator._slowly
        self.authenticator._slowly = self._counted  # type: ignore[method-assign, assignment]

    async def _counted(self, function: Any, *arguments: Any) -> Any:
        self.slow += 1
        return await self._slowly(function, *arguments)

    async def people(self) -> None:
        await self.directory.add_domain("example.test")
        await accounts.add_account(self.directory, Hasher(CHEAP), ALICE, "right")

    async def add(self, *scopes: str, lifetime: float | None = None, now: float | None = None) -> app_passwords.Made:
        made = app_passwords.make("phone", scopes, time.time() if now is None else now, lifetime)
        await self.directory.app_passwords.add(ALICE, made.verifier)
        return made

    async def login(self, password: str, service: str = "imap") -> tuple[str, str]:
        proof = (await self.authenticator.verify(ALICE, password, HOST, service)).proof
        return proof.method, proof.app_password


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.directory.close()


@given(
    st.sets(st.sampled_from(SCOPES)),
    st.text(st.characters(categories=("L", "N")), min_size=1, max_size=LABEL_CHARACTERS_MAX),
    st.lists(st.sampled_from(" -\u00a0"), max_size=20),
    st.randoms(use_true_random=False),
)
def test_what_is_made_is_found_however_it_is_typed(
    scopes: set[str], label: str, between: list[str], random: Any
) -> None:
    made, others = (
        app_passwords.make(label, tuple(scopes), 5.0),
        [app_passwords.make("other", (), 1.0) for _ in range(3)],
    )
    rows = [{"kind": "argon2id", "hash": "x"}, *(one.verifier for one in others), made.verifier]
    typed = list(made.password.upper() if random.random() < 0.5 else made.password)
    for mark in between:
        typed.insert(random.randrange(len(typed) + 1), mark)
    swapped = "".join({"1": "l", "0": "O"}.get(c, c) if random.random() < 0.5 else c for c in typed)
    found = app_passwords.match(rows, swapped)
    assert found is not None
    assert found.id == made.verifier["id"] == made.password[:4]
    assert found.label == label
    assert set(found.scopes) == (scopes or set(SCOPES))
    assert app_passwords.match(rows[:-1], swapped) is None


@given(st.text(max_size=150))
def test_other_texts_have_not_the_shape(text: str) -> None:
    plain = app_passwords.plain_of(text)
    assert plain is None or (len(plain) == 24 and app_passwords.plain_of(plain) == plain)


def test_shape() -> None:
    made = app_passwords.make("phone", (), 0.0)
    assert [len(group) for group in made.password.split("-")] == [4] * 6
    assert len(app_passwords.ALPHABET) == len(set(app_passwords.ALPHABET)) == 32
    assert app_passwords.SECRET_CHARACTERS * 5 >= 100  # bits
    assert made.password not in repr(made)
    assert made.password.replace("-", "") not in repr(made.verifier)
    last = made.password[-1]
    wrong = made.password[:-1] + app_passwords.ALPHABET[app_passwords.ALPHABET.index(last) - 1]
    for other in (wrong, made.password[:-1], made.password + "0", "", " " * 200):
        assert app_passwords.match([made.verifier], other) is None


@pytest.mark.parametrize(
    ("label", "scopes", "lifetime", "told"),
    [
        ("", (), None, "label"),
        ("  ", (), None, "label"),
        ("x" * 101, (), None, "label"),
        ("a\nb", (), None, "label"),
        ("x", ("imap", "ftp"), None, "scope ftp"),
        ("x", (), 0.0, "expire"),
        ("x", (), -5.0, "expire"),
    ],
)
def test_what_cannot_be_made(label: str, scopes: tuple[str, ...], lifetime: float | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        app_passwords.make(label, scopes, 0.0, lifetime)


async def test_a_login_costs_one_fast_hash(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.people()
    made = [await house.add() for _ in range(PER_ACCOUNT_MAX)]
    hashes = []
    digest = app_passwords._digest
    monkeypatch.setattr(app_passwords, "_digest", lambda *arguments: hashes.append(1) or digest(*arguments))
    for one in (made[0], made[-1]):
        assert await house.login(one.password) == ("app-password", one.verifier["id"])
    assert (house.slow, len(hashes)) == (0, 2)
    assert await house.login("right") == ("password", "")
    assert (house.slow, len(hashes)) == (1, 2)
    with pytest.raises(DirectoryError, match="at most 50"):
        await house.add()


async def test_scopes(house: House) -> None:
    await house.people()
    made = await house.add("imap", "submission")
    for service in ("imap", "submission"):
        await house.login(made.password, service)
    assert house.slow == 0
    for number, service in enumerate(("pop3", "managesieve", ""), 1):
        with pytest.raises(AuthenticationFailed) as caught:
            await house.login(made.password, service)
        assert str(caught.value) == "Authentication failed"
        assert house.slow == number, "a wrong scope costs what a wrong password costs"
    reasons = [fields["why"] for _, event, fields in house.log.lines if event == "app login refused"]
    assert reasons == ["not for pop3", "not for managesieve", "not for this service"]
    assert made.password not in repr(house.log.lines)


async def test_expiry(house: House) -> None:
    await house.people()
    await house.login((await house.add(lifetime=60.0)).password)
    late = await house.add(lifetime=60.0, now=time.time() - 61.0)
    with pytest.raises(AuthenticationFailed):
        await house.login(late.password)
    assert house.log.lines[-1][2]["why"] == "expired"


async def test_removal_ends_its_use_at_once(house: House) -> None:
    await house.people()
    made, other = await house.add(), await house.add()
    await house.login(made.password)
    await house.login("right")
    slow = house.slow
    await house.directory.app_passwords.remove(ALICE, made.verifier["id"])
    with pytest.raises(AuthenticationFailed):
        await house.login(made.password)
    await house.login(other.password)
    await house.login("right")
    assert house.slow == slow + 1, "what is remembered of the account's own password stands"
    with pytest.raises(DirectoryError, match="no app password"):
        await house.directory.app_passwords.remove(ALICE, made.verifier["id"])
    await house.directory.remove_account(ALICE)
    with pytest.raises(AuthenticationFailed):
        await house.login(other.password)
    with pytest.raises(DirectoryError):
        house.directory.app_passwords.of(ALICE)


async def test_they_outlive_a_change_of_the_password(house: House) -> None:
    await house.people()
    made = await house.add()
    await accounts.set_password(house.directory, Hasher(CHEAP), ALICE, "other")
    await house.login(made.password)
    await house.login("other")
    with pytest.raises(AuthenticationFailed):
        await house.login("right")


async def test_an_own_password_of_the_same_shape(house: House) -> None:
    await house.people()
    own = "abcd-efgh-jkmn-pqrs-tvwx-yz23"
    await accounts.set_password(house.directory, Hasher(CHEAP), ALICE, own)
    await house.add()
    assert await house.login(own) == ("password", "")


async def test_the_last_use_is_noted_seldom(house: House) -> None:
    await house.people()
    made = await house.add()
    kept, identifier = house.directory.app_passwords, made.verifier["id"]
    assert kept.of(ALICE)[0].used is None
    for at, noted in ((1000.0, 1000.0), (2000.0, 1000.0), (1000.0 + USED_GRAIN_SECONDS, 1000.0 + USED_GRAIN_SECONDS)):
        kept.note_use(1, identifier, at).result(10)
        assert kept.of(ALICE)[0].used == noted
    writes = house.directory.generation
    await house.login(made.password)
    kept.note_use(1, "none", 0.0).result(10)  # behind that of the login
    assert kept.of(ALICE)[0].used == pytest.approx(time.time(), abs=60)
    written = house.directory.generation
    assert written > writes
    for _ in range(5):
        await house.login(made.password)
    kept.note_use(1, "none", 0.0).result(10)
    assert house.directory.generation <= written + 1
    # One that has been removed is not noted again.
    await kept.remove(ALICE, identifier)
    kept.note_use(1, identifier, time.time()).result(10)
    await kept.add(ALICE, made.verifier)
    assert kept.of(ALICE)[0].used is None


async def test_exports_carry_them(house: House, tmp_path: Path) -> None:
    await house.people()
    made = await house.add("imap")
    ((_, fields),) = people.accounts(house.directory, credentials=True)
    assert not any(name == "Verifier" for name, _ in people.accounts(house.directory, credentials=False)[0][1])
    other = House(tmp_path / "other")
    try:
        assert people.Welcome(other.directory, merge=False).answer([("Kind", "account"), *fields]) == 1
        assert await other.login(made.password) == ("app-password", made.verifier["id"])
        assert await other.login("right") == ("password", "")
    finally:
        other.directory.close()
