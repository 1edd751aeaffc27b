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
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "WITHIN",
    "SAVEDATE",
    "PARTIAL",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "BINARY",
    "CONDSTORE",
    "QRESYNC",
    "OBJECTID",
    "MULTIAPPEND",
    "CATENATE",
    "URLAUTH",
    "URL-PARTIAL",
    "REPLACE",
    "UNAUTHENTICATE",
    "PREVIEW",
    # RFC 9208; not QUOTASET: limits are set by the administrator alone.
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
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


def authenticated(*, append_limit: int, compressed: bool) -> str:
    """The list after authentication. `append_limit`: octets of a message at most, the same in all mailboxes (RFC 7889);
    `compressed`: COMPRESS is done already (RFC 4978).
    """
    names = [*_ALWAYS, *_AFTER_LOGIN, f"APPENDLIMIT={append_limit}"]
    if not compressed:
        names.append("COMPRESS=DEFLATE")
    return " ".join(names)
