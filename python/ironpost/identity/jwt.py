"""A JWT's signature (RFC 7515, RFC 7519; what may go wrong: RFC 8725): which key it names, and whether that key has made it.

The algorithm is one of `jwks.ALGORITHMS`, and the key must be of that algorithm's kind: the token has no say beyond that.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final, NamedTuple

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError, UnsupportedAlgorithmError

from ..errors import TokenRefused
from .claims import Claims, parse
from .jwks import ALGORITHMS, PublicKey
from .oauth import TOKEN_OCTETS_MAX

__all__ = ["Header", "header_of", "verified"]

# RFC 9068 §2.1, and what issuers wrote before it; RFC 8725 §3.11: no other kind of JWT is taken for an access token.
TYPES: Final = ("", "jwt", "at+jwt", "application/at+jwt", "application/jwt")
KID_CHARACTERS_MAX: Final = 500


class _Registry(jws.JWSRegistry):
    """For one algorithm. The parts need no narrower bounds than the token: some issuers put certificates into the header."""

    max_header_length = TOKEN_OCTETS_MAX
    max_payload_length = TOKEN_OCTETS_MAX
    max_signature_length = TOKEN_OCTETS_MAX

    def get_alg(self, name: str) -> Any:
        """Its own would warn of `EdDSA`, since it names no curve (RFC 9864 §1); here it stands for one curve alone."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class Header(NamedTuple):
    """What is needed of a JOSE header. `kid` is "" when it names no key."""

    algorithm: str
    kid: str


def header_of(token: str) -> Header:
    """The header of a JWT; nothing in it is to be believed yet. Raises TokenRefused."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        raise TokenRefused("no JWT")
    try:
        fields = parse(base64.b64decode(parts[0] + "=" * (-len(parts[0]) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise TokenRefused("no JWT") from None
    algorithm, kid, kind = fields.get("alg"), fields.get("kid", ""), fields.get("typ", "")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused("signed in a way that is not accepted")
    if "crit" in fields or "b64" in fields:
        raise TokenRefused("with extensions that are not understood")  # RFC 7515 §4.1.11
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise TokenRefused("a JWT of another type")
    if not isinstance(kid, str) or len(kid) > KID_CHARACTERS_MAX:
        raise TokenRefused("no JWT")
    return Header(algorithm, kid)


def verified(token: str, header: Header, keys: tuple[PublicKey, ...]) -> Claims:
    """The claims, once one of the keys has proved to be the signer's. Costs a signature check for each. Raises TokenRefused."""
    registry = _Registry(algorithms=[header.algorithm], strict_check_header=False)
    for key in keys:
        try:
            payload = jws.deserialize_compact(token, key, registry=registry).payload
        except BadSignatureError:
            continue
        except (JoseError, ValueError, TypeError):
            raise TokenRefused("no JWT") from None
        try:
            return parse(payload or b"")
        except ValueError:
            raise TokenRefused("no JWT") from None
    raise TokenRefused("not signed by the issuer")
