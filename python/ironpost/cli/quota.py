"""`ironpost quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ..config import kinds
from .common import as_json, chosen, directory_option, octets, table

if TYPE_CHECKING:
    from .access import Requester

_SIZE: Final = kinds.Size(0, 2**60)


Limit = tuple[int | None]  # a value in a tuple, since None alone stands for "not given"


def _limit_of(text: str, number: int, example: str) -> Limit:
    """`none` is 0, `default` None."""
    word = text.strip().lower()
    if word in ("none", "default"):
        return (0 if word == "none" else None,)
    if number <= 0:
        raise click.BadParameter(f'"{text}" is no limit; give {example}, or none, or default')
    return (number,)


def _messages(ctx: click.Context, param: click.Parameter, value: str | None) -> Limit | None:
    if value is None:
        return None
    text = value.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 13 else 0
    return _limit_of(value, number, "a number such as 10000")


def _octets(ctx: click.Context, param: click.Parameter, value: str | None) -> Limit | None:
    if value is None:
        return None
    text = value.strip().upper()
    if text[-1:] in ("K", "M", "G", "T"):
        text += "IB"  # 2G and 2GB are 2 GiB, as tools for disks have it
    elif text[-2:] in ("KB", "MB", "GB", "TB"):
        text = text[:-1] + "IB"
    try:
        number = _SIZE.read(text)
    except kinds.Wrong:
        number = 0
    return _limit_of(value, number, "a size such as 2G, 500 MiB or 1000000")


@click.group()
def quota() -> None:
    """What accounts and domains may hold."""


@quota.command("show")
@click.argument("name", metavar="[ADDRESS|DOMAIN]", required=False)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def quota_show(name: str | None, json_: bool, directory_option: str | None) -> None:
    """Show what is used of what may be held: of an account, of a domain and its accounts, or of all."""
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        if name is None:
            rows = door.request("quota.domains") + _accounts(door, None)
        else:
            rows = door.request("quota.show", name=name)
            if "@" not in name:
                rows += _accounts(door, name)
    if json_:
        as_json(rows)
    else:
        _print(rows)


def _accounts(door: Requester, domain: str | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = door.request("quota.page", after=after, domain=domain)
        rows += page["rows"]
        after = page["after"]
    return rows


@quota.command("set")
@click.argument("name", metavar="ADDRESS|DOMAIN")
@click.option("--octets", "octets_", callback=_octets, help="A size such as 2G, none, or default.")
@click.option("--messages", callback=_messages, help="A number, none, or default.")
@directory_option
def quota_set(name: str, octets_: Limit | None, messages: Limit | None, directory_option: str | None) -> None:
    """Set limits of an account, or of all accounts of a domain together; `default` is what the configuration says."""
    from .access import access

    changes: dict[str, int | None] = {}
    if octets_ is not None:
        changes["octets"] = octets_[0]
    if messages is not None:
        changes["messages"] = messages[0]
    if not changes:
        raise click.UsageError("nothing to set; give --octets or --messages")
    with access(chosen(directory_option), store=True) as door:
        _print(door.request("quota.set", name=name, changes=changes))


def _print(rows: list[dict[str, Any]]) -> None:
    lines: list[tuple[str, ...]] = [("NAME", "USED", "LIMIT", "MESSAGES", "LIMIT", "PERCENT")]
    lines += [
        (
            row["name"],
            octets(row["octets"]),
            _limit(row["limit_octets"], row["own_octets"], octets),
            str(row["messages"]),
            _limit(row["limit_messages"], row["own_messages"], str),
            "-" if row["percent"] is None else f"{row['percent']}%",
        )
        for row in rows
    ]
    table(lines)


def _limit(limit: int | None, own: int | None, show: Any) -> str:
    text = "none" if limit is None else show(limit)
    return text if own is not None else f"{text} (default)"
