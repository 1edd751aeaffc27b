"""`ironpost serve`: from the configuration to running workers, and back to nothing at SIGTERM.

One task for each slot starts its worker, hears it and starts the next one when it dies; one watches for workers that
have stopped; one obeys signals. Nothing here parses a peer's octet or touches the store.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, Final

import msgpack
import trio

from .. import __version__
from ..config import Config, load
from ..errors import UserError
from ..runtime import certificates
from ..runtime.board import Board
from ..runtime.logging import Log, LogOptions
from ..runtime.process import name_process
from ..runtime.signals import orders
from ..runtime.systemd import Notifier, inherited
from . import children, lock, privileges
from .children import Child
from .sockets import bind_all, raise_descriptor_limit

BACK_OFF_SECONDS: Final = 0.1
BACK_OFF_SECONDS_MAX: Final = 10.0
LONG_LIFE_SECONDS: Final = 10.0  # a worker that lived so long was no failed start
FAILED_STARTS_MAX: Final = 3  # in a row, before any worker was ever ready
WATCH_SECONDS: Final = 0.5
STOPPED_SECONDS: Final = 2.0  # in process state T: a stopped writer blocks all others
SILENT_TOLD_SECONDS: Final = 5.0
SILENT_KILLED_SECONDS: Final = 60.0
SILENT_KILLS_PAUSE: Final = 60.0  # a slow disk makes all silent: they are not killed together
DRAIN_GRACE_SECONDS: Final = 5.0  # after the drain, for closing the store


class Supervisor:
    """One run of a server."""

    def __init__(self, config: Config, *, output: Callable[[str], None]) -> None:
        self.config = config
        self.output = output
        self.options = LogOptions(config.log.level, config.log.format)
        self.log = Log(self.options, {"worker": 0})
        self.notifier = Notifier()
        self.workers = config.workers or len(os.sched_getaffinity(0))
        self.children: dict[int, Child] = {}
        self.started = time.time()
        self.stopping = False
        self.failure = ""
        self._stop_asked = trio.Event()
        self._ever_ready = False
        self._failed_starts = 0
        self._last_silent_kill = -inf
        self._nursery: trio.Nursery
        self._text = ""

    def prepare(self) -> None:
        """All that can be refused, before a worker is started. Raises UserError."""
        raise_descriptor_limit()
        self.lock = lock.take(self.config)
        found = certificates.read(self.config)
        self.bound = bind_all(self.config, inherited())
        privileges.drop(self.config)
        if os.geteuid() == 0:
            self.log.warning("running as root", better="give the data to another user, or set `user`")
        self.board_descriptor = Board.make()
        self.board = Board(self.board_descriptor, 0, self.workers)
        for slot in range(1, self.workers + 1):
            self.board.dead(slot)
        self.record = os.memfd_create("ironpost-config", os.MFD_CLOEXEC)
        self._write_record(self.config, found)

    def _write_record(self, config: Config, found: certificates.Certificates) -> None:
        """What workers read at their start and at a reload: this very text has been checked."""
        octets = msgpack.packb(
            {
                "config": config.source,
                "certificates": tuple(found),
                "listeners": [(listener.service, listener.host, listener.port) for listener, _ in self.bound],
            }
        )
        os.ftruncate(self.record, len(octets))
        os.pwrite(self.record, octets, 0)

    async def run(self) -> int:
        """Until stopped; the exit code."""
        for listener, _ in self.bound:
            self.output(f"listening {listener.name}")
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            with orders(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as receiver:
                nursery.start_soon(self._watch)
                nursery.start_soon(self._notify_watchdog)
                async with trio.open_nursery() as slots:
                    slots.start_soon(self._obey, receiver)
                    async with trio.open_nursery() as running:
                        for slot in range(1, self.workers + 1):
                            running.start_soon(self._slot, slot)
                    slots.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        self._clean()
        if self.failure:
            self.output_error(self.failure)
            return 1
        return 0

    @staticmethod
    def output_error(text: str) -> None:
        """One line on standard error."""
        sys.stderr.write(f"ironpost: {text}\n")

    # -- workers

    async def _slot(self, slot: int) -> None:
        pause = BACK_OFF_SECONDS
        while not self.stopping:
            shared = [("board", self.board_descriptor), ("lock", self.lock), ("config", self.record)]
            shared += [("listener", socket.fileno()) for _, socket in self.bound]
            child = children.start(self.config, slot, self.workers, shared)
            self.children[slot] = child
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, child)
                status = await child.wait()
                nursery.cancel_scope.cancel()
            del self.children[slot]
            self.board.dead(slot)
            await self._tell_all({"op": "died", "slot": slot})
            if self.stopping:
                return
            self.log.error("worker died", slot=slot, pid=child.process, status=_told(status))
            if trio.current_time() - child.began >= LONG_LIFE_SECONDS:
                pause = BACK_OFF_SECONDS
            if not child.ready and not self._ever_ready:
                self._failed_starts += 1
                if self._failed_starts >= FAILED_STARTS_MAX:
                    self.failure = f"the workers do not start ({_told(status)}); the lines above say why"
                    await self._stop(0)
                    return
            with trio.move_on_after(pause):
                await self._stop_asked.wait()
            pause = min(pause * 2, BACK_OFF_SECONDS_MAX)

    async def _hear(self, child: Child) -> None:
        while True:
            message = await child.channel.receive()
            if message is None:
                await trio.sleep_forever()  # it has ended, or soon will: `wait` knows
                return
            child.last_heard = trio.current_time()
            child.told_silent = False
            match message["op"]:
                case "beat":
                    child.facts = {name: message[name] for name in ("connections", "counters", "commit_age")}
                case "ready":
                    child.ready = True
                    self.log.info("worker ready", slot=child.slot, pid=child.process, recovery=message["recovery"])
                    self._all_ready()
                case "status":
                    await child.channel.send({"op": "status", "number": message["number"], "status": self._status()})

    def _all_ready(self) -> None:
        if self._ever_ready or len(self.children) < self.workers:
            return
        if all(child.ready for child in self.children.values()):
            self._ever_ready = True
            self.output("ready")
            self.notifier.tell(f"READY=1\nSTATUS={self.workers} workers\nMAINPID={os.getpid()}")

    def _status(self) -> dict[str, Any]:
        workers = [child.describe() for _, child in sorted(self.children.items())]
        connections: dict[str, int] = {}
        for worker in workers:
            for service, count in worker.get("connections", {}).items():
                connections[service] = connections.get(service, 0) + count
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime": time.time() - self.started,
            "workers": workers,
            "connections": connections,
            "listeners": [listener.name for listener, _ in self.bound],
        }

    async def _tell_all(self, message: dict[str, Any]) -> None:
        for child in list(self.children.values()):
            # A worker that is stopped may not take it: nobody else waits for that.
            self._nursery.start_soon(child.channel.send, message)

    # -- watching

    async def _watch(self) -> None:
        while True:
            await trio.sleep(WATCH_SECONDS)
            now = trio.current_time()
            for child in list(self.children.values()):
                if child.state() == "T":
                    child.stopped_since = child.stopped_since or now
                    if now - child.stopped_since >= STOPPED_SECONDS:
                        self.log.error("worker was stopped and is killed", slot=child.slot, pid=child.process)
                        child.kill()
                    continue
                child.stopped_since = None
                silent = now - child.last_heard
                if silent >= SILENT_TOLD_SECONDS and not child.told_silent and child.ready:
                    child.told_silent = True
                    self.log.warning("worker is silent", slot=child.slot, pid=child.process, state=child.state())
                if silent >= SILENT_KILLED_SECONDS and child.ready and not self._killed_lately(now):
                    self._last_silent_kill = now
                    self.log.error("worker is silent and is killed", slot=child.slot, pid=child.process)
                    child.kill()

    def _killed_lately(self, now: float) -> bool:
        return now - self._last_silent_kill < SILENT_KILLS_PAUSE

    async def _notify_watchdog(self) -> None:
        while self.notifier.watchdog_seconds:
            self.notifier.tell("WATCHDOG=1")
            await trio.sleep(self.notifier.watchdog_seconds / 3)

    # -- orders

    async def _obey(self, receiver: trio.MemoryReceiveChannel[signal.Signals]) -> None:
        async for order in receiver:
            if order == signal.SIGHUP:
                await self._reload()
            elif self.stopping:
                self.log.info("stopping at once")
                await self._tell_all({"op": "stop"})
            else:
                await self._stop(self.config.drain)

    async def _stop(self, seconds: float) -> None:
        self.stopping = True
        self._stop_asked.set()
        self.notifier.tell("STOPPING=1")
        self.log.info("stopping", drain=seconds)
        for _, socket in self.bound:
            socket.close()
        await self._tell_all({"op": "drain", "seconds": seconds})
        self._nursery.start_soon(self._kill_late, seconds + DRAIN_GRACE_SECONDS)

    async def _kill_late(self, seconds: float) -> None:
        await trio.sleep(seconds)
        for child in self.children.values():
            self.log.error("worker did not end and is killed", slot=child.slot, pid=child.process)
            child.kill()

    async def _reload(self) -> None:
        self.notifier.reloading()
        try:
            config = load(self.config.directory)
            found = certificates.read(config)
        except UserError as error:
            # Refused as a whole: the running configuration stands.
            self.log.error("reload refused", why=str(error))
        else:
            for name in ("listeners", "workers", "store", "user"):
                if getattr(config, name) != getattr(self.config, name):
                    self.log.warning("change waits for the next start", key=name)
            self.config = config
            self.options.configure(config.log.level, config.log.format)
            self._write_record(config, found)
            await self._tell_all({"op": "reload"})
            self.log.info("configuration reloaded")
        self.notifier.tell("READY=1")

    def _clean(self) -> None:
        for listener, _ in self.bound:
            if listener.host.startswith("unix:"):
                self.config.path(listener.host.removeprefix("unix:")).unlink(missing_ok=True)


def serve(directory: Path) -> int:
    """Runs a server in the foreground; the exit code. Raises UserError for what can be mended."""
    config = load(directory)
    name_process("ironpost")
    supervisor = Supervisor(config, output=_print)
    supervisor.prepare()
    return trio.run(supervisor.run)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _told(status: int) -> str:
    if status >= 0:
        return f"exit code {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
