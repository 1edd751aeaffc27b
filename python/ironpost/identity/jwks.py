"""The keys of an issuer (JWK Set, RFC 7517 §5): read, kept, and read again when they are old or one is missing.

A set that cannot be read anew stays in use for a time: an issuer that is down for an hour must not lock out everybody who holds
a good token. Only public signature keys of the algorithms that `jwt` knows are taken; all others are left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, OKPKey, RSAKey

from ..errors import AuthenticationBusy, IronpostError, TokenRefused
from .claims import parse

if TYPE_CHECKING:
    from ..runtime.logging import Log

__all__ = [
    "ALGORITHMS",
    "KEYS_FRESH_SECONDS",
    "KEYS_OCTETS_MAX",
    "KEYS_RETRY_SECONDS",
    "KEYS_STALE_SECONDS",
    "KeySource",
]

KEYS_FRESH_SECONDS: Final = (
    3600.0  # then they are read anew: keys that the issuer has withdrawn are good no longer than this
)
KEYS_RETRY_SECONDS: Final = 60.0  # at least between two readings: anyone can make up tokens with unknown keys
KEYS_STALE_SECONDS: Final = 86_400.0  # since the last reading that went well: then they are good no more
KEYS_OCTETS_MAX: Final = 262_144  # of a set; the largest issuers have some 20 KiB
KEYS_MAX: Final = 100  # of a set
TRIES_MAX: Final = 4  # keys that are tried on a token that names none
RSA_BITS_MIN: Final = 2048  # RFC 7518 §3.3
RSA_BITS_MAX: Final = 8192  # more would only cost us
PublicKey = RSAKey | ECKey | OKPKey

# Signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1) to the kind of key and its curve. Neither `none` nor any HMAC: an issuer's
# public key is no secret, so whoever could choose those could sign with what everybody may read.
ALGORITHMS: Final = {"RS256": ("RSA", ""), "PS256": ("RSA", ""), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}


class PublishedKey(NamedTuple):
    """A key of a set. `algorithm` is "" when the set does not say which one it is for."""

    kid: str
    kind: str
    curve: str
    algorithm: str
    key: PublicKey


def keys_of(octets: bytes) -> tuple[PublishedKey, ...]:
    """The keys of a JWK Set that can check a token. Pure, slow enough for a thread. Raises ValueError when there is none."""
    rows = parse(octets).get("keys")
    if not isinstance(rows, list):
        raise ValueError("no JWK Set")
    found = [key for row in rows[:KEYS_MAX] if isinstance(row, dict) and (key := _key(row)) is not None]
    if not found:
        raise ValueError("no key in it can be used")
    return tuple(found)


def _key(row: dict[str, Any]) -> PublishedKey | None:
    kid, kind, curve, algorithm = (row.get(name, "") for name in ("kid", "kty", "crv", "alg"))
    if not all(isinstance(text, str) for text in (kid, kind, curve, algorithm)) or row.get("use", "sig") != "sig":
        return None
    if not any((kind, curve) == known and algorithm in ("", name) for name, known in ALGORITHMS.items()):
        return None
    if kind == "RSA" and not RSA_BITS_MIN <= _bits(row.get("n")) <= RSA_BITS_MAX:
        return None
    # RFC 7517 §4: members that are not understood are ignored; and what is private has no place here.
    public: dict[str, Any] = {name: row[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in row}
    try:
        key = JWKRegistry.import_key(public)
    except (JoseError, ValueError, TypeError):
        return None  # one bad key must not cost us the others
    return PublishedKey(kid, kind, curve, algorithm, key) if isinstance(key, PublicKey) else None


def _bits(modulus: object) -> int:
    """Of base64url, near enough: within 7."""
    return len(modulus) * 3 // 4 * 8 if isinstance(modulus, str) else 0


class KeySource:
    """One for each worker and issuer, used on its Trio thread.

    `read` gives the octets of the set and raises IronpostError or OSError; `slowly` runs a function in a thread and raises
    AuthenticationBusy; `clock` gives seconds.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[bytes]],
        slowly: Callable[..., Awaitable[Any]],
        log: Log,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._read = read
        self._slowly = slowly
        self._log = log
        self._clock = clock
        self._lock = trio.Lock()
        self._keys: tuple[PublishedKey, ...] = ()
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._failed = False  # the last reading
        self._again = False

    def again(self) -> None:
        """The next token has the keys read anew."""
        self._again = True

    async def find(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        """The keys that may have signed: the one of that name, or without a name some that fit.

        Raises TokenRefused (no such key), AuthenticationBusy (the keys cannot be had).
        """
        found = self._fitting(kid, algorithm)
        # While one login reads, those whose key is known go on with the old ones, and the others wait.
        wait = not found if self._lock.locked() else self._due(missing=not found)
        if wait:
            async with self._lock:
                found = self._fitting(kid, algorithm)
                if self._due(missing=not found):
                    await self._refresh()
                    found = self._fitting(kid, algorithm)
        if found:
            return found
        if self._failed or not self._keys:
            raise AuthenticationBusy
        # Honest when the issuer has changed its keys within the last KEYS_RETRY_SECONDS.
        raise TokenRefused("signed with an unknown key", honest=True)

    def _fitting(self, kid: str, algorithm: str) -> tuple[PublicKey, ...]:
        if self._clock() - self._read_at >= KEYS_STALE_SECONDS:
            return ()
        fitting = [
            one.key
            for one in self._keys
            if (one.kind, one.curve) == ALGORITHMS[algorithm]
            and one.algorithm in ("", algorithm)
            and (not kid or one.kid == kid)
        ]
        return tuple(fitting[:TRIES_MAX])

    def _due(self, *, missing: bool) -> bool:
        now = self._clock()
        if self._again:
            return True
        if now - self._tried_at < KEYS_RETRY_SECONDS:
            return False
        return missing or now - self._read_at >= KEYS_FRESH_SECONDS

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        self._failed = True
        self._again = False
        try:
            self._keys = await self._slowly(keys_of, await self._read())
        except (IronpostError, OSError, ValueError) as error:
            # AuthenticationBusy is among them. Whether the old keys still serve, `find` sees.
            self._log.warning("issuer's keys not read", why=str(error), kept=len(self._keys))
            return
        self._failed = False
        self._read_at = self._clock()
