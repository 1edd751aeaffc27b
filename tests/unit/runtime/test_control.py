"""The control socket: operations over it, its frames, its mistakes; and the channel of supervisor and worker."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio

from ironpost.config import Config, parse
from ironpost.identity.hashing import Hasher
from ironpost.runtime import ipc
from ironpost.runtime.logging import Log, LogOptions
from ironpost.state.directory import Directory
from ironpost.worker import control
from ironpost.worker.operations import OPERATIONS


class Context:
    """What operations need, without a store."""

    def __init__(self, folder: Path) -> None:
        self.config: Config = parse('hostname = "h.test"\n[identity]\nargon2_memory = "64 KiB"\n', folder)
        self.directory = Directory(folder / "state")
        self.hasher = Hasher(self.config.identity)

    async def server_status(self) -> dict[str, Any]:
        return {"running": False}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    made = Context(tmp_path)
    yield made
    made.directory.close()


async def ask(stream: trio.SocketStream, operation: str, **arguments: Any) -> dict[str, Any]:
    await stream.send_all(control.frame({"op": operation, "args": arguments}))
    octets = b""
    while len(octets) < 4 or len(octets) < 4 + struct.unpack(">I", octets[:4])[0]:
        chunk = await stream.receive_some()
        assert chunk, "closed"
        octets += chunk
    answer: dict[str, Any] = msgpack.unpackb(octets[4:])
    return answer


async def test_operations_over_the_socket(context: Context, tmp_path: Path) -> None:
    log = Log(LogOptions("error"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve, tmp_path, context, log)
        path = tmp_path / "control.sock"
        while not path.exists():
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        stream = await trio.open_unix_socket(path)
        assert await ask(stream, "domain.add", domain="Example.Test") == {"ok": True, "result": "example.test"}
        added = await ask(stream, "account.add", address="a@example.test", password="x")
        assert added["result"] == {"id": 1, "address": "a@example.test"}
        again = await ask(stream, "account.add", address="a@example.test", password="x")
        assert (again["ok"], again["kind"]) == (False, "exists")
        assert (await ask(stream, "account.add", address="b@example.test", password=""))["kind"] == "refused"
        assert (await ask(stream, "status"))["result"]["accounts"] == 1
        assert (await ask(stream, "frobnicate"))["kind"] == "unknown-operation"
        await stream.send_all(b"\xff\xff\xff\xff")  # an absurd length ends this client, and nobody else
        assert await stream.receive_some() == b""
        other = await trio.open_unix_socket(path)
        assert (await ask(other, "domain.list"))["result"] == ["example.test"]
        await other.aclose()
        await stream.aclose()
        nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_a_fault_of_ours_is_told_by_its_name_only(context: Context, capfd: pytest.CaptureFixture[str]) -> None:
    answer = await control.perform(context, Log(), {"op": "domain.add", "args": {}})  # type: ignore[arg-type]
    assert answer["kind"] == "internal"
    assert "KeyError" in answer["error"]
    assert "Traceback" in capfd.readouterr().err


def test_every_operation_is_documented() -> None:
    assert all(operation.__doc__ for operation in OPERATIONS.values())


async def test_channel() -> None:
    ours, theirs = (ipc.Channel(end) for end in ipc.pair())
    assert await ours.send({"op": "drain", "seconds": 10.0})
    assert await theirs.receive() == {"op": "drain", "seconds": 10.0}
    outcomes: list[Any] = []

    async def wait() -> None:
        outcomes.append(await theirs.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        ours.close()
    assert outcomes == [None]
    assert not await theirs.send({"op": "beat"})
    theirs.close()


async def test_channel_waits_for_a_slow_reader() -> None:
    ours, theirs = (ipc.Channel(end) for end in ipc.pair())
    count = 2000

    async def send() -> None:
        for number in range(count):
            await ours.send({"n": number, "filler": "x" * 1000})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(count):
            message = await theirs.receive()
            assert message is not None
            assert message["n"] == number
    ours.close()
    theirs.close()


def test_only_the_owner_is_heard() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    assert control._allowed(ours)  # type: ignore[arg-type]
    ours.close()
    theirs.close()
    assert os.geteuid() >= 0


async def test_silent_clients_do_not_hold_the_places(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "FIRST_SECONDS", 0.2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve, tmp_path, context, Log(LogOptions("error")))
        await trio.testing.wait_all_tasks_blocked()
        silent = [await trio.open_unix_socket(tmp_path / "control.sock") for _ in range(control.CLIENTS_MAX)]
        await trio.testing.wait_all_tasks_blocked()
        client = await trio.open_unix_socket(tmp_path / "control.sock")
        with trio.fail_after(10):
            assert (await ask(client, "domain.list"))["ok"]
        for stream in (*silent, client):
            await stream.aclose()
        nursery.cancel_scope.cancel()
