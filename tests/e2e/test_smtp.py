"""SMTP, submission and LMTP against a running server: what is taken, what is refused, and with which code."""

from __future__ import annotations

import base64
import smtplib

import pytest

from tests.support.server import DOMAIN, PASSWORD, Server

MESSAGE = b"From: a@remote.test\r\nTo: b@example.test\r\nSubject: hello\r\n\r\nline one\r\n.leading dot\r\n..two\r\n"


def stored(server: Server, user: str, number: int = 1) -> bytes:
    """BODY[] of a message in the user's INBOX."""
    with server.imap(user) as client:
        client.select("INBOX", readonly=True)
        answer = client.fetch(str(number), "(BODY.PEEK[])")[1]
        assert isinstance(answer[0], tuple), answer
        return answer[0][1]


def without_trace(message: bytes) -> bytes:
    """What lies below the trace fields that the server put on top."""
    lines = message.splitlines(keepends=True)
    place = 0
    while (
        lines[place].split(b":")[0].lower() in {b"return-path", b"delivered-to", b"received"}
        or lines[place][:1] in b" \t"
    ):
        place += 1
    return b"".join(lines[place:])


def test_delivers_byte_for_byte(running: Server, user: str) -> None:
    running.deliver(MESSAGE, user)
    message = stored(running, user)
    assert without_trace(message) == MESSAGE
    assert message.startswith(b"Return-Path: <sender@remote.test>\r\n")
    assert b"\r\nReceived: from client.test" in message


def test_relay_is_refused(running: Server) -> None:
    for recipient in (
        "someone@elsewhere.test",
        "someone%elsewhere.test@other.test",
        '"someone@elsewhere.test"@other.test',
        "someone@[127.0.0.1]",
        "someone@[IPv6:::1]",
        "someone@sub.example.test",
        "@example.test:someone@elsewhere.test",
    ):
        with running.smtp() as client:
            client.ehlo()
            assert client.mail("a@remote.test")[0] == 250
            code, text = client.docmd("RCPT", f"TO:<{recipient}>")
            assert (code, text[:5]) == (554, b"5.7.1"), recipient


@pytest.mark.parametrize(
    "recipient", ["a%elsewhere.test@example.test", '"a@elsewhere.test"@example.test', "a!b@example.test"]
)
def test_tricks_in_the_local_part_are_unknown_users(running: Server, recipient: str) -> None:
    with running.smtp() as client:
        client.ehlo()
        client.mail("a@remote.test")
        code, text = client.docmd("RCPT", f"TO:<{recipient}>")
        assert (code, text[:5]) == (550, b"5.1.1")


def test_unknown_user(running: Server) -> None:
    with running.smtp() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        client.sendmail("a@remote.test", ["nobody@example.test"], MESSAGE)
    code, text = refused.value.recipients["nobody@example.test"]
    assert (code, text[:5]) == (550, b"5.1.1")


@pytest.mark.parametrize(
    "body",
    [
        b"a\n.\r\nMAIL FROM:<evil@remote.test>\r\n",
        b"a\r\n.\nMAIL FROM:<evil@remote.test>\r\n",
        b"a\n.\nMAIL FROM:<evil@remote.test>\r\n",
        b"a\r.\rMAIL FROM:<evil@remote.test>\r\n",
        b"a\r\n.\rMAIL FROM:<evil@remote.test>\r\n",
        b"a\r.\r\nMAIL FROM:<evil@remote.test>\r\n",
        b"bare\rreturn\r\n",
        b"bare\nfeed\r\n",
        b"nul\0octet\r\n",
    ],
)
def test_smuggling_is_refused_and_the_session_goes_on(running: Server, user: str, body: bytes) -> None:
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO client.test")
        client.command(b"MAIL FROM:<a@remote.test>")
        client.command(f"RCPT TO:<{user}@example.test>".encode())
        assert client.command(b"DATA").startswith(b"354")
        client.send(b"Subject: x\r\n\r\n" + body + b".\r\n")
        assert client.reply()[-1].startswith(b"550 5.6.0")
        assert client.command(b"NOOP").startswith(b"250")
        assert client.command(b"QUIT").startswith(b"221")
    with running.imap(user) as mailbox:
        assert mailbox.select("INBOX")[1] == [b"0"]


def test_dot_stuffing_at_the_first_line(running: Server, user: str) -> None:
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO client.test")
        client.command(b"MAIL FROM:<>")
        client.command(f"RCPT TO:<{user}@example.test>".encode())
        client.command(b"DATA")
        client.send(b"..first\r\n.\r\n")
        assert client.reply()[-1].startswith(b"250")
    assert without_trace(stored(running, user)) == b".first\r\n"


def test_pipelined_group_is_answered_in_order(running: Server, user: str) -> None:
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO client.test")
        client.send(
            b"MAIL FROM:<a@remote.test>\r\nRCPT TO:<nobody@example.test>\r\n"
            + f"RCPT TO:<{user}@example.test>\r\nDATA\r\n".encode()
        )
        assert [client.reply()[-1][:3] for _ in range(4)] == [b"250", b"550", b"250", b"354"]
        client.send(MESSAGE + b"\r\n.\r\nQUIT\r\n")
        assert [client.reply()[-1][:3] for _ in range(2)] == [b"250", b"221"]


def test_bdat(running: Server, user: str) -> None:
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO client.test")
        client.command(b"MAIL FROM:<a@remote.test>")
        client.command(f"RCPT TO:<{user}@example.test>".encode())
        first, second = MESSAGE[:50], MESSAGE[50:]
        client.send(b"BDAT %d\r\n" % len(first) + first + b"BDAT %d LAST\r\n" % len(second) + second)
        assert [client.reply()[-1][:3] for _ in range(2)] == [b"250", b"250"]
    assert without_trace(stored(running, user)) == MESSAGE


def test_starttls_injection_closes(running: Server) -> None:
    with running.raw("smtp") as client:
        client.reply()
        client.command(b"EHLO client.test")
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@remote.test>\r\n")
        lines = client.file.read()
        assert b"250" not in lines


def test_oversized_message_is_refused(running: Server, user: str) -> None:
    with running.smtp() as client:
        client.ehlo()
        limit = int(client.esmtp_features["size"])
        code, text = client.mail("a@remote.test", [f"SIZE={limit + 1}"])
        assert (code, text[:5]) == (552, b"5.3.4")


def test_malformed_commands_are_answered(running: Server) -> None:
    with running.raw("smtp") as client:
        client.reply()
        for line, code in (
            (b"HELLO there", b"500"),
            (b"MAIL FROM:<a@b.test>", b"503"),
            (b"EHLO client.test", b"250"),
            (b"MAIL FROM <a@b.test>", b"501"),
            (b"MAIL FROM:<a b@b.test>", b"501"),
            (b"MAIL FROM:<a@b.test> UNKNOWN=1", b"555"),
            (b"RCPT TO:<bob@example.test>", b"503"),
            (b"DATA", b"503"),
            (b"NOOP " + b"x" * 5000, b"500"),
            (b"NOOP", b"250"),
        ):
            assert client.command(line)[:3] == code, line


def test_submission_needs_authentication(running: Server) -> None:
    with running.smtp("submission") as client:
        client.ehlo()
        code, text = client.mail(f"alice@{DOMAIN}")
        assert (code, text[:5]) == (530, b"5.7.0")


def test_submission_checks_the_sender(running: Server) -> None:
    with running.smtp("submission") as client:
        client.starttls(context=running.tls())
        client.login(f"alice@{DOMAIN}", PASSWORD)
        code, text = client.mail(f"bob@{DOMAIN}")
        assert (code, text[:5]) == (553, b"5.7.1")


def test_submission_delivers_and_repairs_the_header(running: Server, user: str) -> None:
    with smtplib.SMTP_SSL("127.0.0.1", running.port("submissions"), context=running.tls(), timeout=30) as client:
        client.login(f"alice@{DOMAIN}", PASSWORD)
        client.sendmail(
            f"alice@{DOMAIN}",
            [f"{user}@{DOMAIN}"],
            f"From: alice@{DOMAIN}\r\nBcc: secret@{DOMAIN}\r\nSubject: x\r\n\r\nbody\r\n".encode(),
        )
    message = stored(running, user)
    assert b"\r\nDate: " in message
    assert b"\r\nMessage-ID: <" in message
    assert b"Bcc:" not in message


def test_wrong_password_is_refused(running: Server) -> None:
    with running.smtp("submission") as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login(f"alice@{DOMAIN}", "wrong")
    assert refused.value.smtp_code == 535


def test_port_25_offers_no_authentication(running: Server) -> None:
    with running.smtp() as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0a\0b").decode())[0] in {500, 502, 503, 538}


def test_lmtp_answers_for_each_recipient(running: Server, user: str) -> None:
    with running.raw("lmtp") as client:
        client.reply()
        assert client.command(b"EHLO client.test").startswith(b"500")
        client.command(b"LHLO client.test")
        client.command(b"MAIL FROM:<a@remote.test>")
        assert client.command(f"RCPT TO:<{user}@example.test>".encode()).startswith(b"250")
        assert client.command(b"RCPT TO:<nobody@example.test>").startswith(b"550 5.1.1")
        assert client.command(b"RCPT TO:<bob@example.test>").startswith(b"250")
        client.command(b"DATA")
        client.send(MESSAGE + b".\r\n")
        assert [client.reply()[-1][:3] for _ in range(2)] == [b"250", b"250"]
        assert client.command(b"NOOP").startswith(b"250")


def test_subaddress_and_case(running: Server, user: str) -> None:
    with running.smtp() as client:
        client.sendmail("a@remote.test", [f"{user.upper()}+detail@EXAMPLE.Test"], MESSAGE)
    assert without_trace(stored(running, user)) == MESSAGE
