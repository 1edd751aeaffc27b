"""The operations by which mailboxes move in and out: what a running server does for the command, or the command itself.

Mail travels in batches of about BATCH_OCTETS, each message of a batch as an operation of its own, so that the store commits
many at once; a longer message comes in pieces into an upload. The server reads no file of others: it may be unable to, and
must not hang on their disk.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from .. import _core
from ..errors import UserError
from ..store.client import OutcomeUnknown

if TYPE_CHECKING:
    from ..state.directory import Directory
    from ..store.client import StoreClient

BATCH_OCTETS: Final = 2 << 20
BATCH_MESSAGES: Final = 512
ROWS_MAX: Final = 1000
UPLOADS_MAX: Final = 16
UPLOAD_IDLE_SECONDS: Final = 600.0  # then its client has gone
BUSY_SECONDS: Final = 0.02  # the writer's queue is full: mail that arrives goes first
BUSY_TRIES: Final = 1500
BUSY: Final = "busy"  # as a remark
AGAIN: Final = "run the import again: it passes over what has been stored"

Arguments = dict[str, Any]


class Context(Protocol):
    """What these operations need of theirs."""

    @property
    def directory(self) -> Directory: ...
    @property
    def store(self) -> StoreClient: ...


class Facts:
    """How a message is to be stored, as it crosses the socket: [flags, date, zone, uid, saved]."""

    __slots__ = ("date", "flags", "saved", "uid", "zone")

    def __init__(self, flags: list[str], date: int, zone: int, uid: int | None, saved: int | None) -> None:
        self.flags = flags
        self.date = date
        self.zone = zone
        self.uid = uid
        self.saved = saved


class _Uploads:
    """Long messages on their way, by a secret token. A client that died leaves one; it goes when others need its place."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[_core.Sink, float]] = {}

    def begin(self, sink: _core.Sink) -> str:
        now = time.monotonic()
        for token, (old, used) in list(self._open.items()):
            if now - used > UPLOAD_IDLE_SECONDS:
                old.discard()
                del self._open[token]
        if len(self._open) >= UPLOADS_MAX:
            sink.discard()
            raise UserError(f"{UPLOADS_MAX} long messages are on their way already: try again later")
        token = secrets.token_hex(16)
        self._open[token] = (sink, now)
        return token

    def get(self, token: str) -> _core.Sink:
        if token not in self._open:
            raise UserError("the server does not know this upload any more")
        sink, _ = self._open[token]
        self._open[token] = (sink, time.monotonic())
        return sink

    def take(self, token: str) -> _core.Sink:
        sink = self.get(token)
        del self._open[token]
        return sink


_uploads: Final = _Uploads()


def _account(context: Context, arguments: Arguments) -> int:
    address = arguments["address"]
    account = context.directory.account(address)
    if account is None:
        raise UserError(f"there is no account {address}")
    return account.id


def _mailbox(info: _core.MailboxInfo) -> dict[str, Any]:
    names = ("id", "name", "special_use", "subscribed", "uid_validity", "uid_next", "messages", "size")
    return {name: getattr(info, name) for name in names}


async def folders(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """{address} -> its mailboxes; id 0 is a name that is only subscribed to."""
    store = context.store
    return [_mailbox(info) for info in await store.call(store.core.list_mailboxes(_account(context, arguments)))]


async def adopt(context: Context, arguments: Arguments) -> dict[str, Any]:
    """{address, name, special_use?, subscribed?, uid_validity?, uid_next?} -> the mailbox, made when it was not there."""
    store = context.store
    ticket = store.core.adopt_mailbox(
        _account(context, arguments),
        arguments["name"],
        arguments.get("special_use", ""),
        arguments.get("subscribed"),
        arguments.get("uid_validity"),
        arguments.get("uid_next"),
    )
    return _mailbox(await store.call(ticket, write=True))


async def subscribe(context: Context, arguments: Arguments) -> None:
    """{address, name}."""
    store = context.store
    ticket = store.core.subscribe(_account(context, arguments), arguments["name"], True)
    await store.call(ticket, write=True)


async def put(context: Context, arguments: Arguments) -> list[tuple[int, str]]:
    """{address, mailbox, messages: [[octets, *facts]]} -> [(uid, remark)] in order; uid 0: not stored, the remark says why."""
    account, mailbox, messages = _account(context, arguments), arguments["mailbox"], arguments["messages"]
    if len(messages) > BATCH_MESSAGES:
        raise UserError(f"at most {BATCH_MESSAGES} messages at once")
    store = context.store
    sinks = [await _filled(store, row[0]) for row in messages]
    outcomes: list[tuple[int, str]] = []
    tries = 0
    while len(outcomes) < len(messages):
        tickets = []
        # Into the queue in order, since UIDs ascend, and without a pause, so that they share commits.
        for number in range(len(outcomes), len(messages)):
            try:
                tickets.append(_ticket(store, account, mailbox, sinks[number], Facts(*messages[number][1:])))
            except _core.StoreBusy:
                break  # mail that arrives goes first; the store has given this sink up
        tries = 0 if tickets else tries + 1
        if tries > BUSY_TRIES:
            raise UserError("the store has been too busy for too long")
        try:
            results = await store.call_all(tickets)
        except OutcomeUnknown as error:
            raise UserError(f"{error} ({AGAIN})") from None
        for result, (octets, *facts) in zip(results, messages[len(outcomes) :], strict=False):
            if isinstance(result, _core.Refused):
                outcomes.append(await _put_again(store, account, mailbox, octets, Facts(*facts), str(result)))
            elif isinstance(result, Exception):
                raise UserError(f"store: {result} ({AGAIN})")
            else:
                outcomes.append((result.uid, ""))
        if len(outcomes) < len(messages):
            await trio.sleep(BUSY_SECONDS)
            sinks[len(outcomes)] = await _filled(store, messages[len(outcomes)][0])
    return outcomes


async def begin(context: Context, arguments: Arguments) -> str:
    """{size} -> token of an upload."""
    return _uploads.begin(context.store.core.sink(size_hint=int(arguments.get("size", 0))))


async def piece(context: Context, arguments: Arguments) -> None:
    """{token, octets}."""
    await context.store.write_sink(_uploads.get(arguments["token"]), arguments["octets"])


async def finish(context: Context, arguments: Arguments) -> tuple[int, str]:
    """{address, mailbox, token, facts} -> (uid, ""), (0, BUSY): send it again, or (0, why not). The upload is over."""
    sink = _uploads.take(arguments["token"])
    store = context.store
    facts = Facts(*arguments["facts"])
    try:
        ticket = _ticket(store, _account(context, arguments), arguments["mailbox"], sink, facts)
        return (await store.call(ticket, write=True)).uid, ""
    except _core.StoreBusy:
        return 0, BUSY
    except _core.Refused as error:
        return 0, str(error)
    except OutcomeUnknown as error:
        raise UserError(f"{error} ({AGAIN})") from None


async def discard(context: Context, arguments: Arguments) -> None:
    """{token}."""
    _uploads.take(arguments["token"]).discard()


async def rows(context: Context, arguments: Arguments) -> list[Any]:
    """{address, mailbox, after, fingerprints?} -> [(uid, size, date, zone, flags, fingerprint or None)], at most ROWS_MAX."""
    store = context.store
    view = await _view(context, arguments)
    found = await store.call(store.core.message_rows(view, arguments["after"], ROWS_MAX))
    digests: list[bytes | None] = [None] * len(found)
    if arguments.get("fingerprints"):
        digests = await store.call(store.core.fingerprints(view, [row[0] for row in found]))
    return [(*row, digest) for row, digest in zip(found, digests, strict=True)]


async def keywords(context: Context, arguments: Arguments) -> list[str]:
    """{address, mailbox} -> all that its messages may have."""
    return list((await _view(context, arguments)).keywords)


async def whole(context: Context, arguments: Arguments) -> list[Any]:
    """{address, mailbox, uids} -> [(uid, octets, or a text why not, or None when it is gone)], the first that fit a batch."""
    store = context.store
    view = await _view(context, arguments)
    found: list[Any] = await store.call(store.core.whole_messages(view, arguments["uids"], BATCH_OCTETS))
    return found


async def part(context: Context, arguments: Arguments) -> bytes:
    """{address, mailbox, uid, offset, length} -> octets of a long message."""
    store = context.store
    view = await _view(context, arguments)
    length = min(arguments["length"], BATCH_OCTETS)
    octets: bytes = await store.call(store.core.read_message(view, arguments["uid"], arguments["offset"], length))
    return octets


async def _view(context: Context, arguments: Arguments) -> _core.MailboxView:
    store = context.store
    view: _core.MailboxView = await store.call(
        store.core.open_view(_account(context, arguments), arguments["mailbox"], True)
    )
    return view


def _ticket(store: StoreClient, account: int, mailbox: str, sink: _core.Sink, facts: Facts) -> int:
    return store.core.import_message(
        account, mailbox, sink, facts.flags, facts.date, facts.zone, uid=facts.uid, saved=facts.saved
    )


async def _filled(store: StoreClient, octets: bytes) -> _core.Sink:
    sink = store.core.sink(size_hint=len(octets))
    await store.write_sink(sink, octets)
    return sink


async def _put(store: StoreClient, account: int, mailbox: str, octets: bytes, facts: Facts) -> int:
    """The UID. Raises Refused."""
    for _ in range(BUSY_TRIES):
        sink = await _filled(store, octets)
        try:
            ticket = _ticket(store, account, mailbox, sink, facts)
        except _core.StoreBusy:
            await trio.sleep(BUSY_SECONDS)
            continue
        stored: _core.StoredMessage = await store.call(ticket, write=True)
        return stored.uid
    raise UserError("the store has been too busy for too long")


async def _put_again(
    store: StoreClient, account: int, mailbox: str, octets: bytes, facts: Facts, why: str
) -> tuple[int, str]:
    """The message counts more than its UID, and than its keywords: without these once more, one after the other."""
    remarks = []
    if facts.uid is not None:
        remarks.append(f"UID {facts.uid} could not be kept ({why})")
        facts.uid = None
        try:
            return await _put(store, account, mailbox, octets, facts), remarks[0]
        except _core.Refused as error:
            why = str(error)
    system = [flag for flag in facts.flags if flag.startswith("\\")]
    if len(system) < len(facts.flags):
        remarks.append(f"keywords could not be kept ({why})")
        facts.flags = system
        try:
            return await _put(store, account, mailbox, octets, facts), "; ".join(remarks)
        except _core.Refused as error:
            why = str(error)
    return 0, why


OPERATIONS: Final = {
    "mail.adopt": adopt,
    "mail.begin": begin,
    "mail.discard": discard,
    "mail.finish": finish,
    "mail.folders": folders,
    "mail.keywords": keywords,
    "mail.part": part,
    "mail.piece": piece,
    "mail.put": put,
    "mail.rows": rows,
    "mail.subscribe": subscribe,
    "mail.whole": whole,
}
