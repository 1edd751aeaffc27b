"""Asking the issuer about a token (RFC 7662). That one is good is remembered for a short time, that one is bad never."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlencode

import trio

from ..errors import AuthenticationBusy, TokenRefused
from .claims import Claims, expiry, parse

if TYPE_CHECKING:
    from ..runtime.https import HttpAnswer
    from ..runtime.logging import Log

__all__ = ["REMEMBERED_MAX", "REMEMBERED_OCTETS_MAX", "REMEMBERED_SECONDS", "Introspection"]

REMEMBERED_SECONDS: Final = 60.0  # a token that the issuer withdraws is good here no longer than this
REMEMBERED_MAX: Final = 10_000  # tokens
REMEMBERED_OCTETS_MAX: Final = 8192  # of an answer; a longer one is asked for again
Post = Callable[[tuple[tuple[str, str], ...], bytes], Awaitable["HttpAnswer"]]


class Introspection:
    """One for each worker and issuer, used on its Trio thread.

    `post` sends fields and a body and gives the answer, `secret` reads the client's secret; both raise AuthenticationBusy.
    """

    def __init__(
        self,
        post: Post,
        client_id: str,
        secret: Callable[[], Awaitable[str]],
        log: Log,
        *,
        clock: Callable[[], float] = trio.current_time,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._post = post
        self._client_id = client_id
        self._secret = secret
        self._log = log
        self._clock = clock
        self._now = now
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, tuple[float, Claims]] = OrderedDict()  # keyed hash to end and claims

    def again(self) -> None:
        """Forgets."""
        self._remembered.clear()

    async def claims(self, token: str) -> Claims:
        """What the issuer says of a token that is active. Raises TokenRefused, AuthenticationBusy."""
        entry = hmac.digest(self._key, token.encode(), hashlib.sha256)
        known = self._remembered.get(entry)
        if known is not None:
            if known[0] > self._clock():
                self._remembered.move_to_end(entry)
                return known[1]
            del self._remembered[entry]
        claims, octets = await self._ask(token)
        # §2.2: only the JSON true; and most tokens that are not active have been so before, hence honest.
        if claims.get("active") is not True:
            raise TokenRefused("not active", honest=True)
        expires = expiry(claims)
        left = REMEMBERED_SECONDS if expires is None else min(REMEMBERED_SECONDS, expires - self._now())
        if left > 0 and octets <= REMEMBERED_OCTETS_MAX:
            self._remembered[entry] = (self._clock() + left, claims)
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return claims

    async def _ask(self, token: str) -> tuple[Claims, int]:
        """What the issuer says, and the length of its answer."""
        # RFC 6749 §2.3.1: both are form-encoded before they become Basic credentials.
        pair = f"{quote_plus(self._client_id)}:{quote_plus(await self._secret())}"
        fields = (
            ("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        )
        body = urlencode({"token": token, "token_type_hint": "access_token"}).encode()
        answer = await self._post(fields, body)
        if answer.status != 200:
            # Most of all 401: it is our own credentials that are wrong, and no fault of the client's.
            self._log.error("issuer does not answer about tokens", status=answer.status)
            raise AuthenticationBusy
        try:
            return parse(answer.body), len(answer.body)
        except ValueError as error:
            self._log.error("issuer's answer about a token is no JSON object", why=str(error))
            raise AuthenticationBusy from None
