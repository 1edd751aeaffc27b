"""The one door to the data: the running server's control socket, or, when none runs, the data itself under its lock.

Both ways go through the same table of operations (`worker.operations`); a command does not know which one it took.
"""

from __future__ import annotations

import os
import socket as sockets
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgpack

from ..config import Config, load
from ..errors import UserError
from ..runtime.notify import at_path

if TYPE_CHECKING:
    from ..identity.hashing import Hasher
    from ..state.directory import Directory
    from ..store.client import StoreClient

BETWEEN_SECONDS: Final = 20.0  # a server that is starting or stopping holds the lock without a control socket
POLL_SECONDS: Final = 0.1
SOCKET_NAME: Final = "control.sock"


class Asker(Protocol):
    """Carries out operations, one after the other."""

    config: Config
    online: bool

    def request(self, operation: str, **arguments: Any) -> Any:
        """The result. Raises UserError."""


class Requester(Asker, Protocol):
    """One that also carries out those that take long."""

    def follow(self, operation: str, tell: Callable[[dict[str, Any]], object], **arguments: Any) -> Any:
        """As `request`, for an operation that tells its progress meanwhile. Leaving it ends it."""


@contextmanager
def access(directory: Path, *, store: bool = False, config: Config | None = None) -> Iterator[Requester]:
    """Opens the door. `store`: the operations need the store, too."""
    config = config or load(directory)
    deadline = time.monotonic() + BETWEEN_SECONDS
    while True:
        connection = _connect(config)
        if connection is not None:
            with connection:
                yield _Online(config, connection)
            return
        from ..supervisor import lock

        try:
            descriptor = lock.take(config, wait=0)
        except UserError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(POLL_SECONDS)
            continue
        try:
            from ..supervisor import privileges

            privileges.drop(config)
            with _Offline(config, store=store) as offline:
                yield offline
        finally:
            os.close(descriptor)
        return


def _connect(config: Config) -> sockets.socket | None:
    connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC)
    try:
        at_path(connection.connect, str(config.runtime_folder / SOCKET_NAME))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except PermissionError:
        connection.close()
        raise UserError(f"{config.directory}: the server there runs as another user; use that one, or root") from None
    return connection


class _Online:
    online = True

    def __init__(self, config: Config, connection: sockets.socket) -> None:
        self.config = config
        self._connection = connection

    def request(self, operation: str, **arguments: Any) -> Any:
        return self.follow(operation, lambda _: None, **arguments)

    def follow(self, operation: str, tell: Callable[[dict[str, Any]], object], **arguments: Any) -> Any:
        try:
            octets = msgpack.packb({"op": operation, "args": arguments})
            self._connection.sendall(struct.pack(">I", len(octets)) + octets)
            while "progress" in (answer := self._frame()):
                tell(answer["progress"])
        except OSError as error:
            raise UserError(f"the server has ended meanwhile ({error.strerror or error})") from None
        return _result(answer)

    def _frame(self) -> dict[str, Any]:
        (length,) = struct.unpack(">I", self._exactly(4))
        answer: dict[str, Any] = msgpack.unpackb(self._exactly(length))
        return answer

    def _exactly(self, length: int) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            chunk = self._connection.recv(min(65_536, length - len(parts)))
            if not chunk:
                raise ConnectionResetError("it closed the control socket")
            parts += chunk
        return bytes(parts)


class _Offline:
    """The operations' context of a command that works alone."""

    online = False

    def __init__(self, config: Config, *, store: bool) -> None:
        from ..identity.hashing import Hasher
        from ..identity.presence import Presence
        from ..runtime.logging import standard
        from ..state.directory import Directory

        self.config = config
        self.hasher: Hasher = Hasher(config.identity)
        self.directory: Directory = Directory(config.state_folder)
        self.hints: Any = _NobodyListens()
        self.presence = Presence()  # nobody is logged in when no server runs
        self.slot = 0
        self._log = standard("warning")
        self._core: Any = None
        if store:
            try:
                self._core = _open_store(config)
            except BaseException:
                self.directory.close()
                raise

    def __enter__(self) -> _Offline:
        return self

    def __exit__(self, *_: object) -> None:
        self.directory.close()
        if self._core is not None:
            self._core.close()

    async def server_status(self) -> dict[str, Any]:
        return {"running": False}

    def request(self, operation: str, **arguments: Any) -> Any:
        return self.follow(operation, lambda _: None, **arguments)

    def follow(self, operation: str, tell: Callable[[dict[str, Any]], object], **arguments: Any) -> Any:
        import trio

        try:
            return _result(trio.run(self._perform, {"op": operation, "args": arguments}, tell))
        except BaseExceptionGroup as group:
            if group.subgroup(KeyboardInterrupt) is not None:
                raise KeyboardInterrupt from None
            raise

    async def _perform(
        self, request: dict[str, Any], tell: Callable[[dict[str, Any]], object] | None = None
    ) -> dict[str, Any]:
        import trio

        from ..worker.control import perform

        if self._core is None:
            return await perform(self, self._log, request, tell)
        from ..store.client import StoreClient

        self.store: StoreClient = StoreClient(self._core)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.store.run, lambda _: None)
            answer = await perform(self, self._log, request, tell)
            nursery.cancel_scope.cancel()
        return answer


class _NobodyListens:
    """Hints have nobody to go to when no server runs."""

    def relay_hint(self) -> None:
        return


def _open_store(config: Config) -> Any:
    from .. import _core

    store = config.store
    try:
        return _core.Store.open(
            str(config.path(store.path)),
            map_size=store.map_size,
            min_free=store.min_free,
            readers=store.readers,
            retention=int(store.retention),
        )
    except _core.StoreError as error:
        raise UserError(f"{config.path(store.path)}: {error}") from None


def _result(answer: dict[str, Any]) -> Any:
    if not answer["ok"]:
        raise UserError(str(answer["error"]))
    return answer["result"]


def running(config: Config) -> bool:
    """Does a server answer?"""
    with suppress(UserError):
        connection = _connect(config)
        if connection is not None:
            connection.close()
            return True
    return False
