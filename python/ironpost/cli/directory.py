"""`ironpost domain`, `account`, `alias`."""

from __future__ import annotations

import sys

import click

from ..errors import UserError
from .common import as_json, ask, chosen, directory_option, table


def _password(from_stdin: bool) -> str:
    """A new password: the first line of standard input, or asked for twice."""
    if from_stdin:
        try:  # octets, since a C locale makes text of anything
            line = sys.stdin.buffer.readline().decode("utf-8")
        except UnicodeDecodeError:
            raise UserError("the password on standard input is not UTF-8") from None
        password = line.removesuffix("\n").removesuffix("\r")
        if not password:
            raise UserError("no password on standard input")
        return password
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal to ask for a password; give --password-stdin")
    answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return answer


_password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
_json = click.option("--json", "json_", is_flag=True, help="As JSON.")


@click.group()
def domain() -> None:
    """Domains whose mail is ours."""


@domain.command("add")
@click.argument("name", metavar="DOMAIN")
@directory_option
def domain_add(name: str, directory_option: str | None) -> None:
    """Add a domain."""
    click.echo(f"added {ask(directory_option, 'domain.add', domain=name)}")


@domain.command("list")
@_json
@directory_option
def domain_list(json_: bool, directory_option: str | None) -> None:
    """List the domains."""
    names = ask(directory_option, "domain.list")
    if json_:
        as_json(names)
    else:
        table([(name,) for name in names])


@domain.command("remove")
@click.argument("name", metavar="DOMAIN")
@directory_option
def domain_remove(name: str, directory_option: str | None) -> None:
    """Remove a domain that has no accounts and no aliases."""
    ask(directory_option, "domain.remove", domain=name)
    click.echo(f"removed {name}")


@click.group()
def account() -> None:
    """People with mailboxes."""


@account.command("add")
@click.argument("address")
@_password_stdin
@directory_option
def account_add(address: str, password_stdin: bool, directory_option: str | None) -> None:
    """Add an account."""
    chosen(directory_option)  # a mistake here should not cost the person a password first
    password = _password(password_stdin)
    added = ask(directory_option, "account.add", address=address, password=password)
    click.echo(f"added {added['address']}")


@account.command("passwd")
@click.argument("address")
@_password_stdin
@directory_option
def account_passwd(address: str, password_stdin: bool, directory_option: str | None) -> None:
    """Give an account a new password."""
    chosen(directory_option)
    password = _password(password_stdin)
    ask(directory_option, "account.password", address=address, password=password)
    click.echo(f"changed the password of {address}")


@account.command("list")
@click.argument("domain", required=False)
@_json
@directory_option
def account_list(domain: str | None, json_: bool, directory_option: str | None) -> None:
    """List the accounts, all or those of DOMAIN."""
    accounts = ask(directory_option, "account.list", domain=domain)
    if json_:
        as_json(accounts)
    else:
        table([(account["address"],) for account in accounts])


@account.command("remove")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@directory_option
def account_remove(address: str, yes: bool, directory_option: str | None) -> None:
    """Remove an account; its mail is purged a while later."""
    if not yes and sys.stdin.isatty():
        click.confirm(f"Remove {address} and all its mail?", abort=True)
    ask(directory_option, "account.remove", address=address)
    click.echo(f"removed {address}")


@account.command("import")
@click.argument("file", metavar="FILE.csv")
@directory_option
def account_import(file: str, directory_option: str | None) -> int:
    """Add many accounts from lines of `address,password`.

    Accounts that are there already are left as they are, so that an import that was interrupted can be run again.
    Lines with faults are told by their numbers and stop nothing. `-` reads standard input.
    """
    from . import bulk
    from .access import access

    rows, faults = bulk.read(file)
    with access(chosen(directory_option)) as door:
        return bulk.run(door, rows, faults)


@click.group()
def alias() -> None:
    """Addresses that lead to others."""


@alias.command("add")
@click.argument("name", metavar="ALIAS")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@directory_option
def alias_add(name: str, targets: tuple[str, ...], directory_option: str | None) -> None:
    """Let ALIAS lead to TARGETs: accounts, aliases, or addresses elsewhere. `@domain` catches all the rest."""
    added = ask(directory_option, "alias.add", alias=name, targets=list(targets))
    click.echo(f"{added['address']} leads to {', '.join(added['targets'])}")


@alias.command("list")
@_json
@directory_option
def alias_list(json_: bool, directory_option: str | None) -> None:
    """List the aliases."""
    aliases = ask(directory_option, "alias.list")
    if json_:
        as_json(aliases)
    else:
        table([(alias["address"], ", ".join(alias["targets"])) for alias in aliases])


@alias.command("remove")
@click.argument("name", metavar="ALIAS")
@click.argument("targets", metavar="[TARGET]...", nargs=-1)
@directory_option
def alias_remove(name: str, targets: tuple[str, ...], directory_option: str | None) -> None:
    """Remove an alias, or some of its TARGETs."""
    ask(directory_option, "alias.remove", alias=name, targets=list(targets))
    click.echo(f"removed {name}" + (f" to {', '.join(targets)}" if targets else ""))
