"""`ironpost serve`, `status`, `config`, `quickstart`."""

from __future__ import annotations

import sys
from typing import Any

import click

from ..errors import ConfigError, ConfigFault
from .common import as_json, chosen, directory_argument, octets, span, table


@click.command()
@directory_argument
def serve(directory: str | None, directory_option: str | None) -> int:
    """Run the server of DIR in the foreground.

    Prints one line for each listener, then `ready`. SIGTERM and Ctrl-C let sessions finish and stop it, a second one
    stops it at once; SIGHUP reads configuration and certificate again.
    """
    from ..supervisor.main import serve as run

    return run(chosen(directory_option, directory))


@click.command()
@directory_argument
@click.option("--json", "json_", is_flag=True, help="As JSON.")
def status(directory: str | None, directory_option: str | None, json_: bool) -> None:
    """What the server of DIR is doing."""
    from .access import access

    with access(chosen(directory_option, directory)) as door:
        facts: dict[str, Any] = door.request("status")
    if json_:
        as_json(facts)
        return
    rows: list[tuple[str, ...]] = [("directory", facts["directory"]), ("version", facts["version"])]
    if not facts["running"]:
        rows.append(("server", "not running"))
    elif "pid" in facts:
        rows.append(("server", f"running for {span(facts['uptime'])} (pid {facts['pid']})"))
        for worker in facts["workers"]:
            health = "ready" if worker["ready"] else "starting"
            if worker["silent_seconds"] > 5:
                health = f"silent for {span(worker['silent_seconds'])}"
            open_ = sum(worker.get("connections", {}).values())
            rows.append((f"worker {worker['slot']}", f"{health}, {open_} connections (pid {worker['pid']})"))
        counts = ", ".join(f"{name} {count}" for name, count in sorted(facts["connections"].items()) if count)
        rows.append(("connections", counts or "none"))
    else:
        rows.append(("server", "running; its supervisor does not answer"))
    rows += [("domains", str(facts["domains"])), ("accounts", str(facts["accounts"]))]
    if facts["running"]:
        rows.append(("queue", f"{facts['queue']} messages"))
        rows.append(("free disk", octets(facts["store"]["free_bytes"])))
        if facts["store"]["failed"]:
            rows.append(("store", f"FAILED: {facts['store']['failed']}"))
    table(rows)


@click.group("config")
def config_group() -> None:
    """The configuration."""


@config_group.command("check")
@directory_argument
def config_check(directory: str | None, directory_option: str | None) -> int:
    """Tell all faults of DIR/ironpost.toml at once."""
    from ..config import load

    where = chosen(directory_option, directory)
    faults: list[ConfigFault] = []
    try:
        config = load(where)
    except ConfigError as error:
        faults += error.faults
    else:
        faults += _file_faults(config)
        if not faults:
            click.echo(f"{where / 'ironpost.toml'} is right: {len(config.listeners)} listeners")
            return 0
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1


def _file_faults(config: Any) -> list[ConfigFault]:
    """What the files are like that the configuration names."""
    from ..runtime import certificates

    faults: list[ConfigFault] = []
    try:
        certificates.read(config)
    except ConfigError as error:
        faults += error.faults
    for number, route in enumerate(config.routes, 1):
        for name in ("password_file", "ca_file"):
            relative = getattr(route, name)
            if not relative:
                continue
            try:
                with open(config.path(relative), "rb") as stream:
                    stream.read(1)
            except OSError as error:
                text = f"{config.path(relative)}: {error.strerror}"
                faults.append(ConfigFault(f"route[{number}].{name}", text, "name a readable file"))
    return faults


@config_group.command("reference")
def config_reference() -> None:
    """Every key with its meaning and default, in Markdown."""
    from ..config.render import reference

    click.echo(reference(), nl=False)


@click.command()
@directory_argument
def quickstart(directory: str | None, directory_option: str | None) -> int:
    """Start a server to play with in DIR (default ./ironpost-data), and show mail moving.

    Ports are 10000 above the standard ones; the accounts alice and bob of example.test get generated passwords.
    """
    import os

    from .common import ENVIRONMENT
    from .quickstart import DEFAULT_FOLDER, run

    parent = click.get_current_context().find_root().params.get("directory_option")
    return run(directory or directory_option or parent or os.environ.get(ENVIRONMENT) or DEFAULT_FOLDER)
