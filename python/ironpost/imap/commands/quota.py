"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208): what the account and its domain hold and may hold.

A quota root stands for each of the two that has a limit: the account's address, the domain's name. It is the same for all
mailboxes. Limits are set by the administrator (docs/quotas.md), never here. Where nothing is limited there is no root.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import namespaces

if TYPE_CHECKING:
    from ...quota.bounds import Amount, Bounds
    from ...state.directory import Account
    from ..session import Session

__all__ = ["get_quota", "get_quota_root", "set_quota"]

# STORAGE counts in these (RFC 9208 §5.1).
_STORAGE_UNIT_OCTETS = 1024


async def _roots(session: Session, account: Account) -> dict[str, list[tuple[str, int, int]]]:
    """The quota roots of an account, each with its limited resources."""
    quotas = session.context.quotas
    # So that the store counts the account in with its domain before anything is read.
    await quotas.ensure((account,))
    bounds, used = quotas.bounds(account), quotas.used(account)
    names = (account.address, account.address.rpartition("@")[2])
    roots = {name: _resources(limit, amount) for name, limit, amount in zip(names, bounds, used, strict=True)}
    return {name: resources for name, resources in roots.items() if resources}


def _resources(limit: Bounds, used: Amount) -> list[tuple[str, int, int]]:
    """Usage is rounded up and limits down, so that what is shown to be free is free."""
    resources = []
    if limit.octets:
        usage = -(-used.octets // _STORAGE_UNIT_OCTETS)
        resources.append(("STORAGE", usage, limit.octets // _STORAGE_UNIT_OCTETS))
    if limit.messages:
        resources.append(("MESSAGE", used.messages, limit.messages))
    return resources


async def get_quota(session: Session, tag: str, name: str, root: str) -> None:
    """GETQUOTA. Roots of others are answered like those that do not exist."""
    assert session.account is not None
    resources = (await _roots(session, session.account)).get(root)
    if resources is None:
        session.wire.respond(tag, "NO", "NONEXISTENT", "no such quota root")
        return
    session.wire.untagged_quota(root, resources)
    await session.finish(tag, name)


async def get_quota_root(session: Session, tag: str, name: str, mailbox: str) -> None:
    """GETQUOTAROOT: of one's own a mailbox need not exist; those of others must be readable (RFC 9208 §4.1.2)."""
    where = namespaces.place(session, mailbox)
    if where is None or not where.own:
        owner = (await namespaces.find(session, mailbox, "r")).owner
    else:
        owner = where.owner
    roots = await _roots(session, owner)
    session.wire.untagged_quota_root(mailbox, list(roots))
    for root, resources in roots.items():
        session.wire.untagged_quota(root, resources)
    await session.finish(tag, name)


async def set_quota(session: Session, tag: str, name: str, root: str, limits: tuple[tuple[str, int], ...]) -> None:
    """SETQUOTA: no user may (RFC 9208 §4.1.3); QUOTASET is not announced."""
    session.wire.respond(tag, "NO", "NOPERM", "limits are set by the administrator")
