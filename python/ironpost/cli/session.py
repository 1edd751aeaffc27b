"""`ironpost session`: who is logged in, in all workers."""

from __future__ import annotations

import time

import click

from .common import as_json, ask, complain, directory_option, span, table


def _code(silent: list[int]) -> int:
    """The exit code: 1 when what was told is not all."""
    for worker in silent:
        complain(f"worker {worker} has not answered; its sessions are missing here")
    return 1 if silent else 0


@click.group()
def session() -> None:
    """Sessions of IMAP, POP3 and submission that are logged in."""


@session.command("list")
@click.argument("address", required=False)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def list_(address: str | None, json_: bool, directory_option: str | None) -> int:
    """List the sessions, all or those of ADDRESS."""
    answer = ask(directory_option, "session.list", address=address)
    if json_:
        as_json(answer["sessions"])
        return _code(answer["silent"])
    now = time.time()
    rows = [
        (
            one["id"],
            one["account"],
            one["service"],
            one["peer"],
            "tls" if one["tls"] else "plain",
            span(max(0.0, now - one["since"])),
            f"{one['method']} {one['app_password']}".rstrip(),
            ascii(one["client"])[1:-1],
        )
        for one in answer["sessions"]
    ]
    table([("ID", "ACCOUNT", "SERVICE", "PEER", "TLS", "FOR", "LOGIN", "CLIENT"), *rows])
    return _code(answer["silent"])


@session.command("revoke")
@click.argument("address", required=False)
@click.option("--id", "identifier", metavar="SESSION", help="One session, as `session list` names it.")
@directory_option
def revoke(address: str | None, identifier: str | None, directory_option: str | None) -> int:
    """End the sessions of ADDRESS, or one.

    Whoever has the password can log in again: change or remove it first, which ends its sessions, too.
    """
    if (address is None) == (identifier is None):
        raise click.UsageError("give ADDRESS or --id SESSION")
    answer = ask(directory_option, "session.revoke", address=address, id=identifier)
    click.echo(f"ended {answer['ended']}")
    return _code(answer["silent"])
