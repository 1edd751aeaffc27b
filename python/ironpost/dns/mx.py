"""From a domain to the hosts that take its mail, in the order to try them (RFC 5321 §5.1, RFC 7505)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import TYPE_CHECKING

from .resolver import MxRecord, NoSuchName

if TYPE_CHECKING:
    from .resolver import Resolver


class MxError(Exception):
    """No host can be tried, now or ever; the fields are what the sender is told."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.enhanced = enhanced
        self.text = text


async def mail_hosts(domain: str, resolver: Resolver, own_names: Collection[str], random: Random) -> list[str]:
    """Host names in order of trial. Raises MxError (permanent) and DnsTemporary."""
    try:
        records = await resolver.mx(domain)
    except NoSuchName:
        raise MxError(550, "5.1.2", f"Domain {domain} does not exist") from None
    if not records:
        return [domain]  # the implicit MX; whether it has an address shows next
    return order(records, own_names, random, domain)


def order(records: Sequence[MxRecord], own_names: Collection[str], random: Random, domain: str = "") -> list[str]:
    """By preference, equals in random order; everything from our own preference on is left out, lest mail loop."""
    if all(record.host == "" for record in records):
        raise MxError(556, "5.1.10", f"Domain {domain} takes no mail (null MX)")
    usable = [record for record in records if record.host]
    own = [record.preference for record in usable if record.host in own_names]
    if own:
        limit = min(own)
        usable = [record for record in usable if record.preference < limit]
        if not usable:
            raise MxError(554, "5.4.6", f"Mail for {domain} loops back to this server")
    random.shuffle(usable)
    usable.sort(key=lambda record: record.preference)
    return list(dict.fromkeys(record.host for record in usable))
