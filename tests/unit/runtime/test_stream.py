"""MailStream over real sockets, with a wire that only remembers."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import trio

from ironpost.errors import ConnectionLost, PeerTimeout, ServerDraining, SessionDismissed
from ironpost.runtime import deadlines
from ironpost.runtime.stream import TURNS_MAX, MailStream, address_of, is_loopback


class Remembering:
    """A wire without a protocol."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.eof = False
        self.waiting = bytearray()

    def receive(self, data: Any, length: int) -> None:
        self.got += memoryview(data)[:length]

    def receive_eof(self) -> None:
        self.eof = True

    def take_output(self, limit: int = 65_536) -> bytes:
        octets = bytes(self.waiting[:limit])
        del self.waiting[:limit]
        return octets


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    return client, server


async def test_fill_and_drain() -> None:
    client, server = connected()
    stream, wire = MailStream(server), Remembering()
    assert stream.both_loopback
    assert stream.peer.port == client.getsockname()[1]
    client.send(b"hello")
    assert await stream.fill(wire, 5)  # type: ignore[arg-type]
    assert wire.got == b"hello"
    wire.waiting += b"x" * 100_000
    await stream.drain(wire, 5)  # type: ignore[arg-type]
    taken = 0
    while taken < 100_000:
        await trio.lowlevel.wait_readable(client)
        taken += len(client.recv(65_536))
    client.shutdown(socket.SHUT_WR)
    assert not await stream.fill(wire, 5)  # type: ignore[arg-type]
    assert wire.eof
    await stream.close()
    await stream.close()
    client.close()


async def test_limits_of_waits() -> None:
    client, server = connected()
    stream, wire = MailStream(server), Remembering()
    with pytest.raises(PeerTimeout):
        await stream.fill(wire, 0.01)  # type: ignore[arg-type]
    client.send(b"late")
    assert await stream.fill(wire, 5)  # type: ignore[arg-type]
    wire.waiting += b"x" * 20_000_000  # more than both sockets' buffers take
    with pytest.raises(PeerTimeout):
        await stream.drain(wire, 0.05)  # type: ignore[arg-type]
    stream.abort()
    client.close()
    assert not deadlines.current().table


@pytest.mark.autojump
async def test_an_earlier_limit_overtakes_a_later_one() -> None:
    ends: list[tuple[str, float]] = []
    pairs = [connected() for _ in range(3)]

    async def one(name: str, server: socket.socket, limit: float) -> None:
        with pytest.raises(PeerTimeout):
            await MailStream(server).fill(Remembering(), limit)  # type: ignore[arg-type]
        ends.append((name, trio.current_time()))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for (name, limit), (_, server) in zip((("long", 1800), ("short", 10), ("middle", 60)), pairs, strict=True):
            nursery.start_soon(one, name, server, limit)
            await trio.testing.wait_all_tasks_blocked()
    assert [name for name, _ in ends] == ["short", "middle", "long"]
    for (_, end), limit in zip(ends, (10, 60, 1800), strict=True):
        assert limit <= end - began <= limit + 2 * deadlines.GRAIN_SECONDS
    for pair in pairs:
        for end in pair:
            end.close()


async def test_cancellation_leaves_no_deadline() -> None:
    client, server = connected()
    stream = MailStream(server)
    with trio.move_on_after(0.01) as scope:
        await stream.fill(Remembering(), 60)  # type: ignore[arg-type]
    assert scope.cancelled_caught
    assert not deadlines.current().table
    stream.abort()
    client.close()


async def test_reset_by_the_peer() -> None:
    client, server = connected()
    stream = MailStream(server)
    MailStream(client).abort()
    with pytest.raises(ConnectionLost):
        await stream.fill(Remembering(), 5)  # type: ignore[arg-type]
    stream.abort()


async def test_draining_ends_only_what_may_be_ended() -> None:
    pairs = [connected() for _ in range(2)]
    outcomes: list[str] = []

    async def wait(server: socket.socket, interruptible: bool) -> None:
        stream, wire = MailStream(server), Remembering()
        try:
            await stream.fill(wire, 60, interruptible=interruptible)  # type: ignore[arg-type]
            outcomes.append(wire.got.decode())
        except ServerDraining:
            outcomes.append("draining")
        stream.abort()

    async with trio.open_nursery() as nursery:
        for (_, server), interruptible in zip(pairs, (True, False), strict=True):
            nursery.start_soon(wait, server, interruptible)
        await trio.testing.wait_all_tasks_blocked()
        deadlines.current().drain()
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == ["draining"]
        pairs[1][0].send(b"data")
    assert outcomes == ["draining", "data"]
    for client, _ in pairs:
        client.close()


async def test_a_busy_peer_lets_others_run() -> None:
    client, server = connected()
    stream, wire = MailStream(server), Remembering()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for _ in range(TURNS_MAX * 4):
            client.send(b"x")
            await stream.fill(wire, 5)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()
    assert turns >= 3
    assert len(wire.got) == TURNS_MAX * 4
    stream.abort()
    client.close()


async def test_close_does_not_eat_the_last_words() -> None:
    client, server = connected()
    stream, wire = MailStream(server), Remembering()
    client.send(b"unread")
    wire.waiting += b"421 bye\r\n"
    await stream.drain(wire, 5)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.close)
        await trio.lowlevel.wait_readable(client)
        assert client.recv(100) == b"421 bye\r\n"
        client.send(b"and more")
        await trio.lowlevel.wait_readable(client)
        assert client.recv(100) == b""
        client.close()


def test_addresses() -> None:
    assert address_of(("::ffff:192.0.2.1", 5, 0, 0)) == ("192.0.2.1", 5)
    assert address_of(("fe80::1%eth0", 5, 0, 2)) == ("fe80::1", 5)
    assert address_of("") == ("unix", 0)
    assert is_loopback("127.9.9.9")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")


async def test_dismissal_waits_for_a_good_moment() -> None:
    outcomes = []
    pairs = [connected(), connected()]
    streams = [MailStream(server) for _, server in pairs]

    async def wait(stream: MailStream, dismissible: bool) -> None:
        try:
            await stream.fill(Remembering(), 60, dismissible=dismissible)  # type: ignore[arg-type]
            outcomes.append("data")
            await stream.fill(Remembering(), 60, dismissible=True)  # type: ignore[arg-type]
        except SessionDismissed as error:
            outcomes.append(str(error))

    async with trio.open_nursery() as nursery:
        for stream, dismissible in zip(streams, (True, False), strict=True):
            nursery.start_soon(wait, stream, dismissible)
        await trio.testing.wait_all_tasks_blocked()
        for stream in streams:
            stream.dismiss("over")
            stream.dismiss("again")
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == ["over"]
        pairs[1][0].send(b"more")  # two reads' worth: the second is not made
    assert outcomes == ["over", "data", "over"]
    for client, _ in pairs:
        client.close()
    for stream in streams:
        await stream.close()
