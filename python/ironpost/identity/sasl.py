"""SASL mechanisms as step functions: PLAIN (RFC 4616) and LOGIN (obsolete, and still what many clients send).

No user is looked up here. base64 is the cores' affair.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from ..errors import SaslError

__all__ = ["MECHANISMS", "Credentials", "Given", "SaslError", "SaslExchange", "bounded", "decoded", "start"]

OCTETS_MAX: Final = 4096  # of one message of an exchange; three fields of at most 1,024 fit


class Credentials(NamedTuple):
    """What an exchange has brought. `authzid` is "" or equal to the user."""

    user: str
    password: str
    authzid: str

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


class SaslExchange(Protocol):
    """One exchange. The first step gets the initial response, or None when there was none."""

    def step(self, data: bytes | None) -> bytes | Credentials:
        """The client's message in; the next challenge or the credentials out. Raises SaslError."""


def start(mechanism: str, initial: bytes | None = None) -> SaslExchange | None:
    """A new exchange, or None for another mechanism than these. `initial` may also be given to the first step."""
    maker = _MAKERS.get(mechanism.upper())
    return None if maker is None else maker(initial)


class Given:
    """Credentials that came in another way."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def step(self, data: bytes | None) -> bytes | Credentials:
        """At once."""
        return self._credentials


class _Plain:
    __slots__ = ("_initial",)

    def __init__(self, initial: bytes | None) -> None:
        self._initial = initial

    def step(self, data: bytes | None) -> bytes | Credentials:
        if data is None:
            data, self._initial = self._initial, None
        if data is None:
            return b""
        # message = [authzid] UTF8NUL authcid UTF8NUL passwd
        parts = bounded(data).split(b"\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise SaslError("malformed PLAIN message")
        authzid, user, password = (decoded(part) for part in parts)
        if authzid and authzid.lower() != user.lower():
            raise SaslError("acting for someone else is not allowed", code=535, enhanced="5.7.8")
        return Credentials(user, password, authzid)


class _Login:
    __slots__ = ("_asked", "_initial", "_user")

    def __init__(self, initial: bytes | None) -> None:
        self._initial = initial
        self._asked = False
        self._user: str | None = None

    def step(self, data: bytes | None) -> bytes | Credentials:
        if data is None:
            data, self._initial = self._initial, None
        if data is None:
            if self._asked:
                raise SaslError("malformed LOGIN message")
            self._asked = True
            return b"Username:"
        text = decoded(bounded(data))
        if "\0" in text or not text:
            raise SaslError("malformed LOGIN message")
        if self._user is None:
            self._user = text
            return b"Password:"
        return Credentials(self._user, text, "")


_MAKERS: Final[dict[str, type[_Plain] | type[_Login]]] = {"PLAIN": _Plain, "LOGIN": _Login}
MECHANISMS: Final = tuple(_MAKERS)  # in the order in which they are offered


def bounded(data: bytes, octets_max: int = OCTETS_MAX) -> bytes:
    """A message of an exchange, when it is no longer than `octets_max`. Raises SaslError."""
    if len(data) > octets_max:
        raise SaslError("SASL message too long")
    return data


def decoded(data: bytes) -> str:
    """A field as text. Raises SaslError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SaslError("SASL message is not UTF-8") from None
