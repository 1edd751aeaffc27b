"""Trace fields that go before a received message (RFC 5321 §4.4, RFC 3848, RFC 6531 §4.3).

Whatever a peer told us is cleaned before it becomes part of a header line: no control character, no line end, no
comment delimiter can come through, and the length is bounded.
"""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import Final

HELLO_CHARACTERS_MAX: Final = 255  # the longest domain name
# Letters of any script are allowed, for SMTPUTF8; of ASCII only what domain names and address literals need.
_NOT_IN_HELLO: Final = re.compile(r"[^A-Za-z0-9._:\[\]\u00a1-\U0010ffff-]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_date_second = -1
_date_text = ""


def date_now() -> str:
    """The time as header fields have it; made once a second."""
    global _date_second, _date_text
    second = int(time.time())
    if second != _date_second:
        _date_text = formatdate(second, localtime=True)
        _date_second = second
    return _date_text


def clean_hello(name: str) -> str:
    """The peer's HELO argument, fit for a Received field."""
    return _NOT_IN_HELLO.sub("?", name[:HELLO_CHARACTERS_MAX]) or "unknown"


def clean_address(address: str) -> str:
    """An address fit for a header field; the core's grammar has left nothing to change, and this makes sure."""
    return _CONTROL.sub("?", address)


def address_literal(host: str) -> str:
    """A peer's address in brackets (RFC 5321 §4.1.3)."""
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def protocol(*, lmtp: bool, extended: bool, secure: bool, authenticated: bool, utf8: bool) -> str:
    """The `with` word (RFC 3848 §1, RFC 6531 §4.3)."""
    if not extended:
        return "SMTP"
    base = ("UTF8LMTP" if lmtp else "UTF8SMTP") if utf8 else ("LMTP" if lmtp else "ESMTP")
    return base + ("S" if secure else "") + ("A" if authenticated else "")


def received_peer(hello: str, peer_host: str, hostname: str, tls: str) -> str:
    """The part of a Received field that is the same for all messages of a connection state."""
    source = address_literal(peer_host) if peer_host != "unix" else "local socket"
    secured = f" ({tls})" if tls else ""
    return f"Received: from {clean_hello(hello)} ({source}){secured}\r\n\tby {hostname} with "


def received(peer: str, word: str, message_id: str, recipient: str) -> str:
    """The whole field. `recipient` "" leaves the `for` clause out: only a single recipient may be shown (§7.2)."""
    for_clause = f"\r\n\tfor <{clean_address(recipient)}>" if recipient else ""
    return f"{peer}{word} id {message_id}{for_clause};\r\n\t{date_now()}\r\n"


def return_path(sender: str) -> str:
    """Return-Path of final delivery."""
    return f"Return-Path: <{clean_address(sender)}>\r\n"


def delivered_to(address: str) -> str:
    """Delivered-To of one mailbox."""
    return f"Delivered-To: {clean_address(address)}\r\n"
