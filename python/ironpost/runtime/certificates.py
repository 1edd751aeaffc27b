"""The server's certificate as the wires take it; replaced as a whole by a reload, sessions under way keep theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError, ConfigFault, UserError

if TYPE_CHECKING:
    from ironpost import _core

    from ..config import Config


class CertificateStore:
    """`current` is what new handshakes use."""

    __slots__ = ("current",)

    def __init__(self, chain: bytes, key: bytes) -> None:
        self.replace(chain, key)

    def replace(self, chain: bytes, key: bytes) -> None:
        """Raises ValueError, and keeps the old one, when they do not fit."""
        from ironpost import _core

        self.current: _core.TlsServerConfig = _core.TlsServerConfig(chain, key)


def read(config: Config) -> tuple[bytes, bytes]:
    """Chain and key from their files, checked to fit. Raises ConfigError."""
    from ironpost import _core

    faults: list[ConfigFault] = []
    parts: list[bytes] = []
    for name, relative in (("tls.chain", config.tls.chain), ("tls.key", config.tls.key)):
        path = config.path(relative)
        try:
            parts.append(path.read_bytes())
        except OSError as error:
            faults.append(ConfigFault(name, f"{path}: {error.strerror}", "name a readable PEM file"))
    if not faults:
        try:
            _core.TlsServerConfig(parts[0], parts[1])
        except ValueError as error:
            faults.append(ConfigFault("tls", str(error), "give a PEM chain and the key of its first certificate"))
    if faults:
        raise ConfigError(str(config.path("ironpost.toml")), faults)
    return parts[0], parts[1]


def read_password(config: Config, relative: str) -> str:
    """The first line of a password file. Raises UserError."""
    path = config.path(relative)
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
