"""IMAP commands and answers as octets, over the connection of an imaplib client: for what imaplib would not send or read.

Answers become trees, so that a quoted string and a literal of the same octets are equal (RFC 9051 §4.3): a list is a
tuple, a string is bytes, NIL is None, and an atom is upper-case text with its section, as `BODY[1.MIME]<0>`.
"""

from __future__ import annotations

import imaplib
from typing import NamedTuple

Tree = tuple["Tree", ...] | bytes | str | None


class Answer(NamedTuple):
    """What came for one command: the untagged lines, without `* ` and with their literals, and the tagged one."""

    lines: list[bytes]
    status: bytes
    text: bytes

    def trees(self, kind: bytes) -> list[tuple[Tree, ...]]:
        """The lines that begin so, parsed behind it."""
        return [parse(line[len(kind) :]) for line in self.lines if line.upper().startswith(kind + b" ")]


class Wire:
    """Speaks over an imaplib client that waits for nothing."""

    def __init__(self, client: imaplib.IMAP4) -> None:
        self.client = client

    def do(self, *parts: bytes) -> Answer:
        """Sends a command and reads its answer. Between parts the server is waited for: each ends with a `{n}`."""
        self.client.send(b"t " + parts[0] + b"\r\n")
        lines: list[bytes] = []
        at = 0
        while True:
            line = self._line()
            if line.startswith(b"t "):
                status, _, text = line[2:].partition(b" ")
                return Answer(lines, status.upper(), text)
            if line.startswith(b"+"):
                at += 1
                self.client.send((parts[at] if at < len(parts) else b"") + b"\r\n")
            else:
                assert line.startswith(b"* "), line
                lines.append(line[2:])

    def ok(self, *parts: bytes) -> Answer:
        """The same, and it must be OK."""
        answer = self.do(*parts)
        assert answer.status == b"OK", (parts[0][:200], answer.status, answer.text)
        return answer

    def _line(self) -> bytes:
        """A line with its literals, without the last CRLF."""
        line = bytes(self.client.readline())
        assert line.endswith(b"\r\n"), f"the connection broke off: {line[-100:]!r}"
        while line.endswith(b"}\r\n"):
            line += self.client.read(int(line[line.rindex(b"{") + 1 : -3]))
            line += self.client.readline()
        return line[:-2]


def parse(octets: bytes) -> tuple[Tree, ...]:
    """The values of a line, with spaces or nothing between them. AssertionError for what is no answer."""
    stack: list[list[Tree]] = [[]]
    at = 0
    while at < len(octets):
        octet = octets[at : at + 1]
        if octet == b" ":
            at += 1
        elif octet == b"(":
            stack.append([])
            at += 1
        elif octet == b")":
            done = tuple(stack.pop())
            stack[-1].append(done)
            at += 1
        else:
            value, at = _value(octets, at)
            stack[-1].append(value)
    assert len(stack) == 1, octets
    return tuple(stack[0])


def _value(octets: bytes, at: int) -> tuple[Tree, int]:
    """A string or an atom that begins there, and where it ends."""
    if octets[at : at + 1] == b'"':
        found = bytearray()
        at += 1
        while octets[at : at + 1] != b'"':
            assert at < len(octets), octets
            at += octets[at : at + 1] == b"\\"
            found += octets[at : at + 1]
            at += 1
        return bytes(found), at + 1
    if octets[at : at + 1] in (b"{", b"~"):
        end = octets.index(b"}\r\n", at)
        length = int(octets[octets.index(b"{", at) + 1 : end])
        return octets[end + 3 : end + 3 + length], end + 3 + length
    start, within = at, False
    while at < len(octets) and (within or octets[at] not in b" ()"):
        within = (within or octets[at] == ord("[")) and octets[at] != ord("]")
        at += 1
    atom = octets[start:at].decode("latin-1").upper()
    return (None if atom == "NIL" else atom), at
