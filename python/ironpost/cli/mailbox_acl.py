"""`ironpost mailbox acl`: who may do what with a mailbox (docs/sharing.md)."""

from __future__ import annotations

from typing import Any

import click

from .common import as_json, chosen, directory_option, table


@click.group("acl")
def acl() -> None:
    """Show and change who may do what with mailboxes."""


@acl.command("show")
@click.argument("address")
@click.argument("mailbox", required=False)
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def acl_show(address: str, mailbox: str | None, json_: bool, directory_option: str | None) -> None:
    """Show the list of a MAILBOX of ADDRESS, or all lists that ADDRESS has made."""
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        rows = door.request("mailbox.acl.show", address=address, mailbox=mailbox)
    if json_:
        as_json(rows)
    else:
        _print(rows)


@acl.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("address")
@click.argument("mailbox")
@click.argument("identifier")
@click.argument("rights")
@directory_option
def acl_set(address: str, mailbox: str, identifier: str, rights: str, directory_option: str | None) -> None:
    """Give IDENTIFIER these RIGHTS to MAILBOX of ADDRESS, in place of those it has.

    IDENTIFIER is an address of this server or `anyone`, with a - in front to take rights away whoever gives them. RIGHTS are
    letters of lrswipkxtea: +lr adds, -w removes, "" removes all.
    """
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        _print(door.request("mailbox.acl.set", address=address, mailbox=mailbox, identifier=identifier, rights=rights))


def _print(rows: list[dict[str, Any]]) -> None:
    lines: list[tuple[str, ...]] = [("MAILBOX", "IDENTIFIER", "RIGHTS")]
    for row in rows:
        name = "".join(character if character.isprintable() else "?" for character in row["mailbox"])
        lines += [(name, identifier, rights) for identifier, rights in row["entries"]]
    table(lines)
