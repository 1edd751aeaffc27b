"""Programs from Debian's packages as the tests run them: with a home of their own, a deadline, and their output."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import Server


def need(program: str) -> str:
    """The program's path. Where it is missing the test is skipped, except where nothing may be skipped (CI)."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is missing: scripts/setup.sh test installs it")
        pytest.skip(f"{program} is missing: type scripts/setup.sh test")
    return path


def run(home: Path, *command: str, stdin: bytes = b"", good: tuple[int, ...] = (0,)) -> str:
    """Runs a client with a home of its own; its output."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=90,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "dumb"},
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode in good, f"{' '.join(command)}: exit {done.returncode}\n{text}"
    return text


def in_terminal(home: Path, *command: str) -> None:
    """Runs a full-screen client, which does its work by itself, in a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8", "TERM": "vt100"}
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, env=environment
    )
    os.close(theirs)
    screen = b""
    try:
        with contextlib.suppress(OSError):  # EIO: the client has closed the terminal
            while select.select([ours], [], [], 60)[0] and (octets := os.read(ours, 4096)):
                screen += octets
        assert process.wait(10) == 0, screen[-2000:]
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def private(path: Path, text: str) -> Path:
    """Writes a configuration that only its owner may read, as clients want those that hold passwords."""
    path.write_text(text)
    path.chmod(0o600)
    return path


def subjects(server: Server, user: str) -> list[str]:
    """Subjects in INBOX, in order."""
    with server.imap(user) as client:
        count = int(client.select("INBOX", readonly=True)[1][0] or b"0")
        if not count:
            return []
        answer = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return [part[1].decode().partition(":")[2].strip() for part in answer if isinstance(part, tuple)]
