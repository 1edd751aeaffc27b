"""Dovecot's index of a mailbox, read only: flags, keywords, UIDVALIDITY, and where mdbox has a message.

`dovecot.index` is a snapshot; `dovecot.index.log` (after a rotation `.log.2` before it) holds the changes since, or all of
them when there is no snapshot yet. Written from Dovecot's description of the format ("Mail index file format"), for the
little-endian files of all machines that matter today. What is damaged raises IndexFault: guessed flags are worse than none.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .model import Note
from .walk import small_file

FILE_OCTETS_MAX: Final = 2 << 30
# Bits of a message's flags.
FLAGS: Final = ((1, "\\Answered"), (2, "\\Flagged"), (4, "\\Deleted"), (8, "\\Seen"), (16, "\\Draft"))
_MAJOR_INDEX: Final = 7
_MAJOR_LOG: Final = 1
_LITTLE_ENDIAN: Final = 1

# Transactions of the log.
_APPEND: Final = 0x2
_FLAGS_CHANGE: Final = 0x4
_HEADER_CHANGE: Final = 0x20
_EXT_INTRO: Final = 0x40
_EXT_RESET: Final = 0x80
_EXT_RECORDS: Final = 0x200
_KEYWORD_CHANGE: Final = 0x400
_KEYWORD_RESET: Final = 0x800
_EXPUNGE: Final = 0xCD90 | 0x1
_EXPUNGE_GUID: Final = 0xCD90 | 0x2000
_TYPE_MASK: Final = 0x000F_FFFF
_EXTERNAL: Final = 0x1000_0000  # it has happened, and is no mere wish

_UID_VALIDITY_AT: Final = 24
_UID_NEXT_AT: Final = 28
_HEADER_OCTETS: Final = 120


class IndexFault(Exception):
    """The index can't be read; the text says why."""


@dataclass
class Row:
    """What the index says of a message. `extra`: the wanted extensions' octets by their name."""

    flags: int = 0
    keywords: set[str] = field(default_factory=set)
    extra: dict[str, bytes] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Flags and keywords."""
        return (*(name for bit, name in FLAGS if self.flags & bit), *sorted(self.keywords))


@dataclass
class _Extension:
    name: str
    record_offset: int = 0
    record_size: int = 0


class Index:
    """The state that snapshot and log add up to. `wanted`: extensions whose records are kept."""

    def __init__(self, wanted: tuple[str, ...] = ()) -> None:
        self.uid_validity = 0
        self.uid_next = 1
        self.rows: dict[int, Row] = {}
        self._wanted = wanted
        self._extensions: list[_Extension] = []
        self._current: _Extension | None = None
        self._header = bytearray(_HEADER_OCTETS)

    def load_snapshot(self, octets: bytes) -> tuple[int, int]:
        """Takes `dovecot.index`; (number of the log file, offset in it) of what comes after it. Raises IndexFault."""
        if len(octets) < _HEADER_OCTETS or octets[0] != _MAJOR_INDEX:
            raise IndexFault("its version is unknown")
        base_size, header_size, record_size, compat = struct.unpack_from("<HIIB", octets, 2)
        if not compat & _LITTLE_ENDIAN:
            raise IndexFault("it was written by a big-endian machine")
        count, log_number, log_offset = (
            struct.unpack_from("<I", octets, 32)[0],
            *struct.unpack_from("<I4xI", octets, 60),
        )
        if record_size < 5 or header_size < base_size or header_size + count * record_size > len(octets):
            raise IndexFault("its header does not fit its length")
        self._header[:] = octets[:_HEADER_OCTETS]
        keywords: list[str] = []
        keyword_bits: _Extension | None = None
        for extension, data in self._snapshot_extensions(octets, base_size, header_size):
            if extension.name == "keywords":
                keywords, keyword_bits = _keyword_names(data), extension
        for number in range(count):
            record = octets[header_size + number * record_size :][:record_size]
            uid, flags = struct.unpack_from("<IB", record)
            row = self.rows[uid] = Row(flags)
            if keyword_bits is not None:
                bits = int.from_bytes(record[keyword_bits.record_offset :][: keyword_bits.record_size], "little")
                row.keywords = {name for position, name in enumerate(keywords) if bits >> position & 1}
            for extension in self._extensions:
                if extension.name in self._wanted:
                    row.extra[extension.name] = record[extension.record_offset :][: extension.record_size]
        self._settle_header()
        return log_number, log_offset

    def apply_log(self, octets: bytes, start: int) -> None:
        """Applies a log file from an offset on. Raises IndexFault."""
        position = start
        while position + 8 <= len(octets):
            size, kind = (
                _decode_size(octets[position : position + 4]),
                struct.unpack_from("<I", octets, position + 4)[0],
            )
            if size < 8 or position + size > len(octets):
                return  # not written to its end: Dovecot takes it as not there, too
            self._apply(kind, octets[position + 8 : position + size])
            position += size

    def _apply(self, kind: int, data: bytes) -> None:
        match kind & _TYPE_MASK:
            case kind_ if kind_ == _APPEND:
                for uid, flags in struct.iter_unpack("<IB3x", data[: len(data) // 8 * 8]):
                    self.rows[uid] = Row(flags)
                    self.uid_next = max(self.uid_next, uid + 1)
            case kind_ if kind_ == _FLAGS_CHANGE:
                for first, last, add, remove in struct.iter_unpack("<IIBB2x", data[: len(data) // 12 * 12]):
                    for row in self._between(first, last):
                        row.flags = row.flags & ~remove | add
            case kind_ if kind_ == _KEYWORD_CHANGE:
                self._keyword_change(data)
            case kind_ if kind_ == _KEYWORD_RESET:
                for first, last in struct.iter_unpack("<II", data[: len(data) // 8 * 8]):
                    for row in self._between(first, last):
                        row.keywords.clear()
            case kind_ if kind_ == _EXPUNGE and kind & _EXTERNAL:
                for first, last in struct.iter_unpack("<II", data[: len(data) // 8 * 8]):
                    for uid in self._uids_between(first, last):
                        del self.rows[uid]
            case kind_ if kind_ == _EXPUNGE_GUID and kind & _EXTERNAL:
                for (uid,) in struct.iter_unpack("<I16x", data[: len(data) // 20 * 20]):
                    self.rows.pop(uid, None)
            case kind_ if kind_ == _HEADER_CHANGE:
                self._header_change(data)
            case kind_ if kind_ == _EXT_INTRO:
                self._intro(data)
            case kind_ if kind_ == _EXT_RESET:
                if self._current is not None and self._current.name in self._wanted and not data[4:5].strip(b"\0"):
                    for row in self.rows.values():
                        row.extra.pop(self._current.name, None)
            case kind_ if kind_ == _EXT_RECORDS:
                self._records(data)

    def _between(self, first: int, last: int) -> Iterator[Row]:
        return (self.rows[uid] for uid in self._uids_between(first, last))

    def _uids_between(self, first: int, last: int) -> list[int]:
        if last - first < len(self.rows):
            return [uid for uid in range(first, last + 1) if uid in self.rows]
        return [uid for uid in self.rows if first <= uid <= last]

    def _keyword_change(self, data: bytes) -> None:
        how, size = struct.unpack_from("<BxH", data)
        name = data[4 : 4 + size].decode("utf-8", "surrogateescape")
        if not any(extension.name == "keywords" for extension in self._extensions):
            # The first keyword makes the extension in which they are kept, which takes the next number.
            self._extensions.append(_Extension("keywords"))
        rest = data[(4 + size + 3) // 4 * 4 :]
        for first, last in struct.iter_unpack("<II", rest[: len(rest) // 8 * 8]):
            for row in self._between(first, last):
                if how == 0:
                    row.keywords.add(name)
                elif how == 1:
                    row.keywords.discard(name)
                else:
                    row.keywords = {name}

    def _header_change(self, data: bytes) -> None:
        position = 0
        while position + 4 <= len(data):
            at, size = struct.unpack_from("<HH", data, position)
            if at + size <= _HEADER_OCTETS:
                self._header[at : at + size] = data[position + 4 :][:size].ljust(size, b"\0")
            position += (4 + size + 3) // 4 * 4
        self._settle_header()

    def _settle_header(self) -> None:
        self.uid_validity = struct.unpack_from("<I", self._header, _UID_VALIDITY_AT)[0]
        self.uid_next = max(self.uid_next, struct.unpack_from("<I", self._header, _UID_NEXT_AT)[0])

    def _intro(self, data: bytes) -> None:
        number, _, _, record_size, _, _, name_size = struct.unpack_from("<IIIHHHH", data)
        if number == 0xFFFF_FFFF:
            name = data[20 : 20 + name_size].decode("ascii", "replace")
            known = next((extension for extension in self._extensions if extension.name == name), None)
            if known is None:
                known = _Extension(name)
                self._extensions.append(known)
            self._current = known
        elif number < len(self._extensions):
            self._current = self._extensions[number]
        else:
            raise IndexFault("its log names an extension that it has not introduced")
        self._current.record_size = record_size

    def _records(self, data: bytes) -> None:
        if self._current is None or self._current.name not in self._wanted:
            return
        size = self._current.record_size
        step = 4 + (size + 3) // 4 * 4
        for position in range(0, len(data) - step + 1, step):
            row = self.rows.get(struct.unpack_from("<I", data, position)[0])
            if row is not None:
                row.extra[self._current.name] = data[position + 4 :][:size]

    def _snapshot_extensions(self, octets: bytes, start: int, end: int) -> Iterator[tuple[_Extension, bytes]]:
        position = _aligned(start)
        while position + 16 <= end:
            header_size, _, offset, size, _, name_size = struct.unpack_from("<IIHHHH", octets, position)
            name = octets[position + 16 :][:name_size].decode("ascii", "replace")
            data = _aligned(position + 16 + name_size)
            if not name or data + header_size > end:
                raise IndexFault("its extensions are damaged")
            extension = _Extension(name, offset, size)
            self._extensions.append(extension)
            yield extension, octets[data : data + header_size]
            position = _aligned(data + header_size)


def read_index(folder: str | Path, note: Note, wanted: tuple[str, ...] = (), name: str = "dovecot.index") -> Index:
    """The index of a folder. Raises IndexFault when there is none, or not all of it."""
    path = os.path.join(folder, name)
    snapshot = small_file(path, note, FILE_OCTETS_MAX)
    log = small_file(path + ".log", note, FILE_OCTETS_MAX)
    index = Index(wanted)
    try:
        if log is None:
            if snapshot is None:
                raise IndexFault("there is none")
            index.load_snapshot(snapshot)
            return index
        number, before, header_size = _log_header(log)
        if snapshot is None:
            if before:
                raise IndexFault("the snapshot is missing and the log has been rotated")
            index.apply_log(log, header_size)
            return index
        wanted_number, offset = index.load_snapshot(snapshot)
        if wanted_number == before and wanted_number != number:
            older = small_file(path + ".log.2", note, FILE_OCTETS_MAX)
            if older is None or _log_header(older)[0] != wanted_number:
                raise IndexFault("the log before the last rotation is missing")
            index.apply_log(older, max(offset, _log_header(older)[2]))
            offset = header_size
        elif wanted_number != number:
            raise IndexFault("snapshot and log do not belong together")
        index.apply_log(log, max(offset, header_size))
    except (struct.error, UnicodeDecodeError) as error:
        raise IndexFault(f"it is damaged: {error}") from None
    return index


def _log_header(octets: bytes) -> tuple[int, int, int]:
    """(its number, the one before or 0, octets of the header)."""
    if len(octets) < 24 or octets[0] != _MAJOR_LOG:
        raise IndexFault("the version of its log is unknown")
    header_size, _, number, before = struct.unpack_from("<HIII", octets, 2)
    return number, before, header_size


def _keyword_names(data: bytes) -> list[str]:
    """Count, then (unused, offset of the name) each, then the names, each ended by NUL."""
    if len(data) < 4:
        return []
    (count,) = struct.unpack_from("<I", data)
    names = data[4 + count * 8 :]
    offsets = [struct.unpack_from("<4xI", data, 4 + number * 8)[0] for number in range(count)]
    return [names[offset:].partition(b"\0")[0].decode("utf-8", "surrogateescape") for offset in offsets]


def _decode_size(octets: bytes) -> int:
    """Four octets with the highest bit set, seven bits each, in units of four; anything else is not written yet."""
    if any(octet < 0x80 for octet in octets):
        return 0
    value = 0
    for octet in octets:
        value = value << 7 | octet & 0x7F
    return value << 2


def _aligned(position: int) -> int:
    return (position + 7) // 8 * 8
