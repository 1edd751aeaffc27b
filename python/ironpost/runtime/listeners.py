"""Accepting connections: one task per listening socket, shared with the other workers; calm when descriptors run out.

A worker that has clearly more connections than the least loaded one lets it go first: it waits a moment that grows with
its excess, and accepts after all when nobody else has.
"""

from __future__ import annotations

import errno
import socket as sockets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import trio

from .stream import Address, MailStream, address_of

if TYPE_CHECKING:
    from ..config import ListenerConfig
    from ..context import WorkerContext

ACCEPTS_PER_WAKE: Final = 4
EXCESS_TOLERATED: Final = 4  # connections above the least loaded worker before we stand back
# For each connection of excess. Short: where connections are brief, standing back costs more than an uneven load does
# (logins by 50 clients at once: 2,400 a second with ten times this and half the tolerance, 11,500 with these).
STAND_BACK_SECONDS: Final = 0.0001
STAND_BACK_SECONDS_MAX: Final = 0.002
CALM_SECONDS: Final = 0.5  # no descriptors: other sessions must end first
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

Serve = Callable[[MailStream, "ListenerConfig", "WorkerContext"], Awaitable[None]]

_REFUSALS: Final = {
    "smtp": "421 4.7.0 {hostname} too many connections, try again later\r\n",
    "lmtp": "421 4.7.0 {hostname} too many connections, try again later\r\n",
    "submission": "421 4.7.0 {hostname} too many connections, try again later\r\n",
    "imap": "* BYE [UNAVAILABLE] too many connections, try again later\r\n",
    "pop3": "-ERR [SYS/TEMP] too many connections, try again later\r\n",
}  # a service with TLS from the first octet has no way to say it


class Listener:
    """One listening socket and the protocol spoken on it."""

    def __init__(self, socket: sockets.socket, config: ListenerConfig, serve: Serve, context: WorkerContext) -> None:
        socket.setblocking(False)
        if socket.family != sockets.AF_UNIX:
            # Accepted sockets inherit it: one call here instead of one for each connection.
            socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        self.socket = socket
        self.config = config
        self.open = 0
        self._serve = serve
        self._context = context

    async def run(self, sessions: trio.Nursery) -> None:
        """Accepts until cancelled; sessions live in their own nursery and outlive this."""
        while True:
            await trio.lowlevel.wait_readable(self.socket)
            excess = self._context.board.excess()
            if excess > EXCESS_TOLERATED:
                await trio.sleep(min(STAND_BACK_SECONDS_MAX, excess * STAND_BACK_SECONDS))
            for _ in range(ACCEPTS_PER_WAKE):
                try:
                    connection, name = self.socket.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in _EXHAUSTED:
                        self._context.log.warning("no more connections", listener=self.config.name, why=str(error))
                        await trio.sleep(CALM_SECONDS)
                        break
                    continue  # that connection died before we took it (accept(2))
                self._begin(connection, name, sessions)

    def _begin(self, connection: sockets.socket, name: Any, sessions: trio.Nursery) -> None:
        context = self._context
        peer = address_of(name)
        connection.setblocking(False)
        if not context.limits.connect(peer.host):
            context.counters.add("connections_refused")
            context.log.info(
                "connection refused", listener=self.config.name, peer=peer.host, why="too many connections"
            )
            self._refuse(connection)
            return
        self.open += 1
        context.counters.add(f"connections_{self.config.service}")
        context.board.connections(context.limits.open)
        sessions.start_soon(self._session, connection, peer)

    def _refuse(self, connection: sockets.socket) -> None:
        text = _REFUSALS.get(self.config.service)
        with connection:
            if text is not None:
                try:
                    connection.send(text.format(hostname=self._context.config.hostname).encode())
                    connection.shutdown(sockets.SHUT_WR)
                except OSError:
                    return  # it did not wait for the answer

    async def _session(self, connection: sockets.socket, peer: Address) -> None:
        context = self._context
        stream = MailStream(connection, peer)
        try:
            await self._serve(stream, self.config, context)
        except Exception:
            # Sessions catch their own; this is the net that keeps a fault of one from ending them all.
            context.log.exception("session failed", service=self.config.service, peer=peer.host)
        finally:
            stream.shut()
            self.open -= 1
            context.limits.disconnect(peer.host)
            context.board.connections(context.limits.open)
