"""Mailbox names: modified UTF-7, and what no mailbox may be called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironpost.portable.names import NameMap, decode_utf7, encode_utf7, legal


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("Gel&APY-scht", "Gelöscht"),
        ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),  # RFC 3501 §5.1.3
        ("a&-b", "a&b"),
        ("&2D3cqQ-", "💩"),
        ("", ""),
    ],
)
def test_modified_utf7(encoded: str, decoded: str) -> None:
    assert decode_utf7(encoded) == decoded
    assert encode_utf7(decoded) == encoded


@pytest.mark.parametrize("text", ["a & b", "&", "&AP", "&!!!-", "&AA-", "R&D"])
def test_what_is_not_utf7_is_kept(text: str) -> None:
    assert decode_utf7(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_utf7_comes_back(text: str) -> None:
    encoded = encode_utf7(text)
    assert encoded.isascii()
    assert decode_utf7(encoded) == text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inbox", "INBOX"),
        ("Inbox/Work", "INBOX/Work"),
        ("a//b", "a/_/b"),
        ("", "_"),
        ("tab\there", "tab_here"),
        ("bad\udcff", "bad_"),
        ("x" * 1500, "x" * 1000),
    ],
)
def test_legal_names(name: str, expected: str) -> None:
    result, why = legal(name)
    assert result == expected
    assert bool(why) == (result.upper() != name.upper())


def test_deep_names_are_joined() -> None:
    result, why = legal("/".join(["a"] * 100))
    assert result.count("/") == 63
    assert "64 levels" in why


def test_two_never_become_one() -> None:
    names = NameMap("old")
    assert names.target("a\tb") == ("old/a_b", "now 'old/a_b': it held control characters or octets that are not UTF-8")
    target, note = names.target("a_b")
    assert target == "old/a_b-2"
    assert "has that name already" in note
    assert names.target("c") == ("old/c", "")
