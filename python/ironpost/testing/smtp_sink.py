"""A small SMTP server that says what a test tells it to, and keeps what it is sent. Written apart from the cores."""

from __future__ import annotations

import ssl
from collections import defaultdict
from dataclasses import dataclass, field

import trio


@dataclass
class Received:
    """A message as the sink took it."""

    sender: str
    mail_line: str
    recipients: list[str] = field(default_factory=list)
    rcpt_lines: list[str] = field(default_factory=list)
    body: bytes = b""
    secure: bool = False
    user: bool = False


class SmtpSink:
    """`extensions`: lines of EHLO; `answers`: start of a command line in upper case to replies given once each, in
    order, before the ordinary one (an empty reply closes the connection). "BODY" answers the end of DATA."""

    def __init__(self, extensions: tuple[str, ...] = ("PIPELINING", "SIZE 1000000", "8BITMIME", "DSN")) -> None:
        self.extensions = extensions
        self.answers: dict[str, list[str]] = defaultdict(list)
        self.messages: list[Received] = []
        self.lines: list[str] = []
        self.connections = 0
        self.tls: ssl.SSLContext | None = None
        self.lmtp = False
        self.port = 0

    async def run(self, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves on a free port of 127.0.0.1 until cancelled; starts with the port."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve, listeners)
            task_status.started(self.port)

    async def _serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            await _Session(self, stream).run()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the relay hung up: the test sees that on its own side
        finally:
            await trio.aclose_forcefully(stream)

    def answer(self, line: str, ordinary: str) -> str:
        """The next reply told by the test, or the ordinary one."""
        for start, replies in self.answers.items():
            if replies and line.upper().startswith(start.upper()):
                return replies.pop(0)
        return ordinary


class _Session:
    def __init__(self, sink: SmtpSink, stream: trio.abc.Stream) -> None:
        self.sink = sink
        self.stream = stream
        self.buffer = b""
        self.message: Received | None = None
        self.secure = False
        self.user = False

    async def run(self) -> None:
        if not await self._say(self.sink.answer("GREETING", "220 sink.test ESMTP")):
            return
        while (line := await self._line()) is not None:
            self.sink.lines.append(line)
            if not await self._command(line):
                return

    async def _command(self, line: str) -> bool:
        verb = line[:4].upper()
        sink = self.sink
        if verb in ("EHLO", "LHLO"):
            lines = ["sink.test", *sink.extensions]
            text = "\r\n".join(f"250{'-' if n < len(lines) - 1 else ' '}{entry}" for n, entry in enumerate(lines))
            return await self._say(sink.answer(line, text))
        if verb == "STAR" and sink.tls is not None:
            await self._say("220 go")
            tls = trio.SSLStream(self.stream, sink.tls, server_side=True)
            await tls.do_handshake()
            self.stream, self.secure = tls, True
            return True
        if verb == "AUTH":
            self.user = True
            return await self._say(sink.answer(line, "235 2.7.0 welcome"))
        if verb == "MAIL":
            reply = sink.answer(line, "250 2.1.0 ok")
            if reply.startswith("250"):
                self.message = Received(_path(line), line, secure=self.secure, user=self.user)
            return await self._say(reply)
        if verb == "RCPT":
            reply = sink.answer(line, "250 2.1.5 ok" if self.message else "503 5.5.1 MAIL first")
            if reply.startswith("250") and self.message is not None:
                self.message.recipients.append(_path(line))
                self.message.rcpt_lines.append(line)
            return await self._say(reply)
        if verb == "DATA":
            reply = sink.answer(line, "354 go" if self.message and self.message.recipients else "503 5.5.1 no")
            return await self._say(reply) and (not reply.startswith("354") or await self._body())
        if verb == "RSET":
            self.message = None
        if verb == "QUIT":
            await self._say("221 2.0.0 bye")
            return False
        return await self._say(sink.answer(line, "250 2.0.0 ok"))

    async def _body(self) -> bool:
        message, self.message = self.message, None
        assert message is not None
        while not (self.buffer.startswith(b".\r\n") or b"\r\n.\r\n" in self.buffer):
            if not await self._more():
                return False
        if self.buffer.startswith(b".\r\n"):
            body, self.buffer = b"", self.buffer[3:]
        else:
            body, _, self.buffer = self.buffer.partition(b"\r\n.\r\n")
            body += b"\r\n"
        message.body = b"".join(line.removeprefix(b".") for line in body.splitlines(keepends=True))
        for recipient in message.recipients if self.sink.lmtp else ["BODY"]:
            reply = self.sink.answer(f"BODY {recipient}" if self.sink.lmtp else "BODY", "250 2.0.0 taken")
            if not await self._say(reply):
                return False
            if not reply.startswith("250"):
                message.recipients = [r for r in message.recipients if self.sink.lmtp and r != recipient]
        if message.recipients:
            self.sink.messages.append(message)
        return True

    async def _say(self, reply: str) -> bool:
        if not reply:
            return False
        await self.stream.send_all(reply.encode() + b"\r\n")
        return not reply.startswith("421")

    async def _line(self) -> str | None:
        while b"\r\n" not in self.buffer:
            if not await self._more():
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode()

    async def _more(self) -> bool:
        chunk = await self.stream.receive_some(65536)
        self.buffer += chunk
        return bool(chunk)


def _path(line: str) -> str:
    return line.partition("<")[2].rpartition(">")[0].partition(">")[0]
