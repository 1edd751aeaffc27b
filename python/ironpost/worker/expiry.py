"""Mailboxes that empty themselves: which rule of `[[expire]]` a mailbox has, and carrying it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .. import _core
    from ..config import Config, ExpireConfig
    from ..store.client import StoreClient


def rule_of(config: Config, mailbox: _core.MailboxInfo) -> ExpireConfig | None:
    """A rule for the mailbox's name goes before one for its special use. Inferior mailboxes have rules of their own."""
    of_use = None
    for rule in config.expire:
        if rule.folder == mailbox.name or (rule.folder.upper() == "INBOX" and mailbox.name == "INBOX"):
            return rule
        if rule.folder == mailbox.special_use:
            of_use = rule
    return of_use


async def expire_account(
    store: StoreClient, config: Config, account: int, now: float, *, dry: bool = False
) -> list[tuple[str, int]]:
    """(mailbox, messages) of an account that the store knows: what was expunged, or with `dry` what would be.

    Raises StoreError, OutcomeUnknown: what was expunged until then stays so.
    """
    core = store.core
    found: list[tuple[str, int]] = []
    if not config.expire:
        return found
    for mailbox in await store.call(core.list_mailboxes(account)):
        rule = rule_of(config, mailbox)
        if rule is None or not mailbox.id or not mailbox.messages:
            continue
        before = max(now - rule.after, 0.0)
        # A reader looks first: most mailboxes have nothing that is due, and need no write to find out.
        count: int = await store.call(core.expirable(mailbox.id, before))
        if count and not dry:
            count = await store.call(core.expire(account, mailbox.id, before), write=True)
        if count:
            found.append((mailbox.name, count))
    return found
