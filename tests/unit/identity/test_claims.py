"""Which claims make a genuine token a login, and whose."""

from __future__ import annotations

from typing import Any

import pytest

from ironpost.config import OauthConfig
from ironpost.errors import TokenRefused
from ironpost.identity import claims

NOW = 1_800_000_000.0
ISSUER = "https://login.example.org"
CONFIG = OauthConfig(issuer=ISSUER, audience="mail", scopes=("mail.read", "mail.send"))
GOOD = {"iss": ISSUER, "aud": "mail", "scope": "openid mail.send mail.read", "exp": NOW + 1}


def refused(
    changes: dict[str, Any], *, introspected: bool = False, config: OauthConfig = CONFIG
) -> TokenRefused | None:
    """What is wrong with the good claims so changed; None takes one away."""
    given = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    try:
        claims.check(given, config, NOW, introspected=introspected)
    except TokenRefused as error:
        return error
    return None


def test_issuer_and_audience() -> None:
    assert refused({}) is None
    assert refused({"aud": ["web", "mail"]}) is None
    for wrong in ({"iss": ISSUER + "/"}, {"iss": None}, {"iss": [ISSUER]}):
        assert "issuer" in refused(wrong).why  # type: ignore[union-attr]
    for wrong in (
        {"aud": "web"},
        {"aud": None},
        {"aud": []},
        {"aud": "web mail"},
        {"aud": {"mail": 1}},
        {"aud": [["mail"]]},
    ):
        assert "audience" in refused(wrong).why  # type: ignore[union-attr]


def test_an_issuer_that_is_asked_may_leave_out_what_is_its_own() -> None:
    config = OauthConfig(issuer=ISSUER, scopes=("mail.read",))
    assert refused({"iss": None, "aud": None, "exp": None}, introspected=True, config=config) is None
    for wrong in ({"iss": "https://other.example.org"}, {"scope": "openid"}, {"exp": NOW - 61}):
        assert refused(wrong, introspected=True, config=config) is not None
    assert refused({"aud": None}, introspected=True) is not None  # an audience is configured


def test_scopes() -> None:
    assert refused({"scope": None, "scp": ["mail.read", "mail.send"]}) is None
    assert refused({"scope": None, "scp": "mail.read mail.send"}) is None
    for wrong in ({"scope": "mail.read"}, {"scope": None}, {"scope": "Mail.read mail.send"}, {"scope": 7}):
        error = refused(wrong)
        assert error is not None
        assert error.status == "insufficient_scope"
        assert not error.honest
    assert refused({"aud": "web"}).status == "invalid_token"  # type: ignore[union-attr]


def test_times() -> None:
    leeway = claims.LEEWAY_SECONDS
    for good in ({"exp": NOW - leeway + 1}, {"nbf": NOW + leeway}, {"exp": NOW + 0.5}):
        assert refused(good) is None
    for why, wrong in (
        ("expired", {"exp": NOW - leeway}),
        ("without an end", {"exp": None}),
        ("exp is no time", {"exp": "1900000000"}),
        ("exp is no time", {"exp": True}),
        ("exp is no time", {"exp": float("inf")}),
        ("exp is no time", {"exp": 10**400}),
        ("not good yet", {"nbf": NOW + leeway + 1}),
        ("nbf is no time", {"nbf": []}),
    ):
        error = refused(wrong)
        assert error is not None
        assert why in error.why
        assert error.honest == (why == "expired")
    # What would never have been a login has not honestly expired.
    assert not refused({"exp": NOW - 100, "aud": "web"}).honest  # type: ignore[union-attr]


def test_tokens_bound_to_a_key_are_refused() -> None:
    assert "bound to a key" in refused({"cnf": {"jkt": "x"}}).why  # type: ignore[union-attr]
    assert "bound to a key" in refused({"cnf": {"jkt": "x"}}, introspected=True).why  # type: ignore[union-attr]


def test_whose_it_is() -> None:
    names = OauthConfig().user_claims
    assert claims.user_of({"email": "a@x.test", "preferred_username": "b", "sub": "c"}, names) == "a@x.test"
    assert claims.user_of({"preferred_username": "b", "sub": "c"}, names) == "b"
    assert claims.user_of({"sub": "c"}, names) == "c"
    assert claims.user_of({"email": "a@x.test", "email_verified": True}, names) == "a@x.test"
    assert claims.user_of({"upn": "d", "email": "a@x.test"}, ("upn",)) == "d"
    for wrong in (
        {},
        {"name": "a"},
        {"email": "", "sub": "c"},
        {"email": None, "sub": "c"},
        {"email": ["a@x.test"]},
        {"email": "a@x.test\n"},
        {"email": "\ud800@x.test"},
        {"email": "a@x.test", "email_verified": False, "sub": "c"},
        {"email": "a@x.test", "email_verified": "false"},
    ):
        with pytest.raises(TokenRefused):
            claims.user_of(wrong, names)


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"exp": NaN}', '{"exp": Infinity}', "[" * 100_000, "\xff"])
def test_what_is_no_json_object(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds, told by the callers in their own words
        claims.parse(text.encode("latin-1"))
