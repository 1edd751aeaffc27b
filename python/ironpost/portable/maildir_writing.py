"""An account as Maildir++ or as nested Maildirs, such that Dovecot takes it over with its UIDs.

The name of a message's file follows from its UID, so that a run that was interrupted can be taken up again. Line ends become
LF, as in every Maildir, unless the message has others than CRLF: then its octets stay as they are.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from .. import _core
from ..runtime.durable import write_file
from . import bookkeeping
from .maildir import FLAGS, OWN_FOLDERS
from .model import Note
from .names import encode_utf7
from .writing import Outgoing, OutgoingFolder, file_name, sync_file_system

WHOLE_OCTETS: Final = 1 << 20  # a message up to this is converted in memory
_OWN: Final = re.compile(r"\d+\.U(\d+)V(\d+)\.ironpost,")
LETTERS: Final = {flag: letter for letter, flag in FLAGS.items()}


class MaildirWriter:
    """`layout`: "++" or "fs"."""

    def __init__(self, root: Path, note: Note, *, layout: str) -> None:
        self._root = root
        self._note = note
        self._layout = layout
        self._folder = OutgoingFolder("", False, 0, 0, 0)
        self._place = ""
        self._places: dict[str, str] = {}
        self._uids = bookkeeping.UidList()
        self._keep_uids = True
        self._ours: set[str] = set()  # what an earlier run has written
        self._keywords: dict[str, str] = {}  # to letters
        self._refused: set[str] = set()

    def begin(self, folder: OutgoingFolder) -> None:
        """Makes the folder, or takes up what an earlier run has left."""
        self._folder = folder
        self._place = place = self._chosen(folder.name)
        for sub in OWN_FOLDERS:
            os.makedirs(os.path.join(place, sub), mode=0o700, exist_ok=True)
        if self._layout == "++" and folder.name != "INBOX":
            open(os.path.join(place, "maildirfolder"), "ab").close()
        self._uids = bookkeeping.uid_list(place, self._note)
        present = [name for sub in ("cur", "new") for name in os.listdir(os.path.join(place, sub))]
        self._ours = {words[1] for name in present if len(words := name.split(".", 2)) == 3}
        self._keep_uids = self._uids.validity == folder.uid_validity or (
            # A run that was interrupted has left files of ours and no list yet.
            self._uids.validity is None and all(_own_uid(name, folder.uid_validity) for name in present)
        )
        if not self._keep_uids:
            self._note(place, "has mail with another UIDVALIDITY: the server there will give new UIDs", False)
        if self._keep_uids:
            self._recover_uids(present)
        letters = bookkeeping.dovecot_keywords(place, self._note)
        self._keywords = {keyword: letter for letter, keyword in letters.items()}
        self._refused = set()

    def has(self, uid: int) -> bool:
        """By its file's name."""
        return self._prefix(uid) in self._ours

    def _recover_uids(self, present: list[str]) -> None:
        for name in present:
            uid = _own_uid(name, self._folder.uid_validity)
            base = bookkeeping.base_name(name)
            if uid and base not in self._uids.uids:
                self._uids.uids[base] = uid

    def _prefix(self, uid: int) -> str:
        return f"U{uid}V{self._folder.uid_validity}"

    def write(self, message: Outgoing) -> None:
        """One file: written in `tmp`, then renamed."""
        unique = f"{max(message.date, 0)}.{self._prefix(message.uid)}.ironpost"
        temporary = os.path.join(self._place, "tmp", unique)
        try:
            if message.size <= WHOLE_OCTETS:
                rewriter = _core.Rewriter("lf", "keep")
                whole = b"".join(message.pieces)
                converted = rewriter.feed(whole, True)
                clean = not (rewriter.bare_cr or rewriter.bare_lf)
                length = _write(temporary, message.date, (converted if clean else whole,))
            else:
                length = self._write_long(temporary, message)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        base = f"{unique},S={length},W={message.size}"
        os.rename(temporary, os.path.join(self._place, "cur", f"{base}:2,{self._letters(message.flags)}"))
        if self._keep_uids:
            self._uids.uids[base] = message.uid

    def _write_long(self, path: str, message: Outgoing) -> int:
        """As it is, then with LF from that, when its line ends allow it: a stream comes once."""
        _write(path, message.date, message.pieces)
        rewriter = _core.Rewriter("lf", "keep")
        converted = f"{path}.lf"
        with open(path, "rb") as source, open(converted, "wb") as target:
            while octets := source.read(1 << 20):
                target.write(rewriter.feed(octets))
            target.write(rewriter.feed(b"", True))
        if rewriter.bare_cr or rewriter.bare_lf:
            os.unlink(converted)
        else:
            os.utime(converted, (message.date, message.date))
            os.replace(converted, path)
        return os.stat(path).st_size

    def end(self) -> None:
        """UIDs and keywords of the folder."""
        place, folder, uids = self._place, self._folder, self._uids
        if self._keep_uids:
            following = max(folder.uid_next, uids.next or 1, 1 + max(uids.uids.values(), default=0))
            rows = [f"3 V{folder.uid_validity} N{following} G{uuid.uuid4().hex}\n"]
            rows += [f"{uid} :{base}\n" for base, uid in sorted(uids.uids.items(), key=lambda row: row[1])]
            write_file(Path(place, "dovecot-uidlist"), "".join(rows).encode("utf-8", "surrogateescape"))
        if self._keywords:
            order = bookkeeping.KEYWORD_LETTERS
            numbered = sorted((order.index(letter), keyword) for keyword, letter in self._keywords.items())
            text = "".join(f"{number} {keyword}\n" for number, keyword in numbered)
            write_file(Path(place, "dovecot-keywords"), text.encode("utf-8", "surrogateescape"))

    def close(self, subscriptions: list[str]) -> None:
        """Subscriptions, then everything onto the disk."""
        separator = "." if self._layout == "++" else "/"
        before = bookkeeping.dovecot_subscriptions(self._root, separator, self._note, utf8=False) or []
        names = [*dict.fromkeys([*before, *subscriptions])]
        rows = ["V\t2\n\n", *("\t".join(name.split("/")) + "\n" for name in names)]
        write_file(self._root / "subscriptions", "".join(rows).encode("utf-8", "surrogateescape"))
        sync_file_system(self._root)

    def _chosen(self, name: str) -> str:
        if name == "INBOX":
            return str(self._root)
        levels = [encode_utf7(level) for level in name.split("/")]
        if self._layout == "++":
            kept = [file_name(level, "./") for level in levels]
            path = str(self._root / ("." + ".".join(kept)))
        else:
            kept = [file_name(level, "/") for level in levels]
            kept = [f"_{level}" if level in OWN_FOLDERS or level.startswith(".") else level for level in kept]
            path = str(self._root.joinpath(*kept))
        number = 2
        unique = path
        while self._places.get(unique, name) != name:
            unique = f"{path}-{number}"
            number += 1
        if kept != levels or unique != path:
            self._note(name, f"is written as {unique}: its name does not fit the format", False)
        self._places[unique] = name
        return unique

    def _letters(self, flags: tuple[str, ...]) -> str:
        letters = []
        for flag in flags:
            letter = LETTERS.get(flag) or self._keywords.get(flag)
            if letter is None:
                free = [one for one in bookkeeping.KEYWORD_LETTERS if one not in self._keywords.values()]
                if not free:
                    if flag not in self._refused:
                        self._refused.add(flag)
                        self._note(self._place, f"the keyword {flag} has no letter: a Maildir has 26 of them", False)
                    continue
                letter = self._keywords[flag] = free[0]
            letters.append(letter)
        return "".join(sorted(letters))


def _own_uid(name: str, uid_validity: int) -> int:
    """The UID that a file's name of ours tells; 0 when it is another's."""
    found = _OWN.match(name)
    return int(found[1]) if found and int(found[2]) == uid_validity else 0


def _write(path: str, date: int, pieces: Iterable[bytes]) -> int:
    length = 0
    # A file of that name is what an interrupted run has left.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                done = os.write(descriptor, view)
                length += done
                view = view[done:]
        os.utime(descriptor, (date, date))
    finally:
        os.close(descriptor)
    return length
