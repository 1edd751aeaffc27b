"""What clients send in OAUTHBEARER and XOAUTH2, and what a refused one is told."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironpost.errors import SaslError
from ironpost.identity import oauth

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_messages_of_the_rfc() -> None:
    # RFC 7628 §4.1 (IMAP) and §4.3 (SMTP has the same with other ports)
    message = (
        b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer " + TOKEN.encode() + b"\x01\x01"
    )
    assert base64.b64encode(message).startswith(b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9")
    assert oauth.read("OAUTHBEARER", message) == ("user@example.com", TOKEN)
    # A client that looks for the issuer sends an empty `auth`.
    asking = b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=\x01\x01"
    assert oauth.read("OAUTHBEARER", asking) == ("user@example.com", "")


def test_challenge_of_the_rfc() -> None:
    # RFC 7628 §3.2.2
    told = oauth.challenge("invalid_token", ("example_scope",), "https://example.com/.well-known/openid-configuration")
    assert json.loads(told) == {
        "status": "invalid_token",
        "scope": "example_scope",
        "openid-configuration": "https://example.com/.well-known/openid-configuration",
    }
    assert json.loads(oauth.challenge("insufficient_scope", ("a", "b"), "")) == {
        "status": "insufficient_scope",
        "scope": "a b",
    }
    assert oauth.is_acknowledgement(b"\x01")
    assert oauth.is_acknowledgement(b"")
    assert not oauth.is_acknowledgement(b"x")
    assert not oauth.is_acknowledgement(None)


@pytest.mark.parametrize(
    ("message", "user"),
    [
        (b"n,,\x01auth=Bearer a.b-c_d~e+f/g==\x01\x01", ""),
        (b"y,a=a=2Cb=3Dc,\x01auth=bearer a.b-c_d~e+f/g==\x01\x01", "a,b=c"),
        ("n,a=jürgen@example.test,\x01auth=BEARER  a.b-c_d~e+f/g== \x01\x01".encode(), "jürgen@example.test"),
        (b"n,,\x01mthd=POST\x01host=x\x01port=993\x01auth=Bearer a.b-c_d~e+f/g==\x01path=/\x01\x01", ""),
    ],
)
def test_other_good_messages(message: bytes, user: str) -> None:
    assert oauth.read("OAUTHBEARER", message) == (user, "a.b-c_d~e+f/g==")


def test_xoauth2() -> None:
    assert oauth.read(
        "XOAUTH2", b"user=someuser@example.com\x01auth=Bearer ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE\x01\x01"
    ) == (
        "someuser@example.com",
        "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGE",
    )


@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("OAUTHBEARER", message)
        for message in (
            b"",
            b"\x01",
            b"n,,",
            b"n,,\x01",
            b"n,,\x01\x01",
            b"n,,\x01auth=Bearer x\x01",
            b"n,,\x01auth=Bearer x",
            b"n,\x01auth=Bearer x\x01\x01",
            b"n,,,\x01auth=Bearer x\x01\x01",
            b"n,,x\x01auth=Bearer x\x01\x01",
            b"x,,\x01auth=Bearer x\x01\x01",
            b"p=tls-exporter,,\x01auth=Bearer x\x01\x01",
            b"F,n,,\x01auth=Bearer x\x01\x01",
            b"n,b=user,\x01auth=Bearer x\x01\x01",
            b"n,a=,\x01auth=Bearer x\x01\x01",
            b"n,a=us=er,\x01auth=Bearer x\x01\x01",
            b"n,a=\xff,\x01auth=Bearer x\x01\x01",
            b"n,a=a\0b,\x01auth=Bearer x\x01\x01",
            b"n,,\x01host=x\x01port=143\x01\x01",
            b"n,,\x01port=abc\x01auth=Bearer x\x01\x01",
            b"n,,\x01port=999999\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Bearer x\x01auth=Bearer y\x01\x01",
            b"n,,\x01auth=Bearer x\x01\x01auth=Bearer y\x01\x01",
            b"n,,\x01auth=Bearer\x01\x01",
            b"n,,\x01auth=Bearer \x01\x01",
            b"n,,\x01auth=Basic dXNlcjp4\x01\x01",
            b"n,,\x01auth=Bearer x y\x01\x01",
            b"n,,\x01auth=Bearer x=y\x01\x01",
            b"n,,\x01auth=Bearer x\0\x01\x01",
            b"n,,\x01auth=Bearer \xe9\x01\x01",
            b"n,,\x01auth\x01\x01",
            b"n,,\x01=x\x01auth=Bearer x\x01\x01",
            b"n,,\x01k1=x\x01auth=Bearer x\x01\x01",
            b"user=a\x01auth=Bearer x\x01\x01",
            b"n,,\x01auth=Bearer " + b"x" * 8193 + b"\x01\x01",
            b"n,,\x01host=" + b"x" * 9216 + b"\x01auth=Bearer x\x01\x01",
        )
    ]
    + [
        ("XOAUTH2", message)
        for message in (
            b"",
            b"user=a",
            b"user=a\x01auth=Bearer x\x01",
            b"user=\x01auth=Bearer x\x01\x01",
            b"user=a\x01\x01",
            b"user=a\x01host=b\x01auth=Bearer x\x01\x01",
            b"user=a\x01auth=Bearer x\x01auth=Bearer x\x01\x01",
            b"user=\xff\x01auth=Bearer x\x01\x01",
            b"user=a\0b\x01auth=Bearer x\x01\x01",
            b"n,a=a,\x01auth=Bearer x\x01\x01",
        )
    ],
)
def test_malformed_messages(mechanism: str, message: bytes) -> None:
    with pytest.raises(SaslError):
        oauth.read(mechanism, message)


@given(st.sampled_from(oauth.MECHANISMS), st.binary(max_size=200))
@example("OAUTHBEARER", b"n,,\x01")
def test_any_octets_are_a_message_or_malformed(mechanism: str, data: bytes) -> None:
    for message in (data, b"n,," + data + b"\x01auth=Bearer x\x01\x01", b"user=" + data, b"n,a=" + data):
        try:
            bearer = oauth.read(mechanism, message)
        except SaslError:
            continue
        bearer.user.encode()
        assert "\0" not in bearer.user
        assert bearer.token.isascii()
        assert " " not in bearer.token


def test_the_longest_token_fits() -> None:
    token = "x" * oauth.TOKEN_OCTETS_MAX
    assert oauth.read("OAUTHBEARER", f"n,a=alice,\x01auth=Bearer {token}\x01\x01".encode()).token == token
    assert oauth.read("XOAUTH2", f"user=alice\x01auth=Bearer {token}\x01\x01".encode()).token == token


def test_tokens_are_not_shown() -> None:
    assert "secret" not in repr(oauth.read("XOAUTH2", b"user=alice\x01auth=Bearer secret\x01\x01"))
