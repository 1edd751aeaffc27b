"""TOML to `Config`: every fault of a file is found and told at once, each with its key and what would be right."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError, ConfigFault, UserError
from .kinds import Kind, Wrong
from .schema import SERVICES, TOML_NAMES, Config, ListenerConfig, OauthConfig

FILE_NAME: Final = "ironpost.toml"
FILE_OCTETS_MAX: Final = 2**20  # no sane configuration is longer; a wrong file is told as such
_ALL_FAMILIES: Final = ("0.0.0.0", "::")


def load(directory: Path) -> Config:
    """Reads `directory`/ironpost.toml. Raises UserError when there is none and ConfigError with all its faults."""
    file = directory / FILE_NAME
    try:
        with file.open("rb") as stream:
            octets = stream.read(FILE_OCTETS_MAX + 1)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file (make one with: ironpost init {directory} --domain DOMAIN)") from None
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    if len(octets) > FILE_OCTETS_MAX:
        raise UserError(f"{file}: longer than 1 MiB, this cannot be a configuration")
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        fault = ConfigFault(f"octet {error.start}", "is not UTF-8", "save the file as UTF-8")
        raise ConfigError(str(file), [fault]) from None
    return parse(text, directory, source=str(file))


def parse(text: str, directory: Path, *, source: str = FILE_NAME) -> Config:
    """The configuration in `text`. Raises ConfigError with all its faults."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(source, [ConfigFault("syntax", str(error), "see https://toml.io")]) from None
    faults: list[ConfigFault] = []
    config: Config = _section(Config, document, "", faults)
    config = dataclasses.replace(config, directory=directory.absolute(), source=text)
    config = dataclasses.replace(config, listeners=_listeners(config, faults))
    _check_routes(config, faults)
    _check_expire(config, faults)
    if not any(fault.key == "oauth" or fault.key.startswith("oauth.") for fault in faults):
        _check_oauth(config.oauth, faults)
    if faults:
        raise ConfigError(source, faults)
    return config


def _section(section: type, given: dict[str, Any], prefix: str, faults: list[ConfigFault]) -> Any:
    """One table. None when a required key of it is missing or wrong; faults are gathered on the way."""
    fields = {TOML_NAMES.get(field.name, field.name): field for field in dataclasses.fields(section) if field.metadata}
    for key in given:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            meant = f"did you mean {prefix}{near[0]}?" if near else "remove it; known here: " + ", ".join(fields)
            faults.append(ConfigFault(prefix + key, "unknown key", meant))
    values: dict[str, Any] = {}
    whole = True
    for key, field in fields.items():
        path = prefix + key
        if key not in given:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(ConfigFault(path, "is missing", f"give {field.metadata['kind'].right}"))
                whole = False
            continue
        value = given[key]
        if "section" in field.metadata:
            values[field.name] = _table(field.metadata["section"], value, path, faults)
        elif "array" in field.metadata:
            values[field.name] = _array(field.metadata["array"], value, path, faults)
        else:
            kind: Kind = field.metadata["kind"]
            try:
                values[field.name] = kind.read(value)
            except Wrong as error:
                faults.append(ConfigFault(path, f"{error} does not fit", f"give {kind.right}"))
                # The rest is still checked, with a stand-in that nobody will see.
                if field.default is dataclasses.MISSING:
                    whole = False
    if section is Config:
        values.setdefault("hostname", "localhost")  # a stand-in when it is faulty: the rest is still checked
        whole = True
    return section(**values) if whole else None


def _table(section: type, value: Any, path: str, faults: list[ConfigFault]) -> Any:
    if not isinstance(value, dict):
        faults.append(ConfigFault(path, "is not a table", f"write it as [{path}]"))
        return section()
    return _section(section, value, path + ".", faults)


def _array(section: type, value: Any, path: str, faults: list[ConfigFault]) -> tuple[Any, ...]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        faults.append(ConfigFault(path, "is not a list of tables", f"write each as [[{path}]]"))
        return ()
    read = [_section(section, item, f"{path}[{number}].", faults) for number, item in enumerate(value, 1)]
    return tuple(item for item in read if item is not None)


def _listeners(config: Config, faults: list[ConfigFault]) -> tuple[ListenerConfig, ...]:
    """Those given, else one for each built service and address; those not built yet are left out."""
    if config.listeners:
        wanted = list(config.listeners)
    else:
        addresses = config.listen or (("127.0.0.1",) if config.port_base else _ALL_FAMILIES)
        wanted = [ListenerConfig(service, host) for service in SERVICES for host in addresses]
    result: list[ListenerConfig] = []
    seen: dict[tuple[str, int], int] = {}
    for number, listener in enumerate(wanted, 1):
        service = SERVICES[listener.service]
        port = 0 if listener.host.startswith("unix:") else listener.port or service.port + config.port_base
        where = (listener.host, port)
        if where in seen:
            faults.append(
                ConfigFault(
                    f"listener[{number}]",
                    f"has the same address as listener[{seen[where]}]",
                    "give each its own host and port",
                )
            )
        seen[where] = number
        if service.built:
            result.append(dataclasses.replace(listener, port=port))
    return tuple(result)


def _check_routes(config: Config, faults: list[ConfigFault]) -> None:
    seen: set[str] = set()
    for number, route in enumerate(config.routes, 1):
        if route.domain in seen:
            faults.append(ConfigFault(f"route[{number}].domain", f"{route.domain} has a route already", "keep one"))
        seen.add(route.domain)
        if bool(route.user) != bool(route.password_file):
            faults.append(ConfigFault(f"route[{number}].user", "stands alone", "give user and password_file together"))
        if route.user and route.tls in ("none", "opportunistic"):
            faults.append(
                ConfigFault(
                    f"route[{number}].tls",
                    "would send a password in the clear",
                    'give "required", "verify" or "implicit"',
                )
            )


def _check_expire(config: Config, faults: list[ConfigFault]) -> None:
    seen: set[str] = set()
    for rule in config.expire:  # without numbers: faulty ones are no longer among them
        if rule.folder in seen:
            faults.append(ConfigFault("expire", f"{rule.folder} has more than one rule", "keep one"))
        seen.add(rule.folder)


def _check_oauth(oauth: OauthConfig, faults: list[ConfigFault]) -> None:
    """Called when each key for itself is right."""
    if oauth == OauthConfig():
        return
    ways = [name for name in ("jwks_url", "jwks_file", "introspection_url") if getattr(oauth, name)]
    if not oauth.issuer:
        faults.append(ConfigFault("oauth.issuer", "is missing", "give it, or remove all of [oauth]"))
    if len(ways) != 1:
        given = "no way to check tokens" if not ways else " and ".join(ways) + " stand together"
        faults.append(ConfigFault("oauth", given, "give one of jwks_url, jwks_file and introspection_url"))
    if not oauth.introspection_url:
        if not oauth.audience:
            faults.append(
                ConfigFault("oauth.audience", "is missing", "give it: tokens made for others would be logins here")
            )
        if oauth.client_id or oauth.client_secret_file:
            faults.append(
                ConfigFault("oauth.client_id", "is for introspection_url", "remove it and client_secret_file")
            )
        return
    if not oauth.audience and not oauth.scopes:
        faults.append(
            ConfigFault(
                "oauth.audience", "and scopes are missing", "give one: tokens made for others would be logins here"
            )
        )
    if not oauth.client_id or not oauth.client_secret_file:
        faults.append(
            ConfigFault("oauth.client_id", "or client_secret_file is missing", "give both with introspection_url")
        )
