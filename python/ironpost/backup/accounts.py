"""Restoring accounts, or a mailbox of one, out of a snapshot into the store that is in use.

The snapshot's own copy of the directory says which number an address had then; the present one says where its mail goes
now. The snapshot's index is only read; its copy of the directory is opened in a scratch folder, since LMDB wants a lock
file beside it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .layout import Backup, Follow, Snapshot
from .people import Welcome, accounts

if TYPE_CHECKING:
    from ..config import Config


def restore_accounts(
    config: Config,
    backup: Backup,
    snapshot: Snapshot,
    follow: Follow,
    addresses: tuple[str, ...],
    *,
    mailbox: str | None = None,
    into: str | None = None,
    prefix: str | None = None,
    retained: bool = False,
) -> tuple[dict[str, int], int]:
    """What was restored, and how many problems were told. Raises UserError, StoreError."""
    from .. import _core
    from ..state.directory import Directory

    plan = _accounts_then(snapshot, addresses)
    directory = Directory(config.state_folder)
    try:
        for address in (into,) if into else addresses:
            if directory.account(address) is None:
                raise UserError(f"there is no account {address} now; make it first, or give another with --into")
        welcome = Welcome(directory, merge=True, into=into)
        task = _core.StoreTask.restore_accounts(
            str(config.path(config.store.path)),
            str(snapshot.folder / "index"),
            str(backup.packs),
            plan,
            map_size=config.store.map_size,
            mailbox=_mailbox_name(mailbox),
            prefix=_prefix(prefix),
            retained=retained,
        )
        done, _ = follow(task, f"restore {snapshot.name}", "messages", welcome.answer)
        if mailbox and not done["mailboxes"]:
            raise UserError(f"{addresses[0]} had no mailbox {mailbox} in {snapshot.name}")
        return done, task.problems
    finally:
        directory.close()


def _accounts_then(snapshot: Snapshot, wanted: tuple[str, ...]) -> list[tuple[int, list[tuple[str, str]]]]:
    """The accounts of these addresses as the snapshot's directory has them."""
    from ..state import addresses
    from ..state.directory import Directory

    with tempfile.TemporaryDirectory(prefix="ironpost-restore-") as scratch:
        folder = Path(scratch) / "directory"
        folder.mkdir()
        shutil.copyfile(snapshot.folder / "state" / "directory" / "data.mdb", folder / "data.mdb")
        directory = Directory(Path(scratch))
        try:
            found = accounts(directory, credentials=False, only=wanted)
        finally:
            directory.close()
    known = {addresses.key(*addresses.split(dict(fields)["Address"])) for _, fields in found}
    for address in wanted:
        if addresses.key(*addresses.split(address)) not in known:
            raise UserError(f"{snapshot.name} holds no account {address}")
    return found


def _mailbox_name(name: str | None) -> str | None:
    return "INBOX" if name is not None and name.upper() == "INBOX" else name


def _prefix(prefix: str | None) -> str:
    return (prefix or "").strip("/")
