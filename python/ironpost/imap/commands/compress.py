"""COMPRESS=DEFLATE (RFC 4978): what follows the tagged OK is compressed both ways, within TLS if there is any."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["compress"]


async def compress(session: Session, tag: str, name: str, algorithm: str) -> None:
    """COMPRESS. What a client has sent behind it, without waiting for the answer, could be read in two ways: refused."""
    wire = session.wire
    if algorithm != "DEFLATE":
        wire.respond(tag, "BAD", "", "unknown algorithm")
    elif wire.compressed:
        wire.respond(tag, "NO", "COMPRESSIONACTIVE", "DEFLATE is active already")
    elif wire.backlog:
        wire.respond(tag, "BAD", "", "nothing may follow COMPRESS before its answer")
    else:
        await session.finish(tag, name)
        wire.start_deflate()
