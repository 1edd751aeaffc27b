"""IMAP and POP3 over bare connections, for messages and lines that client libraries would not take."""

from __future__ import annotations

from typing import Self

from tests.support.server import DOMAIN, PASSWORD, RawClient, Server


class Imap(RawClient):
    """Tagged commands over a bare connection; literals are hashed as they come."""

    def __enter__(self) -> Self:
        return self

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server.port("imap"))
        self.line()
        self.do(f'LOGIN {user}@{DOMAIN} "{PASSWORD}"')

    def do(self, command: str | bytes, expect: str = "OK") -> list[bytes]:
        """Runs a command; its untagged lines and the tagged answer, which must begin with `expect`."""
        octets = command if isinstance(command, bytes) else command.encode()
        self.send(b"t " + octets + b"\r\n")
        lines, answer = self.answer()
        assert answer.startswith(f"t {expect}".encode()), (octets[:80], answer, lines[-2:])
        return [*lines, answer]

    def answer(self) -> tuple[list[bytes], bytes]:
        """Untagged lines, each with its literals in it, and the tagged line."""
        lines: list[bytes] = []
        while True:
            line = self.line()
            assert line, "the connection broke off"
            if line.startswith(b"t "):
                return lines, line.rstrip(b"\r\n")
            while line.endswith(b"}\r\n"):
                length = int(line[line.rindex(b"{") + 1 : -3])
                line += self.file.read(length)
                line += self.line()
            lines.append(line.rstrip(b"\r\n"))

    def body(self, number: int, item: str = "BODY.PEEK[]") -> bytes:
        """One literal or quoted string of one message."""
        self.send(f"t FETCH {number} {item}\r\n".encode())
        line = self.line()
        assert line.startswith(f"* {number} FETCH (".encode()), line
        octets = b""
        if line.endswith(b"}\r\n"):
            octets = self.file.read(int(line[line.rindex(b"{") + 1 : -3]))
            assert self.line() == b")\r\n"
        assert self.line().startswith(b"t OK")
        return octets

    def append(self, octets: bytes, *, literal8: bool = False, expect: str = "OK") -> bytes:
        """APPEND to INBOX."""
        prefix = b"~" if literal8 else b""
        self.send(b"t APPEND INBOX " + prefix + b"{%d}\r\n" % len(octets))
        answer = self.line()
        if answer.startswith(b"+"):
            self.send(octets + b"\r\n")
            answer = self.answer()[1]
        assert answer.startswith(f"t {expect}".encode()), answer
        return answer


class Pop3(RawClient):
    """POP3 without the line limits of client libraries."""

    def __enter__(self) -> Self:
        return self

    def __init__(self, server: Server, user: str) -> None:
        super().__init__(server.port("pop3"))
        self.line()
        assert self.say(f"USER {user}@{DOMAIN}").startswith(b"+OK")
        assert self.say(f"PASS {PASSWORD}").startswith(b"+OK")

    def say(self, command: str) -> bytes:
        """Sends a command; the first line of the answer."""
        self.send(command.encode() + b"\r\n")
        return self.line()

    def message(self, command: str) -> bytes:
        """The octets of a multi-line answer, unstuffed, each line ended."""
        answer = self.say(command)
        assert answer.startswith(b"+OK"), answer
        octets = bytearray()
        at_start = True
        while True:
            line = self.file.readline(1 << 20)
            assert line
            if at_start and line == b".\r\n":
                return bytes(octets)
            octets += line[1:] if at_start and line.startswith(b".") else line
            at_start = line.endswith(b"\r\n")
