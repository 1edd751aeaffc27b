"""SCRAM over IMAP, POP3 and submission (RFC 5802, RFC 9051 §6.2.2, RFC 5034, RFC 4954), by a client of its own."""

from __future__ import annotations

import base64
import imaplib
import poplib
import smtplib

import pytest

from tests.support.scram import ScramClient
from tests.support.server import DOMAIN, PASSWORD, Server

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1")


def client_of(user: str, mechanism: str, password: str = PASSWORD) -> ScramClient:
    """For one login."""
    return ScramClient(mechanism, f"{user}@{DOMAIN}", password)


def pop3_login(server: Server, mechanism: str, client: ScramClient) -> bytes:
    """The last line of the exchange."""
    pop = poplib.POP3("127.0.0.1", server.port("pop3"), timeout=30)
    try:
        pop._putcmd(f"AUTH {mechanism} " + base64.b64encode(client(None)).decode())
        while True:
            line, _ = pop._getline()
            if not line.startswith(b"+ "):
                return line
            pop._putline(base64.b64encode(client(base64.b64decode(line[2:]))))
    finally:
        pop.close()


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_protocol(running: Server, user: str, mechanism: str) -> None:
    client = client_of(user, mechanism)
    with imaplib.IMAP4("127.0.0.1", running.port("imap"), timeout=30) as imap:
        assert f"AUTH={mechanism}" in imap.capabilities
        assert imap.authenticate(mechanism, client)[0] == "OK"
        assert imap.select()[0] == "OK"
    assert client.server_signature_good
    client = client_of(user, mechanism)
    assert pop3_login(running, mechanism, client).startswith(b"+OK")
    assert client.server_signature_good
    client = client_of(user, mechanism)
    with smtplib.SMTP("127.0.0.1", running.port("submission"), timeout=30) as smtp:
        smtp.ehlo()
        assert mechanism in smtp.esmtp_features["auth"].split()
        code, _ = smtp.auth(mechanism, lambda challenge=None: client(challenge).decode())
        assert code == 235
    assert client.server_signature_good


def test_wrong_passwords_and_unknown_users(running: Server, user: str) -> None:
    for client in (client_of(user, "SCRAM-SHA-256", "wrong"), client_of("nobody", "SCRAM-SHA-256")):
        with imaplib.IMAP4("127.0.0.1", running.port("imap"), timeout=30) as imap:
            with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
                imap.authenticate("SCRAM-SHA-256", client)
            assert imap.noop()[0] == "OK", "the session goes on"
        assert not client.server_signature_good
    assert pop3_login(running, "SCRAM-SHA-1", client_of(user, "SCRAM-SHA-1", "wrong")).startswith(b"-ERR [AUTH]")


def test_malformed_messages_end_the_exchange_alone(running: Server, user: str) -> None:
    with imaplib.IMAP4("127.0.0.1", running.port("imap"), timeout=30) as imap:
        for answer in (b"nonsense", b"p=tls-unique,,n=x,r=y"):
            with pytest.raises(imaplib.IMAP4.error):
                imap.authenticate("SCRAM-SHA-256", lambda _, answer=answer: answer)
        with pytest.raises(imaplib.IMAP4.error, match="not offered"):
            imap.authenticate("SCRAM-SHA-256-PLUS", lambda _: b"")
        assert imap.authenticate("SCRAM-SHA-512", client_of(user, "SCRAM-SHA-512"))[0] == "OK"
