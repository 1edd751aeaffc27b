"""Which mailboxes a command is about: `filter-mailboxes` of NOTIFY (RFC 5465 §6) and of ESEARCH (RFC 7377 §2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import namespaces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hierarchy import Name
    from .session import Session

__all__ = ["Filter", "made", "patterns"]


class Filter(NamedTuple):
    """The word in lower case, and the names behind it as this session lists them."""

    word: str
    names: tuple[str, ...]

    @property
    def of_selected(self) -> bool:
        """It is about the selected mailbox, whatever its name."""
        return self.word in ("selected", "selected-delayed")

    def covers(self, entry: Name) -> bool:
        """Is it about that name? None is covered by what is about the selected mailbox."""
        name = entry.name
        own = not entry.owner and not _foreign(entry)
        match self.word:
            case "personal":
                return own
            case "inboxes":
                return own and name in namespaces.INBOXES
            case "subscribed":
                return entry.subscribed
            case "subtree":
                return any(name == root or name.startswith(f"{root}/") for root in self.names)
            case "subtree-one":
                return name in self.names or name.rpartition("/")[0] in self.names
            case "mailboxes":
                return name in self.names
        return False


def made(session: Session, word: str, names: tuple[str, ...]) -> Filter:
    """As the core has read it, with names of others' mailboxes in the spelling of LIST."""
    return Filter(word, tuple(_listed(session, name) for name in names))


def patterns(filters: Iterable[Filter]) -> tuple[str, ...]:
    """LIST patterns that reach all names that they can cover."""
    filters = tuple(filters)
    if any(one.word == "subscribed" for one in filters):
        return ("*",)
    return tuple(f"{name}*" for one in filters for name in one.names)


def _listed(session: Session, name: str) -> str:
    where = namespaces.place(session, name)
    return name if where is None or where.own else namespaces.full_name(session, where.owner, where.name)


def _foreign(entry: Name) -> bool:
    """A name where mailboxes of others stand, with or without one there."""
    return entry.info is None and entry.name.partition("/")[0] in (namespaces.OTHERS, namespaces.SHARED)
