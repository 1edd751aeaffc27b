"""Delivery status notifications (RFC 3461, RFC 3464, RFC 3462; RFC 6533 when an address is internationalized).

Pure: everything comes in, the message's octets go out. Bounces of bounces are refused here by asking `wanted` first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

HEADER_OCTETS_MAX: Final = 65_536  # of the original's header section in a report
LINE_CHARACTERS: Final = 900  # below the 998 of RFC 5322 §2.1.1
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_WORDS: Final = {
    "failed": "could not be delivered to",
    "delayed": "has not yet been delivered to",
    "relayed": "was passed to a server that sends no delivery reports, for",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One recipient of a report."""

    address: str
    action: str  # "failed", "delayed", "relayed"
    status: str  # enhanced code of the report
    code: int  # what was said, and by whom
    enhanced: str
    reply: str
    host: str  # "" when no host has spoken
    orcpt: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A notification to be written."""

    hostname: str
    sender: str  # to whom it goes
    identifier: str  # of the original, for Message-ID and boundary
    arrival: float
    now: float
    lines: tuple[Line, ...]
    envid: str | None = None
    will_retry_until: float | None = None

    @property
    def utf8(self) -> bool:
        """RFC 6533 forms are needed."""
        return not (self.sender.isascii() and all(line.address.isascii() for line in self.lines))


def wanted(sender: str, notify: Sequence[str], kind: str) -> bool:
    """May a report of this kind ("FAILURE", "SUCCESS", "DELAY") be sent? Never to the null sender (RFC 5321 §6.1)."""
    if not sender:
        return False
    if notify:
        return kind in notify  # NEVER stands alone, so it excludes all
    return kind == "FAILURE"  # RFC 3461 §4.1: the default may include DELAY, and here does not


def header_of(octets: bytes) -> bytes:
    """The header section at the start of a message, cut at a line end when it is longer than HEADER_OCTETS_MAX."""
    octets = octets[:HEADER_OCTETS_MAX]
    end = octets.find(b"\r\n\r\n")
    if end >= 0:
        return octets[: end + 2]
    last = octets.rfind(b"\r\n")
    return octets[: last + 2] if last >= 0 else b""


def write(report: Report, original_header: bytes) -> bytes:
    """The whole message, CRLF line ends. `original_header` as `header_of` gives it."""
    boundary = _boundary(report, original_header)
    parts = [
        _text(report),
        _status(report),
        _original(report, original_header),
    ]
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return _header(report, boundary) + b"\r\n" + body + f"--{boundary}--\r\n".encode()


def _header(report: Report, boundary: str) -> bytes:
    failed = any(line.action == "failed" for line in report.lines)
    delayed = any(line.action == "delayed" for line in report.lines)
    if failed:
        subject = "Undelivered mail returned to sender"
    else:
        subject = "Mail is delayed" if delayed else "Mail was passed on"
    return (
        f"From: Mail Delivery System <MAILER-DAEMON@{report.hostname}>\r\n"
        f"To: <{_clean(report.sender)}>\r\n"
        f"Subject: {subject}\r\n"
        f"Date: {formatdate(report.now, localtime=True)}\r\n"
        f"Message-ID: <{report.identifier}.{int(report.now * 1000):x}.dsn@{report.hostname}>\r\n"
        "Auto-Submitted: auto-replied\r\n"
        "MIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"\r\n'
    ).encode()


def _text(report: Report) -> bytes:
    out = [
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Transfer-Encoding: 8bit\r\n",
        "Content-Description: Notification\r\n\r\n",
        f"This is the mail server {report.hostname}.\r\n\r\n",
    ]
    for action, words in _WORDS.items():
        lines = [line for line in report.lines if line.action == action]
        if lines:
            out.append(f"Your message of {formatdate(report.arrival, localtime=True)} {words}:\r\n\r\n")
            for line in lines:
                said = f"{line.host} said: " if line.host else ""
                reason = _clean(f"{said}{line.code} {line.enhanced} {line.reply}")[:LINE_CHARACTERS]
                out.append(f"  <{_clean(line.address)}>\r\n    {reason}\r\n\r\n")
    if report.will_retry_until is not None:
        out.append(f"Delivery will be tried until {formatdate(report.will_retry_until, localtime=True)}.\r\n\r\n")
    out.append(f"Reference for your postmaster: {report.identifier}\r\n")
    return "".join(out).encode()


def _status(report: Report) -> bytes:
    kind = "message/global-delivery-status" if report.utf8 else "message/delivery-status"
    encoding = "Content-Transfer-Encoding: 8bit\r\n" if report.utf8 else ""
    out = [f"Content-Type: {kind}\r\n{encoding}Content-Description: Delivery report\r\n\r\n"]
    out.append(f"Reporting-MTA: dns; {report.hostname}\r\n")
    if report.envid:
        out.append(f"Original-Envelope-Id: {_ascii(report.envid)}\r\n")
    out.append(f"Arrival-Date: {formatdate(report.arrival, localtime=True)}\r\n")
    for line in report.lines:
        out.append("\r\n")
        if line.orcpt:
            out.append(f"Original-Recipient: {_clean(line.orcpt).replace(';', '; ', 1)}\r\n")
        out.append(f"Final-Recipient: {_typed(line.address)}\r\nAction: {line.action}\r\nStatus: {line.status}\r\n")
        if line.host:
            out.append(f"Remote-MTA: dns; {_ascii(line.host)}\r\n")
            out.append(f"Diagnostic-Code: smtp; {_ascii(f'{line.code} {line.enhanced} {line.reply}')}\r\n")
        out.append(f"Last-Attempt-Date: {formatdate(report.now, localtime=True)}\r\n")
        if line.action == "delayed" and report.will_retry_until is not None:
            out.append(f"Will-Retry-Until: {formatdate(report.will_retry_until, localtime=True)}\r\n")
    return "".join(out).encode()


def _original(report: Report, header: bytes) -> bytes:
    global_form = report.utf8 or not header.isascii()
    kind = "message/global-headers" if global_form else "text/rfc822-headers"
    encoding = b"Content-Transfer-Encoding: 8bit\r\n" if global_form else b""
    return (
        f"Content-Type: {kind}\r\n".encode() + encoding + b"Content-Description: Header of the message\r\n\r\n" + header
    )


def _boundary(report: Report, header: bytes) -> str:
    number = 0
    while True:
        boundary = f"{report.identifier}.{number}/{report.hostname}"
        if boundary.encode() not in header:
            return boundary
        number += 1


def _typed(address: str) -> str:
    kind = "rfc822" if address.isascii() else "utf-8"
    return f"{kind}; {_clean(address)}"


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text)


def _ascii(text: str) -> str:
    return _clean(text).encode("ascii", "replace").decode()[:LINE_CHARACTERS]
