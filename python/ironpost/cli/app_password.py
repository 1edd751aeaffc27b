"""`ironpost app-password`: further passwords of an account, each for one device or program."""

from __future__ import annotations

import time
from typing import Final

import click

from ..config import kinds
from .common import as_json, ask, directory_option, table

_LIFETIME: Final = kinds.Duration(60, 36_600 * 86_400)


def _lifetime(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return _LIFETIME.read(value)
    except kinds.Wrong:
        raise click.BadParameter(f"give {_LIFETIME.right}") from None


def _day(stamp: float | None, nothing: str) -> str:
    return nothing if stamp is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(stamp))


@click.group()
def app_password() -> None:
    """Further passwords of an account, each for one device or program."""


@app_password.command("add")
@click.argument("address")
@click.option("--label", required=True, help="What it is for, such as the name of a device.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SERVICE",
    help="imap, pop3, submission, managesieve (else all); repeat.",
)
@click.option("--expires", "lifetime", metavar="TIME", callback=_lifetime, help='After this time, such as "90d".')
@directory_option
def add(
    address: str, label: str, scopes: tuple[str, ...], lifetime: float | None, directory_option: str | None
) -> None:
    """Make an app password and print it, this once."""
    made = ask(
        directory_option,
        "app-password.add",
        address=address,
        label=label,
        scopes=[scope.lower() for scope in scopes],
        lifetime=lifetime,
    )
    click.echo(made["password"])
    until = "" if made["expires"] is None else f", until {_day(made['expires'], '')}"
    click.echo(f"id {made['id']}, for {', '.join(made['scopes'])}{until}; it is not shown again", err=True)


@app_password.command("list")
@click.argument("address")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def list_(address: str, json_: bool, directory_option: str | None) -> None:
    """List the app passwords of an account; the passwords themselves are known to nobody."""
    found = ask(directory_option, "app-password.list", address=address)
    if json_:
        as_json(found)
        return
    rows = [
        (
            one["id"],
            one["label"],
            ",".join(one["scopes"]),
            _day(one["created"], ""),
            _day(one["expires"], "never"),
            _day(one["used"], "never"),
        )
        for one in found
    ]
    table([("ID", "LABEL", "SCOPES", "CREATED", "EXPIRES", "LAST USED"), *rows])


@app_password.command("remove")
@click.argument("address")
@click.argument("identifier", metavar="ID")
@directory_option
def remove(address: str, identifier: str, directory_option: str | None) -> None:
    """Remove an app password; sessions that have logged in with it end."""
    ask(directory_option, "app-password.remove", address=address, id=identifier)
    click.echo(f"removed {identifier} of {address}")
