"""Looking into folders of files that somebody else has made: nothing is followed out of the tree, nothing twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .model import Note


class Tree:
    """A folder of files. `follow`: symbolic links that lead out of it are followed, too."""

    def __init__(self, root: Path, note: Note, *, follow: bool = False) -> None:
        self.root = Path(os.path.realpath(root))
        self.note = note
        self._follow = follow
        self._seen: set[tuple[int, int]] = set()

    def entries(self, folder: str | Path) -> list[os.DirEntry[str]]:
        """What lies in a folder, sorted by name; one that can't be read is told and empty."""
        try:
            with os.scandir(folder) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.note(str(folder), error.strerror or str(error), True)
            return []

    def files(self, folder: str | Path) -> Iterator[os.DirEntry[str]]:
        """The files in a folder, in no order and never all in memory: there may be a million."""
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    if self.is_file(entry):
                        yield entry
        except OSError as error:
            self.note(str(folder), error.strerror or str(error), True)

    def folders(self, folder: str | Path) -> Iterator[os.DirEntry[str]]:
        """The folders in a folder that may be gone into."""
        for entry in self.entries(folder):
            if self.is_folder(entry):
                yield entry

    def is_folder(self, entry: os.DirEntry[str]) -> bool:
        """May it be gone into? Told when it may not."""
        try:
            if not entry.is_symlink():
                return entry.is_dir(follow_symlinks=False)
            return entry.is_dir() and self._allowed(entry)
        except OSError as error:  # a loop of links
            self.note(entry.path, error.strerror or str(error), True)
            return False

    def is_file(self, entry: os.DirEntry[str]) -> bool:
        """Is it a file that may be read?"""
        try:
            if not entry.is_symlink():
                return entry.is_file(follow_symlinks=False)
            return entry.is_file() and self._allowed(entry)
        except OSError as error:
            self.note(entry.path, error.strerror or str(error), True)
            return False

    def enter(self, folder: str | Path) -> bool:
        """The first time that this folder is gone into, by whatever name."""
        try:
            facts = os.stat(folder)
        except OSError as error:
            self.note(str(folder), error.strerror or str(error), True)
            return False
        key = (facts.st_dev, facts.st_ino)
        if key in self._seen:
            self.note(str(folder), "is the same folder as another one and is not gone into again", False)
            return False
        self._seen.add(key)
        return True

    def _allowed(self, entry: os.DirEntry[str]) -> bool:
        if self._follow or Path(os.path.realpath(entry.path)).is_relative_to(self.root):
            return True
        self.note(entry.path, "is a symbolic link out of the tree (--follow goes there)", True)
        return False


def small_file(path: str | Path, note: Note, limit: int = 64 << 20) -> bytes | None:
    """A file of another server's bookkeeping; None when there is none. One that can't be read is told."""
    try:
        with open(path, "rb") as file:
            octets = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        note(str(path), error.strerror or str(error), True)
        return None
    if len(octets) > limit:
        note(str(path), f"is larger than {limit} octets and is not read", True)
        return None
    return octets


def lines(octets: bytes) -> list[str]:
    """Text lines; octets that are not UTF-8 survive as the file system's names do."""
    return octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n")
