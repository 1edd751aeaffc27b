"""One SMTP or LMTP connection: events of the core to replies (RFC 5321, RFC 2033).

The core owns grammar and order of commands, the policy of the role decides about senders and recipients, the store
acknowledges. This file joins them: fill, take all events, send all replies at once, and wait again. Every wait on the
peer has a named limit; nothing raised here reaches the listener, save cancellation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import trio

from .. import _core
from ..errors import ConnectionLost, PeerTimeout, ServerDraining, SessionDismissed
from ..identity.login import Login, mechanisms
from ..runtime import timeouts
from ..store.client import OutcomeUnknown
from . import authentication, replies, trace
from .lmtp import LmtpPolicy
from .receive import MxPolicy, Policy, Transaction, over_quota
from .replies import Answer
from .settings import SmtpSettings, settings_of
from .submission import SubmissionPolicy

if TYPE_CHECKING:
    from ..config import ListenerConfig
    from ..context import WorkerContext
    from ..identity.presence import Present
    from ..runtime.stream import MailStream
    from ..state.directory import Account

REFUSED_RECIPIENTS_MAX: Final = 200  # unknown addresses in a connection: more is harvesting
OVERSHOOT_MAX: Final = 1000  # recipients beyond the limit of a transaction that are answered one by one
EVENTS_PER_TURN: Final = 64  # events of one peer before other sessions get theirs
OUTPUT_HIGH_OCTETS: Final = 32_768  # replies that may wait while a pipelined group goes on

_POLICIES: Final[dict[str, Policy]] = {
    "smtp": MxPolicy(),
    "lmtp": LmtpPolicy(),
    "submission": SubmissionPolicy("submission"),
    "submissions": SubmissionPolicy("submissions"),
}


async def serve(stream: MailStream, listener: ListenerConfig, context: WorkerContext) -> None:
    """Serves one accepted connection and closes it."""
    settings = settings_of(context.config)
    policy = _POLICIES[listener.service]
    tls = context.certificates.current if listener.implicit_tls else None
    wire = _core.SmtpServer(
        lmtp=policy.lmtp,
        tls=tls,
        message_octets_max=settings.message_octets_max,
        recipients_max=settings.recipients_max,
    )
    session = Session(stream, wire, policy, settings, context, handshaking=tls is not None)
    try:
        await session.run()
    except PeerTimeout:
        await session.farewell(replies.TIMEOUT.with_(hostname=settings.hostname))
    except ServerDraining:
        await session.farewell(replies.DRAINING.with_(hostname=settings.hostname))
    except SessionDismissed as error:
        context.log.info("session dismissed", service=listener.service, peer=stream.peer.host, why=str(error))
        await session.farewell(replies.DISMISSED.with_(why=str(error)))
    except ConnectionLost as error:
        context.log.info("connection lost", service=listener.service, peer=stream.peer.host, why=str(error) or "reset")
    except _core.TlsError as error:
        context.log.info("tls failed", service=listener.service, peer=stream.peer.host, why=str(error))
        await session.flush()
    except Exception:
        reference = context.session_id()
        context.log.exception("session failed", service=listener.service, peer=stream.peer.host, reference=reference)
        await session.farewell(replies.INTERNAL.with_(id=reference))
    finally:
        context.presence.leave(session.present)
        session.drop_transaction()
        with trio.CancelScope(deadline=trio.current_time() + timeouts.FAREWELL, shield=True):
            await stream.close()


class Session:
    """State of one connection beyond the core's."""

    __slots__ = (
        "account",
        "bad_commands",
        "closing",
        "context",
        "exchange",
        "extended",
        "handshaking",
        "hello",
        "idle_commands",
        "in_body",
        "overshoot",
        "peer_line",
        "policy",
        "present",
        "refused_recipients",
        "settings",
        "store",
        "stream",
        "transaction",
        "wire",
    )

    def __init__(
        self,
        stream: MailStream,
        wire: _core.SmtpServer,
        policy: Policy,
        settings: SmtpSettings,
        context: WorkerContext,
        *,
        handshaking: bool = False,
    ) -> None:
        self.stream = stream
        self.wire = wire
        self.policy = policy
        self.settings = settings
        self.context = context
        self.store = context.store
        self.account: Account | None = None
        self.exchange: Login | None = None
        self.present: Present | None = None  # once logged in
        self.hello = ""
        self.extended = False
        self.peer_line = ""  # cached start of the Received field
        self.transaction: Transaction | None = None
        self.in_body = False
        self.closing = False
        self.bad_commands = 0
        self.idle_commands = 0
        self.refused_recipients = 0
        self.overshoot = 0
        self.handshaking = handshaking

    # -- the loop ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves until either side closes. Raises PeerTimeout, ConnectionLost, TlsError."""
        stream = self.stream
        wire = self.wire
        wire.greet(220, f"{self.settings.hostname} {'LMTP' if self.policy.lmtp else 'ESMTP'} ironpost")
        await stream.drain(wire, timeouts.SMTP_WRITE)
        while True:
            if self.in_body:
                more = await stream.fill(wire, timeouts.SMTP_DATA)
            elif self.handshaking:
                more = await stream.fill(wire, timeouts.TLS_HANDSHAKE)
                self.handshaking = not wire.secure
            else:  # between transactions the server may stop without harm
                calm = self.transaction is None
                more = await stream.fill(wire, timeouts.SMTP_COMMAND, interruptible=calm, dismissible=True)
            await self._take_events()
            if wire.output_pending:
                await stream.drain(wire, timeouts.SMTP_WRITE)
            if self.closing or not more:
                wire.close_tls()
                if wire.output_pending:
                    await stream.drain(wire, timeouts.FAREWELL)
                return

    async def _take_events(self) -> None:
        next_event = self.wire.next_event
        handlers = HANDLERS
        turn = EVENTS_PER_TURN
        while True:
            event = next_event()
            handler = handlers.get(type(event))
            if handler is None:
                if event is _core.PAUSED:
                    raise RuntimeError(f"the core waits for a decision in state {self.wire.state}")
                return
            pending = handler(self, event)
            if pending is not None:
                await pending
            if self.closing:
                return
            turn -= 1
            if not turn:
                turn = EVENTS_PER_TURN
                if self.wire.output_pending >= OUTPUT_HIGH_OCTETS:
                    await self.stream.drain(self.wire, timeouts.SMTP_WRITE)
                await trio.lowlevel.checkpoint()

    async def farewell(self, answer: Answer) -> None:
        """A last reply, if the state and the peer let it through."""
        try:
            self.wire.reply(answer.code, answer.enhanced, answer.text)
            self.wire.close_tls()
        except _core.CoreError as error:
            self.context.log.debug("no farewell", peer=self.stream.peer.host, why=str(error))
            return
        await self.flush()

    async def flush(self) -> None:
        """What waits to be sent, a TLS alert perhaps, if the peer lets it through."""
        try:
            await self.stream.drain(self.wire, timeouts.FAREWELL)
        except (_core.CoreError, PeerTimeout, ConnectionLost) as error:
            self.context.log.debug("no last words", peer=self.stream.peer.host, why=str(error))

    def close_with(self, answer: Answer) -> None:
        """Answers the pending event with a 421 (or the like) and ends the connection."""
        self.answer(answer)
        self.closing = True

    def answer(self, answer: Answer) -> None:
        """Replies to the pending event."""
        self.wire.reply(answer.code, answer.enhanced, answer.text)

    def drop_transaction(self) -> None:
        """Forgets the transaction and what was gathered of its message."""
        transaction = self.transaction
        if transaction is not None:
            if transaction.sink is not None:
                transaction.sink.discard()
            self.transaction = None
        self.in_body = False

    @property
    def login_allowed(self) -> bool:
        """Passwords cross only TLS, or a wire that never leaves this machine."""
        return self.wire.secure or self.stream.both_loopback

    # -- greeting and session commands -------------------------------------------------------------------------

    def on_hello(self, event: _core.Helo) -> None:
        if self._refuse_when_draining() or self._idle():
            return
        self.drop_transaction()
        self.hello = event.name
        self.extended = event.verb != "HELO"
        self.peer_line = ""
        self.wire.reply_hello(self.settings.hostname, self._extensions() if self.extended else ())

    def _extensions(self) -> list[str]:
        names = [
            "PIPELINING",
            f"SIZE {self.settings.message_octets_max}",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "SMTPUTF8",
            "CHUNKING",
            "DSN",
        ]
        if not self.wire.secure and self.context.certificates.current is not None:
            names.append("STARTTLS")
        if self.policy.offers_auth and self.account is None and self.login_allowed:
            names.append("AUTH " + " ".join(mechanisms(self.context.authenticator, self.wire.tls)))
        names.append("HELP")
        return names

    def on_noop(self, _: _core.Noop) -> None:
        if not self._refuse_when_draining() and not self._idle():
            self.answer(replies.NOOP_OK)

    def on_help(self, _: _core.Help) -> None:
        if not self._idle():
            self.answer(replies.HELP.with_(hostname=self.settings.hostname))

    def on_verify(self, event: _core.Verify) -> None:
        if not self._idle():
            self.answer(replies.EXPAND if event.verb == "EXPN" else replies.VERIFY)

    def on_reset(self, _: _core.Reset) -> None:
        self.drop_transaction()
        if not self._idle():
            self.answer(replies.RESET_OK)

    def on_quit(self, _: _core.Quit) -> None:
        self.drop_transaction()
        self.close_with(replies.BYE.with_(hostname=self.settings.hostname))

    def on_bad(self, event: _core.Bad) -> None:
        if event.code == 452:  # too many recipients is no fault of grammar: the peer sends the rest later
            self.overshoot += 1
            if self.overshoot > OVERSHOOT_MAX:
                self.close_with(replies.TOO_MANY_ERRORS)
            else:
                self.wire.reply(event.code, event.enhanced, event.text)
            return
        self.bad_commands += 1
        if self.bad_commands > self.settings.errors_per_session:
            self.close_with(replies.TOO_MANY_ERRORS)
        else:
            self.wire.reply(event.code, event.enhanced, event.text)

    def on_closed(self, event: _core.Closed) -> None:
        self.closing = True
        if self.transaction is not None or event.reason not in ("eof", "closed"):
            self.context.log.info("connection closed", peer=self.stream.peer.host, why=event.reason)

    def on_start_tls(self, _: _core.StartTls) -> None:
        config = self.context.certificates.current
        if self.wire.secure:
            self.answer(replies.TLS_ACTIVE)
        elif config is None:
            self.answer(replies.TLS_UNAVAILABLE)
        elif not self._refuse_when_draining():
            # RFC 3207 §4.2: all that was said before the handshake is forgotten.
            self.drop_transaction()
            self.hello = ""
            self.extended = False
            self.account = None
            self.context.presence.leave(self.present)
            self.present = None
            self.peer_line = ""
            self.handshaking = True
            self.wire.start_tls(config, replies.TLS_READY.enhanced, replies.TLS_READY.text)

    def on_auth_begin(self, event: _core.AuthBegin) -> Awaitable[None] | None:
        return authentication.begin(self, event)

    def on_auth_response(self, event: _core.AuthResponse) -> Awaitable[None] | None:
        return authentication.response(self, event)

    def _refuse_when_draining(self) -> bool:
        if self.context.draining.is_set():
            self.close_with(replies.DRAINING.with_(hostname=self.settings.hostname))
            return True
        return False

    def _idle(self) -> bool:
        """Counts a command that brings no message nearer; True when that was one too many and was answered so."""
        self.idle_commands += 1
        if self.idle_commands > self.settings.idle_commands_max:
            self.close_with(replies.NO_PROGRESS)
            return True
        return False

    # -- envelope ----------------------------------------------------------------------------------------------

    def on_mail(self, event: _core.Mail) -> None:
        if self._refuse_when_draining():
            return
        self.drop_transaction()
        refusal = self._refuse_mail(event)
        if refusal is not None:
            if not self._idle():
                self.answer(refusal)
            return
        self.transaction = Transaction(event)
        self.answer(replies.SENDER_OK)

    def _refuse_mail(self, event: _core.Mail) -> Answer | None:
        settings = self.settings
        if event.size is not None and event.size > settings.message_octets_max:
            return replies.SIZE_REFUSED.with_(limit=settings.message_octets_max)
        if not event.smtputf8 and not event.address.isascii():
            return replies.UTF8_REFUSED
        condition = self.store.condition(settings.min_free_octets + (event.size or 0))
        if condition == "full":
            return replies.DISK_FULL
        if condition == "slow":
            return replies.STORE_BUSY
        return self.policy.sender(self, event)

    def on_rcpt(self, event: _core.Rcpt) -> None:
        transaction = self.transaction
        if transaction is None:  # the core lets none through; a safe answer all the same
            self.answer(replies.NO_RECIPIENTS)
            return
        if len(transaction.recipients) >= self.settings.recipients_max:
            self.answer(replies.TOO_MANY_RECIPIENTS)
            return
        if not event.address.isascii() and not transaction.mail.smtputf8:
            refusal: Answer | None = replies.UTF8_REFUSED
        else:
            refusal = self.policy.recipient(self, transaction, event)
        if refusal is None:
            transaction.recipients.append(event.address)
            self.answer(replies.RECIPIENT_OK)
            return
        if refusal.code >= 500:
            self.refused_recipients += 1
        else:  # told to come again, which is no harvesting, and has an end all the same
            self.overshoot += 1
        self.context.log.info(
            "recipient refused",
            peer=self.stream.peer.host,
            sender=transaction.mail.address,
            recipient=event.address,
            code=refusal.code,
            enhanced=refusal.enhanced,
        )
        if self.refused_recipients > REFUSED_RECIPIENTS_MAX or self.overshoot > OVERSHOOT_MAX:
            self.close_with(replies.TOO_MANY_ERRORS)
        else:
            self.answer(refusal)

    # -- body --------------------------------------------------------------------------------------------------

    def on_data(self, _: _core.DataBegin) -> None:
        refusal = self._open_sink()
        if refusal is None:
            self.in_body = True
            self.wire.accept_data()
        else:
            self.answer(refusal)

    def on_chunk(self, event: _core.BdatBegin) -> None:
        transaction = self.transaction
        refusal = self._open_sink() if transaction is None or transaction.sink is None else None
        if refusal is None:
            self.in_body = True
            self.wire.accept_data()
        else:
            self.answer(refusal)
            self.drop_transaction()  # RFC 3030 §2: a failed chunk fails the transaction

    def _open_sink(self) -> Answer | None:
        transaction = self.transaction
        if transaction is None or not transaction.recipients:
            return replies.NO_RECIPIENTS
        try:
            transaction.sink = self.store.core.sink(size_hint=transaction.mail.size or 0)
        except _core.StoreFull:
            return replies.DISK_FULL
        except _core.StoreBusy:
            return replies.STORE_BUSY
        return None

    def on_body(self, _: _core.BodyReady) -> Awaitable[None] | None:
        transaction = self.transaction
        if transaction is None or transaction.sink is None or self.wire.message_too_big:
            self.wire.discard_body()
            return None
        if self.wire.feed_sink(transaction.sink):
            return None
        return self._feed(transaction.sink)

    async def _feed(self, sink: _core.Sink) -> None:
        """Waits until the sink has room, as often as it takes."""
        store = self.store
        while True:
            await store.call(store.core.wait_sink(sink))
            if self.wire.feed_sink(sink):
                return

    def on_chunk_end(self, event: _core.ChunkEnd) -> None:
        self.in_body = False
        self.answer(replies.CHUNK_OK.with_(size=event.size))

    async def on_body_end(self, event: _core.BodyEnd) -> None:
        transaction = self.transaction
        self.in_body = False
        if transaction is None or transaction.sink is None:
            self._answer_message(replies.NO_RECIPIENTS, 1, {})
            return
        identifier = self.context.session_id()
        refusal = self._refuse_body(transaction.sink, event)
        if refusal is None:
            answer = await self._store(transaction, identifier)
        else:
            answer = refusal
        recipients = len(transaction.recipients)
        refused = transaction.refused
        stored = answer.code < 400 and len(refused) < recipients
        told = answer if stored or not refused else refused[0]
        self.context.log.info(
            "message stored" if stored else "message refused",
            id=identifier,
            service=self.policy.name,
            peer=self.stream.peer.host,
            account=self.account.address if self.account else None,
            sender=transaction.mail.address,
            recipients=recipients,
            size=event.size,
            reply=f"{told.code} {told.enhanced}",
            over_quota=len(refused) or None,
        )
        if answer.code < 400:
            transaction.sink = None  # the store has it
        if stored:
            self.idle_commands = 0
            self.context.counters.add("messages_accepted")
        self._answer_message(answer, recipients, refused)
        self.drop_transaction()

    def _answer_message(self, answer: Answer, recipients: int, refused: Mapping[int, Answer]) -> None:
        for place in range(recipients if self.policy.lmtp else 1):
            self.answer(refused.get(place, answer))

    def _refuse_body(self, sink: _core.Sink, event: _core.BodyEnd) -> Answer | None:
        if self.wire.message_too_big:
            return replies.SIZE_REFUSED.with_(limit=self.settings.message_octets_max)
        if event.bare_cr:
            return replies.BARE_CR
        if event.bare_lf:
            return replies.BARE_LF
        if event.nul:
            return replies.NUL
        if sink.failed:
            return replies.DISK_FULL
        limit = self.settings.header_octets_max
        if event.size >= limit and len(sink.header()) >= limit:
            return replies.HEADER_TOO_BIG.with_(limit=limit)
        if sink.hops() > self.settings.hops_max:
            return replies.LOOP.with_(limit=self.settings.hops_max)
        return None

    async def _store(self, transaction: Transaction, identifier: str) -> Answer:
        try:
            return await self.policy.store(self, transaction, identifier)
        except _core.OverQuota as error:
            self.context.log.info("over quota", id=identifier, why=str(error))
            return over_quota(self, transaction)
        except _core.StoreFull:
            return replies.DISK_FULL
        except _core.StoreBusy:
            return replies.STORE_BUSY
        except OutcomeUnknown:
            self.context.log.error("commit outcome unknown", id=identifier)
            self.closing = True
            return replies.OUTCOME_UNKNOWN
        except _core.StoreError as error:
            self.context.log.error("store failed", id=identifier, why=str(error))
            return replies.STORE_ERROR.with_(id=identifier)

    def received_field(self, transaction: Transaction, identifier: str) -> str:
        """The Received field of a message of this session."""
        if not self.peer_line:
            tls = self.wire.tls
            self.peer_line = trace.received_peer(
                self.hello,
                self.stream.peer.host,
                self.settings.hostname,
                f"{tls.version}, {tls.cipher}" if tls is not None else "",
            )
        word = trace.protocol(
            lmtp=self.policy.lmtp,
            extended=self.extended,
            secure=self.wire.secure,
            authenticated=self.account is not None,
            utf8=transaction.mail.smtputf8,
        )
        recipients = transaction.recipients
        return trace.received(self.peer_line, word, identifier, recipients[0] if len(recipients) == 1 else "")


Handler = Callable[[Session, Any], Awaitable[None] | None]
HANDLERS: Final[dict[type, Handler]] = {
    _core.Helo: Session.on_hello,
    _core.Mail: Session.on_mail,
    _core.Rcpt: Session.on_rcpt,
    _core.DataBegin: Session.on_data,
    _core.BdatBegin: Session.on_chunk,
    _core.BodyReady: Session.on_body,
    _core.ChunkEnd: Session.on_chunk_end,
    _core.BodyEnd: Session.on_body_end,
    _core.AuthBegin: Session.on_auth_begin,
    _core.AuthResponse: Session.on_auth_response,
    _core.StartTls: Session.on_start_tls,
    _core.Reset: Session.on_reset,
    _core.Verify: Session.on_verify,
    _core.Help: Session.on_help,
    _core.Noop: Session.on_noop,
    _core.Quit: Session.on_quit,
    _core.Bad: Session.on_bad,
    _core.Closed: Session.on_closed,
}
