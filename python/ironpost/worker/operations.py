"""What the command line may ask: one table of operations, carried out by a worker of the running server, or by the
command itself when no server runs. Arguments and results are plain data (msgpack).
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from .. import __version__
from ..errors import UserError
from ..identity import accounts
from ..runtime import threads

if TYPE_CHECKING:
    from ..config import Config
    from ..identity.hashing import Hasher
    from ..identity.presence import Presence
    from ..runtime.notify import HintBus
    from ..state.directory import Directory
    from ..store.client import StoreClient

IMPORT_ROWS_MAX: Final = 1000  # of one request
STATUS_SECONDS: Final = 5.0


class OperationContext(Protocol):
    """What operations need; a worker's context and the command line's own both fit."""

    @property
    def config(self) -> Config: ...
    @property
    def directory(self) -> Directory: ...
    @property
    def store(self) -> StoreClient: ...
    @property
    def hints(self) -> HintBus: ...
    @property
    def hasher(self) -> Hasher: ...
    @property
    def presence(self) -> Presence: ...
    @property
    def slot(self) -> int: ...
    async def server_status(self) -> dict[str, Any]:
        """What the supervisor knows, or {"running": False}."""


Arguments = dict[str, Any]
Operation = Callable[[Any, Arguments], Awaitable[Any]]
Tell = Callable[[dict[str, Any]], object]  # progress, as a map of plain data; the latest of each key counts
Streamed = Callable[[Any, Arguments, Tell], Awaitable[Any]]


async def domain_add(context: OperationContext, arguments: Arguments) -> str:
    """{domain} -> its key."""
    return await context.directory.add_domain(arguments["domain"])


async def domain_list(context: OperationContext, arguments: Arguments) -> list[str]:
    """-> all, sorted."""
    return context.directory.domains()


async def domain_remove(context: OperationContext, arguments: Arguments) -> None:
    """{domain}."""
    await context.directory.remove_domain(arguments["domain"])


async def account_add(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{address, password} -> {id, address}."""
    hasher = context.hasher
    account = await accounts.add_account(context.directory, hasher, arguments["address"], arguments["password"])
    return account._asdict()


async def account_list(context: OperationContext, arguments: Arguments) -> list[dict[str, Any]]:
    """{domain?} -> [{id, address}]."""
    found = await threads.run("directory", context.directory.accounts, arguments.get("domain"))
    return [account._asdict() for account in found]


async def account_remove(context: OperationContext, arguments: Arguments) -> int:
    """{address} -> id; the janitor purges the mail later."""
    return await context.directory.remove_account(arguments["address"])


async def account_password(context: OperationContext, arguments: Arguments) -> None:
    """{address, password}."""
    await accounts.set_password(context.directory, context.hasher, arguments["address"], arguments["password"])


async def account_existing(context: OperationContext, arguments: Arguments) -> list[str]:
    """{addresses} -> those that are accounts."""
    return sorted(context.directory.existing(arguments["addresses"]))


async def account_import(context: OperationContext, arguments: Arguments) -> list[tuple[str, str]]:
    """{rows: [(address, verifiers)]} -> [(code, text)], in one commit; a refused row stops no other."""
    rows = arguments["rows"]
    if len(rows) > IMPORT_ROWS_MAX:
        raise UserError(f"at most {IMPORT_ROWS_MAX} rows at once")
    return await context.directory.import_accounts([(address, verifiers) for address, verifiers in rows])


async def alias_add(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{alias, targets} -> {address, targets}."""
    return (await context.directory.add_alias(arguments["alias"], arguments["targets"]))._asdict()


async def alias_list(context: OperationContext, arguments: Arguments) -> list[dict[str, Any]]:
    """-> [{address, targets}]."""
    return [alias._asdict() for alias in await threads.run("directory", context.directory.aliases)]


async def alias_remove(context: OperationContext, arguments: Arguments) -> None:
    """{alias, targets?}."""
    await context.directory.remove_alias(arguments["alias"], arguments.get("targets") or [])


async def status(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """-> everything that `ironpost status` shows."""
    result: dict[str, Any] = {"version": __version__, "directory": str(context.config.directory), "running": False}
    result.update(await context.server_status())
    result["domains"] = len(context.directory.domains())
    result["accounts"] = context.directory.count_accounts()
    if result["running"]:
        store = context.store
        result["queue"] = await store.call(store.core.queue_size())
        result["store"] = {
            **store.core.metrics(),
            "free_bytes": store.core.free_bytes(),
            "failed": store.core.failed(),
            "recovery": store.core.recovery,
        }
    result["time"] = time.time()
    return result


async def store_check(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{full, sample} -> the report; accounts unknown to the directory are told, and nothing deletes them."""
    store = context.store
    if arguments.get("sample"):
        report = await store.call(store.core.check_sample())
    else:
        report = await store.call(store.core.check(bool(arguments.get("full"))))
    known = await threads.run("directory", context.directory.known_ids)
    strange = [account for account in await store.call(store.core.accounts()) if account not in known]
    return {
        "problems": list(report.problems),
        "unknown_accounts": strange,
        "accounts": report.accounts,
        "mailboxes": report.mailboxes,
        "messages": report.messages,
        "blobs": report.blobs,
        "packs": report.packs,
        "queue": report.queue,
        "recovery": store.core.recovery,
    }


async def store_stat(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """-> counters of this worker's store, and the free disk."""
    core = context.store.core
    return {**core.metrics(), "free_bytes": core.free_bytes(), "recovery": core.recovery, "failed": core.failed()}


async def store_compact(context: OperationContext, arguments: Arguments) -> dict[str, Any]:
    """{rate?} -> what was copied and freed. Takes packs of any age, of which a tenth is dead."""
    store = context.store
    result: dict[str, Any] = await store.call(
        store.core.compact(dead_percent=10, small_count=4, age=0, rate=int(arguments.get("rate") or 0))
    )
    return result


async def queue_list(context: OperationContext, arguments: Arguments) -> Any:
    """{after?, limit?}: the relay's affair."""
    from ..relay import control

    return await control.queue_list(context, **arguments)  # type: ignore[arg-type]


async def queue_retry(context: OperationContext, arguments: Arguments) -> Any:
    """{identifier?}."""
    from ..relay import control

    return await control.queue_retry(context, **arguments)  # type: ignore[arg-type]


async def queue_remove(context: OperationContext, arguments: Arguments) -> Any:
    """{identifier}."""
    from ..relay import control

    return await control.queue_remove(context, **arguments)  # type: ignore[arg-type]


async def migrate_run(context: OperationContext, arguments: Arguments, tell: Tell) -> Any:
    """{source, login, address, options} -> the report; see `migrate.operation`."""
    from ..migrate import operation

    return await operation.run(context.store, context.directory, context.config.state_folder, arguments, tell)


def _elsewhere(module: str, name: str) -> Operation:
    """An operation of another module, which is imported when it is asked for: most need the store's extension."""

    async def operation(context: OperationContext, arguments: Arguments) -> Any:
        """As it is documented there."""
        found: Operation = importlib.import_module(f"ironpost.{module}").OPERATIONS[name]
        return await found(context, arguments)

    return operation


MAIL_OPERATIONS: Final = tuple(
    f"mail.{verb}"
    for verb in (
        "adopt", "begin", "discard", "finish", "folders", "keywords", "part", "piece", "put", "rows", "subscribe", "whole"
    )
)  # fmt: skip
MAILBOX_OPERATIONS: Final = ("mailbox.expire", "mailbox.list", "mailbox.purge", "mailbox.recover", "mailbox.retained")
SHARING_OPERATIONS: Final = (
    "mailbox.acl.set",
    "mailbox.acl.show",
    "mailbox.sharing.export",
    "mailbox.sharing.import",
)
APP_PASSWORD_OPERATIONS: Final = ("app-password.add", "app-password.list", "app-password.remove")
SESSION_OPERATIONS: Final = ("session.here.list", "session.here.revoke", "session.list", "session.revoke")
UIDL_OPERATIONS: Final = ("mailbox.uidl.list", "mailbox.uidl.set")
QUOTA_OPERATIONS: Final = ("quota.domains", "quota.page", "quota.set", "quota.show")
OPERATIONS: Final[dict[str, Operation]] = {
    "account.add": account_add,
    "account.existing": account_existing,
    "account.import": account_import,
    "account.list": account_list,
    "account.password": account_password,
    "account.remove": account_remove,
    "alias.add": alias_add,
    "alias.list": alias_list,
    "alias.remove": alias_remove,
    **{name: _elsewhere("worker.app_password_operations", name) for name in APP_PASSWORD_OPERATIONS},
    "domain.add": domain_add,
    "domain.list": domain_list,
    "domain.remove": domain_remove,
    **{name: _elsewhere("portable.operations", name) for name in MAIL_OPERATIONS},
    "queue.list": queue_list,
    "queue.remove": queue_remove,
    "queue.retry": queue_retry,
    **{name: _elsewhere("worker.session_operations", name) for name in SESSION_OPERATIONS},
    "status": status,
    "store.check": store_check,
    "store.compact": store_compact,
    "store.stat": store_stat,
    **{name: _elsewhere("worker.mailbox_operations", name) for name in MAILBOX_OPERATIONS},
    **{name: _elsewhere("worker.quota_operations", name) for name in QUOTA_OPERATIONS},
    **{name: _elsewhere("worker.sharing_operations", name) for name in SHARING_OPERATIONS},
    **{name: _elsewhere("worker.uidl_operations", name) for name in UIDL_OPERATIONS},
}
# Those that take long: they tell their progress, and end when whoever asked has gone.
STREAMED: Final[dict[str, Streamed]] = {
    "migrate.run": migrate_run,
}
# Those that must open the store when no server runs; the others are content with the directory.
NEED_STORE: Final = frozenset(
    name for name in OPERATIONS if name.startswith(("mail.", "mailbox.", "queue.", "quota.", "store."))
)
