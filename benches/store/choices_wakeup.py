"""How a task waits for the store, and may it read by itself (docs/decisions/0008 and 0005).

    .venv/bin/python benches/store/choices_wakeup.py [--quick] [wakeup] [cold]

`wakeup`: the same operation awaited by completion (ticket, eventfd, pump) and by `trio.to_thread`, at 1, 100 and 1,000
operations under way. `cold`: small FETCHes answered on the loop when they are warm, against tickets for all and against reads
on the loop without asking, with warm and with cold packs; and what the loop felt. The options take turns within each round;
medians of the rounds stand in the tables. Needs an optimised build of the extension and a folder on a disk.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import select
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from ironpost import _core
from ironpost.store.client import StoreClient

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_OCTETS = 10_000
ACCOUNT = 1
COMPLETIONS = 256
TMPFS = "tmpfs"

Operation = Callable[[], Awaitable[object]]


def message(number: int, octets: int = MESSAGE_OCTETS) -> bytes:
    """Text that zstd makes a third of."""
    rng = random.Random(number)
    words = ["quarterly", "report", "attached", "please", "find", "the", "minutes", "of", "our", "meeting"]
    head = f"From: a@example.test\r\nTo: b@example.test\r\nSubject: {number}\r\nMessage-ID: <{number}@x.test>\r\n\r\n"
    lines = [head]
    size = len(head)
    while size < octets:
        line = " ".join(rng.choice(words) + f" {rng.randrange(1 << 24):x}" for _ in range(6)) + "\r\n"
        lines.append(line)
        size += len(line)
    return "".join(lines).encode()[:octets]


def fetch_items(text: str) -> Any:
    """Parsed FETCH attributes, as a session has them."""
    wire = _core.ImapServer()
    wire.greet("OK", "", "ready")
    login = b"a LOGIN u p\r\n"
    wire.receive(login, len(login))
    wire.next_event()
    wire.authenticated()
    wire.respond("a", "OK", "", "done")
    wire.selected(True)
    command = f"a FETCH 1 {text}\r\n".encode()
    wire.receive(command, len(command))
    event = wire.next_event()
    if not isinstance(event, _core.Command):
        raise SystemExit(f"unexpected {event!r}")
    return event.arguments[1]


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


class Blocking:
    """A store for threads: a ticket is waited for by its thread; whoever reads the descriptor hands the others theirs."""

    def __init__(self, core: _core.Store) -> None:
        self.core = core
        self._condition = threading.Condition()
        self._results: dict[int, object] = {}
        self._reading = False
        self._poll = select.poll()
        self._poll.register(core.eventfd, select.POLLIN)

    def run(self, submit: Callable[[], int]) -> object:
        """Submits and waits; on a thread."""
        ticket = submit()
        with self._condition:
            while True:
                if ticket in self._results:
                    return self._results.pop(ticket)
                if not self._reading:
                    self._reading = True
                    break
                self._condition.wait()
        try:
            while True:
                self._poll.poll(30_000)
                finished = dict(self.core.completions(COMPLETIONS))
                mine = finished.pop(ticket, None)
                if finished:
                    with self._condition:
                        self._results.update(finished)
                        self._condition.notify_all()
                if mine is not None:
                    return mine
        finally:
            with self._condition:
                self._reading = False
                self._condition.notify_all()


class Lag:
    """How late the loop comes to a task that wants to run every millisecond."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def run(self) -> None:
        while True:
            wanted = trio.current_time() + 0.001
            await trio.sleep_until(wanted)
            self.late.append((trio.current_time() - wanted) * 1e3)


async def load(operation: Operation, concurrency: int, count: int) -> tuple[float, list[float], list[float], float]:
    """Seconds, milliseconds of each operation, lateness of the loop, microseconds of processor time for each operation."""
    times: list[float] = []
    left = count
    lag = Lag()

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            began = time.perf_counter()
            await operation()
            times.append((time.perf_counter() - began) * 1e3)

    async with trio.open_nursery() as outer:
        outer.start_soon(lag.run)
        used = resource.getrusage(resource.RUSAGE_SELF)
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(concurrency):
                nursery.start_soon(worker)
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        outer.cancel_scope.cancel()
    cpu = (after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime) * 1e6 / len(times)
    return seconds, times, lag.late, cpu


class Table:
    """Rows by name, each a list of figures for each round."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns
        self.rows: dict[str, list[tuple[float, ...]]] = {}

    def add(self, name: str, *figures: float) -> None:
        self.rows.setdefault(name, []).append(figures)

    def print(self) -> None:
        print("| " + " | ".join(("option", *self.columns)) + " |")
        print("|" + "---|" * (len(self.columns) + 1))
        for name, rounds in self.rows.items():
            medians = [statistics.median(figures) for figures in zip(*rounds, strict=True)]
            texts = [f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}" for figure in medians]
            print("| " + " | ".join((name, *texts)) + " |")
        print()


def switches() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


async def filled(folder: Path, boxes: int, each: int) -> _core.Store:
    """A store with accounts that have messages in their INBOX."""
    core = _core.Store.open(str(folder), min_free=0)
    client = StoreClient(core)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run, lambda _: None)
        for box in range(boxes):
            tickets = []
            for number in range(each):
                sink = core.sink()
                sink.write(message(box * each + number))
                tickets.append(core.submit(sink, deliveries=[(ACCOUNT + box, "INBOX", b"", ())]))
            await client.call_all(tickets)
        nursery.cancel_scope.cancel()
    return core


async def views(core: _core.Store, boxes: int) -> list[_core.MailboxView]:
    found = []
    client = StoreClient(core)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run, lambda _: None)
        for box in range(boxes):
            found.append(await client.call(core.open_view(ACCOUNT + box, "INBOX", True)))
        nursery.cancel_scope.cancel()
    return found


async def measured(
    core: _core.Store, operation: Callable[[StoreClient], Operation], concurrency: int, count: int, pump: bool
) -> list[float]:
    """One row. Without the pump threads read the descriptor themselves."""
    client = StoreClient(core)
    async with trio.open_nursery() as nursery:
        if pump:
            await nursery.start(client.run, lambda _: None)
        before = switches()
        seconds, times, late, cpu = await load(operation(client), concurrency, count)
        switched = switches() - before
        nursery.cancel_scope.cancel()
    return [
        len(times) / seconds,
        percentile(times, 50),
        percentile(times, 99),
        cpu,
        switched / len(times),
        percentile(late or [0.0], 99),
        threading.active_count(),
    ]


async def wakeup(folder: Path, quick: bool) -> None:
    core = await filled(folder / "wakeup", 1, 100)
    view = (await views(core, 1))[0]
    table = Table("operations/s", "p50 ms", "p99 ms", "CPU µs/op", "switches/op", "loop late p99 ms", "Python threads")
    items = fetch_items("BODY.PEEK[]")
    sets = [_core.SequenceSet.of([number]) for number in range(1, 101)]
    body = message(7)
    turn = 0

    def cursor() -> _core.FetchCursor:
        nonlocal turn
        turn += 1
        return core.fetch_cursor(view, sets[turn % 100], False, items)

    def read() -> int:
        return core.fetch(cursor())

    def write() -> int:
        sink = core.sink()
        sink.write(body)
        return core.submit(sink, deliveries=[(ACCOUNT, "INBOX", b"", ())])

    def read_itself() -> object:
        answer = core.fetch_now(cursor())
        if answer is None:
            raise SystemExit("a warm message was not answered at once")
        return answer

    def by_ticket(submit: Callable[[], int], is_write: bool) -> Callable[[StoreClient], Operation]:
        def make(client: StoreClient) -> Operation:
            async def run() -> object:
                return await client.call(submit(), write=is_write)

            return run

        return make

    def on_loop(_: StoreClient) -> Operation:
        async def run() -> object:
            await trio.lowlevel.checkpoint()
            return read_itself()

        return run

    def in_thread(function: Callable[[], object], tokens: int) -> Callable[[StoreClient], Operation]:
        limiter = trio.CapacityLimiter(tokens)

        def make(_: StoreClient) -> Operation:
            async def run() -> object:
                return await trio.to_thread.run_sync(function, limiter=limiter)

            return run

        return make

    for _ in range(1 if quick else 3):
        for title, submit in (("FETCH of 10 KB", read), ("durable delivery of 10 KB", write)):
            is_write = submit is write
            for concurrency in (1, 100, 1000):
                count = {1: 300 if is_write else 3000, 100: 4000, 1000: 8000}[concurrency] // (10 if quick else 1)
                for tokens in (0,) if concurrency < 1000 else (0, 1000):
                    blocking = Blocking(core)

                    def wait(blocking: Blocking = blocking, submit: Callable[[], int] = submit) -> object:
                        return blocking.run(submit)

                    threads = f"to_thread, {tokens or 40:,} threads"
                    ways = [(f"{threads} that wait", in_thread(wait, tokens or 40))]
                    if not is_write:
                        ways.append((f"{threads} that read", in_thread(read_itself, tokens or 40)))
                    if not tokens:
                        ways.insert(0, ("completion", by_ticket(submit, is_write)))
                        if not is_write:
                            ways.insert(1, ("on the loop (warm)", on_loop))
                    for way, operation in ways:
                        figures = await measured(core, operation, concurrency, count, pump="wait" not in way)
                        table.add(f"{title}, {concurrency:,} under way: {way}", *figures)
    table.print()
    core.close()


def forget(folder: Path) -> None:
    """Makes the kernel forget what the files hold. The index only while nobody has it open: closing its file by other means
    would drop LMDB's locks."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


async def cold(folder: Path, quick: bool) -> None:
    """Eight sessions FETCH messages at random, each message once; the loop's own time in each call is taken apart."""
    boxes, each, sessions = (20, 20, 8) if quick else (200, 50, 8)
    place = folder / "cold"
    (await filled(place, boxes, each)).close()
    items = fetch_items("BODY.PEEK[]")
    table = Table(
        "FETCH/s", "p50 ms", "p99 ms", "loop held p50 ms", "held p99 ms", "held max ms", "loop late p99 ms", "% at once"
    )
    rng = random.Random(3)
    for _ in range(1 if quick else 3):
        for temperature in ("warm", "cold packs", "cold packs and index"):
            for way in ("asked, else by ticket", "by ticket", "on the loop, unasked"):
                if temperature == "cold packs and index":
                    forget(place)
                core = _core.Store.open(str(place), min_free=0)
                opened = await views(core, boxes)
                wanted = [(view, number) for view in opened for number in range(1, each + 1)]
                rng.shuffle(wanted)
                wanted = wanted[: 200 if quick else 2000]
                if temperature == "cold packs":
                    # The rows that lead to the messages have been used, their packs not for long.
                    client = StoreClient(core)
                    async with trio.open_nursery() as nursery:
                        await nursery.start(client.run, lambda _: None)
                        for view, number in wanted:
                            await client.call(
                                core.fetch(core.fetch_cursor(view, _core.SequenceSet.of([number]), False, items))
                            )
                        nursery.cancel_scope.cancel()
                    forget(place / "packs")
                elif temperature == "warm":
                    for path in place.rglob("*.pack"):
                        path.read_bytes()
                table.add(f"{temperature}: {way}", *await small_fetches(core, wanted, items, way, sessions))
                core.close()
    table.print()


async def small_fetches(
    core: _core.Store, wanted: list[tuple[_core.MailboxView, int]], items: Any, way: str, sessions: int
) -> list[float]:
    client = StoreClient(core)
    blocking = Blocking(core)
    held: list[float] = []
    at_once = 0
    left = list(wanted)

    async def fetch() -> object:
        nonlocal at_once
        view, number = left.pop()
        cursor = core.fetch_cursor(view, _core.SequenceSet.of([number]), False, items)
        await trio.lowlevel.checkpoint()
        began = time.perf_counter()
        answer: object = None
        if way == "asked, else by ticket":
            answer = core.fetch_now(cursor)
        elif way == "on the loop, unasked":
            answer = blocking.run(lambda: core.fetch(cursor))
        at_once += answer is not None
        ticket = core.fetch(cursor) if answer is None else 0
        held.append((time.perf_counter() - began) * 1e3)
        return answer if answer is not None else await client.call(ticket)

    async with trio.open_nursery() as nursery:
        if way != "on the loop, unasked":
            await nursery.start(client.run, lambda _: None)
        seconds, times, late, _ = await load(fetch, sessions, len(wanted))
        nursery.cancel_scope.cancel()
    return [
        len(times) / seconds,
        percentile(times, 50),
        percentile(times, 99),
        percentile(held, 50),
        percentile(held, 99),
        max(held),
        percentile(late or [0.0], 99),
        at_once * 100 / len(times),
    ]


def conditions() -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "?",
    )
    return (
        f"{os.cpu_count()} cores, {model}, Linux {os.uname().release}; load {os.getloadavg()[0]:.2f}; commit {commit}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["wakeup", "cold", []])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--dir", type=Path, default=ROOT / "target", help="a folder on a disk")
    arguments = parser.parse_args()
    if _core.build_profile != "release":
        raise SystemExit("build with --release to measure")
    if (
        subprocess.run(
            ["stat", "-f", "-c", "%T", arguments.dir], capture_output=True, text=True, check=True
        ).stdout.strip()
        == TMPFS
    ):
        raise SystemExit(f"{arguments.dir} is a tmpfs")
    print(conditions(), end="\n\n")
    with tempfile.TemporaryDirectory(prefix="choices-", dir=arguments.dir) as folder:
        for name, part in (("wakeup", wakeup), ("cold", cold)):
            if not arguments.parts or name in arguments.parts:
                print(f"## {name}\n")
                trio.run(part, Path(folder), arguments.quick)


if __name__ == "__main__":
    main()
