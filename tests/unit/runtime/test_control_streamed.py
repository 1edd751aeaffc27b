"""Operations that take long: their progress comes before the answer, and they end when nobody listens any more."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
import trio.testing

from ironpost.errors import UserError
from ironpost.runtime.logging import Log, LogOptions
from ironpost.worker import control, operations


async def frame(stream: trio.SocketStream) -> dict[str, Any]:
    async def exactly(count: int) -> bytes:
        octets = b""
        while len(octets) < count:
            part = await stream.receive_some(count - len(octets))
            assert part
            octets += part
        return octets

    (length,) = struct.unpack(">I", await exactly(4))
    found: dict[str, Any] = msgpack.unpackb(await exactly(length))
    return found


async def test_progress_then_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go, ended = trio.Event(), trio.Event()

    async def long(context: Any, arguments: dict[str, Any], tell: operations.Tell) -> str:
        try:
            tell({"done": 1, "total": 3})
            tell({"done": 2})
            await go.wait()
            if arguments.get("fail"):
                raise UserError("it cannot be")
            return "all"
        finally:
            ended.set()

    monkeypatch.setitem(operations.STREAMED, "test.long", long)
    monkeypatch.setattr(control, "PROGRESS_SECONDS", 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve, tmp_path, None, Log(LogOptions("error")))  # type: ignore[arg-type]
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(tmp_path / "control.sock") as client:
            await client.send_all(control.frame({"op": "test.long"}))
            assert await frame(client) == {"progress": {"done": 2, "total": 3}}
            go.set()
            assert await frame(client) == {"ok": True, "result": "all"}
            # The connection serves the next request.
            await client.send_all(control.frame({"op": "test.long", "args": {"fail": True}}))
            answer = await frame(client)
            while "progress" in answer:
                answer = await frame(client)
            assert answer == {"ok": False, "kind": "refused", "error": "it cannot be"}
        go, ended = trio.Event(), trio.Event()
        client = await trio.open_unix_socket(tmp_path / "control.sock")
        await client.send_all(control.frame({"op": "test.long"}))
        assert "progress" in await frame(client)
        assert not ended.is_set()
        await client.aclose()
        with trio.fail_after(10):
            await ended.wait()
        nursery.cancel_scope.cancel()


async def test_a_client_that_takes_nothing_ends_its_own_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = trio.Event()

    async def long(context: Any, arguments: dict[str, Any], tell: operations.Tell) -> str:
        try:
            number = 0
            while True:
                number += 1
                tell({"done": number, "text": "x" * 100_000})
                await trio.sleep(0.01)
        finally:
            ended.set()

    async def short(context: Any, arguments: dict[str, Any]) -> str:
        return "here"

    monkeypatch.setitem(operations.STREAMED, "test.long", long)
    monkeypatch.setitem(operations.OPERATIONS, "test.short", short)
    monkeypatch.setattr(control, "PROGRESS_SECONDS", 0.01)
    monkeypatch.setattr(control, "IDLE_SECONDS", 0.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve, tmp_path, None, Log(LogOptions("error")))  # type: ignore[arg-type]
        await trio.testing.wait_all_tasks_blocked()
        async with await trio.open_unix_socket(tmp_path / "control.sock") as stopped:
            await stopped.send_all(control.frame({"op": "test.long"}))
            with trio.fail_after(20):
                await ended.wait()
            async with await trio.open_unix_socket(tmp_path / "control.sock") as client:
                await client.send_all(control.frame({"op": "test.short"}))
                assert await frame(client) == {"ok": True, "result": "here"}
        nursery.cancel_scope.cancel()
