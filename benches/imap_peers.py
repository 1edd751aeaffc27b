"""What one mail client asks of a mailbox of 10,000 messages, over IMAP and POP3, beside Dovecot: medians and CPU time.

    .venv/bin/python benches/imap_peers.py                   Dovecot as it is shipped: not all of its OKs are on disk
    .venv/bin/python benches/imap_peers.py --fsync always    Dovecot that promises what ironpost does
    .venv/bin/python benches/imap_peers.py --messages 1000 --rounds 1   a look

Both servers get the same messages by APPEND. Rows take turns; what changes a mailbox is undone outside the clock. Answers are
read as octets up to their tagged line, so that the client costs little. CPU is that of all processes of the server.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.servers import ROOT, Side
from benches.store.search_peers import both, fill

RECEIVE_OCTETS = 1 << 18
TAIL_OCTETS = 4096  # longer than any tagged line
SECONDS_MAX = 600
THUNDERBIRD = (
    "UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority "
    "References Newsgroups In-Reply-To Content-Type Reply-To)])"
)
APPLE_MAIL = (
    "UID FETCH 1:* (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (date subject from to cc message-id in-reply-to "
    "references x-priority x-uniform-type-identifier x-universally-unique-identifier list-id list-unsubscribe)])"
)
MESSAGE = b"From: a@example.test\r\nTo: b@example.test\r\nSubject: bench\r\n\r\n" + b"x" * 70 + b"\r\n" * 10


class Client:
    """A connection that reads up to a tagged line."""

    def __init__(self, side: Side, user: int = 0) -> None:
        self.side = side
        self.socket = socket.create_connection(("127.0.0.1", side.imap), timeout=SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._until(b"\r\n")
        self.command(f"LOGIN user{user}@example.test secret{user}")

    def _until(self, mark: bytes) -> None:
        tail = b""
        while True:
            octets = self.socket.recv(RECEIVE_OCTETS)
            if not octets:
                raise RuntimeError(f"{self.side.name} closed the connection")
            tail = (tail + octets)[-TAIL_OCTETS:]
            if mark in tail and tail.endswith(b"\r\n"):
                return
            if b"\r\nt NO" in tail or b"\r\nt BAD" in tail or tail.startswith((b"t NO", b"t BAD")):
                raise RuntimeError(f"{self.side.name}: {tail!r}")

    def command(self, text: str) -> None:
        """One command; anything but OK is an error."""
        self.socket.sendall(f"t {text}\r\n".encode())
        self._until(b"t OK")

    def pipelined(self, texts: list[str]) -> None:
        """All at once; the last one's answer ends it."""
        self.socket.sendall("".join(f"p {text}\r\n" for text in texts).encode() + b"t NOOP\r\n")
        self._until(b"t OK")

    def append(self, mailbox: str) -> None:
        """One message."""
        self.socket.sendall(b"t APPEND %s {%d+}\r\n%s\r\n" % (mailbox.encode(), len(MESSAGE), MESSAGE))
        self._until(b"t OK")

    def close(self) -> None:
        """LOGOUT."""
        self.command("LOGOUT")
        self.socket.close()


class Row(NamedTuple):
    """What is measured. `before` and `after` are outside the clock; `times`: operations in one run."""

    name: str
    run: Callable[[Client], None]
    times: int = 1
    before: Callable[[Client], None] = lambda client: None
    after: Callable[[Client], None] = lambda client: None
    rounds: int = 0  # 0: as the command line says


def say(*texts: str) -> Callable[[Client], None]:
    """Commands one after another."""

    def run(client: Client) -> None:
        for text in texts:
            client.command(text)

    return run


def each(text: str, numbers: range) -> Callable[[Client], None]:
    """A command for each number, one after another."""

    def run(client: Client) -> None:
        for number in numbers:
            client.command(text.replace("%n", str(number)))

    return run


def appending(connections: int, each_count: int) -> Callable[[Client], None]:
    """Clients that append at the same time, each to an INBOX of its own."""

    def run(client: Client) -> None:
        faults: list[str] = []

        def one(user: int) -> None:
            try:
                mine = Client(client.side, user)
                for _ in range(each_count):
                    mine.append("INBOX")
                mine.close()
            except (OSError, RuntimeError) as error:
                faults.append(str(error))

        threads = [threading.Thread(target=one, args=(user,)) for user in range(1, connections + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SECONDS_MAX)
        if faults:
            raise RuntimeError(faults[0])

    return run


def pop3(count: int) -> Callable[[Client], None]:
    """Whole sessions: log in, look, fetch one, leave."""

    def run(client: Client) -> None:
        port = client.side.pop3
        for number in range(count):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                file = connection.makefile("rb")
                user = 51 + number % 40
                file.readline()
                for line in (f"USER user{user}@example.test", f"PASS secret{user}", "STAT"):
                    connection.sendall(line.encode() + b"\r\n")
                    answer = file.readline()
                    if not answer.startswith(b"+OK"):
                        raise RuntimeError(f"{client.side.name}: {line.split()[0]}: {answer!r}")
                for line in ("UIDL", "RETR 1"):
                    connection.sendall(line.encode() + b"\r\n")
                    answer = file.readline()
                    if not answer.startswith(b"+OK"):
                        raise RuntimeError(f"{client.side.name}: {line}: {answer!r}")
                    while file.readline() not in (b".\r\n", b""):
                        pass
                connection.sendall(b"QUIT\r\n")
                file.readline()

    return run


def mailboxes_of_pop3(side: Side) -> None:
    """Ten messages for each of the users whose POP3 sessions are measured."""
    for user in range(51, 91):
        client = Client(side, user)
        for _ in range(10):
            client.append("INBOX")
        client.close()


def rows(messages: int) -> list[Row]:
    """All of them; the mailbox INBOX is selected before each."""
    some = range(1, min(messages, 1000) + 1)
    envelope = say("FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
    bodies = [f"FETCH {number} (BODY.PEEK[])" for number in some]
    copied = say("CREATE Work", "COPY 1:* Work", "SELECT Work")
    removed = say("SELECT INBOX", "DELETE Work")
    return [
        Row("SELECT, warm", say(*["SELECT INBOX"] * 20), 20),
        Row("FETCH (ENVELOPE BODYSTRUCTURE), first", envelope, rounds=1),
        Row("FETCH (ENVELOPE BODYSTRUCTURE)", envelope),
        Row("header fields as Thunderbird asks, first", say(THUNDERBIRD), rounds=1),
        Row("header fields as Thunderbird asks", say(THUNDERBIRD)),
        Row("header fields as Apple Mail asks, first", say(APPLE_MAIL), rounds=1),
        Row("header fields as Apple Mail asks", say(APPLE_MAIL)),
        Row("FETCH (UID FLAGS)", say("FETCH 1:* (UID FLAGS)")),
        Row("NOOP, one after another", each("NOOP", some), len(some)),
        Row("UID FETCH n (FLAGS), one after another", each("UID FETCH %n (FLAGS)", some), len(some)),
        Row("FETCH n BODY.PEEK[], one after another", each("FETCH %n (BODY.PEEK[])", some), len(some)),
        Row("FETCH n BODY.PEEK[], pipelined", lambda client: client.pipelined(bodies), len(some)),
        Row("STORE 1:* +FLAGS", say("STORE 1:* +FLAGS (\\Flagged)"), after=say("STORE 1:* -FLAGS.SILENT (\\Flagged)")),
        Row("STORE n +FLAGS, one after another", each("STORE %n +FLAGS (\\Answered)", range(1, 201)), 200,
            after=say("STORE 1:* -FLAGS.SILENT (\\Answered)")),
        Row("COPY 1:*", say("COPY 1:* Work"), before=say("CREATE Work"), after=say("DELETE Work")),
        Row("MOVE 1:*", say("MOVE 1:* Done"), before=lambda client: (copied(client), client.command("CREATE Done"))[0],
            after=say("SELECT INBOX", "DELETE Done", "DELETE Work")),
        Row("EXPUNGE of all", say("EXPUNGE"),
            before=lambda client: (copied(client), client.command("STORE 1:* +FLAGS.SILENT (\\Deleted)"))[0], after=removed),
        Row("SEARCH UNSEEN", say("SEARCH UNSEEN")),
        Row("SEARCH SINCE", say("SEARCH SINCE 1-Jan-2020")),
        Row("SEARCH FROM", say("SEARCH FROM example")),
        Row("SEARCH SUBJECT", say("SEARCH SUBJECT report")),
        Row("APPEND, 1 connection", appending(1, 200), 200),
        Row("APPEND, 10 connections", appending(10, 50), 500),
        Row("APPEND, 50 connections", appending(50, 20), 1000),
        Row("POP3 sessions, one after another", pop3(200), 200),
    ]  # fmt: skip


def measure(client: Client, row: Row) -> tuple[float, float]:
    """Milliseconds and CPU milliseconds of one operation."""
    client.command("SELECT INBOX")
    row.before(client)
    cpu, began = client.side.cpu_seconds(), time.perf_counter()
    row.run(client)
    took = time.perf_counter() - began
    spent = client.side.cpu_seconds() - cpu
    row.after(client)
    return took * 1000 / row.times, spent * 1000 / row.times


def compare(sides: list[Side], messages: int, rounds: int) -> None:
    """Prints the table."""
    print("| row | ironpost ms | Dovecot ms | times quicker | ironpost CPU ms | Dovecot CPU ms |")
    print("|---|---|---|---|---|---|")
    clients = [Client(side) for side in sides]
    for side in sides:
        mailboxes_of_pop3(side)
    behind = []
    for row in rows(messages):
        found: list[list[tuple[float, float]]] = [[] for _ in clients]
        for _ in range(row.rounds or rounds):
            for client, several in zip(clients, found, strict=True):
                several.append(measure(client, row))
        (mine, my_cpu), (other, other_cpu) = (
            tuple(statistics.median(column) for column in zip(*several, strict=True)) for several in found
        )
        print(
            f"| {row.name} | {mine:.3f} | {other:.3f} | {other / mine:.2f} | {my_cpu:.3f} | {other_cpu:.3f} |",
            flush=True,
        )
        if other < mine:
            behind.append(f"{row.name} ({other / mine:.2f})")
    for client in clients:
        client.close()
    print("\nbehind Dovecot: " + (", ".join(behind) or "nowhere"))


def main() -> int:
    """Fills, asks, compares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fsync", choices=("optimized", "always"), default="optimized", help="Dovecot's mail_fsync")
    parser.add_argument("--scratch", type=Path, help="parent folder for the servers' data, on the disk to be measured")
    arguments = parser.parse_args()

    from ironpost import _core

    if _core.build_profile != "release":
        print("this is a debug build; `make build` makes a release", file=sys.stderr)
        return 2
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "ironpost-bench-store"], cwd=ROOT, check=True)
    os.environ["PEER_MAIL_FSYNC"] = arguments.fsync
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    with both(arguments.scratch, "bench-imap-") as (_, *sides):
        octets = fill(sides, arguments.messages)
        print(
            f"Command: `benches/imap_peers.py {' '.join(sys.argv[1:])}`; commit {commit}; {os.cpu_count()} cores, Python "
            f"{platform.python_version()}. {arguments.messages} messages, {octets} octets, in one INBOX; Dovecot with "
            f"mail_fsync={arguments.fsync}; medians of {arguments.rounds}, in turn.\n"
        )
        compare(sides, arguments.messages, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
