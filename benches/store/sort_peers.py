"""SORT and THREAD over one mailbox, over IMAP, beside Dovecot: the first time, and the median of those that follow.

    .venv/bin/python benches/store/sort_peers.py                     20,000 generated messages
    .venv/bin/python benches/store/sort_peers.py --messages 100000

Both servers get the same messages by APPEND into one INBOX. Dovecot reads headers at the first use and keeps them in its cache;
ironpost has kept them since the delivery.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benches.servers import Side
from benches.store.search_peers import Session, both, fill

COMMANDS = (
    "UID SORT (REVERSE ARRIVAL) UTF-8 ALL",
    "UID SORT (DATE) UTF-8 ALL",
    "UID SORT (SUBJECT DATE) UTF-8 ALL",
    "UID SORT (FROM) UTF-8 ALL",
    "UID SORT (SIZE) UTF-8 ALL",
    "UID THREAD ORDEREDSUBJECT UTF-8 ALL",
    "UID THREAD REFERENCES UTF-8 ALL",
    "UID THREAD REFS UTF-8 ALL",
)


def timed(session: Session, command: str) -> float:
    """Milliseconds of one answer."""
    began = time.perf_counter()
    session.command(command)
    return (time.perf_counter() - began) * 1000


def main() -> int:
    """Fills, sorts, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="parent folder for the servers' data, on the disk to be measured")
    arguments = parser.parse_args()

    from ironpost import _core

    if _core.build_profile != "release":
        print("this is a debug build; `make build` makes a release", file=sys.stderr)
        return 2
    with both(arguments.scratch, "bench-sort-") as (_, *sides):
        octets = fill(sides, arguments.messages)
        compare(sides, arguments.messages, octets, arguments.rounds)
    return 0


def compare(sides: list[Side], messages: int, octets: int, rounds: int) -> None:
    """Prints the table."""
    print(
        f"{messages} messages, {octets} octets, in one INBOX; the first, and medians of the {rounds} that follow, in turn.\n"
    )
    print("| command | ironpost first ms | Dovecot first ms | times | ironpost ms | Dovecot ms | times |")
    print("|---|---|---|---|---|---|---|")
    sessions = [Session(side) for side in sides]
    for session in sessions:
        session.command("SELECT INBOX")
    for command in COMMANDS:
        first = [timed(session, command) for session in sessions]
        later: list[list[float]] = [[] for _ in sessions]
        for _ in range(rounds):
            for session, taken in zip(sessions, later, strict=True):
                taken.append(timed(session, command))
        mine, other = (statistics.median(taken) for taken in later)
        cells = (first[0], first[1], first[1] / first[0], mine, other, other / mine)
        print(f"| {command} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    for session in sessions:
        session.close()


if __name__ == "__main__":
    sys.exit(main())
