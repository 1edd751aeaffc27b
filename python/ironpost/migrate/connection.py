"""One connection to the source: connects, goes to TLS, logs in, and asks. Nothing that it says changes anything there:
folders are opened by EXAMINE, messages read by BODY.PEEK (RFC 9051 §6.3.3, §6.4.5).

The core keeps tags and grammar; this file keeps what to say when. A connection that breaks raises `Broken`; what no
second attempt can mend raises `SourceRefused`.
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

import trio

from .. import __version__, _core
from ..errors import ConnectionLost, PeerTimeout
from ..runtime import timeouts
from ..runtime.stream import MailStream, is_loopback
from .folders import Listed

if TYPE_CHECKING:
    from .source import Login, Source

FOLDERS_MAX: Final = 10_000  # of one account
SCAN_ITEMS: Final = "UID FLAGS INTERNALDATE RFC822.SIZE"
_BUSY_CODES: Final = {"LIMIT", "UNAVAILABLE", "INUSE", "SERVERBUG", "THROTTLED"}
_BUSY_WORDS: Final = ("too many", "connection limit", "simultaneous", "maximum number", "try again", "temporar")


class SourceRefused(Exception):
    """The source says no, or cannot be trusted: asking again is no use."""


class Broken(Exception):
    """The connection is lost, or the server is busy; another attempt may do better."""


class Sinks(Protocol):
    """Where messages go."""

    def sink(self, size: int) -> _core.Sink: ...
    async def room(self, sink: _core.Sink) -> None: ...


@dataclass(slots=True)
class Message:
    """One message that has come."""

    uid: int
    sink: _core.Sink
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """What a scan tells of one message."""

    uid: int
    flags: tuple[str, ...]
    internal_date: tuple[int, int] | None
    size: int
    labels: tuple[bytes, ...]


class Connection:
    """Logged in at the source."""

    def __init__(self, source: Source, stream: MailStream, wire: _core.ImapClient) -> None:
        self.source = source
        self.wire = wire
        self._stream = stream
        self._bye = ""
        self.opened: bytes | None = None  # the folder that is open
        self.removed: list[int] = []  # message numbers that have gone since the folder was opened, in order
        self._finished: dict[int, _core.ImapDone] = {}  # commands whose answer came while another's was read
        self.odd = 0  # responses that were not understood

    # -- coming

    @classmethod
    async def open(cls, source: Source, login: Login) -> Connection:
        """Connects and logs in. Raises Broken, SourceRefused."""
        stream = await _connect(source)
        ready = False
        try:
            implicit = _tls(source.verify, source.roots_pem) if source.implicit_tls else None
            try:
                wire = _core.ImapClient(tls=implicit, server_name=source.host)
                self = cls(source, stream, wire)
                await self._greet()
                await self._log_in(login)
            except _core.TlsError as error:
                raise SourceRefused(f"TLS with {source.host} failed: {error}") from None
            ready = True
            return self
        finally:
            if not ready:
                stream.abort()

    async def _greet(self) -> None:
        source = self.source
        greeting = await self._event(timeouts.IMAP_CLIENT_GREETING)
        if not isinstance(greeting, _core.ImapGreeting):
            raise Broken(f"{source.host} does not speak IMAP")
        if greeting.status == "BYE":
            raise Broken(f"{source.host} is not ready: {greeting.text}")
        if source.implicit_tls or (source.plaintext and is_loopback(self._stream.peer.host)):
            return
        if source.plaintext:
            raise SourceRefused(f"{source.host} is another machine: --plaintext is for this one only")
        if greeting.status == "PREAUTH":
            raise SourceRefused(f"{source.host} lets us in before TLS, so nothing it says can be trusted")
        if not self.wire.capabilities:
            await self.done(self.wire.capability())
        if "STARTTLS" not in self.wire.capabilities:
            raise SourceRefused(f"{source.host} offers no STARTTLS; use imaps://")
        answer = await self.done(self.wire.start_tls())
        if answer.status != "OK":
            raise SourceRefused(f"{source.host} refuses STARTTLS: {answer.text}")
        self.wire.begin_tls(_tls(source.verify, source.roots_pem), source.host)
        await self.done(self.wire.capability())

    async def _log_in(self, login: Login) -> None:
        wire, source = self.wire, self.source
        if not wire.capabilities:
            await self.done(wire.capability())
        capabilities = set(wire.capabilities)
        user = source.user
        if login.token:
            tag = self._bearer(login.token, capabilities)
        elif login.auth_user:
            if "AUTH=PLAIN" not in capabilities:
                raise SourceRefused(f"{source.host} offers no AUTH=PLAIN, which --auth-user needs")
            response = "\0".join((user, login.auth_user, login.password))
            tag = wire.authenticate("PLAIN", response.encode(), b"*")
        elif "AUTH=PLAIN" in capabilities:
            tag = wire.authenticate("PLAIN", f"\0{user}\0{login.password}".encode(), b"*")
        elif "LOGINDISABLED" in capabilities:
            raise SourceRefused(f"{source.host} takes no password (LOGINDISABLED); try --token-file")
        else:
            tag = wire.login(user, login.password)
        before = wire.capabilities
        answer = await self.done(tag)
        if answer.status != "OK":
            said = answer.text or answer.code
            if answer.code in _BUSY_CODES or any(words in said.lower() for words in _BUSY_WORDS):
                raise Broken(f"{source.host}: {said}")
            raise SourceRefused(f"{source.host} refuses the login of {user}: {said}")
        if wire.capabilities is before or wire.capabilities == before:
            await self.done(wire.capability())
        if "ID" in wire.capabilities:  # some providers let only those read who have said who they are
            await self.done(wire.id("ironpost", __version__))

    def _bearer(self, token: str, capabilities: set[str]) -> int:
        user, host, port = self.source.user, self.source.host, self.source.port
        if "AUTH=OAUTHBEARER" in capabilities:  # RFC 7628 §3.1
            name = user.replace("=", "=3D").replace(",", "=2C")
            response = f"n,a={name},\1host={host}\1port={port}\1auth=Bearer {token}\1\1"
            return self.wire.authenticate("OAUTHBEARER", response.encode(), b"AQ==")
        if "AUTH=XOAUTH2" in capabilities:
            return self.wire.authenticate("XOAUTH2", f"user={user}\1auth=Bearer {token}\1\1".encode(), b"")
        raise SourceRefused(f"{host} offers neither OAUTHBEARER nor XOAUTH2")

    # -- asking

    async def folders(self) -> tuple[list[Listed], frozenset[bytes], list[tuple[str, str | None]], _Others, bool]:
        """All folders; which are subscribed; personal namespaces; those of others; whether special uses are told."""
        wire = self.wire
        found: dict[bytes, Listed] = {}
        subscribed: set[bytes] = set()
        personal: list[tuple[str, str | None]] = []
        others: list[tuple[str, str | None]] = []

        def take(event: object) -> None:
            if isinstance(event, _core.ImapList) and event.kind != "LSUB":
                attributes = frozenset(attribute.lower() for attribute in event.attributes)
                if len(found) >= FOLDERS_MAX:
                    raise SourceRefused(f"{self.source.host} lists more than {FOLDERS_MAX} folders")
                # XLIST calls the inbox by its name for people.
                inbox = event.kind == "XLIST" and "\\inbox" in attributes
                wire_name, name = (b"INBOX", "INBOX") if inbox else (event.wire, event.name)
                found[wire_name] = Listed(wire_name, name, event.separator, attributes)
            elif isinstance(event, _core.ImapList):
                if len(subscribed) < FOLDERS_MAX:
                    subscribed.add(event.wire)
            elif isinstance(event, _core.ImapNamespaces):
                personal.extend(event.personal)
                others.extend(event.others)

        told = "SPECIAL-USE" in wire.capabilities
        kind = "SPECIAL-USE" if told else "XLIST" if "XLIST" in wire.capabilities else "LIST"
        answer = await self.done(wire.list(kind), take)
        if answer.status != "OK" and kind != "LIST":
            told = False
            answer = await self.done(wire.list("LIST"), take)
        if answer.status != "OK":
            raise Broken(f"{self.source.host} does not list folders: {answer.text}")
        await self.done(wire.list("LSUB"), take)
        if "NAMESPACE" in wire.capabilities:
            await self.done(wire.namespace(), take)
        return list(found.values()), frozenset(subscribed), personal, others, told or kind == "XLIST"

    async def status(self, folders: Iterable[bytes]) -> dict[bytes, dict[str, int]]:
        """MESSAGES and UIDVALIDITY of each folder that tells, asked all at once."""
        found: dict[bytes, dict[str, int]] = {}

        def take(event: object) -> None:
            if isinstance(event, _core.ImapStatus):
                found[event.wire] = dict(event.items)

        for tag in [self.wire.status(wire, "MESSAGES UIDVALIDITY") for wire in folders]:
            await self.done(tag, take)
        return found

    async def examine(self, folder: bytes) -> _core.ImapSelected | None:
        """Opens a folder for reading. None: the server does not let us."""
        self.opened = None
        self.removed = []
        answer = await self.done(self.wire.examine(folder))
        if answer.status != "OK":
            return None
        self.opened = folder
        return self.wire.selected

    async def scan(self, first: int, last: int, *, labels: bool) -> list[Seen] | None:
        """What there is, by message numbers. None: the server refuses."""
        found: list[Seen] = []

        def take(event: object) -> None:
            # Changes of flags come unasked, without a size: those are not ours.
            if isinstance(event, _core.ImapFetch) and event.uid and event.size is not None:
                found.append(Seen(event.uid, event.flags or (), event.internal_date, event.size, event.labels or ()))

        items = f"{SCAN_ITEMS} X-GM-LABELS" if labels else SCAN_ITEMS
        answer = await self.done(self.wire.fetch(f"{first}:{last}", items), take)
        return found if answer.status == "OK" else None

    def ask_bodies(self, uids: str) -> int:
        """Asks for messages; `take_bodies` reads the answer. Several may be asked for ahead."""
        return self.wire.uid_fetch(uids, "UID BODY.PEEK[]")

    async def take_bodies(
        self, tag: int, sinks: Sinks, deliver: Callable[[Message], object], empty: Callable[[int], object]
    ) -> _core.ImapDone:
        """Streams messages into sinks until the command is complete: also those of commands behind it.

        `empty` gets the UIDs of messages whose contents the server does not give (NIL)."""
        wire = self.wire
        sink: _core.Sink | None = None
        size, digest = 0, b""

        async def take(event: object) -> None:
            nonlocal sink, size, digest
            if isinstance(event, _core.BodyReady):
                if sink is None:
                    wire.discard_body()
                    return
                while not wire.feed_sink(sink):
                    await sinks.room(sink)
            elif isinstance(event, _core.ImapFetchBegin):
                sink = sinks.sink(event.size)
            elif isinstance(event, _core.ImapBodyEnd):
                size, digest = event.size, event.digest
            elif isinstance(event, _core.ImapFetch):
                if event.body is not None:
                    sink = sinks.sink(len(event.body))
                    if not sink.write(event.body):
                        await sinks.room(sink)
                    digester = _core.Digest()
                    digester.update(event.body)
                    size, digest = len(event.body), digester.digest()
                elif event.uid and not event.streamed and event.size is None and event.flags is None:
                    empty(event.uid)
                if sink is not None:
                    if event.uid and (event.streamed or event.body is not None):
                        deliver(Message(event.uid, sink, size, digest))
                    else:
                        sink.discard()
                    sink = None

        try:
            return await self.done(tag, take)
        finally:
            if sink is not None:
                sink.discard()

    async def done(self, tag: int, take: Callable[[object], Awaitable[None] | None] | None = None) -> _core.ImapDone:
        """Reads until the command is complete; the other events go to `take`."""
        while True:
            finished = self._finished.pop(tag, None)
            if finished is not None:
                return finished
            event = await self._event(timeouts.IMAP_CLIENT_REPLY)
            if isinstance(event, _core.ImapDone):
                self._finished[event.tag] = event
                continue
            if isinstance(event, _core.ImapExpunge):
                self.removed.append(event.number)
            elif isinstance(event, _core.ImapOdd):
                self.odd += 1
            elif take is not None:
                waiting = take(event)
                if waiting is not None:
                    await waiting
            elif isinstance(event, _core.BodyReady):
                self.wire.discard_body()

    async def _event(self, limit: float) -> object:
        wire = self.wire
        while True:
            event = wire.next_event()
            if isinstance(event, _core.Closed):
                raise Broken(f"{self.source.host} closed the connection: {self._bye or event.reason}")
            if isinstance(event, _core.ImapNotice) and event.status == "BYE":
                self._bye = event.text or event.code
            if not isinstance(event, _core.Signal):
                return event
            if event is _core.PAUSED:
                raise Broken(f"{self.source.host} answered out of turn")
            try:
                await self._stream.drain(wire, limit)
                await self._stream.fill(wire, limit)
            except PeerTimeout:
                raise Broken(f"{self.source.host} did not answer for {limit:g} s") from None
            except ConnectionLost as error:
                raise Broken(f"the connection to {self.source.host} is lost: {error}") from None

    # -- going

    async def close(self) -> None:
        """LOGOUT, within a short limit."""
        with trio.move_on_after(timeouts.IMAP_CLIENT_LOGOUT):
            try:
                await self.done(self.wire.logout())
                await self._stream.close()
            except (Broken, _core.CoreError):
                pass  # how it hangs up is its affair
        self.abort()

    def abort(self) -> None:
        """Hangs up."""
        self._stream.abort()


_Others = list[tuple[str, str | None]]


async def _connect(source: Source) -> MailStream:
    try:
        with trio.fail_after(timeouts.CONNECT):
            places = await trio.socket.getaddrinfo(source.host, source.port, type=sockets.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "no host's name"
        raise Broken(f"{source.host}: {why}") from None
    except trio.TooSlowError:
        raise Broken(f"{source.host}: no answer from the name server") from None
    why = "no address"
    for family, kind, protocol, _, address in places:
        connection = trio.socket.socket(family, kind, protocol)
        try:
            with trio.fail_after(timeouts.CONNECT):
                await connection.connect(address)
            connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
            return MailStream(connection)
        except trio.TooSlowError:
            why = "no answer"
        except (OSError, ConnectionLost) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        except BaseException:
            connection.close()
            raise
        connection.close()
    raise Broken(f"{source.host}:{source.port}: {why}")


@lru_cache(maxsize=16)
def _tls(verify: bool, roots: bytes | None) -> _core.TlsClientConfig:
    return _core.TlsClientConfig(verify=verify, roots_pem=roots)
