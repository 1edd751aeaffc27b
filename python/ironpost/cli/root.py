"""The root of the command line. A person's mistake is one line on standard error and a code: 1, or 2 for usage."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click

from .. import __version__
from .common import complain, directory_option

INTERRUPTED: Final = 130
_COMMANDS: Final = {
    "account": ("directory", "account"),
    "alias": ("directory", "alias"),
    "app-password": ("app_password", "app_password"),
    "backup": ("backup", "backup"),
    "config": ("server", "config_group"),
    "domain": ("directory", "domain"),
    "init": ("init", "init"),
    "mailbox": ("mailbox", "mailbox"),
    "migrate": ("migrate", "migrate"),
    "queue": ("store", "queue"),
    "quickstart": ("server", "quickstart"),
    "quota": ("quota", "quota"),
    "restore": ("backup", "restore"),
    "serve": ("server", "serve"),
    "session": ("session", "session"),
    "status": ("server", "status"),
    "store": ("store", "store"),
}
_HELP: Final = {
    "account": "Accounts: add, list, remove, passwd, import.",
    "alias": "Aliases: add, list, remove.",
    "app-password": "Further passwords of an account: add, list, remove.",
    "backup": "Save everything into a folder; list and verify what was saved.",
    "config": "Check the configuration; print its reference.",
    "domain": "Domains: add, list, remove.",
    "init": "Make a new data directory.",
    "mailbox": "Mailboxes: list, recover, expire, purge, import, export.",
    "migrate": "Pull accounts from other IMAP servers.",
    "queue": "Mail that waits for other servers: list, retry, remove.",
    "quickstart": "Start a server to play with, and show mail moving.",
    "quota": "What accounts and domains may hold: show, set.",
    "restore": "Put back everything, an account or a mailbox out of a backup.",
    "serve": "Run the server in the foreground.",
    "session": "Who is logged in: list, revoke.",
    "status": "What the server is doing.",
    "store": "The mail store: check, compact, export, import, rebuild, stat.",
}


class _LazyGroup(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"ironpost.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _HELP[name]) for name in self.list_commands(ctx)])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ironpost", message="%(prog)s %(version)s")
@directory_option
def cli(directory_option: str | None) -> None:
    """A mail server: SMTP, submission, LMTP, IMAP, POP3 and relay in one."""


def _which_command(context: click.Context | None) -> str:
    if context is None or not isinstance(context.command, click.Group):
        return "which command? (see: ironpost --help)"
    names = ", ".join(context.command.list_commands(context))
    return f"which command? One of {names} (see: {context.command_path} --help)"


def run(arguments: list[str] | None = None) -> int:
    """Carries out a command line; returns the exit code."""
    from ..errors import UserError

    try:
        result: Any = cli.main(args=arguments, prog_name="ironpost", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        complain(_which_command(error.ctx))
        return 2
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx is not None else "ironpost"
        complain(f"{error.format_message()} (see: {where} --help)")
        return 2
    except click.ClickException as error:
        complain(error.format_message())
        return 1
    except UserError as error:
        complain(str(error))
        return 1
    except UnicodeEncodeError:
        complain("what was given holds octets that are not UTF-8")
        return 1
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not find out again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """The `ironpost` program."""
    sys.exit(run())
