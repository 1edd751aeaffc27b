"""Operations on access control lists and annotations: `ironpost mailbox acl`, and what an export takes along."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from .. import _core
from ..errors import DirectoryError, UserError
from ..imap.commands.acl import identified
from ..state import acl
from ..state.metadata import Target
from .mailbox_operations import account_of

if TYPE_CHECKING:
    from ..quota import Home

PAGE_ROWS: Final = 100


async def acl_show(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """{address, mailbox?} -> [{mailbox, entries: [(identifier, rights)]}]; without a mailbox: those that have a list."""
    account = account_of(context, arguments["address"])
    sharing = context.directory.sharing
    if arguments.get("mailbox"):
        info = await _mailbox(context, account.id, arguments["mailbox"])
        wanted = {info.id: info.name}
    else:
        names = await _names(context, account.id)
        wanted = {number: names[number] for number in sharing.lists(account.id) if number in names}
    return [
        {"mailbox": name, "entries": [tuple(named) for named in sharing.named(account.id, number)]}
        for number, name in sorted(wanted.items(), key=lambda pair: pair[1])
    ]


async def acl_set(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """{address, mailbox, identifier, rights} -> the list as it is then. `rights` as SETACL takes them, with + or - in front."""
    account = account_of(context, arguments["address"])
    info = await _mailbox(context, account.id, arguments["mailbox"])
    rights = arguments["rights"]
    mode = rights[0] if rights[:1] in ("+", "-") else "="
    rights = rights.lstrip("+-") if mode != "=" else rights
    if any(right not in (*acl.ALL, *acl.VIRTUAL) for right in rights):
        raise UserError(
            f"rights are letters of {acl.ALL}{''.join(acl.VIRTUAL)}, with + or - in front to add or to take away"
        )
    try:
        whom, negative = identified(context.directory, arguments["identifier"])
        await context.directory.sharing.change(account.id, info.id, whom, negative, mode, rights)
    except DirectoryError as error:
        raise UserError(str(error)) from None
    return await acl_show(context, {"address": account.address, "mailbox": info.name})


async def sharing_export(context: Home, arguments: dict[str, Any]) -> dict[str, Any]:
    """{address?, after?} -> {rows, after}: records of the neutral stream, (kind, fields), of an account or of some accounts
    behind the number `after`; `after` is None at the end."""
    directory = context.directory
    if arguments.get("address"):
        owners = [account_of(context, arguments["address"]).id]
    else:
        everyone = {
            *directory.sharing.owners(),
            *(target.owner or target.account for target in directory.metadata.targets()),
        }
        owners = sorted(owner for owner in everyone if owner > int(arguments.get("after") or 0))[:PAGE_ROWS]
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for owner in owners:
        address = directory.sharing.address(owner)
        if address is not None:
            rows += await _records(context, owner, address)
    last = owners[-1] if len(owners) == PAGE_ROWS else None
    return {"rows": rows, "after": last}


async def _records(context: Home, owner: int, address: str) -> list[tuple[str, list[tuple[str, str]]]]:
    directory = context.directory
    names = await _names(context, owner)
    rows: list[tuple[str, list[tuple[str, str]]]] = []
    for number in sorted(set(directory.sharing.lists(owner)) & set(names)):
        fields = [("Address", address), ("Mailbox", names[number])]
        for named in directory.sharing.named(owner, number):
            # Without `c` and `d`: read again they would stand for all of their members.
            rights = "".join(right for right in named.rights if right in acl.ALL)
            fields.append(("Entry", f"{rights} {named.identifier}"))
        rows.append(("access", fields))
    for target in directory.metadata.targets():
        server = target.owner == 0 and target.account == owner
        if not server and (target.owner != owner or target.mailbox not in names):
            continue
        whose = directory.sharing.address(target.account) if target.account else ""
        if whose is None:
            continue
        for name, value in directory.metadata.below(target, ""):
            fields = [("Address", address), ("Mailbox", "" if server else names[target.mailbox]), ("For", whose)]
            rows.append(("annotation", [*fields, ("Name", name), ("Value", base64.b64encode(value).decode())]))
    return rows


async def sharing_import(context: Home, arguments: dict[str, Any]) -> list[str]:
    """{rows: [{kind, address, mailbox, entries | for, name, value}]} -> what could not be taken over. Entries of a list replace
    those that there are for the same people; people who have no account here are left out."""
    directory = context.directory
    faults: list[str] = []
    for row in arguments["rows"]:
        place = f"{row['address']} {row['mailbox']}".strip()
        try:
            account = account_of(context, row["address"])
            number = (await _mailbox(context, account.id, row["mailbox"])).id if row["mailbox"] else 0
            if row["kind"] == "access":
                for rights, identifier in row["entries"]:
                    try:
                        whom, negative = identified(directory, identifier)
                    except DirectoryError:
                        continue
                    await directory.sharing.change(account.id, number, whom, negative, "=", rights)
                continue
            reader = directory.account(row["for"]) if row["for"] else None
            if row["for"] and reader is None:
                continue
            whose = reader.id if reader is not None else 0
            target = Target(account.id if number else 0, number, whose)
            await directory.metadata.set([(target, row["name"], base64.b64decode(row["value"]))])
        except (UserError, DirectoryError) as error:
            faults.append(f"{place}: {error}")
    return faults


async def _mailbox(context: Home, account: int, name: str) -> _core.MailboxInfo:
    name = "INBOX" if name.upper() == "INBOX" else name
    try:
        info: _core.MailboxInfo = await context.store.call(context.store.core.mailbox(account, name))
    except _core.NotFound:
        raise UserError(f"there is no mailbox {name}") from None
    return info


async def _names(context: Home, account: int) -> dict[int, str]:
    infos = await context.store.call(context.store.core.list_mailboxes(account))
    return {info.id: info.name for info in infos if info.id}


OPERATIONS: Final = {
    "mailbox.acl.set": acl_set,
    "mailbox.acl.show": acl_show,
    "mailbox.sharing.export": sharing_export,
    "mailbox.sharing.import": sharing_import,
}
