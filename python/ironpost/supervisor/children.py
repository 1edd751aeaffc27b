"""One worker process: started by posix_spawn (never forked), watched, and buried.

It gets its descriptors at 3 and above, named in LISTEN_FDNAMES as a service manager would.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio

from ..runtime import ipc
from ..runtime.systemd import FIRST_DESCRIPTOR

if TYPE_CHECKING:
    from ..config import Config

SAFE_DESCRIPTOR: Final = 64  # while being passed, originals are kept out of the way of their targets


class Child:
    """A running worker."""

    def __init__(self, slot: int, process: int, channel: ipc.Channel) -> None:
        self.slot = slot
        self.process = process
        self.channel = channel
        self.started = time.time()
        self.began = trio.current_time()
        self.ready = False
        self.last_heard = trio.current_time()
        self.stopped_since: float | None = None
        self.told_silent = False
        self.facts: dict[str, Any] = {}
        self._pidfd = os.pidfd_open(process)

    async def wait(self) -> int:
        """The exit status: a code, or minus the signal."""
        try:
            await trio.lowlevel.wait_readable(self._pidfd)
        finally:
            trio.lowlevel.notify_closing(self._pidfd)
        _, status = os.waitpid(self.process, 0)  # noqa: ASYNC222 - it has ended: this returns at once
        os.close(self._pidfd)
        self.channel.close()
        return os.waitstatus_to_exitcode(status)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal; nothing when it has ended."""
        try:
            os.kill(self.process, number)
        except ProcessLookupError:
            return

    def state(self) -> str:
        """R, S, D, T, Z ... of /proc; "" when it has gone."""
        try:
            text = Path(f"/proc/{self.process}/stat").read_text()
        except OSError:
            return ""
        return text.rpartition(")")[2].split()[0]

    def describe(self) -> dict[str, Any]:
        """For `status`."""
        return {
            "slot": self.slot,
            "pid": self.process,
            "ready": self.ready,
            "uptime": time.time() - self.started,
            "silent_seconds": round(trio.current_time() - self.last_heard, 3),
            **self.facts,
        }


def start(config: Config, slot: int, workers: int, shared: list[tuple[str, int]]) -> Child:
    """Starts the worker of a slot. `shared`: names and descriptors that it gets besides its own channel."""
    ours, theirs = ipc.pair()
    named = [("ipc", theirs.fileno()), *shared]
    environment = {
        **os.environ,
        "IRONPOST_SLOT": str(slot),
        "IRONPOST_WORKERS": str(workers),
        "IRONPOST_DATA": str(config.directory),
        "LISTEN_FDS": str(len(named)),
        "LISTEN_FDNAMES": ":".join(name for name, _ in named),
        "PYTHONUNBUFFERED": "1",
    }
    copies: list[int] = []
    try:
        actions: list[tuple[int, int, int]] = []
        for target, (_, descriptor) in enumerate(named, FIRST_DESCRIPTOR):
            copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(SAFE_DESCRIPTOR, FIRST_DESCRIPTOR + len(named)))
            copies.append(copy)
            actions.append((os.POSIX_SPAWN_DUP2, copy, target))
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "ironpost.worker"],
            environment,
            file_actions=actions,
            # Ctrl-C must not hit it before it has learnt to ignore it.
            setsigmask=[signal.SIGINT, signal.SIGHUP],
        )
    finally:
        for copy in copies:
            os.close(copy)
        theirs.close()
    return Child(slot, process, ipc.Channel(ours))
