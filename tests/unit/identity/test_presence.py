"""Who is logged in, and when a login has lost its ground."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ironpost.config import IdentityConfig
from ironpost.identity import accounts, app_passwords
from ironpost.identity.hashing import Hasher
from ironpost.identity.presence import GROUND_GONE, REVOKED, Presence, Present, Proof
from ironpost.runtime.stream import Address
from ironpost.state.directory import Account, Directory

HASHER = Hasher(IdentityConfig(argon2_memory=8192 * 8, argon2_time=1))
ALICE = "alice@example.test"


class FakeStream:
    """Remembers why it was dismissed."""

    def __init__(self) -> None:
        self.peer = Address("192.0.2.1", 1)
        self.why = ""

    def dismiss(self, why: str) -> None:
        self.why = self.why or why


def present(identifier: str, account: int, proof: Proof) -> Present:
    stream: Any = FakeStream()
    return Present(identifier, "imap", Account(account, ALICE), proof, stream)


def why(one: Present) -> str:
    stream: Any = one.stream
    return str(stream.why)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path)
    yield made
    made.close()


def test_enter_leave_dismiss() -> None:
    presence = Presence()
    first, second, third = (present(f"s{n}", n // 2, Proof("password", 0)) for n in range(3))
    for one in (first, second, third):
        presence.enter(one)
    assert presence.of() == [first, second, third]
    assert presence.of(0) == [first, second]
    assert presence.of(7) == []
    assert presence.dismiss(None, "s2") == 1
    assert presence.dismiss(None, "s9") == presence.dismiss(None, None) == presence.dismiss(7, None) == 0
    assert presence.dismiss(0, None) == 2
    assert [why(one) for one in (first, second, third)] == [REVOKED] * 3
    presence.leave(second)
    presence.leave(second)
    presence.leave(None)
    assert presence.of(0) == [first]
    presence.leave(first)
    assert presence.of() == [third]
    told = third.told()
    assert (told["id"], told["account"], told["peer"], told["method"]) == ("s2", ALICE, "192.0.2.1", "password")


async def people(directory: Directory) -> str:
    """alice, and the id of an app password of hers."""
    await directory.add_domain("example.test")
    await accounts.add_account(directory, HASHER, ALICE, "right")
    made = app_passwords.make("phone", (), time.time())
    await directory.app_passwords.add(ALICE, made.verifier)
    return str(made.verifier["id"])


async def test_logins_end_with_what_they_stand_on(directory: Directory) -> None:
    app = await people(directory)
    presence = Presence()
    own, scram = present("a", 1, Proof("password", 0)), present("b", 1, Proof("scram-sha-256", 0))
    by_app, by_token = present("c", 1, Proof("app-password", app_password=app)), present("d", 1, Proof("oauthbearer"))
    everybody = (own, scram, by_app, by_token)
    for one in everybody:
        presence.enter(one)
    credential = directory.credential(1)
    assert credential is not None
    # Another cost is not another password.
    await directory.set_verifiers(ALICE, HASHER.make("right"), generation=credential.generation)
    await presence.look(directory)
    assert [why(one) for one in everybody] == [""] * 4
    await accounts.set_password(directory, HASHER, ALICE, "other")
    await presence.look(directory)
    assert [why(one) for one in everybody] == [GROUND_GONE, GROUND_GONE, "", ""]
    await directory.app_passwords.remove(ALICE, app)
    await presence.look(directory)
    assert [why(one) for one in everybody] == [GROUND_GONE] * 3 + [""]
    await directory.remove_account(ALICE)
    await presence.look(directory)
    assert why(by_token) == GROUND_GONE


async def test_a_login_that_has_lost_its_ground_before_it_entered(directory: Directory) -> None:
    await people(directory)
    presence = Presence()
    await accounts.set_password(directory, HASHER, ALICE, "other")
    await presence.look(directory)
    late = present("a", 1, Proof("password", 0))
    presence.enter(late)
    await presence.look(directory)
    assert why(late) == GROUND_GONE
