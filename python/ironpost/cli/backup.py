"""`ironpost backup` and `ironpost restore` (docs/backup.md)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import as_json, chosen, complain, directory_option, octets, table
from .task import StoreErrors, follow, opened

if TYPE_CHECKING:
    from ..backup.layout import Backup, Snapshot

_json = click.option("--json", "json_", is_flag=True, help="As JSON.")


@click.command()
@click.argument("backup_directory", metavar="DIR")
@click.option("--verify", is_flag=True, help="Read the newest snapshot again and check it; takes none.")
@click.option("--list", "list_", is_flag=True, help="Show the snapshots; takes none.")
@click.option("--snapshot", metavar="T", help="With --verify: this snapshot, or the newest not after that time.")
@click.option("--keep", type=click.IntRange(1, 100_000), metavar="N", help="Remove all but the newest N afterwards.")
@click.option("--copy", is_flag=True, help="Copy packs even where a hard link would do.")
@click.option("--rate", metavar="SIZE", help='Read at most so much per second, for example "20 MiB".')
@_json
@directory_option
def backup(
    backup_directory: str,
    verify: bool,
    list_: bool,
    snapshot: str | None,
    keep: int | None,
    copy: bool,
    rate: str | None,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Save everything into DIR, while the server runs or not; what DIR has already is not copied again."""
    from ..backup.layout import Backup

    if verify and list_:
        raise click.UsageError("--verify and --list exclude each other")
    if (verify or list_) and (keep or copy or rate):
        raise click.UsageError("--keep, --copy and --rate belong to the taking of a snapshot")
    if snapshot and not verify:
        raise click.UsageError("--snapshot belongs to --verify")
    folder = Path(backup_directory).expanduser()
    if list_:
        return _list(Backup.existing(folder), json_)
    if verify:
        existing = Backup.existing(folder)
        return _verify(existing, existing.at(snapshot), json_)
    return _take(chosen(directory_option), folder, keep, copy, _rate(rate), json_)


@click.command()
@click.argument("backup_directory", metavar="BACKUP")
@click.option("--at", metavar="TIME", help="The newest snapshot not after this time, or the one of that name.")
@click.option("--account", "accounts", metavar="ADDRESS", multiple=True, help="Only this account, into the server.")
@click.option("--mailbox", metavar="NAME", help="With --account: only this mailbox.")
@click.option("--into", metavar="ADDRESS", help="With --account: into this account instead.")
@click.option("--prefix", metavar="NAME", help='With --account: below this mailbox, for example "Restored".')
@click.option("--retained", is_flag=True, help="With --account: also what had been expunged and was retained.")
@_json
@directory_option
def restore(
    backup_directory: str,
    at: str | None,
    accounts: tuple[str, ...],
    mailbox: str | None,
    into: str | None,
    prefix: str | None,
    retained: bool,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Put a snapshot back: everything into a new data directory, or an account or a mailbox into the server's."""
    from ..backup.layout import Backup

    if not accounts and (mailbox or into or prefix or retained):
        raise click.UsageError("--mailbox, --into, --prefix and --retained need an --account")
    if into and len(accounts) > 1:
        raise click.UsageError("--into takes one --account")
    target = chosen(directory_option)
    existing = Backup.existing(Path(backup_directory).expanduser())
    snapshot = existing.at(at)
    if accounts:
        return _accounts(existing, snapshot, target, accounts, mailbox, into, prefix, retained, json_)
    return _everything(existing, snapshot, target, json_)


def _take(directory: Path, folder: Path, keep: int | None, copy: bool, rate: int | None, json_: bool) -> int:
    from ..backup.take import take

    config = opened(directory)
    with StoreErrors(folder):
        snapshot, done = take(config, folder, follow, copy=copy, rate=rate, keep=keep)
    if json_:
        as_json({"snapshot": snapshot.name, **done})
        return 0
    click.echo(
        f"snapshot {snapshot.name}: {done['accounts']} accounts, {done['messages']} messages, "
        f"{octets(done['pack_octets'])} in {done['packs']} packs"
    )
    told = f"copied {octets(done['octets_copied'])}, {done['packs_kept']} packs were there already"
    if done["packs_linked"]:
        told += f", {done['packs_linked']} are links to the store's own files (a backup on the same disk is no backup)"
    if done["snapshots_removed"]:
        told += f"; removed {done['snapshots_removed']} snapshots"
    click.echo(told)
    return 0


def _list(existing: Backup, json_: bool) -> int:
    snapshots = existing.snapshots()
    if json_:
        as_json([{"snapshot": snapshot.name, **snapshot.manifest} for snapshot in snapshots])
        return 0
    if not snapshots:
        click.echo("no snapshots")
        return 0
    rows: list[tuple[str, ...]] = [("snapshot", "accounts", "messages", "packs", "copied")]
    for name, _, manifest in snapshots:
        rows.append(
            (
                name,
                str(manifest["directory"]["accounts"]),
                str(manifest["store"]["messages"]),
                octets(manifest["packs"]["octets"]),
                octets(manifest["copied"]["octets"]),
            )
        )
    table(rows)
    return 0


def _verify(existing: Backup, snapshot: Snapshot, json_: bool) -> int:
    from ..backup.verify import verify

    with StoreErrors(existing.folder):
        problems, counts = verify(existing, snapshot, follow)
    wrong = len(problems) + counts.get("packs_wrong", 0)
    if json_:
        as_json({"snapshot": snapshot.name, "problems": problems, **counts})
    else:
        for problem in problems:
            complain(problem)
        held = ", ".join(
            f"{counts[name]} {name}" for name in ("accounts", "mailboxes", "messages", "packs") if name in counts
        )
        click.echo(f"{snapshot.name}: {wrong} problems: {held}" if wrong else f"{snapshot.name}: clean: {held}")
    return 1 if wrong else 0


def _everything(existing: Backup, snapshot: Snapshot, target: Path, json_: bool) -> int:
    from ..backup.restore import restore as restore_everything
    from .access import access

    with StoreErrors(target):
        damaged, notes = restore_everything(existing, snapshot, target, follow)
    for note in notes:
        complain(note)
    with access(target, store=True) as door:
        report = door.request("store.check", full=False)
    for problem in report["problems"]:
        complain(problem)
    wrong = damaged + len(report["problems"])
    if json_:
        as_json({"snapshot": snapshot.name, "packs_damaged": damaged, **report})
    else:
        click.echo(f"restored {snapshot.name}: {report['accounts']} accounts, {report['messages']} messages")
        if wrong:
            click.echo("not everything could be read; what is damaged: ironpost store check --full")
        else:
            click.echo(f"next: ironpost serve {target}")
    return 1 if wrong else 0


def _accounts(
    existing: Backup,
    snapshot: Snapshot,
    target: Path,
    addresses: tuple[str, ...],
    mailbox: str | None,
    into: str | None,
    prefix: str | None,
    retained: bool,
    json_: bool,
) -> int:
    from ..backup.accounts import restore_accounts

    config = opened(target)
    with StoreErrors(existing.folder):
        done, problems = restore_accounts(
            config, existing, snapshot, follow, addresses, mailbox=mailbox, into=into, prefix=prefix, retained=retained
        )
    if json_:
        as_json({"snapshot": snapshot.name, "problems": problems, **done})
    else:
        told = f"restored {done['messages']} messages from {snapshot.name}; {done['present']} were there already"
        if done["retained"]:
            told += f"; {done['retained']} can be recovered again"
        click.echo(told + (f"; {problems} problems" if problems else ""))
    return 1 if problems else 0


def _rate(text: str | None) -> int | None:
    from ..config.kinds import Size, Wrong

    if text is None:
        return None
    kind = Size(1024, 2**40)
    try:
        return kind.read(int(text) if text.isdigit() else text)
    except Wrong:
        raise click.UsageError(f"--rate {text}: give {kind.right}") from None
