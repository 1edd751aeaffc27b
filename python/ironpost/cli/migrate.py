"""`ironpost migrate`: pulls accounts from other IMAP servers, with a progress bar and a report that reconciles."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ..errors import UserError
from .common import as_json, chosen, complain, directory_option, octets, table
from .progress import Progress

if TYPE_CHECKING:
    from .access import Requester

FAULTS_SHOWN: Final = 50
CSV_COLUMNS: Final = ("user", "password", "address")


class Wanted(NamedTuple):
    """One account: who it is there, and here."""

    user: str
    login: dict[str, str]
    address: str

    def __repr__(self) -> str:
        return f"Wanted(user={self.user!r}, address={self.address!r})"


@click.command("migrate")
@click.argument("source", metavar="SOURCE-URL")
@click.argument("address", required=False)
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False), help="Many: a file of user,password,address.")
@click.option("--password-file", type=click.Path(dir_okay=False), help="First line: the password (else it is asked).")
@click.option("--token-file", type=click.Path(dir_okay=False), help="First line: an OAuth 2 access token.")
@click.option("--auth-user", default="", metavar="MASTER", help="Log in as MASTER, with its password.")
@click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificates to trust instead of the web's.")
@click.option("--insecure", is_flag=True, help="Do not check the server's certificate.")
@click.option("--plaintext", is_flag=True, help="No TLS: for a server on this machine only.")
@click.option("--folder", "only", multiple=True, metavar="NAME", help="Only this folder and those below; repeatable.")
@click.option("--exclude", multiple=True, metavar="NAME", help="Not this folder; repeatable.")
@click.option("--map", "renamed", multiple=True, metavar="OLD=NEW", help="Another name here; repeatable.")
@click.option("--into", default="", metavar="PREFIX", help="Put all folders below PREFIX.")
@click.option("--connections", type=click.IntRange(1, 16), default=4, show_default=True)
@click.option("--delete-vanished", is_flag=True, help="Delete here what has come earlier and is gone there.")
@click.option("--verify", is_flag=True, help="Read every message back and compare.")
@click.option("--dry-run", is_flag=True, help="Show what would come; change nothing.")
@click.option("--json", "json_", is_flag=True, help="The report as JSON.")
@directory_option
def migrate(
    source: str,
    address: str | None,
    csv_file: str | None,
    password_file: str | None,
    token_file: str | None,
    auth_user: str,
    ca_file: str | None,
    insecure: bool,
    plaintext: bool,
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    renamed: tuple[str, ...],
    into: str,
    connections: int,
    delete_vanished: bool,
    verify: bool,
    dry_run: bool,
    json_: bool,
    directory_option: str | None,
) -> int:
    """Pull mail from SOURCE-URL (imaps://USER@HOST or imap://USER@HOST) into the account ADDRESS.

    Nothing changes at the source. Run again at any time: only what is missing comes, nothing comes twice. With --csv the
    URL names no user: imaps://HOST. Exit code 1 when anything does not reconcile.
    """
    from ..migrate.source import parse_url

    if (csv_file is None) == (address is None):
        raise click.UsageError("give an ADDRESS, or --csv FILE")
    if csv_file is not None and (password_file or token_file) and not auth_user:
        raise click.UsageError("--csv brings the passwords of its users")
    if password_file and token_file:
        raise click.UsageError("give --password-file or --token-file")
    if csv_file is not None and "@" not in source:
        source = source.replace("://", "://each@", 1)
    scheme, host, port, user = parse_url(source)
    roots = Path(ca_file).read_bytes() if ca_file else None
    if insecure:
        complain("warning: --insecure: the server's certificate is not checked, so anyone may be answering")
    if plaintext and scheme != "imap":
        raise click.UsageError("--plaintext goes with imap://")
    place = {
        "scheme": scheme,
        "host": host,
        "port": port,
        "plaintext": plaintext,
        "verify": not insecure,
        "roots_pem": roots,
    }
    options = {
        "only": only,
        "exclude": exclude,
        "renamed": [_pair(text) for text in renamed],
        "into": into.strip("/"),
        "connections": connections,
        "delete_vanished": delete_vanished,
        "verify": verify,
        "dry_run": dry_run,
    }
    if csv_file is not None:
        master = _secret(password_file, token_file, auth_user) if auth_user else None
        wanted = _rows(csv_file, master)
    else:
        wanted = [Wanted(user, _secret(password_file, token_file, auth_user), address or "")]
    from .access import access

    with access(chosen(directory_option), store=True) as door:
        return _all(door, place, wanted, options, json_=json_, batch=csv_file is not None)


def _all(
    door: Requester, place: dict[str, Any], wanted: list[Wanted], options: dict[str, Any], *, json_: bool, batch: bool
) -> int:
    reports: list[dict[str, Any]] = []
    for one in wanted:
        try:
            report = _one(door, place, one, options)
        except UserError as error:
            if not batch:
                raise
            complain(f"{one.user}: {error}")
            report = {"source": one.user, "address": one.address, "good": False, "error": str(error), "folders": []}
        reports.append(report)
        if not json_ and "error" not in report:
            _show(report)
    if json_:
        as_json(reports if batch else reports[0])
    elif batch:
        _summary(reports)
    return 0 if all(report["good"] for report in reports) else 1


def _one(door: Requester, place: dict[str, Any], one: Wanted, options: dict[str, Any]) -> dict[str, Any]:
    with Progress(one.address) as bar:

        def tell(progress: dict[str, Any]) -> None:
            if progress.get("total"):
                bar.set_total(max(progress["total"], progress["done"]))
            bar.advance(progress.get("done", 0) - bar.done, progress.get("octets", 0) - bar.octets)

        report: dict[str, Any] = door.follow(
            "migrate.run",
            tell,
            source={**place, "user": one.user},
            login=one.login,
            address=one.address,
            options=options,
        )
        rows = report["folders"]
        tell({"done": sum(row["known"] + row["new"] + row["found"] for row in rows)})
    return report


def _show(report: dict[str, Any]) -> None:
    for note in report["notes"]:
        complain(note)
    rows: list[tuple[str, ...]]
    if report["dry_run"]:
        rows = [("folder", "becomes", "messages", "would come", "octets")]
        for row in report["folders"]:
            rows.append((row["source"], row["target"], str(row["messages"]), str(row["new"]), octets(row["octets"])))
        table(rows)
    else:
        rows = [("folder", "here", "messages", "octets", "new", "digest", "")]
        for row in report["folders"]:
            counts = f"{row['here']}/{row['messages']}"
            same = row["digest"] == row["digest_here"]
            digest = row["digest"][:12] if same else f"{row['digest'][:12]} != {row['digest_here'][:12]}"
            rows.append(
                (
                    row["source"],
                    row["target"],
                    counts,
                    octets(row["octets_here"]),
                    str(row["new"]),
                    digest,
                    _remarks(row),
                )
            )
        table(rows)
    faults = [fault for row in report["folders"] for fault in row["faults"]]
    for fault in faults[:FAULTS_SHOWN]:
        complain(fault)
    count = sum(row["fault_count"] for row in report["folders"])
    if count > FAULTS_SHOWN:
        complain(f"and {count - FAULTS_SHOWN} more (--json names them)")
    total = sum(row["messages"] for row in report["folders"])
    if report["dry_run"]:
        click.echo(f"{total} messages at the source; nothing was changed")
    elif report["good"]:
        click.echo(f"complete: {total} messages of {report['source']} are in {report['address']}")
    else:
        click.echo(f"NOT complete: {count} faults among {total} messages of {report['source']}")


def _remarks(row: dict[str, Any]) -> str:
    words = {
        "found": "were here already",
        "flags_changed": "with changed flags",
        "deleted": "deleted here",
        "removed_here": "deleted here since they came",
        "vanished": "deleted there meanwhile",
        "verified": "read back",
    }
    said = [f"{row[name]} {text}" for name, text in words.items() if row[name]]
    if row["fault_count"]:
        said.insert(0, f"{row['fault_count']} FAULTS")
    return ", ".join(said)


def _summary(reports: list[dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = [("account", "messages", "octets", "")]
    for report in reports:
        here = sum(row["here"] for row in report["folders"])
        size = sum(row["octets_here"] for row in report["folders"])
        state = report.get("error") or ("complete" if report["good"] else "NOT complete")
        rows.append((report["address"], str(here), octets(size), state))
    table(rows)


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not separator or not old.strip("/") or not new.strip("/"):
        raise click.UsageError(f"--map {text}: OLD=NEW is meant")
    return old.strip("/"), new.strip("/")


def _secret(password_file: str | None, token_file: str | None, auth_user: str) -> dict[str, str]:
    if token_file:
        return {"token": _first_line(token_file), "auth_user": auth_user}
    if password_file:
        return {"password": _first_line(password_file), "auth_user": auth_user}
    if not sys.stdin.isatty():
        raise UserError("which password? Give --password-file, or type it at a terminal")
    return {"password": click.prompt("Password at the source", hide_input=True), "auth_user": auth_user}


def _first_line(file: str) -> str:
    from ..migrate.source import SECRET_OCTETS_MAX

    with Path(file).open("rb") as opened:
        line = opened.read(SECRET_OCTETS_MAX).split(b"\n")[0].rstrip(b"\r")
    if not line:
        raise UserError(f"{file} is empty")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8") from None


def _rows(file: str, master: dict[str, str] | None) -> list[Wanted]:
    """user,password,address; with a master's login the password column may be empty or left out."""
    wanted: list[Wanted] = []
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as opened:
            for number, fields in enumerate(csv.reader(opened, strict=True), 1):
                if not fields or fields == [""] or (number == 1 and tuple(fields) == CSV_COLUMNS):
                    continue
                if master is not None and len(fields) == 2:
                    fields.insert(1, "")
                if len(fields) != 3 or not all((fields[0], fields[1] or master, fields[2])):
                    raise UserError(f"{file}, line {number}: user,password,address are meant")
                login = master or {"password": fields[1]}
                wanted.append(Wanted(fields[0].strip(), login, fields[2].strip()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: {error}") from None
    if not wanted:
        raise UserError(f"{file} names nobody")
    return wanted
