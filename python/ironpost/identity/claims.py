"""What a token says of itself, held against the configuration (RFC 9068 §4, RFC 7662 §2.2). Pure; whether the token is genuine
has been settled before.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from ..errors import TokenRefused

if TYPE_CHECKING:
    from ..config import OauthConfig

__all__ = ["LEEWAY_SECONDS", "Claims", "check", "expiry", "parse", "user_of"]

LEEWAY_SECONDS: Final = 60.0  # by which the issuer's clock and ours may differ (RFC 7519 §4.1.4: a few minutes at most)
Claims = dict[str, Any]


def parse(octets: bytes) -> Claims:
    """A JSON object. Raises ValueError."""

    def no_number(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    try:
        read = json.loads(octets.decode(), parse_constant=no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(read, dict):
        raise ValueError("no JSON object")
    return read


def check(claims: Claims, config: OauthConfig, now: float, *, introspected: bool) -> None:
    """Is it for us, from our issuer, good for what is asked, and good now? `now` in Unix seconds.

    `introspected`: the issuer itself has said all this, and may leave out what is its own (RFC 7662 §2.2). Time comes last: a
    token has honestly expired only when it would have been a login before. Raises TokenRefused.
    """
    if claims.get("iss", config.issuer if introspected else None) != config.issuer:
        raise TokenRefused("of another issuer")
    if config.audience and config.audience not in _words(claims.get("aud"), split=False):
        raise TokenRefused("for another audience")
    if "cnf" in claims:
        # RFC 7800 §3.1, RFC 9449 §7.2: the bearer of this one would have to prove a key, and SASL has no place for that.
        raise TokenRefused("bound to a key")
    # RFC 8693 §4.2; `scp` is Microsoft's and Okta's.
    granted = _words(claims.get("scope", claims.get("scp")), split=True)
    missing = [scope for scope in config.scopes if scope not in granted]
    if missing:
        raise TokenRefused("without scope " + " ".join(missing), status="insufficient_scope")
    not_before = _time(claims, "nbf")
    if not_before is not None and not_before > now + LEEWAY_SECONDS:
        raise TokenRefused("not good yet")
    expires = expiry(claims)
    if expires is None and not introspected:
        raise TokenRefused("without an end")
    if expires is not None and expires <= now - LEEWAY_SECONDS:
        raise TokenRefused("expired", honest=True)


def expiry(claims: Claims) -> float | None:
    """Unix seconds. Raises TokenRefused for what is no time."""
    return _time(claims, "exp")


def user_of(claims: Claims, names: tuple[str, ...]) -> str:
    """Whose token it is, by the first of the claims that it has. Raises TokenRefused."""
    for name in names:
        if name not in claims:
            continue
        value = claims[name]
        if not isinstance(value, str) or not value or not value.isprintable():
            raise TokenRefused(f"its {name} is no name")
        # OpenID Connect Core §5.1: whoever may type in an address at the issuer must not become its owner here.
        if name == "email" and claims.get("email_verified", True) not in (True, "true"):
            raise TokenRefused("its email is not verified")
        return value
    raise TokenRefused("without any of " + ", ".join(names))


def _words(value: object, *, split: bool) -> frozenset[str]:
    """A claim that is a text or a list of them."""
    if isinstance(value, str):
        return frozenset(value.split(" ") if split else (value,))
    if isinstance(value, list):
        return frozenset(item for item in value if isinstance(item, str))
    return frozenset()


def _time(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"its {name} is no time")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise TokenRefused(f"its {name} is no time")
    return seconds
