"""`ironpost mailbox uidl`: ids by which POP3 programs know their messages from another server (docs/migrating.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..errors import UserError
from .common import as_json, chosen, directory_option, table

if TYPE_CHECKING:
    from .access import Asker

_ROWS_AT_ONCE: Final = 5000
_UID_MAX: Final = 2**32 - 1
_INBOX: Final = "INBOX"  # what POP3 shows


@click.group("uidl")
def uidl() -> None:
    """Show and import the unique ids that messages had at another POP3 server."""


@uidl.command("list")
@click.argument("address")
@click.option("--json", "json_", is_flag=True, help="As JSON.")
@directory_option
def uidl_list(address: str, json_: bool, directory_option: str | None) -> None:
    """List the ids that messages in INBOX of ADDRESS have brought along."""
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        rows = door.request("mailbox.uidl.list", address=address)
    if json_:
        as_json([{"uid": uid, "uidl": name} for uid, name in rows])
    else:
        table([("UID", "UIDL"), *((str(uid), name) for uid, name in rows)])


@uidl.command("import")
@click.argument("address")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@directory_option
def uidl_import(address: str, file: Path, directory_option: str | None) -> int:
    """Give messages in INBOX of ADDRESS the ids of FILE: lines of a UID, a space, and the id."""
    from .access import access

    rows, faults = _read(file)
    for number, why in faults:
        click.echo(f"{file}, line {number}: {why}", err=True)
    with access(chosen(directory_option), store=True) as door:
        return _keep(door, address, rows, len(faults))


@uidl.command("make")
@click.argument("address")
@click.argument("pattern")
@directory_option
def uidl_make(address: str, pattern: str, directory_option: str | None) -> int:
    """Give messages in INBOX of ADDRESS the ids that another server has made of their UIDs by PATTERN.

    For mail that has come with its UIDs and UIDVALIDITY, as by `ironpost migrate`. PATTERN: %08Xu%08Xv for Dovecot,
    UID%u-%v for Courier.
    """
    from ..portable.unique_ids import checked, made
    from .access import access

    checked(pattern)
    rows: list[tuple[int, str]] = []
    with access(chosen(directory_option), store=True) as door:
        known = {row["name"]: row for row in door.request("mailbox.list", address=address)}
        if _INBOX in known:
            after = 0
            while page := door.request("mail.rows", address=address, mailbox=_INBOX, after=after):
                rows += [(row[0], made(pattern, row[0], known[_INBOX]["uid_validity"])) for row in page]
                after = page[-1][0]
        return _keep(door, address, rows, 0)


def _keep(door: Asker, address: str, rows: list[tuple[int, str]], faults: int) -> int:
    """Sends them and tells what has become of them; the exit code. `faults`: lines that never became rows."""
    refused: list[Any] = []
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        refused += door.request("mailbox.uidl.set", address=address, rows=rows[start : start + _ROWS_AT_ONCE])
    for uid, name, why in refused:
        click.echo(f"UID {uid}, {name!a}: {why}", err=True)
    click.echo(f"{len(rows) - len(refused)} kept, {len(refused) + faults} refused")
    return 1 if refused or faults else 0


def _read(file: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """(UID, unique id) of the lines, and (line number, why) of those that are none."""
    try:
        text = file.read_bytes().decode("latin-1")
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None
    rows: list[tuple[int, str]] = []
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        uid, space, name = line.rstrip("\r").partition(" ")
        if not uid and not space:
            continue
        if not space or not (uid.isascii() and uid.isdigit() and len(uid) <= 10 and 0 < int(uid) <= _UID_MAX):
            faults.append((number, "is no UID, a space, and an id"))
        else:
            rows.append((int(uid), name))
    return rows, faults
