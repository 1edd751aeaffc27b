"""The channel between the supervisor and a worker: msgpack maps over a SOCK_SEQPACKET pair. Its end is a message too.

Worker to supervisor: ready, beat (once a second), status (a question). Supervisor to worker: reload, drain, stop,
died (another worker), status (the answer).
"""

from __future__ import annotations

import socket as sockets
from typing import Any, Final

import msgpack
import trio

MESSAGE_OCTETS_MAX: Final = 131_072
Message = dict[str, Any]


class Channel:
    """One end. Receiving is for one task; sending for any."""

    __slots__ = ("_lock", "_socket")

    def __init__(self, socket: sockets.socket) -> None:
        socket.setblocking(False)
        self._socket = socket
        self._lock = trio.Lock()

    async def send(self, message: Message) -> bool:
        """False when the other end is gone."""
        octets = msgpack.packb(message)
        async with self._lock:
            while True:
                try:
                    self._socket.send(octets)
                except BlockingIOError:
                    try:
                        await trio.lowlevel.wait_writable(self._socket)
                    except trio.ClosedResourceError:
                        return False
                except OSError:
                    return False
                else:
                    return True

    async def receive(self) -> Message | None:
        """The next message, or None when the other end is gone."""
        while True:
            try:
                octets = self._socket.recv(MESSAGE_OCTETS_MAX)
            except BlockingIOError:
                try:
                    await trio.lowlevel.wait_readable(self._socket)
                except trio.ClosedResourceError:
                    return None
            except OSError:
                return None
            else:
                if not octets:
                    return None
                message: Message = msgpack.unpackb(octets)
                return message

    def close(self) -> None:
        """Closes this end."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


def pair() -> tuple[sockets.socket, sockets.socket]:
    """Both ends, before they are channels."""
    return sockets.socketpair(sockets.AF_UNIX, sockets.SOCK_SEQPACKET | sockets.SOCK_CLOEXEC)
