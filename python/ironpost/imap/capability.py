"""The only list of IMAP capabilities: what is announced, and when.

A name may stand here only when tests prove it (docs/rfc-matrix.tsv).
"""

from __future__ import annotations

__all__ = ["ENABLEABLE", "authenticated", "before_login"]

# Announced in every state, in the order in which clients are used to see them.
_ALWAYS = (
    "IMAP4rev1",
    "IMAP4rev2",
    "LITERAL+",
    "SASL-IR",
    "ID",
    "ENABLE",
    "IDLE",
)

# Of use only after login; kept out of the greeting, which many clients read anew after LOGIN anyway.
_AFTER_LOGIN = (
    "NAMESPACE",
    "UIDPLUS",
    "MOVE",
    "UNSELECT",
    "CHILDREN",
    "SPECIAL-USE",
    "CREATE-SPECIAL-USE",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "BINARY",
    "CONDSTORE",
    "QRESYNC",
    "OBJECTID",
)

# What ENABLE may switch on (RFC 5161).
ENABLEABLE = frozenset({"IMAP4REV2", "CONDSTORE", "QRESYNC"})


def before_login(*, starttls: bool, login_allowed: bool) -> str:
    """The list before authentication. `starttls`: the connection can still be encrypted."""
    names = list(_ALWAYS)
    if starttls:
        names.append("STARTTLS")
    if login_allowed:
        names += ["AUTH=PLAIN", "AUTH=LOGIN"]
    else:
        names.append("LOGINDISABLED")
    return " ".join(names)


def authenticated() -> str:
    """The list after authentication."""
    return " ".join(_ALWAYS + _AFTER_LOGIN)
