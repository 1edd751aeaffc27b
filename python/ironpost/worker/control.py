"""DIR/run/control.sock: requests of the command line, answered by the worker that holds the control lock.

A frame is four octets of length, big-endian, and a msgpack map: {op, args} in, {ok, result} or {ok, error, kind} out.
Operations that take long (`operations.STREAMED`) send {progress} frames before; a client that hangs up cancels them.
The socket is mode 0600 in a folder of mode 0700, and only its owner and root are heard.
"""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import trio

from ..errors import DirectoryError, UserError
from ..runtime.notify import at_path
from .operations import OPERATIONS, STREAMED

if TYPE_CHECKING:
    from ..runtime.logging import Log
    from .operations import OperationContext, Tell

FRAME_OCTETS_MAX: Final = 64 << 20
CLIENTS_MAX: Final = 32
FIRST_SECONDS: Final = 10.0  # a client that asks nothing must not hold one of the places
IDLE_SECONDS: Final = 600.0  # between two requests: an import hashes passwords meanwhile
PROGRESS_SECONDS: Final = 0.2  # between two frames that tell it
SOCKET_NAME: Final = "control.sock"


async def serve(folder: Path, context: OperationContext, log: Log, name: str = SOCKET_NAME) -> None:
    """Answers until cancelled. The caller holds the control lock, or the slot that the socket is named after, so that one
    that lies there is stale."""
    path = folder / name
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC) as listener:
        previous = os.umask(0o177)
        try:
            at_path(listener.bind, str(path))
        finally:
            os.umask(previous)
        listener.listen(CLIENTS_MAX)
        listener.setblocking(False)
        limiter = trio.CapacityLimiter(CLIENTS_MAX)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await trio.lowlevel.wait_readable(listener)
                    try:
                        connection, _ = listener.accept()
                    except OSError as error:
                        log.debug("control connection lost", why=str(error))
                        continue
                    connection.setblocking(False)
                    nursery.start_soon(_client, trio.socket.from_stdlib_socket(connection), context, log, limiter)
        finally:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


async def _client(
    connection: trio.socket.SocketType, context: OperationContext, log: Log, limiter: trio.CapacityLimiter
) -> None:
    stream = trio.SocketStream(connection)
    async with limiter:
        try:
            if not _allowed(connection):
                return
            limit = FIRST_SECONDS
            while True:
                with trio.fail_after(limit):
                    request = await receive(stream)
                if request is None:
                    return
                limit = IDLE_SECONDS
                if request.get("op") in STREAMED:
                    answer = await _streamed(stream, context, log, request)
                else:
                    answer = await perform(context, log, request)
                with trio.fail_after(IDLE_SECONDS):
                    await stream.send_all(frame(answer))
        except (trio.BrokenResourceError, trio.TooSlowError, ValueError, msgpack.UnpackException) as error:
            log.debug("control client gone", why=str(error))
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await stream.aclose()


async def _streamed(
    stream: trio.SocketStream, context: OperationContext, log: Log, request: dict[str, Any]
) -> dict[str, Any]:
    """Carries out an operation while its progress is told. Raises BrokenResourceError when the client has gone."""
    latest: dict[str, Any] = {}
    answer: dict[str, Any] = {}

    async def tell() -> None:
        sent: dict[str, Any] = {}
        while True:
            await trio.sleep(PROGRESS_SECONDS)
            if latest != sent:
                sent = dict(latest)
                # Whole or not at all: the answer follows.
                with trio.CancelScope(shield=True), trio.fail_after(IDLE_SECONDS):
                    await stream.send_all(frame({"progress": sent}))

    async def watch() -> None:
        # It may not ask anything before the answer: whatever comes, and the end, means that it is gone.
        await stream.receive_some(1)
        raise trio.BrokenResourceError("the client has gone")

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            nursery.start_soon(watch)
            answer = await perform(context, log, request, latest.update)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # One that takes nothing for so long (its terminal has stopped it) is as good as gone.
        gone, other = group.split((trio.BrokenResourceError, trio.TooSlowError))
        if gone is None:
            raise
        if other is not None:
            raise other from None  # the role ends at the same moment: that alone counts
        raise trio.BrokenResourceError("the client has gone") from None
    return answer


async def perform(
    context: OperationContext, log: Log, request: dict[str, Any], tell: Tell | None = None
) -> dict[str, Any]:
    """One request to its answer; a fault of ours is logged and told by a reference. `tell` gets what a long one tells."""
    name = str(request.get("op"))
    operation, streamed = OPERATIONS.get(name), STREAMED.get(name)
    arguments = request.get("args") or {}
    try:
        if streamed is not None:
            result = await streamed(context, arguments, tell or _nobody)
        elif operation is not None:
            result = await operation(context, arguments)
        else:
            return {"ok": False, "kind": "unknown-operation", "error": f"the server does not know the operation {name}"}
    except DirectoryError as error:
        return {"ok": False, "kind": error.code, "error": str(error)}
    except UserError as error:
        return {"ok": False, "kind": "refused", "error": str(error)}
    except Exception as error:
        if _of_the_store(error):
            return {"ok": False, "kind": "store", "error": f"store: {error}"}
        log.exception("operation failed", operation=name)
        return {"ok": False, "kind": "internal", "error": f"{name} failed: {type(error).__name__} (see the log)"}
    if name.split(".")[0] in ("domain", "account", "alias", "app-password") and not name.endswith(
        (".list", ".existing")
    ):
        log.info("directory changed", operation=name)
    return {"ok": True, "result": result}


def _nobody(_: dict[str, Any]) -> None:
    """Progress that nobody asked for."""


def _of_the_store(error: Exception) -> bool:
    """Is it a StoreError? The extension is not loaded by commands that need the directory only."""
    core = sys.modules.get("ironpost._core")
    return core is not None and isinstance(error, core.StoreError)


def frame(message: dict[str, Any]) -> bytes:
    """A message with its length before it."""
    octets: bytes = msgpack.packb(message)
    return struct.pack(">I", len(octets)) + octets


async def receive(stream: trio.SocketStream) -> dict[str, Any] | None:
    """The next message, None at the end. Raises ValueError, msgpack.UnpackException."""
    head = await _exactly(stream, 4)
    if head is None:
        return None
    (length,) = struct.unpack(">I", head)
    if length > FRAME_OCTETS_MAX:
        raise ValueError("frame too long")
    body = await _exactly(stream, length)
    message = None if body is None else msgpack.unpackb(body)
    if message is not None and not isinstance(message, dict):
        raise ValueError("a request is a map")
    return message


async def _exactly(stream: trio.SocketStream, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        chunk = await stream.receive_some(min(65_536, length - len(parts)))
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)


def _allowed(connection: trio.socket.SocketType) -> bool:
    """Our own user and root (SO_PEERCRED)."""
    octets = connection.getsockopt(sockets.SOL_SOCKET, sockets.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", octets)
    return user in (0, os.geteuid())
