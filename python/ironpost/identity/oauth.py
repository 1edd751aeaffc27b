"""OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's, older and still what many clients send): what a client's message says, and how
it is told that its token is no good. Pure; no token is judged here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..errors import SaslError
from .sasl import bounded, decoded
from .scram import saslname

__all__ = [
    "MECHANISMS",
    "OCTETS_MAX",
    "TOKEN_OCTETS_MAX",
    "Bearer",
    "Message",
    "challenge",
    "is_acknowledgement",
    "read",
]

TOKEN_OCTETS_MAX: Final = 8192  # issuers that put groups into their tokens come near half of it
OCTETS_MAX: Final = 9216  # of a client's message: what a line of 12,288 octets of base64 holds (RFC 4954 §4)
_KVSEP: Final = b"\x01"
_KEY: Final = re.compile(rb"[A-Za-z]+")
# value = *(VCHAR / SP / HTAB / CR / LF)
_VALUE: Final = re.compile(rb"[\x21-\x7e \t\r\n]*")
# RFC 6750 §2.1: b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="
_B64TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/-]+=*")


class Bearer(NamedTuple):
    """What a client has sent. `user` is "" when the token alone says who it is, `token` is "" when the client only asks for the
    challenge, to learn who the issuer is."""

    user: str
    token: str

    def __repr__(self) -> str:
        return f"Bearer(user={self.user!r})"


Message = Callable[[bytes], Bearer]


def read(mechanism: str, data: bytes) -> Bearer:
    """The client's message of one of MECHANISMS. Raises SaslError."""
    return _READERS[mechanism](bounded(data, OCTETS_MAX))


def challenge(status: str, scopes: tuple[str, ...], openid_configuration: str) -> bytes:
    """What a refused client is told (RFC 7628 §3.2.2); keys without a value are left out."""
    told = {"status": status, "scope": " ".join(scopes), "openid-configuration": openid_configuration}
    return json.dumps({key: value for key, value in told.items() if value}, separators=(",", ":")).encode()


def is_acknowledgement(data: bytes | None) -> bool:
    """Is it the answer to such a challenge? ^A (RFC 7628 §3.2.3), or nothing as XOAUTH2 has it."""
    return data in (_KVSEP, b"")


def _oauthbearer(data: bytes) -> Bearer:
    # client-resp = gs2-header kvsep *kvpair kvsep; gs2-header = gs2-cb-flag "," [ "a=" saslname ] ","
    header, separator, pairs = data.partition(_KVSEP)
    parts = header.split(b",")
    if not separator or len(parts) != 3 or parts[2]:
        raise SaslError("malformed OAUTHBEARER message")
    flag, authzid, _ = parts
    if flag.startswith(b"p="):
        raise SaslError("channel binding is not supported")
    if flag not in (b"n", b"y") or (authzid and not authzid.startswith(b"a=")):
        raise SaslError("malformed OAUTHBEARER message")
    user = saslname(authzid[2:])
    if authzid and not user:
        raise SaslError("malformed OAUTHBEARER message")
    values = _pairs(pairs, "OAUTHBEARER")
    port = values.get(b"port", b"0")
    if not port.isdigit() or len(port) > 5:
        raise SaslError("malformed OAUTHBEARER message")
    # §3.1: host and port say where the client believes to be; other keys may be there and mean nothing to a bearer's token.
    return Bearer(user, _token(values, "OAUTHBEARER"))


def _xoauth2(data: bytes) -> Bearer:
    # "user=" user kvsep "auth=Bearer " token kvsep kvsep
    first, separator, rest = data.partition(_KVSEP)
    if not separator or not first.startswith(b"user="):
        raise SaslError("malformed XOAUTH2 message")
    user = decoded(first[5:])
    values = _pairs(rest, "XOAUTH2")
    if not user.isprintable() or not user or set(values) != {b"auth"}:
        raise SaslError("malformed XOAUTH2 message")
    return Bearer(user, _token(values, "XOAUTH2"))


def _pairs(data: bytes, mechanism: str) -> dict[bytes, bytes]:
    """`*kvpair kvsep`, each key once."""
    if data != _KVSEP and not data.endswith(_KVSEP + _KVSEP):
        raise SaslError(f"malformed {mechanism} message")
    values: dict[bytes, bytes] = {}
    for pair in data[:-1].split(_KVSEP)[:-1]:
        key, equals, value = pair.partition(b"=")
        if not equals or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value) or key in values:
            raise SaslError(f"malformed {mechanism} message")
        values[key] = value
    return values


def _token(values: dict[bytes, bytes], mechanism: str) -> str:
    """The token of `auth`; "" when there is none in it."""
    if b"auth" not in values:
        raise SaslError(f"malformed {mechanism} message")
    scheme, _, token = values[b"auth"].partition(b" ")
    if not scheme and not token:
        return ""
    token = token.strip(b" ")
    if scheme.lower() != b"bearer" or not _B64TOKEN.fullmatch(token):
        raise SaslError(f"no bearer's token in the {mechanism} message")
    if len(token) > TOKEN_OCTETS_MAX:
        raise SaslError("the token is too long")
    return token.decode("ascii")


_READERS: Final[Mapping[str, Message]] = {"OAUTHBEARER": _oauthbearer, "XOAUTH2": _xoauth2}
MECHANISMS: Final = tuple(_READERS)  # in the order in which they are offered
