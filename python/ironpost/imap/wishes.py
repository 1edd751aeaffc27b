"""What a client has asked for by NOTIFY SET: which events of which mailboxes (RFC 5465 §5, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from . import namespaces

if TYPE_CHECKING:
    from .. import _core
    from .hierarchy import Name

__all__ = ["EVENTS", "FLAGS", "MESSAGES", "METADATA", "NAMES", "SERVER", "SUBSCRIPTIONS", "Group", "Wishes"]

# In upper case, as they come from the core; MESSAGES stands for MessageNew and MessageExpunge, which go together.
MESSAGES: Final = "MESSAGENEW"
FLAGS: Final = "FLAGCHANGE"
NAMES: Final = "MAILBOXNAME"
SUBSCRIPTIONS: Final = "SUBSCRIPTIONCHANGE"
METADATA: Final = "MAILBOXMETADATACHANGE"
SERVER: Final = "SERVERMETADATACHANGE"

# All that are told here; there are no annotations of messages.
EVENTS: Final = (
    "MessageNew",
    "MessageExpunge",
    "FlagChange",
    "MailboxName",
    "SubscriptionChange",
    "MailboxMetadataChange",
    "ServerMetadataChange",
)


class Group(NamedTuple):
    """An event group: the word of its filter in lower case, the names behind it, events in upper case."""

    filter: str
    names: tuple[str, ...]
    events: frozenset[str]

    def covers(self, name: str, *, own: bool, subscribed: bool) -> bool:
        """Is it about the mailbox of that name?"""
        match self.filter:
            case "personal":
                return own
            case "inboxes":
                return own and name in namespaces.INBOXES
            case "subscribed":
                return subscribed
            case "subtree":
                return any(name == root or name.startswith(f"{root}/") for root in self.names)
            case "subtree-one":
                return name in self.names or name.rpartition("/")[0] in self.names
            case _:
                return name in self.names


class Wishes(NamedTuple):
    """Of one NOTIFY. None of it after NOTIFY NONE."""

    groups: tuple[Group, ...] = ()
    selected: frozenset[str] = frozenset()  # events of the selected mailbox
    at_once: bool = False  # its EXPUNGEs, even when no command is under way
    items: _core.FetchItems | None = None  # wanted of new messages there

    def events(self, entry: Name) -> frozenset[str]:
        """All that are wanted of a name."""
        found: frozenset[str] = frozenset()
        for group in self.groups:
            if group.covers(entry.name, own=not entry.owner and not _foreign(entry), subscribed=entry.subscribed):
                found |= group.events
        return found

    @property
    def of_server(self) -> bool:
        """Are its own annotations among what is wanted?"""
        return any(SERVER in group.events for group in self.groups)

    @property
    def patterns(self) -> tuple[str, ...]:
        """LIST patterns that reach all names that the groups can be about."""
        if any(group.filter == "subscribed" for group in self.groups):
            return ("*",)
        return tuple(f"{name}*" for group in self.groups for name in group.names)


def _foreign(entry: Name) -> bool:
    """A name where mailboxes of others stand, with or without one there."""
    return entry.info is None and entry.name.partition("/")[0] in (namespaces.OTHERS, namespaces.SHARED)
