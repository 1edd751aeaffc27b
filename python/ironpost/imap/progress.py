"""Signs of life during a long command (RFC 9585): without them a client takes a search of minutes for a dead connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import trio

from ..runtime import timeouts

if TYPE_CHECKING:
    from .session import Session

__all__ = ["INTERVAL_SECONDS", "telling"]

INTERVAL_SECONDS: Final = 10.0  # RFC 9585 §3 has 10 to 15 seconds in mind; shorter commands say nothing


async def telling(
    session: Session, tag: str, work: Callable[[], Awaitable[bytes]], progress: Callable[[], tuple[int, int]]
) -> bytes:
    """What `work` answers. While it lasts, `progress` (done, all) is told from time to time.

    Raises what `work` raises, and what the stream raises when the client does not take it: PeerTimeout, ConnectionLost.
    """
    faults: list[Exception] = []
    answer = b""
    finished = trio.Event()

    async def tell() -> None:
        try:
            while True:
                with trio.move_on_after(INTERVAL_SECONDS):
                    await finished.wait()
                    return
                session.wire.respond("*", "OK", _code(tag, *progress()), "still at work")
                # An answer that comes meanwhile waits: what has been taken off the wire must go out whole.
                await session.stream.drain(session.wire, timeouts.IMAP_WRITE)
        except Exception as error:  # raised below, not out of the nursery, which would wrap it
            faults.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        try:
            answer = await work()
        except Exception as error:
            faults.append(error)
        finished.set()
    if faults:
        raise faults[0]
    return answer


def _code(tag: str, done: int, total: int) -> str:
    """`"INPROGRESS" [SP "(" tag-string SP (number / "NIL") SP (nz-number / "NIL") ")"]`; what is done stays below the goal."""
    if total == 0:
        return f'INPROGRESS ("{tag}" NIL NIL)'
    return f'INPROGRESS ("{tag}" {min(done, total - 1)} {total})'
