"""Maildir, Maildir++ and nested Maildirs.

A message is a file in `new` or `cur`; its name ends in `:2,` and flag letters; it never changes but for that. Maildir++
puts the folder A/B into `.A.B` beside `cur`; plain Maildirs, as Dovecot's `LAYOUT=fs` has them, put it into `A/B`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from . import bookkeeping
from .model import Folder, Message, Note
from .names import decode_utf7, join
from .walk import Tree

FLAGS: Final = {
    "P": "$Forwarded",  # passed: Dovecot and others read it so
    "R": "\\Answered",
    "S": "\\Seen",
    "T": "\\Deleted",
    "D": "\\Draft",
    "F": "\\Flagged",
}
OWN_FOLDERS: Final = ("cur", "new", "tmp")
LOOKS_MAX: Final = 64  # through a folder for files that have been renamed


def is_maildir(path: str | Path) -> bool:
    """Has it `cur` and `new`?"""
    return os.path.isdir(os.path.join(path, "cur")) and os.path.isdir(os.path.join(path, "new"))


class Maildir:
    """A Maildir and its folders. `layout`: "++" or "fs"; `utf8`: names are UTF-8, not modified UTF-7."""

    def __init__(self, root: Path, note: Note, *, layout: str = "++", utf8: bool = False, follow: bool = False) -> None:
        self.format = "maildir++" if layout == "++" else "maildir"
        self._tree = Tree(root, note, follow=follow)
        self._note = note
        self._layout = layout
        self._utf8 = utf8
        self._subscribed = self._subscriptions()

    def folders(self) -> Iterator[Folder]:
        """INBOX is the root itself, when it has `cur`."""
        root = self._tree.root
        self._tree.enter(root)
        if is_maildir(root):
            yield self._folder("INBOX", str(root))
        yield from self._plus_folders() if self._layout == "++" else self._nested(str(root), ())

    def subscriptions(self) -> list[str]:
        """As the files say."""
        return self._subscribed or []

    def messages(self, folder: Folder) -> Iterator[Message]:
        """Those with UIDs by UID, then the others in the order of their arrival."""
        place = folder.place
        uids: bookkeeping.UidList = folder.detail
        letters = bookkeeping.dovecot_keywords(place, self._note)
        courier = bookkeeping.courier_keywords(place, self._note)
        found: list[tuple[int, str, str, str]] = []  # UID or 0, base name, name, subfolder
        seen: dict[str, int] = {}
        for sub in ("cur", "new"):
            for entry in self._tree.files(os.path.join(place, sub)):
                if entry.name.startswith("."):
                    continue
                base = bookkeeping.base_name(entry.name)
                if base in seen:
                    # A rename from `new` to `cur`, or of flags, between two looks of ours; it's one message.
                    found[seen[base]] = (uids.uids.get(base, 0), base, entry.name, sub)
                    continue
                seen[base] = len(found)
                found.append((uids.uids.get(base, 0), base, entry.name, sub))
        found.sort(key=lambda one: (one[0] == 0, one[0], _arrival(one[1])))
        moved = _Moved(place)
        for uid, base, name, sub in found:
            path = os.path.join(place, sub, name)
            yield Message(
                path,
                flags=(*_flags(name, letters), *courier.get(base, ())),
                uid=uid or None,
                uidl=uids.uidls.get(base, ""),
                again=moved.finder(base),
            )

    def _folder(self, name: str, place: str) -> Folder:
        uids = bookkeeping.uid_list(place, self._note)
        subscribed = None if self._subscribed is None else name in self._subscribed
        return Folder(name, place, "", subscribed, uids.validity, uids.next, uids)

    def _plus_folders(self) -> Iterator[Folder]:
        for entry in self._tree.folders(self._tree.root):
            name = entry.name
            if not name.startswith(".") or name in (".", ".."):
                continue
            if not is_maildir(entry.path):
                if name not in (".Trash-0", ".git"):
                    self._note(entry.path, "is no Maildir (it has no cur and new)", False)
                continue
            if self._tree.enter(entry.path):
                yield self._folder(self._decoded(name[1:].split(".")), entry.path)

    def _nested(self, folder: str, levels: tuple[str, ...]) -> Iterator[Folder]:
        # Not by recursion: a hostile tree may be deeper than Python's stack.
        waiting = [(folder, levels)]
        while waiting:
            folder, levels = waiting.pop()
            inner = []
            for entry in self._tree.folders(folder):
                if entry.name in OWN_FOLDERS or entry.name == "courierimapkeywords":
                    continue
                if entry.name.startswith("."):
                    if is_maildir(entry.path):
                        self._note(entry.path, "is a folder of a Maildir++ (--format maildir++ reads it)", True)
                    continue
                if not self._tree.enter(entry.path):
                    continue
                below = (*levels, entry.name)
                if is_maildir(entry.path):
                    yield self._folder(self._decoded(below), entry.path)
                inner.append((entry.path, below))
            waiting.extend(reversed(inner))

    def _decoded(self, levels: list[str] | tuple[str, ...]) -> str:
        return join(levels if self._utf8 else [decode_utf7(level) for level in levels])

    def _subscriptions(self) -> list[str] | None:
        root = self._tree.root
        separator = "." if self._layout == "++" else "/"
        names = bookkeeping.dovecot_subscriptions(root, separator, self._note, utf8=self._utf8)
        return names if names is not None else bookkeeping.courier_subscriptions(root, self._note)


class _Moved:
    """Where a file is now that has been renamed while we read: a live server moves them when flags change."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._index: dict[str, str] = {}
        self._looks = 0

    def finder(self, base: str) -> _Finder:
        """Looks for one message."""
        return _Finder(self, base)

    def find(self, base: str) -> str | None:
        """Looks in what is known, then anew; anew only so often, since a folder may be emptied while we read."""
        path = self._index.get(base)
        if path is not None and os.path.exists(path):
            return path
        if self._looks >= LOOKS_MAX:
            return None
        self._looks += 1
        self._index = {}
        for sub in ("new", "cur"):
            folder = os.path.join(self._place, sub)
            try:
                names = os.listdir(folder)
            except OSError:
                continue  # then the message is told as missing
            self._index.update((bookkeeping.base_name(name), os.path.join(folder, name)) for name in names)
        return self._index.get(base)


class _Finder:
    __slots__ = ("_base", "_moved")

    def __init__(self, moved: _Moved, base: str) -> None:
        self._moved = moved
        self._base = base

    def __call__(self) -> str | None:
        return self._moved.find(self._base)


def _flags(name: str, letters: dict[str, str]) -> Iterator[str]:
    _, mark, info = name.partition(":2,")
    if not mark:
        return
    for letter in info.partition(",")[0]:
        flag = FLAGS.get(letter) or letters.get(letter)
        if flag:
            yield flag


def _arrival(base: str) -> tuple[int, str]:
    """Names begin with the second of the delivery."""
    second = base.partition(".")[0]
    return (int(second) if second.isascii() and second.isdigit() and len(second) < 19 else 0, base)
