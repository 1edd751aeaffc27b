"""Taking a snapshot: index and packs first, then the directory, so that every account of the one is in the other.

Everything runs in the calling process, which opens the store and the directory beside the server's workers as one more
of them: both are made for several processes. A server need not run.
"""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .. import __version__
from ..errors import UserError
from ..runtime.durable import sync_folder, write_file
from .layout import FORMAT, TIME_FORMAT, Backup, Follow, Snapshot

if TYPE_CHECKING:
    from ..config import Config

NAMED_OCTETS_MAX: Final = 16 << 20  # of one file that the configuration names


def take(
    config: Config,
    folder: Path,
    follow: Follow,
    *,
    copy: bool = False,
    rate: int | None = None,
    keep: int | None = None,
) -> tuple[Snapshot, dict[str, int]]:
    """A new snapshot of the data directory in the backup `folder`, and what was done. Raises UserError, StoreError."""
    store = config.path(config.store.path)
    if not (store / "index" / "data.mdb").exists():
        raise UserError(f"{store}: there is no mail store yet; start the server once")
    _refuse_inside(config, folder)
    backup = Backup(folder)
    is_new = backup.prepare()
    with backup.locked():
        backup.packs.mkdir(mode=0o700, exist_ok=True)
        backup.snapshots_folder.mkdir(mode=0o700, exist_ok=True)
        if not is_new:
            _refuse_other(config, backup)
        backup.sweep_unfinished()
        name = _free_name(backup)
        target = backup.snapshots_folder / name
        target.mkdir(mode=0o700)
        done = _snapshot(config, backup, target, follow, copy=copy, rate=rate, is_new=is_new)
        gone, packs = backup.sweep(keep)
        done["snapshots_removed"], done["packs_removed"] = gone, packs
        return next(snapshot for snapshot in backup.snapshots() if snapshot.name == name), done


def _snapshot(
    config: Config, backup: Backup, target: Path, follow: Follow, *, copy: bool, rate: int | None, is_new: bool
) -> dict[str, int]:
    from .. import _core

    store = config.path(config.store.path)
    task = _core.StoreTask.backup(
        str(store),
        str(backup.packs),
        str(target),
        [str(snapshot.packs_list) for snapshot in backup.snapshots()],
        map_size=config.store.map_size,
        copy=copy,
        rate=rate,
    )
    numbers, (volume,) = follow(task, "backup", "octets")
    people = _directory(config, target)
    paths = _configuration(config, target)
    files = {}
    for file in sorted(target.rglob("*")):
        if file.is_file():
            facts, (digest,) = follow(_core.StoreTask.digest(str(file)), "", "")
            files[str(file.relative_to(target))] = {"octets": facts["octets"], "blake3": digest}
    for path in (target, *target.rglob("*")):
        if path.is_dir():
            sync_folder(path)
    sync_folder(backup.snapshots_folder)
    if is_new:
        identity = {"format": FORMAT, "volume": volume, "created": _now(), "hostname": config.hostname}
        write_file(backup.folder / "backup.json", _json(identity))
    manifest = {
        "format": FORMAT,
        "created": _now(),
        "software": f"ironpost {__version__}",
        "hostname": config.hostname,
        "volume": volume,
        "store": {name: numbers[name] for name in ("accounts", "mailboxes", "messages", "octets")},
        "directory": people,
        "packs": {"count": numbers["packs"], "octets": numbers["pack_octets"]},
        "copied": {
            "octets": numbers["octets_copied"],
            "packs_linked": numbers["packs_linked"],
            "packs_kept": numbers["packs_kept"],
        },
        "paths": paths,
        "files": files,
    }
    write_file(target / "manifest.json", _json(manifest))
    sync_folder(backup.folder)
    return numbers


def _directory(config: Config, target: Path) -> dict[str, int]:
    """Copies accounts, aliases and domains; how many there are."""
    from ..state.directory import Directory

    folder = target / "state" / "directory"
    folder.mkdir(mode=0o700, parents=True)
    directory = Directory(config.state_folder)
    try:
        directory.environment.copy(folder)
        return {
            "domains": len(directory.domains()),
            "accounts": directory.count_accounts(),
            "aliases": len(directory.aliases()),
        }
    finally:
        directory.close()


def _configuration(config: Config, target: Path) -> dict[str, Any]:
    """Copies the configuration and the files that it names; which is which."""
    folder = target / "config"
    folder.mkdir(mode=0o700)
    write_file(folder / "ironpost.toml", config.source.encode())
    named = [config.tls.chain, config.tls.key]
    for route in config.routes:
        named += [path for path in (route.password_file, route.ca_file) if path]
    files: dict[str, str] = {}
    for number, path in enumerate(dict.fromkeys(named)):
        try:
            with config.path(path).open("rb") as stream:
                octets = stream.read(NAMED_OCTETS_MAX)
        except FileNotFoundError:
            continue  # the server would say so; a backup saves what there is
        files[path] = f"config/file-{number}"
        write_file(target / files[path], octets)
    return {"store": config.store.path, "files": files}


def _refuse_inside(config: Config, folder: Path) -> None:
    """A backup among the data that it saves is none, and the store removes files that it does not know."""
    where = folder.absolute().resolve()
    for name, inside in (("store", config.path(config.store.path)), ("state", config.state_folder)):
        if where.is_relative_to(inside.resolve()):
            raise UserError(f"{folder} lies inside the {name} folder; put the backup elsewhere, best on another disk")


def _refuse_other(config: Config, backup: Backup) -> None:
    """A backup belongs to one store: the packs of two have the same names."""
    from .. import _core

    volume = _core.StoreTask.volume_of(str(config.path(config.store.path)), map_size=config.store.map_size)
    if backup.identity()["volume"] != volume:
        raise UserError(f"{backup.folder} is the backup of another store; give each its own folder")


def _free_name(backup: Backup) -> str:
    """The present second, or the next one that no snapshot has."""
    while True:
        name = datetime.datetime.now(datetime.UTC).strftime(TIME_FORMAT)
        if not (backup.snapshots_folder / name).exists():
            return name
        time.sleep(0.1)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"
