"""What both writers share: names of files and folders that may be made, and getting them onto the disk."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

FILE_NAME_OCTETS_MAX: Final = 240


@dataclass(slots=True)
class Outgoing:
    """A message on its way out; `pieces` gives its octets once."""

    uid: int
    size: int
    date: int
    flags: tuple[str, ...]
    pieces: Iterator[bytes]


@dataclass(slots=True)
class OutgoingFolder:
    """A mailbox on its way out."""

    name: str
    subscribed: bool
    uid_validity: int
    uid_next: int
    messages: int
    keywords: tuple[str, ...] = ()  # that its messages may have


class Writer(Protocol):
    """Writes one account."""

    def begin(self, folder: OutgoingFolder) -> None:
        """The messages of this folder follow. Raises UserError, OSError."""

    def has(self, uid: int) -> bool:
        """Is it there from an earlier run?"""

    def write(self, message: Outgoing) -> None:
        """By UID."""

    def end(self) -> None:
        """The folder is complete."""

    def close(self, subscriptions: list[str]) -> None:
        """The account is complete; on return everything is on the disk."""


def file_name(level: str, forbidden: str) -> str:
    """A level of a mailbox name (already in the alphabet of the format) as a file name."""
    kept = "".join("_" if character in forbidden or character < " " else character for character in level)
    while len(kept.encode()) > FILE_NAME_OCTETS_MAX:
        kept = kept[:-1]
    return kept


def sync_file_system(path: Path) -> None:
    """Everything on the file system of a folder reaches the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(descriptor)
