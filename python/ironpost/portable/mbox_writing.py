"""An account as mbox files, one for each mailbox, `NAME.mbox` (mboxrd, RFC 4155).

Flags, keywords and UIDs go into the fields that UW-IMAP, mutt and Dovecot understand, in front of the message's own. Line ends
become LF; a message gets a line end at its end when it has none.
"""

from __future__ import annotations

import os
import re
from itertools import chain
from pathlib import Path
from typing import IO, Final

from .. import _core
from ..errors import UserError
from .mbox import Mbox
from .mbox_lines import write_from
from .model import Note
from .names import encode_utf7
from .writing import Outgoing, OutgoingFolder, file_name, sync_file_system

_SENDER: Final = re.compile(rb"Return-Path:[ \t]*<([^<>\s]+)>", re.IGNORECASE)
_STATUS: Final = (("\\Seen", "R"),)
_X_STATUS: Final = (("\\Answered", "A"), ("\\Flagged", "F"), ("\\Deleted", "D"), ("\\Draft", "T"))


class MboxWriter:
    """`merge`: messages are added to files that are there."""

    def __init__(self, root: Path, note: Note, *, merge: bool) -> None:
        self._root = root
        self._note = note
        self._merge = merge
        self._folder = OutgoingFolder("", False, 0, 0, 0)
        self._file: IO[bytes] | None = None
        self._path = ""
        self._places: dict[str, str] = {}
        self._present: set[int] = set()
        self._first = True

    def begin(self, folder: OutgoingFolder) -> None:
        """Opens the file; a new one gets its name when it is complete."""
        self._folder = folder
        self._path = self._chosen(folder.name)
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        self._present = set()
        self._first = True
        if os.path.lexists(self._path):
            if not self._merge:
                raise UserError(f"{self._path}: is there already (--merge adds to it)")
            self._look()
            self._file = open(self._path, "ab", 1 << 20)  # noqa: SIM115 - closed by `end` or `close`
        else:
            self._file = open(f"{self._path}.ironpost-tmp", "wb", 1 << 20)  # noqa: SIM115

    def has(self, uid: int) -> bool:
        """By the UIDs that the file holds."""
        return uid in self._present

    def write(self, message: Outgoing) -> None:
        """From_ line, bookkeeping, the message, an empty line."""
        assert self._file is not None
        start = self._file.tell()
        try:
            self._write(self._file, message)
        except BaseException:
            self._file.flush()
            self._file.truncate(start)
            self._file.seek(start)
            raise
        self._first = False

    def _write(self, file: IO[bytes], message: Outgoing) -> None:
        rewriter = _core.Rewriter("lf", "quote")
        pieces = iter(message.pieces)
        first = next(pieces, b"")
        found = _SENDER.match(first)
        sender = found[1].decode("utf-8", "replace") if found else ""
        file.write(write_from(sender, message.date))
        file.write(self._fields(message).encode("utf-8", "surrogateescape"))
        last = b""
        for piece in chain((first,), pieces):
            converted = rewriter.feed(piece)
            file.write(converted)
            last = converted[-1:] or last
        converted = rewriter.feed(b"", True)
        file.write(converted)
        last = converted[-1:] or last
        file.write(b"\n" if last == b"\n" else b"\n\n")

    def end(self) -> None:
        """Onto the disk, and its name."""
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        name = self._file.name
        self._file.close()
        self._file = None
        if name != self._path:
            os.rename(name, self._path)

    def close(self, subscriptions: list[str]) -> None:
        """Subscriptions, as Dovecot has them beside mbox files."""
        if self._file is not None:
            self._file.close()
        rows = ["V\t2\n\n", *("\t".join(name.split("/")) + "\n" for name in subscriptions)]
        with open(self._root / ".subscriptions", "wb") as file:
            file.write("".join(rows).encode("utf-8", "surrogateescape"))
        sync_file_system(self._root)

    def _fields(self, message: Outgoing) -> str:
        flags = set(message.flags)
        rows = []
        if self._first and not self._present:
            # Dovecot believes only keywords that are listed here.
            facts = (str(self._folder.uid_validity), f"{self._folder.uid_next - 1:010}", *self._folder.keywords)
            rows.append(f"X-IMAPbase: {' '.join(facts)}\n")
        rows.append(f"X-UID: {message.uid}\n")
        rows.append(f"Status: {''.join(letter for flag, letter in _STATUS if flag in flags)}O\n")
        if more := "".join(letter for flag, letter in _X_STATUS if flag in flags):
            rows.append(f"X-Status: {more}\n")
        if keywords := [flag for flag in message.flags if not flag.startswith("\\")]:
            rows.append(f"X-Keywords: {' '.join(keywords)}\n")
        return "".join(rows)

    def _look(self) -> None:
        """UIDs of the messages that the file holds, when they mean the same."""
        reader = Mbox(Path(self._path), self._note, kind="mboxrd")
        for folder in reader.folders():
            same = folder.uid_validity == self._folder.uid_validity
            for message in reader.messages(folder):
                if same and message.uid is not None:
                    self._present.add(message.uid)
            if not same:
                self._note(self._path, "has mail with another UIDVALIDITY: everything is added to it", False)

    def _chosen(self, name: str) -> str:
        levels = [encode_utf7(level) for level in name.split("/")]
        kept = [file_name(level, "/") for level in levels]
        kept = [f"_{level[1:]}" if level.startswith(".") else level for level in kept]
        path = str(self._root.joinpath(*kept))
        number = 2
        unique = path
        while self._places.get(unique, name) != name:
            unique = f"{path}-{number}"
            number += 1
        self._places[unique] = name
        if kept != levels or unique != path:
            self._note(name, f"is written as {unique}.mbox: its name does not fit the format", False)
        return f"{unique}.mbox"
