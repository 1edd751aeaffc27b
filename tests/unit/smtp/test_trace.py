"""Trace fields: RFC 5321 §4.4, and that no peer can put a field of his own into them."""

from __future__ import annotations

import pytest

from ironpost.smtp import trace


def test_received_of_a_single_recipient() -> None:
    peer = trace.received_peer("client.example", "192.0.2.1", "mail.own.test", "")
    field = trace.received(peer, "ESMTP", "19a0", "bob@own.test")
    assert field.startswith(
        "Received: from client.example ([192.0.2.1])\r\n\tby mail.own.test with ESMTP id 19a0\r\n"
        "\tfor <bob@own.test>;\r\n\t"
    )
    assert field.endswith("\r\n")
    assert all(not line or line[0] in "R\t" for line in field.split("\r\n"))


def test_received_of_many_names_none() -> None:
    peer = trace.received_peer("[192.0.2.1]", "2001:db8::1", "mail.own.test", "TLSv1.3, AES")
    field = trace.received(peer, "ESMTPS", "19a0", "")
    assert "for <" not in field
    assert "([IPv6:2001:db8::1]) (TLSv1.3, AES)" in field


@pytest.mark.parametrize(
    "hello",
    ["a\r\nX-Evil: 1", "a\nb", "a)b(c", "a;b", "a\x00b", "a b", "a<b>", 'a"b', "a\\b", "a\u2028b\x85c", "", "x" * 5000],
)
def test_hello_cannot_inject(hello: str) -> None:
    peer = trace.received_peer(hello, "192.0.2.1", "h", "")
    first, second, *rest = peer.split("\r\n")
    assert not rest
    assert second == "\tby h with "
    name = first.removeprefix("Received: from ").removesuffix(" ([192.0.2.1])")
    assert 0 < len(name) <= 255
    assert not set(name) & set('\r\n\0 ()<>;\\"\x85\u0085')


def test_addresses_cannot_inject() -> None:
    for text in (trace.return_path("a\r\nX: y@b"), trace.delivered_to("a\nX: y@b")):
        assert text.count("\n") == 1
        assert text.endswith("\r\n")
    assert trace.return_path("") == "Return-Path: <>\r\n"


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ({"extended": False}, "SMTP"),
        ({}, "ESMTP"),
        ({"secure": True}, "ESMTPS"),
        ({"secure": True, "authenticated": True}, "ESMTPSA"),
        ({"authenticated": True}, "ESMTPA"),
        ({"lmtp": True}, "LMTP"),
        ({"lmtp": True, "secure": True}, "LMTPS"),
        ({"utf8": True}, "UTF8SMTP"),
        ({"utf8": True, "secure": True, "authenticated": True}, "UTF8SMTPSA"),
        ({"utf8": True, "lmtp": True}, "UTF8LMTP"),
    ],
)
def test_with_words(flags: dict[str, bool], word: str) -> None:
    values = {"lmtp": False, "extended": True, "secure": False, "authenticated": False, "utf8": False} | flags
    assert trace.protocol(**values) == word
