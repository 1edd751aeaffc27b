"""Passwords to verifiers and back: argon2id (RFC 9106) and SCRAM (RFC 5802), prepared by OpaqueString (RFC 8265 §4.2). Pure and
blocking.

A credential is a list of verifiers, all made when the password is set. Nothing here logs or keeps a password.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import argon2

from . import scram

if TYPE_CHECKING:
    from ..config import IdentityConfig

PASSWORD_OCTETS_MAX: Final = 1024  # argon2 would take more; nobody types it
ARGON2ID: Final = "argon2id"
Verifier = dict[str, Any]


class BadPassword(ValueError):
    """A password that cannot be set."""


class Hasher:
    """Makes and checks verifiers at the configured cost. Safe to use from several threads."""

    __slots__ = ("_argon2", "_decoy", "scram_iterations")

    def __init__(self, config: IdentityConfig) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=config.argon2_time, memory_cost=config.argon2_memory // 1024, parallelism=1, hash_len=32
        )
        self.scram_iterations = config.scram_iterations
        self._decoy: tuple[Verifier, ...] = ()

    def make(self, password: str) -> list[Verifier]:
        """Verifiers for a new password. Raises BadPassword."""
        prepared = prepare(password)
        made: list[Verifier] = [{"kind": ARGON2ID, "hash": self._argon2.hash(prepared)}]
        made += (scram.make(mechanism, prepared, self.scram_iterations) for mechanism in scram.HASHES)
        return made

    def check(self, verifiers: tuple[Verifier, ...] | list[Verifier], password: str) -> bool:
        """Does the password fit? Takes the full cost whatever the answer."""
        try:
            prepared = prepare(password)
        except BadPassword:
            prepared = b""  # fits nothing, and costs the same
        for verifier in verifiers:
            if verifier.get("kind") == ARGON2ID:
                try:
                    return self._argon2.verify(verifier["hash"], prepared) and bool(prepared)
                except argon2.exceptions.VerifyMismatchError:
                    return False
        return False

    def check_nobody(self, password: str) -> None:
        """Costs as much as a real check: unknown accounts cannot be told by the clock."""
        if not self._decoy:
            self._decoy = ({"kind": ARGON2ID, "hash": self._argon2.hash(b"nobody has this password")},)
        self.check(self._decoy, password)

    def outdated(self, verifiers: tuple[Verifier, ...]) -> bool:
        """Were they made at another cost than the present one, or are some missing?"""
        for mechanism in scram.HASHES:
            verifier = scram.read(mechanism, verifiers)
            if verifier is None or verifier.iterations != self.scram_iterations:
                return True
        return any(
            verifier.get("kind") == ARGON2ID and self._argon2.check_needs_rehash(verifier["hash"])
            for verifier in verifiers
        )


def prepare(password: str) -> bytes:
    """OpaqueString: spaces of all kinds become U+0020, NFC, no control characters, not empty. Raises BadPassword."""
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    result = unicodedata.normalize("NFC", spaced)
    if not result:
        raise BadPassword("a password cannot be empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in result):
        raise BadPassword("a password cannot hold control characters")
    octets = result.encode()
    if len(octets) > PASSWORD_OCTETS_MAX:
        raise BadPassword(f"a password has at most {PASSWORD_OCTETS_MAX} octets")
    return octets
