"""`ironpost account import`: thousands of accounts. Passwords are hashed here, in threads on all cores, and verifiers
are committed in batches, so that an interruption loses no more than one batch and a second run goes on from there."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from ..errors import DirectoryError, UserError

if TYPE_CHECKING:
    from .access import Requester

BATCH_ROWS: Final = 64  # about a second of hashing
ASK_ROWS: Final = 1000
FAULTS_SHOWN: Final = 1000
HEADER: Final = ("address", "password")


class Row(NamedTuple):
    """One line of the file."""

    line: int
    address: str
    password: str

    def __repr__(self) -> str:
        return f"Row(line={self.line}, address={self.address!r})"


Faults = list[tuple[int, str]]


def read(file: str) -> tuple[list[Row], Faults]:
    """The rows of a file, and what is wrong with others. Raises UserError when it cannot be read at all."""
    from ..state import addresses

    rows: list[Row] = []
    faults: Faults = []
    lines: dict[str, int] = {}
    for number, fields in _fields(file, faults):
        if not fields or fields == [""]:
            continue
        if number == 1 and tuple(field.strip().lower() for field in fields) == HEADER:
            continue
        if len(fields) != 2:
            faults.append((number, f"{len(fields)} fields instead of address,password"))
            continue
        address, password = fields[0].strip(), fields[1]
        try:
            key = addresses.key(*addresses.valid_address(address, local_only=True))
        except DirectoryError as error:
            faults.append((number, str(error)))
            continue
        if not password:
            faults.append((number, f"{address} has no password"))
        elif key in lines:
            faults.append((number, f"{address} stands in line {lines[key]} already"))
        else:
            lines[key] = number
            rows.append(Row(number, address, password))
    return rows, faults


def run(door: Requester, rows: list[Row], faults: Faults) -> int:
    """Imports; tells the faults by line and the counts; the exit code."""
    present: set[str] = set()
    for start in range(0, len(rows), ASK_ROWS):
        chunk = [row.address for row in rows[start : start + ASK_ROWS]]
        present.update(door.request("account.existing", addresses=chunk))
    wanted = [row for row in rows if row.address not in present]
    added = 0
    if wanted:
        from ..identity.hashing import Hasher

        hasher = Hasher(door.config.identity)
        with (
            ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
            click.progressbar(
                length=len(wanted), label="accounts" if sys.stderr.isatty() else "", file=sys.stderr
            ) as bar,
        ):
            for start in range(0, len(wanted), BATCH_ROWS):
                batch = wanted[start : start + BATCH_ROWS]
                added += _commit(door, batch, list(pool.map(lambda row: _verifiers(hasher, row), batch)), faults)
                bar.update(len(batch))
    for line, text in sorted(faults)[:FAULTS_SHOWN]:
        sys.stderr.write(f"{_place(line)}{text}\n")
    there = f", {len(present)} were there already" if present else ""
    click.echo(f"added {added} accounts{there}" + (f", {len(faults)} faults" if faults else ""))
    return 1 if faults else 0


def _commit(door: Requester, batch: list[Row], made: list[Any], faults: Faults) -> int:
    good = []
    for row, verifiers in zip(batch, made, strict=True):
        if isinstance(verifiers, str):
            faults.append((row.line, f"{row.address}: {verifiers}"))
        else:
            good.append((row, verifiers))
    outcomes = door.request("account.import", rows=[(row.address, verifiers) for row, verifiers in good])
    added = 0
    for (row, _), (code, text) in zip(good, outcomes, strict=True):
        if code:
            faults.append((row.line, text))
        else:
            added += 1
    return added


def _verifiers(hasher: Any, row: Row) -> Any:
    """Verifiers, or what is wrong with the password."""
    from ..identity.hashing import BadPassword

    try:
        return hasher.make(row.password)
    except BadPassword as error:
        return str(error)


def _fields(file: str, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each record; one that is no CSV is a fault of its line."""
    try:
        octets = sys.stdin.buffer.read() if file == "-" else _octets(file)
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: octet {error.start} is not UTF-8") from None
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            faults.append((reader.line_num, f"not CSV: {error}"))
            continue
        yield reader.line_num, fields


def _octets(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from None


def _place(line: int) -> str:
    return f"line {line}: "
