"""Restoring a whole snapshot into an empty data directory.

Everything is made in a folder beside the target and moved there in one step. What is damaged in the backup is told and
restored as far as it can be read: after a disaster most of the mail is better than none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..runtime.durable import sync_folder, write_file
from .layout import Backup, Follow, Snapshot

if TYPE_CHECKING:
    from ..config import Config


def restore(backup: Backup, snapshot: Snapshot, target: Path, follow: Follow) -> tuple[int, list[str]]:
    """The number of damaged packs, and notes for the person. Raises UserError, and then has touched nothing."""
    if target.is_symlink() or target.exists():
        if not target.is_dir():
            raise UserError(f"{target} is there already, and is no directory")
        if any(target.iterdir()):
            raise UserError(f"{target} is there already, with data in it; nothing has been changed")
    parent = target.absolute().parent
    if not parent.is_dir():
        raise UserError(f"{parent} is not there; make it first")
    work = Path(tempfile.mkdtemp(prefix=".ironpost-restore-", dir=parent))  # mode 0700
    try:
        damaged, notes = _fill(backup, snapshot, work, follow)
        os.rename(work, target)  # onto nothing, or an empty directory
        sync_folder(parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(work)
        raise
    return damaged, notes


def _fill(backup: Backup, snapshot: Snapshot, work: Path, follow: Follow) -> tuple[int, list[str]]:
    from .. import _core
    from ..config import load

    notes = _small_files(snapshot, work)
    config = load(work)
    store = _store_folder(config, work, snapshot)
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    task = _core.StoreTask.restore_packs(str(snapshot.packs_list), str(backup.packs), str(store / "packs"))
    follow(task, f"restore {snapshot.name}", "octets")
    damaged = task.problems
    (store / "index").mkdir(mode=0o700)
    _copy(snapshot.folder / "index" / "data.mdb", store / "index" / "data.mdb")
    sync_folder(store)
    # Opening is the recovery: what other workers were writing is cut and sealed, as after a power loss.
    opened = _core.Store.open(str(store), map_size=config.store.map_size, min_free=0, readers=1)
    opened.close()
    return damaged, notes


def _small_files(snapshot: Snapshot, work: Path) -> list[str]:
    """Configuration, what it names, and the directory; notes on what was left alone."""
    notes = []
    _copy(snapshot.folder / "config" / "ironpost.toml", work / "ironpost.toml")
    for path, saved in snapshot.manifest["paths"]["files"].items():
        if Path(path).is_absolute() or ".." in Path(path).parts:
            if not Path(path).exists():
                notes.append(f"{path} is named by the configuration and not there; a copy: {snapshot.folder / saved}")
            continue
        (work / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _copy(snapshot.folder / saved, work / path)
    for folder in ("run", "state/directory"):
        (work / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy(snapshot.folder / "state" / "directory" / "data.mdb", work / "state" / "directory" / "data.mdb")
    return notes


def _store_folder(config: Config, work: Path, snapshot: Snapshot) -> Path:
    """Where the store goes; one outside of the data directory only when nothing is there."""
    path = Path(snapshot.manifest["paths"]["store"])
    if not path.is_absolute() and ".." not in path.parts:
        return work / path
    store = config.path(config.store.path)
    if store.exists() and any(store.iterdir()):
        raise UserError(
            f"the configuration puts the store at {store}, and there is data in it; nothing has been changed"
        )
    return store


def _copy(source: Path, target: Path) -> None:
    """A small file, or an index; on disk when it returns. Mode 0600."""
    if source.stat().st_size < 1 << 20:
        write_file(target, source.read_bytes())
        return
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with source.open("rb") as stream, os.fdopen(descriptor, "wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
    sync_folder(target.parent)
