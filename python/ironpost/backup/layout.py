"""The folder of a backup: what lies where, which snapshots there are, which may go.

DIR/backup.json                       which store this is the backup of
DIR/lock                              held while a snapshot is taken or removed
DIR/packs/WRITER/NUMBER.pack          shared by all snapshots
DIR/snapshots/TIME/manifest.json      written last: without it there is no snapshot
DIR/snapshots/TIME/packs.list         packs of the snapshot, with octets and BLAKE3
DIR/snapshots/TIME/index/data.mdb     the store's index
DIR/snapshots/TIME/state/directory/   accounts, aliases, domains
DIR/snapshots/TIME/config/            the configuration and the files that it names
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..errors import UserError
from ..runtime.durable import sync_folder

FORMAT: Final = 1
TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"\d{8}T\d{6}Z")

# Carries out a StoreTask and shows how far it is: (task, label, unit, answer?) -> numbers and texts. Raises StoreError.
Follow = Callable[..., tuple[dict[str, int], list[str]]]


class Snapshot(NamedTuple):
    """One whole snapshot."""

    name: str
    folder: Path
    manifest: dict[str, Any]

    @property
    def packs_list(self) -> Path:
        """Its packs."""
        return self.folder / "packs.list"


class Backup:
    """A backup's folder. Raises UserError when DIR is something else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packs = folder / "packs"
        self.snapshots_folder = folder / "snapshots"

    @classmethod
    def existing(cls, folder: Path) -> Backup:
        """One that is there."""
        backup = cls(folder)
        if not folder.is_dir():
            raise UserError(f"{folder}: there is no such folder")
        backup.identity()
        return backup

    def identity(self) -> dict[str, Any]:
        """Which store it is the backup of."""
        try:
            identity = json.loads((self.folder / "backup.json").read_bytes())
        except FileNotFoundError:
            raise UserError(f"{self.folder} is no backup of ironpost (it has no backup.json)") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{self.folder}/backup.json: {error}") from None
        if not isinstance(identity, dict) or identity.get("format") != FORMAT:
            raise UserError(f"{self.folder} is a backup in a format that this release does not know")
        return identity

    def prepare(self) -> bool:
        """Makes the folder, or takes one that is empty or a backup; true when it is new."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_new = not (self.folder / "backup.json").exists()
        if is_new:
            strange = {entry.name for entry in self.folder.iterdir()} - {"lock", "packs", "snapshots"}
            begun = (self.folder / "lock").exists()
            if strange or (not begun and any(self.folder.iterdir())):
                raise UserError(f"{self.folder} is not empty and no backup of ironpost; nothing has been changed")
        else:
            self.identity()
        return is_new

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else takes or removes snapshots meanwhile."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(f"{self.folder}: another backup is under way there") from None
            yield
        finally:
            os.close(descriptor)

    def snapshots(self) -> list[Snapshot]:
        """Whole ones, the oldest first."""
        found = []
        if self.snapshots_folder.is_dir():
            for folder in sorted(self.snapshots_folder.iterdir()):
                if _NAME.fullmatch(folder.name) and (folder / "manifest.json").exists():
                    found.append(Snapshot(folder.name, folder, read_manifest(folder)))
        return found

    def at(self, time: str | None) -> Snapshot:
        """The newest, or the newest not after a time (RFC 3339, or a snapshot's name)."""
        snapshots = self.snapshots()
        if not snapshots:
            raise UserError(f"{self.folder} holds no snapshot")
        if time is None:
            return snapshots[-1]
        wanted = name_of(time)
        fitting = [snapshot for snapshot in snapshots if snapshot.name <= wanted]
        if not fitting:
            raise UserError(f"{self.folder} holds no snapshot as old as {time}; the oldest is {snapshots[0].name}")
        return fitting[-1]

    def sweep_unfinished(self) -> None:
        """Removes what interrupted backups have left of snapshots; their packs stay for the next one to use."""
        for folder in self.snapshots_folder.iterdir():
            if not (folder / "manifest.json").exists():
                shutil.rmtree(folder)

    def sweep(self, keep: int | None = None) -> tuple[int, int]:
        """Removes all but the newest `keep` snapshots, what interrupted ones have left, and packs that no snapshot
        names; how many snapshots and packs went. The caller holds the lock."""
        snapshots = self.snapshots()
        gone = snapshots[: max(0, len(snapshots) - keep)] if keep else []
        for snapshot in gone:
            # In this order: from here on the snapshot does not exist.
            (snapshot.folder / "manifest.json").unlink()
            sync_folder(snapshot.folder)
        kept = {snapshot.name for snapshot in snapshots} - {snapshot.name for snapshot in gone}
        for folder in self.snapshots_folder.iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder)
        sync_folder(self.snapshots_folder)
        named: set[str] = set()
        for snapshot in snapshots:
            if snapshot.name in kept:
                named.update(line.split(" ")[2] for line in snapshot.packs_list.read_text().splitlines())
        packs = 0
        for writer in self.packs.iterdir():
            for file in writer.iterdir():
                if f"{writer.name}/{file.stem}" not in named or file.suffix != ".pack":
                    file.unlink()
                    packs += 1
            if not any(writer.iterdir()):
                writer.rmdir()
        sync_folder(self.packs)
        return len(gone), packs


def read_manifest(folder: Path) -> dict[str, Any]:
    """A snapshot's manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}/manifest.json: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{folder} is a snapshot in a format that this release does not know")
    return manifest


def name_of(time: str) -> str:
    """A time as the name of a snapshot taken then."""
    if _NAME.fullmatch(time):
        return time
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        raise UserError(
            f"--at {time}: give the name of a snapshot, or a time such as 2026-11-25T22:40:00Z or 2026-11-25"
        ) from None
    if moment.tzinfo is None:
        moment = moment.astimezone()
    return moment.astimezone(datetime.UTC).strftime(TIME_FORMAT)
