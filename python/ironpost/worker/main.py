"""The life of a worker: take what the supervisor passes, open the data, serve, drain, close.

Descriptors and their names come in LISTEN_FDS and LISTEN_FDNAMES: `ipc`, `board`, `lock`, `config`, then one for each
listener. The lock is only kept open: it is free when the last worker has gone. Exit codes: 0 after a drain,
EXIT_FAILED when the supervisor should start another.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket as sockets
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgpack
import trio

from ..config import Config, ListenerConfig, parse
from ..context import WorkerContext
from ..errors import IronpostError
from ..identity.passwords import Authenticator
from ..runtime import deadlines, threads
from ..runtime.board import Board
from ..runtime.certificates import Certificates, CertificateStore
from ..runtime.ipc import Channel, Message
from ..runtime.limits import Limits
from ..runtime.listeners import Listener, Serve
from ..runtime.logging import Log, LogOptions
from ..runtime.notify import HintBus
from ..runtime.process import name_process
from ..runtime.systemd import FIRST_DESCRIPTOR
from ..state.directory import Directory
from ..state.env import StateFailed
from . import control, indexing, roles, session_operations, upkeep
from .operations import STATUS_SECONDS

if TYPE_CHECKING:
    from ..identity.hashing import Hasher
    from ..identity.presence import Presence
    from ..store.client import StoreClient

EXIT_FAILED: Final = 70
BEAT_SECONDS: Final = 1.0
ORPHAN_DRAIN_SECONDS: Final = 5.0  # the supervisor has died
_SESSIONS: Final = {
    "smtp": "ironpost.smtp.session",
    "lmtp": "ironpost.smtp.session",
    "submission": "ironpost.smtp.session",
    "submissions": "ironpost.smtp.session",
    "imap": "ironpost.imap.session",
    "imaps": "ironpost.imap.session",
    "pop3": "ironpost.pop3.session",
    "pop3s": "ironpost.pop3.session",
}


class WorkerFailed(IronpostError):
    """This worker cannot go on; the supervisor starts another."""


class Inherited:
    """What the supervisor has passed."""

    def __init__(self, environ: Any = os.environ) -> None:
        names = environ.pop("LISTEN_FDNAMES").split(":")
        environ.pop("LISTEN_FDS")
        self.slot = int(environ.pop("IRONPOST_SLOT"))
        self.workers = int(environ.pop("IRONPOST_WORKERS"))
        self.directory = Path(environ.pop("IRONPOST_DATA"))
        listening: list[int] = []
        single: dict[str, int] = {}
        for descriptor, name in enumerate(names, FIRST_DESCRIPTOR):
            os.set_inheritable(descriptor, False)
            if name == "listener":
                listening.append(descriptor)
            else:
                single[name] = descriptor
        self.lock = single["lock"]
        self.config_descriptor = single["config"]
        self.ipc = sockets.socket(fileno=single["ipc"])
        self.board = Board(single["board"], self.slot, self.workers)
        self.listening = [sockets.socket(fileno=descriptor) for descriptor in listening]

    def accepted(self) -> tuple[Config, Certificates, list[ListenerConfig]]:
        """The configuration that the supervisor has accepted, the certificates, and what the listeners are."""
        octets = os.pread(self.config_descriptor, os.fstat(self.config_descriptor).st_size, 0)
        record = msgpack.unpackb(octets)
        config = parse(record["config"], self.directory)
        return config, Certificates(*record["certificates"]), [ListenerConfig(*row) for row in record["listeners"]]


class Worker:
    """One run. Also the OperationContext of the control socket."""

    def __init__(self, inherited: Inherited) -> None:
        self.inherited = inherited
        config, found, listeners = inherited.accepted()
        self.log_options = LogOptions(config.log.level, config.log.format)
        self.log = Log(self.log_options, {"worker": inherited.slot})
        self.listener_configs = listeners
        self.certificates = CertificateStore(found)
        self.config = config
        self.channel = Channel(inherited.ipc)
        self.listeners: list[Listener] = []
        self.context: WorkerContext
        self._answers: dict[int, tuple[trio.Event, Message]] = {}
        self._asked = 0
        self._drain_seconds: float | None = None
        self._drain_asked = trio.Event()
        self._sessions_scope = trio.CancelScope()
        self.failure = ""

    # -- for operations

    @property
    def directory(self) -> Directory:
        return self.context.directory

    @property
    def store(self) -> StoreClient:
        return self.context.store

    @property
    def hints(self) -> HintBus:
        return self.context.hints

    @property
    def hasher(self) -> Hasher:
        return self.context.authenticator.hasher

    @property
    def presence(self) -> Presence:
        return self.context.presence

    @property
    def slot(self) -> int:
        return self.inherited.slot

    async def server_status(self) -> dict[str, Any]:
        """Asks the supervisor, who alone knows all workers."""
        self._asked += 1
        number, event = self._asked, trio.Event()
        answer: Message = {}
        self._answers[number] = (event, answer)
        try:
            await self.channel.send({"op": "status", "number": number})
            with trio.move_on_after(STATUS_SECONDS):
                await event.wait()
        finally:
            del self._answers[number]
        return {"running": True, **answer}

    # -- the run

    async def run(self) -> int:
        """Serves until told to stop; the exit code."""
        from ironpost import _core

        from ..store.client import StoreClient

        config = self.config
        try:
            core = await threads.run("store", partial(_open_store, _core, config))
        except _core.StoreError as error:
            self.log.error("store not opened", path=config.store.path, why=str(error))
            return EXIT_FAILED
        try:
            try:
                directory = Directory(config.state_folder)
            except StateFailed as error:
                self.log.error("directory not opened", why=str(error))
                return EXIT_FAILED
            try:
                limits = Limits(config.limits)
                hints = HintBus(
                    config.runtime_folder,
                    self.inherited.slot,
                    self.inherited.workers,
                    board=self.inherited.board,
                    log=self.log,
                )
                hints.carry(limits)
                self.context = WorkerContext(
                    config=config,
                    store=StoreClient(core),
                    directory=directory,
                    authenticator=Authenticator(directory, limits, config.identity, self.log),
                    hints=hints,
                    limits=limits,
                    certificates=self.certificates,
                    log=self.log,
                    worker=self.inherited.slot,
                    board=self.inherited.board,
                )
                self.context.authenticator.configure_tokens(config)
                self.listeners = [
                    Listener(socket, listener, session_of(listener.service), self.context)
                    for socket, listener in zip(self.inherited.listening, self.listener_configs, strict=True)
                ]
                await self._serve(core)
            finally:
                directory.close()
        finally:
            await threads.run("store", core.close)
        if self.failure:
            self.log.error("worker ends", why=self.failure)
            return EXIT_FAILED
        return 0

    async def _serve(self, core: Any) -> None:
        from ..relay import manager

        context = self.context
        async with trio.open_nursery() as services:
            await services.start(context.store.run, context.hints.publish)
            await services.start(context.hints.run)
            services.start_soon(context.quotas.run)
            services.start_soon(self._watch_store, core)
            services.start_soon(roles.hold, "relay", partial(manager.run, context), context)
            services.start_soon(roles.hold, "janitor", partial(roles.janitor, context), context)
            services.start_soon(roles.hold, "indexer", partial(indexing.run, context), context)
            services.start_soon(roles.hold, "upkeep", partial(upkeep.run, context), context)
            run = context.config.runtime_folder
            services.start_soon(roles.hold, "control", partial(control.serve, run, self, self.log), context)
            services.start_soon(control.serve, run, self, self.log, session_operations.socket_name(self.slot))
            services.start_soon(context.presence.watch, context.directory)
            services.start_soon(self._signals)
            with self._sessions_scope:
                async with trio.open_nursery() as sessions:
                    accepting = await sessions.start(self._accept, sessions)
                    services.start_soon(self._orders)
                    services.start_soon(self._drain, accepting)
                    # What start-up has made lives for ever: collections need not look at it again.
                    gc.collect()
                    gc.freeze()
                    await self.channel.send({"op": "ready", "recovery": core.recovery})
                    services.start_soon(self._beat, core)
            services.cancel_scope.cancel()

    async def _accept(
        self, sessions: trio.Nursery, task_status: trio.TaskStatus[trio.CancelScope] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with trio.open_nursery() as nursery:
            for listener in self.listeners:
                nursery.start_soon(listener.run, sessions)
            task_status.started(nursery.cancel_scope)

    async def _orders(self) -> None:
        while True:
            message = await self.channel.receive()
            if message is None:
                self.log.warning("the supervisor has gone")
                self._ask_drain(min(ORPHAN_DRAIN_SECONDS, self.config.drain))
                return
            match message["op"]:
                case "drain":
                    self._ask_drain(message["seconds"])
                case "stop":
                    self._sessions_scope.cancel()
                case "reload":
                    self._reload()
                case "died":
                    self.context.hints.forget_worker(message["slot"])
                    self.context.store.core.clear_dead_readers()
                    self.context.directory.environment.clear_dead_readers()
                case "status" if message["number"] in self._answers:
                    event, answer = self._answers[message["number"]]
                    answer.update(message["status"])
                    event.set()

    def _reload(self) -> None:
        try:
            config, found, _ = self.inherited.accepted()
            self.certificates.replace(found)
        except (IronpostError, ValueError) as error:
            # The supervisor has checked them: this is a fault of ours, and the old ones stand.
            self.log.error("reload refused", why=str(error))
            return
        self.config = self.context.config = config
        self.log_options.configure(config.log.level, config.log.format)
        self.context.limits.configure(config.limits)
        self.context.authenticator.configure(config.identity)
        self.context.authenticator.configure_tokens(config)
        self.log.info("configuration reloaded")

    def _ask_drain(self, seconds: float) -> None:
        if self._drain_seconds is None:
            self._drain_seconds = seconds
            self._drain_asked.set()

    async def _drain(self, accepting: trio.CancelScope) -> None:
        await self._drain_asked.wait()
        accepting.cancel()
        self.context.draining.set()
        deadlines.current().drain()
        assert self._drain_seconds is not None
        await trio.sleep(self._drain_seconds)
        self._sessions_scope.cancel()

    async def _signals(self) -> None:
        """SIGTERM from elsewhere drains this worker alone."""
        with trio.open_signal_receiver(signal.SIGTERM) as receiver:
            async for _ in receiver:
                self._ask_drain(self.config.drain)

    async def _watch_store(self, core: Any) -> None:
        while True:
            self.failure = core.failed() or ""
            if self.failure:
                # Nothing more can be acknowledged; start-up is recovery.
                self._sessions_scope.cancel()
                return
            await trio.sleep(BEAT_SECONDS)

    async def _beat(self, core: Any) -> None:
        while True:
            connections: dict[str, int] = {}
            for listener in self.listeners:
                service = listener.config.service
                connections[service] = connections.get(service, 0) + listener.open
            await self.channel.send(
                {
                    "op": "beat",
                    "connections": connections,
                    "counters": dict(self.context.counters),
                    "commit_age": core.oldest_commit_age(),
                }
            )
            await trio.sleep(BEAT_SECONDS)


def session_of(service: str) -> Serve:
    """The entry point of a protocol. A missing module is an error: the listener would have nobody behind it."""
    serve: Serve = importlib.import_module(_SESSIONS[service]).serve
    return serve


def _open_store(core: Any, config: Config) -> Any:
    store = config.store
    return core.Store.open(
        str(config.path(store.path)),
        map_size=store.map_size,
        min_free=store.min_free,
        readers=store.readers,
        retention=int(store.retention),
        search_index=store.search_index,
    )


def main() -> None:
    """Runs the worker and ends the process with its exit code."""
    # Ctrl-C reaches the whole process group; the supervisor alone answers to it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    name_process("ironpost-worker")
    try:
        worker = Worker(Inherited())
    except (IronpostError, ValueError, KeyError) as error:
        sys.stderr.write(f"ironpost worker: {error}\n")
        sys.exit(EXIT_FAILED)
    try:
        code = trio.run(worker.run)
    except BaseException:
        worker.log.exception("worker failed")
        code = EXIT_FAILED
    sys.stderr.flush()
    os._exit(code)  # threads that hang in a system call must not keep the process
