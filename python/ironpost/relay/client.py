"""One connection to another server and the messages that go over it (RFC 5321 client side, RFC 2033 for LMTP routes).

The core keeps pipelining and the order of replies; this file keeps what to say when, and reduces every end of it to one
outcome per recipient. When in doubt an outcome is temporary. A message is sent in chunks straight from the queue.
8-bit octets go as they are to a peer without 8BITMIME: re-encoding would break signatures, and such peers are all but
extinct.
"""

from __future__ import annotations

import socket as sockets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from .. import _core
from ..errors import ConnectionLost, PeerTimeout
from ..runtime import timeouts
from ..runtime.stream import MailStream, is_loopback
from .outcome import Outcome
from .settings import TLS_IMPLICIT, TLS_NONE, TLS_OPPORTUNISTIC, TLS_VERIFY

if TYPE_CHECKING:
    from ..store.queue import QueueRecipient, QueueState
    from .destination import Hop

CHUNK_OCTETS: Final = 131_072  # of a message in memory at once
RECIPIENTS_PER_TRANSACTION: Final = 100  # what every server must take (RFC 5321 §4.5.3.1.8)
PASSWORD_OCTETS_MAX: Final = 4096
REPLY_CHARACTERS_MAX: Final = 400  # of a peer's reply kept for reports and lists

Read = Callable[[int, int], Awaitable[bytes]]  # (offset, length) of prefix and body


class HopFailed(Exception):
    """This address cannot be used now; the next one may."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


class TlsFailed(Exception):
    """Everything was well until the handshake began."""


class Broken(Exception):
    """The connection has ended amid a transaction."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent."""

    state: QueueState
    size: int
    read: Read


class Connection:
    """An SMTP session that is ready for MAIL."""

    __slots__ = ("_lmtp", "_stream", "_wire", "alive", "body_begun", "hop", "messages")

    def __init__(self, hop: Hop, stream: MailStream, wire: _core.SmtpClient, *, lmtp: bool) -> None:
        self.hop = hop
        self._stream = stream
        self._wire = wire
        self._lmtp = lmtp
        self.alive = True
        self.messages = 0
        self.body_begun = False  # of the last message: the peer may have taken it although no reply came

    @property
    def secure(self) -> bool:
        """Under TLS."""
        return self._wire.secure

    @classmethod
    async def open(cls, hop: Hop, hostname: str) -> Connection:
        """Connects, greets, goes to TLS and logs in as the hop asks. Raises HopFailed."""
        if hop.tls == TLS_OPPORTUNISTIC:
            try:
                return await cls._open(hop, hostname, hop.tls)
            except (TlsFailed, _core.TlsError):
                # RFC 7435: unverified TLS that fails is no worse than none; the peer is asked again without it.
                return await cls._open(hop, hostname, TLS_NONE)
        try:
            return await cls._open(hop, hostname, hop.tls)
        except (TlsFailed, _core.TlsError) as error:
            raise HopFailed(Outcome(454, "4.7.5", f"TLS with {hop.name} failed: {error}")) from None

    @classmethod
    async def _open(cls, hop: Hop, hostname: str, tls: str) -> Connection:
        stream = await _connect(hop)
        lmtp = hop.route is not None and hop.route.lmtp
        implicit = await _tls_config(hop, verify=True) if tls == TLS_IMPLICIT else None
        wire = _core.SmtpClient(lmtp=lmtp, tls=implicit, server_name=hop.name)
        self = cls(hop, stream, wire, lmtp=lmtp)
        ready = False
        try:
            greeting = await self._reply("greeting", timeouts.CLIENT_GREETING)
            if greeting.code != 220:
                raise HopFailed(_outcome(greeting).temporary())
            await self._hello(hostname)
            if tls not in (TLS_NONE, TLS_IMPLICIT):
                await self._start_tls(hostname, tls)
            await self._log_in()
            ready = True
            return self
        except Broken as error:
            raise HopFailed(error.outcome) from None
        finally:
            if not ready:
                stream.abort()

    async def _hello(self, hostname: str) -> None:
        self._wire.hello(hostname)
        reply = await self._reply("LHLO" if self._lmtp else "EHLO", timeouts.CLIENT_HELLO)
        if reply.code // 100 == 5 and not self._lmtp:
            self._wire.helo(hostname)
            reply = await self._reply("HELO", timeouts.CLIENT_HELLO)
        if reply.code // 100 != 2:
            raise HopFailed(_outcome(reply).temporary())

    async def _start_tls(self, hostname: str, tls: str) -> None:
        must = tls != TLS_OPPORTUNISTIC
        if "STARTTLS" not in self._wire.extensions:
            if must:
                raise HopFailed(Outcome(454, "4.7.5", f"{self.hop.name} offers no STARTTLS, which is required"))
            return
        self._wire.start_tls()
        reply = await self._reply("STARTTLS", timeouts.CLIENT_HELLO)
        if reply.code != 220:
            if must:
                raise HopFailed(_outcome(reply).temporary())
            return
        config = await _tls_config(self.hop, verify=tls == TLS_VERIFY)
        try:
            self._wire.begin_tls(config, self.hop.name)
            await self._hello(hostname)
        except Broken as error:  # many a peer just hangs up on a handshake that it does not like
            raise TlsFailed(error.outcome.text) from None

    async def _log_in(self) -> None:
        route = self.hop.route
        if route is None or not route.user:
            return
        if not self._wire.secure and not is_loopback(self.hop.address):
            raise HopFailed(Outcome(454, "4.7.5", f"{self.hop.name} gave no TLS, so no password is sent"))
        offered = self._wire.extensions.get("AUTH", "").upper().split()
        try:
            password = await _password(route.password_path)
        except OSError as error:
            why = f"password file of route {route.host}: {error.strerror}"
            raise HopFailed(Outcome(454, "4.7.0", why)) from None
        if "PLAIN" in offered:
            self._wire.auth_plain(route.user, password)
        elif "LOGIN" in offered:
            self._wire.auth_login(route.user, password)
        else:
            raise HopFailed(Outcome(454, "4.7.0", f"{self.hop.name} offers neither AUTH PLAIN nor LOGIN"))
        reply = await self._reply("AUTH", timeouts.CLIENT_AUTH)
        if reply.code != 235:  # the administrator can mend it, so the mail is kept
            raise HopFailed(_outcome(reply).temporary())

    async def send(self, message: Message) -> list[Outcome]:
        """One outcome for each recipient of the message's state. Never raises for what the peer does.

        `alive` tells whether the connection can take another message.
        """
        recipients = message.state.recipients
        outcomes: list[Outcome] = []
        self.body_begun = False
        for start in range(0, len(recipients), RECIPIENTS_PER_TRANSACTION):
            part = recipients[start : start + RECIPIENTS_PER_TRANSACTION]
            outcomes += await self._transaction(message, part)
        self.messages += 1
        return outcomes

    async def _transaction(self, message: Message, recipients: Sequence[QueueRecipient]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        if not self.alive:
            return [_finding(421, "4.4.2", f"Connection to {self.hop.name} was lost")] * len(recipients)
        try:
            refusal = await self._refuse_before(message)
            if refusal is not None:
                return [refusal] * len(recipients)
            outcomes.update(self._refuse_recipients(message, recipients))
            if len(outcomes) < len(recipients):
                await self._dialogue(message, recipients, outcomes)
        except Broken as error:
            self.abandon()
            lost = error.outcome
        except _core.TlsError as error:
            self.abandon()
            lost = _finding(421, "4.7.5", f"TLS with {self.hop.name} failed: {error}")
        except _core.LocalMisuse as error:
            # A bare CR or LF in a message that we hold, which no peer may be sent.
            self.abandon()
            lost = _finding(550, "5.6.0", f"Message cannot be sent over SMTP: {error}")
        else:
            lost = _finding(451, "4.3.0", "no reply for this recipient")
        return [outcomes.get(index, lost) for index in range(len(recipients))]

    async def _refuse_before(self, message: Message) -> Outcome | None:
        """What the peer's own announcements rule out, without asking."""
        extensions = self._wire.extensions
        limit = extensions.get("SIZE", "")
        if limit.isdigit() and 0 < int(limit) < message.size:
            return _finding(552, "5.3.4", f"Message of {message.size} octets is larger than {self.hop.name} takes")
        if message.state.smtputf8 and "SMTPUTF8" not in extensions and await _needs_utf8(message):
            return self._no_utf8()
        return None

    def _refuse_recipients(self, message: Message, recipients: Sequence[QueueRecipient]) -> dict[int, Outcome]:
        """Recipients that cannot even be named to this peer; the others get the message all the same."""
        if not message.state.smtputf8 or "SMTPUTF8" in self._wire.extensions:
            return {}
        return {at: self._no_utf8() for at, recipient in enumerate(recipients) if not recipient.address.isascii()}

    def _no_utf8(self) -> Outcome:
        return _finding(550, "5.6.7", f"{self.hop.name} does not take internationalized mail (SMTPUTF8)")

    async def _dialogue(
        self, message: Message, recipients: Sequence[QueueRecipient], outcomes: dict[int, Outcome]
    ) -> None:
        state = message.state
        wire = self._wire
        dsn = "DSN" in wire.extensions
        wire.mail(state.sender, mail_parameters(state, message.size, wire.extensions))
        named = [index for index in range(len(recipients)) if index not in outcomes]
        for index in named:
            wire.rcpt(recipients[index].address, rcpt_parameters(recipients[index]) if dsn else ())
        mail = await self._reply("MAIL", timeouts.CLIENT_MAIL)
        accepted: list[int] = []
        for index in named:
            reply = await self._reply("RCPT", timeouts.CLIENT_RCPT)
            if mail.code // 100 != 2:
                outcomes[index] = _outcome(mail)
            elif reply.code // 100 == 2:
                accepted.append(index)
            else:
                outcomes[index] = _outcome(reply)
        if accepted:
            wire.data()
            go = await self._reply("DATA", timeouts.CLIENT_DATA_INIT)
            if go.code != 354:
                for index in accepted:
                    outcomes[index] = _outcome(go) if go.code >= 400 else _outcome(go).temporary()
                accepted = []
        if not accepted:
            wire.reset()
            await self._reply("RSET", timeouts.CLIENT_HELLO)
            return
        await self._body(message)
        if self._lmtp:
            for index in accepted:
                outcomes[index] = _outcome(await self._reply("BODY", timeouts.CLIENT_DATA_END))
        else:
            end = _outcome(await self._reply("BODY", timeouts.CLIENT_DATA_END))
            for index in accepted:
                outcomes[index] = end._replace(dsn_passed_on=dsn)

    async def _body(self, message: Message) -> None:
        offset = 0
        self.body_begun = True
        while offset < message.size:
            chunk = await message.read(offset, min(CHUNK_OCTETS, message.size - offset))
            if not chunk:  # never end a truncated message properly: the peer would take it
                raise Broken(_finding(451, "4.3.0", "The message cannot be read from the queue"))
            self._wire.body(chunk)
            offset += len(chunk)
            await self._drain(timeouts.CLIENT_DATA_BLOCK)
        self._wire.end_body()

    async def quit(self) -> None:
        """QUIT, within a short limit, and close."""
        try:
            if self.alive:
                self.alive = False
                self._wire.quit()
                await self._reply("QUIT", timeouts.CLIENT_QUIT)
                self._wire.close_tls()
                await self._drain(timeouts.CLIENT_QUIT)
                await self._stream.close()
        except (Broken, _core.CoreError):
            pass  # the mail is in its hands already; how it hangs up is its affair
        finally:
            self._stream.abort()  # nothing, once it is closed

    def abandon(self) -> None:
        """Resets the connection: nothing under way on it counts."""
        self.alive = False
        self._stream.abort()

    async def _drain(self, limit: float) -> None:
        try:
            await self._stream.drain(self._wire, limit)
        except (ConnectionLost, PeerTimeout) as error:
            raise Broken(_finding(421, "4.4.2", f"Connection to {self.hop.name} was lost: {error}")) from None

    async def _reply(self, command: str, limit: float) -> _core.Reply:
        """The next reply, which must be to `command`; a 421 or a broken grammar ends the connection. Raises Broken."""
        wire = self._wire
        more = True
        while True:
            event = wire.next_event()
            if isinstance(event, _core.Reply):
                if event.command != command:
                    raise Broken(_finding(421, "4.5.0", f"{self.hop.name} answered {event.command} and not {command}"))
                if event.code == 421 and command != "QUIT":
                    raise Broken(_outcome(event))
                return event
            if isinstance(event, _core.Closed):
                raise Broken(_finding(421, "4.4.2", f"{self.hop.name} closed the connection ({event.reason})"))
            if not more:
                raise Broken(_finding(421, "4.4.2", f"{self.hop.name} closed the connection"))
            await self._drain(min(limit, timeouts.CLIENT_WRITE))
            try:
                more = await self._stream.fill(wire, limit)
            except PeerTimeout:
                why = f"{self.hop.name} did not answer {command} for {limit:g} s"
                raise Broken(_finding(421, "4.4.2", why)) from None
            except ConnectionLost as error:
                raise Broken(_finding(421, "4.4.2", f"Connection to {self.hop.name} was lost: {error}")) from None


def mail_parameters(state: QueueState, size: int, extensions: dict[str, str]) -> list[str]:
    """Parameters of MAIL that the peer understands (RFC 1870, RFC 6152, RFC 6531, RFC 3461)."""
    parameters: list[str] = []
    if "SIZE" in extensions:
        parameters.append(f"SIZE={size}")
    if state.body and "8BITMIME" in extensions:
        parameters.append(f"BODY={state.body}")
    if state.smtputf8 and "SMTPUTF8" in extensions:
        parameters.append("SMTPUTF8")
    if "DSN" in extensions:
        if state.ret:
            parameters.append(f"RET={state.ret}")
        if state.envid:
            parameters.append(f"ENVID={xtext(state.envid)}")
    return parameters


def rcpt_parameters(recipient: QueueRecipient) -> list[str]:
    """NOTIFY and ORCPT for a peer with DSN (RFC 3461 §4.1, §4.2)."""
    parameters: list[str] = []
    if recipient.notify:
        parameters.append("NOTIFY=" + ",".join(recipient.notify))
    if recipient.orcpt and recipient.orcpt.isascii():
        kind, semicolon, address = recipient.orcpt.partition(";")
        if semicolon:
            parameters.append(f"ORCPT={kind};{xtext(address)}")
    return parameters


def xtext(text: str) -> str:
    """RFC 3461 §4: printable ASCII without `+` and `=`, the rest as +XX."""
    return "".join(
        chr(octet) if 33 <= octet <= 126 and octet not in b"+=" else f"+{octet:02X}"
        for octet in text.encode("utf-8", "surrogateescape")
    )


def _finding(code: int, enhanced: str, text: str) -> Outcome:
    """What no peer has said: a report must not put it into its mouth (RFC 3464 §2.3.6)."""
    return Outcome(code, enhanced, text, found=True)


def _outcome(reply: _core.Reply) -> Outcome:
    text = " ".join(" ".join(reply.lines).split())[:REPLY_CHARACTERS_MAX]
    if 200 <= reply.code < 300 or 400 <= reply.code < 600:
        code = reply.code
    else:  # a 3xx where none belongs
        code = 451
    enhanced = reply.enhanced if reply.enhanced[:1] == str(code)[0] else f"{code // 100}.0.0"
    return Outcome(code, enhanced, text)


async def _connect(hop: Hop) -> MailStream:
    family = sockets.AF_INET6 if ":" in hop.address else sockets.AF_INET
    try:
        connection = trio.socket.socket(family, sockets.SOCK_STREAM)
    except OSError as error:
        raise HopFailed(Outcome(451, "4.4.1", f"{hop.name}[{hop.address}]: {error.strerror}")) from None
    connected = False
    try:
        with trio.fail_after(timeouts.CONNECT):
            await connection.connect((hop.address, hop.port))
        connection.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        connected = True
        return MailStream(connection)
    except trio.TooSlowError:
        raise HopFailed(Outcome(451, "4.4.1", f"{hop.name}[{hop.address}] did not answer")) from None
    except (OSError, ConnectionLost) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise HopFailed(Outcome(451, "4.4.1", f"{hop.name}[{hop.address}]:{hop.port}: {why}")) from None
    finally:
        if not connected:
            connection.close()


@lru_cache(maxsize=16)
def _plain_config() -> _core.TlsClientConfig:
    return _core.TlsClientConfig(verify=False)


@lru_cache(maxsize=16)
def _verifying_config(roots: bytes | None) -> _core.TlsClientConfig:
    return _core.TlsClientConfig(verify=True, roots_pem=roots)


async def _tls_config(hop: Hop, *, verify: bool) -> _core.TlsClientConfig:
    if not verify:
        return _plain_config()
    roots: bytes | None = None
    if hop.route is not None and hop.route.ca_path:
        try:
            roots = await trio.Path(hop.route.ca_path).read_bytes()
        except OSError as error:
            why = f"authorities of route {hop.route.host}: {error.strerror}"
            raise HopFailed(Outcome(454, "4.7.5", why)) from None
    try:
        return _verifying_config(roots)
    except ValueError as error:
        raise HopFailed(Outcome(454, "4.7.5", f"authorities of {hop.name}: {error}")) from None


async def _password(path: str) -> str:
    def read() -> str:
        with Path(path).open("rb") as file:
            return file.read(PASSWORD_OCTETS_MAX).split(b"\n")[0].rstrip(b"\r").decode("utf-8", "replace")

    return await trio.to_thread.run_sync(read)


async def _needs_utf8(message: Message) -> bool:
    """True when sender or header section are beyond ASCII; declared SMTPUTF8 alone is no need (RFC 6531 §3.6)."""
    if not message.state.sender.isascii():
        return True
    start = await message.read(0, CHUNK_OCTETS)
    header, _, _ = start.partition(b"\r\n\r\n")
    return not header.isascii()
