"""`ironpost mailbox`: the mailboxes of an account."""

from __future__ import annotations

import click

from .moving import mailbox_export, mailbox_import


@click.group()
def mailbox() -> None:
    """The mailboxes of an account."""


mailbox.add_command(mailbox_import)
mailbox.add_command(mailbox_export)
