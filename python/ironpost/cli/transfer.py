"""`ironpost store export` and `import`: the neutral stream (docs/export-format.md)."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .. import __version__
from ..errors import UserError
from ..runtime.durable import sync_file, sync_folder
from .common import chosen, complain, directory_option
from .task import StoreErrors, follow, opened

if TYPE_CHECKING:
    from ..config import Config

SUFFIX: Final = ".ironpost"
REFUSALS_SHOWN: Final = 1000
SHARING_ROWS: Final = 20  # of one request: a value has up to 32 KiB


@click.command("export")
@click.argument("target", metavar="FILE|-|DIR")
@click.option("--account", "addresses", metavar="ADDRESS", multiple=True, help="Only this account; may be repeated.")
@click.option("--mailbox", metavar="NAME", help="With --account: only this mailbox.")
@click.option("--with-credentials", is_flag=True, help="Also the verifiers of passwords; keep such a file secret.")
@click.option("--force", is_flag=True, help="Write over a FILE that is there.")
@directory_option
def store_export(
    target: str,
    addresses: tuple[str, ...],
    mailbox: str | None,
    with_credentials: bool,
    force: bool,
    directory_option: str | None,
) -> int:
    """Write all mail, or some accounts', as one stream that needs no ironpost to be read.

    What is damaged is listed on standard error and in the stream; everything else is in it. Exit code 1 then.
    """
    from .. import _core
    from ..backup import people
    from ..state.directory import Directory

    if mailbox and not addresses:
        raise click.UsageError("--mailbox needs an --account")
    if target == "-" and sys.stdout.isatty():
        raise click.UsageError("the stream is not for a terminal; give a FILE, or a program to read it")
    config = opened(chosen(directory_option))
    store = config.path(config.store.path)
    if not (store / "index" / "data.mdb").exists():
        raise UserError(f"{store}: there is no mail store yet; start the server once")
    path = None if target == "-" else _file(Path(target).expanduser(), force)
    sharing = [] if mailbox else _sharing(config, addresses)
    directory = Directory(config.state_folder)
    try:
        for address in addresses:
            if directory.account(address) is None:
                raise UserError(f"there is no account {address}")
        accounts = people.accounts(directory, credentials=with_credentials, only=addresses)
        front = [] if addresses else people.front(directory)
    finally:
        directory.close()
    temporary = None if path is None else path.with_name(f"{path.name}.part")
    if temporary is not None:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    task = _core.StoreTask.export(
        str(store),
        None if temporary is None else str(temporary),
        begin=[
            ("Software", f"ironpost {__version__}"),
            ("Created", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")),
            ("Hostname", config.hostname),
        ],
        front=[*front, *sharing],
        accounts=accounts,
        unknown_accounts=not addresses,
        mailbox="INBOX" if mailbox and mailbox.upper() == "INBOX" else mailbox,
        queue=not addresses,
        retained=True,
        map_size=config.store.map_size,
    )
    try:
        with StoreErrors(Path(target)):
            done, _ = follow(task, "export", "messages")
        if temporary is not None and path is not None:
            sync_file(temporary)
            temporary.rename(path)
            sync_folder(path.parent)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise
    click.echo(
        f"exported {done['accounts']} accounts, {done['messages']} messages, {done['octets']} octets"
        + (f" to {path}" if path else "")
        + (f"; {done['damaged']} damaged" if done["damaged"] else ""),
        err=path is None,
    )
    return 1 if done["damaged"] else 0


@click.command("import")
@click.argument("source", metavar="FILE|-")
@click.option("--merge", is_flag=True, help="Add to accounts that are there; messages that they have are passed over.")
@click.option("--account", "addresses", metavar="ADDRESS", multiple=True, help="Only this account; may be repeated.")
@click.option("--into", metavar="ADDRESS", help="With one --account: into this account.")
@click.option("--prefix", metavar="NAME", help="Mailboxes go below this one.")
@click.option("--with-queue", is_flag=True, help="Also send what waited for other servers; do so once only.")
@directory_option
def store_import(
    source: str,
    merge: bool,
    addresses: tuple[str, ...],
    into: str | None,
    prefix: str | None,
    with_queue: bool,
    directory_option: str | None,
) -> int:
    """Read a stream of `ironpost store export`; accounts and domains that are missing are made.

    What cannot be read is listed on standard error, everything else is imported. Exit code 1 then. An import that was
    interrupted is taken up by doing it again with --merge.
    """
    from .. import _core
    from ..backup.people import Welcome
    from ..state.directory import Directory

    if into and len(addresses) != 1:
        raise click.UsageError("--into takes one --account")
    config = opened(chosen(directory_option))
    path = None if source == "-" else Path(source).expanduser()
    if path is not None and not path.is_file():
        raise UserError(f"{path}: there is no such file")
    directory = Directory(config.state_folder)
    try:
        if into and directory.account(into) is None:
            raise UserError(f"there is no account {into}")
        welcome = Welcome(directory, merge=merge or bool(into), only=addresses, into=into)
        task = _core.StoreTask.import_(
            str(config.path(config.store.path)),
            None if path is None else str(path),
            map_size=config.store.map_size,
            prefix=(prefix or "").strip("/"),
            queue=with_queue,
        )
        with StoreErrors(Path(source)):
            done, _ = follow(task, "import", "messages", welcome.answer)
        faults = welcome.refused + ([] if addresses else welcome.finish())
    finally:
        directory.close()
    faults += _share(config, welcome.sharing, (prefix or "").strip("/"))
    for fault in faults[:REFUSALS_SHOWN]:
        complain(fault)
    told = f"imported {done['messages']} messages of {done['accounts']} accounts ({welcome.made} new)"
    if done["present"]:
        told += f"; {done['present']} were there already"
    wrong = task.problems + len(faults)
    click.echo(told + (f"; {wrong} problems" if wrong else ""))
    return 1 if wrong else 0


def _sharing(config: Config, addresses: tuple[str, ...]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Records of access lists and annotations."""
    from .access import access

    records: list[tuple[str, list[tuple[str, str]]]] = []
    with access(config.directory, store=True, config=config) as door:
        for address in addresses or (None,):
            after: int | None = 0
            while after is not None:
                page = door.request("mailbox.sharing.export", address=address, after=after)
                records += [(kind, [(name, value) for name, value in fields]) for kind, fields in page["rows"]]
                after = page["after"]
    return records


def _share(config: Config, rows: list[dict[str, Any]], prefix: str) -> list[str]:
    """Takes access lists and annotations over; what could not be."""
    from .access import access

    faults: list[str] = []
    if not rows:
        return faults
    for row in rows:
        if prefix and row["mailbox"]:
            row["mailbox"] = f"{prefix}/{row['mailbox']}"
    with access(config.directory, store=True, config=config) as door:
        for start in range(0, len(rows), SHARING_ROWS):
            faults += door.request("mailbox.sharing.import", rows=rows[start : start + SHARING_ROWS])
    return faults


def _file(target: Path, force: bool) -> Path:
    if target.is_dir():
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
        target = target / f"{moment}{SUFFIX}"
    if target.exists() and not force:
        raise UserError(f"{target} is there already (--force writes over it)")
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target.parent}: there is no such folder")
    return target
