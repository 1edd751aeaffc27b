"""Makes the certificates and keys that the tests of ironpost-tls use; run once, the results are kept beside it.

They are valid for a century and worth nothing outside the tests.
"""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

HERE = Path(__file__).parent
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def pem(key: Key, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def build(subject: str, key: Key, issuer: str, issuer_key: Key, dns: list[str]) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(ca=not dns, path_length=None), critical=True)
    )
    if dns:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in dns]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def main() -> None:
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = build("test root", root_key, "test root", root_key, [])
    (HERE / "root.pem").write_bytes(root)
    for stem, key, dns in [
        ("mail", ec.generate_private_key(ec.SECP256R1()), ["mail.example.org"]),
        ("rsa", rsa.generate_private_key(65537, 2048), ["mail.example.org", "rsa.example.org"]),
        ("wild", ec.generate_private_key(ec.SECP256R1()), ["*.example.net"]),
    ]:
        (HERE / f"{stem}.pem").write_bytes(build(stem, key, "test root", root_key, dns) + root)
        (HERE / f"{stem}.key").write_bytes(pem(key, NoEncryption()))
        if stem == "mail":
            (HERE / "encrypted.key").write_bytes(pem(key, BestAvailableEncryption(b"x")))


if __name__ == "__main__":
    main()
