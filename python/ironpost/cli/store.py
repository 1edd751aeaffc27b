"""`ironpost store` and `ironpost queue`."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from . import transfer
from .common import as_json, chosen, complain, directory_argument, directory_option, octets, span, table

_json = click.option("--json", "json_", is_flag=True, help="As JSON.")
_COUNTED: Final = ("accounts", "mailboxes", "messages", "blobs", "packs", "queue")
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
@click.option("--sample", is_flag=True, help="Look at some mailboxes and messages only; takes a moment.")
@_json
def store_check(directory: str | None, directory_option: str | None, full: bool, sample: bool, json_: bool) -> int:
    """Check the invariants of the store; exit code 1 when something is wrong."""
    if full and sample:
        raise click.UsageError("--full and --sample exclude each other")
    report = _ask(chosen(directory_option, directory), "store.check", full=full, sample=sample)
    if json_:
        as_json(report)
    else:
        for account in report["unknown_accounts"]:
            complain(f"account {account} of the store is not in the directory (nothing deletes it by itself)")
        for problem in report["problems"]:
            complain(problem)
        kinds = ("mailboxes", "messages", "blobs") if sample else _COUNTED
        counts = ", ".join(f"{report[name]} {name}" for name in kinds)
        looked = f"a sample of {counts}" if sample else counts
        click.echo(f"{len(report['problems'])} problems: {looked}" if report["problems"] else f"clean: {looked}")
    return 1 if report["problems"] else 0


@store.command("compact")
@directory_argument
@click.option("--rate", metavar="SIZE", help="Octets a second at most, e.g. 20M; default: as fast as it goes.")
@_json
def store_compact(directory: str | None, directory_option: str | None, rate: str | None, json_: bool) -> int:
    """Give the space of deleted mail back now; exit code 1 when a record is damaged."""
    from ..config.kinds import Size, Wrong

    kind = Size(1, 2**40)
    try:
        limit = kind.read(rate) if rate else 0
    except Wrong:
        raise click.UsageError(f"--rate: {kind.right}") from None
    done = _ask(chosen(directory_option, directory), "store.compact", rate=limit)
    if json_:
        as_json(done)
    else:
        for problem in done["damaged"]:
            complain(problem)
        freed, copied = octets(done["freed"]), octets(done["copied"])
        click.echo(f"{done['packs']} packs with {freed} let go, {done['blobs']} records with {copied} kept")
    return 1 if done["damaged"] else 0


@store.command("rebuild")
@directory_argument
@_json
def store_rebuild(directory: str | None, directory_option: str | None, json_: bool) -> int:
    """Make a lost or damaged index anew from the packs; the server must not run.

    The old index is kept beside the new one. Exit code 1 when something is damaged or lost.
    """
    from .rebuild import rebuild

    report = rebuild(chosen(directory_option, directory))
    if json_:
        as_json(report)
    else:
        for problem in report["damaged"]:
            complain(problem)
        counts = ", ".join(f"{report[name]} {name}" for name in ("accounts", "mailboxes", "messages", "queue"))
        click.echo(f"rebuilt from {report['packs']} packs: {counts}")
        click.echo(
            f"{report['found']} messages that no journal knew were put where they were meant for, "
            f"{report['retained']} expunged ones can be recovered, {report['lost']} are lost"
        )
    return 1 if report["damaged"] or report["lost"] else 0


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
