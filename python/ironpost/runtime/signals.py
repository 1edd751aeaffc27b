"""Signals to orders: an async iterator of names, for one task."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import trio


@contextmanager
def orders(*wanted: signal.Signals) -> Iterator[trio.MemoryReceiveChannel[signal.Signals]]:
    """Receives these signals while the block runs. At most 16 wait; further ones of the same kind say nothing new."""
    send, receive = trio.open_memory_channel[signal.Signals](16)
    token = trio.lowlevel.current_trio_token()

    def put(number: signal.Signals) -> None:
        try:
            send.send_nowait(number)
        except trio.WouldBlock:
            return

    def handler(number: int, _: object) -> None:
        token.run_sync_soon(put, signal.Signals(number))

    with _handled(wanted, handler):
        yield receive


@contextmanager
def _handled(wanted: Iterable[signal.Signals], handler: object) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in wanted}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
