"""Small files and folders that are on the disk when a call returns. Blocking; for threads and for the command line."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["sync_file", "sync_folder", "write_file"]


def write_file(path: Path, octets: bytes, *, mode: int = 0o600) -> None:
    """Whole or not at all, in place of what was there. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(octets)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """What others have written to it. Raises OSError."""
    _sync(path, 0)


def sync_folder(folder: Path) -> None:
    """Creations, renames and removals in it. Raises OSError."""
    _sync(folder, os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
