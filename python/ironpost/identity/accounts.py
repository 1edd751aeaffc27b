"""Accounts with their passwords: the directory's edits and the hasher brought together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from ..errors import UserError
from .hashing import BadPassword, Hasher, Verifier

if TYPE_CHECKING:
    from ..state.directory import Account, Directory


async def verifiers_for(hasher: Hasher, password: str) -> list[Verifier]:
    """Off the loop. Raises UserError for a password that cannot be set."""
    try:
        return await trio.to_thread.run_sync(hasher.make, password)
    except BadPassword as error:
        raise UserError(str(error)) from None


async def add_account(directory: Directory, hasher: Hasher, address: str, password: str) -> Account:
    """A new account. Raises DirectoryError, UserError."""
    return await directory.add_account(address, await verifiers_for(hasher, password))


async def set_password(directory: Directory, hasher: Hasher, address: str, password: str) -> None:
    """A new password for an account; it counts for every login that begins after the return."""
    await directory.set_verifiers(address, await verifiers_for(hasher, password))
