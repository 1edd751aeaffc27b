"""What may stand in ironpost.toml: frozen dataclasses whose fields carry their kind, their default and their meaning.

This file is data: `load` reads TOML through it and tells all faults, `render` makes the reference out of it. Nothing
here opens a file. Relative paths are taken from the data directory.
"""

# ruff: noqa: RUF009 - `table` is a `dataclasses.field` with our metadata

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from . import kinds
from .kinds import Kind

MISSING: Final = dataclasses.MISSING
PORT_BASE_MAX: Final = 60_000  # the highest standard port, 4190, and 443..995 stay below 65,536 above it


class Service(NamedTuple):
    """A kind of listener."""

    port: int  # standard port
    implicit_tls: bool
    built: bool  # False: known, but this version does not offer it yet


SERVICES: Final[Mapping[str, Service]] = {
    "smtp": Service(25, False, True),
    "lmtp": Service(24, False, True),
    "submission": Service(587, False, True),
    "submissions": Service(465, True, True),
    "imap": Service(143, False, True),
    "imaps": Service(993, True, True),
    "pop3": Service(110, False, True),
    "pop3s": Service(995, True, True),
    "managesieve": Service(4190, False, False),
    "http": Service(80, False, False),
    "https": Service(443, True, False),
}


def setting(kind: Kind, doc: str, default: Any = MISSING) -> Any:
    """A key of the file: how it is read, what it means, and what it is when it is left out (MISSING: must be given)."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def table(section: type, doc: str) -> Any:
    """A `[table]` of its own."""
    return dataclasses.field(default_factory=section, metadata={"section": section, "doc": doc})


def array(section: type, doc: str, default: tuple[Any, ...] = ()) -> Any:
    """A `[[table]]` that may stand any number of times; `name = []` above all tables is an empty list of them."""
    return dataclasses.field(default=default, metadata={"array": section, "doc": doc})


@dataclass(frozen=True, slots=True)
class ListenerConfig:
    """One address that is listened on."""

    service: str = setting(kinds.Choice(tuple(SERVICES)), "which protocol, and so whether TLS comes first")
    host: str = setting(kinds.ListenAddress(), "an IP address, or unix:PATH for a Unix socket", "127.0.0.1")
    port: int = setting(kinds.Integer(0, 65535), "TCP port; 0 stands for the service's own plus port_base", 0)

    @property
    def name(self) -> str:
        """As it is printed: `smtp 127.0.0.1:10025`."""
        return f"{self.service} {self.address}"

    @property
    def address(self) -> str:
        """`127.0.0.1:10025`, `[::1]:10025` or `unix:PATH`."""
        if self.host.startswith("unix:"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def implicit_tls(self) -> bool:
        """TLS from the first octet (RFC 8314)."""
        return SERVICES[self.service].implicit_tls


@dataclass(frozen=True, slots=True)
class TlsConfig:
    chain: str = setting(kinds.PathText(), "certificate chain in PEM, the server's own first", "tls/chain.pem")
    key: str = setting(kinds.PathText(), "its private key in PEM", "tls/key.pem")
    client_authorities: str = setting(
        kinds.PathText(empty=True),
        "authorities (and revocation lists) in PEM whose certificates are logins (EXTERNAL, docs/authentication.md)",
        "",
    )


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    message_octets_max: int = setting(kinds.Size(1024, 2**31), "largest message taken", 50 * 2**20)
    recipients_max: int = setting(kinds.Integer(100, 100_000), "recipients of one message (RFC 5321 §4.5.3.1.8)", 1000)
    header_octets_max: int = setting(kinds.Size(8192, 2**20), "largest header section taken", 2**20)
    hops_max: int = setting(kinds.Integer(10, 1000), "Received fields that mean a loop (RFC 5321 §6.3)", 100)
    connections_max: int = setting(kinds.Integer(1, 1_000_000), "open connections of one worker", 50_000)
    connections_per_address: int = setting(
        kinds.Integer(1, 1_000_000), "open connections from one IPv4 address or IPv6 /64, over all workers", 100
    )
    errors_per_session: int = setting(kinds.Integer(1, 10_000), "faults of a peer after which it is sent away", 20)
    idle_commands_max: int = setting(
        kinds.Integer(1, 100_000), "commands in a row that bring a session no further (NOOP, RSET, VRFY)", 100
    )
    failed_logins_per_address: int = setting(
        kinds.Integer(1, 100_000), "failed logins in the window that close the door to an address", 20
    )
    failed_logins_per_account: int = setting(
        kinds.Integer(1, 100_000), "failed logins in the window that close an account to addresses new to it", 50
    )
    failed_login_window: float = setting(kinds.Duration(1, 86_400), "how long a failed login counts", 600.0)
    exempt_networks: tuple[str, ...] = setting(
        kinds.Networks(), "networks without limits per address", ("127.0.0.0/8", "::1/128")
    )


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    argon2_memory: int = setting(kinds.Size(8192, 2**32), "memory of one password check (argon2id)", 19 * 2**20)
    argon2_time: int = setting(kinds.Integer(1, 100), "passes of one password check", 2)
    scram_iterations: int = setting(
        kinds.Integer(4096, 10_000_000),
        "work for whoever guesses at a password that SCRAM checks; clients do it at each login",
        10_000,
    )
    checks_at_once: int = setting(kinds.Integer(0, 256), "password checks at once in one worker; 0: one per core", 0)
    checks_waiting: int = setting(kinds.Integer(1, 10_000), "checks that may wait before clients are told so", 64)
    logins_cached: int = setting(kinds.Integer(0, 10_000_000), "verified logins remembered by each worker", 100_000)
    logins_cached_for: float = setting(kinds.Duration(0, 86_400), "how long", 3600.0)


@dataclass(frozen=True, slots=True)
class OauthConfig:
    """Whose tokens are logins. Without an issuer there are none."""

    issuer: str = setting(
        kinds.Url(query=False), "who makes the tokens, as their `iss` says it; empty: tokens are no logins here", ""
    )
    audience: str = setting(
        kinds.Text(0, 500), "our name at the issuer: tokens whose `aud` does not hold it are refused", ""
    )
    scopes: tuple[str, ...] = setting(kinds.Scopes(), "a token must have all of these", ())
    user_claims: tuple[str, ...] = setting(
        kinds.Claims(),
        "claims that may name the account; the first that a token has decides. Take none that users choose for themselves",
        ("email", "preferred_username", "sub"),
    )
    jwks_url: str = setting(kinds.Url(), "the issuer's keys: tokens are JWTs and are checked here", "")
    jwks_file: str = setting(kinds.PathText(empty=True), "the same from a file", "")
    introspection_url: str = setting(kinds.Url(), "or: each token is shown to the issuer (RFC 7662)", "")
    client_id: str = setting(kinds.Text(0, 500), "who we are when we show tokens", "")
    client_secret_file: str = setting(kinds.PathText(empty=True), "and the secret: the first line of this file", "")
    ca_file: str = setting(kinds.PathText(empty=True), "PEM of the authorities to trust instead of the web's", "")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    path: str = setting(kinds.PathText(), "folder of the mail store", "store")
    map_size: int = setting(kinds.Size(2**24, 2**46), "upper bound of the index (address space, not disk)", 64 * 2**30)
    min_free: int = setting(kinds.Size(0, 2**50), "free disk below which new mail is put off", 64 * 2**20)
    readers: int = setting(kinds.Integer(1, 64), "reader threads of each worker", 2)
    retention: float = setting(
        kinds.Duration(0, 3660 * 86_400),
        "how long expunged messages can be recovered (docs/retention.md); 0: not at all",
        14 * 86_400.0,
    )
    search_index: bool = setting(kinds.Boolean(), "keep an index for text searches, built in the background", True)
    compact_rate: int = setting(
        kinds.Size(0, 2**40), "octets a second at which space of deleted mail is given back; 0: not at all", 32 * 2**20
    )
    scrub_rate: int = setting(
        kinds.Size(0, 2**40), "octets a second at which stored mail is read to find damage; 0: not at all", 2**20
    )


@dataclass(frozen=True, slots=True)
class QuotaConfig:
    account_octets: int = setting(kinds.Size(0, 2**60), "what an account may hold; 0: no limit", 0)
    account_messages: int = setting(kinds.Integer(0, 2**40), "messages that an account may hold; 0: no limit", 0)
    domain_octets: int = setting(kinds.Size(0, 2**60), "what all accounts of a domain may hold; 0: no limit", 0)
    domain_messages: int = setting(kinds.Integer(0, 2**40), "messages that they may hold; 0: no limit", 0)
    warn_at: tuple[int, ...] = setting(
        kinds.Percentages(),
        "parts of a limit at which a message warns the account, or the domain's postmaster",
        (80, 95),
    )
    full_reply: str = setting(
        kinds.Choice(("reject", "defer")),
        "mail for a full mailbox: `reject` (552) tells the sender at once, `defer` (452) lets his server try for days",
        "reject",
    )


@dataclass(frozen=True, slots=True)
class ImapConfig:
    public_account: str = setting(
        kinds.Text(0, 254),
        "account whose mailboxes everybody finds beneath `Shared/`, as far as their lists allow (docs/sharing.md)",
        "",
    )
    comment: str = setting(kinds.Text(0, 1000), "what clients are told about this server (/shared/comment)", "")
    admin: str = setting(kinds.Text(0, 1000), "URI by which the administrator is reached (/shared/admin)", "")


@dataclass(frozen=True, slots=True)
class Pop3Config:
    login_delay: float = setting(
        kinds.Duration(0, 86_400), "pause that an account has to keep between two logins (RFC 2449 §6.5); 0: none", 0.0
    )


@dataclass(frozen=True, slots=True)
class ExpireConfig:
    """What goes by itself."""

    folder: str = setting(kinds.Folder(), "which mailbox of every account")
    after: float = setting(kinds.Duration(3600, 36_600 * 86_400), "age in that mailbox at which a message is expunged")


EXPIRE_DEFAULT: Final = (ExpireConfig("\\Trash", 30 * 86_400.0), ExpireConfig("\\Junk", 30 * 86_400.0))


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """What IMAP does not announce, and to whom."""

    hide: tuple[str, ...] = setting(
        kinds.Capabilities(), "capabilities that are not announced, nor switched on by ENABLE"
    )
    account: str = setting(kinds.Text(0, 320), "to this account alone", "")
    client: str = setting(
        kinds.Text(0, 100),
        "to clients alone whose ID (RFC 2971) has a name that begins so, in any case; known after their ID",
        "",
    )


@dataclass(frozen=True, slots=True)
class RouteConfig:
    """Where mail for a domain goes instead of to its MX."""

    domain: str = setting(kinds.RouteDomain(), 'a domain, ".example.org" for what lies below it, or "*" for all others')
    host: str = setting(kinds.Host(), "name or address of the next server")
    port: int = setting(kinds.Integer(1, 65535), "its port", 25)
    lmtp: bool = setting(kinds.Boolean(), "speak LMTP to it", False)
    tls: str = setting(
        kinds.Choice(("none", "opportunistic", "required", "verify", "implicit")),
        "`verify` also checks the certificate; `implicit` is TLS from the first octet, with the check",
        "opportunistic",
    )
    user: str = setting(kinds.Text(0, 512), "log in with this name", "")
    password_file: str = setting(kinds.PathText(empty=True), "and the first line of this file", "")
    ca_file: str = setting(kinds.PathText(empty=True), "PEM of the authorities to trust instead of the web's", "")


@dataclass(frozen=True, slots=True)
class RelayConfig:
    tls: str = setting(
        kinds.Choice(("none", "opportunistic", "required", "verify")), "TLS towards other servers", "opportunistic"
    )
    retry: tuple[float, ...] = setting(
        kinds.Durations(1, 7 * 86_400),
        "pauses before each further attempt; the last one repeats",
        (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0),
    )
    give_up: float = setting(kinds.Duration(1, 30 * 86_400), "age at which mail is returned", 5 * 86_400.0)
    deliveries_max: int = setting(kinds.Integer(1, 10_000), "deliveries under way at once", 100)
    deliveries_per_destination: int = setting(kinds.Integer(1, 1000), "of these to one destination", 10)
    port: int = setting(kinds.Integer(1, 65535), "port of MX hosts", 25)
    nameservers: tuple[str, ...] = setting(
        kinds.Endpoints(), "DNS servers to ask, as address:port; default: those of /etc/resolv.conf", ()
    )


@dataclass(frozen=True, slots=True)
class LogConfig:
    level: str = setting(kinds.Choice(("debug", "info", "warning", "error")), "least severe line written", "info")
    format: str = setting(kinds.Choice(("text", "json")), "one line per event: key=value, or JSON", "text")


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. `directory` is the data directory, `source` the text it was read from."""

    hostname: str = setting(kinds.Host(), "name of this server in the world, as in its MX record")
    port_base: int = setting(kinds.Integer(0, PORT_BASE_MAX), "added to every standard port", 0)
    listen: tuple[str, ...] = setting(
        kinds.ListenAddresses(), "addresses of all listeners; default: loopback when port_base is set, else all", ()
    )
    workers: int = setting(kinds.Integer(0, 256), "worker processes; 0: one per core", 0)
    user: str = setting(kinds.Text(0, 64), "user to become when started as root; default: the owner of the data", "")
    drain: float = setting(kinds.Duration(0, 3600), "time given to sessions when the server stops", 10.0)
    listeners: tuple[ListenerConfig, ...] = array(ListenerConfig, "given: only these listeners")
    tls: TlsConfig = table(TlsConfig, "the server's certificate; read again at SIGHUP")
    limits: LimitsConfig = table(LimitsConfig, "what a peer may ask of us")
    identity: IdentityConfig = table(IdentityConfig, "passwords")
    oauth: OauthConfig = table(OauthConfig, "logins by tokens of an OAuth 2.0 issuer (docs/authentication.md)")
    store: StoreConfig = table(StoreConfig, "the mail store")
    quota: QuotaConfig = table(QuotaConfig, "limits of accounts and domains (docs/quotas.md)")
    imap: ImapConfig = table(ImapConfig, "IMAP")
    pop3: Pop3Config = table(Pop3Config, "POP3")
    expire: tuple[ExpireConfig, ...] = array(
        ExpireConfig,
        "mailboxes that empty themselves (docs/retention.md). Default: `'\\Trash'` and `'\\Junk'` after 30 days; any rule "
        "of yours replaces both, and `expire = []` above all tables turns them off",
        EXPIRE_DEFAULT,
    )
    masks: tuple[MaskConfig, ...] = array(
        MaskConfig,
        "capabilities of IMAP that are hidden, from everybody or from whom they break (docs/compatibility.md)",
    )
    relay: RelayConfig = table(RelayConfig, "mail to other servers")
    routes: tuple[RouteConfig, ...] = array(RouteConfig, "static routes: smarthosts and tests")
    log: LogConfig = table(LogConfig, "lines on standard error")
    directory: Path = Path()
    source: str = ""

    def path(self, relative: str) -> Path:
        """A path of the configuration, from the data directory."""
        return self.directory / relative

    @property
    def runtime_folder(self) -> Path:
        """Sockets and locks of the running server."""
        return self.directory / "run"

    @property
    def state_folder(self) -> Path:
        """The directory of domains, accounts and aliases."""
        return self.directory / "state"


TOML_NAMES: Final[Mapping[str, str]] = {"listeners": "listener", "masks": "mask", "routes": "route"}
