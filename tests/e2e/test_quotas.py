"""Quotas and second chances against a running server, as mail clients and the command line see them."""

from __future__ import annotations

import imaplib
import json
import signal
import smtplib
import threading
from pathlib import Path

import pytest

from tests.support.server import DOMAIN, Server, eventually, ironpost

MESSAGE = b"From: A <a@remote.test>\r\nTo: b@example.test\r\nSubject: first\r\n\r\nbody text\r\n"


def command(server: Server, *arguments: str) -> str:
    return ironpost(*arguments, "--dir", str(server.folder)).stdout


def messages(client: imaplib.IMAP4, mailbox: str = "INBOX") -> int:
    status, (count,) = client.select(mailbox)
    assert status == "OK"
    return int(count or b"0")


def test_append_and_copy_are_refused_and_move_is_not(running: Server, user: str) -> None:
    command(running, "quota", "set", f"{user}@{DOMAIN}", "--messages", "2")
    with running.imap(user) as client:
        for _ in range(2):
            assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"
        eventually("the warning of a full mailbox", lambda: messages(client) == 3)
        status, (text,) = client.append("INBOX", None, None, MESSAGE)
        assert (status, text[:11]) == ("NO", b"[OVERQUOTA]")
        status, (text,) = client.copy("1", "Archive")
        assert (status, text[:11]) == ("NO", b"[OVERQUOTA]")
        assert client.uid("MOVE", "1", "Archive")[0] == "OK"
        assert messages(client, "Archive") == 1
        assert messages(client) == 2
        # Room that is made can be used at once.
        client.store("1:2", "+FLAGS", "\\Deleted")
        client.expunge()
        client.select("Archive")
        assert client.copy("1", "INBOX")[0] == "OK"
        assert client.copy("1", "INBOX")[0] == "NO"


def test_a_large_append_is_refused_before_its_octets(running: Server, user: str) -> None:
    command(running, "quota", "set", f"{user}@{DOMAIN}", "--octets", "100 KiB")
    with running.raw("imap") as client:
        client.line()
        client.send(f't LOGIN {user}@{DOMAIN} "correct horse 42"\r\n'.encode())
        client.until(b"t ")
        client.send(b"t APPEND INBOX {1000000}\r\n")
        assert client.until(b"t ")[-1].startswith(b"t NO [OVERQUOTA] ")


def test_fifty_clients_share_the_room_of_some(running: Server, user: str) -> None:
    room, clients = 11, 50
    command(running, "quota", "set", f"{user}@{DOMAIN}", "--messages", str(room))
    replies: list[int] = []
    barrier = threading.Barrier(clients)

    def send(number: int) -> None:
        with running.smtp() as client:
            client.ehlo()
            client.mail("sender@remote.test")
            code, _ = client.rcpt(f"{user}@{DOMAIN}")
            barrier.wait(30)
            if code == 250:
                code, _ = client.data(b"X-Number: %d\r\n" % number + MESSAGE)
            replies.append(code)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(replies) == [250] * room + [552] * (clients - room)
    with running.imap(user) as client:
        # Warnings of 80% and 95% may come on top.
        client.select("INBOX")
        assert len(client.search(None, "HEADER", "X-Number", '""')[1][0].split()) == room
    with running.smtp() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        client.sendmail("sender@remote.test", [f"{user}@{DOMAIN}"], MESSAGE)
    ((code, text),) = caught.value.recipients.values()
    assert (code, text[:5]) == (552, b"5.2.2")
    (row,) = json.loads(command(running, "quota", "show", f"{user}@{DOMAIN}", "--json"))
    assert row["messages"] >= room


def test_a_warning_arrives_once(running: Server, user: str) -> None:
    command(running, "quota", "set", f"{user}@{DOMAIN}", "--messages", "5")
    for _ in range(4):
        running.deliver(MESSAGE, user)
    with running.imap(user) as client:

        def warnings() -> list[bytes]:
            client.select("INBOX")
            found: list[bytes] = client.search(None, "HEADER", "Auto-Submitted", "auto-generated")[1][0].split()
            return found

        eventually("the warning of 80%", lambda: len(warnings()) == 1)
        # It has taken the last place; one message less, and one more, pass no further threshold but the next.
        client.store("1:2", "+FLAGS", "\\Deleted")
        client.expunge()
        running.deliver(MESSAGE, user)
        running.deliver(MESSAGE, user)
        eventually("the warning of 95%", lambda: len(warnings()) == 2)
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
        assert len(warnings()) == 2


def test_recovered_messages_are_seen_again(running: Server, user: str) -> None:
    with running.imap(user) as client:
        client.create("Work")
        client.append("Work", "(\\Flagged \\Seen custom)", imaplib.Time2Internaldate(1_700_000_000), MESSAGE)
        client.append("INBOX", None, None, MESSAGE.replace(b"first", b"second"))
        client.select("INBOX")
        client.store("1", "+FLAGS", "\\Deleted")
        client.expunge()
        client.delete("Work")
        address = f"{user}@{DOMAIN}"
        rows = json.loads(command(running, "mailbox", "recover", address, "--list", "--json"))
        assert sorted(row["mailbox"] for row in rows) == ["INBOX", "Work"]
        assert "recovered 2" in command(running, "mailbox", "recover", address)
        # The session that has INBOX open is told.
        client.noop()
        assert client.response("EXISTS")[1][-1] == b"1"
        assert messages(client, "Work") == 1
        (head, body), *_ = client.fetch("1", "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
        assert body == MESSAGE
        for part in (b"\\Flagged", b"\\Seen", b"custom", b"14-Nov-2023"):
            assert part in head
        assert b"\\Deleted" not in head
        assert "nothing" in command(running, "mailbox", "recover", address, "--list")


def test_a_reload_changes_limits_and_second_chances_survive_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path / "data")
    plain = (server.folder / "ironpost.toml").read_text()
    with server.serving():
        server.deliver(MESSAGE, "bob")
        server.write_config(plain + "[quota]\naccount_messages = 1\n")
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)

        def refused() -> bool:
            with server.smtp() as client:
                client.ehlo()
                client.mail("x@remote.test")
                return client.rcpt(f"bob@{DOMAIN}")[0] == 552

        eventually("the new limit", refused)
        with server.imap("bob") as client:
            assert client.append("INBOX", None, None, MESSAGE)[1][0].startswith(b"[OVERQUOTA]")
            client.select("INBOX")
            client.store("1:*", "+FLAGS", "\\Deleted")
            client.expunge()
        assert not refused()
    with server.serving():
        server.deliver(MESSAGE, "bob")
        # Retained messages do not count, and do not come back into a full mailbox.
        done = ironpost("mailbox", "recover", f"bob@{DOMAIN}", "--dir", str(server.folder), check=False)
        assert done.returncode == 1
        assert "1 messages" in done.stderr
        command(server, "quota", "set", f"bob@{DOMAIN}", "--messages", "none")
        assert "recovered" in command(server, "mailbox", "recover", f"bob@{DOMAIN}", "--mailbox", "INBOX")
        with server.imap("bob") as client:
            assert messages(client) >= 2


def test_imap_shows_the_limits_of_account_and_domain(running: Server, user: str) -> None:
    """RFC 9208 §4.1.1, §4.1.2, §4.2: roots, resources and usage."""
    address = f"{user}@{DOMAIN}"
    command(running, "quota", "set", address, "--octets", "100 KiB", "--messages", "7")
    with running.imap(user) as client:
        assert client.append("INBOX", None, None, MESSAGE)[0] == "OK"
        assert client.getquotaroot("INBOX") == (
            "OK",
            [[f'"INBOX" "{address}"'.encode()], [f'"{address}" (STORAGE 1 100 MESSAGE 1 7)'.encode()]],
        )
        assert client.getquota(address) == ("OK", [f'"{address}" (STORAGE 1 100 MESSAGE 1 7)'.encode()])
        # A domain without limits is no root, and what its accounts hold together is nobody's business.
        assert client.getquota(DOMAIN)[0] == "NO"
        assert client.getquota(f"other.{address}")[0] == "NO"
        assert client.setquota(address, "(STORAGE 1)")[0] == "NO"
        command(running, "quota", "set", address, "--octets", "none")
        command(running, "quota", "set", DOMAIN, "--messages", "100000")
        try:
            status, (roots, quotas) = client.getquotaroot("Sent")
            assert (status, roots) == ("OK", [f'"Sent" "{address}" "{DOMAIN}"'.encode()])
            assert quotas[0] == f'"{address}" (MESSAGE 1 7)'.encode()
            assert quotas[1].startswith(f'"{DOMAIN}" (MESSAGE '.encode())
            assert quotas[1].endswith(b" 100000)")
            assert client.getquota(DOMAIN)[1] == [quotas[1]]
        finally:
            command(running, "quota", "set", DOMAIN, "--messages", "default")
