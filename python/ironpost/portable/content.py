"""The octets of one message: from its file to the form in which it is stored, in pieces."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from .. import _core
from .model import Message, MessageFault

PIECE_OCTETS: Final = 1 << 20
# What plugins of other servers leave in place of a message; importing it as one would lose it.
_FOREIGN: Final = (
    (b"\x1f\x8b", "is compressed (gzip)"),
    (b"BZh", "is compressed (bzip2)"),
    (b"\xfd7zXZ\x00", "is compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd)"),
    (b"Dovecot-LZ4\r\x2a\x9b\xc5", "is compressed (lz4)"),
    (b"CRYPTED\x03\x07", "is encrypted"),
)


class Reading:
    """One message, open. Raises MessageFault when it can't be read; `mtime` is the file's.

    `pieces` gives the whole message once, in pieces of about PIECE_OCTETS; then `remarks` tells what is odd in it.
    """

    def __init__(self, message: Message) -> None:
        self._message = message
        self._descriptor = -1
        if message.fault:
            raise MessageFault(message.fault)
        try:
            self._descriptor = _open(message)
            facts = os.fstat(self._descriptor)
        except OSError as error:
            self.close()
            raise MessageFault(error.strerror or str(error)) from None
        if not stat.S_ISREG(facts.st_mode):
            self.close()
            raise MessageFault("is no regular file")
        self.mtime = int(facts.st_mtime)
        available = facts.st_size - message.offset
        self.length = available if message.length is None else message.length
        if available < self.length or self.length < 0:
            self.close()
            raise MessageFault("is shorter than it should be")
        self._rewriter = _core.Rewriter(message.ending, message.quoting)

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def pieces(self) -> Iterator[bytes]:
        """The message. Raises MessageFault."""
        message = self._message
        position, end = message.offset, message.offset + self.length
        if message.head:
            piece = self._rewriter.feed(message.head, position == end)
            yield piece
            if position == end:
                return
        elif position == end:
            raise MessageFault("is empty")
        while position < end:
            try:
                octets = os.pread(self._descriptor, min(PIECE_OCTETS, end - position), position)
            except OSError as error:
                raise MessageFault(error.strerror or str(error)) from None
            if not octets:
                raise MessageFault("became shorter while it was read")
            if position == message.offset and not message.head:
                _refuse_foreign(octets)
            position += len(octets)
            yield self._rewriter.feed(octets, position == end)

    @property
    def remarks(self) -> list[str]:
        """What a client may stumble over; the octets are kept as they are."""
        odd = []
        if self._rewriter.nul:
            odd.append("holds NUL octets, which are kept")
        if self._rewriter.bare_cr:
            odd.append("holds CR without LF, which is kept")
        return odd


def _open(message: Message) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # a FIFO must not hold us
    try:
        return os.open(message.path, flags)
    except FileNotFoundError:
        path = message.again() if message.again else None
        if path is None:
            raise
        return os.open(path, flags)


def _refuse_foreign(octets: bytes) -> None:
    for magic, what in _FOREIGN:
        if octets.startswith(magic):
            raise MessageFault(what)
