"""IDLE (RFC 2177, RFC 9051 §6.3.13): changes are told as they happen.

The session's own task waits for the client; a change hint only ends that wait (`Session.wake`), so an idle client costs
no task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["begin"]


async def begin(session: Session, tag: str, name: str) -> None:
    """IDLE: the session tells what is new already, then waits."""
    session.wire.continue_("idling")
    session.wire.begin_idle()
    session.idle_tag = tag
