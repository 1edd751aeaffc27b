"""Addresses as the directory compares them: local parts without case, domains as A-labels in lower case.

RFC 5321 §2.4 leaves the case of local parts to their host: we are it, and take them all as one. Nothing is parsed
here that comes from a peer: the cores have done so.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

import idna

from ..config.kinds import is_host_name
from ..errors import DirectoryError

LOCAL_OCTETS_MAX: Final = 64  # RFC 5321 §4.5.3.1.1
ADDRESS_OCTETS_MAX: Final = 254  # RFC 5321 §4.5.3.1.3 without the brackets; far below LMDB's 511 for keys
DETAIL_SEPARATOR: Final = "+"
_ATEXT: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-/=?^_`{|}~.")


@lru_cache(maxsize=4096)
def domain_key(domain: str) -> str:
    """The form in which domains are compared; what is no domain stays as it is, in lower case."""
    lowered = domain.lower().removesuffix(".")
    if lowered.isascii():
        return lowered
    try:
        return idna.encode(lowered, uts46=True).decode()
    except idna.IDNAError:
        return lowered


def local_key(local: str) -> str:
    """The form in which local parts are compared."""
    return local.lower() if local.isascii() else unicodedata.normalize("NFC", local.casefold())


def split(address: str) -> tuple[str, str]:
    """Local part and domain; the domain is "" when there is none."""
    local, _, domain = address.rpartition("@")
    return (local, domain) if _ else (domain, "")


def key(local: str, domain: str) -> str:
    """The key of an address."""
    return f"{local_key(local)}@{domain_key(domain)}"


def valid_domain(domain: str) -> str:
    """The key of a domain that a person has typed. Raises DirectoryError."""
    result = domain_key(domain.strip())
    if not is_host_name(result) or "." not in result.strip("."):
        raise DirectoryError("bad-domain", f'"{domain}" is not a domain (it would look like example.org)')
    return result


def valid_address(address: str, *, local_only: bool = False) -> tuple[str, str]:
    """Local part as typed and domain key of an address that a person has typed. Raises DirectoryError."""
    local, domain = split(address.strip())
    if not local or not domain:
        raise DirectoryError("bad-address", f'"{address}" is not an address (it would look like alice@example.org)')
    fits = (
        all(character in _ATEXT or ord(character) > 127 for character in local)
        and local.isprintable()
        and not local.startswith(".")
        and not local.endswith(".")
        and ".." not in local
        and len(local.encode()) <= LOCAL_OCTETS_MAX
    )
    if not fits:
        raise DirectoryError("bad-address", f'"{local}" cannot stand before the @ of an address')
    if local_only and DETAIL_SEPARATOR in local:
        raise DirectoryError(
            "bad-address", f'"{local}": what follows a + is a detail that every account has; leave it out'
        )
    name = valid_domain(domain)
    if len(key(local, name).encode()) > ADDRESS_OCTETS_MAX:
        raise DirectoryError("bad-address", f'"{address[:40]}..." is longer than {ADDRESS_OCTETS_MAX} octets')
    return local, name
