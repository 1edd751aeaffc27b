"""`ironpost store` and `ironpost queue`."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from . import transfer
from .common import as_json, chosen, complain, directory_argument, directory_option, span, table

_json = click.option("--json", "json_", is_flag=True, help="As JSON.")
_ITEM: Final = click.IntRange(1, 2**63 - 1)


def _ask(directory: Any, operation: str, **arguments: Any) -> Any:
    from .access import access

    with access(directory, store=True) as door:
        return door.request(operation, **arguments)


@click.group()
def store() -> None:
    """The mail store."""


@store.command("check")
@directory_argument
@click.option("--full", is_flag=True, help="Read every stored message, too.")
@_json
def store_check(directory: str | None, directory_option: str | None, full: bool, json_: bool) -> int:
    """Check the invariants of the store; exit code 1 when something is wrong."""
    report = _ask(chosen(directory_option, directory), "store.check", full=full)
    if json_:
        as_json(report)
    else:
        for account in report["unknown_accounts"]:
            complain(f"account {account} of the store is not in the directory (nothing deletes it by itself)")
        for problem in report["problems"]:
            complain(problem)
        counts = ", ".join(
            f"{report[name]} {name}" for name in ("accounts", "mailboxes", "messages", "blobs", "packs", "queue")
        )
        click.echo(f"{len(report['problems'])} problems: {counts}" if report["problems"] else f"clean: {counts}")
    return 1 if report["problems"] else 0


@store.command("stat")
@directory_argument
@_json
def store_stat(directory: str | None, directory_option: str | None, json_: bool) -> None:
    """Counters of the store."""
    facts = _ask(chosen(directory_option, directory), "store.stat")
    if json_:
        as_json(facts)
    else:
        table([(name, str(value)) for name, value in sorted(facts.items())])


store.add_command(transfer.store_export)
store.add_command(transfer.store_import)


@click.group()
def queue() -> None:
    """Mail that waits for other servers."""


@queue.command("list")
@_json
@directory_option
def queue_list(json_: bool, directory_option: str | None) -> None:
    """List what waits."""
    from .access import access

    items: list[dict[str, Any]] = []
    with access(chosen(directory_option), store=True) as door:
        while page := door.request("queue.list", after=items[-1]["item"] if items else 0):
            items += page
    if json_:
        as_json(items)
        return
    now = time.time()
    for item in items:
        when = f"due in {span(item['due'] - now)}" if item["due"] > now else "due"
        sender = item.get("sender") or "<>"
        click.echo(f"{item['item']}  from {sender}, {item['size']} octets, {item.get('attempts', 0)} attempts, {when}")
        if "fault" in item:
            click.echo(f"    unreadable: {item['fault']}")
        for recipient in item.get("recipients", ()):
            reply = f": {recipient['reply']}" if recipient["reply"] else ""
            click.echo(f"    to {recipient['address']}{reply}")
    if not items:
        click.echo("the queue is empty")


@queue.command("retry")
@click.argument("item", type=_ITEM, required=False)
@directory_option
def queue_retry(item: int | None, directory_option: str | None) -> None:
    """Try ITEM again now, or everything."""
    count = _ask(chosen(directory_option), "queue.retry", identifier=item)
    click.echo(f"{count} due now")


@queue.command("remove")
@click.argument("item", type=_ITEM)
@directory_option
def queue_remove(item: int, directory_option: str | None) -> None:
    """Take ITEM out of the queue; nobody is told."""
    _ask(chosen(directory_option), "queue.remove", identifier=item)
    click.echo(f"removed {item}")
