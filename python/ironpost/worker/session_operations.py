"""What the command line may ask of the sessions that are logged in.

Each worker answers for its own on a socket beside the control socket, in the same frames; whoever holds the control lock
asks them all at once. A worker that has died refuses the connection, one that hangs is named after ASK_SECONDS.
"""

from __future__ import annotations

import socket as sockets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import trio

from ..errors import DirectoryError, UserError
from ..runtime.notify import at_path
from . import control

if TYPE_CHECKING:
    from .operations import Arguments, Operation, OperationContext

ASK_SECONDS: Final = 3.0
TOLD_MAX: Final = 100_000  # of one worker; some 300 octets each, well below a frame's bound
_PREFIX: Final = "sessions-"


def socket_name(slot: int) -> str:
    """Of the worker in this slot, in DIR/run."""
    return f"{_PREFIX}{slot}.sock"


async def listed(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{address?} -> {sessions: [...] of all workers, the oldest first, silent: [worker]}."""
    account = _account(context, arguments.get("address"))
    answers, silent = await _ask_all(context, "session.here.list", {"account": account})
    found = [row for answer in answers for row in answer]
    return {"sessions": sorted(found, key=lambda row: float(row["since"])), "silent": silent}


async def revoke(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{address | id} -> {ended, silent}: those of an account, or one."""
    account, identifier = _account(context, arguments.get("address")), arguments.get("id")
    if (account is None) == (identifier is None):
        raise UserError("an address or the id of one session is needed")
    answers, silent = await _ask_all(context, "session.here.revoke", {"account": account, "id": identifier})
    return {"ended": sum(answers), "silent": silent}


async def list_here(context: OperationContext, arguments: Arguments) -> list[dict[str, Any]]:
    """{account? (its number)} -> those of this worker, at most TOLD_MAX."""
    return [{**one.told(), "worker": context.slot} for one in context.presence.of(arguments.get("account"))[:TOLD_MAX]]


async def revoke_here(context: OperationContext, arguments: Arguments) -> int:
    """{account | id} -> how many of this worker were told to end."""
    return context.presence.dismiss(arguments.get("account"), arguments.get("id"))


OPERATIONS: Final[dict[str, Operation]] = {
    "session.here.list": list_here,
    "session.here.revoke": revoke_here,
    "session.list": listed,
    "session.revoke": revoke,
}


def _account(context: OperationContext, address: str | None) -> int | None:
    """The number of an account that a person has named."""
    if address is None:
        return None
    account = context.directory.account(address)
    if account is None:
        raise DirectoryError("unknown", f"there is no account {address}")
    return account.id


async def _ask_all(context: OperationContext, operation: str, arguments: Arguments) -> tuple[list[Any], list[int]]:
    """The answers of all workers, and those that gave none."""
    answers: list[Any] = []
    silent: list[int] = []

    async def ask(path: Path) -> None:
        slot = int(path.stem.removeprefix(_PREFIX))
        try:
            with trio.fail_after(ASK_SECONDS):
                answer = await _ask(path, {"op": operation, "args": arguments})
        except (FileNotFoundError, ConnectionRefusedError):
            return  # it has died, and its sessions with it
        except (trio.TooSlowError, OSError, trio.BrokenResourceError, ValueError, msgpack.UnpackException):
            silent.append(slot)
            return
        if answer is None or not answer["ok"]:
            silent.append(slot)
        else:
            answers.append(answer["result"])

    async with trio.open_nursery() as nursery:
        for path in sorted(context.config.runtime_folder.glob(_PREFIX + "*.sock")):
            nursery.start_soon(ask, path)
    return answers, sorted(silent)


async def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC | sockets.SOCK_NONBLOCK)
    try:
        at_path(connection.connect, str(path))  # at once, or BlockingIOError when its queue is full
    except OSError:
        connection.close()
        raise
    async with trio.SocketStream(trio.socket.from_stdlib_socket(connection)) as stream:
        await stream.send_all(control.frame(request))
        return await control.receive(stream)
