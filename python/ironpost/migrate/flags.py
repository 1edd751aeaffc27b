"""Flags of other servers as this store keeps them (RFC 9051 §2.3.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

SYSTEM: Final = {name.lower(): name for name in ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")}
KEYWORD_OCTETS_MAX: Final = 64
KEYWORDS_MAX: Final = 50  # of one account, so that its owner's own still find room
_ILLEGAL: Final = re.compile(r"[^!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]")


class Keywords:
    """The keywords of one account: one spelling for each, not more than the store has room for."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.dropped: set[str] = set()

    def normalised(self, flags: Iterable[str]) -> tuple[str, ...]:
        """System flags in canonical spelling and keywords made legal, sorted; \\Recent and unknown system flags go."""
        found: set[str] = set()
        for flag in flags:
            if flag.startswith("\\"):
                known = SYSTEM.get(flag.lower())
                if known:
                    found.add(known)
                continue
            keyword = _ILLEGAL.sub("_", flag)[:KEYWORD_OCTETS_MAX]
            if not keyword:
                continue
            spelling = self._known.get(keyword.lower())
            if spelling is None:
                if len(self._known) >= KEYWORDS_MAX:
                    self.dropped.add(keyword)
                    continue
                spelling = self._known[keyword.lower()] = keyword
            found.add(spelling)
        return tuple(sorted(found))
