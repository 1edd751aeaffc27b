"""SEARCH TEXT for a rare word, over IMAP, beside Dovecot without FTS.

    .venv/bin/python benches/store/search_peers.py                     10,000 generated messages
    .venv/bin/python benches/store/search_peers.py --messages 100000   the figure that is asked for

Both servers get the same messages by APPEND into one INBOX, then answer the same searches in turn; medians. Ironpost's index is
built in the background, as on any server; the clock starts when it is complete.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benches.servers import ROOT, Ironpost, Peers, Side

BENCH = ROOT / "target" / "release" / "ironpost-bench-store"
PLANTED = "zwiebelfisch"  # in one of 2,000 messages (mail.rs)
OUTSTANDING = 32
ASKED = 50.0
INDEX_SECONDS = 900.0


class Session:
    """A plain IMAP session as user0."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.socket = socket.create_connection(("127.0.0.1", side.imap), timeout=600)
        self.file = self.socket.makefile("rwb")
        self.file.readline()
        self.command("LOGIN user0@example.test secret0")

    def command(self, text: str) -> list[bytes]:
        """The untagged lines of an answer; anything but OK is an error."""
        self.file.write(f"t {text}\r\n".encode())
        self.file.flush()
        lines: list[bytes] = []
        while True:
            line = self.file.readline()
            if line.startswith(b"t "):
                if not line.startswith(b"t OK"):
                    raise RuntimeError(f"{self.side.name}: {text[:60]}: {line!r}")
                return lines
            if not line:
                raise RuntimeError(f"{self.side.name} closed the connection")
            lines.append(line)

    def search(self, word: str) -> tuple[float, int]:
        """Seconds, and how many were found."""
        began = time.perf_counter()
        lines = self.command(f"UID SEARCH TEXT {word}")
        seconds = time.perf_counter() - began
        found = [line.split()[2:] for line in lines if line.startswith(b"* SEARCH")]
        return seconds, sum(len(numbers) for numbers in found)

    def close(self) -> None:
        """LOGOUT."""
        self.command("LOGOUT")
        self.file.close()
        self.socket.close()


class Appender:
    """APPENDs with literals that need no go-ahead, several outstanding."""

    def __init__(self, side: Side) -> None:
        self.session = Session(side)
        self.room = threading.Semaphore(OUTSTANDING)
        self.fault = ""
        self.asked = self.done = 0
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def add(self, body: bytes) -> None:
        """Sends one message."""
        if not self.room.acquire(timeout=60):
            raise RuntimeError(f"{self.session.side.name} does not answer")
        if self.fault:
            raise RuntimeError(self.fault)
        self.asked += 1
        self.session.socket.sendall(b"a APPEND INBOX {%d+}\r\n" % len(body) + body + b"\r\n")

    def _read(self) -> None:
        while True:
            line = self.session.file.readline()
            if line.startswith(b"a OK"):
                self.done += 1
            elif line.startswith(b"a ") or not line:
                self.fault = f"{self.session.side.name}: APPEND: {line!r}"
            if line.startswith(b"a ") or not line:
                self.room.release()
            if self.fault or line.startswith(b"end "):
                return

    def finish(self) -> None:
        """All are stored."""
        self.session.socket.sendall(b"end NOOP\r\n")
        self.reader.join(120)
        if self.fault or self.done != self.asked:
            raise RuntimeError(self.fault or f"{self.session.side.name}: {self.done} of {self.asked} stored")
        self.session.close()


def bodies(stream: IO[bytes]) -> Iterator[bytes]:
    """Messages out of `ironpost-bench-store mail`."""
    while line := stream.readline():
        yield stream.read(int(line))


def fill(sides: list[Side], messages: int) -> int:
    """Puts the same messages into all; how many octets."""
    octets = 0
    appenders = [Appender(side) for side in sides]
    generator = subprocess.Popen([BENCH, "mail", "--messages", str(messages)], stdout=subprocess.PIPE)
    assert generator.stdout is not None
    try:
        for body in bodies(generator.stdout):
            octets += len(body)
            for appender in appenders:
                appender.add(body)
    finally:
        generator.stdout.close()
        generator.wait(60)
    for appender in appenders:
        appender.finish()
    return octets


def allocated(folder: Path) -> int:
    """Octets of the files below a folder."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(path) / name).stat().st_size
            except FileNotFoundError:  # merged away meanwhile
                continue
    return total


def wait_index(folder: Path) -> None:
    """Until the search index has not changed for longer than the builder rests."""
    deadline = time.monotonic() + INDEX_SECONDS
    last, since = -1, time.monotonic()
    while time.monotonic() < deadline:
        octets = allocated(folder)
        if octets != last:
            last, since = octets, time.monotonic()
        elif octets and time.monotonic() - since > 15:
            return
        time.sleep(1)
    raise RuntimeError("the search index is not complete")


def main() -> int:
    """Fills, searches, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="parent folder for the servers' data, on the disk to be measured")
    arguments = parser.parse_args()

    from ironpost import _core

    if _core.build_profile != "release":
        print("this is a debug build; `make build` makes a release", file=sys.stderr)
        return 2
    with both(arguments.scratch, "bench-search-") as (folder, ours, theirs):
        octets = fill([ours, theirs], arguments.messages)
        wait_index(folder / "store" / "search")
        return compare(ours, theirs, arguments.messages, octets, arguments.rounds)


@contextmanager
def both(parent: Path | None, prefix: str) -> Iterator[tuple[Path, Side, Side]]:
    """Ironpost and the peers, started, with the former's folder; stopped and removed at the end."""
    parent = parent or ROOT / ".cache"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as name:
        scratch = Path(name)
        scratch.chmod(0o755)  # Dovecot's users must get through
        ours, theirs = Ironpost(scratch / "ironpost"), Peers(scratch / "peers")
        started: list[Side] = []
        sides: list[Side] = [ours, theirs]
        try:
            for side in sides:
                started.append(side)
                side.start()
            yield scratch / "ironpost", ours, theirs
        finally:
            for side in started:
                side.stop()


def compare(ours: Side, theirs: Side, messages: int, octets: int, rounds: int) -> int:
    """Prints the table and the verdict; 0 when the answers agree."""
    print(f"{messages} messages, {octets} octets, in one INBOX; `UID SEARCH TEXT`, in turn, medians of {rounds}.\n")
    print("| word | found | ironpost ms | Dovecot ms | times |\n|---|---|---|---|---|")
    sessions = {side.name: Session(side) for side in (ours, theirs)}
    ratio = 0.0
    for session in sessions.values():
        session.command("SELECT INBOX")
    for word in (PLANTED, "kwyjibo"):
        seconds: dict[str, list[float]] = {ours.name: [], theirs.name: []}
        found: dict[str, int] = {}
        for _ in range(rounds):
            for name, session in sessions.items():
                took, found[name] = session.search(word)
                seconds[name].append(took)
        if found[ours.name] != found[theirs.name]:
            print(f"{word}: the servers disagree: {found}", file=sys.stderr)
            return 1
        mine, other = (statistics.median(seconds[side.name]) for side in (ours, theirs))
        if word == PLANTED:
            ratio = other / mine
        print(f"| {word} | {found[ours.name]} | {mine * 1000:.2f} | {other * 1000:.0f} | {other / mine:.0f} |")
    for session in sessions.values():
        session.close()
    outcome = "met" if ratio >= ASKED else "MISSED"
    print(
        f"\nverdict: SEARCH TEXT over {messages} messages, Dovecot without FTS / ironpost: {ratio:.0f} times, "
        f"asked at least {ASKED:.0f}: {outcome}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
