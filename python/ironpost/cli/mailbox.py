"""`ironpost mailbox`: what accounts hold. Each command's module is imported when it is used."""

from __future__ import annotations

import importlib
from typing import Final

import click

# Name: (module, its function, what it does)
_COMMANDS: Final = {
    "acl": ("mailbox_acl", "acl", "Show and change who may do what with mailboxes."),
    "expire": ("mailbox_recover", "expire", "Carry out the expiry rules now."),
    "export": ("moving", "mailbox_export", "Write an account as Maildir, Maildir++ or mbox."),
    "import": ("moving", "mailbox_import", "Read mail from Maildir, mbox or Dovecot's own formats."),
    "list": ("mailbox_list", "list_", "List the mailboxes of an account."),
    "purge": ("mailbox_recover", "purge", "Let expunged messages go for good, now."),
    "recover": ("mailbox_recover", "recover", "Put expunged messages back."),
    "uidl": ("mailbox_uidl", "uidl", "Keep the ids that messages had at another POP3 server."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"ironpost.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][2]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup)
def mailbox() -> None:
    """What accounts hold: mailboxes and messages."""
