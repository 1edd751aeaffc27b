"""Presence: who is logged in to this worker, and what a login stands on.

A session enters after its login and leaves at its end; between two of its commands it can be dismissed. Each worker keeps
its own; `worker.session_operations` brings those of all workers together. A task looks every LOOK_SECONDS whether an edit
of the directory has taken a login's ground away: its password, its app password, its account.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

if TYPE_CHECKING:
    from ..runtime.stream import MailStream
    from ..state.directory import Account, Credential, Directory

LOOK_SECONDS: Final = 0.5
ACCOUNTS_PER_TURN: Final = 200  # looked at before sessions get their turn
WORD_CHARACTERS_MAX: Final = 100  # of what a client calls itself
GROUND_GONE: Final = "this login is not valid any more, log in again"
REVOKED: Final = "the session was ended by the administrator"


class Proof(NamedTuple):
    """What a login stands on. `changes`: that of the credential, None for a login that no password carries."""

    method: str
    changes: int | None = None
    app_password: str = ""

    def stands(self, credential: Credential | None) -> bool:
        """Would the same login still be good? `credential` None: the account has gone."""
        if credential is None:
            return False
        if self.app_password:
            return any(row.get("id") == self.app_password for row in credential.verifiers)
        return self.changes is None or self.changes == credential.changes


class Present:
    """One session that is logged in. `client`: what it calls itself, once it has."""

    __slots__ = ("account", "client", "id", "proof", "secure", "service", "since", "stream")

    def __init__(self, identifier: str, service: str, account: Account, proof: Proof, stream: MailStream) -> None:
        self.id = identifier
        self.service = service
        self.account = account
        self.proof = proof
        self.stream = stream
        self.secure = False
        self.client = ""
        self.since = time.time()

    def told(self) -> dict[str, Any]:
        """As plain data; times are Unix seconds."""
        return {
            "id": self.id,
            "service": self.service,
            "account": self.account.address,
            "peer": self.stream.peer.host,
            "tls": self.secure,
            "since": self.since,
            "client": self.client[:WORD_CHARACTERS_MAX],
            "method": self.proof.method,
            "app_password": self.proof.app_password,
        }


class Presence:
    """All of one worker, used on its Trio thread. As many as there are connections, which `Limits` bounds."""

    __slots__ = ("_accounts", "_ended", "_fresh", "_present", "_transaction")

    def __init__(self) -> None:
        self._present: dict[str, Present] = {}
        self._accounts: dict[int, set[Present]] = {}
        self._fresh: set[int] = set()  # accounts with logins since the last look
        self._transaction = self._ended = -1  # of the directory, at the last look

    def enter(self, one: Present) -> None:
        """It has logged in. Its login may have lost its ground meanwhile: it is looked at soon."""
        self._present[one.id] = one
        self._accounts.setdefault(one.account.id, set()).add(one)
        self._fresh.add(one.account.id)

    def leave(self, one: Present | None) -> None:
        """It has ended, or is nobody's any more. Nothing happens for None."""
        if one is None or self._present.pop(one.id, None) is None:
            return
        others = self._accounts[one.account.id]
        others.discard(one)
        if not others:
            del self._accounts[one.account.id]

    def of(self, account: int | None = None) -> list[Present]:
        """Those of an account, or all; the oldest first."""
        found = self._present.values() if account is None else self._accounts.get(account, ())
        return sorted(found, key=lambda one: one.since)

    def dismiss(self, account: int | None, identifier: str | None) -> int:
        """Ends the sessions of an account, or one by its id, between two commands; how many were told."""
        if identifier is not None:
            one = self._present.get(identifier)
            found = [] if one is None else [one]
        else:
            found = self.of(account) if account is not None else []
        for one in found:
            one.stream.dismiss(REVOKED)
        return len(found)

    async def watch(self, directory: Directory) -> None:
        """Looks every LOOK_SECONDS, until cancelled."""
        while True:
            await self.look(directory)
            await trio.sleep(LOOK_SECONDS)

    async def look(self, directory: Directory) -> None:
        """Dismisses those whose login has lost its ground. Costs next to nothing while no login has ended anywhere."""
        transaction = directory.generation
        if transaction != self._transaction:
            self._transaction, before, self._ended = transaction, self._ended, directory.logins_ended()
            if self._ended != before:
                self._fresh.update(self._accounts)
        suspects, self._fresh = self._fresh, set()
        for number, account in enumerate(suspects, 1):
            self._look_at(directory, account)
            if number % ACCOUNTS_PER_TURN == 0:
                await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()

    def _look_at(self, directory: Directory, account: int) -> None:
        present = self._accounts.get(account)
        if present:
            credential = directory.credential(account)
            for one in list(present):
                if not one.proof.stands(credential):
                    one.stream.dismiss(GROUND_GONE)
