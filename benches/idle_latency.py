"""From the 250 of a delivery to the EXISTS of an IDLE: the wake-up across workers, p50 and p99.

    .venv/bin/python benches/idle_latency.py [--peers]

Half of the idle sessions live in another worker than the one that delivers, so both paths are in the figures.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.servers import ROOT, Ironpost, Peers, Side

SESSIONS = 8
ROUNDS = 100


def idle_session(port: int, user: int) -> socket.socket:
    """A connection in IDLE on a user's INBOX."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    file = connection.makefile("rwb")
    file.readline()
    for command in (f"a LOGIN user{user}@example.test secret{user}", "a SELECT INBOX"):
        file.write(command.encode() + b"\r\n")
        file.flush()
        while not file.readline().startswith(b"a "):
            pass
    file.write(b"a IDLE\r\n")
    file.flush()
    while not file.readline().startswith(b"+"):
        pass
    file.close()
    return connection


def measure(side: Side) -> list[float]:
    """Milliseconds from the 250 to each session's EXISTS; a wake-up before the 250 was read counts as 0."""
    import smtplib

    sessions = [idle_session(side.imap, 0) for _ in range(SESSIONS)]
    selector = selectors.DefaultSelector()
    for session in sessions:
        selector.register(session, selectors.EVENT_READ)
    found = []
    with smtplib.SMTP("127.0.0.1", side.smtp, timeout=30) as client:
        for number in range(ROUNDS):
            client.sendmail("a@sender.test", ["user0@example.test"], f"Subject: {number}\r\n\r\nx\r\n")
            accepted = time.perf_counter()
            waiting = set(sessions)
            while waiting:
                events = selector.select(5)
                if not events:
                    raise RuntimeError(f"{side.name}: no EXISTS within five seconds")
                now = time.perf_counter()
                for key, _ in events:
                    session = key.fileobj
                    if b"EXISTS" in session.recv(65536) and session in waiting:  # type: ignore[union-attr]
                        waiting.discard(session)  # type: ignore[arg-type]
                        found.append(max(0.0, now - accepted) * 1000)
    for session in sessions:
        session.close()
    return found


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", action="store_true", help="Postfix + Dovecot too")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / ".cache"))
    sides: list[Side] = [Ironpost(scratch / "ironpost")]
    if arguments.peers:
        sides.append(Peers(scratch / "peers"))
    for side in sides:
        side.start()
        try:
            found = sorted(measure(side))
        finally:
            side.stop()
        print(
            f"{side.name}: p50 {statistics.median(found):.2f} ms, p99 {found[int(len(found) * 0.99)]:.2f} ms, "
            f"max {found[-1]:.2f} ms over {len(found)} wake-ups"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
