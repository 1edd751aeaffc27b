"""SCRAM (RFC 5802, RFC 7677): verifiers of passwords, and the server's side of one exchange. Pure; no user is looked up here.

Without channel binding: the TLS library gives the exporter of a connection in no way that we could use, and a -PLUS mechanism
that does not know `tls-exporter` (RFC 9266) would only break the clients that prefer it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..errors import SaslError
from .sasl import bounded, decoded

__all__ = ["HASHES", "ScramServer", "Verifier", "decoy_salt", "make", "nobody", "read", "saslname"]

# Mechanism to the name of its hash; announced in this order.
HASHES: Final[Mapping[str, str]] = {
    "SCRAM-SHA-256": "sha256",
    "SCRAM-SHA-512": "sha512",
    "SCRAM-SHA-1": "sha1",
}
SALT_OCTETS: Final = 16
NONCE_OCTETS: Final = 24
_NO_BINDING: Final = b"n"
_CLIENT_WOULD_BIND: Final = b"y"


class Verifier(NamedTuple):
    """What is kept of a password (RFC 5802 §3): neither it nor the client's key can be had from it but by guessing."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def kind_of(mechanism: str) -> str:
    """The `kind` of a mechanism's verifier in a credential."""
    return mechanism.lower()


def make(mechanism: str, password: bytes, iterations: int, salt: bytes | None = None) -> dict[str, Any]:
    """A verifier of a prepared password, as a credential keeps it: octets as base64, so that an export in text can carry it."""
    name = HASHES[mechanism]
    salt = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
    salted = hashlib.pbkdf2_hmac(name, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    return {
        "kind": kind_of(mechanism),
        "salt": base64.b64encode(salt).decode(),
        "iterations": iterations,
        "stored": base64.b64encode(hashlib.new(name, client_key).digest()).decode(),
        "server": base64.b64encode(hmac.digest(salted, b"Server Key", name)).decode(),
    }


def read(mechanism: str, verifiers: tuple[dict[str, Any], ...]) -> Verifier | None:
    """The verifier of a mechanism among those of a credential."""
    kind = kind_of(mechanism)
    for row in verifiers:
        if row.get("kind") == kind:
            salt, stored, server = (base64.b64decode(row[name]) for name in ("salt", "stored", "server"))
            return Verifier(salt, row["iterations"], stored, server)
    return None


def decoy_salt(key: bytes, mechanism: str, user: str) -> bytes:
    """The salt of a user who has none: the same at every attempt, so that nobody can be told from somebody."""
    return hmac.digest(key, f"{kind_of(mechanism)}\0{user}".encode(), "sha256")[:SALT_OCTETS]


class ScramServer:
    """One exchange: `first` with the client's first message, `challenge` with what is kept of the password, `final` with the
    client's second message."""

    __slots__ = ("_client_first_bare", "_gs2_header", "_hash", "_nonce", "_server_first", "_verifier", "user")

    def __init__(self, mechanism: str) -> None:
        self._hash = HASHES[mechanism]
        self._gs2_header = b""
        self._client_first_bare = b""
        self._server_first = b""
        self._nonce = b""
        self._verifier = Verifier(b"", 0, b"", b"")
        self.user = ""

    def first(self, data: bytes) -> str:
        """Who wants in. Raises SaslError."""
        # client-first-message = gs2-cbind-flag "," [authzid] "," [reserved-mext ","] username "," nonce ["," extensions]
        flag, authzid, bare = _split(bounded(data), 2)
        if flag.startswith(b"p="):
            raise SaslError("channel binding is not supported")
        if flag not in (_NO_BINDING, _CLIENT_WOULD_BIND):
            raise SaslError("malformed SCRAM message")
        attributes = bare.split(b",")
        if attributes[0].startswith(b"m="):
            raise SaslError("mandatory SCRAM extensions are not supported")
        if len(attributes) < 2 or not attributes[0].startswith(b"n=") or not attributes[1].startswith(b"r="):
            raise SaslError("malformed SCRAM message")
        self.user = saslname(attributes[0][2:])
        nonce = attributes[1][2:]
        if not self.user or not nonce or not all(0x21 <= octet <= 0x7E for octet in nonce):
            raise SaslError("malformed SCRAM message")
        if authzid:
            if not authzid.startswith(b"a="):
                raise SaslError("malformed SCRAM message")
            if saslname(authzid[2:]).lower() != self.user.lower():
                raise SaslError("acting for someone else is not allowed", code=535, enhanced="5.7.8")
        self._gs2_header = data[: len(data) - len(bare)]
        self._client_first_bare = bare
        self._nonce = nonce
        return self.user

    def challenge(self, verifier: Verifier, nonce: bytes | None = None) -> bytes:
        """The server's first message."""
        own = base64.b64encode(secrets.token_bytes(NONCE_OCTETS)) if nonce is None else nonce
        self._nonce += own
        self._verifier = verifier
        salt = base64.b64encode(verifier.salt)
        self._server_first = b"r=" + self._nonce + b",s=" + salt + b",i=%d" % verifier.iterations
        return self._server_first

    def final(self, data: bytes) -> bytes | None:
        """The server's final message, or None: the client does not know the password. Raises SaslError."""
        # client-final-message = channel-binding "," nonce ["," extensions] "," proof
        without_proof, mark, proof_text = bounded(data).rpartition(b",p=")
        attributes = without_proof.split(b",")
        if (
            not mark
            or len(attributes) < 2
            or not attributes[0].startswith(b"c=")
            or not attributes[1].startswith(b"r=")
        ):
            raise SaslError("malformed SCRAM message")
        binding, proof = _base64(attributes[0][2:]), _base64(proof_text)
        if not hmac.compare_digest(binding, self._gs2_header) or not hmac.compare_digest(
            attributes[1][2:], self._nonce
        ):
            raise SaslError("the SCRAM messages do not belong together")
        verifier = self._verifier
        message = b",".join((self._client_first_bare, self._server_first, without_proof))
        signature = hmac.digest(verifier.stored_key, message, self._hash)
        if len(proof) != len(signature):
            raise SaslError("malformed SCRAM message")
        client_key = bytes(left ^ right for left, right in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.new(self._hash, client_key).digest(), verifier.stored_key):
            return None
        return b"v=" + base64.b64encode(hmac.digest(verifier.server_key, message, self._hash))


def nobody(mechanism: str, salt: bytes, iterations: int) -> Verifier:
    """A verifier that no password fits, at the same cost."""
    length = hashlib.new(HASHES[mechanism]).digest_size
    return Verifier(salt, iterations, secrets.token_bytes(length), secrets.token_bytes(length))


def _split(data: bytes, commas: int) -> list[bytes]:
    parts = data.split(b",", commas)
    if len(parts) != commas + 1:
        raise SaslError("malformed SCRAM message")
    return parts


def saslname(octets: bytes) -> str:
    """`saslname` (RFC 5802 §5.1): `=2C` is a comma, `=3D` an equals sign, and no other `=` may stand. Raises SaslError."""
    text = decoded(octets)
    rest = text.replace("=2C", "").replace("=3D", "")
    if "=" in rest or "\0" in text:
        raise SaslError("malformed SASL name")
    return text.replace("=2C", ",").replace("=3D", "=")


def _base64(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error:
        raise SaslError("malformed SCRAM message") from None
