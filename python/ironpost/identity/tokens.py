"""Tokens: whose is it, if it is good? One door to the issuer that [oauth] names, whichever way its tokens are checked."""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from ..errors import AuthenticationBusy
from ..runtime import https, threads, timeouts
from . import claims, jwt, oauth
from .introspection import Introspection
from .jwks import KEYS_OCTETS_MAX, KeySource

if TYPE_CHECKING:
    from ..config import Config
    from ..runtime.logging import Log

__all__ = ["ANSWER_OCTETS_MAX", "REQUESTS_AT_ONCE_MAX", "REQUESTS_WAITING_MAX", "Tokens", "tokens_of"]

ANSWER_OCTETS_MAX: Final = 65_536  # of an introspection
SECRET_OCTETS_MAX: Final = 1024
REQUESTS_AT_ONCE_MAX: Final = 10  # of one worker to the issuer
REQUESTS_WAITING_MAX: Final = 100  # then clients are told to come again
_FILES: Final = "oauth files"  # kind of thread


class Tokens:
    """One for each worker and configuration, used on its Trio thread.

    `slowly` runs a function in a thread and raises AuthenticationBusy; `clock` is Trio's, `now` gives Unix seconds.
    """

    def __init__(
        self,
        config: Config,
        slowly: Callable[..., Awaitable[Any]],
        log: Log,
        *,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.config = config.oauth
        self._path = config.path
        self._slowly = slowly
        self._log = log
        self._now = now
        self._context: ssl.SSLContext | None = None
        self._limiter = trio.CapacityLimiter(REQUESTS_AT_ONCE_MAX)
        self._waiting = 0
        self._introspection: Introspection | None = None
        if self.config.introspection_url:
            self._introspection = Introspection(
                self._post, self.config.client_id, self._secret, log, clock=clock, now=now
            )
        self._keys = KeySource(self._read_keys, slowly, log, clock)

    def challenge(self, status: str) -> bytes:
        """What a refused client is told."""
        return oauth.challenge(
            status, self.config.scopes, self.config.issuer.rstrip("/") + "/.well-known/openid-configuration"
        )

    def again(self) -> None:
        """Files may have changed: forgets what was read of them, and has the keys read anew. Old keys serve if that fails."""
        self._context = None
        self._keys.again()
        if self._introspection is not None:
            self._introspection.again()

    async def user(self, token: str) -> str:
        """Whom the token names. Raises TokenRefused, AuthenticationBusy (whether it is good nobody can say now)."""
        try:
            with trio.fail_after(timeouts.OAUTH_LOGIN):
                said = await self._claims(token)
        except trio.TooSlowError:
            self._log.error("issuer too slow", seconds=timeouts.OAUTH_LOGIN)
            raise AuthenticationBusy from None
        claims.check(said, self.config, self._now(), introspected=self._introspection is not None)
        return claims.user_of(said, self.config.user_claims)

    async def _claims(self, token: str) -> claims.Claims:
        if self._introspection is not None:
            return await self._introspection.claims(token)
        header = jwt.header_of(token)
        keys = await self._keys.find(header.kid, header.algorithm)
        verified: claims.Claims = await self._slowly(jwt.verified, token, header, keys)
        return verified

    async def _read_keys(self) -> bytes:
        if self.config.jwks_file:
            return await threads.run(_FILES, _read, self._path(self.config.jwks_file), KEYS_OCTETS_MAX)
        answer = await self._request("GET", self.config.jwks_url, KEYS_OCTETS_MAX)
        if answer.status != 200:
            raise https.HttpFailed(f"status {answer.status}")
        return answer.body

    async def _post(self, fields: tuple[tuple[str, str], ...], body: bytes) -> https.HttpAnswer:
        try:
            return await self._request("POST", self.config.introspection_url, ANSWER_OCTETS_MAX, fields, body)
        except https.HttpFailed as error:
            self._log.error("issuer not asked about a token", why=str(error))
            raise AuthenticationBusy from None

    async def _secret(self) -> str:
        """Read for each question: it may be changed at any time."""
        try:
            octets = await threads.run(_FILES, _read, self._path(self.config.client_secret_file), SECRET_OCTETS_MAX)
            return octets.split(b"\n")[0].rstrip(b"\r").decode()
        except OSError as error:
            self._log.error("client's secret not read", why=error.strerror or str(error))
        except ValueError:
            self._log.error("client's secret not read", why="it is not UTF-8, or too long")
        raise AuthenticationBusy

    async def _request(
        self, method: str, url: str, octets_max: int, fields: tuple[tuple[str, str], ...] = (), body: bytes = b""
    ) -> https.HttpAnswer:
        """Raises HttpFailed, AuthenticationBusy."""
        if self._waiting >= REQUESTS_AT_ONCE_MAX + REQUESTS_WAITING_MAX:
            raise AuthenticationBusy
        self._waiting += 1
        try:
            async with self._limiter:
                if self._context is None:
                    self._context = await self._trust()
                return await https.request(
                    method,
                    url,
                    context=self._context,
                    octets_max=octets_max,
                    limit_seconds=timeouts.OAUTH_REQUEST,
                    fields=fields,
                    body=body,
                )
        finally:
            self._waiting -= 1

    async def _trust(self) -> ssl.SSLContext:
        path = str(self._path(self.config.ca_file)) if self.config.ca_file else ""
        try:
            return await threads.run(_FILES, https.trust, path)
        except OSError as error:  # ssl.SSLError is one
            raise https.HttpFailed(f"authorities not read: {error.strerror or error}") from None


def tokens_of(config: Config, before: Tokens | None, slowly: Callable[..., Awaitable[Any]], log: Log) -> Tokens | None:
    """Those of a configuration; when [oauth] has not changed, those of before, which read their files anew."""
    if not config.oauth.issuer:
        return None
    if before is not None and before.config == config.oauth:
        before.again()
        return before
    return Tokens(config, slowly, log)


def _read(path: Path, octets_max: int) -> bytes:
    """Raises OSError; ValueError when the file is longer."""
    with path.open("rb") as file:
        octets = file.read(octets_max + 1)
    if len(octets) > octets_max:
        raise ValueError(f"longer than {octets_max} octets")
    return octets
