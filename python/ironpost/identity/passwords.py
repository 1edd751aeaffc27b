"""Authenticator: is this password right? Costly checks off the loop and few at once; a cache of verified logins.

App passwords come first, and cost neither of both. One that is expired or not for this service is a wrong password to the
peer, at the price of one.

The cache holds a keyed hash of (credential, its generation, password), so that a change of the password in any process
ends all of its entries by itself: the generation is read from the directory for every login. Failures are never cached.
An account with too many failures is closed only to addresses from which its owner has not logged in lately, so that
nobody can lock him out from afar.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn, TypeVar

import trio

from ..errors import AuthenticationBusy, AuthenticationFailed, TokenRefused, TooManyFailures, UserError
from ..state.app_passwords import USED_GRAIN_SECONDS
from . import app_passwords, scram
from .hashing import Hasher
from .presence import Proof

if TYPE_CHECKING:
    from ..config import Config, IdentityConfig
    from ..runtime.limits import Limits
    from ..runtime.logging import Log
    from ..state.app_passwords import AppPassword
    from ..state.directory import Account, Credential, Directory
    from .tokens import Tokens

KNOWN_PLACES_MAX: Final = 100_000
USER_CHARACTERS_MAX: Final = 320
K = TypeVar("K")
V = TypeVar("V")


class Proven(NamedTuple):
    """A good login: who it is, and what the login stands on."""

    account: Account
    proof: Proof


class Authenticator:
    """One per worker, used on its Trio thread."""

    def __init__(self, directory: Directory, limits: Limits, config: IdentityConfig, log: Log) -> None:
        self._directory = directory
        self._limits = limits
        self._log = log
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, float] = OrderedDict()  # login to the time at which it is forgotten
        self._places: OrderedDict[tuple[int, str], None] = OrderedDict()  # (account, host) of good logins
        self._uses: OrderedDict[tuple[int, str], float] = OrderedDict()  # app passwords: when their use was last noted
        self._waiting = 0
        self._decoy_key: bytes | None = None
        self.tokens: Tokens | None = None
        self.configure(config)

    def configure(self, config: IdentityConfig) -> None:
        """Takes a new configuration. Logins verified so far stand."""
        self._config = config
        self.hasher = Hasher(config)
        self._limiter = trio.CapacityLimiter(config.checks_at_once or len(os.sched_getaffinity(0)))

    def configure_tokens(self, config: Config) -> None:
        """Takes a new [oauth], or has its files read anew."""
        if not config.oauth.issuer:
            self.tokens = None
            return
        from .tokens import tokens_of  # its libraries cost time and memory that a server without tokens should not pay

        self.tokens = tokens_of(config, self.tokens, self._slowly, self._log)

    async def verify(self, user: str, password: str, peer_host: str, service: str) -> Proven:
        """The account, when the password is right and, if it is an app password, good for `service`.

        Raises AuthenticationFailed, AuthenticationBusy (temporary), TooManyFailures (temporary).
        """
        now = trio.current_time()
        account, name = self._admitted(user, peer_host, now)
        credential = None if account is None else self._directory.credential(account.id)
        if account is None or credential is None:
            await self._slowly(self.hasher.check_nobody, password)
            self._failed(peer_host, name)
        found = app_passwords.match(credential.verifiers, password)
        if found is not None:
            return await self._with_app_password(account, found, password, peer_host, name, service)
        if not await self._right(account, credential, password, now):
            self._failed(peer_host, name)
        return self._succeeded(account, name, peer_host, Proof("password", credential.changes))

    async def _with_app_password(
        self, account: Account, found: AppPassword, password: str, peer_host: str, name: str, service: str
    ) -> Proven:
        why = app_passwords.refusal(found, service, time.time())
        if why:
            self._log.info("app login refused", account=account.address, app=found.id, peer=peer_host, why=why)
            await self._slowly(self.hasher.check_nobody, password)
            self._failed(peer_host, name)
        await trio.lowlevel.checkpoint()
        self._note_use(account, found.id)
        return self._succeeded(account, name, peer_host, Proof("app-password", app_password=found.id))

    def _note_use(self, account: Account, identifier: str) -> None:
        """Now and then, and without waiting for the disk."""
        now = trio.current_time()
        key = (account.id, identifier)
        if now - self._uses.get(key, -USED_GRAIN_SECONDS) < USED_GRAIN_SECONDS:
            return
        _remember(self._uses, key, now, KNOWN_PLACES_MAX)

        def told(done: Future[None]) -> None:
            error = done.exception()
            if error is not None:
                self._log.warning("use not noted", account=account.address, app=identifier, why=str(error))

        self._directory.app_passwords.note_use(account.id, identifier, time.time()).add_done_callback(told)

    async def scram_begin(self, mechanism: str, user: str, peer_host: str) -> scram.Verifier:
        """What is kept of the user's password; for users who have none something that looks the same and fits nothing.

        Raises TooManyFailures.
        """
        account, name = self._admitted(user, peer_host, trio.current_time())
        credential = None if account is None else self._directory.credential(account.id)
        found = None if credential is None else scram.read(mechanism, credential.verifiers)
        if found is not None:
            return found
        if self._decoy_key is None:
            self._decoy_key = await self._directory.decoy_key()
        return scram.nobody(mechanism, scram.decoy_salt(self._decoy_key, mechanism, name), self.hasher.scram_iterations)

    async def scram_end(
        self, mechanism: str, user: str, verifier: scram.Verifier, peer_host: str, *, good: bool
    ) -> Proven:
        """The account, when the client's proof was good and the password has not been changed meanwhile.

        Raises AuthenticationFailed, TooManyFailures.
        """
        await trio.lowlevel.checkpoint()
        account, name = self._admitted(user, peer_host, trio.current_time())
        credential = None if account is None else self._directory.credential(account.id)
        present = None if credential is None else scram.read(mechanism, credential.verifiers)
        if not good or account is None or credential is None or present != verifier:
            self._failed(peer_host, name)
        return self._succeeded(account, name, peer_host, Proof(mechanism.lower(), credential.changes))

    async def verify_token(self, user: str, token: str, peer_host: str) -> Proven:
        """The account that a token is for, when it is good and `user` means the same account or is "".

        Raises TokenRefused, AuthenticationBusy (temporary; also when nobody can say now whether it is good), TooManyFailures.
        """
        tokens = self.tokens
        if tokens is None:
            raise AuthenticationBusy  # a reload has taken [oauth] away since the exchange began
        named: Account | None = None
        name = ""
        if user:
            named, name = self._admitted(user, peer_host, trio.current_time())
        else:
            self._address_admitted(peer_host, trio.current_time())
        try:
            owner = await tokens.user(token)
            account, owner_name = self._admitted(owner, peer_host, trio.current_time())
            if account is None:
                raise TokenRefused("for somebody who has no account here")
            if user and (named is None or named.id != account.id):
                raise TokenRefused("for another user than the one named")
        except TokenRefused as error:
            self._log.info("token refused", peer=peer_host, user=user[:USER_CHARACTERS_MAX], why=error.why)
            # A token that has run out is what every client comes with once in a while, some of them again and again: that must
            # not close the account to its owner's other devices. The address is counted as for any failure.
            self._failed(peer_host, "" if error.honest else name, error)
        return self._succeeded(account, owner_name, peer_host, Proof("token"))

    async def verify_certificate(self, user: str, names: tuple[str, ...], peer_host: str) -> Proven:
        """The account of one of the `names` that a client has proved: the one that `user` means, the only one when that is "".

        Raises AuthenticationFailed, TooManyFailures.
        """
        await trio.lowlevel.checkpoint()
        self._address_admitted(peer_host, trio.current_time())
        proved = {found.id: found for name in names if (found := self._directory.login_account(name)) is not None}
        account = next(iter(proved.values())) if len(proved) == 1 else None
        if user:
            wanted, _ = self._admitted(user, peer_host, trio.current_time())
            account = None if wanted is None else proved.get(wanted.id)
        if account is None:
            # Nobody gets nearer to an account by this, so none is closed by it.
            self._log.info(
                "certificate refused", peer=peer_host, user=user[:USER_CHARACTERS_MAX], names=" ".join(names)[:1000]
            )
            self._failed(peer_host, "")
        return self._succeeded(account, account.address.lower(), peer_host, Proof("certificate"))

    def _address_admitted(self, peer_host: str, now: float) -> None:
        if self._limits.login_closed_for_address(peer_host, now):
            raise TooManyFailures(host=peer_host)

    def _admitted(self, user: str, peer_host: str, now: float) -> tuple[Account | None, str]:
        """The account that is meant, if there is one, and the name that failures are counted by. Raises TooManyFailures."""
        self._address_admitted(peer_host, now)
        if len(user) <= USER_CHARACTERS_MAX:
            account = self._directory.login_account(user)
            name = self._directory.login_name(user) if account is None else account.address.lower()
        else:
            account, name = None, user[:USER_CHARACTERS_MAX].lower()
        if self._limits.login_closed_for_account(name, now) and (
            account is None or (account.id, peer_host) not in self._places
        ):
            raise TooManyFailures(host=peer_host, account=name)
        return account, name

    def _failed(self, peer_host: str, name: str, error: TokenRefused | None = None) -> NoReturn:
        self._limits.login_failed(peer_host, name, trio.current_time())
        raise error or AuthenticationFailed(host=peer_host, account=name)

    def _succeeded(self, account: Account, name: str, peer_host: str, proof: Proof) -> Proven:
        self._limits.login_succeeded(name)
        _remember(self._places, (account.id, peer_host), None, KNOWN_PLACES_MAX)
        return Proven(account, proof)

    async def _right(self, account: Account, credential: Credential, password: str, now: float) -> bool:
        entry = self._entry(account.id, credential.generation, password)
        until = self._verified.get(entry)
        if until is not None:
            if until > now:
                self._verified.move_to_end(entry)
                return True
            del self._verified[entry]
        if not await self._slowly(self.hasher.check, credential.verifiers, password):
            return False
        present = self._directory.credential(account.id)
        if present is None or present.generation != credential.generation:
            return False  # changed or removed while it was being checked: the old password is not good any more
        if self.hasher.outdated(credential.verifiers):
            entry = await self._renew(account, credential, password) or entry
        if self._config.logins_cached:
            until = trio.current_time() + self._config.logins_cached_for
            _remember(self._verified, entry, until, self._config.logins_cached)
        return True

    async def _renew(self, account: Account, credential: Credential, password: str) -> bytes | None:
        """The configured cost has changed: makes the verifiers anew, now that the password is at hand."""
        try:
            verifiers = await self._slowly(self.hasher.make, password)
            await self._directory.set_verifiers(account.address, verifiers, generation=credential.generation)
        except (AuthenticationBusy, UserError) as error:
            self._log.info("verifier not renewed", account=account.address, why=str(error))
            return None
        return self._entry(account.id, credential.generation + 1, password)

    async def _slowly(self, function: Callable[..., V], *arguments: object) -> V:
        """In a thread, one per core at once; too many waiting is told at once."""
        if self._waiting >= self._config.checks_waiting + self._limiter.total_tokens:
            raise AuthenticationBusy
        self._waiting += 1
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
        finally:
            self._waiting -= 1

    def _entry(self, account: int, generation: int, password: str) -> bytes:
        facts = account.to_bytes(8, "big") + generation.to_bytes(8, "big")
        return hmac.digest(self._key, facts + password.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _remember(memory: OrderedDict[K, V], name: K, value: V, most: int) -> None:
    memory[name] = value
    memory.move_to_end(name)
    while len(memory) > most:
        memory.popitem(last=False)
