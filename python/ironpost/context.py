"""What a worker's sessions and services share. Made once by the worker; `config` is replaced by a reload."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from .identity.presence import Presence
from .quota import Quotas
from .runtime.board import Board, local
from .runtime.metrics import Counters

if TYPE_CHECKING:
    from .config import Config
    from .identity.passwords import Authenticator
    from .runtime.certificates import CertificateStore
    from .runtime.limits import Limits
    from .runtime.logging import Log
    from .runtime.notify import HintBus
    from .state.directory import Directory
    from .store.client import StoreClient

__all__ = ["WorkerContext"]


@dataclass(eq=False)
class WorkerContext:
    """`draining` is set when the server stops; `worker` is the slot, from 1."""

    config: Config
    store: StoreClient
    directory: Directory
    authenticator: Authenticator
    hints: HintBus
    limits: Limits
    certificates: CertificateStore
    log: Log
    counters: Counters = field(default_factory=Counters)
    draining: trio.Event = field(default_factory=trio.Event)
    worker: int = 1
    board: Board = field(default_factory=local)
    ask_supervisor: Callable[[str], Awaitable[dict[str, Any]]] | None = None
    presence: Presence = field(default_factory=Presence)
    quotas: Quotas = field(init=False)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.quotas = Quotas(self, self.log)

    @property
    def runtime_folder(self) -> str:
        """DIR/run: sockets and locks."""
        return str(self.config.runtime_folder)

    def session_id(self) -> str:
        """Short, unique over workers and restarts, sorted by time."""
        return f"{time.time_ns() // 1_000_000:x}{self.worker:02x}{next(self._numbers) & 0xFFFF:04x}"
