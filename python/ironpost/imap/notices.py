"""Unsolicited news by NOTIFY (RFC 5465): what has become of names, subscriptions, annotations and unselected mailboxes.

A hint only says that something may have changed. What has changed is the difference between two looks at what the store and
the directory hold, so that no event is ever lost, many of one kind are told as one, and a client that reads slowly costs
no queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from ..state.metadata import EVERYBODY, PRIVATE, SERVER, SHARED, Target
from . import hierarchy, updates, wishes
from .wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .session import Session

__all__ = ["Overflow", "Watch", "absorb", "begin", "look", "own_messages", "places", "tell"]

MAILBOXES_MAX: Final = 20_000  # that one session may watch
_SERVER_KEY: Final = (0, 0)

# (owner, mailbox)
Key = tuple[int, int]


class Overflow(Exception):
    """More mailboxes than one session may watch."""


class Counts(NamedTuple):
    """What STATUS would say of a mailbox."""

    uid_validity: int
    uid_next: int
    messages: int
    unseen: int
    highest_modseq: int


class Seen(NamedTuple):
    """A mailbox at the last look."""

    entry: hierarchy.Name
    events: frozenset[str]
    counts: Counts


@dataclass(slots=True)
class Look:
    """All that is watched, at one moment. Annotations are kept as hashes of their values, by mailbox and entry."""

    mailboxes: dict[Key, Seen] = field(default_factory=dict)
    levels: dict[str, hierarchy.Name] = field(default_factory=dict)  # every name, with a mailbox or without
    subscribed: frozenset[str] = frozenset()
    annotations: dict[Key, dict[str, int]] = field(default_factory=dict)
    generation: int = -1  # of the directory, when the annotations were read
    owners: frozenset[int] = frozenset()


class Watch:
    """What NOTIFY has set for a session, and the last look."""

    __slots__ = ("last", "wishes")

    def __init__(self, wanted: Wishes) -> None:
        self.wishes = wanted
        self.last = Look()


def places(session: Session) -> frozenset[Key]:
    """What hints are to wake this session for, while it waits for its client; nothing for most sessions."""
    watch, view = session.watch, session.view
    found: set[Key] = set()
    selected = session.idle_tag is not None if watch is None else bool(watch.wishes.selected)
    if selected and view is not None and not session.mailbox_gone:
        found.add((view.account, view.mailbox))
    if watch is not None and watch.wishes.groups:
        found.update((owner, 0) for owner in (session.account_id, *watch.last.owners))
    return frozenset(found)


async def look(session: Session, wanted: Wishes, last: Look) -> Look:
    """What there is now. Raises Overflow and StoreError."""
    now = Look()
    own = session.account_id
    for entry in await hierarchy.names(session, "", wanted.patterns):
        now.levels[entry.name] = entry
        info = entry.info
        if not entry.exists or info is None or "l" not in entry.rights:
            continue
        events = wanted.events(entry)
        if events:
            counts = Counts(info.uid_validity, info.uid_next, info.messages, info.unseen, info.highest_modseq)
            now.mailboxes[entry.owner or own, info.id] = Seen(entry, events, counts)
    if len(now.mailboxes) > MAILBOXES_MAX:
        raise Overflow
    now.subscribed = frozenset(entry.name for entry in now.levels.values() if entry.subscribed)
    now.owners = frozenset(owner for owner, _ in now.mailboxes if owner != own)
    _annotations(session, wanted, last, now)
    return now


def _annotations(session: Session, wanted: Wishes, last: Look, now: Look) -> None:
    """Read anew only when the directory has been written to."""
    metadata = session.context.directory.metadata
    now.generation = metadata.environment.last_transaction
    keys = [key for key, seen in now.mailboxes.items() if wishes.METADATA in seen.events and "r" in seen.entry.rights]
    if wanted.of_server:
        keys.append(_SERVER_KEY)
    for key in keys:
        if now.generation == last.generation and key in last.annotations:
            now.annotations[key] = last.annotations[key]
            continue
        found: dict[str, int] = {}
        for scope, account in ((SHARED, EVERYBODY), (PRIVATE, session.account_id)):
            target = SERVER if key == _SERVER_KEY else Target(*key)
            for name, value in metadata.below(target._replace(account=account), ""):
                found[scope + name] = hash(value)
        now.annotations[key] = found


async def begin(session: Session, first: Look, *, with_status: bool) -> None:
    """After NOTIFY SET: what may be seen and not be read, and STATUS of the rest when it is wanted (RFC 5465 §3.1)."""
    for key, seen in first.mailboxes.items():
        if "r" not in seen.entry.rights:
            session.wire.untagged_list("LIST", ("\\NoAccess",), seen.entry.name)
        elif with_status and wishes.MESSAGES in seen.events and not _is_selected(session, key):
            counts = seen.counts
            items = [("MESSAGES", counts.messages), ("UIDNEXT", counts.uid_next), ("UIDVALIDITY", counts.uid_validity)]
            if wishes.FLAGS in seen.events:
                items.append(("HIGHESTMODSEQ", counts.highest_modseq))
            session.wire.untagged_status(seen.entry.name, items)
        await session.drain_if_high()


async def tell(session: Session) -> None:
    """Writes what has happened since the last time, while no command is under way or in IDLE."""
    await updates.bring_up_to_date(session, "IDLE" if session.idle_tag is not None else updates.NO_COMMAND)
    watch = session.watch
    if watch is None or not watch.wishes.groups:
        return
    try:
        now = await look(session, watch.wishes, watch.last)
    except Overflow:
        session.watch = Watch(Wishes())  # as after NOTIFY NONE (§5.8)
        session.wire.respond("*", "OK", "NOTIFICATIONOVERFLOW", "too many mailboxes")
        return
    before, watch.last = watch.last, now
    _tell_names(session, watch.wishes, before, now)
    await session.drain_if_high()
    for key, seen in now.mailboxes.items():
        known = before.mailboxes.get(key)
        if "r" in seen.entry.rights and not _is_selected(session, key):
            _tell_counts(session, known, seen)
            await session.drain_if_high()
        elif known is not None:
            # What has changed meanwhile is told once it may be read, or is not selected and told of by its view any more.
            now.mailboxes[key] = seen._replace(counts=known.counts)
    for key, entries in now.annotations.items():
        _tell_annotations(session, "" if key == _SERVER_KEY else now.mailboxes[key].entry.name, before, key, entries)
        await session.drain_if_high()


def _is_selected(session: Session, key: Key) -> bool:
    view = session.view
    return view is not None and not session.mailbox_gone and key == (view.account, view.mailbox)


def _tell_names(session: Session, wanted: Wishes, before: Look, now: Look) -> None:
    """LIST lines of what was made, removed, renamed or (un)subscribed; each name once (RFC 5465 §5.4, §5.5)."""

    def events(name: str, old_name: str) -> frozenset[str]:
        return _events(wanted, now, name) | _events(wanted, before, old_name)

    renamed: dict[str, str] = {}
    affected: set[str] = set()
    for key, seen in now.mailboxes.items():
        old = before.mailboxes.get(key)
        if old is None:
            affected |= _with_parent(seen.entry.name)
        elif old.entry.name != seen.entry.name:
            renamed[seen.entry.name] = old.entry.name
    for key, old in before.mailboxes.items():
        if key not in now.mailboxes:
            affected |= _with_parent(old.entry.name)
    for name, old_name in renamed.items():
        parent, rest = name.rpartition("/")[0], name.rpartition("/")[2]
        if renamed.get(parent) == old_name.rpartition("/")[0] and rest == old_name.rpartition("/")[2]:
            continue  # it went with its parent
        if wishes.NAMES in events(name, old_name):
            _list(session, now, name, old_name)
    affected = {name for name in affected if wishes.NAMES in events(name, name)}
    affected |= {name for name in before.subscribed ^ now.subscribed if wishes.SUBSCRIPTIONS in events(name, name)}
    for name in sorted(affected - renamed.keys()):
        _list(session, now, name)


def _with_parent(name: str) -> set[str]:
    parent = name.rpartition("/")[0]
    return {name, parent} if parent else {name}


def _events(wanted: Wishes, when: Look, name: str) -> frozenset[str]:
    entry = when.levels.get(name)
    return wanted.events(entry or hierarchy.Name(name, None))


def _list(session: Session, now: Look, name: str, old_name: str = "") -> None:
    entry = now.levels.get(name) or hierarchy.Name(name, None)
    if "l" not in entry.rights:
        entry = hierarchy.Name(name, None, entry.subscribed, entry.children)
    attributes = hierarchy.attributes(entry, subscribed=True)
    if old_name:
        session.wire.untagged_renamed(attributes, name, old_name)
    else:
        session.wire.untagged_list("LIST", attributes, name)


def _tell_counts(session: Session, old: Seen | None, seen: Seen) -> None:
    """STATUS of an unselected mailbox, with what its events call for (RFC 5465 §5.1-5.3)."""
    if wishes.MESSAGES not in seen.events:
        return
    counts = seen.counts
    known = Counts(counts.uid_validity, 1, 0, 0, 0) if old is None else old.counts
    items: list[tuple[str, int]] = []
    if (known.uid_next, known.messages) != (counts.uid_next, counts.messages):
        items += [("MESSAGES", counts.messages), ("UIDNEXT", counts.uid_next)]
    if wishes.FLAGS in seen.events and known.unseen != counts.unseen:
        items.append(("UNSEEN", counts.unseen))
    of_modseq = session.condstore and known.highest_modseq != counts.highest_modseq and old is not None
    if of_modseq and (items or wishes.FLAGS in seen.events):
        items.append(("HIGHESTMODSEQ", counts.highest_modseq))
    if items or known.uid_validity != counts.uid_validity:
        items.insert(0, ("UIDVALIDITY", counts.uid_validity))
        session.wire.untagged_status(seen.entry.name, items)


def _tell_annotations(session: Session, name: str, before: Look, key: Key, entries: dict[str, int]) -> None:
    """The names of entries that have changed (RFC 5465 §5.6, §5.7)."""
    known = before.annotations.get(key, {})
    changed = [entry for entry in sorted(known.keys() | entries.keys()) if known.get(entry) != entries.get(entry)]
    if changed:
        session.wire.untagged_words("METADATA", name, changed)


async def absorb(session: Session, names: Iterable[str]) -> None:
    """A command of this session has changed these names, and what it did is no news to it (RFC 5465 §5)."""
    watch = session.watch
    if watch is None or not watch.wishes.groups:
        return
    mine: set[str] = set()
    for name in names:
        mine |= _with_parent(name)

    def is_mine(entry: hierarchy.Name) -> bool:
        return entry.name in mine or any(entry.name.startswith(f"{name}/") for name in mine)

    last = watch.last
    try:
        now = await look(session, watch.wishes, last)
    except Overflow:
        return  # the next look says so
    kept = {key: seen for key, seen in last.mailboxes.items() if not is_mine(seen.entry)}
    for key, seen in now.mailboxes.items():
        if is_mine(seen.entry):
            known = last.mailboxes.get(key)
            kept[key] = seen if known is None else seen._replace(counts=known.counts)
            if key in now.annotations:
                last.annotations[key] = now.annotations[key]
    if "" in mine and _SERVER_KEY in now.annotations:
        last.annotations[_SERVER_KEY] = now.annotations[_SERVER_KEY]
    last.mailboxes = kept
    last.levels = now.levels
    last.subscribed = (last.subscribed - mine) | (now.subscribed & mine)
    last.owners |= now.owners


def own_messages(session: Session, owner: int, uid_validity: int, uids: range) -> None:
    """A command of this session has put these into a mailbox: in the selected one they need no FETCH (RFC 5465 §5.2)."""
    watch, view = session.watch, session.view
    if watch is None or watch.wishes.items is None or view is None:
        return
    if (view.account, view.uid_validity) == (owner, uid_validity):
        session.made.append(uids)
