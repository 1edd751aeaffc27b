"""SCRAM: the RFCs' examples, and what must not get in."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from tests.support.scram import ScramClient

from ironpost.errors import SaslError
from ironpost.identity import scram

# RFC 5802 §5 and RFC 7677 §3: mechanism, client's and server's nonce, salt, proof, server's signature.
EXAMPLES = [
    (
        "SCRAM-SHA-1", "fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92",
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=", "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        "SCRAM-SHA-256", "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "W22ZaJ0SNY7soEsUEjb6gQ==",
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]  # fmt: skip


def verifier(mechanism: str, password: str, salt: bytes = b"salt of sixteen.") -> scram.Verifier:
    """As a credential keeps it."""
    found = scram.read(mechanism, (scram.make(mechanism, password.encode(), 4096, salt),))
    assert found is not None
    return found


@pytest.mark.parametrize(("mechanism", "client", "server", "salt", "proof", "signature"), EXAMPLES)
def test_examples(mechanism: str, client: str, server: str, salt: str, proof: str, signature: str) -> None:
    exchange = scram.ScramServer(mechanism)
    assert exchange.first(f"n,,n=user,r={client}".encode()) == "user"
    challenge = exchange.challenge(verifier(mechanism, "pencil", base64.b64decode(salt)), server.encode())
    assert challenge == f"r={client}{server},s={salt},i=4096".encode()
    assert exchange.final(f"c=biws,r={client}{server},p={proof}".encode()) == f"v={signature}".encode()


@pytest.mark.parametrize("mechanism", scram.HASHES)
def test_every_hash_with_a_client_of_its_own(mechanism: str) -> None:
    for password, good in (("pencil", True), ("Pencil", False)):
        exchange = scram.ScramServer(mechanism)
        client = ScramClient(mechanism, "a,b=c", password, gs2="y,a=a=2Cb=3Dc,")
        assert exchange.first(client(None)) == "a,b=c"
        last = exchange.final(client(exchange.challenge(verifier(mechanism, "pencil"))))
        assert (last is not None) == good
        if last is not None:
            client(last)
            assert client.server_signature_good


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,r=x,n=user",
        b"n,,n=,r=x",
        b"n,,n=user,r=",
        b"n,,n=us=er,r=x",
        b"n,,n=user=2c,r=x",
        b"x,,n=user,r=x",
        b"p=tls-unique,,n=user,r=x",
        b"n,,m=ext,n=user,r=x",
        b"n,b=x,n=user,r=x",
        b"n,a=other,n=user,r=x",
        b"n,,n=\xff,r=x",
        b"n,,n=user,r=\x7f",
        b"n,,n=a\0b,r=x",
        b"n,,n=" + b"a" * 5000 + b",r=x",
    ],
)
def test_malformed_first_messages(message: bytes) -> None:
    with pytest.raises(SaslError):
        scram.ScramServer("SCRAM-SHA-256").first(message)


def _other_nonce(final: bytes) -> bytes:
    return final.replace(b",r=", b",r=x", 1)


def _other_header(final: bytes) -> bytes:
    return final.replace(b"c=biws", b"c=eSws", 1)


def _no_proof(final: bytes) -> bytes:
    return final.partition(b",p=")[0]


def _short_proof(final: bytes) -> bytes:
    return final.partition(b",p=")[0] + b",p=AAAA"


def _bad_base64(final: bytes) -> bytes:
    return final[:-4] + b"!!!="


@pytest.mark.parametrize("change", [_other_nonce, _other_header, _no_proof, _short_proof, _bad_base64, lambda _: b""])
def test_malformed_final_messages(change: Callable[[bytes], bytes]) -> None:
    exchange = scram.ScramServer("SCRAM-SHA-256")
    client = ScramClient("SCRAM-SHA-256", "user", "pencil")
    exchange.first(client(None))
    final = client(exchange.challenge(verifier("SCRAM-SHA-256", "pencil")))
    with pytest.raises(SaslError):
        exchange.final(change(final))


def test_a_final_message_fits_no_other_exchange() -> None:
    kept = verifier("SCRAM-SHA-256", "pencil")
    client = ScramClient("SCRAM-SHA-256", "user", "pencil")
    first = scram.ScramServer("SCRAM-SHA-256")
    first.first(client(None))
    final = client(first.challenge(kept))
    second = scram.ScramServer("SCRAM-SHA-256")
    second.first(client.messages[0])
    second.challenge(kept)
    with pytest.raises(SaslError, match="belong together"):
        second.final(final)


def test_who_has_no_password_looks_like_somebody() -> None:
    salt = scram.decoy_salt(b"key", "SCRAM-SHA-256", "nobody@example.test")
    assert salt == scram.decoy_salt(b"key", "SCRAM-SHA-256", "nobody@example.test")
    assert salt != scram.decoy_salt(b"key", "SCRAM-SHA-512", "nobody@example.test")
    made = scram.read("SCRAM-SHA-256", (scram.make("SCRAM-SHA-256", b"x", 4096),))
    assert made is not None
    assert len(salt) == len(made.salt)
    exchange = scram.ScramServer("SCRAM-SHA-256")
    client = ScramClient("SCRAM-SHA-256", "nobody@example.test", "guess")
    exchange.first(client(None))
    assert exchange.final(client(exchange.challenge(scram.nobody("SCRAM-SHA-256", salt, 4096)))) is None
