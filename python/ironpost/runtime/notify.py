"""HintBus: which mailboxes have changed, told to every session that waits, in all workers.

A hint says "look", never what there is to see: the store's change log is the truth and losing a hint costs latency
only. Workers send each other datagrams over Unix sockets in DIR/run. For each peer a set of dirty mailboxes is merged
while its socket is full, at most DIRTY_MAX of them and then "everything"; nothing is dropped. Every POLL_SECONDS all
watchers look by themselves, as a net.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as sockets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import trio

from .board import Board, local

if TYPE_CHECKING:
    from .limits import Limits
    from .logging import Log

DIRTY_MAX: Final = 4096
PAIRS_PER_DATAGRAM: Final = 500  # at most 9 octets a number: far below a datagram's bound
DATAGRAM_OCTETS: Final = 65_536
POLL_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 0.5  # a peer that is being restarted
CONNECTIONS_SECONDS: Final = 0.1  # how often counts of connections are exchanged
COUNTS_PER_DATAGRAM: Final = 300
NOTICES_MAX: Final = 1000  # failures waiting for one peer; older ones are forgotten

_GONE: Final = {errno.ECONNREFUSED, errno.ENOENT, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.EDESTADDRREQ}
Wake = Callable[[], object]


class _Peer:
    """What one other worker has not been told yet."""

    __slots__ = ("dirty", "everything", "notices", "path", "relay", "slot", "socket", "waiting")

    def __init__(self, slot: int, path: str) -> None:
        self.slot = slot
        self.path = path
        self.socket: sockets.socket | None = None
        self.dirty: set[tuple[int, int]] = set()
        self.everything = False
        self.relay = False
        self.notices: list[list[Any]] = []
        self.waiting = trio.Event()

    def add(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Merges hints."""
        if not self.everything:
            self.dirty.update(pairs)
            if len(self.dirty) > DIRTY_MAX:
                self.dirty.clear()
                self.everything = True

    def notice(self, message: list[Any]) -> None:
        """Queues news of the limits."""
        if len(self.notices) < NOTICES_MAX:
            self.notices.append(message)

    def forget(self) -> None:
        """Nobody is there: a worker that starts later begins with a fresh look."""
        self.dirty.clear()
        self.notices.clear()
        self.everything = self.relay = False

    @property
    def idle(self) -> bool:
        return not (self.dirty or self.everything or self.relay or self.notices)


class HintBus:
    """One per worker, used on its Trio thread alone. `slot` from 1; `workers` is how many there are."""

    def __init__(
        self, folder: Path, slot: int, workers: int, *, board: Board | None = None, log: Log | None = None
    ) -> None:
        self._folder = folder
        self._slot = slot
        self._log = log
        self._board = board or local()
        self._peers = [
            _Peer(other, str(socket_path(folder, other))) for other in range(1, workers + 1) if other != slot
        ]
        self._watchers: dict[tuple[int, int], dict[int, Wake]] = {}  # (account, mailbox) to id(owner) to wake
        self._owners: dict[int, frozenset[tuple[int, int]]] = {}
        self._limits: Limits | None = None
        self._connections_due = trio.Event()
        self.relay_event = trio.Event()
        self._socket = self._bind()

    def _bind(self) -> sockets.socket:
        path = socket_path(self._folder, self._slot)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        receiver = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM | sockets.SOCK_NONBLOCK | sockets.SOCK_CLOEXEC)
        at_path(receiver.bind, str(path))
        path.chmod(0o600)
        return receiver

    def carry(self, limits: Limits) -> None:
        """Exchanges this registry's counts with the other workers."""
        self._limits = limits
        limits.announce_failure = self._tell_failure
        limits.announce_connections = self._connections_due.set

    # -- watching

    def subscribe(self, owner: object, places: Iterable[tuple[int, int]], wake: Wake) -> None:
        """Calls `wake` whenever one of these (account, mailbox) may have changed; mailbox 0 is any of the account. Takes the
        place of what the owner has subscribed to before.

        Subscribe first and look afterwards: then nothing is missed. `wake` must return at once.
        """
        self.unsubscribe(owner)
        keys = frozenset(places)
        for key in keys:
            self._watchers.setdefault(key, {})[id(owner)] = wake
        self._owners[id(owner)] = keys
        self._board.watchers(len(self._owners))

    def unsubscribe(self, owner: object) -> None:
        """No more calls for this owner; nothing happens when there was no subscription."""
        keys = self._owners.pop(id(owner), None)
        if keys is None:
            return
        for key in keys:
            watchers = self._watchers[key]
            del watchers[id(owner)]
            if not watchers:
                del self._watchers[key]
        self._board.watchers(len(self._owners))

    # -- telling

    def publish(self, pairs: list[tuple[int, int]]) -> None:
        """These (account, mailbox) have changed by a commit of this worker: wakes watchers here, tells the others."""
        self._wake_pairs(pairs)
        for peer in self._peers:
            if self._board.watched(peer.slot):
                peer.add(pairs)
                self._send(peer)

    def relay_hint(self) -> None:
        """The queue has new items: wakes the relay, in whichever worker it runs."""
        self._wake_relay()
        for peer in self._peers:
            peer.relay = True
            self._send(peer)

    def everything(self) -> None:
        """Wakes all watchers of this worker (after another worker's death, and as the slow net)."""
        for watchers in list(self._watchers.values()):
            for wake in list(watchers.values()):
                wake()
        self._wake_relay()

    async def wait_relay(self) -> None:
        """Returns when there has been a relay hint since the last return. For one waiter."""
        await self.relay_event.wait()
        self.relay_event = trio.Event()

    def forget_worker(self, slot: int) -> None:
        """That worker has died."""
        for peer in self._peers:
            if peer.slot == slot:
                self._drop(peer)
        if self._limits is not None:
            self._limits.forget_worker(slot)
        self.everything()

    # -- the tasks

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receives, sends what could not be sent at once, polls; until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._receive)
                nursery.start_soon(self._poll)
                nursery.start_soon(self._exchange_connections)
                for peer in self._peers:
                    nursery.start_soon(self._resend, peer)
                self._greet()
                task_status.started()
        finally:
            self.close()

    def close(self) -> None:
        """Closes the sockets."""
        self._socket.close()
        for peer in self._peers:
            self._drop(peer)

    async def _receive(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            for _ in range(64):  # then the sessions that were woken get their turn
                try:
                    datagram = self._socket.recv(DATAGRAM_OCTETS)
                except BlockingIOError:
                    break
                self._take(datagram)

    def _take(self, datagram: bytes) -> None:
        try:
            kind, sender, *rest = msgpack.unpackb(datagram)
            match kind:
                case "dirty":
                    self._wake_pairs([(account, mailbox) for account, mailbox in rest[0]])
                case "everything":
                    self.everything()
                case "relay":
                    self._wake_relay()
                case "failure" if self._limits is not None:
                    self._limits.login_failed(rest[0], rest[1], trio.current_time(), tell=False)
                case "connections" if self._limits is not None:
                    self._limits.apply_connections(sender, [(key, count) for key, count in rest[0]])
                case "hello":
                    self._tell_all_connections(sender)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            if self._log is not None:
                self._log.error("hint not understood", error=str(error))

    async def _resend(self, peer: _Peer) -> None:
        while True:
            await peer.waiting.wait()
            peer.waiting = trio.Event()
            while not peer.idle:
                if peer.socket is not None:
                    try:
                        await trio.lowlevel.wait_writable(peer.socket)
                    except trio.ClosedResourceError:  # the peer has died meanwhile
                        continue
                else:
                    await trio.sleep(RETRY_SECONDS)
                self._send(peer)

    async def _poll(self) -> None:
        while True:
            await trio.sleep(POLL_SECONDS)
            self.everything()

    async def _exchange_connections(self) -> None:
        while True:
            await self._connections_due.wait()
            self._connections_due = trio.Event()
            if self._limits is not None:
                self._limits.announce_connections = self._connections_due.set
                changes = self._limits.take_changes()
                for peer in self._peers:
                    self._tell_connections(peer, changes)
            await trio.sleep(CONNECTIONS_SECONDS)

    # -- inside

    def _wake_pairs(self, pairs: list[tuple[int, int]]) -> None:
        watchers = self._watchers
        if not watchers:
            return
        for account, mailbox in pairs:
            for key in ((account, mailbox), (account, 0)) if mailbox else ((account, 0),):
                found = watchers.get(key)
                if found:
                    for wake in list(found.values()):
                        wake()

    def _wake_relay(self) -> None:
        self.relay_event.set()

    def _greet(self) -> None:
        for peer in self._peers:
            peer.notice(["hello", self._slot])
            self._send(peer)

    def _tell_failure(self, host: str, account: str) -> None:
        for peer in self._peers:
            peer.notice(["failure", self._slot, host, account])
            self._send(peer)

    def _tell_all_connections(self, slot: int) -> None:
        if self._limits is not None:
            for peer in self._peers:
                if peer.slot == slot:
                    self._tell_connections(peer, self._limits.connections_here())

    def _tell_connections(self, peer: _Peer, counts: list[tuple[str, int]]) -> None:
        for start in range(0, len(counts), COUNTS_PER_DATAGRAM):
            peer.notice(["connections", self._slot, counts[start : start + COUNTS_PER_DATAGRAM]])
        self._send(peer)

    def _send(self, peer: _Peer) -> None:
        """Sends what fits now; what does not is left to the peer's task."""
        refused = 0
        while not peer.idle:
            message, done = self._next(peer)
            try:
                if peer.socket is None:
                    self._connect(peer)
                assert peer.socket is not None
                peer.socket.send(msgpack.packb(message))
            except BlockingIOError:
                peer.waiting.set()
                return
            except OSError as error:
                refused += 1
                nobody = peer.socket is None or refused > 1
                self._drop(peer)
                if error.errno not in _GONE:
                    if self._log is not None:
                        self._log.error("hint not sent", worker=peer.slot, error=str(error))
                    peer.waiting.set()
                    return
                if nobody:
                    peer.forget()
                    return
                continue  # it may have been started anew, under the same name
            done()

    def _next(self, peer: _Peer) -> tuple[list[Any], Callable[[], object]]:
        if peer.notices:
            return peer.notices[0], lambda: peer.notices.pop(0)
        if peer.relay:
            return ["relay", self._slot], lambda: setattr(peer, "relay", False)
        if peer.everything:
            return ["everything", self._slot], lambda: setattr(peer, "everything", False)
        pairs = []
        for pair in peer.dirty:
            pairs.append(pair)
            if len(pairs) == PAIRS_PER_DATAGRAM:
                break
        return ["dirty", self._slot, pairs], lambda: peer.dirty.difference_update(pairs)

    def _connect(self, peer: _Peer) -> None:
        sender = sockets.socket(sockets.AF_UNIX, sockets.SOCK_DGRAM | sockets.SOCK_NONBLOCK | sockets.SOCK_CLOEXEC)
        try:
            at_path(sender.connect, peer.path)
        except OSError:
            sender.close()
            raise
        peer.socket = sender

    def _drop(self, peer: _Peer) -> None:
        if peer.socket is not None:
            trio.lowlevel.notify_closing(peer.socket)
            peer.socket.close()
            peer.socket = None


def socket_path(folder: Path, slot: int) -> Path:
    """Where the worker in this slot receives."""
    return folder / f"hints-{slot}.sock"


def at_path(call: Callable[[str], object], path: str) -> None:
    """Binds or connects; a path beyond the 107 octets of sun_path goes through the folder's descriptor."""
    if len(os.fsencode(path)) <= 107:
        call(path)
        return
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)
