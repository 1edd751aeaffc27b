"""MailStream: a connected socket under a wire. Octets in, octets out, each wait under a limit; knows no protocol.

All streams of a worker read through one buffer, and the wire takes what was read at once, so that an idle connection
owns no buffer at all.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket as sockets
import struct
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from ..errors import ConnectionLost, PeerTimeout, ServerDraining, SessionDismissed
from . import deadlines, timeouts

if TYPE_CHECKING:
    from ironpost._core import Wire

__all__ = ["Address", "ConnectionLost", "MailStream", "PeerTimeout", "address_of", "is_loopback"]

BUFFER_OCTETS: Final = 262_144
OUTPUT_OCTETS: Final = 65_536
TURNS_MAX: Final = 16  # reads and writes without waiting after which the other sessions get their turn
LINGER_OCTETS_MAX: Final = 262_144

_buffer: Final = bytearray(BUFFER_OCTETS)
_view: Final = memoryview(_buffer)


class Address(NamedTuple):
    """Where one end of a connection is. ("unix", 0) for a Unix socket. Hosts are without IPv6 zones."""

    host: str
    port: int


class MailStream:
    """Owns the socket, which may come from `socket` or from `trio.socket`."""

    __slots__ = (
        "_closed",
        "_deadlines",
        "_dismissed",
        "_expired",
        "_local",
        "_patient",
        "_socket",
        "_turns",
        "interruptible",
        "peer",
    )

    def __init__(self, socket: sockets.socket | trio.socket.SocketType, peer: Address | None = None) -> None:
        if not isinstance(socket, sockets.socket):
            # Trio's wrapper has no use here: its calls wait without a limit.
            socket = sockets.socket(socket.family, socket.type, socket.proto, fileno=socket.detach())
        socket.setblocking(False)
        self._socket = socket
        self._deadlines = deadlines.current()
        self._expired = False
        self._closed = False
        self._turns = 0
        self.interruptible = False  # the wait under way may be ended because the server stops
        self._patient = True  # the wait under way may not be ended by `dismiss`
        self._dismissed = ""
        self._local: Address | None = None
        if peer is None:
            try:
                peer = address_of(socket.getpeername())
            except OSError as error:
                socket.close()
                raise ConnectionLost(error.strerror or "not connected") from None
        self.peer = peer

    @property
    def local(self) -> Address:
        """Our end."""
        if self._local is None:
            try:
                self._local = address_of(self._socket.getsockname())
            except OSError as error:
                raise ConnectionLost(error.strerror or "not connected") from None
        return self._local

    @property
    def both_loopback(self) -> bool:
        """True when nothing of this connection leaves the machine."""
        return is_loopback(self.peer.host) and is_loopback(self.local.host)

    async def fill(
        self, wire: Wire, limit_seconds: float, *, interruptible: bool = False, dismissible: bool = False
    ) -> bool:
        """One read, given to the wire; waits for it at most `limit_seconds`. False after the end of the peer's octets.

        Raises PeerTimeout, ConnectionLost, and, for an `interruptible` wait, ServerDraining when the server stops, for a
        `dismissible` one SessionDismissed after `dismiss`; `_core.TlsError` of the wire passes.
        """
        if dismissible and self._dismissed:  # also when the peer never lets us wait
            raise SessionDismissed(self._dismissed)
        try:
            length = self._socket.recv_into(_view)
            self._turns += 1
            if self._turns >= TURNS_MAX:
                # What was read lies in the shared buffer: it must be taken before anyone else runs.
                self._turns = 0
                if length:
                    wire.receive(_buffer, length)
                else:
                    wire.receive_eof()
                await trio.lowlevel.checkpoint()
                return length > 0
        except BlockingIOError:
            self.interruptible = interruptible
            self._patient = not dismissible
            if interruptible and self._deadlines.draining:
                raise ServerDraining("the server stops") from None
            length = await self._wait_and_read(limit_seconds)
        except OSError as error:
            raise ConnectionLost(error.strerror or str(error)) from None
        if length:
            wire.receive(_buffer, length)
            return True
        wire.receive_eof()
        return False

    async def drain(self, wire: Wire, limit_seconds: float) -> None:
        """Sends all that the wire has to send; each 64 KiB must be taken by the peer within `limit_seconds`.

        Raises PeerTimeout, ConnectionLost; `_core.TlsError` of the wire passes.
        """
        while True:
            chunk = wire.take_output(OUTPUT_OCTETS)
            if not chunk:
                return
            await self._send(chunk, limit_seconds)

    async def close(self) -> None:
        """Closes. When the peer still sends, reads that away for a moment first: a reset would eat our last words."""
        if self._closed:
            return
        try:
            self._socket.shutdown(sockets.SHUT_WR)
            waiting = self._socket.recv_into(_view)
        except OSError:  # nothing waits (BlockingIOError), or the connection is gone: closing does no harm
            waiting = 0
        try:
            if waiting:
                await self._linger()
        finally:
            self.shut()

    def abort(self) -> None:
        """Resets the connection: what was sent is not complete, and the peer must not believe that it is."""
        if not self._closed:
            with contextlib.suppress(OSError):  # the peer may have reset it before us
                self._socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
            self.shut()

    def dismiss(self, why: str) -> None:
        """Ends the session at its next dismissible wait, now if it is in one; `why` is fit for the peer."""
        self._dismissed = self._dismissed or why
        if not self._patient and self in self._deadlines.table:
            self._deadlines.forget(self)
            self.expire()

    def expire(self) -> None:
        """Called by the table of deadlines, when the time is up or the server stops: ends the wait under way."""
        self._expired = True
        trio.lowlevel.notify_closing(self._socket)

    async def _wait_and_read(self, limit_seconds: float) -> int:
        deadline = trio.current_time() + limit_seconds
        while True:
            self._turns = 0
            await self._wait(trio.lowlevel.wait_readable, deadline, "nothing read", limit_seconds)
            try:
                return self._socket.recv_into(_view)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ConnectionLost(error.strerror or str(error)) from None

    async def _send(self, chunk: bytes, limit_seconds: float) -> None:
        deadline = inf
        rest: memoryview | bytes = chunk
        while True:
            try:
                sent = self._socket.send(rest)
            except BlockingIOError:
                if deadline == inf:
                    deadline = trio.current_time() + limit_seconds
                self._turns = 0
                self.interruptible = False
                self._patient = True
                await self._wait(trio.lowlevel.wait_writable, deadline, "nothing taken", limit_seconds)
                continue
            except OSError as error:
                raise ConnectionLost(error.strerror or str(error)) from None
            if sent == len(rest):
                break
            rest = memoryview(rest)[sent:]
        self._turns += 1
        if self._turns >= TURNS_MAX:
            self._turns = 0
            await trio.lowlevel.checkpoint()

    async def _wait(self, wait: object, deadline: float, what: str, limit_seconds: float) -> None:
        self._expired = False
        self._deadlines.note(self, deadline)
        try:
            await wait(self._socket)  # type: ignore[operator]
        except trio.ClosedResourceError:
            if self._expired:
                self._expired = False
                if self._dismissed and not self._patient:
                    raise SessionDismissed(self._dismissed) from None
                if self.interruptible and self._deadlines.draining:
                    raise ServerDraining("the server stops") from None
                raise PeerTimeout(f"{what} for {limit_seconds:g} s") from None
            raise ConnectionLost("closed on our side") from None
        finally:
            self._deadlines.forget(self)

    async def _linger(self) -> None:
        taken = 0
        with trio.move_on_after(timeouts.LINGER):
            while taken < LINGER_OCTETS_MAX:
                await trio.lowlevel.wait_readable(self._socket)
                try:
                    length = self._socket.recv_into(_view)
                except BlockingIOError:
                    continue
                except OSError:  # reset by the peer: there is nothing left to protect
                    return
                if not length:
                    return
                taken += length

    def shut(self) -> None:
        """Closes at once; nothing when it is closed already."""
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


def address_of(name: object) -> Address:
    """What getpeername or accept gives, in our form: zones cut off, IPv4 seen through IPv6 as IPv4."""
    if not isinstance(name, tuple):
        return Address("unix", 0)
    host: str = name[0]
    if ":" in host:
        host = host.partition("%")[0].removeprefix("::ffff:") if "." in host else host.partition("%")[0]
    return Address(host, name[1])


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """True for addresses that never leave the machine; Unix sockets are such."""
    if host == "unix":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
