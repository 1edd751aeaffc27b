"""systemd's two protocols: sd_notify (a datagram to NOTIFY_SOCKET) and sockets passed in (LISTEN_FDS)."""

from __future__ import annotations

import os
import socket as sockets
import time
from collections.abc import MutableMapping
from typing import Final

FIRST_DESCRIPTOR: Final = 3


class Notifier:
    """Says nothing when we do not run under systemd."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        # Taken out of the environment, so that children do not speak in our name.
        self._path = environ.pop("NOTIFY_SOCKET", "")
        micros = environ.pop("WATCHDOG_USEC", "")
        process = environ.pop("WATCHDOG_PID", str(os.getpid()))
        mine = micros.isdigit() and process == str(os.getpid())
        self.watchdog_seconds = int(micros) / 1e6 if mine else 0.0

    def tell(self, state: str) -> None:
        """READY=1, STOPPING=1, WATCHDOG=1, STATUS=..."""
        if not self._path:
            return
        path = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM | sockets.SOCK_CLOEXEC) as sender:
            try:
                sender.sendto(state.encode(), path)
            except OSError:
                return  # the manager does not listen: it is its own affair

    def reloading(self) -> None:
        """RELOADING=1 with the time that systemd asks for."""
        self.tell(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def inherited(environ: MutableMapping[str, str] = os.environ) -> list[sockets.socket]:
    """Listening sockets that the service manager has bound for us."""
    count, process = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or process != str(os.getpid()):
        return []
    found = []
    for descriptor in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
        os.set_inheritable(descriptor, False)
        found.append(sockets.socket(fileno=descriptor))
    return found
