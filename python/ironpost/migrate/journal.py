"""What of a source has come already: an append-only file under DIR/state/migrations, one for each source and account.

A record is its length and CRC-32 (four octets each, big-endian) and a msgpack list. Records are synced after the store
has committed what they tell, so the journal never claims what is not there; what a crash lost of its end is found again
by comparing digests (`transfer`). A torn end is cut off. No secret stands in it.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from array import array
from pathlib import Path
from typing import IO, Any, Final

import msgpack

from ..errors import UserError
from ..runtime.durable import sync_folder

VERSION: Final = 1
RECORD_OCTETS_MAX: Final = 64 << 20
DIGEST_OCTETS: Final = 16  # of BLAKE3, as the store keeps them
_HEAD: Final = struct.Struct(">II")


class FolderLog:
    """The messages of one folder that have come, in compact form: 30 octets each."""

    def __init__(self, number: int, uid_validity: int, mailbox: int) -> None:
        self.number = number
        self.uid_validity = uid_validity
        self.mailbox = mailbox
        self.uids = array("I")
        self.targets = array("I")  # UID here; 0: gone
        self.sizes = array("Q")
        self.flags = array("I")
        self.digests = bytearray()

    def __len__(self) -> int:
        return len(self.uids)

    def digest(self, position: int) -> bytes:
        """The first octets of the BLAKE3 of the message as it passed."""
        return bytes(self.digests[position * DIGEST_OCTETS : (position + 1) * DIGEST_OCTETS])

    def index(self) -> dict[int, int]:
        """Source UID to position, of those that are not gone."""
        return {uid: at for at, uid in enumerate(self.uids) if self.targets[at]}

    def add(self, rows: list[tuple[int, int, int, int, bytes]]) -> None:
        """(source UID, UID here, octets, number of the flags, digest) of each."""
        for uid, target, size, flags, digest in rows:
            self.uids.append(uid)
            self.targets.append(target)
            self.sizes.append(size)
            self.flags.append(flags)
            self.digests += digest[:DIGEST_OCTETS].ljust(DIGEST_OCTETS, b"\0")


class Journal:
    """One source's. Methods that write block; use them in a thread, one at a time."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path = path
        self.identity = identity
        self.flag_sets: list[tuple[str, ...]] = []
        self._flag_numbers: dict[tuple[str, ...], int] = {}
        self._folders: dict[bytes, FolderLog] = {}
        self._numbered: list[FolderLog] = []
        self._pending: list[Any] = []
        self._file: IO[bytes] | None = None

    @staticmethod
    def place(folder: Path, account: int, identity: str) -> Path:
        """Where the journal of an account and a source lies."""
        name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        return folder / "migrations" / f"{account}-{name}.journal"

    # -- reading

    def open(self, *, write: bool = True) -> Journal:
        """Reads what is there and makes ready for more. Raises UserError when it is another's, or of a newer version."""
        try:
            octets = self.path.read_bytes()
        except FileNotFoundError:
            octets = b""
        good = self._read(octets)
        if write:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(  # noqa: SIM115  kept open, closed by close()
                os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0
            )
            self._file.truncate(good)
            self._file.seek(good)
            if not good:
                self._pending.append(["head", VERSION, self.identity])
                self.write(self.take())
                sync_folder(self.path.parent)
        return self

    def _read(self, octets: bytes) -> int:
        at = 0
        while at + _HEAD.size <= len(octets):
            length, crc = _HEAD.unpack_from(octets, at)
            body = octets[at + _HEAD.size : at + _HEAD.size + length]
            if length > RECORD_OCTETS_MAX or len(body) < length or zlib.crc32(body) != crc:
                break
            self._apply(msgpack.unpackb(body))
            at += _HEAD.size + length
        return at

    def _apply(self, record: list[Any]) -> None:
        match record:
            case ["head", version, identity]:
                if version != VERSION:
                    raise UserError(f"{self.path} is of a newer ironpost")
                if identity != self.identity:
                    raise UserError(f"{self.path} belongs to another source")
            case ["flags", [*flags]]:
                self._number(tuple(flags))
            case ["folder", wire, uid_validity, mailbox]:
                self._begin(wire, uid_validity, mailbox)
            case ["kept", number, rows]:
                self._numbered[number].add(rows)
            case ["flagged", number, rows]:
                log = self._numbered[number]
                for position, flags in rows:
                    log.flags[position] = flags
            case ["gone", number, positions]:
                for position in positions:
                    self._numbered[number].targets[position] = 0
            case _:
                raise UserError(f"{self.path} holds what this version does not know")

    def _number(self, flags: tuple[str, ...]) -> int:
        number = self._flag_numbers.get(flags)
        if number is None:
            number = self._flag_numbers[flags] = len(self.flag_sets)
            self.flag_sets.append(flags)
        return number

    def _begin(self, wire: bytes, uid_validity: int, mailbox: int) -> FolderLog:
        log = FolderLog(len(self._numbered), uid_validity, mailbox)
        self._numbered.append(log)
        self._folders[wire] = log
        return log

    # -- writing

    def flags(self, flags: tuple[str, ...]) -> int:
        """The number of a set of flags."""
        if flags not in self._flag_numbers:
            self._pending.append(["flags", list(flags)])
        return self._number(flags)

    def known(self, wire: bytes, uid_validity: int) -> FolderLog | None:
        """What has come of a folder, for who only looks."""
        log = self._folders.get(wire)
        return log if log is not None and log.uid_validity == uid_validity else None

    def folder(self, wire: bytes, uid_validity: int, mailbox: int) -> FolderLog:
        """What has come of a folder; begins anew when either side has been made again."""
        log = self._folders.get(wire)
        if log is None or (log.uid_validity, log.mailbox) != (uid_validity, mailbox):
            self._pending.append(["folder", wire, uid_validity, mailbox])
            log = self._begin(wire, uid_validity, mailbox)
        return log

    def kept(self, log: FolderLog, rows: list[tuple[int, int, int, int, bytes]]) -> None:
        """Messages have come: they are in the store."""
        log.add(rows)
        self._pending.append(["kept", log.number, rows])

    def flagged(self, log: FolderLog, rows: list[tuple[int, int]]) -> None:
        """(position, flags): changed at the source and here."""
        for position, flags in rows:
            log.flags[position] = flags
        self._pending.append(["flagged", log.number, rows])

    def gone(self, log: FolderLog, positions: list[int]) -> None:
        """Deleted here because they have vanished there."""
        for position in positions:
            log.targets[position] = 0
        self._pending.append(["gone", log.number, positions])

    def take(self) -> list[Any]:
        """What is pending, for `write`; in the thread that makes records."""
        pending, self._pending = self._pending, []
        return pending

    def write(self, pending: list[Any]) -> None:
        """Writes and syncs records, in the order in which they were taken."""
        if self._file is None:
            return
        octets = bytearray()
        for record in pending:
            body = msgpack.packb(record)
            octets += _HEAD.pack(len(body), zlib.crc32(body)) + body
        if octets:
            view = memoryview(octets)
            while view:
                view = view[self._file.write(view) :]
            os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Closes; what was not flushed is found again by the next run."""
        if self._file is not None:
            self._file.close()
            self._file = None
