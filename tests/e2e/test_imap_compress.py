"""COMPRESS=DEFLATE (RFC 4978) against a running server, by a client made of sockets and zlib."""

from __future__ import annotations

import socket
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server

MESSAGE = b"Subject: compressed\r\n\r\n" + b"the same words again and again\r\n" * 10_000


class Client:
    """Sends and reads lines; compressed from `compress` on."""

    def __init__(self, server: Server, *, tls: bool) -> None:
        plain = socket.create_connection(("127.0.0.1", server.port("imaps" if tls else "imap")), timeout=30)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket: socket.socket = context.wrap_socket(plain)
        else:
            self.socket = plain
        self.waiting = b""
        self.deflate: zlib._Compress | None = None
        self.inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self.received = 0

    def send(self, octets: bytes) -> None:
        if self.deflate is not None:
            octets = self.deflate.compress(octets) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(octets)

    def more(self) -> bool:
        octets = self.socket.recv(65536)
        self.received += len(octets)
        self.waiting += octets if self.deflate is None else self.inflate.decompress(octets)
        return bool(octets)

    def line(self) -> bytes:
        while b"\n" not in self.waiting:
            if not self.more():
                return b"<closed>"
        line, _, self.waiting = self.waiting.partition(b"\n")
        return line.removesuffix(b"\r")

    def exact(self, length: int) -> bytes:
        while len(self.waiting) < length:
            assert self.more()
        octets, self.waiting = self.waiting[:length], self.waiting[length:]
        return octets

    def command(self, octets: bytes, tag: bytes = b"t") -> list[bytes]:
        """Lines up to the tagged answer, which is the last."""
        self.send(tag + b" " + octets + b"\r\n")
        lines = [self.line()]
        while not lines[-1].startswith(tag + b" "):
            assert lines[-1] != b"<closed>", lines
            lines.append(self.line())
        return lines

    def compress(self) -> None:
        assert self.command(b"COMPRESS DEFLATE")[-1].startswith(b"t OK ")
        assert self.waiting == b""
        self.deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)


@contextmanager
def logged_in(server: Server, user: str, *, tls: bool = False) -> Iterator[Client]:
    client = Client(server, tls=tls)
    try:
        client.line()
        assert client.command(f'LOGIN {user}@{DOMAIN} "{PASSWORD}"'.encode())[-1].startswith(b"t OK ")
        yield client
    finally:
        client.socket.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_mail_goes_both_ways_compressed(running: Server, user: str, tls: bool) -> None:
    with logged_in(running, user, tls=tls) as client:
        assert b"COMPRESS=DEFLATE" in client.command(b"CAPABILITY")[0].split()
        client.compress()
        assert b"COMPRESS=DEFLATE" not in client.command(b"CAPABILITY")[0].split()
        client.send(b"t APPEND INBOX {%d}\r\n" % len(MESSAGE))
        assert client.line().startswith(b"+ ")
        client.send(MESSAGE + b"\r\n")
        assert client.line().startswith(b"t OK [APPENDUID ")
        assert client.command(b"SELECT INBOX")[-1].startswith(b"t OK ")
        before = client.received
        client.send(b"t UID FETCH 1 BODY.PEEK[]\r\n")
        first = client.line()
        assert first.endswith(b"{%d}" % len(MESSAGE)), first
        assert client.exact(len(MESSAGE)) == MESSAGE
        assert client.line() == b")"
        assert client.line().startswith(b"t OK ")
        assert client.received - before < len(MESSAGE) // 20


def test_idle_tells_at_once(running: Server, user: str) -> None:
    with logged_in(running, user) as idler, logged_in(running, user) as other:
        idler.compress()
        idler.command(b"SELECT INBOX")
        idler.send(b"t IDLE\r\n")
        assert idler.line().startswith(b"+ ")
        assert other.command(b"APPEND INBOX {4+}\r\ntext")[-1].startswith(b"t OK ")
        assert idler.line() == b"* 1 EXISTS"
        assert idler.line() == b"* 1 RECENT"
        idler.send(b"DONE\r\n")
        assert idler.line().startswith(b"t OK ")


def test_once_only_and_only_deflate(running: Server, user: str) -> None:
    """RFC 4978 §3."""
    with logged_in(running, user) as client:
        assert client.command(b"COMPRESS GZIP")[-1].startswith(b"t BAD ")
        assert client.command(b"COMPRESS")[-1].startswith(b"t BAD ")
        # What follows without waiting is plain, or is it? Refused, and the session goes on as it was.
        client.send(b"t COMPRESS DEFLATE\r\nu NOOP\r\n")
        assert client.line().startswith(b"t BAD ")
        assert client.line().startswith(b"u OK ")
        client.compress()
        assert client.command(b"COMPRESS DEFLATE")[-1].startswith(b"t NO [COMPRESSIONACTIVE] ")
        assert client.command(b"NOOP")[-1].startswith(b"t OK ")


def test_many_commands_in_one_piece(running: Server, user: str) -> None:
    """32 KiB are inflated at a time, in the order in which they came, also when one read holds them all."""
    with logged_in(running, user) as client:
        client.compress()
        client.send(b"".join(b"t%d NOOP\r\n" % number for number in range(20_000)) + b"u LOGOUT\r\n")
        for number in range(20_000):
            assert client.line().startswith(b"t%d OK " % number)
        assert client.line().startswith(b"* BYE ")
        assert client.line().startswith(b"u OK ")
        assert client.line() == b"<closed>"


def test_a_bomb_meets_the_limits_of_commands(running: Server, user: str) -> None:
    """30 MB of one letter are one line that is too long, in bounded memory."""
    with logged_in(running, user) as client:
        client.compress()
        client.send(b"t " + b"a" * 30_000_000 + b"\r\n")
        assert b"BAD" in client.line()
        assert client.command(b"NOOP")[-1].startswith(b"t OK ")


def test_what_is_no_deflate_ends_the_session(running: Server, user: str) -> None:
    with logged_in(running, user) as client:
        client.compress()
        client.socket.sendall(b"\x07\x07\x07 t NOOP\r\n")
        assert client.line().startswith(b"* BYE ")
        assert client.line() == b"<closed>"


def test_starttls_comes_before_compression(running: Server, user: str) -> None:
    """RFC 4978 §3: compression lies within TLS, so that STARTTLS is too late once it is active."""
    with logged_in(running, user) as client:
        client.compress()
        assert client.command(b"UNAUTHENTICATE")[-1].startswith(b"t OK ")
        assert client.command(b"STARTTLS")[-1] == b"t BAD compression is active already"
        assert client.command(f'LOGIN {user}@{DOMAIN} "{PASSWORD}"'.encode())[-1].startswith(b"t OK ")
