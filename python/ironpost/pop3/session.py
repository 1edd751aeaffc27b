"""One POP3 connection (RFC 1939, 2449, 6856): a snapshot of INBOX; deletions are carried out at QUIT, on disk before +OK."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .. import _core
from ..errors import (
    AuthenticationBusy,
    AuthenticationFailed,
    ConnectionLost,
    PeerTimeout,
    SaslError,
    ServerDraining,
    SessionDismissed,
    TooManyFailures,
)
from ..identity import login
from ..identity.presence import Present, Proof
from ..runtime import timeouts
from ..state import uidls
from ..store.client import OutcomeUnknown
from .maildrop import Maildrop, Refusal

if TYPE_CHECKING:
    from ..config import ListenerConfig
    from ..context import WorkerContext
    from ..runtime.stream import MailStream
    from ..state.directory import Account

__all__ = ["Session", "serve"]

_BAD_COMMANDS_MAX = 25
# Octets of a message read from the store at a time.
_CHUNK_OCTETS = 131072


class Session:
    """State of one connection."""

    __slots__ = (
        "bad_commands",
        "closing",
        "context",
        "deleted",
        "exchange",
        "log",
        "maildrop",
        "messages",
        "present",
        "store",
        "stream",
        "uidls",
        "user",
        "view",
        "wire",
    )

    def __init__(self, stream: MailStream, wire: _core.Pop3Server, context: WorkerContext, log: Any) -> None:
        self.stream = stream
        self.wire = wire
        self.context = context
        self.store = context.store
        self.log = log
        self.user: str | None = None
        self.exchange: login.Login | None = None
        self.present: Present | None = None  # once logged in
        self.maildrop: Maildrop | None = None
        self.view: _core.MailboxView | None = None
        self.messages: list[tuple[int, int]] = []  # (uid, octets); message n is at n - 1
        self.deleted: set[int] = set()  # message numbers
        self.uidls: dict[int, str] | None = None  # by UID; read when they are asked for
        self.bad_commands = 0
        self.closing = False

    @property
    def login_allowed(self) -> bool:
        """Passwords cross only TLS, or a wire that never leaves this machine."""
        return self.wire.secure or self.stream.both_loopback

    async def run(self) -> None:
        """Serves until either side closes."""
        self.wire.greet(f"{self.context.config.hostname} ironpost POP3 ready")
        while not self.closing:
            event = self.wire.next_event()
            if event is _core.NEED_DATA:
                await self.stream.drain(self.wire, timeouts.POP3_WRITE)
                limit = timeouts.POP3_LOGIN if self.view is None else timeouts.POP3_IDLE
                # Before login nothing is lost when the server stops; a session with a maildrop may finish.
                calm = self.view is None
                await self.stream.fill(self.wire, limit, interruptible=calm, dismissible=True)
                continue
            match event:
                case _core.Pop3Command(name, arguments):
                    self.bad_commands = 0
                    await self._command(name, arguments)
                case _core.AuthBegin(mechanism, initial):
                    await self._auth_begin(mechanism, initial)
                case _core.AuthResponse(data):
                    await self._auth_response(data)
                case _core.Bad():
                    self._bad(event.text)
                case _core.Closed(reason):
                    self.closing = True
                    self.log.debug("pop3 closed", reason=reason)
                case _:
                    raise _core.InternalError(f"unknown POP3 event {event!r}")
        self.wire.close_tls()
        await self.stream.drain(self.wire, timeouts.POP3_WRITE)

    def release(self) -> None:
        """Gives the maildrop back."""
        if self.maildrop is not None:
            self.maildrop.release()
            self.maildrop = None

    # -- commands ------------------------------------------------------------------------------------------------

    async def _command(self, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            await _HANDLERS[name](self, *arguments)
        except _core.StoreFailed:
            raise
        except _core.StoreCorrupt as error:
            self.log.error("pop3 message damaged", error=str(error))
            self.wire.err("the message is damaged on the server", "SYS/PERM")
        except _core.StoreError as error:
            self.log.warning("pop3 command refused", command=name, error=str(error))
            self.wire.err("temporary failure, please try again", "SYS/TEMP")

    def _bad(self, text: str) -> None:
        self.bad_commands += 1
        self.wire.err(text)
        if self.bad_commands > _BAD_COMMANDS_MAX:
            self.closing = True

    async def capa(self) -> None:
        """CAPA (RFC 2449 §5)."""
        lines = ["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        logins = ["USER", "SASL " + " ".join(login.mechanisms(self.context.authenticator, self.wire.tls))]
        if self.view is None:
            if self.login_allowed:
                lines += logins
            if not self.wire.secure and self.context.certificates.current is not None:
                lines.append("STLS")
        else:
            lines += logins
        delay = math.ceil(self.context.config.pop3.login_delay)
        if delay:
            lines.append(f"LOGIN-DELAY {delay}")  # RFC 2449 §6.5; the same for all, so without USER
        lines += [self._expire(), "UTF8 USER", "LANG", "IMPLEMENTATION ironpost"]
        self.wire.ok_list("capabilities follow", lines)

    def _expire(self) -> str:
        """EXPIRE (RFC 2449 §6.7): for how many whole days a message stays in the maildrop."""
        for rule in self.context.config.expire:
            if rule.folder.upper() == "INBOX":
                return f"EXPIRE {int(rule.after // 86_400)}"
        return "EXPIRE NEVER"

    async def utf8(self) -> None:
        """UTF8 (RFC 6856 §2.1): nothing to switch; names, passwords and messages are UTF-8 in every session."""
        self.wire.ok("UTF-8 it is")

    async def language(self, tag: str | None = None) -> None:
        """LANG (RFC 6856 §3.2): our texts are English."""
        if tag is None:
            self.wire.ok_list("languages follow", ["en English", "i-default English"])
        elif (known := "en" if tag == "*" else tag.lower()) in ("en", "i-default"):
            self.wire.ok(f"{known} it is")
        else:
            self.wire.err("that language is not spoken here")

    async def stls(self) -> None:
        """STLS (RFC 2595 §4)."""
        config = self.context.certificates.current
        if self.wire.secure or config is None:
            self.wire.err("TLS is not available")
            return
        self.user = None
        self.wire.start_tls(config, "begin TLS now")

    async def name_user(self, name: str) -> None:
        """USER: says nothing on whether the name exists."""
        if not self.login_allowed:
            self.wire.err("start TLS first", "AUTH")
            return
        self.user = name
        self.wire.ok("now the password")

    async def password(self, password: str) -> None:
        """PASS."""
        user, self.user = self.user, None
        if user is None:
            self.wire.err("USER comes first")
            return
        authenticator, host = self.context.authenticator, self.stream.peer.host
        self.exchange = login.with_password(authenticator, user, password, host, "pop3")
        await self._auth_step(None)

    async def _auth_begin(self, mechanism: str, initial: bytes | None) -> None:
        if not self.login_allowed:
            self.wire.err("start TLS first", "AUTH")
            return
        authenticator, peer = self.context.authenticator, self.stream.peer.host
        self.exchange = login.begin(authenticator, mechanism, peer, "pop3", self.wire.tls)
        if self.exchange is None:
            self.wire.err("that mechanism is not offered", "AUTH")
            return
        await self._auth_step(initial)

    async def _auth_response(self, data: bytes | None) -> None:
        if data is None:
            self.exchange = None
            self.wire.err("authentication cancelled")
            return
        await self._auth_step(data)

    async def _auth_step(self, data: bytes | None) -> None:
        exchange = self.exchange
        assert exchange is not None
        try:
            outcome = await exchange.step(data)
        except SaslError as error:
            self._refuse(str(error), "AUTH")
        except TooManyFailures:
            self._refuse("too many failed logins, try again later", "SYS/TEMP")
            self.closing = True
        except AuthenticationBusy:
            self._refuse("the server is busy, try again", "SYS/TEMP")
        except AuthenticationFailed:
            self.log.info("login failed", user=exchange.user[:200])
            self._refuse(exchange.refusal, "AUTH")
        else:
            if isinstance(outcome, bytes):
                self.wire.auth_challenge(outcome)
                return
            self.exchange = None
            await self._open_maildrop(outcome, exchange.proof)

    def _refuse(self, text: str, code: str) -> None:
        self.exchange = None
        self.wire.err(text, code)

    async def _open_maildrop(self, account: Account, proof: Proof) -> None:
        config = self.context.config
        maildrop = Maildrop.open(config.runtime_folder, account.id, config.pop3.login_delay)
        if isinstance(maildrop, Refusal):
            self.wire.err(maildrop.text, maildrop.code)
            return
        self.maildrop = maildrop
        try:
            core = self.store.core
            self.view = await self.store.call(core.open_view(account.id, "INBOX", True))
            self.messages = await self.store.call(core.messages(self.view))
        except _core.StoreError as error:
            self.release()
            self.view = None
            if isinstance(error, _core.StoreFailed):
                raise
            self.log.warning("maildrop not opened", error=str(error))
            self.wire.err("temporary failure, please try again", "SYS/TEMP")
            return
        self.present = Present(self.log.reference, "pop3", account, proof, self.stream)
        self.present.secure = self.wire.secure
        self.context.presence.enter(self.present)
        self.log = self.log.bind(account=account.address)
        self.context.counters.add("pop3_logins")
        self.wire.authenticated()
        self.wire.ok(f"{len(self.messages)} messages")

    async def stat(self) -> None:
        """STAT."""
        count, octets = self._totals()
        self.wire.ok(f"{count} {octets}")

    async def list_(self, number: int | None = None) -> None:
        """LIST."""
        if number is not None:
            if self._present(number):
                self.wire.ok(f"{number} {self.messages[number - 1][1]}")
            return
        count, octets = self._totals()
        self.wire.ok_list(
            f"{count} messages ({octets} octets)",
            [f"{n} {size}" for n, (_, size) in enumerate(self.messages, 1) if n not in self.deleted],
        )

    async def uidl(self, number: int | None = None) -> None:
        """UIDL: UIDVALIDITY and UID name a message for ever; so does the id that it has brought from another server."""
        if number is not None:
            if self._present(number):
                self.wire.ok(f"{number} {self._unique_id(self.messages[number - 1][0])}")
            return
        self.wire.ok_list(
            "unique ids follow",
            [f"{n} {self._unique_id(uid)}" for n, (uid, _) in enumerate(self.messages, 1) if n not in self.deleted],
        )

    def _unique_id(self, uid: int) -> str:
        assert self.view is not None
        if self.uidls is None:
            self.uidls = self.context.directory.uidls.of(self.view.account, self.view.mailbox)
        return self.uidls.get(uid) or uidls.own(self.view.uid_validity, uid)

    async def retr(self, number: int) -> None:
        """RETR."""
        if not self._present(number):
            return
        uid, size = self.messages[number - 1]
        await self._send(uid, size, f"{size} octets")

    async def top(self, number: int, lines: int) -> None:
        """TOP."""
        if not self._present(number):
            return
        assert self.view is not None
        uid = self.messages[number - 1][0]
        size = await self._first(self.store.core.top_octets(self.view, uid, lines))
        if size is not None:
            await self._send(uid, size, "top of message follows")

    async def _send(self, uid: int, size: int, text: str) -> None:
        """Answers with the first `size` octets of a message, in chunks: a slow client holds one of them."""
        assert self.view is not None
        core = self.store.core
        chunk = await self._first(core.read_message(self.view, uid, 0, min(size, _CHUNK_OCTETS)))
        if chunk is None:
            return
        self.wire.begin_message(text)
        offset = 0
        while chunk:
            self.wire.message(chunk)
            offset += len(chunk)
            if self.wire.output_pending >= _CHUNK_OCTETS:
                await self.stream.drain(self.wire, timeouts.POP3_WRITE)
            if offset >= size:
                break
            length = min(size - offset, _CHUNK_OCTETS)
            try:
                chunk = await self.store.call(core.read_message(self.view, uid, offset, length))
            except _core.StoreError as error:
                # The answer has begun: ending it properly would pass off a part as the whole.
                self.log.error("pop3 message broke off", uid=uid, error=str(error))
                self.stream.abort()
                self.closing = True
                return
        self.wire.end_message()

    async def _first(self, ticket: int) -> Any:
        """What the first look at a message gives; `None` once the client has been told that it cannot be read."""
        try:
            return await self.store.call(ticket)
        except _core.NotFound:
            self.wire.err("the message has been removed by another session")
            return None

    async def dele(self, number: int) -> None:
        """DELE: only noted; QUIT carries it out."""
        if self._present(number):
            self.deleted.add(number)
            self.wire.ok(f"message {number} deleted")

    async def noop(self) -> None:
        """NOOP."""
        self.wire.ok()

    async def rset(self) -> None:
        """RSET."""
        self.deleted.clear()
        self.wire.ok(f"{len(self.messages)} messages")

    async def quit_(self) -> None:
        """QUIT: the UPDATE state; +OK only once the removals are on disk."""
        if self.view is not None and self.deleted:
            uids = [self.messages[number - 1][0] for number in sorted(self.deleted)]
            try:
                await self.store.call(self.store.core.expunge_uids(self.view, uids), write=True)
            except _core.StoreFailed:
                raise
            except _core.StoreError as error:
                self.log.warning("pop3 removals failed", error=str(error))
                self.wire.err("some deleted messages were not removed", "SYS/TEMP")
                self.closing = True
                return
        self.release()
        self.wire.ok("bye")
        self.closing = True

    def _totals(self) -> tuple[int, int]:
        if not self.deleted:
            return len(self.messages), sum(size for _, size in self.messages)
        alive = [size for n, (_, size) in enumerate(self.messages, 1) if n not in self.deleted]
        return len(alive), sum(alive)

    def _present(self, number: int) -> bool:
        if 1 <= number <= len(self.messages) and number not in self.deleted:
            return True
        self.wire.err("no such message")
        return False


_HANDLERS: dict[str, Callable[..., Awaitable[None]]] = {
    "CAPA": Session.capa,
    "DELE": Session.dele,
    "LANG": Session.language,
    "LIST": Session.list_,
    "NOOP": Session.noop,
    "PASS": Session.password,
    "QUIT": Session.quit_,
    "RETR": Session.retr,
    "RSET": Session.rset,
    "STAT": Session.stat,
    "STLS": Session.stls,
    "TOP": Session.top,
    "UIDL": Session.uidl,
    "USER": Session.name_user,
    "UTF8": Session.utf8,
}


async def _last_words(session: Session) -> None:
    """The alert that tells the peer that TLS ends, or why it has failed, if it still listens (RFC 8446 §6)."""
    try:
        await session.stream.drain(session.wire, timeouts.FAREWELL)
    except (PeerTimeout, ConnectionLost, _core.CoreError) as error:
        session.log.debug("pop3 peer gone", error=str(error))


async def serve(stream: MailStream, listener: ListenerConfig, context: WorkerContext) -> None:
    """Serves one accepted connection until it ends; catches and logs its own faults."""
    wire = _core.Pop3Server(tls=context.certificates.current if listener.implicit_tls else None)
    log = context.log.bind(service=listener.service, peer=stream.peer.host, session=context.session_id())
    session = Session(stream, wire, context, log)
    try:
        await session.run()
    except (PeerTimeout, ConnectionLost, ServerDraining) as error:
        # RFC 1939 §3: without QUIT nothing is removed.
        log.debug("pop3 connection ended", error=str(error))
    except SessionDismissed as error:
        # RFC 1939 §3, as for autologout: nothing may be said unasked, and nothing is removed.
        session.log.info("pop3 session dismissed", why=str(error))
        wire.close_tls()
        await _last_words(session)
    except _core.TlsError as error:
        log.info("pop3 tls failed", error=str(error))
        await _last_words(session)
    except (OutcomeUnknown, _core.StoreFailed) as error:
        log.error("pop3 store failed", error=str(error))
    except Exception:
        log.exception("pop3 session failed")
    finally:
        context.presence.leave(session.present)
        session.release()
        await stream.close()
