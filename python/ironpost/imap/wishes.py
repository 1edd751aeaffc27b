"""What a client has asked for by NOTIFY SET: which events of which mailboxes (RFC 5465 §5, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from . import filters

if TYPE_CHECKING:
    from .. import _core
    from .filters import Filter
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
    """An event group: of which mailboxes it is, and its events in upper case."""

    filter: Filter
    events: frozenset[str]


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
            if group.filter.covers(entry):
                found |= group.events
        return found

    @property
    def of_server(self) -> bool:
        """Are its own annotations among what is wanted?"""
        return any(SERVER in group.events for group in self.groups)

    @property
    def patterns(self) -> tuple[str, ...]:
        """LIST patterns that reach all names that the groups can be about."""
        return filters.patterns(group.filter for group in self.groups)
