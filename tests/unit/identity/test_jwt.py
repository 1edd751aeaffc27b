"""Whatever a client sends as a JWT is verified or refused, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.issuer import Key, base64url

from ironpost.errors import TokenRefused
from ironpost.identity import jwks, jwt

KEYS = [Key(algorithm, "k") for algorithm in jwks.ALGORITHMS]
PUBLIC = {
    key.algorithm: tuple(one.key for one in jwks.keys_of(json.dumps({"keys": [key.jwk()]}).encode())) for key in KEYS
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)
)


def verified(token: str) -> dict[str, Any]:
    header = jwt.header_of(token)
    return jwt.verified(token, header, PUBLIC[header.algorithm])


@given(st.sampled_from(KEYS), st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_what_is_signed_is_read(key: Key, claims: dict[str, Any]) -> None:
    assert verified(key.sign(claims)) == claims


@given(st.sampled_from(KEYS), st.integers(min_value=0), st.characters(max_codepoint=127))
def test_no_character_can_be_changed(key: Key, place: int, character: str) -> None:
    token = key.sign({"sub": "alice"})
    place %= len(token)
    changed = token[:place] + character + token[place + 1 :]
    try:
        claims = verified(changed)
    except TokenRefused:
        return
    assert claims == {"sub": "alice"}  # bits behind the last octet of base64 mean nothing


@given(
    st.dictionaries(
        st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "zip"]), JSON | st.sampled_from(list(PUBLIC))
    )
)
def test_any_header_is_read_or_refused(header: dict[str, Any]) -> None:
    token = ".".join((base64url(json.dumps(header).encode()), base64url(b"{}"), base64url(b"x" * 64)))
    with pytest.raises(TokenRefused):
        verified(token)


@given(st.text(st.sampled_from("eyJhbGciOiJ.9_-=+/~"), max_size=100))
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        verified(token)


def test_a_payload_that_is_no_object_is_refused() -> None:
    key = KEYS[0]
    for payload in ([], 7, "x", None):
        with pytest.raises(TokenRefused):
            verified(key.sign(payload))  # type: ignore[arg-type]
