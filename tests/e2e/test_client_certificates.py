"""EXTERNAL (RFC 4422 appendix A) over IMAP, POP3 and submission, with certificates of an authority of our own."""

from __future__ import annotations

import base64
import datetime
import imaplib
import poplib
import signal
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support.server import DOMAIN, Server, eventually

ALICE, BOB = f"alice@{DOMAIN}", f"bob@{DOMAIN}"


class Authority:
    """Ours, with what it has issued."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.folder = folder

    def issue(self, name: str, *addresses: str, by: trustme.CA | None = None) -> ssl.SSLContext:
        """A client that shows a certificate of these addresses."""
        leaf = (by or self.ca).issue_cert(*addresses)
        path = self.folder / f"{name}.pem"
        path.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # whom the client trusts is not what is tested here
        context.load_cert_chain(path)
        return context

    def revoke(self, name: str) -> bytes:
        """A list with that certificate."""
        issuer = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        key = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        certificate = x509.load_pem_x509_certificates((self.folder / f"{name}.pem").read_bytes())[0]
        now = datetime.datetime.now(datetime.UTC)
        row = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now).build()
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now)
            .next_update(now + datetime.timedelta(days=30))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()),
                critical=False,
            )
            .add_revoked_certificate(row)
            .sign(key, hashes.SHA256())  # type: ignore[arg-type]
        )
        return made.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority, tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "data", accounts=("alice", "bob"))
    (made.folder / "tls" / "clients.pem").write_bytes(authority.ca.cert_pem.bytes())
    path = made.folder / "ironpost.toml"
    made.write_config(path.read_text().replace("[tls]\n", '[tls]\nclient_authorities = "tls/clients.pem"\n'))
    with made.serving():
        yield made


def imap_login(server: Server, context: ssl.SSLContext, user: str = "") -> str:
    """OK, or what the server says instead."""
    with imaplib.IMAP4_SSL("127.0.0.1", server.port("imaps"), ssl_context=context, timeout=60) as imap:
        if "AUTH=EXTERNAL" not in imap.capabilities:
            return "not offered"
        try:
            assert imap.authenticate("EXTERNAL", lambda _: user.encode())[0] == "OK"
        except imaplib.IMAP4.error as error:
            assert imap.noop()[0] == "OK", "the session goes on"
            return str(error)
        assert imap.select()[0] == "OK"
        return "OK"


def test_a_certificate_is_a_login_in_all_protocols(server: Server, authority: Authority) -> None:
    alice = authority.issue("alice", ALICE)
    assert imap_login(server, alice) == "OK"
    assert imap_login(server, alice, ALICE) == "OK"
    pop = poplib.POP3_SSL("127.0.0.1", server.port("pop3s"), context=alice, timeout=60)
    assert "EXTERNAL" in pop.capa()["SASL"]
    assert pop._shortcmd("AUTH EXTERNAL =").startswith(b"+OK")
    assert pop.stat() == (0, 0)
    pop.quit()
    with smtplib.SMTP_SSL("localhost", server.port("submissions"), context=alice, timeout=60) as smtp:
        smtp.ehlo()
        assert "EXTERNAL" in smtp.esmtp_features["auth"].split()
        assert smtp.docmd("AUTH", "EXTERNAL " + base64.b64encode(ALICE.encode()).decode())[0] == 235
        smtp.sendmail(ALICE, [ALICE], f"From: {ALICE}\r\nSubject: hello\r\n\r\nhello\r\n")
    # STARTTLS, after which it is offered.
    with imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=60) as imap:
        assert "AUTH=EXTERNAL" not in imap.capabilities
        imap.starttls(alice)
        assert "AUTH=EXTERNAL" in imap.capabilities
        assert imap.authenticate("EXTERNAL", lambda _: b"")[0] == "OK"


def test_it_is_a_login_for_whom_it_names_alone(server: Server, authority: Authority) -> None:
    alice, both = authority.issue("alice", ALICE), authority.issue("both", ALICE, BOB)
    nobody = authority.issue("nobody", "mail.example.test", f"carol@{DOMAIN}")
    assert "AUTHENTICATIONFAILED" in imap_login(server, alice, BOB)
    assert imap_login(server, both, BOB) == "OK"
    assert imap_login(server, both, ALICE) == "OK"
    assert "AUTHENTICATIONFAILED" in imap_login(server, both), "which of the two is not said"
    assert "AUTHENTICATIONFAILED" in imap_login(server, nobody)
    assert "AUTHENTICATIONFAILED" in imap_login(server, nobody, ALICE)
    assert "AUTHENTICATIONFAILED" in imap_login(server, alice, "a\0b")


def test_without_one_there_are_passwords_as_ever_and_strangers_are_turned_away(
    server: Server, authority: Authority
) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.verify_mode = ssl.CERT_NONE
    assert imap_login(server, bare) == "not offered"
    with server.imap("alice") as imap:
        assert imap.select()[0] == "OK"
    stranger = authority.issue("stranger", ALICE, by=trustme.CA())
    with pytest.raises((ssl.SSLError, OSError, imaplib.IMAP4.abort)):
        imap_login(server, stranger)


def test_a_revoked_one_is_turned_away_after_a_reload(server: Server, authority: Authority) -> None:
    alice, bob = authority.issue("alice", ALICE), authority.issue("bob", BOB)
    assert imap_login(server, alice) == "OK"
    (server.folder / "tls" / "clients.pem").write_bytes(authority.ca.cert_pem.bytes() + authority.revoke("alice"))
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)

    def refused() -> bool:
        try:
            return imap_login(server, alice) != "OK"
        except (ssl.SSLError, OSError, imaplib.IMAP4.abort):
            return True

    eventually("the revoked certificate is refused", refused)
    assert imap_login(server, bob) == "OK"
