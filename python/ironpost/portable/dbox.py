"""Dovecot's sdbox (a file for each message) and mdbox (many in one file, found by an index).

A file begins with a line "2 M<octets of a message header> C<...>"; a message is a header that ends in its length, the octets,
and lines of metadata, of which R is the date of arrival and P the unique id of POP3 that it has from yet another server. Flags
are in Dovecot's index alone (`dovecot_index`).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from . import bookkeeping
from .dovecot_index import Index, IndexFault, Row, read_index
from .model import Folder, Message, MessageFault, Note
from .names import decode_utf7, join
from .walk import Tree

MAILS: Final = "dbox-Mails"
METADATA_OCTETS_MAX: Final = 64 << 10
_FILE_HEADER: Final = re.compile(rb"2 (?:[A-Z][0-9a-f]+ )*M([0-9a-f]{1,4})(?: [A-Z][0-9a-f]*)*\n")
_BEFORE: Final = b"\x01\x02"
_AFTER: Final = b"\n\x01\x03\n"


class Stored(NamedTuple):
    """Where a message is."""

    offset: int
    length: int
    received: int | None
    elsewhere: bool  # parts of it are in other files
    uidl: str = ""


class Dbox:
    """A tree of either kind. `kind`: "sdbox" or "mdbox"."""

    def __init__(self, root: Path, note: Note, *, kind: str, follow: bool = False) -> None:
        self.format = kind
        self._note = note
        self._tree = Tree(root, note, follow=follow)
        self._subscribed = bookkeeping.dovecot_subscriptions(self._tree.root, "/", note, utf8=False)
        self._map: Index | None = None
        if kind == "mdbox":
            storage = self._tree.root / "storage"
            try:
                self._map = read_index(storage, note, ("map",), "dovecot.map.index")
            except IndexFault as fault:
                note(str(storage), f"the map of messages can't be read ({fault}): no message is found", True)

    def folders(self) -> Iterator[Folder]:
        """Every folder below `mailboxes` that holds messages."""
        waiting: list[tuple[str, tuple[str, ...]]] = [(str(self._tree.root / "mailboxes"), ())]
        while waiting:
            place, levels = waiting.pop()
            inner = []
            for entry in self._tree.folders(place):
                if entry.name == MAILS or not self._tree.enter(entry.path):
                    continue
                below = (*levels, entry.name)
                mails = os.path.join(entry.path, MAILS)
                if os.path.isdir(mails):
                    yield self._folder(join(decode_utf7(level) for level in below), mails)
                inner.append((entry.path, below))
            waiting.extend(reversed(inner))

    def subscriptions(self) -> list[str]:
        """As the file says."""
        return self._subscribed or []

    def messages(self, folder: Folder) -> Iterator[Message]:
        """By UID."""
        index: Index | None = folder.detail
        if self.format == "mdbox":
            yield from self._mapped(folder, index)
            return
        found = []
        for entry in self._tree.files(folder.place):
            if entry.name.startswith("u.") and entry.name[2:].isdigit():
                found.append((int(entry.name[2:]), entry.path))
        for uid, path in sorted(found):
            row = index.rows.get(uid) if index is not None else None
            if index is not None and row is None and uid < index.uid_next:
                self._note(path, "is not in Dovecot's index: its flags are not known", False)
            yield _message(path, None, uid, row)

    def _mapped(self, folder: Folder, index: Index | None) -> Iterator[Message]:
        if index is None or self._map is None:
            return
        for uid in sorted(index.rows):
            row = index.rows[uid]
            octets = row.extra.get("mdbox", b"")
            place = f"{folder.place} UID {uid}"
            if len(octets) < 8:
                yield _lost(place, uid, "the index does not say where it is")
                continue
            number, saved = struct.unpack_from("<II", octets)
            where = self._map.rows[number].extra.get("map", b"") if number in self._map.rows else b""
            if len(where) < 12:
                yield _lost(place, uid, "the map does not say where it is")
                continue
            file, offset, _ = struct.unpack_from("<III", where)
            path = str(self._tree.root / "storage" / f"m.{file}")
            message = _message(path, offset, uid, row)
            message.saved = saved or None
            yield message

    def _folder(self, name: str, place: str) -> Folder:
        index: Index | None = None
        try:
            index = read_index(place, self._note, ("mdbox",) if self.format == "mdbox" else ())
        except IndexFault as fault:
            what = "no message is found" if self.format == "mdbox" else "flags and keywords are not known"
            self._note(place, f"Dovecot's index can't be read ({fault}): {what}", True)
        subscribed = None if self._subscribed is None else name in self._subscribed
        if index is None:
            return Folder(name, place, "", subscribed)
        return Folder(name, place, "", subscribed, index.uid_validity or None, index.uid_next, index)


def _message(path: str, offset: int | None, uid: int, row: Row | None) -> Message:
    place = path if offset is None else f"{path} at {offset}"
    try:
        stored = find(path, offset)
    except MessageFault as fault:
        return _lost(place, uid, str(fault))
    except OSError as error:
        return _lost(place, uid, error.strerror or str(error))
    if stored.elsewhere:
        return _lost(place, uid, "has attachments in other files, which are not read")
    return Message(
        path,
        place,
        offset=stored.offset,
        length=stored.length,
        flags=row.names() if row else (),
        date=stored.received,
        uid=uid,
        uidl=stored.uidl,
    )


def _lost(place: str, uid: int, why: str) -> Message:
    """A message that exists and can't be read: the importer counts and tells it."""
    return Message("", place, uid=uid, fault=why)


def find(path: str, offset: int | None) -> Stored:
    """The message at an offset of a file, or the first. Raises MessageFault."""
    with open(path, "rb") as file:
        header = _FILE_HEADER.match(file.readline(200))
        if not header:
            raise MessageFault("is no dbox file, or of another version")
        size = int(header[1], 16)
        at = header.end() if offset is None else offset
        file.seek(at)
        head = file.read(size)
        if len(head) < size or not head.startswith(_BEFORE) or not head.endswith(b"\n"):
            raise MessageFault("has no message header where one should be")
        try:
            length = int(head[-17:-1], 16)
        except ValueError:
            raise MessageFault("has a damaged message header") from None
        file.seek(at + size + length)
        after = file.read(METADATA_OCTETS_MAX)
        received, elsewhere, uidl = None, False, ""
        if after.startswith(_AFTER):
            for line in after[len(_AFTER) :].split(b"\n"):
                if not line:
                    break
                if line[:1] == b"R":
                    received = _hex(line[1:])
                elif line[:1] == b"X":
                    elsewhere = True
                elif line[:1] == b"P":
                    uidl = line[1:].decode("latin-1")
        elif not after:
            raise MessageFault("is shorter than it should be")
        return Stored(at + size, length, received, elsewhere, uidl)


def _hex(text: bytes) -> int | None:
    try:
        return int(text, 16)
    except ValueError:
        return None
