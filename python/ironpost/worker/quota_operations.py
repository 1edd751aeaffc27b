"""Operations of `ironpost quota`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import UserError
from ..quota import Bounds, Quotas
from ..quota.bounds import Amount, of_account
from ..quota.service import domain_of
from ..state import addresses

if TYPE_CHECKING:
    from ..quota import Home
    from ..state.directory import Account, Limits

PAGE_ACCOUNTS: Final = 250  # some milliseconds of a worker


async def quota_show(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """{name} -> the row of an account, or of a domain."""
    name = arguments["name"]
    quotas = Quotas(context)
    if "@" in name:
        account = _account(context, name)
        return [_account_row(context, quotas, account, context.directory.limits(account.address))]
    domain = _domain(context, name)
    return [_domain_row(context, quotas, domain)]


async def quota_domains(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """-> the rows of all domains."""
    quotas = Quotas(context)
    return [_domain_row(context, quotas, domain) for domain in context.directory.domains()]


async def quota_page(context: Home, arguments: dict[str, Any]) -> dict[str, Any]:
    """{after, domain?} -> {rows, after}: accounts behind a key; `after` is None at the end."""
    quotas = Quotas(context)
    domain = arguments.get("domain")
    wanted = None if domain is None else _domain(context, domain)
    page = context.directory.page(arguments["after"], PAGE_ACCOUNTS)
    rows = [
        _account_row(context, quotas, account, limits)
        for _, account, limits in page
        if wanted is None or domain_of(account) == wanted
    ]
    return {"rows": rows, "after": page[-1][0] if len(page) == PAGE_ACCOUNTS else None}


async def quota_set(context: Home, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """{name, changes: {octets?, messages?}} -> the row; the store follows before this returns."""
    name, changes = arguments["name"], arguments["changes"]
    directory, quotas = context.directory, Quotas(context)
    if "@" in name:
        account = await directory.set_account_limits(name, changes)
        await quotas.ensure((account,))
    else:
        await quotas.ensure_domain(await directory.set_domain_limits(name, changes))
    return await quota_show(context, {"name": name})


def _account(context: Home, address: str) -> Account:
    account = context.directory.account(address)
    if account is None:
        raise UserError(f"there is no account {address}")
    return account


def _domain(context: Home, name: str) -> str:
    domain = addresses.domain_key(name)
    if domain not in context.directory.domains():
        raise UserError(f"{name} is neither an address nor one of our domains")
    return domain


def _account_row(context: Home, quotas: Quotas, account: Account, limits: Limits) -> dict[str, Any]:
    used, _ = quotas.used(account)
    return _row(account.address, "account", used, of_account(context.config, limits), limits)


def _domain_row(context: Home, quotas: Quotas, domain: str) -> dict[str, Any]:
    messages, octets, _, _ = context.store.core.group_quota(domain)
    limits = context.directory.limits(domain)
    return _row(domain, "domain", Amount(octets, messages), quotas.domain_bounds(domain), limits)


def _row(name: str, kind: str, used: Amount, bounds: Bounds, limits: Limits) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "octets": used.octets,
        "messages": used.messages,
        "limit_octets": bounds.octets or None,
        "limit_messages": bounds.messages or None,
        "percent": bounds.percent(used),
        "own_octets": limits.octets,
        "own_messages": limits.messages,
    }


OPERATIONS: Final = {
    "quota.domains": quota_domains,
    "quota.page": quota_page,
    "quota.set": quota_set,
    "quota.show": quota_show,
}
