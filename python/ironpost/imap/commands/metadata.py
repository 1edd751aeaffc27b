"""GETMETADATA and SETMETADATA (RFC 5464): annotations of mailboxes and of the server, /private for oneself, /shared for all.

Reading takes the rights `l` and `r` to the mailbox, changing what all see `w` too. What all see of the server the administrator
sets, in the configuration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...errors import DirectoryError
from ...state.metadata import EVERYBODY, PRIVATE, SERVER, SHARED, VALUE_OCTETS_MAX, Change, Target
from .. import namespaces, notices

if TYPE_CHECKING:
    from ... import _core
    from ...state.metadata import Metadata
    from ..session import Session

__all__ = ["are_entries", "get_metadata", "send_metadata", "set_metadata"]

SPECIAL_USE: Final = "/private/specialuse"  # RFC 6154 §5.4
_LINE_OCTETS: Final = 65_536  # of values in one response; further ones get a response of their own
_VENDOR_LEVELS: Final = 4  # RFC 5464 §3.2: /private/vendor/NAME/...


class _BadEntry(Exception):
    """The entry is neither private nor shared."""


class _Annotated:
    """A mailbox, or the server, as a session sees its entries."""

    def __init__(self, session: Session, target: Target, info: _core.MailboxInfo | None) -> None:
        self._metadata: Metadata = session.context.directory.metadata
        self._account = session.account_id
        self._target = target
        self._fixed: dict[str, bytes] = {}  # what is told and not stored
        config = session.context.config.imap
        if target == SERVER:
            configured = {"/shared/comment": config.comment, "/shared/admin": config.admin}
            self._fixed = {entry: value.encode() for entry, value in configured.items() if value}
        elif info is not None and info.special_use and target.owner == self._account:
            self._fixed = {SPECIAL_USE: info.special_use.encode()}

    def place(self, entry: str) -> tuple[Target, str]:
        """Where an entry is kept. Raises _BadEntry."""
        for scope, account in ((PRIVATE, self._account), (SHARED, EVERYBODY)):
            if entry == scope or entry.startswith(f"{scope}/"):
                return self._target._replace(account=account), entry.removeprefix(scope)
        raise _BadEntry

    def value(self, entry: str) -> bytes | None:
        """Of one entry. Raises _BadEntry."""
        target, name = self.place(entry)
        return self._fixed[entry] if entry in self._fixed else self._metadata.value(target, name)

    def below(self, entry: str, levels: float) -> dict[str, bytes]:
        """The entry, and those at most so many levels beneath it. Raises _BadEntry."""
        target, name = self.place(entry)
        scope = entry.removesuffix(name)
        found = {scope + other: value for other, value in self._metadata.below(target, name)}
        found |= {other: value for other, value in self._fixed.items() if f"{other}/".startswith(f"{entry}/")}
        return {
            other: value for other, value in sorted(found.items()) if other.removeprefix(entry).count("/") <= levels
        }


async def _annotated(session: Session, mailbox: str, wanted: str) -> tuple[_Annotated, Target]:
    if not mailbox:
        return _Annotated(session, SERVER, None), SERVER
    found = await namespaces.find(session, mailbox, wanted, look=True)
    assert found.info is not None
    target = Target(found.owner.id, found.info.id)
    return _Annotated(session, target, found.info), target


async def get_metadata(
    session: Session, tag: str, name: str, mailbox: str, max_size: int | None, depth: str, entries: tuple[str, ...]
) -> None:
    """GETMETADATA: an entry that is asked for by its name and is not there is NIL."""
    annotated, _ = await _annotated(session, mailbox, "lr")
    values: dict[str, bytes | None] = {}
    try:
        for entry in entries:
            if depth == "0":
                values[entry] = annotated.value(entry)
            else:
                values |= annotated.below(entry, 1 if depth == "1" else float("inf"))
    except _BadEntry:
        session.wire.respond(tag, "BAD", "", f"entries begin with {PRIVATE} or {SHARED}")
        return
    sizes = [len(value) for value in values.values() if value is not None]
    longest = max(sizes, default=0)
    line: list[tuple[str, bytes | None]] = []
    octets = 0
    for entry, value in values.items():
        size = 0 if value is None else len(value)
        if max_size is not None and size > max_size:
            continue
        if octets + size > _LINE_OCTETS and line:
            session.wire.untagged_metadata(mailbox, line)
            await session.drain_if_high()
            line, octets = [], 0
        line.append((entry, value))
        octets += size
    if line:
        session.wire.untagged_metadata(mailbox, line)
    left_out = max_size is not None and longest > max_size
    await session.finish(tag, name, f"METADATA LONGENTRIES {longest}" if left_out else "")


async def set_metadata(
    session: Session, tag: str, name: str, mailbox: str, values: tuple[tuple[str, bytes | None], ...]
) -> None:
    """SETMETADATA: all entries or none."""
    shared = any(entry == SHARED or entry.startswith(f"{SHARED}/") for entry, _ in values)
    annotated, target = await _annotated(session, mailbox, "lrw" if shared else "lr")
    changes: list[Change] = []
    for entry, value in values:
        try:
            place, rest = annotated.place(entry)
        except _BadEntry:
            session.wire.respond(tag, "BAD", "", f"entries begin with {PRIVATE} or {SHARED}")
            return
        levels = entry.count("/")
        if not rest or entry == SPECIAL_USE or (rest.startswith("/vendor") and levels < _VENDOR_LEVELS):
            session.wire.respond(tag, "NO", "CANNOT", f"{entry} can't be set")
            return
        if value is not None and len(value) > VALUE_OCTETS_MAX:
            session.wire.respond(tag, "NO", f"METADATA MAXSIZE {VALUE_OCTETS_MAX}", "the value is too large")
            return
        changes.append((place, rest, value))
    if shared and target == SERVER:
        raise namespaces.NoRight("not permitted: the administrator says what all see of the server")
    try:
        await session.context.directory.metadata.set(changes)
    except DirectoryError as error:
        session.wire.respond(tag, "NO", "METADATA TOOMANY", str(error))
        return
    session.context.hints.publish([(session.account_id, 0), (target.owner, target.mailbox)])
    await notices.absorb(session, (mailbox,))
    await session.finish(tag, name)


def are_entries(entries: tuple[str, ...]) -> bool:
    """May all of them be asked for?"""
    return all(f"{entry}/".startswith((f"{PRIVATE}/", f"{SHARED}/")) for entry in entries)


def send_metadata(
    session: Session, mailbox: str, owner: int, info: _core.MailboxInfo, entries: tuple[str, ...]
) -> None:
    """The METADATA line of LIST RETURN (METADATA ...) (RFC 9590 §3), of `are_entries`."""
    annotated = _Annotated(session, Target(owner, info.id), info)
    session.wire.untagged_metadata(mailbox, [(entry, annotated.value(entry)) for entry in entries])
