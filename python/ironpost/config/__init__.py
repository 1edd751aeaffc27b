"""Configuration: TOML to frozen dataclasses, all faults told at once."""

from .load import FILE_NAME, load, parse
from .schema import (
    PORT_BASE_MAX,
    SERVICES,
    Config,
    ExpireConfig,
    IdentityConfig,
    LimitsConfig,
    ListenerConfig,
    LogConfig,
    MaskConfig,
    OauthConfig,
    QuotaConfig,
    RelayConfig,
    RouteConfig,
    StoreConfig,
    TlsConfig,
)

__all__ = [
    "FILE_NAME",
    "PORT_BASE_MAX",
    "SERVICES",
    "Config",
    "ExpireConfig",
    "IdentityConfig",
    "LimitsConfig",
    "ListenerConfig",
    "LogConfig",
    "MaskConfig",
    "OauthConfig",
    "QuotaConfig",
    "RelayConfig",
    "RouteConfig",
    "StoreConfig",
    "TlsConfig",
    "load",
    "parse",
]
