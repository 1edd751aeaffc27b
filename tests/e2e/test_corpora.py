"""Real messages through SMTP, LMTP and APPEND, read back over IMAP and POP3 byte for byte."""

from __future__ import annotations

import re
import smtplib

import pytest

from tests.e2e.test_imap import Imap
from tests.support import corpora
from tests.support.server import DOMAIN, PASSWORD, Server

PACKED = 300


@pytest.fixture(autouse=True)
def _needs_corpora() -> None:
    corpora.require()


def sendable(octets: bytes) -> bytes | None:
    """The message as SMTP carries it; None when it must be refused."""
    if b"\0" in octets or corpora.line_ends(octets) == "mixed":
        return None
    message = corpora.with_crlf(octets)
    return message if message.endswith(b"\r\n") else message + b"\r\n"


def read_all_imap(server: Server, user: str, count: int) -> list[bytes]:
    found = []
    with Imap(server, user) as client:
        client.do("SELECT INBOX")
        client.send(b"t FETCH 1:* BODY.PEEK[]\r\n")
        for _ in range(count):
            head = client.line()
            size = int(head.rstrip().rstrip(b"}").rpartition(b"{")[2])
            found.append(client.file.read(size))
            assert client.line() == b")\r\n"
        client.until(b"t OK")
    return found


@pytest.mark.parametrize("service", ["smtp", "lmtp"])
def test_through_the_wire_and_back(running: Server, user: str, service: str) -> None:
    sent = []
    refused = 0
    client: smtplib.SMTP = running.smtp() if service == "smtp" else running.lmtp()
    client.ehlo_or_helo_if_needed()
    for name, octets in corpora.messages(packed=PACKED):
        message = sendable(octets)
        client.mail("a@remote.test", ["BODY=8BITMIME"])
        client.rcpt(f"{user}@example.test")
        if message is not None:
            code, text = client.data(message)
            assert code == 250, (name, text)
            sent.append((name, message))
        else:
            code, text = raw_data(client, octets)
            assert (code, text[:5]) == (550, b"5.6.0"), (name, text)
            refused += 1
    client.quit()
    assert len(sent) > 300
    assert refused > 0
    for read in (read_all_imap, read_pop3):
        found = read(running, user, len(sent))
        for (name, message), octets in zip(sent, found, strict=True):
            assert octets.endswith(message), (read.__name__, name)
            trace = octets[: len(octets) - len(message)]
            assert re.fullmatch(rb"Return-Path: .*\r\n(Delivered-To: .*\r\n)?Received: (.*\r\n[ \t]+)*.*\r\n", trace), (
                name
            )


def raw_data(client: smtplib.SMTP, octets: bytes) -> tuple[int, bytes]:
    """DATA with the octets as they are, dots stuffed behind every LF, ended by CRLF.CRLF."""
    code, _ = client.docmd("DATA")
    assert code == 354
    stuffed = octets.replace(b"\n.", b"\n..")
    if stuffed.startswith(b"."):
        stuffed = b"." + stuffed
    client.send(stuffed + b"\r\n.\r\n")
    return client.getreply()


def read_pop3(server: Server, user: str, count: int) -> list[bytes]:
    """RETR of everything, over a bare connection: poplib refuses lines that real mail has."""
    found = []
    with server.raw("pop3") as client:
        client.line()
        for line in (f"USER {user}@{DOMAIN}", f"PASS {PASSWORD}"):
            client.send(f"{line}\r\n".encode())
            assert client.line().startswith(b"+OK")
        for number in range(1, count + 1):
            client.send(b"RETR %d\r\n" % number)
            assert client.line().startswith(b"+OK")
            lines = []
            while (line := client.line()) != b".\r\n":
                assert line.endswith(b"\r\n")
                lines.append(line[1:] if line.startswith(b".") else line)
            found.append(b"".join(lines))
        client.send(b"QUIT\r\n")
        client.line()
    return found


def test_append_octet_for_octet(running: Server, user: str) -> None:
    sent = []
    with Imap(running, user) as client:
        for name, octets in corpora.messages(packed=PACKED):
            marker = b"~" if b"\0" in octets else b""
            client.send(b"t APPEND INBOX " + marker + b"{%d+}\r\n" % len(octets) + octets + b"\r\n")
            answer = client.until(b"t ")[-1]
            assert answer.startswith(b"t OK"), (name, answer)
            sent.append((name, octets))
    found = read_all_imap(running, user, len(sent))
    for (name, octets), back in zip(sent, found, strict=True):
        assert back == octets, name
