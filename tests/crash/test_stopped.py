"""SIGSTOP of a worker under load: the watchdog kills it, the others go on, every accepted message is there once.

`IRONPOST_STOP_ROUNDS` says how many workers are stopped (3 by default).
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tests.crash.test_kill import USERS, Load, compare
from tests.support.server import Server, eventually

ROUNDS = int(os.environ.get("IRONPOST_STOP_ROUNDS", "3"))


def test_workers_stopped_under_load(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", accounts=tuple(f"user{number}" for number in range(USERS)))
    server.start()
    load = Load(server)
    try:
        for _ in range(ROUNDS):
            # At any instant: within a command, a body, a commit with the writer lock of the index in hand.
            time.sleep(random.uniform(0.5, 1.5))
            victim = random.choice(server.workers())
            os.kill(victim, signal.SIGSTOP)
            eventually(
                "the stopped worker is replaced",
                lambda victim=victim: victim not in server.workers() and len(server.workers()) >= 2,
            )
            before = len(load.acknowledged)
            eventually("mail is accepted again", lambda before=before: len(load.acknowledged) > before + 20)
        load.stop()
        compare(server, load)
        assert server.stop() == 0
        server.check()
    finally:
        load.ending.set()
        server.kill()
