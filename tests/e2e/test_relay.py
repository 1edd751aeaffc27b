"""Submission to another server and back: two ironposts, a static route between them, bounces to the sender."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server, eventually, ironpost

MESSAGE = "From: alice@example.test\r\nTo: x@far.test\r\nSubject: %s\r\n\r\nrelayed\r\n.dot\r\n"


class Sink(socketserver.ThreadingTCPServer):
    """A next hop that answers as a test tells it: `refuse` maps a command's first word to a reply line."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _SinkSession)
        self.refuse: dict[str, str] = {}
        self.accepted: list[bytes] = []
        self.commands: list[str] = []
        self.extensions = ["PIPELINING", "8BITMIME", "SIZE 10000000", "DSN", "ENHANCEDSTATUSCODES"]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])


class _SinkSession(socketserver.StreamRequestHandler):
    server: Sink

    def handle(self) -> None:
        self.say("220 sink.test ESMTP")
        while line := self.rfile.readline():
            text = line.decode().strip()
            self.server.commands.append(text)
            verb = text.split()[0].upper()
            if verb in self.server.refuse:
                self.say(self.server.refuse[verb])
            elif verb == "EHLO":
                lines = ["sink.test", *self.server.extensions]
                self.wfile.write("".join(f"250-{entry}\r\n" for entry in lines[:-1]).encode())
                self.say("250 " + lines[-1])
            elif verb == "DATA":
                self.say("354 go on")
                body = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    body.append(line[1:] if line.startswith(b".") else line)
                if "BODY" in self.server.refuse:
                    self.say(self.server.refuse["BODY"])
                else:
                    self.server.accepted.append(b"".join(body))
                    self.say("250 2.0.0 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 2.0.0 ok")

    def say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


@pytest.fixture
def sink() -> Iterator[Sink]:
    server = Sink()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def near(tmp_path: Path, sink: Sink) -> Iterator[Server]:
    """A server whose mail for far.test goes to the sink."""
    config = f'\n[[route]]\ndomain = "far.test"\nhost = "127.0.0.1"\nport = {sink.port}\n'
    server = Server(tmp_path / "near", config=config)
    with server.serving():
        yield server


def submit(server: Server, subject: str, *recipients: str) -> None:
    with server.smtp("submission") as client:
        client.starttls(context=server.tls())
        client.login(f"alice@{DOMAIN}", PASSWORD)
        client.sendmail(f"alice@{DOMAIN}", list(recipients), MESSAGE % subject)


def inbox(server: Server, user: str) -> list[bytes]:
    with server.imap(user) as client:
        count = int(client.select("INBOX", readonly=True)[1][0])
        answer = client.fetch("1:*", "(BODY.PEEK[])")[1] if count else []
        return [part[1] for part in answer if isinstance(part, tuple)]


def test_two_servers(tmp_path: Path) -> None:
    far = Server(tmp_path / "far", accounts=("carol",))
    config = f'\n[[route]]\ndomain = "far.test"\nhost = "127.0.0.1"\nport = {far.port("smtp")}\n'
    near = Server(tmp_path / "near", config=config)
    ironpost("domain", "add", "far.test", "--dir", str(far.folder))
    ironpost("account", "add", "x@far.test", "--password-stdin", "--dir", str(far.folder), stdin=PASSWORD)
    try:
        far.start()
        near.start()
        submit(near, "over two servers", "x@far.test", f"bob@{DOMAIN}")

        def arrived() -> list[bytes]:
            client = far.imap(None)
            with client:
                client.login("x@far.test", PASSWORD)
                count = int(client.select("INBOX", readonly=True)[1][0])
                answer = client.fetch("1:*", "(BODY.PEEK[])")[1] if count else []
                return [part[1] for part in answer if isinstance(part, tuple)]

        (message,) = eventually("the message at the far server", arrived)  # type: ignore[misc]
        assert message.endswith(b"\r\n\r\nrelayed\r\n.dot\r\n")
        assert b"with ESMTPS" in message  # opportunistic TLS between the two
        assert len(inbox(near, "bob")) == 1
        for server in (near, far):
            assert server.stop() == 0
            server.check()
    finally:
        near.kill()
        far.kill()


def test_permanent_refusal_bounces_to_the_sender(near: Server, sink: Sink) -> None:
    sink.refuse["RCPT"] = "550 5.1.1 no such user here"
    submit(near, "refused", "x@far.test")
    (bounce,) = eventually("the bounce", lambda: inbox(near, "alice"))  # type: ignore[misc]
    assert b"Return-Path: <>" in bounce
    assert b"multipart/report" in bounce
    assert re.search(rb"Final-Recipient: *rfc822; *x@far\.test", bounce, re.IGNORECASE)
    assert b"Action: failed" in bounce
    assert b"5.1.1" in bounce
    assert b"no such user here" in bounce
    assert b"Subject: refused" in bounce


def test_temporary_refusal_is_tried_again(near: Server, sink: Sink) -> None:
    sink.refuse["MAIL"] = "451 4.3.0 later please"
    submit(near, "later", "x@far.test")
    eventually("a first attempt", lambda: any(line.startswith("MAIL") for line in sink.commands))
    assert sink.accepted == []
    sink.refuse.clear()
    # The back-off is minutes: the operator's `queue retry` is the way to have it now.
    eventually(
        "delivery after a retry",
        lambda: ironpost("queue", "retry", "--dir", str(near.folder), check=False) and sink.accepted,
    )
    assert len(sink.accepted) == 1
    assert sink.accepted[0].endswith(b"\r\n\r\nrelayed\r\n.dot\r\n")
    assert inbox(near, "alice") == []


def test_queued_mail_survives_a_kill(near: Server, sink: Sink) -> None:
    sink.refuse["MAIL"] = "451 4.3.0 later please"
    for number in range(5):
        submit(near, f"kept {number}", "x@far.test")
    near.kill()
    sink.refuse.clear()
    near.start()
    eventually(
        "all five at the sink",
        lambda: ironpost("queue", "retry", "--dir", str(near.folder), check=False) and len(sink.accepted) >= 5,
    )
    subjects = {re.search(rb"Subject: (kept \d)", message).group(1) for message in sink.accepted}  # type: ignore[union-attr]
    assert len(subjects) == 5


def test_next_hop_down_then_up(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(tmp_path / "near", config=f'\n[[route]]\ndomain = "far.test"\nhost = "127.0.0.1"\nport = {port}\n')
    server.start()
    try:
        submit(server, "nobody there", "x@far.test")
        listing = eventually(
            "the attempt's outcome in the queue",
            lambda: (
                (text := ironpost("queue", "list", "--dir", str(server.folder)).stdout) and "far.test" in text and text
            ),
        )
        assert "x@far.test" in str(listing)
        assert inbox(server, "alice") == []
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()
