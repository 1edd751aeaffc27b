"""The kinds of values that a configuration key may have: each reads a TOML value or says what would be right."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final
from urllib.parse import urlsplit

_SIZE_UNITS: Final = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_TIME_UNITS: Final = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_NUMBER_AND_UNIT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")
# Special uses that a mailbox may have here (RFC 6154 §2); the others name views, not folders.
_SPECIAL_USES: Final = ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,100}")
_URL_CHARACTERS_MAX: Final = 2000
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class Wrong(ValueError):
    """The value does not fit its kind."""


class Kind:
    """Base: `read` gives the value or raises Wrong; `right` says what would do."""

    right = ""

    def read(self, value: Any) -> Any:
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """The value as TOML."""
        return _toml(value)


class Integer(Kind):
    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.right = f"a whole number from {least} to {most}"

    def read(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise Wrong(_told(value))
        return value


class Boolean(Kind):
    right = "true or false"

    def read(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise Wrong(_told(value))
        return value


class Text(Kind):
    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.right = f"a text of {least} to {most} characters on one line"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not self.least <= len(value) <= self.most or not value.isprintable():
            raise Wrong(_told(value))
        return value


class Choice(Kind):
    def __init__(self, options: tuple[str, ...]) -> None:
        self.options = options
        self.right = "one of " + ", ".join(f'"{option}"' for option in options)

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.options:
            raise Wrong(_told(value))
        return value


class PathText(Kind):
    def __init__(self, *, empty: bool = False) -> None:
        self.empty = empty
        self.right = "the path of a file, absolute or from the data directory"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or "\0" in value or not (value or self.empty):
            raise Wrong(_told(value))
        return value


class Size(Kind):
    """Octets, as a number or with a binary unit."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most
        self.right = f'a size from {show_size(least)} to {show_size(most)}, such as "50 MiB" or a number of octets'

    def read(self, value: Any) -> int:
        octets = value
        if isinstance(value, str):
            match = _NUMBER_AND_UNIT.fullmatch(value)
            factor = _SIZE_UNITS.get(match[2].upper()) if match else None
            if match is None or factor is None:
                raise Wrong(_told(value))
            octets = int(float(match[1]) * factor)
        if isinstance(octets, bool) or not isinstance(octets, int) or not self.least <= octets <= self.most:
            raise Wrong(_told(value))
        return octets

    def show(self, value: Any) -> str:
        return f'"{show_size(value)}"'


class Duration(Kind):
    """Seconds, as a number or with a unit."""

    def __init__(self, least: float, most: float) -> None:
        self.least, self.most = least, most
        self.right = f'a time from {show_time(least)} to {show_time(most)}, such as "90 s", "15 min", "2 h" or "5 d"'

    def read(self, value: Any) -> float:
        seconds = value
        if isinstance(value, str):
            match = _NUMBER_AND_UNIT.fullmatch(value)
            factor = _TIME_UNITS.get(match[2] or "s") if match else None
            if match is None or factor is None:
                raise Wrong(_told(value))
            seconds = float(match[1]) * factor
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not self.least <= seconds <= self.most:
            raise Wrong(_told(value))
        return float(seconds)

    def show(self, value: Any) -> str:
        return f'"{show_time(value)}"'


class Durations(Kind):
    """A list of times."""

    def __init__(self, least: float, most: float) -> None:
        self.one = Duration(least, most)
        self.right = f"a list of one to 100, each {self.one.right}"

    def read(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= 100:
            raise Wrong(_told(value))
        return tuple(self.one.read(item) for item in value)

    def show(self, value: Any) -> str:
        return "[" + ", ".join(self.one.show(item) for item in value) + "]"


class Percentages(Kind):
    """A list of percentages, kept in ascending order; it may be empty."""

    right = "a list of at most 10 percentages from 1 to 100, such as [80, 95]; [] for none"

    def read(self, value: Any) -> tuple[int, ...]:
        if not isinstance(value, list) or len(value) > 10:
            raise Wrong(_told(value))
        if not all(isinstance(item, int) and not isinstance(item, bool) and 1 <= item <= 100 for item in value):
            raise Wrong(_told(value))
        return tuple(sorted(set(value)))


class Folder(Kind):
    """A mailbox by its name, or by its special use."""

    right = "the name of a mailbox, or a special use in single quotes: " + ", ".join(
        f"'{use}'" for use in _SPECIAL_USES
    )

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not 1 <= len(value) <= 255 or not value.isprintable():
            raise Wrong(_told(value))
        if not value.startswith("\\"):
            return value
        for use in _SPECIAL_USES:
            if use.lower() == value.lower():
                return use
        raise Wrong(_told(value))


class Networks(Kind):
    """A list of IP networks."""

    right = 'a list of networks, such as ["127.0.0.0/8", "2001:db8::/32"]'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise Wrong(_told(value))
        for item in value:
            try:
                ipaddress.ip_network(item if isinstance(item, str) else "")
            except ValueError as error:
                raise Wrong(str(error)) from None
        return tuple(value)


class Capabilities(Kind):
    """A list of IMAP capabilities, in upper case."""

    right = 'a list of capabilities, such as ["COMPRESS=DEFLATE", "CONDSTORE"]'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise Wrong(_told(value))
        for item in value:
            if not isinstance(item, str) or not item.isascii() or not item.isprintable() or not item or " " in item:
                raise Wrong(_told(value))
        return tuple(dict.fromkeys(item.upper() for item in value))


class Host(Kind):
    """A host name or an IP address."""

    right = 'a host name such as "mail.example.org" (an internationalised one in its xn-- form)'

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not (is_host_name(value) or is_address(value)):
            raise Wrong(_told(value))
        return value.lower()


class RouteDomain(Kind):
    right = 'a domain such as "example.org", ".example.org" for all below it, or "*" for every other'

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not (value == "*" or is_host_name(value.removeprefix("."))):
            raise Wrong(_told(value))
        return value.lower()


class ListenAddress(Kind):
    right = 'an IP address such as "127.0.0.1", "0.0.0.0" or "::", or "unix:PATH"'

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not (is_address(value) or (value.startswith("unix:") and len(value) > 5)):
            raise Wrong(_told(value))
        return value


class ListenAddresses(Kind):
    """One IP address or a list of them."""

    right = 'an IP address or a list of them, such as ["0.0.0.0", "::"]'

    def read(self, value: Any) -> tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items or not all(isinstance(i, str) and is_address(i) for i in items):
            raise Wrong(_told(value))
        return tuple(dict.fromkeys(items))


class Url(Kind):
    """Where an issuer is asked: https, or http at this machine alone. Kept as it is written: issuers are compared by octets."""

    def __init__(self, *, query: bool = True) -> None:
        self.query = query
        self.right = (
            'a URL such as "https://login.example.org/keys"; http:// for "localhost" and loopback addresses alone'
        )

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not (value == "" or self._is_url(value)):
            raise Wrong(_told(value))
        return value

    def _is_url(self, text: str) -> bool:
        if len(text) > _URL_CHARACTERS_MAX or not text.isascii() or not text.isprintable() or " " in text:
            return False
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if "@" in parts.netloc or "#" in text or port == 0 or ("?" in text and not self.query):
            return False
        if parts.scheme == "http":
            return is_loopback_host(host)
        return parts.scheme == "https" and (is_host_name(host) or is_address(host))


class Scopes(Kind):
    """A list of OAuth scopes."""

    right = 'a list of at most 20 scopes without spaces and quotes, such as ["mail"]'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > 20:
            raise Wrong(_told(value))
        if not all(isinstance(item, str) and _SCOPE.fullmatch(item) for item in value):
            raise Wrong(_told(value))
        return tuple(dict.fromkeys(value))


class Claims(Kind):
    """A list of names of claims."""

    right = 'a list of one to 10 names of claims, such as ["email", "sub"]'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= 10:
            raise Wrong(_told(value))
        if not all(isinstance(item, str) and 1 <= len(item) <= 100 and item.isprintable() for item in value):
            raise Wrong(_told(value))
        return tuple(dict.fromkeys(value))


class Endpoints(Kind):
    """A list of IP addresses with ports."""

    right = 'a list of addresses with ports, such as ["127.0.0.1:5353", "[::1]:53"]'

    def read(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise Wrong(_told(value))
        for item in value:
            host, colon, port = item.rpartition(":") if isinstance(item, str) else ("", "", "")
            bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
            if not colon or not is_address(bare) or (":" in bare) != (bare != host) or not _is_port(port):
                raise Wrong(_told(value))
        return tuple(value)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) < 65_536


def is_address(text: str) -> bool:
    """True for an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback_host(text: str) -> bool:
    """True for `localhost` (RFC 6761 §6.3) and addresses of this machine's own."""
    return text.lower() == "localhost" or (is_address(text) and ipaddress.ip_address(text).is_loopback)


def is_host_name(text: str) -> bool:
    """True for letters, digits and hyphens in labels of 1 to 63, 253 in all (RFC 1123 §2.1)."""
    name = text.removesuffix(".")
    return 0 < len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def show_size(octets: int) -> str:
    """With the largest binary unit that divides it."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if octets and octets % factor == 0:
            return f"{octets // factor} {unit}"
    return f"{octets} B"


def show_time(seconds: float) -> str:
    """With the largest unit that divides it."""
    for unit, factor in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds and seconds % factor == 0:
            return f"{int(seconds // factor)} {unit}"
    return f"{seconds:g} s"


def _told(value: Any) -> str:
    """The faulty value, as it is shown to the person who wrote it."""
    return _toml(value)[:80]


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case list() | tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case dict():
            return "a table"
    return str(value)
