"""Delivery reports read back with the standard library's parser (RFC 3464)."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, Message
from typing import Any

from ironpost.relay.dsn import HEADER_OCTETS_MAX, Line, Report, header_of, wanted, write

HEADER = b"Received: from x\r\n\tby y\r\nSubject: hello\r\nMessage-ID: <1@a.test>\r\n"


def report(**changes: Any) -> Report:
    values: dict[str, Any] = {
        "hostname": "mail.example.test",
        "sender": "alice@a.test",
        "identifier": "19a0",
        "arrival": 1_700_000_000.0,
        "now": 1_700_003_600.0,
        "lines": (
            Line("bob@b.test", "failed", "5.1.1", 550, "5.1.1", "No such user", "mx.b.test", "rfc822;robert@b.test"),
            Line("eve@b.test", "failed", "5.4.7", 450, "4.2.0", "busy", ""),
        ),
        "envid": "QQ314159",
    }
    values.update(changes)
    return Report(**values)


def parsed(octets: bytes) -> EmailMessage:
    assert b"\n" not in octets.replace(b"\r\n", b"")
    assert b"\r" not in octets.replace(b"\r\n", b"")
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def test_shape() -> None:
    message = parsed(write(report(), HEADER))
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["To"] == "alice@a.test"
    assert message["Auto-Submitted"] == "auto-replied"
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    text = parts[0].get_content()
    assert "bob@b.test" in text
    assert "mx.b.test said: 550 5.1.1 No such user" in text
    assert "19a0" in text
    assert "Subject: hello" in parts[2].get_payload()


def test_status_fields() -> None:
    part = list(parsed(write(report(), HEADER)).iter_parts())[1]
    payload = part.get_payload()
    assert isinstance(payload, list)
    blocks: list[Message] = [block for block in payload if isinstance(block, Message)]
    whole, bob, eve = blocks
    assert whole["Reporting-MTA"] == "dns; mail.example.test"
    assert whole["Original-Envelope-Id"] == "QQ314159"
    assert whole["Arrival-Date"]
    assert bob["Original-Recipient"] == "rfc822; robert@b.test"
    assert bob["Final-Recipient"] == "rfc822; bob@b.test"
    assert (bob["Action"], bob["Status"], bob["Remote-MTA"]) == ("failed", "5.1.1", "dns; mx.b.test")
    assert bob["Diagnostic-Code"] == "smtp; 550 5.1.1 No such user"
    assert eve["Diagnostic-Code"] is None
    assert eve["Status"] == "5.4.7"


def test_nothing_that_a_peer_says_becomes_a_field() -> None:
    evil = "no\r\nBcc: victim@c.test\r\n\r\nbody\x00\x1b"
    lines = (Line('"a\r\nX: y"@b.test', "failed", "5.0.0", 550, "5.0.0", evil, evil),)
    octets = write(report(lines=lines, envid=evil, sender="a\r\nX-Evil: 1@a.test"), HEADER)
    assert b"\r\nBcc:" not in octets
    assert b"\r\nX-Evil" not in octets
    assert b"\r\nX: y" not in octets
    assert b"\x00" not in octets


def test_international_addresses_use_the_global_forms() -> None:
    lines = (Line("jörg@b.test", "failed", "5.1.1", 550, "5.1.1", "unbekannt", "mx.b.test"),)
    octets = write(report(lines=lines), "Subject: grüße\r\n".encode())
    assert b"message/global-delivery-status" in octets
    assert b"message/global-headers" in octets
    assert "Final-Recipient: utf-8; jörg@b.test".encode() in octets


def test_boundary_never_occurs_in_the_original() -> None:
    first = write(report(), HEADER)
    boundary = parsed(first).get_boundary()
    assert boundary is not None
    second = parsed(write(report(), HEADER + f"X-Copy: {boundary}\r\n".encode()))
    assert second.get_boundary() != boundary


def test_header_of() -> None:
    assert header_of(b"A: b\r\nC: d\r\n\r\nbody") == b"A: b\r\nC: d\r\n"
    assert header_of(b"A: b\r\nhalf a li") == b"A: b\r\n"
    assert header_of(b"") == b""
    assert header_of(b"x" * 100_000) == b""
    assert len(header_of(b"A: b\r\n" * 100_000)) <= HEADER_OCTETS_MAX


def test_wanted() -> None:
    assert wanted("a@b", (), "FAILURE")
    assert not wanted("a@b", (), "SUCCESS")
    assert not wanted("a@b", (), "DELAY")
    assert wanted("a@b", ("DELAY",), "DELAY")
    assert not wanted("a@b", ("NEVER",), "FAILURE")
    for kind in ("FAILURE", "SUCCESS", "DELAY"):
        assert not wanted("", (kind,), kind)
