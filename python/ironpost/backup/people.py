"""What the directory knows, as records of the neutral stream, and back (docs/export-format.md)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..errors import DirectoryError
from ..state import acl, addresses, edits

if TYPE_CHECKING:
    from ..state.directory import Directory

Fields = list[tuple[str, str]]


def front(directory: Directory) -> list[tuple[str, Fields]]:
    """Domains and aliases."""
    records: list[tuple[str, Fields]] = [("domain", [("Name", domain)]) for domain in directory.domains()]
    for alias in directory.aliases():
        records.append(("alias", [("Address", alias.address), *(("Target", target) for target in alias.targets)]))
    return records


def accounts(directory: Directory, *, credentials: bool, only: tuple[str, ...] = ()) -> list[tuple[int, Fields]]:
    """Accounts with their addresses, and with verifiers of their passwords when these are asked for."""
    wanted = {addresses.key(*addresses.split(address)) for address in only}
    found = []
    for account in directory.accounts():
        if only and addresses.key(*addresses.split(account.address)) not in wanted:
            continue
        fields: Fields = [("Address", account.address)]
        credential = directory.credential(account.id) if credentials else None
        if credential is not None:
            fields += [("Verifier", json.dumps(verifier)) for verifier in credential.verifiers]
        found.append((account.id, fields))
    return found


class Welcome:
    """Answers where the mail of an imported account goes, and makes accounts, domains and aliases that are missing.

    `merge`: accounts that are there take what comes. `only`: only these, by address. `into`: all goes there.
    """

    def __init__(
        self, directory: Directory, *, merge: bool, only: tuple[str, ...] = (), into: str | None = None
    ) -> None:
        self.directory = directory
        self.merge = merge
        self.only = {addresses.key(*addresses.split(address)) for address in only}
        self.into = into
        self.refused: list[str] = []
        self.made = 0
        self.aliases: list[dict[str, Any]] = []
        self.sharing: list[dict[str, Any]] = []  # lists and annotations, for `mailbox.sharing.import`
        self._answers: dict[str, int | None] = {}

    def answer(self, question: Fields) -> int | None:
        """To a record of the kinds domain, alias, account, or of a mailbox whose account's record was damaged."""
        kind = dict(question[:1])["Kind"]
        values: dict[str, list[str]] = {}
        for name, value in question[1:]:
            values.setdefault(name, []).append(value)
        if kind == "domain":
            self._domain(values["Name"][0])
            return None
        if kind == "alias":
            # Their targets may be accounts that are still to come.
            self.aliases.append({"address": values["Address"][0], "targets": values.get("Target", [])})
            return None
        address = values.get("Address", [""])[0]
        if kind in ("access", "annotation"):
            # Their mailboxes are still to come.
            self._keep(kind, address, values)
            return None
        if address not in self._answers:
            self._answers[address] = self._account(address, values.get("Verifier", []))
        return self._answers[address]

    def _keep(self, kind: str, address: str, values: dict[str, list[str]]) -> None:
        key = addresses.key(*addresses.split(address))
        if self.only and key not in self.only:
            return
        row: dict[str, Any] = {"kind": kind, "address": self.into or address, "mailbox": values.get("Mailbox", [""])[0]}
        if kind == "access":
            entries = [entry.partition(" ") for entry in values.get("Entry", [])]
            # The owner's own rights, unless he has restricted them, hold by themselves.
            row["entries"] = [(rights, whom) for rights, _, whom in entries if whom != address or not _all(rights)]
        else:
            whose = values.get("For", [""])[0]
            row["for"] = self.into if self.into and whose == address else whose
            row |= {"name": values.get("Name", [""])[0], "value": values.get("Value", [""])[0]}
        self.sharing.append(row)

    def finish(self) -> list[str]:
        """Makes the aliases; what could not be made."""
        faults = []
        for alias in self.aliases:
            try:
                self._edit(edits.add_alias, alias["address"], alias["targets"])
            except DirectoryError as error:
                faults.append(f"alias {alias['address']}: {error}")
        return faults

    def _account(self, address: str, verifiers: list[str]) -> int | None:
        if not addresses.split(address)[1]:
            self.refused.append(f"{address or 'an account'} has no address (the directory did not know it)")
            return None
        if self.only and addresses.key(*addresses.split(address)) not in self.only:
            return None
        known = self.directory.account(self.into or address)
        if known is not None:
            if self.merge:
                return known.id
            self.refused.append(f"{address} is there already (--merge adds to it)")
            return None
        try:
            self._domain(addresses.split(address)[1])
            account, _ = self._edit(edits.add_account, address, [json.loads(verifier) for verifier in verifiers])
        except DirectoryError as error:
            self.refused.append(f"{address}: {error}")
            return None
        self.made += 1
        return int(account)

    def _domain(self, domain: str) -> None:
        if not self.directory.is_local_domain(domain) and not self.only and not self.into:
            self._edit(edits.add_domain, domain)

    def _edit(self, edit: Any, *arguments: Any) -> Any:
        environment = self.directory.environment
        return environment.submit(lambda txn: edit(environment.tables, txn, *arguments)).result()


def _all(rights: str) -> bool:
    return acl.expanded(rights) == acl.ALL
