"""The comparison with Postfix + Dovecot: both in the same run, row by row in turn, medians and ratios.

    make bench                         the whole table (about half an hour)
    .venv/bin/python benches/run.py --quick --only smtp

Writes a page to benches/results/ that starts with the command, the machine and the commit.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.servers import ROOT, USERS, Ironpost, Peers, Side

LOAD = ROOT / "target" / "release" / "ironpost-load"
Result = dict[str, float]


def load(*words: str) -> Result:
    """Runs the load generator to its end."""
    done = subprocess.run([LOAD, *words], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"load {' '.join(words)}: {done.stderr.strip()}")
    found: Result = json.loads(done.stdout)
    return found


def smtp_row(connections: int, size_kib: int, per_connection: int, count: int) -> Callable[[Side], Result]:
    """Accepted and delivered messages a second; every accepted message is looked for in the mailboxes."""

    def run(side: Side) -> Result:
        before_messages, before_cpu, begun = side.messages(), side.cpu_seconds(), time.monotonic()
        result = load(
            "smtp", "--port", str(side.smtp), "--connections", str(connections), "--messages", str(count),
            "--per-connection", str(per_connection), "--size", str(size_kib * 1024), "--users", str(USERS),
        )  # fmt: skip
        side.wait_delivered()
        elapsed = time.monotonic() - begun
        cpu = side.cpu_seconds() - before_cpu
        grown = side.messages() - before_messages
        if result["errors"] or grown != result["operations"]:
            raise RuntimeError(f"{side.name}: {result['errors']} errors, {grown} of {result['operations']} delivered")
        # A server that delivers before its 250 has no tail: its own clock is the load generator's.
        delivered = count / (elapsed if isinstance(side, Peers) else result["seconds"])
        return {
            "accepted/s": result["rate"],
            "delivered/s": delivered,
            "DATA p50 ms": result["p50_ms"],
            "DATA p99 ms": result["p99_ms"],
            "CPU ms/msg": cpu * 1000 / count,
        }

    return run


def imap_row(
    command: str, *, connections: int, repeat: int, user_of_many: bool = False, modulo: int = 1
) -> Callable[[Side], Result]:
    """A command repeated on selected INBOXes."""

    def run(side: Side) -> Result:
        before = side.cpu_seconds()
        result = load(
            "imap", "--port", str(side.imap), "--connections", str(connections), "--users", str(USERS if user_of_many else 1),
            "--command", command, "--repeat", str(repeat), "--modulo", str(modulo),
        )  # fmt: skip
        if result["errors"]:
            raise RuntimeError(f"{side.name}: {result['errors']} errors in {command}")
        cpu = side.cpu_seconds() - before
        return {
            "ops/s": result["rate"],
            "MB/s": result["octets_received"] / result["seconds"] / 1e6,
            "p50 ms": result["p50_ms"],
            "p99 ms": result["p99_ms"],
            "CPU us/op": cpu * 1e6 / result["operations"],
        }

    return run


def login_row(connections: int, repeat: int) -> Callable[[Side], Result]:
    """Connect, LOGIN, LOGOUT."""

    def run(side: Side) -> Result:
        before = side.cpu_seconds()
        result = load(
            "login",
            "--port",
            str(side.imap),
            "--connections",
            str(connections),
            "--users",
            str(USERS),
            "--repeat",
            str(repeat),
        )
        if result["errors"]:
            raise RuntimeError(f"{side.name}: {result['errors']} errors in logins")
        cpu = side.cpu_seconds() - before
        return {
            "logins/s": result["rate"],
            "p50 ms": result["p50_ms"],
            "p99 ms": result["p99_ms"],
            "CPU us/login": cpu * 1e6 / result["operations"],
        }

    return run


def idle_row(low: int, high: int) -> Callable[[Side], Result]:
    """Memory of an idle connection: the slope between two counts; the base is told apart."""

    def measure(side: Side, count: int) -> int:
        holder = subprocess.Popen(
            [LOAD, "idle", "--port", str(side.imap), "--connections", str(count), "--users", str(USERS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline().split()[:1] != ["open"]:
                raise RuntimeError(f"{side.name}: could not open {count} idle connections")
            time.sleep(1)
            return side.pss_kib()
        finally:
            holder.stdin.close()
            holder.wait(60)
            time.sleep(2)

    def run(side: Side) -> Result:
        base = side.pss_kib()
        first, second = measure(side, low), measure(side, high)
        return {"KB/connection": (second - first) * 1.024 / (high - low), "base MB": base / 1024}

    return run


def median(results: list[Result]) -> Result:
    """Of each figure by itself."""
    return {name: statistics.median(result[name] for result in results) for name in results[0]}


class Table:
    """Rows of both sides, measured in turn."""

    def __init__(self, sides: list[Side], repeats: int, out: Path, head: str) -> None:
        self.sides = sides
        self.repeats = repeats
        self.out = out
        self.lines = [head]

    def section(self, title: str) -> None:
        """A heading."""
        self._write(f"\n## {title}\n")
        self.first = True

    def row(self, name: str, run: Callable[[Side], Result], repeats: int | None = None) -> dict[str, Result]:
        """Measures both sides in turn, `repeats` times."""
        results: dict[str, list[Result]] = {side.name: [] for side in self.sides}
        for _ in range(repeats or self.repeats):
            for side in self.sides:
                results[side.name].append(run(side))
        found = {side: median(several) for side, several in results.items()}
        names = list(next(iter(found.values())))
        if self.first:
            self._write("| case | server | " + " | ".join(names) + " |\n|---|---|" + "---|" * len(names))
            self.first = False
        for side, result in found.items():
            self._write(f"| {name} | {side} | " + " | ".join(f"{result[key]:.4g}" for key in names) + " |")
        if len(found) == 2:
            ours, theirs = (found[side.name] for side in self.sides)
            self._write(
                f"| {name} | *ratio* | "
                + " | ".join(f"{ours[key] / theirs[key]:.3g}" if theirs[key] else "-" for key in names)
                + " |"
            )
        return found

    def _write(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)
        self.out.write_text("\n".join(self.lines) + "\n")


def fill(side: Side, count: int) -> None:
    """Puts `count` messages of 10 KB into user0's INBOX."""
    load(
        "smtp",
        "--port",
        str(side.smtp),
        "--connections",
        "10",
        "--messages",
        str(count),
        "--size",
        "10240",
        "--users",
        "1",
    )
    side.wait_delivered()


def main() -> int:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rows, one repeat")
    parser.add_argument("--only", choices=("smtp", "imap", "idle"), action="append", help="only these parts")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--repeats", type=int, help="3, or 1 with --quick")
    parser.add_argument("--scratch", type=Path, help="folder for the servers' data, on the disk to be measured")
    arguments = parser.parse_args()
    parts: list[str] = arguments.only or ["smtp", "imap", "idle"]
    repeats = arguments.repeats or (1 if arguments.quick else 3)

    from ironpost import _core

    if _core.build_profile != "release":
        print("this is a debug build; `make build` makes a release", file=sys.stderr)
        return 1
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "ironpost-load"], cwd=ROOT, check=True)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    scratch = arguments.scratch or Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".cache"))
    sides: list[Side] = [Ironpost(scratch / "ironpost")]
    if not arguments.alone:
        sides.append(Peers(scratch / "peers"))
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    now = datetime.datetime.now(datetime.UTC)
    out = ROOT / "benches" / "results" / f"{now:%Y-%m-%d-%H%M}-peers.md"
    head = (
        f"# ironpost beside Postfix + Dovecot, {now:%Y-%m-%d %H:%M} UTC\n\n"
        f"Command: `.venv/bin/python benches/run.py {' '.join(sys.argv[1:])}`; commit {commit}; {os.cpu_count()} cores, "
        f"Linux {platform.release()}, Python {platform.python_version()}. Medians of {repeats}; both servers in the same "
        f"run, row by row in turn; the load generator shares the cores."
    )
    table = Table(sides, repeats, out, head)
    try:
        for side in sides:
            side.start()
        measure(table, parts, quick=arguments.quick)
    finally:
        for side in sides:
            side.stop()
    print(f"\nwritten to {out.relative_to(ROOT)}")
    return 0


def measure(table: Table, parts: list[str], *, quick: bool) -> None:
    """All rows."""
    if "idle" in parts:
        low, high = (200, 1000) if quick else (1000, 5000)
        table.section(f"Idle IMAP connections (slope from {low} to {high}, PSS)")
        table.row("plain, IDLE", idle_row(low, high), 1)
    if "smtp" in parts:
        table.section("SMTP to durable mailbox")
        for per_connection in (100, 1):
            for size in (10,) if quick else (2, 10, 100):
                for connections in (50,) if quick else (1, 10, 50, 200):
                    count = {1: 500, 10: 2000}.get(connections, 4000) // (4 if size == 100 else 1)
                    name = f"{connections} conn, {size} KB, {per_connection}/conn"
                    table.row(name, smtp_row(connections, size, per_connection, count))
    if "imap" in parts:
        table.section("IMAP")
        for side in table.sides:
            fill(side, 10_000)
        flags = imap_row("FETCH 1:10000 (UID FLAGS)", connections=1, repeat=10)
        bodies = imap_row("FETCH %n BODY.PEEK[]", connections=1, repeat=5000, modulo=10_000)
        bodies_many = imap_row("FETCH %n BODY.PEEK[]", connections=20, repeat=1000, modulo=10_000)
        noop = imap_row("NOOP", connections=50, repeat=400, user_of_many=True)
        envelope = imap_row("FETCH 1:10000 (UID ENVELOPE BODYSTRUCTURE)", connections=1, repeat=5)
        cases: list[tuple[str, Any]] = [
            ("FETCH (UID FLAGS), 10,000 messages", flags),
            ("FETCH (ENVELOPE BODYSTRUCTURE), 10,000 messages", envelope),
            ("FETCH BODY.PEEK[] one by one, 1 conn", bodies),
            ("FETCH BODY.PEEK[] one by one, 20 conn", bodies_many),
            ("NOOP, 50 conn", noop),
        ]
        for name, run in cases:
            table.row(name, run)
        table.section("IMAP logins")
        for connections in (1, 50):
            table.row(f"LOGIN + LOGOUT, {connections} conn", login_row(connections, 2000 // connections))


if __name__ == "__main__":
    sys.exit(main())
