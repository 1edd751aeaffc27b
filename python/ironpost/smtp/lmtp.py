"""The LMTP role: local delivery for a front end of ours or of others (RFC 2033).

As strict as port 25 about domains; each accepted recipient gets its own reply after the body. All of them share one
commit, so the replies are equal, save for those whose mailbox has no room.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import replies
from .receive import MxPolicy, Transaction, commit, mailbox_full

if TYPE_CHECKING:
    from .replies import Answer
    from .session import Session


class LmtpPolicy(MxPolicy):
    """Port 24."""

    name = "lmtp"
    lmtp = True
    separates = False
    not_local = replies.LMTP_NOT_LOCAL

    async def store(self, session: Session, transaction: Transaction, identifier: str) -> Answer:
        """One commit for all recipients that have room."""
        received = session.received_field(transaction, identifier)
        full = await commit(session, transaction, transaction.sink, received, identifier, partial=True)
        for place, resolution in enumerate(transaction.resolutions):
            accounts = {account.id for account in resolution.accounts}
            if full.isdisjoint(accounts):
                continue
            # An alias of which some members have the message must not be tried again: they would get it twice.
            some = bool(resolution.remote) or not accounts <= full
            transaction.refused[place] = replies.ALIAS_MEMBER_FULL if some else mailbox_full(session)
            session.context.log.info("over quota", id=identifier, recipient=transaction.recipients[place])
        return replies.STORED.with_(id=identifier)
