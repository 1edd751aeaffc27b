"""The migration as an operation of the control socket: plain data in, plain data out.

Secrets come with the request, over a socket that only its owner may open, and go nowhere from here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from ..runtime import threads
from .folders import Choice
from .journal import Journal
from .source import Login, Source
from .target import Target
from .transfer import Migration, Options

if TYPE_CHECKING:
    from ..state.directory import Directory
    from ..store.client import StoreClient

CONNECTIONS_MAX: Final = 16

_under_way: set[Path] = set()  # journals that this process writes


async def run(
    store: StoreClient,
    directory: Directory,
    state_folder: Path,
    arguments: dict[str, Any],
    tell: Callable[[dict[str, Any]], object],
) -> dict[str, Any]:
    """{source, login, address, options} -> the report as data. Raises UserError."""
    account = directory.account(arguments["address"])
    if account is None:
        raise UserError(f"there is no account {arguments['address']} here: add it first (ironpost account add)")
    source = Source(**arguments["source"])
    login = Login(**arguments["login"])
    options = _options(arguments.get("options") or {})
    path = Journal.place(state_folder, account.id, str(source))
    if path in _under_way:
        raise UserError(f"a migration of {source} to {account.address} is under way already")
    _under_way.add(path)
    try:
        journal = Journal(path, str(source))
        try:
            await threads.run("migration", lambda: journal.open(write=not options.dry_run))
            target = Target(store, account.id)
            report = await Migration(source, login, target, journal, options, tell, account.address).run()
        finally:
            journal.close()
    finally:
        _under_way.discard(path)
    return report.plain()


def _options(given: dict[str, Any]) -> Options:
    choice = Choice(
        only=tuple(given.get("only") or ()),
        exclude=tuple(given.get("exclude") or ()),
        renamed=tuple((old, new) for old, new in given.get("renamed") or ()),
        into=given.get("into") or "",
    )
    return Options(
        choice=choice,
        connections=max(1, min(CONNECTIONS_MAX, int(given.get("connections") or 1))),
        delete_vanished=bool(given.get("delete_vanished")),
        dry_run=bool(given.get("dry_run")),
        verify=bool(given.get("verify")),
    )
