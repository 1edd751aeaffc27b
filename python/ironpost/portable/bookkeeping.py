"""What Dovecot and Courier keep beside the messages of a Maildir: UIDs, keywords, subscriptions.

Dovecot: `dovecot-uidlist` (versions 1 and 3), `dovecot-keywords`, `subscriptions` (plain, and "V\\t2").
Courier: `courierimapuiddb`, `courierimapkeywords/`, `courierimapsubscribed`.
Written from the descriptions in the manuals of both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .model import Note
from .names import decode_utf7, join
from .walk import lines, small_file

UID_MAX: Final = 2**32 - 1
KEYWORD_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


@dataclass
class UidList:
    """UIDs by the base name of the file."""

    validity: int | None = None
    next: int | None = None
    uids: dict[str, int] = field(default_factory=dict)
    uidls: dict[str, str] = field(default_factory=dict)  # those that were kept from yet another server


def base_name(name: str) -> str:
    """A Maildir file's name without flags: what never changes."""
    return name.partition(":")[0]


def uid_list(folder: str | Path, note: Note) -> UidList:
    """Of a Maildir: Dovecot's, else Courier's, else empty."""
    for name, read in (("dovecot-uidlist", _dovecot_uidlist), ("courierimapuiddb", _plain_uidlist)):
        path = os.path.join(folder, name)
        octets = small_file(path, note, 1 << 30)
        if octets is None:
            continue
        try:
            return read(lines(octets))
        except ValueError as error:
            note(path, f"is damaged ({error}): UIDs are not kept", False)
    return UidList()


def _dovecot_uidlist(rows: list[str]) -> UidList:
    version = rows[0].split(" ", 1)[0]
    if version == "1":
        return _plain_uidlist(rows)
    if version != "3":
        raise ValueError(f"version {version[:10]!r}")
    found = UidList()
    for word in rows[0].split(" ")[1:]:
        if word[:1] == "V":
            found.validity = _number(word[1:])
        elif word[:1] == "N":
            found.next = _number(word[1:])
    for row in rows[1:]:
        if not row:
            continue
        facts, colon, name = row.partition(" :")
        if not colon:
            raise ValueError(f"the line {row[:60]!r}")
        # A file that is listed twice has the later UID: it was lost and has come again.
        uid, *more = facts.split(" ")
        found.uids[base_name(name)] = _number(uid)
        for fact in more:
            if fact[:1] == "P":
                found.uidls[base_name(name)] = fact[1:]
    return found


def _plain_uidlist(rows: list[str]) -> UidList:
    """Dovecot's version 1, which is Courier's: "1 UIDVALIDITY NEXTUID", then "UID name"."""
    words = rows[0].split(" ")
    if len(words) < 3 or words[0] != "1":
        raise ValueError(f"the line {rows[0][:60]!r}")
    found = UidList(_number(words[1]), _number(words[2]))
    for row in rows[1:]:
        if row:
            uid, _, name = row.partition(" ")
            found.uids[base_name(name)] = _number(uid)
    return found


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= UID_MAX:
        raise ValueError(f"{text[:20]!r} is no UID")
    return int(text)


def dovecot_keywords(folder: str | Path, note: Note) -> dict[str, str]:
    """Letter to keyword."""
    path = os.path.join(folder, "dovecot-keywords")
    octets = small_file(path, note)
    found: dict[str, str] = {}
    for row in lines(octets or b""):
        number, _, keyword = row.partition(" ")
        if number.isdigit() and keyword:
            # Keywords past the 26th have no letter; Dovecot keeps those in its index alone.
            if int(number) < len(KEYWORD_LETTERS):
                found[KEYWORD_LETTERS[int(number)]] = keyword
        elif row:
            note(path, f"the line {row[:60]!r} is not understood", False)
    return found


def courier_keywords(folder: str | Path, note: Note) -> dict[str, tuple[str, ...]]:
    """Base name to keywords. `:list` holds them all; a file `.N.name` or `name` is newer than it, the highest N the newest."""
    place = os.path.join(folder, "courierimapkeywords")
    octets = small_file(os.path.join(place, ":list"), note)
    found: dict[str, tuple[str, ...]] = {}
    if octets is not None:
        rows = iter(lines(octets))
        known = []
        for row in rows:
            if not row:
                break
            known.append(row)
        for row in rows:
            name, _, numbers = row.rpartition(":")
            if not name:
                continue
            chosen = [int(word) for word in numbers.split() if word.isdigit()]
            found[base_name(name)] = tuple(known[number] for number in chosen if number < len(known))
    newest: dict[str, int] = {}
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return found
    for name in names:
        if name.startswith(":"):
            continue
        number, target = -1, name
        if name.startswith("."):
            first, _, rest = name[1:].partition(".")
            if not first.isdigit():
                continue
            number, target = int(first), rest
        if newest.get(target, -2) < number:
            octets = small_file(os.path.join(place, name), note)
            if octets is not None:
                newest[target] = number
                found[base_name(target)] = tuple(row for row in lines(octets) if row)
    return found


def dovecot_subscriptions(
    folder: str | Path, separator: str, note: Note, *, utf8: bool, file: str = "subscriptions"
) -> list[str] | None:
    """Names as this server writes them; None when there is no such file."""
    octets = small_file(os.path.join(folder, file), note)
    if octets is None:
        return None
    rows = lines(octets)
    if rows[0] == "V\t2":
        return [join(_unescape(level) for level in row.split("\t")) for row in rows[1:] if row]
    names = (row if utf8 else decode_utf7(row) for row in rows if row)
    return [join(_without_inbox(name.split(separator))) for name in names]


def courier_subscriptions(folder: str | Path, note: Note) -> list[str] | None:
    """Courier's names begin with "INBOX." and have "." between levels."""
    octets = small_file(os.path.join(folder, "courierimapsubscribed"), note)
    if octets is None:
        return None
    return [join(_without_inbox(decode_utf7(row).split("."))) for row in lines(octets) if row]


def _without_inbox(levels: list[str]) -> list[str]:
    return levels[1:] if len(levels) > 1 and levels[0].upper() == "INBOX" else levels


def _unescape(level: str) -> str:
    """Dovecot's: octet 1 before 0, 1, t, r, n."""
    out = []
    characters = iter(level)
    for character in characters:
        if character == "\x01":
            following = next(characters, "")
            out.append({"0": "\0", "1": "\x01", "t": "\t", "r": "\r", "n": "\n"}.get(following, following))
        else:
            out.append(character)
    return "".join(out)
