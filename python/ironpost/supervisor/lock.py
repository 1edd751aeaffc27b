"""The instance lock: whoever holds DIR/run/lock owns the data in DIR. Inherited by workers, so it is free only when the
last of them has gone."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from ..config import Config
from ..errors import UserError
from .sockets import holders

WAIT_SECONDS: Final = 10.0  # for the workers of a supervisor that has just died
POLL_SECONDS: Final = 0.1


def take(config: Config, *, wait: float = WAIT_SECONDS) -> int:
    """The descriptor that holds the lock. Raises UserError naming the holders when it is not free in time."""
    folder = config.runtime_folder
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise UserError(f"{config.directory} is in use{_named(path)}") from None
            time.sleep(POLL_SECONDS)
        else:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor


def _named(path: Path) -> str:
    others = [(process, name) for process, name in holders({str(path.resolve())}) if process != os.getpid()]
    return " by " + ", ".join(f"{name} (pid {process})" for process, name in others) if others else ""
