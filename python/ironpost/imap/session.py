"""One IMAP connection: events of the core to handlers, answers to the socket (RFC 3501, RFC 9051).

The core keeps the grammar and the states; the store renders message data; this file keeps the order: one command at a
time, its answer complete and drained before more is read, every wait on the peer under a named limit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio

from .. import _core
from ..errors import ConnectionLost, PeerTimeout, ServerDraining, SessionDismissed
from ..identity.login import Login, mechanisms
from ..runtime import timeouts
from ..store.client import OutcomeUnknown
from . import capability, namespaces, notices, updates
from .commands import append, authenticate
from .dispatch import HANDLERS

if TYPE_CHECKING:
    from ..config import ListenerConfig
    from ..context import WorkerContext
    from ..identity.presence import Present
    from ..runtime.stream import MailStream
    from ..state.directory import Account

__all__ = ["Session", "serve"]

# Malformed commands in a row after which a peer is no mail client.
_BAD_COMMANDS_MAX = 25
# Output that may wait before it is drained in the middle of a command.
_OUTPUT_HIGH_OCTETS = 65536

# Faults that have a response code of their own (RFC 9051 §7.1, RFC 6154 §6, RFC 5530 §3).
_REFUSALS = {
    "badcharset": "BADCHARSET (UTF-8 US-ASCII)",
    "too-big": "TOOBIG",
    "limit": "LIMIT",
    "useattr": "USEATTR",
    "mailbox-name": "CANNOT",
}


# Commands that name messages by number, which are not allowed after ENABLE UIDONLY (RFC 9586 §3.1).
_BY_NUMBER = frozenset({"COPY", "FETCH", "MOVE", "REPLACE", "SEARCH", "SORT", "STORE", "THREAD"})


class Session:
    """State of one connection beyond what the core and the view hold."""

    __slots__ = (
        "account",
        "append",
        "bad_commands",
        "client_name",
        "closing",
        "condstore",
        "context",
        "exchange",
        "idle_tag",
        "log",
        "made",
        "mailbox_gone",
        "places",
        "present",
        "qresync",
        "rev2",
        "rights_told",
        "scope",
        "store",
        "stream",
        "uid_only",
        "view",
        "watch",
        "wire",
        "woken",
    )

    def __init__(self, stream: MailStream, wire: _core.ImapServer, context: WorkerContext, log: Any) -> None:
        self.stream = stream
        self.wire = wire
        self.context = context
        self.store = context.store
        self.log = log
        self.account: Account | None = None
        self.view: _core.MailboxView | None = None
        self.mailbox_gone = False
        self.rights_told = ""  # those on flags, as PERMANENTFLAGS has told them
        self.rev2 = False
        self.condstore = False  # modseqs are told (RFC 7162)
        self.qresync = False  # and VANISHED
        self.uid_only = False  # no message numbers (RFC 9586)
        self.closing = False
        self.bad_commands = 0
        self.client_name = ""  # as its ID says (RFC 2971)
        self.idle_tag: str | None = None
        self.exchange: Login | None = None  # under way
        self.present: Present | None = None  # once logged in
        self.append: append.PendingAppend | None = None
        self.scope: trio.CancelScope | None = None  # around the wait for the peer, so that a hint can end it
        self.woken = False
        self.watch: notices.Watch | None = None  # once NOTIFY has been used
        self.places: frozenset[tuple[int, int]] = frozenset()  # for which hints wake this session
        self.made: list[range] = []  # UIDs of new messages in the selected mailbox that are this session's own

    # -- what handlers use -------------------------------------------------------------------------------------

    @property
    def account_id(self) -> int:
        """The authenticated account; the core lets no command that needs one through before login."""
        assert self.account is not None
        return self.account.id

    @property
    def login_allowed(self) -> bool:
        """Passwords cross only TLS, or a wire that never leaves this machine."""
        return self.wire.secure or self.stream.both_loopback

    @property
    def hidden_capabilities(self) -> frozenset[str]:
        """What the configuration hides from this account and client."""
        masks = self.context.config.masks
        if not masks:
            return frozenset()
        return capability.hidden(masks, "" if self.account is None else self.account.address, self.client_name)

    @property
    def capabilities(self) -> str:
        """The list for the present state."""
        hide = self.hidden_capabilities
        if self.account is not None:
            return capability.authenticated(
                hide, append_limit=self.context.config.limits.message_octets_max, compressed=self.wire.compressed
            )
        return capability.before_login(
            hide,
            starttls=not self.wire.secure and self.context.certificates.current is not None,
            login_allowed=self.login_allowed,
            mechanisms=mechanisms(self.context.authenticator, self.wire.tls),
        )

    async def drain_if_high(self) -> None:
        """Sends what waits when it has grown past the mark, so that an answer of any size costs constant memory."""
        if self.wire.output_pending >= _OUTPUT_HIGH_OCTETS:
            await self.stream.drain(self.wire, timeouts.IMAP_WRITE)

    async def finish(self, tag: str, command: str, code: str = "", text: str = "") -> None:
        """Untagged updates, then the tagged OK. Raises NotFound when the mailbox has been deleted while it was read."""
        was_there = not self.mailbox_gone
        await updates.bring_up_to_date(self, command)
        if was_there and self.mailbox_gone and command.removeprefix("UID ") in updates.READS:
            # What was found may be a part, or nothing at all, and OK would pass it off as the whole.
            raise _core.NotFound("no such mailbox")
        self.wire.respond(tag, "OK", code, text or f"{command} completed")

    def wake(self) -> None:
        """Called from another task: something may have changed of what this session waits for."""
        self.woken = True
        if self.scope is not None:
            self.scope.cancel()

    # -- the loop ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until either side closes."""
        self.wire.greet("OK", f"CAPABILITY {self.capabilities}", f"{self.context.config.hostname} ironpost ready")
        while not self.closing:
            event = self.wire.next_event()
            if event is _core.NEED_DATA:
                await self._read()
            elif event is _core.PAUSED:
                raise _core.InternalError("the IMAP core is paused and nothing is owed")
            else:
                await self._handle(event)
        self.wire.close_tls()
        await self.stream.drain(self.wire, timeouts.IMAP_WRITE)

    async def _read(self) -> None:
        await self.stream.drain(self.wire, timeouts.IMAP_WRITE)
        if self.wire.inflate():
            # The next piece of what has come compressed; others get their turn first, as after a read.
            await trio.lowlevel.checkpoint()
            return
        if self.account is None:
            limit = timeouts.IMAP_LOGIN
        elif self.append is not None:
            limit = timeouts.IMAP_LITERAL
        else:
            limit = timeouts.IMAP_IDLE
        # Between commands the server may stop; in the middle of an APPEND or a login the client is heard out.
        calm = self.append is None and self.exchange is None
        self._listen()
        if not (self.places and calm):
            await self.stream.fill(self.wire, limit, interruptible=calm, dismissible=calm)
            return
        with trio.CancelScope() as scope:
            self.scope = scope
            if self.woken:
                # A hint came between the last look and now: it must not be slept through.
                scope.cancel()
            try:
                await self.stream.fill(self.wire, limit, interruptible=calm, dismissible=calm)
            finally:
                self.scope = None
        if self.woken:
            self.woken = False
            await notices.tell(self)

    def _listen(self) -> None:
        """Subscribes to hints as IDLE and NOTIFY ask for; then there is a look, so that nothing falls between the two."""
        places = notices.places(self)
        if places == self.places:
            return
        self.places = places
        if places:
            self.context.hints.subscribe(self, places, self.wake)
            self.woken = True
        else:
            self.context.hints.unsubscribe(self)
            self.woken = False

    async def _handle(self, event: object) -> None:
        match event:
            case _core.Command(tag, name, arguments):
                self.bad_commands = 0
                await self._command(tag, name, arguments)
            case _core.BodyReady():
                await append.body_ready(self)
            case _core.BodyEnd(nul=nul):
                append.body_end(self, nul)
            case _core.AppendBegin():
                await append.begin(self, event)
            case _core.IdleDone():
                await self._idle_done()
            case _core.AuthBegin(mechanism, initial):
                await authenticate.begin(self, mechanism, initial)
            case _core.AuthResponse(data):
                await authenticate.response(self, data)
            case _core.ImapBad(tag, kind, text, forgets):
                self._bad(tag, kind, text, forgets)
            case _core.Closed(reason):
                self.closing = True
                if self.wire.deflate_broken:
                    self.wire.respond("*", "BYE", "", "what came is not compressed data")
                self.log.debug("imap closed", reason=reason)
            case _:
                raise _core.InternalError(f"unknown IMAP event {event!r}")

    async def _command(self, tag: str, name: str, arguments: tuple[object, ...]) -> None:
        handler = HANDLERS.get(name)
        if handler is None:
            self.wire.respond(tag, "BAD", "", "unknown command")
            return
        if self.uid_only and name in _BY_NUMBER:
            self.wire.respond(tag, "BAD", "UIDREQUIRED", "message numbers are not used in this session")
            return
        try:
            await handler(self, tag, name, *arguments)
        except namespaces.NoRight as error:
            self.wire.respond(tag, "NO", "NOPERM", str(error))
        except _core.StoreFailed:
            raise
        except _core.StoreError as error:
            code, text = explain(error)
            self.log.info("imap command refused", command=name, error=str(error))
            self.wire.respond(tag, "NO", code, text)

    def _bad(self, tag: str | None, kind: str, text: str, forgets: bool) -> None:
        self.bad_commands += 1
        if self.append is not None:
            # What followed the literal was not the command's end: nothing is stored.
            self.append.discard()
            self.append = None
        if self.idle_tag is not None:
            # Whatever is not DONE ends the IDLE without an answer to guess at (RFC 2177).
            self._bye("", "expected DONE")
        elif self.bad_commands > _BAD_COMMANDS_MAX:
            self._bye("", "too many malformed commands")
        elif kind in _REFUSALS:
            if forgets and self.view is not None:
                self.view.forget_saved()
            self.wire.respond(tag or "*", "NO", _REFUSALS[kind], text)
        else:
            self.wire.respond(tag or "*", "BAD", "", text)

    async def _idle_done(self) -> None:
        tag, self.idle_tag = self.idle_tag, None
        if tag is not None:
            await self.finish(tag, "IDLE")

    def _bye(self, code: str, text: str) -> None:
        self.wire.respond("*", "BYE", code, text)
        self.wire.logout()
        self.closing = True


def explain(error: _core.StoreError) -> tuple[str, str]:
    """Response code (RFC 5530) and a text fit for the peer."""
    match error:
        case _core.NotFound():
            return "NONEXISTENT", "no such mailbox"
        case _core.AlreadyExists():
            return "ALREADYEXISTS", "the mailbox exists already"
        case _core.Refused() if str(error).endswith("UNKNOWN-CTE"):
            # BINARY of a part whose transfer encoding nobody knows (RFC 3516 §4.3).
            return "UNKNOWN-CTE", "the part's transfer encoding is unknown"
        case _core.Refused():
            return "CANNOT", str(error)
        case _core.OverQuota():
            return "OVERQUOTA", f"no room: {error}"
        case _core.StoreFull():
            return "OVERQUOTA", "no space left on the server"
        case _core.StoreCorrupt():
            return "CORRUPTION", "a message is damaged on the server"
        case _:
            return "UNAVAILABLE", "temporary failure, please try again"


async def serve(stream: MailStream, listener: ListenerConfig, context: WorkerContext) -> None:
    """Serves one accepted connection until it ends; catches and logs its own faults."""
    config = context.config
    wire = _core.ImapServer(
        tls=context.certificates.current if listener.implicit_tls else None,
        append_octets_max=config.limits.message_octets_max,
    )
    log = context.log.bind(service=listener.service, peer=stream.peer.host, session=context.session_id())
    session = Session(stream, wire, context, log)
    try:
        await session.run()
    except PeerTimeout:
        await _farewell(session, "", "autologout; idle for too long")
    except ServerDraining:
        await _farewell(session, "UNAVAILABLE", "the server is stopping, please connect again")
    except SessionDismissed as error:
        session.log.info("imap session dismissed", why=str(error))
        await _farewell(session, "", str(error))
    except ConnectionLost:
        log.debug("imap connection lost")
    except _core.TlsError as error:
        log.info("imap tls failed", error=str(error))
        await _flush(session)
    except (OutcomeUnknown, _core.StoreFailed) as error:
        # The outcome of a write is unknown: no tagged answer may pretend to know it.
        log.error("imap store failed", error=str(error))
        await _farewell(session, "UNAVAILABLE", "internal failure, please connect again")
    except Exception:
        log.exception("imap session failed")
        await _farewell(session, "SERVERBUG", f"internal failure, reference {log.reference}")
    finally:
        context.hints.unsubscribe(session)
        context.presence.leave(session.present)
        if session.append is not None:
            session.append.discard()
        await stream.close()


async def _farewell(session: Session, code: str, text: str) -> None:
    try:
        session.wire.respond("*", "BYE", code, text)
        session.wire.close_tls()
    except _core.CoreError as error:
        session.log.debug("imap farewell impossible", error=str(error))
        return
    await _flush(session)


async def _flush(session: Session) -> None:
    try:
        await session.stream.drain(session.wire, timeouts.FAREWELL)
    except (PeerTimeout, ConnectionLost, _core.CoreError) as error:
        session.log.debug("imap peer gone", error=str(cast("Exception", error)))
