"""A login by a token: OAUTHBEARER and XOAUTH2 as an exchange of `login`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import SaslError, TokenRefused
from . import oauth

if TYPE_CHECKING:
    from ..state.directory import Account
    from .passwords import Proven
    from .presence import Proof

__all__ = ["Issuer", "TokenAuthority", "TokenLogin"]


class Issuer(Protocol):
    """Who makes the tokens: `tokens.Tokens`."""

    def challenge(self, status: str) -> bytes: ...


class TokenAuthority(Protocol):
    """Who decides: `passwords.Authenticator`. `tokens` is None when tokens are no logins here."""

    @property
    def tokens(self) -> Issuer | None: ...

    async def verify_token(self, user: str, token: str, peer_host: str) -> Proven: ...


class TokenLogin:
    """The client hands over its token; a refused one gets a challenge that says why, and its answer ends the exchange."""

    __slots__ = ("_authority", "_host", "_issuer", "_mechanism", "_refused", "proof", "user")
    refusal = "the token is not accepted"

    def __init__(self, authority: TokenAuthority, issuer: Issuer, mechanism: str, peer_host: str) -> None:
        self._authority = authority
        self._issuer = issuer
        self._mechanism = mechanism
        self._host = peer_host
        self._refused: TokenRefused | None = None
        self.user = ""
        self.proof: Proof

    async def step(self, data: bytes | None) -> bytes | Account:
        """See login.Login."""
        if self._refused is not None:
            if not oauth.is_acknowledgement(data):
                raise SaslError("nothing more was expected")
            raise self._refused
        if data is None:
            return b""  # the client speaks first
        bearer = oauth.read(self._mechanism, data)
        self.user = bearer.user
        try:
            if not bearer.token:
                # A client that looks for the issuer; it has guessed at nothing, so it is not counted either.
                raise TokenRefused("no token")
            account, self.proof = await self._authority.verify_token(bearer.user, bearer.token, self._host)
            return account
        except TokenRefused as error:
            self._refused = error
            return self._issuer.challenge(error.status)
