"""`ironpost mailbox import` and `ironpost mailbox export`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from ..errors import UserError
from .common import as_json, chosen, directory_option, octets
from .progress import Progress

IMPORT_FORMATS: Final = ("auto", "maildir", "maildir++", "mbox", "mboxrd", "mboxo", "mboxcl2", "sdbox", "mdbox")
EXPORT_FORMATS: Final = ("maildir", "maildir++", "mbox")
NOTES_SHOWN: Final = 1000
_PATH: Final = click.Path(path_type=Path)
_json = click.option("--json", "json_", is_flag=True, help="The report as JSON.")


@click.command("import")
@click.argument("address")
@click.argument("path", type=_PATH)
@click.option("--format", "kind", type=click.Choice(IMPORT_FORMATS), default="auto", help="What PATH is.")
@click.option("--into", default="", metavar="PREFIX", help="Put all mailboxes below this one.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="NAME",
    help="Only this mailbox of the source (again for more); for a single mbox file: where it goes to.",
)
@click.option("--skip-duplicates/--no-skip-duplicates", default=True, help="Pass over what is there already.")
@click.option("--dry-run", is_flag=True, help="Read everything, store nothing.")
@click.option("--utf8-names", is_flag=True, help="Folder names are UTF-8, not modified UTF-7.")
@click.option("--follow", is_flag=True, help="Follow symbolic links out of PATH.")
@click.option(
    "--pop3-uidl",
    "uidl_pattern",
    default="",
    metavar="PATTERN",
    help="How the old server made the ids of POP3: %08Xu%08Xv for Dovecot, UID%u-%v for Courier.",
)
@click.option("--keep-fields", is_flag=True, help="mbox: leave Status, X-UID and the like in the messages.")
@_json
@directory_option
def mailbox_import(
    address: str,
    path: Path,
    kind: str,
    into: str,
    folders: tuple[str, ...],
    skip_duplicates: bool,
    dry_run: bool,
    utf8_names: bool,
    follow: bool,
    uidl_pattern: str,
    keep_fields: bool,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Put the mail of PATH into the account ADDRESS: Maildir, Maildir++, mbox, or a tree of Dovecot's or Courier's.

    Flags, keywords, dates, UIDs and subscriptions come along where the format has them. Run again it goes on where it was.
    """
    from ..portable.detect import open_source
    from ..portable.importing import Importer, Wishes
    from ..portable.unique_ids import checked
    from .apart import access_apart

    single = path.is_file()
    wishes = Wishes(
        address,
        into=into,
        only=() if single else folders,
        rename=folders[0] if single and folders else "",
        skip_known=skip_duplicates,
        dry_run=dry_run,
        uidl_pattern=checked(uidl_pattern) if uidl_pattern else "",
    )
    with access_apart(chosen(directory_option)) as door, _meter("import") as (bar, say):
        importer = Importer(door, wishes, say, bar)
        source = open_source(
            path,
            kind,
            importer.note,
            utf8=utf8_names,
            follow=follow,
            keep_fields=keep_fields,
            owner=address.partition("@")[0],
        )
        report = importer.run(source)
    missing = [name for name in wishes.only if name not in importer.seen]
    if missing:
        raise UserError(f"{path}: holds no mailbox {missing[0]!r}")
    facts = {**dataclasses.asdict(report), "reconciles": report.reconciles, "dry_run": dry_run}
    if json_:
        as_json(facts)
    else:
        done = "would store" if dry_run else "stored"
        uidls = f", {report.kept_uidls} ids of POP3 kept" if report.kept_uidls else ""
        click.echo(
            f"{report.format}: {report.folders} mailboxes, {report.found} messages: {done} {report.stored} "
            f"({octets(report.octets)}, {report.kept_uids} with their UIDs), {report.known} were there already, "
            f"{report.left_out} left out{uidls}"
        )
    return _code(report)


@click.command("export")
@click.argument("address")
@click.argument("path", type=_PATH)
@click.option("--format", "kind", type=click.Choice(EXPORT_FORMATS), required=True, help="What PATH becomes.")
@click.option("--folder", "folders", multiple=True, metavar="NAME", help="Only this mailbox (again for more).")
@click.option("--merge", is_flag=True, help="Add to what is there; what an earlier run has written is passed over.")
@_json
@directory_option
def mailbox_export(
    address: str,
    path: Path,
    kind: str,
    folders: tuple[str, ...],
    merge: bool,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Write the mail of the account ADDRESS to PATH, with flags, keywords, dates, UIDs and subscriptions."""
    from ..portable.exporting import Exporter
    from .apart import access_apart

    with access_apart(chosen(directory_option)) as door, _meter("export") as (bar, say):
        report = Exporter(door, address, say, bar).run(path, kind, only=folders, merge=merge)
    facts = {**dataclasses.asdict(report), "reconciles": report.reconciles}
    if json_:
        as_json(facts)
    else:
        gone = f", {report.expunged} were expunged meanwhile" if report.expunged else ""
        click.echo(
            f"{kind}: {report.folders} mailboxes, {report.found} messages: wrote {report.written} "
            f"({octets(report.octets)}), {report.known} were there already, {report.left_out} left out{gone}"
        )
    return _code(report)


def _code(report: Any) -> int:
    return 1 if report.left_out or report.faults or not report.reconciles else 0


@contextmanager
def _meter(label: str) -> Iterator[tuple[Progress, Any]]:
    """The bar, and what takes the lines of the report: the first NOTES_SHOWN go out, the others are counted."""
    shown = 0
    with Progress(label) as bar:

        def say(text: str) -> None:
            nonlocal shown
            shown += 1
            if shown <= NOTES_SHOWN:
                bar.note(text.encode("utf-8", "backslashreplace").decode())

        try:
            yield bar, say
        finally:
            if shown > NOTES_SHOWN:
                bar.note(f"and {shown - NOTES_SHOWN} more such lines")
