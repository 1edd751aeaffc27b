"""A full disk: new mail is put off with 452 / NO, reading goes on, nothing acknowledged is lost, and it ends by itself."""

from __future__ import annotations

import os
import smtplib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server, eventually

MESSAGE = b"From: a@remote.test\r\nSubject: %d\r\n\r\n" + b"x" * 70 + b"\r\n"
DISK_OCTETS = 160 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_OCTETS}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Takes all the space that is left."""
    path = folder / "filler"
    with path.open("ab", buffering=0) as file:
        chunk = bytes(1 << 20)
        while chunk:
            try:
                file.write(chunk)
            except OSError:
                chunk = chunk[: len(chunk) // 2]
    return path


def send(server: Server, number: int) -> tuple[int, bytes]:
    """The reply that decides about a message."""
    with server.smtp() as client:
        client.ehlo()
        for code, text in (client.mail("a@remote.test"), client.rcpt("bob@example.test")):
            if code != 250:
                return code, text
        try:
            return client.data(MESSAGE % number)
        except smtplib.SMTPDataError as error:
            return error.smtp_code, error.smtp_error


@pytest.mark.parametrize("min_free", ["16MiB", "0"])
def test_full_disk(disk: Path, min_free: str) -> None:
    server = Server(disk / "data", config=f'\n[store]\nmin_free = "{min_free}"\nmap_size = "64MiB"\n')
    server.start()
    accepted = []
    try:
        for number in range(20):
            assert send(server, number)[0] == 250
            accepted.append(number)
        filler = fill(disk)

        def refused() -> bool:
            code, text = send(server, len(accepted))
            if code == 250:
                accepted.append(len(accepted))
                return False
            assert (code, text[:5]) == (452, b"4.3.1"), (code, text)
            return True

        eventually("452 4.3.1", refused, 60)
        with server.imap("bob") as client:
            assert client.select("INBOX")[1] == [str(len(accepted)).encode()]
            # Whatever room is left belongs to one more small append or to none; a large one must be refused.
            status, answer = client.append("INBOX", None, None, b"Subject: no\r\n\r\n" + b"x" * (4 << 20))
            assert status == "NO", answer
            assert client.fetch("1:*", "(BODY.PEEK[])")[0] == "OK"
            # Deleting is possible, or space could never come back.
            client.store("1", "+FLAGS", "(\\Deleted)")
            assert client.expunge()[0] == "OK"
        filler.unlink()

        def taken() -> bool:
            return send(server, 999)[0] == 250

        eventually("mail is taken again", taken, 30)
        with server.imap("bob", PASSWORD) as client:
            assert client.select("INBOX", readonly=True)[1] == [str(len(accepted)).encode()]
        assert server.stop() == 0
        server.check()
    finally:
        server.kill()
