"""Where the mail comes from: the URL, and how to log in there. Secrets stand apart and are never printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from ..errors import UserError

PORTS: Final = {"imap": 143, "imaps": 993}
SECRET_OCTETS_MAX: Final = 16_384  # tokens are long


@dataclass(frozen=True, slots=True)
class Source:
    """A server and a user on it."""

    scheme: str  # "imap": STARTTLS; "imaps": TLS from the first octet
    host: str
    port: int
    user: str
    plaintext: bool = False  # no TLS at all: loopback only
    verify: bool = True
    roots_pem: bytes | None = None

    @property
    def implicit_tls(self) -> bool:
        """TLS from the first octet."""
        return self.scheme == "imaps"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{self.user}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Login:
    """What proves who we are. One of password and token is given."""

    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)  # OAuth 2 access token
    auth_user: str = ""  # whose password it is, when it is a master's


def parse_url(text: str) -> tuple[str, str, int, str]:
    """`imap://user@host[:port]` or `imaps://...` as (scheme, host, port, user). Raises UserError.

    The user may hold `@` as it is or percent-encoded; a host that is an IPv6 address stands in brackets.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in PORTS:
        raise UserError("the source is imaps://USER@HOST[:PORT] or imap://USER@HOST[:PORT]")
    user, separator, place = rest.rstrip("/").rpartition("@")
    if not separator or not user:
        raise UserError("the source names no user: imaps://USER@HOST[:PORT]")
    if ":" in user:
        raise UserError("a password has no place in the URL, where others can see it: use --password-file")
    host, port = _place(place)
    if not host or any(character in host for character in "/?#@ "):
        raise UserError("the source names no host: imaps://USER@HOST[:PORT]")
    user = unquote(user)
    if not user.isprintable():
        raise UserError("the user's name holds control characters")
    return scheme, host, port or PORTS[scheme], user


def _place(place: str) -> tuple[str, int]:
    if place.startswith("["):
        host, bracket, port = place[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise UserError("an IPv6 address stands in brackets: imaps://USER@[::1]:993")
        port = port[1:]
    else:
        host, colon, port = place.partition(":")
        if colon and not port:
            raise UserError("the source has a colon but no port")
    if not port:
        return host, 0
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"{port} is no port")
    return host, int(port)
