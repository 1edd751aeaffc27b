"""Flags, and the rights that changing them takes (RFC 4314 §4, §5.1.1, §5.2). All users of a mailbox share all its flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .. import _core

__all__ = ["FLAG_RIGHTS", "SYSTEM_FLAGS", "may_write", "permanent", "permitted", "rights_on"]

SYSTEM_FLAGS: Final = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
FLAG_RIGHTS: Final = "swt"
_RIGHTS: Final = {"\\seen": "s", "\\deleted": "t"}


def rights_on(rights: str) -> str:
    """Those of them that are rights on flags."""
    return "".join(right for right in FLAG_RIGHTS if right in rights)


def permitted(flags: Iterable[str], rights: str) -> tuple[str, ...]:
    """Those that may be changed: \\Seen by `s`, \\Deleted by `t`, all others by `w`."""
    return tuple(flag for flag in flags if _RIGHTS.get(flag.lower(), "w") in rights)


def permanent(view: _core.MailboxView, rights: str) -> str:
    """What PERMANENTFLAGS tells."""
    if view.read_only:
        return ""
    flags = permitted((*SYSTEM_FLAGS.split(), *view.keywords), rights)
    return " ".join((*flags, "\\*") if "w" in rights else flags)


def may_write(rights: str) -> bool:
    """Is a mailbox more than read-only?"""
    return any(right in rights for right in ("i", "e", *FLAG_RIGHTS))
