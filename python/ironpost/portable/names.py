"""Mailbox names of other servers: modified UTF-7 (RFC 9051 appendix A.1), and names that this server can't have."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterable
from typing import Final

SEPARATOR: Final = "/"
NAME_OCTETS_MAX: Final = 1000  # as the store has it
LEVELS_MAX: Final = 64
INBOX: Final = "INBOX"


def decode_utf7(text: str) -> str:
    """From modified UTF-7. What is no such text comes back as it was: a name is never lost for its spelling."""
    out = []
    rest = text
    while rest:
        plain, mark, rest = rest.partition("&")
        out.append(plain)
        if not mark:
            break
        encoded, end, rest = rest.partition("-")
        if not end:
            return text
        if not encoded:
            out.append("&")
            continue
        try:
            padded = encoded.replace(",", "/") + "=" * (-len(encoded) % 4)
            out.append(base64.b64decode(padded, validate=True).decode("utf-16-be"))
        except (binascii.Error, UnicodeDecodeError):
            return text
    return "".join(out)


def encode_utf7(text: str) -> str:
    """To modified UTF-7."""
    out = []
    shifted: list[str] = []

    def flush() -> None:
        if shifted:
            octets = "".join(shifted).encode("utf-16-be")
            out.append("&" + base64.b64encode(octets).decode().rstrip("=").replace("/", ",") + "-")
            shifted.clear()

    for character in text:
        if " " <= character <= "~":
            flush()
            out.append("&-" if character == "&" else character)
        else:
            shifted.append(character)
    flush()
    return "".join(out)


def join(levels: Iterable[str]) -> str:
    """One name of several levels; what the separator does within a level is undone by `legal`."""
    return SEPARATOR.join(level.replace(SEPARATOR, "_") for level in levels)


def legal(name: str) -> tuple[str, str]:
    """(a name that the store takes, why it differs or ""). INBOX gets its one spelling, which is no difference."""
    reasons = []
    levels = name.split(SEPARATOR)
    if any(not level for level in levels):
        levels = [level or "_" for level in levels]
        reasons.append("a level was empty")
    cleaned = []
    for level in levels:
        # Octets that are no UTF-8 come from the file system as lone surrogates (PEP 383).
        kept = "".join("_" if unicodedata.category(one) in ("Cc", "Cs") else one for one in level)
        if kept != level:
            reasons.append("it held control characters or octets that are not UTF-8")
        cleaned.append(kept)
    if len(cleaned) > LEVELS_MAX:
        cleaned = [*cleaned[: LEVELS_MAX - 1], "_".join(cleaned[LEVELS_MAX - 1 :])]
        reasons.append(f"it had more than {LEVELS_MAX} levels")
    if cleaned[0].upper() == INBOX:
        cleaned[0] = INBOX
    result = SEPARATOR.join(cleaned)
    if len(result.encode()) > NAME_OCTETS_MAX:
        result = result.encode()[:NAME_OCTETS_MAX].decode(errors="ignore").rstrip(SEPARATOR)
        reasons.append(f"it was longer than {NAME_OCTETS_MAX} octets")
    return result, ", ".join(dict.fromkeys(reasons))


class NameMap:
    """Gives each source folder a target name of its own; two that would meet are told apart by a number."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix.strip(SEPARATOR)
        self._taken: set[str] = set()

    def target(self, name: str) -> tuple[str, str]:
        """(target name, a note or "")."""
        wanted = f"{self._prefix}{SEPARATOR}{name}" if self._prefix else name
        result, why = legal(wanted)
        number = 2
        unique = result
        while unique in self._taken:
            tail = f"-{number}"
            unique = result.encode()[: NAME_OCTETS_MAX - len(tail)].decode(errors="ignore") + tail
            number += 1
            why = why or "another folder has that name already"
        self._taken.add(unique)
        return unique, f"now {unique!r}: {why}" if why else ""
