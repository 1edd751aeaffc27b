"""Folders of the source under the names that they get here.

The source's separator becomes `/`, the prefix of its personal namespace (`INBOX.`) goes, folders of a special use meet
their like. Views of other folders (Gmail's All Mail, Dovecot's virtual ones) are left out: their messages come with the
folders that hold them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

INBOX: Final = "INBOX"
LEVEL_OCTETS_MAX: Final = 240
NAME_OCTETS_MAX: Final = 1000
LEVELS_MAX: Final = 64
SPECIAL_USES: Final = {"\\archive", "\\drafts", "\\junk", "\\sent", "\\trash"}
# XLIST, the forerunner of SPECIAL-USE, names two of them differently.
_XLIST: Final = {"\\spam": "\\junk", "\\allmail": "\\all", "\\starred": "\\flagged"}
VIEWS: Final = {"\\all", "\\flagged", "\\important"}
# For servers that tell no special use: names that mean one everywhere.
_BY_NAME: Final = {
    "sent": "\\sent",
    "sent items": "\\sent",
    "sent messages": "\\sent",
    "gesendet": "\\sent",
    "gesendete elemente": "\\sent",
    "gesendete objekte": "\\sent",
    "drafts": "\\drafts",
    "entwürfe": "\\drafts",
    "trash": "\\trash",
    "deleted items": "\\trash",
    "deleted messages": "\\trash",
    "papierkorb": "\\trash",
    "gelöschte elemente": "\\trash",
    "junk": "\\junk",
    "junk e-mail": "\\junk",
    "spam": "\\junk",
    "archive": "\\archive",
    "archiv": "\\archive",
}
_CANONICAL: Final = {
    "\\archive": "\\Archive",
    "\\drafts": "\\Drafts",
    "\\junk": "\\Junk",
    "\\sent": "\\Sent",
    "\\trash": "\\Trash",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of LIST."""

    wire: bytes
    name: str
    separator: str | None
    attributes: frozenset[str]  # lower case


@dataclass(frozen=True, slots=True)
class Choice:
    """What the person at the command line wants."""

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    into: str = ""


@dataclass(slots=True)
class Folder:
    """One folder on its way."""

    wire: bytes
    source: str  # its name for people, levels separated by `/`, prefix dropped
    target: str
    special_use: str = ""
    subscribed: bool = False
    unlabelled: bool = False  # of Gmail's All Mail: only what no other folder holds


@dataclass(slots=True)
class Plan:
    """All that comes, and what is to be said of it."""

    folders: list[Folder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan(
    listed: Iterable[Listed],
    *,
    subscribed: frozenset[bytes],
    personal: Sequence[tuple[str, str | None]],
    others: Sequence[tuple[str, str | None]],
    special: dict[str, str],
    special_told: bool,
    gmail: bool,
    choice: Choice,
) -> Plan:
    """`special`: the target's own folders by special use in lower case. `special_told`: the source tells special uses."""
    result = Plan()
    rows = sorted(listed, key=lambda row: (row.name.upper() != INBOX, row.name))
    prefix = _prefix(rows, personal)
    taken: set[str] = set()
    used: set[str] = set()
    for row in rows:
        if row.attributes & {"\\noselect", "\\nonexistent"}:
            continue
        source = _levels(row, prefix)
        if _foreign(row, others) and not _chosen(source, choice.only):
            result.notes.append(f"{row.name}: left out, it belongs to others (name it with --folder to take it)")
            continue
        if (choice.only and not _chosen(source, choice.only)) or _chosen(source, choice.exclude):
            continue
        uses = {_XLIST.get(attribute, attribute) for attribute in row.attributes}
        unlabelled = False
        if uses & VIEWS and not _chosen(source, choice.only):
            if not (gmail and "\\all" in uses):
                result.notes.append(f"{source}: left out, it is a view of other folders (--folder takes it)")
                continue
            unlabelled = True
            result.notes.append(f"{source}: only what no other folder holds is taken, the rest comes with its folders")
        use = next(iter(sorted(uses & SPECIAL_USES)), "")
        if not use and not special_told:
            use = _BY_NAME.get(source.lower(), "")
        if unlabelled:
            use = "\\archive"
        if use in used or source.upper() == INBOX:
            use = ""
        target, plain = _target(source, use, special, choice)
        if not plain:
            use = ""
        legal = _legal(target)
        if legal != target:
            result.notes.append(f"{source}: becomes {legal}, since its name is not possible here")
        unique, number = legal, 2
        while unique in taken:
            unique, number = f"{legal} ({number})", number + 1
        if unique != legal:
            result.notes.append(f"{source}: becomes {unique}, since there is another {legal}")
        taken.add(unique)
        if use:
            used.add(use)
        result.folders.append(
            Folder(
                wire=row.wire,
                source=source,
                target=unique,
                special_use=_CANONICAL.get(use, ""),
                subscribed=row.wire in subscribed or unique == INBOX,
                unlabelled=unlabelled,
            )
        )
    return result


def _prefix(rows: Sequence[Listed], personal: Sequence[tuple[str, str | None]]) -> str:
    """What all personal names but INBOX begin with."""
    for prefix, _ in personal:
        return prefix
    separators = {row.separator for row in rows if row.separator}
    if len(separators) == 1:
        guess = INBOX + separators.pop()
        inferior = [row.name for row in rows if row.name.upper() != INBOX]
        if inferior and all(name.upper().startswith(guess) for name in inferior):
            return guess
    return ""


def _levels(row: Listed, prefix: str) -> str:
    name = row.name
    if name.upper() == INBOX:
        return INBOX
    if prefix and len(name) > len(prefix) and name.upper().startswith(prefix.upper()):
        name = name[len(prefix) :]
    if row.separator is None or row.separator == "/":
        levels = name.split("/") if row.separator else [name.replace("/", "_")]
    else:
        levels = [level.replace("/", "_") for level in name.split(row.separator)]
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    return "/".join(levels)


def _foreign(row: Listed, others: Sequence[tuple[str, str | None]]) -> bool:
    for prefix, separator in others:
        bare = prefix.rstrip(separator) if separator else prefix
        if bare and (row.name == bare or row.name.startswith(bare + (separator or ""))):
            return True
    return False


def _chosen(name: str, patterns: Iterable[str]) -> bool:
    """A pattern means a folder and all below it; `*` and `?` are wildcards."""
    for pattern in patterns:
        if pattern.upper() == INBOX and name == INBOX:
            return True
        if name == pattern or name.startswith(pattern + "/") or fnmatchcase(name, pattern):
            return True
    return False


def _target(source: str, use: str, special: dict[str, str], choice: Choice) -> tuple[str, bool]:
    """The name here, and whether it may carry the special use."""
    for old, new in choice.renamed:
        if source == old or source.startswith(old + "/"):
            return new + source[len(old) :], source == old
    if choice.into:
        return f"{choice.into}/{source}", False
    if use and use in special:
        return special[use], True
    if use == "\\archive" and source.startswith("[") and "/" in source:
        return "Archive", True
    return source, True


def _legal(name: str) -> str:
    """A name that the store takes: no empty levels, no control characters, not too long, not too deep."""
    if name.upper() == INBOX:
        return INBOX
    levels = []
    for level in name.split("/"):
        clean = "".join("_" if not _printable(character) else character for character in level).strip()
        octets = clean.encode("utf-8", "replace")[:LEVEL_OCTETS_MAX]
        levels.append(octets.decode("utf-8", "ignore") or "_")
    if len(levels) > LEVELS_MAX:
        levels = [*levels[: LEVELS_MAX - 1], "_".join(levels[LEVELS_MAX - 1 :])[:LEVEL_OCTETS_MAX]]
    while len("/".join(levels).encode()) > NAME_OCTETS_MAX and len(levels) > 1:
        levels = [*levels[:-2], levels[-1]]
    return "/".join(levels)


def _printable(character: str) -> bool:
    return ord(character) >= 32 and character not in "\x7f\u2028\u2029" and not 0x80 <= ord(character) < 0xA0
