"""The message that warns of a full mailbox (RFC 5322; RFC 3834 for its Auto-Submitted)."""

from __future__ import annotations

from email.utils import formatdate

from .bounds import Amount, Bounds

_UNITS = ("octets", "KiB", "MiB", "GiB", "TiB")


def write(
    *, address: str, domain: str, identifier: str, now: float, level: int, used: Amount, bounds: Bounds, of_domain: bool
) -> bytes:
    """The whole message. `address` gets it; `of_domain`: it tells of all accounts of the domain together."""
    who = f"The mailboxes of {domain} together are" if of_domain else f"Your mailbox {address} is"
    subject = f"{f'Mailboxes of {domain} are' if of_domain else 'Your mailbox is'} {level}% full"
    lines = [f"{who} more than {level}% full:", ""]
    if bounds.octets:
        lines.append(f"  {_size(used.octets)} of {_size(bounds.octets)}")
    if bounds.messages:
        lines.append(f"  {used.messages} of {bounds.messages} messages")
    lines += ["", "When nothing is left new mail is refused, and its senders are told so."]
    lines.append(
        "Limits are set with: ironpost quota set"
        if of_domain
        else "Delete what you no longer need, and empty the trash."
    )
    header = [
        "Return-Path: <>",
        f"From: Mail server <postmaster@{domain}>",
        f"To: <{address}>",
        f"Subject: {subject}",
        f"Date: {formatdate(now, localtime=True)}",
        f"Message-ID: <quota.{identifier}@{domain}>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]
    return "\r\n".join([*header, "", *lines, ""]).encode()


def _size(octets: int) -> str:
    value = float(octets)
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{octets} octets" if octets < 1024 else f"{value:.1f} {unit}"
