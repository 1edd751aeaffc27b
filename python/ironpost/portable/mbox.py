"""mbox files (RFC 4155), single or as a tree: mboxrd, mboxo, mboxcl2; flags and UIDs from their bookkeeping fields."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .. import _core
from .bookkeeping import dovecot_subscriptions
from .mbox_lines import Bookkeeping, FromLine, parse_from, read_header, without_length
from .model import Folder, Message, Note
from .names import decode_utf7, join
from .walk import Tree

HEADER_OCTETS_MAX: Final = 1 << 20
LINE_OCTETS_MAX: Final = 1000
SCAN_OCTETS: Final = 4 << 20
QUOTING: Final = {"mbox": "unquote", "mboxrd": "unquote", "mboxo": "unquote-once", "mboxcl2": "keep"}
_INBOXES: Final = ("inbox", "mbox")


def looks_like_mbox(path: str | Path) -> bool:
    """Is it an empty file, or one that begins with a separator?"""
    try:
        with open(path, "rb") as file:
            line = file.readline(LINE_OCTETS_MAX)
    except OSError:
        return False
    return not line or parse_from(line) is not None


class Mbox:
    """A file, or a tree of files. `kind`: a key of QUOTING; "mbox" is mboxrd, and mboxcl2 where Content-Length proves it."""

    def __init__(
        self,
        root: Path,
        note: Note,
        *,
        kind: str = "mbox",
        keep_fields: bool = False,
        follow: bool = False,
        utf8: bool = False,
        owner: str = "",
    ) -> None:
        self.format = kind
        self._note = note
        self._keep = keep_fields
        self._utf8 = utf8
        self._owner = owner
        self._single = root.is_file()
        self._tree = Tree(root.parent if self._single else root, note, follow=follow)
        self._root = Path(os.path.realpath(root))
        self._subscribed = None if self._single else self._subscriptions()

    def folders(self) -> Iterator[Folder]:
        """INBOX is the file `inbox`, or that of the owner's name in a spool."""
        if self._single:
            yield self._folder(self._inbox_or((self._root.name,)), str(self._root))
            return
        waiting: list[tuple[str, tuple[str, ...]]] = [(str(self._root), ())]
        self._tree.enter(self._root)
        while waiting:
            folder, levels = waiting.pop()
            inner = []
            for entry in self._tree.entries(folder):
                if entry.name.startswith(".") or entry.name == "subscriptions":
                    continue  # .imap, .subscriptions and the like
                below = (*levels, entry.name)
                if self._tree.is_folder(entry):
                    if self._tree.enter(entry.path):
                        inner.append((entry.path, below))
                elif self._tree.is_file(entry):
                    if looks_like_mbox(entry.path):
                        yield self._folder(self._inbox_or(below), entry.path)
                    else:
                        self._note(entry.path, "is no mbox: it does not begin with a From_ line", True)
            waiting.extend(reversed(inner))

    def subscriptions(self) -> list[str]:
        """Dovecot's `subscriptions` or `.subscriptions`."""
        return self._subscribed or []

    def messages(self, folder: Folder) -> Iterator[Message]:
        """In the order of the file, which is that of UIDs."""
        try:
            descriptor = os.open(folder.place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            self._note(folder.place, error.strerror or str(error), True)
            return
        try:
            yield from self._messages(folder, descriptor)
        finally:
            os.close(descriptor)

    def _messages(self, folder: Folder, descriptor: int) -> Iterator[Message]:
        end = os.fstat(descriptor).st_size
        separators = _Separators(descriptor, end)
        start = separators.after(-1)
        known: Bookkeeping = folder.detail
        uid_before = 0
        while start is not None:
            line, first = _line(descriptor, start, end)
            separator = parse_from(line)
            assert separator is not None
            header, body = _header(descriptor, first, end)
            found = read_header(header, keep=self._keep)
            following, stop, unquoted = self._following(descriptor, separators, start, body, found, end)
            length_fits = stop is not None
            if stop is None:
                stop = _without_separating_line(descriptor, body, end if following is None else following)
            place = f"{folder.place} at {start}"
            if found.pseudo and _is_internal(header):
                start = following
                continue
            if following is None and not _ends_in_newline(descriptor, end):
                self._note(place, "ends without an end of line: the file may have been cut off", False)
            if found.content_length is not None and found.content_length > end - body:
                self._note(place, "is shorter than its Content-Length: the file may have been cut off", False)
            # UIDs count only when the mailbox says what they belong to, and only while they ascend (RFC 9051 §2.3.1.1).
            uid = found.uid if known.uid_validity and found.uid and found.uid > uid_before else None
            uid_before = uid or uid_before
            fields = found.header if not length_fits or self._keep else without_length(found.header)
            yield Message(
                folder.place,
                place,
                offset=first + len(header),
                length=stop - first - len(header),
                head=fields,
                flags=tuple(dict.fromkeys(found.flags)),
                date=separator.date,
                zone=separator.zone,
                uid=uid,
                quoting="keep" if unquoted else QUOTING[self.format],
            )
            start = following

    def _following(
        self, descriptor: int, separators: _Separators, start: int, body: int, found: Bookkeeping, end: int
    ) -> tuple[int | None, int | None, bool]:
        """(where the next message begins, where this one ends if Content-Length tells, its lines are not quoted)."""
        quoted = separators.after(max(start, body - 1))
        if found.content_length is None or self.format not in ("mbox", "mboxcl2"):
            return quoted, None, False
        stop = body + found.content_length
        following: int | None
        for between in (b"\n", b"\r\n", b""):
            following = stop + len(between)
            if following > end or os.pread(descriptor, len(between), stop) != between:
                continue
            if following < end:
                line, _ = _line(descriptor, following, end)
                if not parse_from(line):
                    continue
            # A separator within: who wrote this relies on the length and quotes nothing (mboxcl2). So does Dovecot, which
            # alone writes both this and X-UID. Else the length was added to a message that came quoted.
            unquoted = (quoted is not None and quoted < following) or found.uid is not None
            return (following if following < end else None), stop, unquoted
        return quoted, None, False

    def _folder(self, name: str, place: str) -> Folder:
        known = self._base(place)
        following = known.uid_last + 1 if known.uid_last is not None and known.uid_last < 2**32 - 1 else None
        subscribed = None if self._subscribed is None else name in self._subscribed
        return Folder(name, place, "", subscribed, known.uid_validity or None, following, known)

    def _base(self, place: str) -> Bookkeeping:
        """X-IMAP or X-IMAPbase, which stand in the first message."""
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return Bookkeeping()  # told when the messages are read
        try:
            end = os.fstat(descriptor).st_size
            _, first = _line(descriptor, 0, end)
            header, _ = _header(descriptor, first, end)
            return read_header(header, keep=True)
        except OSError:
            return Bookkeeping()
        finally:
            os.close(descriptor)

    def _inbox_or(self, levels: tuple[str, ...]) -> str:
        *above, last = levels
        stem = last.removesuffix(".mbox")
        if not above and (stem.lower() in _INBOXES or (self._owner and stem == self._owner)):
            return "INBOX"
        every = [*above, stem or last]
        return join(every if self._utf8 else [decode_utf7(level) for level in every])

    def _subscriptions(self) -> list[str] | None:
        for file in ("subscriptions", ".subscriptions"):
            names = dovecot_subscriptions(self._root, "/", self._note, utf8=self._utf8, file=file)
            if names is not None:
                return names
        return None


class _Separators:
    """Offsets of From_ lines of a file, ascending, found while one asks for them."""

    def __init__(self, descriptor: int, end: int) -> None:
        self._descriptor = descriptor
        self._end = end
        self._found = self._scan()
        self._ahead: int | None = next(self._found, None)

    def after(self, position: int) -> int | None:
        """The first beyond a position; positions ascend."""
        while self._ahead is not None and self._ahead <= position:
            self._ahead = next(self._found, None)
        return self._ahead

    def _scan(self) -> Iterator[int]:
        lines_found = _core.FromLines()
        position = 0
        while position < self._end:
            octets = os.pread(self._descriptor, min(SCAN_OCTETS, self._end - position), position)
            if not octets:
                return
            position += len(octets)
            for at in lines_found.feed(octets):
                line, _ = _line(self._descriptor, at, self._end)
                if parse_from(line):
                    yield at


def _line(descriptor: int, at: int, end: int) -> tuple[bytes, int]:
    """A line, and where the next begins."""
    octets = os.pread(descriptor, min(LINE_OCTETS_MAX, end - at), at)
    line = octets[: octets.find(b"\n") + 1] or octets
    return line, at + len(line)


def _header(descriptor: int, at: int, end: int) -> tuple[bytes, int]:
    """The fields, and where the body begins, behind the empty line. Without one within the limit there are no fields."""
    size = 8192
    while True:
        octets = os.pread(descriptor, min(size, end - at), at)
        if octets.startswith((b"\n", b"\r\n")):
            return b"", at + octets.find(b"\n") + 1
        if parse_from(octets.split(b"\n", 1)[0]):
            return b"", at
        ends = [(found, gap) for gap in (b"\n\n", b"\n\r\n") if (found := octets.find(gap)) >= 0]
        if ends:
            found, gap = min(ends)
            header = octets[: found + 1]
            inner = header.find(b"\nFrom ")  # a message without a body, and without the empty line
            if inner < 0 or not parse_from(header[inner + 1 :].split(b"\n", 1)[0]):
                return header, at + found + len(gap)
            return header[: inner + 1], at + inner + 1
        if at + len(octets) >= end:
            inner = octets.find(b"\nFrom ")
            octets = octets if inner < 0 else octets[: inner + 1]
            return octets, at + len(octets)
        if size >= HEADER_OCTETS_MAX:
            return b"", at
        size *= 8


def _without_separating_line(descriptor: int, start: int, stop: int) -> int:
    """One empty line before a separator is the file's."""
    tail = os.pread(descriptor, min(4, stop - start), max(start, stop - 4)) if stop > start else b""
    if tail.endswith(b"\r\n\r\n") or tail == b"\r\n":
        return stop - 2
    if tail.endswith(b"\n\n") or tail == b"\n":
        return stop - 1
    return stop


def _ends_in_newline(descriptor: int, end: int) -> bool:
    return os.pread(descriptor, 1, end - 1) == b"\n"


def _is_internal(header: bytes) -> bool:
    """UW-IMAP's and Dovecot's first message, which holds data of the folder."""
    return b"DON'T DELETE THIS MESSAGE" in header or b"FOLDER INTERNAL DATA" in header


__all__ = ["FromLine", "Mbox", "looks_like_mbox"]
