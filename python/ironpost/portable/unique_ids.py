"""Unique ids of POP3 (RFC 1939 §7) that come along with imported mail: kept at the source, or made as the old server made them.

POP3 shows INBOX alone, so only there they are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from ..errors import UserError
from .model import Folder, Message, Note

AT_ONCE: Final = 500  # sent in one request
WIDTH_MAX: Final = 20
# As in Dovecot's pop3_uidl_format: %u the UID, %v the UIDVALIDITY, each with a width; X is hexadecimal in small letters.
_VARIABLE: Final = re.compile(r"%(?:%|(0?)([0-9]{0,2})(X?)([uv]))")


def checked(pattern: str) -> str:
    """The pattern, if it is one; raises UserError."""
    plain = _VARIABLE.sub("", pattern)
    variables = list(_VARIABLE.finditer(pattern))
    too_wide = any(int(found[2] or "0") > WIDTH_MAX for found in variables)
    if "%" in plain or too_wide or not any(found[4] == "u" for found in variables):
        raise UserError(f"{pattern!r} is no pattern of unique ids: it needs %u, may have %v, such as %08Xu%08Xv")
    return pattern


def made(pattern: str, uid: int, uid_validity: int) -> str:
    """The id that the old server has made of these two."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        number = uid if found[4] == "u" else uid_validity
        return f"{number:{found[1]}{found[2]}{'x' if found[3] else 'd'}}"

    return _VARIABLE.sub(value, pattern)


class UniqueIds:
    """Those of one folder on their way. `pattern`: for messages whose source keeps none; "" for none."""

    def __init__(self, folder: Folder, pattern: str, ask: Callable[..., Any], note: Note) -> None:
        self._folder = folder
        self._pattern = pattern
        self._ask = ask
        self._note = note
        self._rows: list[tuple[int, str]] = []
        self._places: dict[int, str] = {}
        self.kept = 0

    def add(self, message: Message, uid: int) -> None:
        """The message has this UID here."""
        uidl = message.uidl
        if not uidl and self._pattern and message.uid is not None and self._folder.uid_validity is not None:
            uidl = made(self._pattern, message.uid, self._folder.uid_validity)
        if uidl:
            self._rows.append((uid, uidl))
            self._places[uid] = message.place or message.path
            if len(self._rows) >= AT_ONCE:
                self.flush()

    def flush(self) -> None:
        """Sends what is gathered; what is refused becomes a line of the report."""
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        refused = self._ask("mailbox.uidl.set", rows=rows)
        for uid, uidl, why in refused:
            self._note(self._places[uid], f"its unique id {uidl!a} is not kept ({why})", False)
        self.kept += len(rows) - len(refused)
        self._places.clear()
