"""EXTERNAL (RFC 4422 appendix A): the client has proved in the TLS handshake that it holds the key of a certificate, and the
certificate says whose mail it may read. The authorities that are believed stand in the configuration; TLS has checked the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from ..errors import SaslError
from .sasl import bounded, decoded

if TYPE_CHECKING:
    from ..state.directory import Account
    from .passwords import Proven
    from .presence import Proof

__all__ = ["MECHANISM", "CertificateAuthority", "ExternalLogin", "addresses"]

MECHANISM: Final = "EXTERNAL"


class CertificateAuthority(Protocol):
    """Who decides: `passwords.Authenticator`."""

    async def verify_certificate(self, user: str, names: tuple[str, ...], peer_host: str) -> Proven: ...


def addresses(certificate: bytes) -> tuple[str, ...]:
    """The mail addresses in a certificate (DER): those of its alternative names, or without any that of its subject
    (RFC 8550 §3; RFC 5280 §4.2.1.6). Nothing for what cannot be read."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        try:
            names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found = names.get_values_for_type(x509.RFC822Name)
        except x509.ExtensionNotFound:
            found = []
        if not found:
            found = [str(name.value) for name in read.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ()
    return tuple(name for name in found if "@" in name)


class ExternalLogin:
    """The client's only message says whom it wants to be; an empty one leaves that to its certificate."""

    __slots__ = ("_authority", "_host", "_names", "proof", "user")
    refusal = "the certificate is not of that account"

    def __init__(self, authority: CertificateAuthority, certificate: bytes, peer_host: str) -> None:
        self._authority = authority
        self._host = peer_host
        self._names = addresses(certificate)
        self.user = ""
        self.proof: Proof

    async def step(self, data: bytes | None) -> bytes | Account:
        """See login.Login."""
        if data is None:
            return b""
        self.user = decoded(bounded(data))
        if "\0" in self.user:
            raise SaslError("malformed EXTERNAL message")
        account, self.proof = await self._authority.verify_certificate(self.user, self._names, self._host)
        return account
