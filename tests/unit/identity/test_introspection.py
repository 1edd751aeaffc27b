"""Asking the issuer about a token (RFC 7662): what is asked, what is believed, what is remembered."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import trio

from ironpost.errors import AuthenticationBusy, TokenRefused
from ironpost.identity import introspection
from ironpost.runtime.https import HttpAnswer
from ironpost.testing.people import ListLog


class Asked(introspection.Introspection):
    """With a clock of its own, and an issuer that tests speak for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.said: Any = {"active": True, "sub": "alice"}
        self.status = 200
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.lines = ListLog()
        super().__init__(
            self._answer,
            "mail:server",
            self._read,
            self.lines,
            clock=lambda: self.now,
            now=lambda: 500.0 + self.now,  # type: ignore[arg-type]
        )

    async def _answer(self, fields: tuple[tuple[str, str], ...], body: bytes) -> HttpAnswer:
        await trio.lowlevel.checkpoint()
        self.asked.append((dict(fields), body))
        return HttpAnswer(self.status, self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode())

    async def _read(self) -> str:
        await trio.lowlevel.checkpoint()
        return "s3cret +"


async def test_what_is_asked() -> None:
    asked = Asked()
    assert (await asked.claims("a+b/c=="))["sub"] == "alice"
    fields, body = asked.asked[0]
    assert body == b"token=a%2Bb%2Fc%3D%3D&token_type_hint=access_token"
    assert base64.b64decode(fields["Authorization"].removeprefix("Basic ")) == b"mail%3Aserver:s3cret+%2B"
    assert fields["Content-Type"] == "application/x-www-form-urlencoded"


async def test_good_answers_are_remembered_for_a_short_time() -> None:
    asked = Asked()
    for _ in range(3):
        await asked.claims("token")
    await asked.claims("other")
    assert len(asked.asked) == 2
    asked.now += introspection.REMEMBERED_SECONDS
    await asked.claims("token")
    assert len(asked.asked) == 3
    asked.again()
    await asked.claims("token")
    assert len(asked.asked) == 4
    assert not any("token" in repr(entry) for entry in asked._remembered)


async def test_no_longer_than_the_token_is_good() -> None:
    asked = Asked()
    asked.said = {"active": True, "exp": 500.0 + asked.now + 10}
    await asked.claims("token")
    asked.now += 9
    await asked.claims("token")
    assert len(asked.asked) == 1
    asked.now += 1
    await asked.claims("token")
    await asked.claims("token")
    assert len(asked.asked) == 3


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(introspection, "REMEMBERED_MAX", 2)
    asked = Asked()
    for token in ("a", "b", "a", "c", "a", "b"):
        await asked.claims(token)
    assert [body[6:7] for _, body in asked.asked] == [b"a", b"b", b"c", b"b"]


async def test_long_answers_are_not_remembered() -> None:
    asked = Asked()
    asked.said = {"active": True, "groups": "g" * introspection.REMEMBERED_OCTETS_MAX}
    for _ in range(2):
        await asked.claims("token")
    assert len(asked.asked) == 2


@pytest.mark.parametrize("active", [False, None, "true", 1, [True]])
async def test_only_what_is_active_is_good_and_failures_are_not_remembered(active: object) -> None:
    asked = Asked()
    asked.said = {"active": active, "sub": "alice"}
    for _ in range(2):
        with pytest.raises(TokenRefused) as caught:
            await asked.claims("token")
        assert caught.value.honest
    assert len(asked.asked) == 2


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, {}),
        (500, {"active": True}),
        (302, {"active": True}),
        (200, b""),
        (200, b"[]"),
        (200, b"\xff"),
        (200, b"[" * 60_000),
    ],
)
async def test_an_issuer_that_does_not_answer_is_not_the_clients_fault(status: int, said: Any) -> None:
    asked = Asked()
    asked.status, asked.said = status, said
    with pytest.raises(AuthenticationBusy):
        await asked.claims("sesame")
    assert [level for level, _, _ in asked.lines.lines] == ["error"]
    assert "sesame" not in repr(asked.lines.lines)
