"""The schema as text: the short file that `ironpost init` writes, and the reference in Markdown."""

from __future__ import annotations

import dataclasses
from typing import Any

from .kinds import show_size
from .schema import SERVICES, TOML_NAMES, Config, LimitsConfig

_INITIAL = """\
# ironpost: configuration. Every other key has a default: `ironpost config reference` lists them all.
# After a change: `ironpost config check {directory}`, then send SIGHUP to the running server.

# The name of this server in the world, as in the MX records of its domains.
hostname = {hostname}

# Every listener is at its standard port plus this number ({example}).
port_base = {port_base}

# Addresses to listen on.
listen = {listen}

# A self-signed certificate to begin with. Put a real one in its place and send SIGHUP.
[tls]
chain = "tls/chain.pem"
key = "tls/key.pem"

# The largest message taken.
# [limits]
# message_octets_max = "{message_octets_max}"

# Mail for other servers goes to their MX. To send it through another server instead:
# [[route]]
# domain = "*"
# host = "smarthost.example.net"
# port = 587
# tls = "verify"
# user = "name"
# password_file = "smarthost.password"
"""


def initial(*, directory: str, hostname: str, port_base: int, listen: tuple[str, ...]) -> str:
    """The file that `ironpost init` writes."""
    config: Any = {field.name: field for field in dataclasses.fields(Config)}
    show = {name: config[name].metadata["kind"].show for name in ("hostname", "port_base", "listen")}
    example = ", ".join(f"{name} {SERVICES[name].port + port_base}" for name in ("smtp", "submission", "imaps"))
    return _INITIAL.format(
        directory=directory,
        hostname=show["hostname"](hostname),
        port_base=port_base,
        example=example,
        listen=show["listen"](listen),
        message_octets_max=show_size(LimitsConfig().message_octets_max),
    )


def reference() -> str:
    """Every key in Markdown: what it means, what it may be, its default."""
    lines = ["# Configuration", "", "Keys of `ironpost.toml`. Written from the schema; do not edit by hand.", ""]
    _rows(Config, "", lines)
    for field in dataclasses.fields(Config):
        section = field.metadata.get("section") or field.metadata.get("array")
        if section is not None:
            name = TOML_NAMES.get(field.name, field.name)
            title = f"[[{name}]]" if "array" in field.metadata else f"[{name}]"
            lines += ["", f"## `{title}`", "", field.metadata["doc"][:1].upper() + field.metadata["doc"][1:] + ".", ""]
            _rows(section, "", lines)
    return "\n".join(lines) + "\n"


def _rows(section: type, prefix: str, lines: list[str]) -> None:
    lines += ["| Key | Meaning | May be | Default |", "|---|---|---|---|"]
    for field in dataclasses.fields(section):
        kind = field.metadata.get("kind")
        if kind is None:
            continue
        default = "must be given" if field.default is dataclasses.MISSING else f"`{kind.show(field.default)}`"
        cells = (f"`{prefix}{field.name}`", field.metadata["doc"], kind.right, default)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
