"""The LMTP role: local delivery for a front end of ours or of others (RFC 2033).

As strict as port 25 about domains; each accepted recipient gets its own reply after the body. All of them share one
commit, so the replies are equal.
"""

from __future__ import annotations

from . import replies
from .receive import MxPolicy


class LmtpPolicy(MxPolicy):
    """Port 24."""

    name = "lmtp"
    lmtp = True
    not_local = replies.LMTP_NOT_LOCAL
