"""What a reader yields: folders and messages, as far as the format knows them; and how it tells what it could not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

# (where, what, left_out): a line of the report. `left_out`: something of the mail does not arrive.
Note = Callable[[str, str, bool], None]


class MessageFault(Exception):
    """This message can't be read; the text says why."""


@dataclass(slots=True)
class Folder:
    """A mailbox of the source. Levels of `name` are separated by "/"."""

    name: str
    place: str  # for the report
    special_use: str = ""
    subscribed: bool | None = None  # None: the source does not say
    uid_validity: int | None = None
    uid_next: int | None = None
    detail: Any = None  # the reader's own


@dataclass(slots=True)
class Message:
    """A message of the source: a range of a file, after octets that are given instead of what stood there."""

    path: str
    place: str = ""  # for the report; the path when empty
    offset: int = 0
    length: int | None = None  # None: to the end of the file
    head: bytes = b""
    flags: tuple[str, ...] = ()  # \Flags and keywords
    date: int | None = None  # Unix seconds; None: the file's mtime
    zone: int = 0  # minutes east of UTC
    uid: int | None = None
    uidl: str = ""  # its unique id in POP3 (RFC 1939 §7), when the source has kept one
    saved: int | None = None
    ending: str = "auto"  # as `_core.Rewriter` has it
    quoting: str = "keep"
    fault: str = ""  # why it can't be read, when the reader knows already
    again: Callable[[], str | None] | None = field(default=None, repr=False)
    """Where the file is now, when it is no longer at `path`: in a Maildir a flag is a rename."""


class Source(Protocol):
    """A tree of files as mailboxes."""

    format: str

    def folders(self) -> Iterator[Folder]:
        """Each once, superiors in no particular order."""

    def messages(self, folder: Folder) -> Iterator[Message]:
        """Those with UIDs first and by UID, then the others."""

    def subscriptions(self) -> list[str]:
        """Names that are subscribed to, as far as the source says; also of folders that do not exist."""
