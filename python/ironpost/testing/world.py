"""A worker in miniature: a real store in a folder, the fakes of `people`, sessions over loopback sockets.

For tests of sessions and of the relay without processes. `World.open` closes the store through its check.
"""

from __future__ import annotations

import dataclasses
import socket as sockets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio

from .. import _core
from ..config.schema import Config, LimitsConfig, ListenerConfig, StoreConfig
from ..context import WorkerContext
from ..runtime.stream import Address, MailStream
from ..smtp import session as smtp_session
from ..store.client import StoreClient
from ..store.queue import QueueState, unpack
from .people import FakeAuthenticator, FakeCertificates, FakeDirectory, FakeHints, ListLog

PASSWORD = "a test password"
REPLY_SECONDS = 10.0


class World:
    """What a test holds. `context` is a real WorkerContext over fakes."""

    def __init__(self, context: WorkerContext, nursery: trio.Nursery) -> None:
        self.context = context
        self.nursery = nursery
        self.peers: list[Peer] = []
        self.store: StoreClient = context.store
        self.log: ListLog = context.log  # type: ignore[assignment]
        self.hints: FakeHints = context.hints  # type: ignore[assignment]
        self.directory: FakeDirectory = context.directory  # type: ignore[assignment]

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        directory: FakeDirectory,
        *,
        tls: _core.TlsServerConfig | None = None,
        config: Config | None = None,
        **limits: Any,
    ) -> AsyncIterator[World]:
        """Opens the store, runs its pump; at the end all sessions end and the store must be clean."""
        config = config or Config(
            hostname="mail.own.test",
            directory=folder,
            limits=dataclasses.replace(LimitsConfig(), **limits),
            store=dataclasses.replace(StoreConfig(), min_free=0, map_size=1 << 28),
        )
        retention = int(config.store.retention)
        core = _core.Store.open(str(folder / "store"), map_size=1 << 28, min_free=0, sync=False, retention=retention)
        store = StoreClient(core)
        hints = FakeHints()
        try:
            async with trio.open_nursery() as pump:
                await pump.start(store.run, hints.publish)
                context = WorkerContext(
                    config=config,
                    store=store,
                    directory=directory,  # type: ignore[arg-type]
                    authenticator=FakeAuthenticator(directory, PASSWORD),  # type: ignore[arg-type]
                    hints=hints,  # type: ignore[arg-type]
                    limits=SimpleNamespace(),  # type: ignore[arg-type]
                    certificates=FakeCertificates(tls),  # type: ignore[arg-type]
                    log=ListLog(),  # type: ignore[arg-type]
                )
                pump.start_soon(context.quotas.run)
                async with trio.open_nursery() as nursery:
                    world = cls(context, nursery)
                    try:
                        yield world
                    finally:
                        for peer in world.peers:
                            await trio.aclose_forcefully(peer.stream)
                    nursery.cancel_scope.cancel()
                faults = [line for line in world.log.lines if line[0] == "exception"]
                assert not faults, faults
                report = await store.call(core.check(True))
                assert report.problems == (), report.problems
                pump.cancel_scope.cancel()
        finally:
            core.close()

    async def connect(self, service: str, *, peer_host: str | None = None) -> Peer:
        """A client of a new session of this service, over loopback, or as if from `peer_host`."""
        listener = ListenerConfig(service, "127.0.0.1", 1)
        ours, theirs = loopback_pair()
        stream = MailStream(ours, None if peer_host is None else Address(peer_host, 40_000))
        self.nursery.start_soon(smtp_session.serve, stream, listener, self.context)
        peer = Peer(theirs)
        self.peers.append(peer)
        return peer

    async def messages(self, account: int, mailbox: str = "INBOX") -> list[bytes]:
        """All messages of a mailbox, whole."""
        core = self.store.core
        await self.store.call(core.list_mailboxes(account))
        view = await self.store.call(core.open_view(account, mailbox, True))
        found: list[bytes] = []
        for uid, size in await self.store.call(core.messages(view)):
            octets = b""
            while len(octets) < size:
                chunk = await self.store.call(core.read_message(view, uid, len(octets), size - len(octets)))
                assert chunk
                octets += chunk
            found.append(octets)
        return found

    async def queue(self) -> list[tuple[_core.QueueItem, QueueState]]:
        """All queue items with their states."""
        items = await self.store.call(self.store.core.queue_list(0, 1000))
        return [(item, unpack(item.state)) for item in items]

    async def queued_octets(self, item: _core.QueueItem) -> bytes:
        """Prefix and body of a queue item."""
        octets: bytes = await self.store.call(self.store.core.queue_read(item.id, 0, item.size))
        return octets


def loopback_pair() -> tuple[sockets.socket, sockets.socket]:
    """(server's, client's) ends of a TCP connection on 127.0.0.1."""
    with sockets.create_server(("127.0.0.1", 0)) as listening:
        client = sockets.create_connection(listening.getsockname())
        server, _ = listening.accept()
    return server, client


class Peer:
    """A client that speaks lines."""

    def __init__(self, socket: sockets.socket) -> None:
        socket.setblocking(False)
        self.stream: trio.abc.Stream = trio.SocketStream(trio.socket.from_stdlib_socket(socket))
        self._buffer = b""

    async def send(self, data: bytes | str) -> None:
        """As it is."""
        await self.stream.send_all(data.encode() if isinstance(data, str) else data)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Handshake over what has been a plaintext connection."""
        stream = trio.SSLStream(self.stream, context, server_hostname=server_name)
        with trio.fail_after(REPLY_SECONDS):
            await stream.do_handshake()
        self.stream = stream

    async def line(self, limit_seconds: float = REPLY_SECONDS) -> str:
        """One line without its CRLF; "" at the end of the connection."""
        with trio.fail_after(limit_seconds):
            while b"\r\n" not in self._buffer:
                try:
                    chunk = await self.stream.receive_some(65536)
                except trio.BrokenResourceError:
                    chunk = b""
                if not chunk:
                    return ""
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode()

    async def reply(self) -> list[str]:
        """All lines of one reply; [] at the end of the connection."""
        lines: list[str] = []
        while line := await self.line():
            lines.append(line)
            if line[3:4] != "-":
                break
        return lines

    async def ask(self, line: str | bytes) -> str:
        """Sends a line, returns the last line of its reply."""
        await self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        reply = await self.reply()
        return reply[-1] if reply else ""

    async def dialogue(self, *pairs: tuple[str, str]) -> None:
        """Each line sent must be answered by a reply that begins with the text beside it."""
        for line, expected in pairs:
            answer = await self.ask(line)
            assert answer.startswith(expected), f"{line!r} was answered {answer!r}, not {expected!r}"

    async def start(self, hello: str = "EHLO client.test") -> list[str]:
        """Greeting and hello; returns the extensions."""
        greeting = await self.reply()
        assert greeting, "no greeting"
        assert greeting[0].startswith("220 "), greeting
        await self.send(hello + "\r\n")
        reply = await self.reply()
        assert reply[-1].startswith("250 "), reply
        return [line[4:] for line in reply[1:]]

    async def mail(self, sender: str, recipients: list[str], body: bytes) -> str:
        """A whole transaction; the reply to the body, or to the first command that was refused."""
        answer = await self.ask(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            if not answer.startswith("250"):
                return answer
            answer = await self.ask(f"RCPT TO:<{recipient}>")
        if answer.startswith("250"):
            answer = await self.ask("DATA")
        if not answer.startswith("354"):
            return answer
        await self.send(body + b".\r\n")
        reply = await self.reply()
        return reply[-1] if reply else ""

    async def closed(self) -> bool:
        """Nothing more comes."""
        return await self.line() == ""

    async def close(self) -> None:
        """Closes."""
        await self.stream.aclose()
