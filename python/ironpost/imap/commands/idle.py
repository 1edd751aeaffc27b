"""IDLE (RFC 2177, RFC 9051 §6.3.13): changes are told as they happen.

The session's own task waits for the client; a change hint only ends that wait (`Session.wake`), so an idle client costs
no task of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import updates

if TYPE_CHECKING:
    from ..session import Session

__all__ = ["begin"]


async def begin(session: Session, tag: str, name: str) -> None:
    """IDLE: tells what is new already, then waits."""
    session.wire.continue_("idling")
    session.wire.begin_idle()
    session.idle_tag = tag
    if session.view is not None:
        # Subscribed before the look, so that nothing falls between the two.
        session.context.hints.subscribe(session, session.view.account, session.view.mailbox, session.wake)
        await updates.bring_up_to_date(session, name)
