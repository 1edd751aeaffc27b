"""One request to an HTTP server that the configuration names, and its whole answer (RFC 9110, RFC 9112 by h11).

For small answers of providers. Refuses to follow redirects, to read more than it was told to, to wait longer, and to speak
without TLS to any machine but this one. Certificates are always checked.
"""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import h11
import trio

from ..errors import IronpostError
from .stream import is_loopback

__all__ = ["HEADER_OCTETS_MAX", "HttpAnswer", "HttpFailed", "request", "trust"]

HEADER_OCTETS_MAX: Final = 16_384  # of an answer: status line and fields together
_READ_OCTETS: Final = 16_384


class HttpFailed(IronpostError):
    """No answer that could be used; the text is for the log and holds nothing of the request."""


class HttpAnswer(NamedTuple):
    """An answer of any status."""

    status: int
    body: bytes


def trust(ca_file: str) -> ssl.SSLContext:
    """Whom to trust: the authorities of a PEM file, or the system's when it is "". Blocking. Raises OSError, ssl.SSLError."""
    return ssl.create_default_context(cafile=ca_file or None)


async def request(
    method: str,
    url: str,
    *,
    context: ssl.SSLContext,
    octets_max: int,
    limit_seconds: float,
    fields: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> HttpAnswer:
    """Asks and reads the answer, of which the body has at most `octets_max`, all within `limit_seconds`. Raises HttpFailed."""
    try:
        with trio.fail_after(limit_seconds):
            return await _request(method, url, context, octets_max, fields, body)
    except trio.TooSlowError:
        raise HttpFailed(f"no whole answer within {limit_seconds:g} s") from None
    except (ssl.SSLError, trio.BrokenResourceError) as error:
        # Trio wraps what TLS has to say, such as a certificate that is not trusted.
        raise HttpFailed(f"connection failed: {error.__cause__ or error}") from None
    except OSError as error:
        raise HttpFailed(f"connection failed: {error.strerror or error}") from None
    except h11.ProtocolError as error:
        raise HttpFailed(f"not HTTP: {error}") from None


async def _request(
    method: str,
    url: str,
    context: ssl.SSLContext,
    octets_max: int,
    fields: tuple[tuple[str, str], ...],
    body: bytes,
) -> HttpAnswer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    socket = await trio.open_tcp_stream(host, parts.port or (443 if secure else 80))
    stream: trio.abc.Stream = socket
    try:
        if secure:
            stream = trio.SSLStream(socket, context, server_hostname=host, https_compatible=True)
        elif not is_loopback(socket.socket.getpeername()[0]):
            raise HttpFailed(f"{host} is another machine, and its URL has no TLS")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = [
            ("Host", parts.netloc),
            ("Connection", "close"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            *fields,
        ]
        if body:
            headers.append(("Content-Length", str(len(body))))
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADER_OCTETS_MAX)
        question = wire.send(h11.Request(method=method, target=target, headers=headers)) or b""
        question += wire.send(h11.Data(data=body)) or b""
        question += wire.send(h11.EndOfMessage()) or b""
        await stream.send_all(question)
        return await _answer(wire, stream, octets_max)
    finally:
        await trio.aclose_forcefully(stream)


async def _answer(wire: h11.Connection, stream: trio.abc.Stream, octets_max: int) -> HttpAnswer:
    status = 0
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(bytes(await stream.receive_some(_READ_OCTETS)))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > octets_max:
                raise HttpFailed(f"the answer is longer than {octets_max} octets")
        elif isinstance(event, h11.EndOfMessage):
            return HttpAnswer(status, bytes(body))
        elif isinstance(event, h11.ConnectionClosed):
            raise HttpFailed("the connection ended before the answer")
