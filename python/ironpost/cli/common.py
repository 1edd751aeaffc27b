"""What all commands share: which data directory is meant, how results and mistakes are told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

ENVIRONMENT: Final = "IRONPOST_DIR"
F = TypeVar("F", bound=Callable[..., Any])


def directory_option(function: F) -> F:
    """`--dir DIR`, or the environment's."""
    return click.option(
        "--dir", "directory_option", metavar="DIR", help=f"Data directory (else {ENVIRONMENT}, else here)."
    )(function)


def directory_argument(function: F) -> F:
    """DIR by position, or as `--dir` has it."""
    return click.argument("directory", required=False, metavar="[DIR]")(directory_option(function))


def chosen(option: str | None, argument: str | None = None) -> Path:
    """The data directory that is meant."""
    import os

    if option and argument and Path(option) != Path(argument):
        raise click.UsageError("DIR is given twice, and differently")
    parent = click.get_current_context().find_root().params.get("directory_option")
    given = argument or option or parent or os.environ.get(ENVIRONMENT)
    if given:
        return Path(given).expanduser()
    if Path("ironpost.toml").is_file():
        return Path()
    raise click.UsageError(f"which data directory? Give DIR, --dir DIR or the variable {ENVIRONMENT}")


def complain(text: str) -> None:
    """One line on standard error."""
    # Arguments may hold octets that are not UTF-8 (PEP 383).
    line = " ".join(text.split("\n")).encode("utf-8", "backslashreplace").decode()
    sys.stderr.write(f"ironpost: {line}\n")


def as_json(value: Any) -> None:
    """Prints JSON."""
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: list[tuple[str, ...]]) -> None:
    """Prints columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def octets(count: float) -> str:
    """For people: 1.4 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float) -> str:
    """For people: 3 d 4 h."""
    whole = int(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if n]
    return " ".join(parts[:2]) or "0 s"


def ask(option: str | None, operation: str, **arguments: Any) -> Any:
    """One request about the server in the chosen folder, whether it runs or not. Raises UserError."""
    from .access import access

    with access(chosen(option)) as door:
        return door.request(operation, **arguments)
