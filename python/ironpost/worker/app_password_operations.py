"""What the command line may ask of app passwords."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from ..errors import DirectoryError
from ..identity import app_passwords
from ..runtime import threads

if TYPE_CHECKING:
    from .operations import Arguments, Operation, OperationContext

ID_ATTEMPTS: Final = 10  # ids are random; of a million, an account has at most 50


async def add(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{address, label, scopes?, lifetime? (seconds)} -> {id, password, scopes, expires}; the password is told only now."""
    for attempt in range(1, ID_ATTEMPTS + 1):
        made = app_passwords.make(
            arguments["label"], tuple(arguments.get("scopes") or ()), time.time(), arguments.get("lifetime")
        )
        try:
            await context.directory.app_passwords.add(arguments["address"], made.verifier)
        except DirectoryError as error:
            if error.code != "exists" or attempt == ID_ATTEMPTS:
                raise
            continue
        return {"password": made.password, **{name: made.verifier[name] for name in ("id", "scopes", "expires")}}
    raise AssertionError("unreachable")


async def listed(context: OperationContext, arguments: Arguments) -> list[dict[str, Any]]:
    """{address} -> [{id, label, scopes, created, expires, used}], the oldest first."""
    found = await threads.run("directory", context.directory.app_passwords.of, arguments["address"])
    return [one._asdict() for one in found]


async def remove(context: OperationContext, arguments: Arguments) -> None:
    """{address, id}; sessions that have logged in with it end at once."""
    await context.directory.app_passwords.remove(arguments["address"], arguments["id"].lower())


OPERATIONS: Final[dict[str, Operation]] = {
    "app-password.add": add,
    "app-password.list": listed,
    "app-password.remove": remove,
}
