"""The lines of an mbox that are not the message's: the From_ line, and the fields in which flags and UIDs are kept.

RFC 4155; the fields as UW-IMAP, mutt and Dovecot write them: Status (R seen, O old, D deleted), X-Status (A answered,
F flagged, D deleted, T draft), X-Keywords, X-IMAP and X-IMAPbase (UIDVALIDITY, last UID, keywords), X-UID, Content-Length.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass, field
from typing import Final

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Minutes east of UTC of the zone names that mail programs write; others are taken as the local zone.
_ZONES: Final = {
    "UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "WET": 0, "WEST": 60, "BST": 60, "CET": 60, "CEST": 120, "MET": 60, "MEST": 120,
    "EET": 120, "EEST": 180, "MSK": 180, "EST": -300, "EDT": -240, "CST": -360, "CDT": -300, "MST": -420, "MDT": -360,
    "PST": -480, "PDT": -420,
}  # fmt: skip
_FROM: Final = re.compile(
    rb"From (?P<sender>.*?) *(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)"
    rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +(?P<day>\d{1,2}) +"
    rb"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d))? +(?:(?P<zone>[A-Z]{1,5}|[+-]\d{4}) +)?(?P<year>\d{4})"
    rb"(?: +(?P<after>[+-]\d{4}|[A-Z]{1,5}))?(?: +remote from .*)?[ \t\r]*\n?$",
)
_STATUS: Final = re.compile(rb"[ROND]{0,4}$")
_X_STATUS: Final = re.compile(rb"[AFDTR]{0,5}$")
_BASE: Final = re.compile(rb"(?P<validity>\d{1,10}) +(?P<last>\d{1,10})(?P<words>(?: +[^\s]+)*) *$")


@dataclass(slots=True)
class FromLine:
    """Date and zone of a separator."""

    sender: bytes
    date: int
    zone: int


def parse_from(line: bytes) -> FromLine | None:
    """None: not a separator, but text that begins with "From ". Without a zone it is local time, as programs write it."""
    found = _FROM.match(line)
    if not found:
        return None
    month = MONTHS.index(found["month"].decode()) + 1
    parts = (int(found["year"]), month, int(found["day"]), int(found["hour"]), int(found["minute"]))
    second = int(found["second"] or 0)
    if not (1 <= parts[2] <= 31 and parts[3] < 24 and parts[4] < 60 and second <= 60):
        return None
    zone = _zone(found["zone"] or found["after"])
    try:
        if zone is None:
            date = int(time.mktime((*parts, second, 0, 0, -1)))
            return FromLine(found["sender"], date, time.localtime(date).tm_gmtoff // 60)
        return FromLine(found["sender"], calendar.timegm((*parts, second)) - zone * 60, zone)
    except (OverflowError, ValueError, OSError):
        return None


def _zone(text: bytes | None) -> int | None:
    if text is None:
        return None
    if text[:1] in b"+-":
        minutes = int(text[1:3]) * 60 + int(text[3:5])
        return -minutes if text[:1] == b"-" else minutes
    return _ZONES.get(text.decode())


def write_from(sender: str, date: int) -> bytes:
    """A separator, in local time as every reader takes it."""
    local = time.localtime(date)
    moment = (
        f"{DAYS[local.tm_wday]} {MONTHS[local.tm_mon - 1]} {local.tm_mday:2} "
        f"{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02} {local.tm_year:04}"
    )
    return f"From {sender or 'MAILER-DAEMON'} {moment}\n".encode("utf-8", "replace")


@dataclass(slots=True)
class Bookkeeping:
    """What the fields of one message say."""

    header: bytes = b""  # without them
    flags: list[str] = field(default_factory=list)
    uid: int | None = None
    uid_validity: int | None = None
    uid_last: int | None = None
    keywords: list[str] = field(default_factory=list)  # of the mailbox
    content_length: int | None = None
    pseudo: bool = False  # the folder's internal data, not a message


def read_header(header: bytes, *, keep: bool) -> Bookkeeping:
    """`header` holds the fields, each with its line end, without the empty line. `keep`: they stay in the message."""
    found = Bookkeeping()
    kept: list[bytes] = []
    for entry in _fields(header):
        name, colon, value = entry.partition(b":")
        if not (colon and _take(found, name.strip().lower(), b" ".join(value.split())) and not keep):
            kept.append(entry)
    found.header = b"".join(kept)
    # A mail program that keeps no X-IMAPbase has numbers of its own there.
    return found


def without_length(header: bytes) -> bytes:
    """Also without Content-Length, once it has proved to be the file's and not the message's."""
    return b"".join(entry for entry in _fields(header) if entry[:15].lower() != b"content-length:")


def _fields(header: bytes) -> list[bytes]:
    entries: list[bytes] = []
    for line in header.splitlines(keepends=True):
        if line[:1] in b" \t" and entries:
            entries[-1] += line
        else:
            entries.append(line)
    return entries


def _take(found: Bookkeeping, name: bytes, value: bytes) -> bool:
    """Is it bookkeeping?"""
    match name:
        case b"status" if _STATUS.match(value):
            _add(found, (b"R", "\\Seen"), (b"D", "\\Deleted"), value=value)
        case b"x-status" if _X_STATUS.match(value):
            wanted = ((b"A", "\\Answered"), (b"F", "\\Flagged"), (b"D", "\\Deleted"), (b"T", "\\Draft"))
            _add(found, *wanted, value=value)
        case b"x-keywords":
            found.flags.extend(word.decode("utf-8", "surrogateescape") for word in value.split())
        case b"x-imap" | b"x-imapbase" if match := _BASE.match(value):
            found.uid_validity, found.uid_last = int(match["validity"]), int(match["last"])
            found.keywords = match["words"].decode("utf-8", "surrogateescape").split()
            found.pseudo = name == b"x-imap"
        case b"x-uid" if value.isdigit() and len(value) < 11:
            found.uid = int(value) or None
        case b"content-length" if value.isdigit() and len(value) < 19:
            found.content_length = int(value)
            return False  # only where it fits is it the file's: the reader decides
        case _:
            return False
    return True


def _add(found: Bookkeeping, *letters: tuple[bytes, str], value: bytes) -> None:
    found.flags.extend(flag for letter, flag in letters if letter in value and flag not in found.flags)
