"""What the sessions need of the configuration, gathered once per configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import Config


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """Flat, so that a session reads one attribute."""

    hostname: str
    message_octets_max: int
    header_octets_max: int
    recipients_max: int
    hops_max: int
    min_free_octets: int
    errors_per_session: int
    idle_commands_max: int


@lru_cache(maxsize=4)
def _settings(
    hostname: str, message: int, header: int, recipients: int, hops: int, min_free: int, errors: int, idle: int
) -> SmtpSettings:
    return SmtpSettings(hostname, message, header, recipients, hops, min_free, errors, idle)


def settings_of(config: Config) -> SmtpSettings:
    """The settings of a configuration."""
    limits = config.limits
    return _settings(
        config.hostname,
        limits.message_octets_max,
        limits.header_octets_max,
        limits.recipients_max,
        limits.hops_max,
        config.store.min_free,
        limits.errors_per_session,
        limits.idle_commands_max,
    )
