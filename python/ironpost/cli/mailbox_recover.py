"""`ironpost mailbox recover`, `expire`, `purge`: second chances, and their end."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from ..config import kinds
from .common import as_json, chosen, directory_option, octets, table

if TYPE_CHECKING:
    from .access import Requester

UID_MAX: Final = 2**32 - 1
_DURATION: Final = kinds.Duration(0, 36_600 * 86_400)


def _since(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A time such as `2026-11-20` or `2026-11-20 14:30`, or how long ago, such as `2 d`, in Unix seconds."""
    if value is None:
        return None
    try:
        return time.time() - _DURATION.read(value)
    except kinds.Wrong:
        pass
    try:
        return max(datetime.fromisoformat(value).timestamp(), 0.0)
    except (ValueError, OverflowError, OSError):
        raise click.BadParameter(
            f'"{value}" is neither a time (2026-11-20, "2026-11-20 14:30") nor a duration (12 h, 2 d)'
        ) from None


def _uids(ctx: click.Context, param: click.Parameter, value: str | None) -> list[tuple[int, int]] | None:
    """`1:5,9`, `100:*` as ranges."""
    if value is None:
        return None
    ranges = []
    for part in value.split(","):
        ends = [_uid(end) for end in part.split(":")]
        if len(ends) > 2 or 0 in ends:
            raise click.BadParameter(f'"{value}" is no set of UIDs (it would look like 3, 1:5,9 or 100:*)')
        ranges.append((min(ends), max(ends)))
    return ranges


def _uid(text: str) -> int:
    """A UID; 0 for what is none."""
    if text == "*":
        return UID_MAX
    fits = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= UID_MAX
    return int(text) if fits else 0


@click.command("recover")
@click.argument("address")
@click.option("--mailbox", metavar="NAME", help="Only what was in this mailbox.")
@click.option(
    "--since", callback=_since, help="Only what was expunged since a time (2026-11-20), or so long ago (2 d)."
)
@click.option("--uid", "uids", callback=_uids, help="Only messages that had these UIDs: 1:5,9.")
@click.option("--into", metavar="NAME", help="Put all into this mailbox; else each goes where it was.")
@click.option("--list", "list_", is_flag=True, help="Show what can be recovered, and change nothing.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def recover(
    address: str,
    mailbox: str | None,
    since: float | None,
    uids: list[tuple[int, int]] | None,
    into: str | None,
    list_: bool,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Put expunged messages of ADDRESS back, or with --list show them.

    They come back as new messages with the flags that they had, save the mark for deletion.
    """
    from .access import access

    choice = {"address": address, "mailbox": mailbox, "since": since, "uids": uids}
    with access(chosen(directory_option), store=True) as door:
        if list_:
            rows = _all(door, choice)
            as_json(rows) if json_ else _show(rows)
            return 0
        count = door.request("mailbox.recover", into=into, **choice)
    if json_:
        as_json({"recovered": count})
    else:
        click.echo(f"recovered {count} messages" if count else "nothing of that kind can be recovered")
    return 0 if count else 1


def _all(door: Requester, choice: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        page = door.request("mailbox.retained", after=after, **choice)
        rows += page["rows"]
        after = page["after"]
        if after is None:
            return rows


def _show(rows: list[dict[str, Any]]) -> None:
    if not rows:
        click.echo("nothing of that kind can be recovered")
        return
    lines: list[tuple[str, ...]] = [("EXPUNGED", "MAILBOX", "UID", "SIZE", "DATE")]
    lines += [
        (_when(row["expunged"]), repr(row["mailbox"])[1:-1], str(row["uid"]), octets(row["octets"]), _when(row["date"]))
        for row in rows
    ]
    table(lines)


def _when(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(seconds)  # a date that a message claimed may be any


@click.command("expire")
@click.argument("address")
@click.option("--dry-run", is_flag=True, help="Count, and change nothing.")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def expire(address: str, dry_run: bool, json_: bool, directory_option: str | None) -> None:
    """Carry out the expiry rules of the configuration for ADDRESS now; the server does so by itself every hour."""
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        counts = door.request("mailbox.expire", address=address, dry=dry_run)
    if json_:
        as_json([{"mailbox": name, "messages": count} for name, count in counts])
        return
    verb = "would expunge" if dry_run else "expunged"
    for name, count in counts:
        click.echo(f"{verb} {count} messages of {name!r}")
    if not counts:
        click.echo("nothing has reached its age")


@click.command("purge")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@directory_option
def purge(address: str, yes: bool, directory_option: str | None) -> None:
    """Let all expunged messages of ADDRESS go for good, now."""
    from .access import access

    directory = chosen(directory_option)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("no terminal to ask on; give --yes")
        click.confirm(f"Make all expunged messages of {address} unrecoverable?", abort=True)
    with access(directory, store=True) as door:
        click.echo(f"let {door.request('mailbox.purge', address=address)} messages go")
