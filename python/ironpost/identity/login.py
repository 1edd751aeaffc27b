"""One login exchange, whatever the mechanism and the protocol: octets of the client in, challenges or the account out.

A session keeps one of these between `AUTHENTICATE` and its end; what the protocol says of each outcome is the session's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ..errors import SaslError
from . import external, oauth, sasl, scram
from .external import CertificateAuthority, ExternalLogin
from .presence import Proof
from .token_login import TokenAuthority, TokenLogin

if TYPE_CHECKING:
    from .._core import TlsInfo
    from ..state.directory import Account
    from .passwords import Proven

__all__ = ["Login", "PasswordLogin", "ScramLogin", "begin", "mechanisms", "with_password"]

_WRONG: Final = "wrong user name or password"
_ALWAYS: Final = (*sasl.MECHANISMS, *scram.HASHES)


class Authority(TokenAuthority, CertificateAuthority, Protocol):
    """Who decides: `passwords.Authenticator`."""

    async def verify(self, user: str, password: str, peer_host: str, service: str) -> Proven: ...

    async def scram_begin(self, mechanism: str, user: str, peer_host: str) -> scram.Verifier: ...

    async def scram_end(
        self, mechanism: str, user: str, verifier: scram.Verifier, peer_host: str, *, good: bool
    ) -> Proven: ...


class Login(Protocol):
    """An exchange under way. `user`: whom it is about, once that is known, for the log. `proof`: what the login stands on,
    once it is good. `refusal`: what a client is told when it has failed, in the protocols that tell in words."""

    user: str
    proof: Proof

    @property
    def refusal(self) -> str: ...

    async def step(self, data: bytes | None) -> bytes | Account:
        """The client's message, None for no initial response; the next challenge, or who it is.

        Raises SaslError (malformed), AuthenticationFailed, AuthenticationBusy, TooManyFailures; the exchange is over then.
        """


def mechanisms(authority: TokenAuthority, tls: TlsInfo | None) -> tuple[str, ...]:
    """What sessions announce, in this order, where a login is allowed at all. `tls`: of their connection."""
    names = _ALWAYS if authority.tokens is None else (*_ALWAYS, *oauth.MECHANISMS)
    return names if tls is None or tls.client_certificate is None else (*names, external.MECHANISM)


def begin(
    authority: Authority, mechanism: str, peer_host: str, service: str, tls: TlsInfo | None = None
) -> Login | None:
    """A new exchange; None for a mechanism that is not offered. `service`: a scope of app passwords (`state.app_passwords`),
    `tls`: of the connection."""
    mechanism = mechanism.upper()
    if mechanism == external.MECHANISM and tls is not None and tls.client_certificate is not None:
        return ExternalLogin(authority, tls.client_certificate, peer_host)
    if mechanism in scram.HASHES:
        return ScramLogin(authority, mechanism, peer_host)
    if mechanism in oauth.MECHANISMS and authority.tokens is not None:
        return TokenLogin(authority, authority.tokens, mechanism, peer_host)
    exchange = sasl.start(mechanism)
    return None if exchange is None else PasswordLogin(authority, exchange, peer_host, service)


def with_password(authority: Authority, user: str, password: str, peer_host: str, service: str) -> Login:
    """An exchange that a command of its own has brought whole (IMAP's LOGIN, POP3's USER and PASS): one step of None."""
    return PasswordLogin(authority, sasl.Given(sasl.Credentials(user, password, "")), peer_host, service)


class PasswordLogin:
    """PLAIN and LOGIN: the client hands over its password."""

    __slots__ = ("_authority", "_exchange", "_host", "_service", "proof", "user")
    refusal = _WRONG

    def __init__(self, authority: Authority, exchange: sasl.SaslExchange, peer_host: str, service: str) -> None:
        self._authority = authority
        self._exchange = exchange
        self._host = peer_host
        self._service = service
        self.proof = Proof("")
        self.user = ""

    async def step(self, data: bytes | None) -> bytes | Account:
        """See Login."""
        outcome = self._exchange.step(data)
        if isinstance(outcome, bytes):
            return outcome
        self.user = outcome.user
        account, self.proof = await self._authority.verify(outcome.user, outcome.password, self._host, self._service)
        return account


class ScramLogin:
    """SCRAM: the client proves that it knows the password."""

    __slots__ = ("_account", "_authority", "_host", "_mechanism", "_server", "_verifier", "proof", "user")
    refusal = _WRONG

    def __init__(self, authority: Authority, mechanism: str, peer_host: str) -> None:
        self._authority = authority
        self._mechanism = mechanism
        self._host = peer_host
        self._server = scram.ScramServer(mechanism)
        self._verifier: scram.Verifier | None = None
        self._account: Account | None = None
        self.proof = Proof("")
        self.user = ""

    async def step(self, data: bytes | None) -> bytes | Account:
        """See Login."""
        if self._account is not None:
            # RFC 4422 §5: our last message has gone as a challenge, so that the client has nothing more to say.
            if data:
                raise SaslError("nothing more was expected")
            return self._account
        if data is None:
            return b""  # the client speaks first
        if self._verifier is None:
            self.user = self._server.first(data)
            self._verifier = await self._authority.scram_begin(self._mechanism, self.user, self._host)
            return self._server.challenge(self._verifier)
        last = self._server.final(data)
        self._account, self.proof = await self._authority.scram_end(
            self._mechanism, self.user, self._verifier, self._host, good=last is not None
        )
        assert last is not None  # scram_end has raised otherwise
        return last
