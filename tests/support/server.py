"""A real server for tests: `ironpost` as a user runs it, on free loopback ports, in a folder of its own."""

from __future__ import annotations

import contextlib
import imaplib
import json
import os
import poplib
import random
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

DOMAIN = "example.test"
PASSWORD = "correct horse 42"
PORTS = {
    "smtp": 25,
    "lmtp": 24,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
}
READY_SECONDS = 60.0
STOP_SECONDS = 30.0


class ServerFailed(AssertionError):
    """The server did not do what a server does; the text holds what it printed."""


def free_port_base() -> int:
    """A port base at which all listeners are free now."""
    for _ in range(200):
        # Below the ports that the kernel hands to clients: one of those may be taken between this look and the start.
        base = random.randrange(12000, 31000)
        sockets = []
        try:
            for port in PORTS.values():
                probe = socket.socket()
                sockets.append(probe)
                probe.bind(("127.0.0.1", base + port))
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
        return base
    raise ServerFailed("no free ports found")


def ironpost(*arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "ironpost", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if check and done.returncode:
        raise ServerFailed(f"ironpost {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


class Server:
    """One data folder and, between `start` and `stop`, the processes that serve it."""

    def __init__(self, folder: Path, *, accounts: tuple[str, ...] = ("alice", "bob"), config: str = "") -> None:
        self.folder = folder
        self.base = free_port_base()
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []
        ironpost(
            "init", str(folder), "--domain", DOMAIN, "--hostname", "mail.example.test", "--port-base", str(self.base)
        )
        text = (folder / "ironpost.toml").read_text()
        # Tests log in often: the cheapest hash that the schema allows.
        self.write_config(text + "\n[identity]\nargon2_memory = 8192\nargon2_time = 1\n" + config)
        for account in accounts:
            self.add_account(f"{account}@{DOMAIN}")

    def write_config(self, text: str) -> None:
        """Replaces the configuration."""
        (self.folder / "ironpost.toml").write_text(text)

    def add_account(self, address: str, password: str = PASSWORD) -> None:
        """Makes an account, whether the server runs or not."""
        ironpost("account", "add", address, "--password-stdin", "--dir", str(self.folder), stdin=password)

    def port(self, service: str) -> int:
        """Where a service listens."""
        return self.base + PORTS[service]

    # -- life

    def start(self, **environment: str) -> Server:
        """Starts and waits for `ready`."""
        self.output = []
        process = subprocess.Popen(
            [sys.executable, "-m", "ironpost", "serve", str(self.folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, **environment},
        )
        self.process = process
        ready = threading.Event()

        def read() -> None:
            assert process.stdout is not None
            with process.stdout:
                for line in process.stdout:
                    self.output.append(line.rstrip("\n"))
                    if line.strip() == "ready":
                        ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        if not ready.wait(READY_SECONDS) or "ready" not in self.output:
            self.kill()
            raise ServerFailed("not ready:\n" + "\n".join(self.output[-40:]))
        return self

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        """Runs from here to the end of the block; then it must stop well and its store must be clean."""
        self.start()
        try:
            yield self
            assert self.stop() == 0
            self.check()
        finally:
            self.kill()

    def stop(self) -> int:
        """SIGTERM, then waits for the end. Returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed("did not stop:\n" + "\n".join(self.output[-40:])) from None
        self.process = None
        return code

    def kill(self) -> None:
        """SIGKILL to the whole group, as a power button would; waits until nothing of it is left."""
        if self.process is None:
            return
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if "ironpost.worker" in command_line(int(child))]

    def check(self) -> None:
        """`store check --full` must be clean."""
        done = ironpost("store", "check", str(self.folder), "--full", "--json", check=False)
        if done.returncode:
            raise ServerFailed(f"store check: {done.stdout}\n{done.stderr}")
        report = json.loads(done.stdout)
        if report["problems"]:
            raise ServerFailed("store check: " + "\n".join(report["problems"][:20]))

    # -- clients

    def tls(self) -> ssl.SSLContext:
        """Trusts this server's own certificate and no other."""
        return ssl.create_default_context(cafile=str(self.folder / "tls" / "chain.pem"))

    def smtp(self, service: str = "smtp") -> smtplib.SMTP:
        """A client of a plaintext SMTP service."""
        return smtplib.SMTP("127.0.0.1", self.port(service), timeout=30, local_hostname="client.test")

    def lmtp(self) -> smtplib.LMTP:
        """A client of LMTP."""
        return smtplib.LMTP("127.0.0.1", self.port("lmtp"), local_hostname="client.test")

    def imap(self, user: str | None = "bob", password: str = PASSWORD) -> imaplib.IMAP4:
        """A client of IMAP, logged in unless `user` is None."""
        client = imaplib.IMAP4("127.0.0.1", self.port("imap"), timeout=30)
        if user is not None:
            client.login(f"{user}@{DOMAIN}", password)
        return client

    def pop3(self, user: str | None = "bob", password: str = PASSWORD) -> poplib.POP3:
        """A client of POP3, logged in unless `user` is None."""
        client = poplib.POP3("127.0.0.1", self.port("pop3"), timeout=30)
        if user is not None:
            client.user(f"{user}@{DOMAIN}")
            client.pass_(password)
        return client

    def raw(self, service: str) -> RawClient:
        """A bare connection, for what no client library would send."""
        return RawClient(self.port(service))

    def deliver(self, message: bytes, *recipients: str) -> None:
        """Through port 25, to local recipients."""
        with self.smtp() as client:
            client.sendmail("sender@remote.test", [f"{name}@{DOMAIN}" for name in recipients or ("bob",)], message)


class RawClient:
    """Octets out, lines in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes both."""
        self.file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Sends as it is."""
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line with its CRLF; b"" at the end."""
        return self.file.readline()

    def reply(self) -> list[bytes]:
        """An SMTP reply: its lines without CRLF."""
        lines = []
        while True:
            line = self.line()
            lines.append(line.rstrip(b"\r\n"))
            if line[3:4] != b"-":
                return lines

    def command(self, line: bytes) -> bytes:
        """Sends a line and returns the last line of the SMTP reply."""
        self.send(line + b"\r\n")
        return self.reply()[-1]

    def until(self, start: bytes) -> list[bytes]:
        """Lines up to and with the first that begins so."""
        lines = []
        while True:
            line = self.line()
            lines.append(line.rstrip(b"\r\n"))
            if line.startswith(start) or not line:
                return lines


def command_line(pid: int) -> str:
    """What a process was started as; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def eventually(what: str, probe: object, seconds: float = 20.0) -> object:
    """Calls `probe` until it returns something true; fails by name after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = probe()  # type: ignore[operator]
        if result:
            return result
        if time.monotonic() > deadline:
            raise ServerFailed(f"never happened: {what}")
        time.sleep(0.05)
