"""The server's certificate as the wires take it; replaced as a whole by a reload, sessions under way keep theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import ConfigError, ConfigFault, UserError

if TYPE_CHECKING:
    from ironpost import _core

    from ..config import Config


class Certificates(NamedTuple):
    """PEM as it was read. `clients`: authorities for certificates of clients; None: these are not asked for."""

    chain: bytes
    key: bytes
    clients: bytes | None

    def configured(self) -> _core.TlsServerConfig:
        """As the wires take it. Raises ValueError when they do not fit."""
        from ironpost import _core

        return _core.TlsServerConfig(self.chain, self.key, (), self.clients)


class CertificateStore:
    """`current` is what new handshakes use."""

    __slots__ = ("current",)

    def __init__(self, certificates: Certificates) -> None:
        self.replace(certificates)

    def replace(self, certificates: Certificates) -> None:
        """Raises ValueError, and keeps the old ones, when they do not fit."""
        self.current: _core.TlsServerConfig = certificates.configured()


def read(config: Config) -> Certificates:
    """From their files, checked to fit. Raises ConfigError."""
    faults: list[ConfigFault] = []

    def part(name: str, relative: str) -> bytes:
        path = config.path(relative)
        try:
            return path.read_bytes()
        except OSError as error:
            faults.append(ConfigFault(name, f"{path}: {error.strerror}", "name a readable PEM file"))
            return b""

    authorities = config.tls.client_authorities
    found = Certificates(
        part("tls.chain", config.tls.chain),
        part("tls.key", config.tls.key),
        part("tls.client_authorities", authorities) if authorities else None,
    )
    if not faults:
        try:
            found.configured()
        except ValueError as error:
            faults.append(ConfigFault("tls", str(error), "give a PEM chain and the key of its first certificate"))
    if faults:
        raise ConfigError(str(config.path("ironpost.toml")), faults)
    return found


def read_password(config: Config, relative: str) -> str:
    """The first line of a password file. Raises UserError."""
    path = config.path(relative)
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
