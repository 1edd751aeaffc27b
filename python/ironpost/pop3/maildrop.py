"""The exclusive lock of a maildrop (RFC 1939 §4) and the pause between logins (RFC 2449 §6.5), across workers.

Both are in one file for each account in the runtime folder: the lock is an flock, which the kernel drops with its holder,
and the moment of the last login is the file's mtime. The file is empty until there was one.
"""

from __future__ import annotations

import fcntl
import os
import time
from enum import Enum
from pathlib import Path

__all__ = ["Maildrop", "Refusal"]


class Refusal(Enum):
    """Why a maildrop is not opened: a response code and its text."""

    IN_USE = ("IN-USE", "the maildrop is in use by another session")
    LOGIN_DELAY = ("LOGIN-DELAY", "you have logged in a moment ago, try again later")

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        self.text = text


class Maildrop:
    """A maildrop that this session holds, until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def open(cls, runtime_folder: Path, account: int, login_delay: float) -> Maildrop | Refusal:
        """`login_delay`: seconds between the logins of an account, 0 for none. A refused login does not count as one."""
        folder = runtime_folder / "pop3"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / f"{account}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return Refusal.IN_USE
        if login_delay > 0:
            before = os.fstat(descriptor)
            # A clock that was set back makes it negative: then nobody is kept out.
            if before.st_size and 0 <= time.time() - before.st_mtime < login_delay:
                os.close(descriptor)
                return Refusal.LOGIN_DELAY
            os.pwrite(descriptor, b"1", 0)
            os.utime(descriptor)
        return cls(descriptor)

    def release(self) -> None:
        """Gives it back; again is harmless."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
