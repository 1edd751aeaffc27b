"""The two sides of a comparison: ironpost as a user runs it, and Debian's Postfix + Dovecot from their unpacked root."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
USERS = 100


class Side:
    """A running server: its ports, its processes, and when it has delivered what it accepted."""

    name = ""
    smtp = 0
    imap = 0
    pop3 = 0

    def start(self) -> None:
        """Starts with empty mailboxes."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stops what start began."""
        raise NotImplementedError

    def processes(self) -> list[int]:
        """Process ids of everything that serves."""
        raise NotImplementedError

    def wait_delivered(self) -> None:
        """Returns when nothing accepted waits outside a mailbox."""

    def cpu_seconds(self) -> float:
        """User and system time so far, ended children included."""
        total = 0
        for pid in self.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            total += sum(int(field) for field in fields[11:15])
        return total / TICKS

    def pss_kib(self) -> int:
        """Memory, shared pages counted in parts."""
        total = 0
        for pid in self.processes():
            try:
                found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            except OSError:
                continue
            total += int(found.group(1)) if found else 0
        return total

    def messages(self) -> int:
        """Messages in all INBOXes, by STATUS: what the figures are reconciled with."""
        total = 0
        for user in range(USERS):
            with socket.create_connection(("127.0.0.1", self.imap), timeout=30) as connection:
                file = connection.makefile("rwb")
                file.readline()
                file.write(
                    f"a LOGIN user{user}@example.test secret{user}\r\nb STATUS INBOX (MESSAGES)\r\nc LOGOUT\r\n".encode()
                )
                file.flush()
                text = file.read()
                found = re.search(rb"MESSAGES (\d+)", text)
                if not found:
                    raise RuntimeError(f"{self.name}: no STATUS for user{user}: {text[:300]!r}")
                total += int(found.group(1))
        return total


class Ironpost(Side):
    """`ironpost serve` with the configuration that `init` writes, but for cheap password hashes (the peers have them)."""

    name = "ironpost"

    def __init__(self, folder: Path, base: int = 22000) -> None:
        self.folder = folder
        self.base = base
        self.smtp, self.imap, self.pop3, self.submission = base + 25, base + 143, base + 110, base + 587
        self.process: subprocess.Popen[str] | None = None

    def _run(self, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "ironpost", *arguments], check=True, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._run("init", str(self.folder), "--domain", "example.test", "--port-base", str(self.base))
        with (self.folder / "ironpost.toml").open("a") as file:
            file.write("\n[identity]\nargon2_memory = 8192\nargon2_time = 1\n")
        rows = self.folder / "accounts.csv"
        rows.write_text("".join(f"user{user}@example.test,secret{user}\n" for user in range(USERS)))
        self._run("account", "import", str(rows), "--dir", str(self.folder))
        self.resume()

    def resume(self) -> None:
        """Starts on what is there."""
        log = (self.folder / "serve.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ironpost", "serve", str(self.folder)], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise RuntimeError("ironpost did not start: " + (self.folder / "serve.log").read_text()[-2000:])

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
            self.process = None

    def processes(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [pid, *(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


class Peers(Side):
    """Postfix delivering by LMTP to Dovecot (benches/peers)."""

    name = "postfix+dovecot"
    smtp, imap, pop3 = 10026, 10144, 10111

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = ROOT / ".cache" / "peers" / "root"

    def start(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        subprocess.run([ROOT / "scripts" / "peers.sh", "start", self.folder], check=True, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        for port in (self.smtp, self.imap):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.1)

    def stop(self) -> None:
        subprocess.run(
            [ROOT / "scripts" / "peers.sh", "stop", self.folder],
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while self.processes() and time.monotonic() < deadline:
            time.sleep(0.1)

    def processes(self) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if (entry / "root").readlink() == self.root:
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def wait_delivered(self) -> None:
        queues = [self.folder / "postfix" / "queue" / name for name in ("maildrop", "incoming", "active", "deferred")]
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            if not any(_has_file(queue) for queue in queues):
                return
            time.sleep(0.02)
        raise RuntimeError("Postfix still has mail after five minutes")


def _has_file(folder: Path) -> bool:
    """True at the first file found; queue folders may be hashed."""
    with os.scandir(folder) as entries:
        return any(_has_file(Path(entry)) if entry.is_dir() else True for entry in entries)
