"""The only list of IMAP capabilities: what is announced, and when.

A name may stand here only when tests prove it (docs/rfc-matrix.tsv).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import MaskConfig

__all__ = ["ENABLEABLE", "authenticated", "before_login", "hidden"]

# Without it no client would know what it is talking to.
_NEVER_HIDDEN = frozenset({"IMAP4REV1"})

# Announced in every state, in the order in which clients are used to see them.
_ALWAYS = (
    "IMAP4rev1",
    "IMAP4rev2",
    "LITERAL+",
    "SASL-IR",
    "ID",
    "ENABLE",
    "IDLE",
    "LANGUAGE",
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
    "MULTISEARCH",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "WITHIN",
    "SAVEDATE",
    "PARTIAL",
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "INPROGRESS",
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
    "UTF8=ACCEPT",
    "UIDONLY",
    "UIDBATCHES",
    "PREVIEW",
    # RFC 9208; not QUOTASET: limits are set by the administrator alone.
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "ACL",
    "RIGHTS=kxte",
    "LIST-MYRIGHTS",
    "METADATA",
    "METADATA-SERVER",
    "LIST-METADATA",
    "NOTIFY",
    "XLIST",
)

# What ENABLE may switch on (RFC 5161).
ENABLEABLE = frozenset({"IMAP4REV2", "CONDSTORE", "QRESYNC", "UIDONLY", "UTF8=ACCEPT"})


def hidden(masks: Iterable[MaskConfig], account: str, client: str) -> frozenset[str]:
    """What is not announced to this account and this client; "" when it is not known yet. Upper case."""
    names: set[str] = set()
    for mask in masks:
        for_account = not mask.account or mask.account.lower() == account.lower()
        for_client = not mask.client or (client and client.lower().startswith(mask.client.lower()))
        if for_account and for_client:
            names.update(mask.hide)
    return frozenset(names) - _NEVER_HIDDEN


def before_login(hide: frozenset[str], *, starttls: bool, login_allowed: bool, mechanisms: tuple[str, ...]) -> str:
    """The list before authentication. `starttls`: the connection can still be encrypted; `mechanisms`: of AUTHENTICATE."""
    names = list(_ALWAYS)
    if starttls:
        names.append("STARTTLS")
    if login_allowed:
        names += [f"AUTH={mechanism}" for mechanism in mechanisms]
    else:
        names.append("LOGINDISABLED")
    return _joined(names, hide)


def authenticated(hide: frozenset[str], *, append_limit: int, compressed: bool) -> str:
    """The list after authentication. `append_limit`: octets of a message at most, the same in all mailboxes (RFC 7889);
    `compressed`: COMPRESS is done already (RFC 4978).
    """
    names = [*_ALWAYS, *_AFTER_LOGIN, f"APPENDLIMIT={append_limit}"]
    if not compressed:
        names.append("COMPRESS=DEFLATE")
    return _joined(names, hide)


def _joined(names: list[str], hide: frozenset[str]) -> str:
    return " ".join(name for name in names if name.upper() not in hide)
