"""A door for commands that read or write files of others as root: the data behind it is opened by a child process.

`access` becomes the owner of the data before it opens anything; then it could no longer read the mail of another server.
With a running server there is no need: it owns the data, and the command stays who it is.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket as sockets
import struct
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgpack

from ..config import Config, load
from ..errors import UserError
from .access import Asker, access, running

READY: Final = "ready"
_NEEDED: Final = (
    "encodings.idna",
    "ironpost.identity.hashing",
    "ironpost.portable.operations",
    "ironpost.runtime.logging",
    "ironpost.state.directory",
    "ironpost.store.client",
    "ironpost.supervisor.lock",
    "ironpost.supervisor.privileges",
    "ironpost.worker.control",
    "ironpost.worker.uidl_operations",
)


@contextmanager
def access_apart(directory: Path) -> Iterator[Asker]:
    """Like `access` with the store, for whoever must keep the rights that the command was started with."""
    config = load(directory)
    if os.geteuid() != 0 or running(config):
        with access(directory, store=True, config=config) as door:
            yield door
        return
    for module in _NEEDED:  # while we may read them: Python may be installed where only root can look
        importlib.import_module(module)
    ours, theirs = sockets.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        # Ctrl-C is for the command, which then closes the door.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = 1
        try:
            code = _serve(directory, config, theirs)
        except Exception:  # a fault of ours; the command says that the process has ended, and this says why
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    theirs.close()
    try:
        with ours:
            apart = _Apart(config, ours)
            apart.request(READY)
            yield apart
    finally:
        os.waitpid(child, 0)


class _Apart:
    online = False

    def __init__(self, config: Config, connection: sockets.socket) -> None:
        self.config = config
        self._connection = connection

    def request(self, operation: str, **arguments: Any) -> Any:
        try:
            _send(self._connection, (operation, arguments))
            fault, result = _receive(self._connection)
        except OSError as error:
            raise UserError(f"the process that has the store open has ended ({error.strerror or error})") from None
        if fault is not None:
            raise UserError(fault)
        return result

    def follow(self, operation: str, tell: Callable[[dict[str, Any]], object], **arguments: Any) -> Any:
        """Without progress, which does not come through here."""
        return self.request(operation, **arguments)


def _serve(directory: Path, config: Config, connection: sockets.socket) -> int:
    with connection:
        try:
            with access(directory, store=True, config=config) as door:
                while True:
                    try:
                        operation, arguments = _receive(connection)
                    except ConnectionResetError:
                        return 0
                    try:
                        _send(connection, (None, None if operation == READY else door.request(operation, **arguments)))
                    except UserError as error:
                        _send(connection, (str(error), None))
        except (UserError, OSError) as error:  # the door does not open: told in answer to the first question
            try:
                _receive(connection)
                _send(connection, (str(error), None))
            except OSError:
                return 1
    return 1


def _send(connection: sockets.socket, message: Any) -> None:
    octets = msgpack.packb(message)
    connection.sendall(struct.pack(">I", len(octets)))
    connection.sendall(octets)


def _receive(connection: sockets.socket) -> Any:
    (length,) = struct.unpack(">I", _exactly(connection, 4))
    return msgpack.unpackb(_exactly(connection, length))


def _exactly(connection: sockets.socket, length: int) -> bytes:
    parts = bytearray(length)
    view = memoryview(parts)
    done = 0
    while done < length:
        count = connection.recv_into(view[done:])
        if not count:
            raise ConnectionResetError("it closed the connection")
        done += count
    return bytes(parts)
