"""`ironpost mailbox list`."""

from __future__ import annotations

import click

from .common import as_json, chosen, directory_option, octets, table


@click.command("list")
@click.argument("address")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def list_(address: str, json_: bool, directory_option: str | None) -> None:
    """List the mailboxes of ADDRESS."""
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        rows = door.request("mailbox.list", address=address)
    if json_:
        as_json(rows)
        return
    lines: list[tuple[str, ...]] = [("NAME", "MESSAGES", "UNSEEN", "SIZE", "UIDVALIDITY", "SUBSCRIBED", "USE")]
    lines += [
        (
            _printable(row["name"]),
            str(row["messages"]) if row["exists"] else "-",
            str(row["unseen"]) if row["exists"] else "-",
            octets(row["octets"]) if row["exists"] else "-",
            str(row["uid_validity"]) if row["exists"] else "-",
            "yes" if row["subscribed"] else "no",
            row["special_use"],
        )
        for row in rows
    ]
    table(lines)


def _printable(name: str) -> str:
    """A name that moves no cursor."""
    return "".join(character if character.isprintable() else "?" for character in name)
