"""Accepting: sessions are counted, refused politely, and a fault of one ends nobody else."""

from __future__ import annotations

import errno
import io
import os
import socket
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from ironpost.config import LimitsConfig, ListenerConfig
from ironpost.runtime import listeners
from ironpost.runtime.board import Board, local
from ironpost.runtime.limits import Limits
from ironpost.runtime.listeners import Listener
from ironpost.runtime.logging import Log, LogOptions
from ironpost.runtime.metrics import Counters
from ironpost.runtime.stream import MailStream


def context_of(**limits: Any) -> Any:
    read, write = os.pipe()
    os.set_blocking(read, False)
    made = SimpleNamespace(
        config=SimpleNamespace(hostname="mx.test"),
        limits=Limits(LimitsConfig(**limits)),
        counters=Counters(),
        board=local(),
        log=Log(LogOptions("info", "text", write)),
        lines=io.FileIO(read),
    )
    made.write = write
    return made


async def with_listener(
    context: Any,
    serve: Callable[[MailStream, ListenerConfig, Any], Awaitable[None]],
    service: str,
    test: Callable[[tuple[str, int], Listener], Awaitable[None]],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        listener = Listener(bound, ListenerConfig(service, *bound.getsockname()), serve, context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run, nursery)
            await test(bound.getsockname(), listener)
            nursery.cancel_scope.cancel()
    context.lines.close()
    os.close(context.write)


async def receive_all(address: tuple[str, int]) -> bytes:
    async with await trio.open_tcp_stream(*address) as stream:
        octets = b""
        while chunk := await stream.receive_some():
            octets += chunk
        return octets


async def test_sessions_are_counted() -> None:
    context = context_of()
    release = trio.Event()

    async def serve(stream: MailStream, config: ListenerConfig, _: Any) -> None:
        assert config.service == "imap"
        await release.wait()
        await stream.close()

    async def test(address: tuple[str, int], listener: Listener) -> None:
        streams = [await trio.open_tcp_stream(*address) for _ in range(10)]
        while listener.open < 10:
            await trio.lowlevel.checkpoint()
        assert context.limits.open == 10
        assert context.counters["connections_imap"] == 10
        release.set()
        for stream in streams:
            assert await stream.receive_some() == b""
            await stream.aclose()
        while listener.open:
            await trio.lowlevel.checkpoint()
        assert context.limits.open == 0

    await with_listener(context, serve, "imap", test)


@pytest.mark.parametrize(
    ("service", "beginning"),
    [("smtp", b"421 4.7.0 mx.test "), ("imap", b"* BYE [UNAVAILABLE] "), ("pop3", b"-ERR [SYS/TEMP] "), ("imaps", b"")],
)
async def test_one_too_many_is_refused_in_its_own_words(service: str, beginning: bytes) -> None:
    context = context_of(exempt_networks=(), connections_per_address=1)

    async def serve(stream: MailStream, *_: Any) -> None:
        await trio.sleep_forever()

    async def test(address: tuple[str, int], listener: Listener) -> None:
        async with await trio.open_tcp_stream(*address):
            while listener.open < 1:
                await trio.lowlevel.checkpoint()
            octets = await receive_all(address)
        assert octets.startswith(beginning)
        assert octets.endswith(b"\r\n") or not beginning
        assert context.counters["connections_refused"] == 1

    await with_listener(context, serve, service, test)


async def test_a_broken_session_ends_alone() -> None:
    context = context_of()

    async def serve(*_: Any) -> None:
        raise ZeroDivisionError

    async def test(address: tuple[str, int], listener: Listener) -> None:
        for _ in range(3):
            assert await receive_all(address) == b""
        assert context.lines.read().count(b"session failed") == 3
        assert listener.open == 0

    await with_listener(context, serve, "smtp", test)


async def test_running_out_of_descriptors_is_borne(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of()
    monkeypatch.setattr(listeners, "CALM_SECONDS", 0.01)
    failures = 3

    class Failing:
        """The listening socket, out of descriptors for a while."""

        def __init__(self, bound: socket.socket) -> None:
            self.bound = bound

        def fileno(self) -> int:
            return self.bound.fileno()

        def accept(self) -> Any:
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.bound.accept()

    async def serve(stream: MailStream, *_: Any) -> None:
        await stream.close()

    async def test(address: tuple[str, int], listener: Listener) -> None:
        listener.socket = Failing(listener.socket)  # type: ignore[assignment]
        assert await receive_all(address) == b""
        # The task may have begun to wait on the real one; a second connection meets the failing one in any case.
        assert await receive_all(address) == b""
        assert b"no more connections" in context.lines.read()

    await with_listener(context, serve, "smtp", test)


def test_the_board_tells_who_has_more() -> None:
    descriptor = Board.make()
    one, two, watcher = Board(descriptor, 1, 2), Board(descriptor, 2, 2), Board(descriptor, 0, 2)
    one.connections(10)
    two.connections(4)
    assert (one.excess(), two.excess()) == (6, 0)
    two.watchers(1)
    assert one.watched(2)
    watcher.dead(2)
    assert (one.excess(), one.watched(2)) == (0, False)
    os.close(descriptor)
