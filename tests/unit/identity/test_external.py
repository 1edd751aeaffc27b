"""Which addresses a certificate names (RFC 5280 §4.2.1.6), and the one message of EXTERNAL (RFC 4422 appendix A)."""

from __future__ import annotations

import datetime

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ironpost.errors import SaslError
from ironpost.identity.external import ExternalLogin, addresses
from ironpost.identity.passwords import Proven
from ironpost.identity.presence import Proof
from ironpost.state.directory import Account

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(names: list[x509.GeneralName], subject: list[x509.NameAttribute[str]] | None = None) -> bytes:
    name = x509.Name(subject or [x509.NameAttribute(x509.NameOID.COMMON_NAME, "somebody")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_alternative_names_come_before_the_subject() -> None:
    subject = [x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "old@example.test")]
    assert addresses(certificate([x509.RFC822Name("a@example.test"), x509.RFC822Name("b@example.test")], subject)) == (
        "a@example.test",
        "b@example.test",
    )
    assert addresses(certificate([x509.DNSName("mail.example.test")], subject)) == ("old@example.test",)
    assert addresses(certificate([], subject)) == ("old@example.test",)


def test_what_is_no_address_names_nobody() -> None:
    assert addresses(certificate([])) == ()
    assert addresses(certificate([x509.DNSName("alice.example.test")])) == ()
    # A local part alone would be a login where there is one domain.
    assert addresses(certificate([], [x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "alice")])) == ()


@given(st.binary(max_size=200))
def test_nonsense_names_nobody(octets: bytes) -> None:
    assert addresses(octets) == ()


class Authority:
    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], str]] = []

    async def verify_certificate(self, user: str, names: tuple[str, ...], peer_host: str) -> Proven:
        await trio.lowlevel.checkpoint()
        self.asked.append((user, names, peer_host))
        return Proven(Account(1, "a@example.test"), Proof("certificate"))


async def test_the_client_speaks_first_and_once() -> None:
    authority = Authority()
    login = ExternalLogin(authority, certificate([x509.RFC822Name("a@example.test")]), "192.0.2.1")
    assert await login.step(None) == b""
    assert await login.step(b"") == Account(1, "a@example.test")
    assert login.proof == Proof("certificate")
    login = ExternalLogin(authority, certificate([]), "192.0.2.1")
    await login.step("grüße@example.test".encode())
    assert authority.asked == [
        ("", ("a@example.test",), "192.0.2.1"),
        ("grüße@example.test", (), "192.0.2.1"),
    ]


@pytest.mark.parametrize("message", [b"a\0b", b"\xff", b"a" * 5000])
async def test_malformed(message: bytes) -> None:
    authority = Authority()
    with pytest.raises(SaslError):
        await ExternalLogin(authority, certificate([]), "192.0.2.1").step(message)
    assert not authority.asked
