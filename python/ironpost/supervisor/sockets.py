"""Listening sockets: bound here, once, and shared by all workers. A busy address is named with its owner."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket as sockets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..config import Config, ListenerConfig
from ..errors import UserError
from ..runtime.notify import at_path

BACKLOG: Final = 4096  # the kernel cuts it to net.core.somaxconn
_LISTEN: Final = "0A"  # state in /proc/net/tcp


def bind_all(config: Config, inherited: list[sockets.socket]) -> list[tuple[ListenerConfig, sockets.socket]]:
    """Every listener of the configuration, sockets of the service manager first. Raises UserError with all faults."""
    given = {_name(socket): socket for socket in inherited}
    bound: list[tuple[ListenerConfig, sockets.socket]] = []
    faults: dict[str, list[str]] = {}  # what is wrong, and with which listeners
    without_ipv6 = _defaults_to_all_families(config) and not _has_ipv6()
    for listener in config.listeners:
        if without_ipv6 and listener.host == "::":
            continue  # this machine has one family only
        socket = given.get(listener.address)
        try:
            bound.append((listener, socket if socket is not None else _bind(config, listener)))
        except OSError as error:
            faults.setdefault(_fault(listener, error), []).append(listener.name)
    if faults:
        for _, socket in bound:
            socket.close()
        raise UserError("; ".join(f"{', '.join(names)}: {text}" for text, names in faults.items()))
    return bound


def raise_descriptor_limit() -> int:
    """The soft limit to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def owner_of_port(host: str, port: int) -> str:
    """`program (pid 123)` of the process that listens there, or "" when that cannot be known."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return ""
    links = {f"socket:[{inode}]" for inode in inodes}
    return ", ".join(f"{name} (pid {process})" for process, name in holders(links))


def holders(links: set[str]) -> list[tuple[int, str]]:
    """Processes that have one of these open (as /proc/*/fd shows it), as far as we may look."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
            for descriptor in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) in links:
                        found.append((int(entry.name), (entry / "comm").read_text().strip()))
                        break
    return sorted(found)


def _bind(config: Config, listener: ListenerConfig) -> sockets.socket:
    if listener.host.startswith("unix:"):
        path = config.path(listener.host.removeprefix("unix:"))
        socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # we hold the instance lock: nobody listens there
        name: str | tuple[str, int] = str(path)
    else:
        family = sockets.AF_INET6 if ":" in listener.host else sockets.AF_INET
        socket = sockets.socket(family, sockets.SOCK_STREAM | sockets.SOCK_CLOEXEC)
        socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
        if family == sockets.AF_INET6:
            socket.setsockopt(sockets.IPPROTO_IPV6, sockets.IPV6_V6ONLY, 1)
        name = (listener.host, listener.port)
    try:
        if isinstance(name, str):
            at_path(socket.bind, name)
        else:
            socket.bind(name)
        socket.listen(BACKLOG)
    except OSError:
        socket.close()
        raise
    return socket


def _fault(listener: ListenerConfig, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        owner = owner_of_port(listener.host, listener.port)
        return f"in use by {owner}" if owner else "in use by another program"
    if error.errno == errno.EACCES and 0 < listener.port < 1024:
        return "ports below 1024 need root, or net.ipv4.ip_unprivileged_port_start, or port_base in ironpost.toml"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return error.strerror or str(error)


def _listening_inodes(port: int) -> Iterable[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _name(socket: sockets.socket) -> str:
    name = socket.getsockname()
    if socket.family == sockets.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if socket.family == sockets.AF_INET6 else f"{name[0]}:{name[1]}"


def _defaults_to_all_families(config: Config) -> bool:
    hosts = {listener.host for listener in config.listeners}
    return hosts == {"0.0.0.0", "::"}


def _has_ipv6() -> bool:
    try:
        with sockets.socket(sockets.AF_INET6, sockets.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True
