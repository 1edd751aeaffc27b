"""SIGKILL under load: every acknowledged message is there exactly once, the store is clean, the server starts again."""

from __future__ import annotations

import os
import re
import signal
import smtplib
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.server import PORTS, Server, eventually

USERS = 8
SENDERS = 6
LOAD_SECONDS = 6.0


class Load:
    """Senders that note which messages were acknowledged; a broken connection is opened again."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.acknowledged: list[tuple[str, str]] = []  # (user, message id)
        self.uncertain: set[str] = set()
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(number,), daemon=True) for number in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        """Ends and joins the senders."""
        self.ending.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()

    def _send(self, sender: int) -> None:
        number = 0
        client: smtplib.SMTP | None = None
        while not self.ending.is_set():
            identity = f"{sender}.{number}@load.test"
            user = f"user{number % USERS}"
            number += 1
            size = (200, 3_000, 40_000, 400_000)[number % 4]
            message = f"Message-ID: <{identity}>\r\nSubject: load\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
            try:
                if client is None:
                    client = smtplib.SMTP(
                        "127.0.0.1", self.server.base + PORTS["smtp"], timeout=20, local_hostname="load.test"
                    )
                client.sendmail("load@remote.test", [f"{user}@example.test"], message)
            except (OSError, smtplib.SMTPException):
                with self.lock:
                    self.uncertain.add(identity)
                if client is not None:
                    client.close()
                client = None
                time.sleep(0.02)
                continue
            with self.lock:
                self.acknowledged.append((user, identity))
        if client is not None:
            client.close()


def stored(server: Server) -> dict[str, Counter[str]]:
    """Message ids of each user's INBOX."""
    found = {}
    for number in range(USERS):
        with server.imap(f"user{number}") as client:
            count = int(client.select("INBOX", readonly=True)[1][0])
            answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1] if count else []
            found[f"user{number}"] = Counter(
                re.findall(rb"<([^>]+)>", b"".join(part[1] for part in answer if isinstance(part, tuple)))
            )
    return {user: Counter({identity.decode(): times for identity, times in ids.items()}) for user, ids in found.items()}


def compare(server: Server, load: Load) -> None:
    """Each acknowledged message exactly once; of the others at most one."""
    found = stored(server)
    assert load.acknowledged
    for user, identity in load.acknowledged:
        assert found[user][identity] == 1, f"{identity} of {user}: {found[user][identity]} times"
    known = {identity for _, identity in load.acknowledged} | load.uncertain
    for ids in found.values():
        for identity, times in ids.items():
            assert times == 1, identity
            assert identity in known


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path / "data", accounts=tuple(f"user{number}" for number in range(USERS)))


def test_workers_killed_under_load(server: Server) -> None:
    server.start()
    load = Load(server)
    try:
        for _ in range(3):
            time.sleep(LOAD_SECONDS / 3)
            victim = server.workers()[0]
            os.kill(victim, signal.SIGKILL)
            eventually(
                "a new worker", lambda victim=victim: victim not in server.workers() and len(server.workers()) >= 2
            )
        time.sleep(1)
        load.stop()
        compare(server, load)
        assert server.stop() == 0
        server.check()
    finally:
        load.ending.set()
        server.kill()


def test_whole_group_killed_under_load(server: Server) -> None:
    server.start()
    load = Load(server)
    try:
        for _ in range(3):
            time.sleep(LOAD_SECONDS / 3)
            server.kill()
            server.check()
            server.start()
        time.sleep(1)
        load.stop()
        compare(server, load)
        assert server.stop() == 0
        server.check()
    finally:
        load.ending.set()
        server.kill()


def test_stopped_worker_does_not_stop_the_others(server: Server) -> None:
    server.start()
    try:
        victim = server.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        eventually(
            "the stopped worker is replaced", lambda: victim not in server.workers() and len(server.workers()) >= 2
        )
        server.deliver(b"Subject: after\r\n\r\nbody\r\n", "user1")
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()


def test_supervisor_killed_workers_end_and_a_new_server_starts(server: Server) -> None:
    server.start()
    try:
        workers = server.workers()
        assert server.process is not None
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        eventually("the workers have ended", lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
        server.start()
        server.deliver(b"Subject: after\r\n\r\nbody\r\n", "user1")
        with socket.create_connection(("127.0.0.1", server.port("imap")), timeout=10) as connection:
            assert connection.recv(100).startswith(b"* OK")
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()
