"""App passwords: random, made here, good for some services only. Pure; they are kept by `state.app_passwords`.

One has 24 characters, in groups of four for the eye: the first group is its id, the other 20 are the secret (100 bits).
So a login finds the one row that it must compare with, however many there are.

They have one HMAC and not argon2id: a slow hash makes guessing dear where a person has chosen the password. Nobody guesses
100 random bits, so that the fast hash is as safe, and a login costs microseconds.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import UserError
from ..state import app_passwords as kept
from ..state.edits import APP_PASSWORD

if TYPE_CHECKING:
    from ..state.app_passwords import AppPassword
    from ..state.edits import Verifier

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # 5 bits each; no i, l, o, u
ID_CHARACTERS: Final = 4
SECRET_CHARACTERS: Final = 20
GROUP_CHARACTERS: Final = 4
SALT_OCTETS: Final = 16
TYPED_CHARACTERS_MAX: Final = 100  # with spaces and dashes; what is longer has not the shape
_CHARACTERS: Final = frozenset(ALPHABET)
_ALIKE: Final = str.maketrans("ilo", "110")


class Made(NamedTuple):
    """A new one. `password` is for its owner's eyes, once."""

    password: str
    verifier: Verifier

    def __repr__(self) -> str:
        return f"Made(id={self.verifier['id']!r})"


def make(label: str, scopes: tuple[str, ...], now: float, lifetime_seconds: float | None = None) -> Made:
    """A new app password, not kept yet. `scopes` empty: all services. Raises UserError."""
    label = label.strip()
    if not 1 <= len(label) <= kept.LABEL_CHARACTERS_MAX or not label.isprintable():
        raise UserError(f"a label has 1 to {kept.LABEL_CHARACTERS_MAX} characters on one line")
    unknown = sorted(set(scopes) - set(kept.SCOPES))
    if unknown:
        raise UserError(f"there is no scope {unknown[0]}; scopes are {', '.join(kept.SCOPES)}")
    if lifetime_seconds is not None and lifetime_seconds <= 0:
        raise UserError("an app password cannot expire in the past")
    plain = "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARACTERS + SECRET_CHARACTERS))
    salt = secrets.token_bytes(SALT_OCTETS)
    verifier: Verifier = {
        "kind": APP_PASSWORD,
        "id": plain[:ID_CHARACTERS],
        "label": label,
        "scopes": [scope for scope in kept.SCOPES if scope in scopes or not scopes],
        "created": now,
        "expires": None if lifetime_seconds is None else now + lifetime_seconds,
        "salt": base64.b64encode(salt).decode(),
        "hash": base64.b64encode(_digest(salt, plain)).decode(),
    }
    groups = (plain[start : start + GROUP_CHARACTERS] for start in range(0, len(plain), GROUP_CHARACTERS))
    return Made("-".join(groups), verifier)


def plain_of(typed: str) -> str | None:
    """What was meant by what was typed, when it has the shape of an app password: case, spaces, dashes and look-alikes of
    digits do not count."""
    if len(typed) > TYPED_CHARACTERS_MAX:
        return None
    plain = "".join(c for c in typed.lower() if c != "-" and unicodedata.category(c) != "Zs").translate(_ALIKE)
    return plain if len(plain) == ID_CHARACTERS + SECRET_CHARACTERS and _CHARACTERS.issuperset(plain) else None


def match(verifiers: tuple[Verifier, ...] | list[Verifier], typed: str) -> AppPassword | None:
    """The one among an account's verifiers that this is, whatever it is good for. At most one hash."""
    plain = plain_of(typed)
    if plain is None:
        return None
    for verifier in kept.app_rows(verifiers):
        if verifier["id"] == plain[:ID_CHARACTERS]:
            digest = _digest(base64.b64decode(verifier["salt"]), plain)
            good = hmac.compare_digest(digest, base64.b64decode(verifier["hash"]))
            return kept.shown(verifier) if good else None
    return None


def refusal(found: AppPassword, service: str, now: float) -> str:
    """Why it does not open this service now, for the log; empty when it does."""
    if found.expires is not None and found.expires <= now:
        return "expired"
    return "" if service in found.scopes else f"not for {service or 'this service'}"


def _digest(salt: bytes, plain: str) -> bytes:
    return hmac.digest(salt, plain.encode(), hashlib.sha256)
